//! Label and field selectors, as the API server reads them: text comes in, a predicate over one object or
//! the server's own words of refusal go out. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// All requirements must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Greater(String, i64),
    Less(String, i64),
}

impl LabelSelector {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        split_outside_brackets(text).into_iter().map(requirement).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        let number = |key: &str| value(key).and_then(|text| text.parse::<i64>().ok());
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
            Requirement::In(key, values) => value(key).is_some_and(|found| values.contains(found)),
            // An object without the label is not in the set either.
            Requirement::NotIn(key, values) => value(key).is_none_or(|found| !values.contains(found)),
            Requirement::Greater(key, bound) => number(key).is_some_and(|found| found > *bound),
            Requirement::Less(key, bound) => number(key).is_some_and(|found| found < *bound),
        })
    }
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let text = text.trim();
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement::Absent(key(name)?));
    }
    let end = text.find(|c: char| c.is_whitespace() || "=!<>(".contains(c)).unwrap_or(text.len());
    let (name, rest) = (key(&text[..end])?, text[end..].trim_start());
    if rest.is_empty() {
        return Ok(Requirement::Exists(name));
    }
    for (word, is_in) in [("notin", false), ("in", true)] {
        if let Some(list) = rest.strip_prefix(word) {
            let values = set(list.trim())?;
            return Ok(if is_in { Requirement::In(name, values) } else { Requirement::NotIn(name, values) });
        }
    }
    for (operator, is_equal) in [("==", true), ("!=", false), ("=", true)] {
        if let Some(wanted) = rest.strip_prefix(operator) {
            let values = BTreeSet::from([value(wanted)?]);
            return Ok(if is_equal {
                Requirement::In(name, values)
            } else {
                Requirement::NotIn(name, values)
            });
        }
    }
    let bound = |text: &str| text.trim().parse::<i64>().map_err(|_| refusal(text, "an integer"));
    match rest.split_at_checked(1) {
        Some((">", wanted)) => Ok(Requirement::Greater(name, bound(wanted)?)),
        Some(("<", wanted)) => Ok(Requirement::Less(name, bound(wanted)?)),
        _ => Err(refusal(rest, "in, notin, =, ==, !=, gt, lt")),
    }
}

fn set(text: &str) -> Result<BTreeSet<String>, String> {
    let inner = text.strip_prefix('(').ok_or_else(|| refusal(text, "'('"))?;
    let inner = inner.strip_suffix(')').ok_or_else(|| refusal(inner, "')'"))?;
    inner.split(',').map(value).collect()
}

fn key(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if text.is_empty() || !is_name { Err(refusal(text, "identifier")) } else { Ok(text.to_owned()) }
}

fn value(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_value = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_value { Ok(text.to_owned()) } else { Err(refusal(text, "a label value")) }
}

fn refusal(found: &str, expected: &str) -> String {
    format!("unable to parse requirement: found '{found}' expected: {expected}")
}

/// `field=value` terms that must all hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSelector(Vec<(String, bool, String)>);

impl FieldSelector {
    pub(super) fn parse(text: &str, plural: &str, group: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for term in text.split(',').filter(|term| !term.is_empty()) {
            let parsed = ["!=", "==", "="].into_iter().find_map(|operator| {
                let (field, wanted) = term.split_once(operator)?;
                Some((field.to_owned(), operator != "!=", wanted.to_owned()))
            });
            let (field, is_equal, wanted) =
                parsed.ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?;
            if !is_supported(&field, plural, group) {
                return Err(format!("field label not supported: {field}"));
            }
            terms.push((field, is_equal, wanted));
        }
        Ok(Self(terms))
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, is_equal, wanted)| (field_of(object, field) == *wanted) == *is_equal)
    }
}

/// Fields that the API server can select by: two for every resource, more for a few.
fn is_supported(field: &str, plural: &str, group: &str) -> bool {
    let more: &[&str] = match (group, plural) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    matches!(field, "metadata.name" | "metadata.namespace") || more.contains(&field)
}

fn field_of(object: &Value, field: &str) -> String {
    // The one field whose name is not where it stands.
    let field = if field == "status.successful" { "status.succeeded" } else { field };
    let found = field.split('.').try_fold(object, |at, part| at.get(part));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None if field == "spec.unschedulable" => "false".to_owned(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
