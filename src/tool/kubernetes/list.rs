//! `kubernetes_list`: objects of a kind as a table, with chosen fields and order. What is too wide for one
//! answer is refused with its cardinality and a narrower question, never cut in silence.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, Words};
use super::fields::Path;
use super::found;
use super::reach::Reach;
use super::table::{age, aligned, columns, name, pod_status};
use crate::source::kubernetes::kinds::Kind;
use crate::source::kubernetes::{ListQuery, Page};
use crate::tool::{Found, Refusal};

/// Most rows of one answer.
pub const MAX_ROWS: usize = 60;
const MAX_FIELDS: usize = 8;
/// Most groups that a refusal counts.
const MAX_GROUPS: usize = 6;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    pub kind: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default, alias = "selector", alias = "labels")]
    pub label_selector: Option<String>,
    #[serde(default)]
    pub field_selector: Option<String>,
    #[serde(default)]
    pub sort_by: Option<String>,
    #[serde(default)]
    pub fields: Vec<String>,
    #[serde(default)]
    pub limit: Option<usize>,
}

pub async fn answer(reach: &Reach<'_>, arguments: Arguments) -> Result<Found, Refusal> {
    let words = Words {
        kind: Some(&arguments.kind),
        namespace: arguments.namespace.as_deref(),
        default_kind: "Pod",
        ..Words::default()
    };
    let asked = Asked::understand(&words)?;
    let flag = |name: &str| asked.flags.get(name).cloned();
    let mut query = ListQuery {
        labels: arguments.label_selector.or_else(|| flag("labels")).unwrap_or_default(),
        fields: arguments.field_selector.or_else(|| flag("fields")).unwrap_or_default(),
    };
    if !asked.name.is_empty() {
        query.fields = format!("metadata.name={}", asked.name);
    }
    let namespace = reach.namespace(&asked)?;
    let shape = Shape {
        kind: asked.kind,
        all_namespaces: asked.kind.namespaced && namespace.is_empty(),
        now: reach.bounds.now,
        paths: paths(&arguments.fields)?,
    };
    let order = arguments.sort_by.or_else(|| flag("sort"));
    let order = order.as_deref().map(|text| shape.order(text)).transpose()?;
    let answer = reach.objects(asked.kind, &namespace, &query).await?;
    let page = answer.value;
    let place = if namespace.is_empty() { "the cluster" } else { &namespace };
    let (total, known) = total(&page);
    let cardinality = format!("{total} {} in {place}{}", asked.kind.plural, filter(&query));
    if page.items.is_empty() {
        return Ok(found(answer.query, format!("no {} in {place}{}", asked.kind.plural, filter(&query)), ""));
    }
    let limit = arguments.limit.map(|limit| limit.clamp(1, MAX_ROWS));
    if limit.is_none() && (page.items.len() > MAX_ROWS || !known) || !known && order.is_some() {
        return Err(Refusal::TooMuch(too_much(&cardinality, &page.items, &shape)));
    }
    let mut items: Vec<&Value> = page.items.iter().collect();
    if let Some(order) = &order {
        items.sort_by(|one, other| order.compare(one, other));
    }
    let full = shape.table(&items);
    items.truncate(limit.unwrap_or(MAX_ROWS));
    let shown =
        if items.len() < page.items.len() { format!(", {} shown", items.len()) } else { String::new() };
    let digest = format!("{cardinality}{shown}\n{}", shape.table(&items));
    Ok(found(answer.query, digest, full))
}

/// How many there are, in words, and whether that is all of them.
fn total(page: &Page<Value>) -> (String, bool) {
    let read = page.items.len();
    match (page.more, page.remaining) {
        (false, _) => (read.to_string(), true),
        (true, Some(rest)) => ((read as u64 + rest).to_string(), false),
        (true, None) => (format!("more than {read}"), false),
    }
}

fn filter(query: &ListQuery) -> String {
    let each = [("labels", &query.labels), ("fields", &query.fields)];
    each.iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(what, text)| format!(" with {what} {text}"))
        .collect()
}

fn paths(fields: &[String]) -> Result<Vec<Path>, Refusal> {
    if fields.len() > MAX_FIELDS {
        return Err(Refusal::Arguments(format!("`fields`: {} paths, at most {MAX_FIELDS}", fields.len())));
    }
    // `NODE:.spec.nodeName` is kubectl's custom column.
    let path = |text: &str| Path::parse(text.split_once(":.").map_or(text, |(_, path)| path));
    fields.iter().map(|text| path(text)).collect()
}

/// Counts of what the objects differ in, and questions that would be narrow enough.
fn too_much(cardinality: &str, items: &[Value], shape: &Shape) -> String {
    let mut words = format!("{cardinality}, at most {MAX_ROWS} rows");
    if shape.all_namespaces {
        words.push_str(&groups("namespace", items, |item| {
            item["metadata"]["namespace"].as_str().map(str::to_owned)
        }));
    }
    if shape.kind.name == "Pod" {
        words.push_str(&groups("status", items, |item| Some(pod_status(item))));
    }
    for label in ["app", "app.kubernetes.io/name", "k8s-app"] {
        let of = |item: &Value| item["metadata"]["labels"].get(label)?.as_str().map(str::to_owned);
        if items.iter().filter_map(of).nth(1).is_some() {
            words.push_str(&groups(&format!("label {label}"), items, of));
            break;
        }
    }
    words.push_str(". Narrow by namespace, label_selector (app=…) or field_selector");
    if shape.kind.name == "Pod" {
        words.push_str(" (status.phase!=Running)");
    }
    words.push_str(", or take the first rows with sort_by and limit");
    words
}

fn groups(what: &str, items: &[Value], of: impl Fn(&Value) -> Option<String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    items.iter().filter_map(of).for_each(|key| *counts.entry(key).or_default() += 1);
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest = counts.len().saturating_sub(MAX_GROUPS);
    let each = counts.iter().take(MAX_GROUPS).map(|(key, count)| format!("{key} {count}"));
    let rest = if rest > 0 { format!(", {rest} more") } else { String::new() };
    format!("; by {what}: {}{rest}", each.collect::<Vec<_>>().join(", "))
}

/// What a row looks like.
struct Shape {
    kind: &'static Kind,
    all_namespaces: bool,
    now: DateTime<Utc>,
    /// Chosen columns; empty: those of the kind.
    paths: Vec<Path>,
}

impl Shape {
    fn table(&self, items: &[&Value]) -> String {
        let rows: Vec<Vec<String>> = items.iter().map(|item| self.row(item)).collect();
        aligned(&self.headers(), &rows)
    }

    fn headers(&self) -> Vec<String> {
        let mut headers = vec!["NAME".to_owned()];
        if self.all_namespaces {
            headers.insert(0, "NAMESPACE".to_owned());
        }
        if self.paths.is_empty() {
            headers.extend(columns(self.kind).iter().map(|(header, _)| (*header).to_owned()));
            headers.push("AGE".to_owned());
        } else {
            headers.extend(self.paths.iter().map(|path| path.text.clone()));
        }
        headers
    }

    fn row(&self, item: &Value) -> Vec<String> {
        let mut row = vec![name(item).to_owned()];
        if self.all_namespaces {
            row.insert(0, item["metadata"]["namespace"].as_str().unwrap_or_default().to_owned());
        }
        if self.paths.is_empty() {
            row.extend(columns(self.kind).iter().map(|(_, cell)| cell(item, self.now)));
            row.push(age(item, self.now));
        } else {
            row.extend(self.paths.iter().map(|path| path.cell(item)));
        }
        row
    }

    fn order(&self, text: &str) -> Result<Order, Refusal> {
        let (descending, text) = match text.trim().strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.trim()),
        };
        let column = columns(self.kind).iter().find(|(header, _)| header.eq_ignore_ascii_case(text));
        let key = match (column, text.to_ascii_lowercase().as_str()) {
            (Some((_, cell)), _) => Key::Column(*cell, self.now),
            // The oldest has the greatest age and the smallest time.
            (None, "age") => {
                return Ok(Order {
                    key: Key::Path(Path::parse("metadata.creationTimestamp")?),
                    descending: !descending,
                });
            }
            (None, "name") => Key::Path(Path::parse("metadata.name")?),
            (None, _) if text.contains('.') => Key::Path(Path::parse(text)?),
            (None, _) => {
                let known: Vec<String> =
                    columns(self.kind).iter().map(|(header, _)| header.to_ascii_lowercase()).collect();
                let words =
                    format!("`sort_by`: no column {text:?}; name, age, {} or a path", known.join(", "));
                return Err(Refusal::Arguments(words));
            }
        };
        Ok(Order { key, descending })
    }
}

struct Order {
    key: Key,
    descending: bool,
}

enum Key {
    Column(fn(&Value, DateTime<Utc>) -> String, DateTime<Utc>),
    Path(Path),
}

impl Order {
    fn compare(&self, one: &Value, other: &Value) -> Ordering {
        let cell = |item: &Value| match &self.key {
            Key::Column(cell, now) => cell(item, *now),
            Key::Path(path) => path.cell(item),
        };
        let (one_cell, other_cell) = (cell(one), cell(other));
        let ordering = match (leading_number(&one_cell), leading_number(&other_cell)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => one_cell.cmp(&other_cell),
        };
        if self.descending { ordering.reverse() } else { ordering }
    }
}

/// `6` of `6 (48s ago)`; a time is no number.
fn leading_number(text: &str) -> Option<f64> {
    text.split([' ', '/']).next()?.parse().ok()
}
