//! What changed between two pod templates, as paths an engineer would write:
//! `containers[checkout].command`, `containers[a].env[NAME]`, `volumes[config].configMap.name`. Pure.

use serde_json::{Map, Value};

use super::ledger::clean;
use crate::facts::Change;
use crate::redact::{redact, redact_pair};

/// Most changes that are kept; a rewrite of everything is no clue.
const MAX_CHANGES: usize = 40;

/// Labels that differ between revisions by construction.
const GENERATED_LABELS: [&str; 3] =
    ["pod-template-hash", "controller-revision-hash", "pod-template-generation"];

/// Changes from one template (`{metadata, spec}`) to another, in order of their paths.
pub fn changes(from: &Value, to: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", &normal(from), &normal(to), &mut found);
    found.truncate(MAX_CHANGES);
    found
}

/// The changes on one line.
pub fn text(changes: &[Change]) -> String {
    let each = changes.iter().map(|change| match (change.from.is_empty(), change.to.is_empty()) {
        (true, _) => format!("{}: added \"{}\"", change.path, change.to),
        (_, true) => format!("{}: removed \"{}\"", change.path, change.from),
        _ => format!("{}: \"{}\" → \"{}\"", change.path, change.from, change.to),
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Spec and metadata without what is made by Kubernetes itself.
fn normal(template: &Value) -> Value {
    let mut normal = template.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    let metadata = template.get("metadata");
    for part in ["labels", "annotations"] {
        let Some(Value::Object(entries)) = metadata.and_then(|metadata| metadata.get(part)) else { continue };
        let mut entries = entries.clone();
        entries.retain(|key, _| !GENERATED_LABELS.contains(&key.as_str()));
        // Keyed like a list, since label keys have dots and slashes in them.
        let list = entries.into_iter().map(|(name, value)| {
            let mut entry = Map::new();
            entry.insert("name".to_owned(), Value::String(name));
            entry.insert("value".to_owned(), value);
            Value::Object(entry)
        });
        normal.insert(part.to_owned(), Value::Array(list.collect()));
    }
    normal.retain(|_, value| !is_empty(value));
    Value::Object(normal)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn compare(path: &str, from: &Value, to: &Value, found: &mut Vec<Change>) {
    if from == to || is_empty(from) && is_empty(to) {
        return;
    }
    match (from, to) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, at(old, key), at(new, key), found);
            }
        }
        (Value::Array(_) | Value::Null, Value::Array(_) | Value::Null)
            if named(from).is_some() && named(to).is_some() =>
        {
            compare_named(path, from, to, found);
        }
        // A part that is new or gone is told leaf by leaf, so that no line holds a whole probe as JSON.
        (Value::Object(old), Value::Null) if path.contains('.') => {
            old.keys().for_each(|key| compare(&format!("{path}.{key}"), at(old, key), &Value::Null, found));
        }
        (Value::Null, Value::Object(new)) if path.contains('.') => {
            new.keys().for_each(|key| compare(&format!("{path}.{key}"), &Value::Null, at(new, key), found));
        }
        _ => found.push(Change { path: path.to_owned(), from: leaf(path, from), to: leaf(path, to) }),
    }
}

fn at<'a>(map: &'a Map<String, Value>, key: &str) -> &'a Value {
    map.get(key).unwrap_or(&Value::Null)
}

/// A list whose entries all have a name, as (name, entry); an absent list has none.
fn named(list: &Value) -> Option<Vec<(&str, &Value)>> {
    match list {
        Value::Null => Some(Vec::new()),
        Value::Array(entries) => {
            entries.iter().map(|entry| Some((entry.get("name")?.as_str()?, entry))).collect()
        }
        _ => None,
    }
}

fn compare_named(path: &str, from: &Value, to: &Value, found: &mut Vec<Change>) {
    let (old, new) = (named(from).unwrap_or_default(), named(to).unwrap_or_default());
    let mut names: Vec<&str> = old.iter().chain(&new).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let find = |list: &[(&str, &Value)]| {
            list.iter().find(|(own, _)| *own == name).map_or(Value::Null, |(_, entry)| (*entry).clone())
        };
        let (one, other) = (find(&old), find(&new));
        let path = format!("{path}[{name}]");
        let simple =
            ["env", "labels", "annotations"].iter().any(|list| path.ends_with(&format!("{list}[{name}]")));
        if one == other {
            continue;
        }
        if simple || one.is_null() || other.is_null() {
            found.push(Change { from: leaf(&path, &one), to: leaf(&path, &other), path });
        } else {
            compare(&path, &one, &other, found);
        }
    }
}

/// A value as text: commands joined by spaces, a variable's value or where it comes from, an image for a
/// whole container. Redacted together with its name, since `PASSWORD` is what makes a value a secret.
fn leaf(path: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Value::Object(entry)
            if path.contains(".env[") || path.starts_with("labels[") || path.starts_with("annotations[") =>
        {
            variable(entry)
        }
        Value::Object(entry) if entry.contains_key("image") => {
            entry.get("image").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    };
    let name = path.rsplit('[').next().and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
    if name.is_empty() {
        return clean(&text);
    }
    // Where a value comes from is no value: `secret db-credentials key password` stays.
    let is_reference = value.get("valueFrom").is_some();
    clean(&if is_reference { redact(&text) } else { redact_pair(name, &text) })
}

fn variable(entry: &Map<String, Value>) -> String {
    if let Some(value) = entry.get("value").and_then(Value::as_str) {
        return value.to_owned();
    }
    let source = entry.get("valueFrom").and_then(Value::as_object);
    for (kind, words) in [("secretKeyRef", "secret"), ("configMapKeyRef", "configmap")] {
        if let Some(reference) = source.and_then(|source| source.get(kind)) {
            let part = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            return format!("{words} {} key {}", part("name"), part("key"));
        }
    }
    source.map(|source| Value::Object(source.clone()).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(from: &Value, to: &Value) -> Vec<(String, String, String)> {
        changes(from, to).into_iter().map(|change| (change.path, change.from, change.to)).collect()
    }

    #[test]
    fn changes_read_as_an_engineer_would_write_them() {
        let from = json!({"metadata": {"labels": {"app": "a", "pod-template-hash": "1"}}, "spec": {
            "containers": [{"name": "a", "image": "a:1", "command": ["sh", "-c", "x"],
                "env": [{"name": "MODE", "value": "slow"}, {"name": "DB_PASSWORD", "value": "hunter2"}],
                "resources": {"limits": {"memory": "64Mi"}},
                "readinessProbe": {"httpGet": {"port": 80, "path": "/ok"}}}],
            "volumes": [{"name": "config", "configMap": {"name": "a-v1"}}]}});
        let to = json!({"metadata": {"labels": {"app": "a", "pod-template-hash": "2"}}, "spec": {
            "containers": [{"name": "a", "image": "a:2", "command": ["bash", "-c", "x"],
                "env": [{"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "mode"}}},
                        {"name": "DB_PASSWORD", "value": "hunter3"}],
                "resources": {"limits": {"memory": "32Mi"}},
                "readinessProbe": {"httpGet": {"port": 8080, "path": "/ok"}}}],
            "volumes": [{"name": "config", "configMap": {"name": "a-v2"}}]}});
        let expected = [
            ("containers[a].command", "sh -c x", "bash -c x"),
            ("containers[a].env[DB_PASSWORD]", "[redacted]", "[redacted]"),
            ("containers[a].env[MODE]", "slow", "configmap cm key mode"),
            ("containers[a].image", "a:1", "a:2"),
            ("containers[a].readinessProbe.httpGet.port", "80", "8080"),
            ("containers[a].resources.limits.memory", "64Mi", "32Mi"),
            ("volumes[config].configMap.name", "a-v1", "a-v2"),
        ];
        let found = paths(&from, &to);
        let found: Vec<_> = found.iter().map(|(p, f, t)| (p.as_str(), f.as_str(), t.as_str())).collect();
        assert!(!format!("{found:?}").contains("hunter"));
        let masked = |c: &(&str, &str, &str)| c.0.contains("PASSWORD");
        assert_eq!(
            found.iter().filter(|c| !masked(c)).collect::<Vec<_>>(),
            expected.iter().filter(|c| !masked(c)).collect::<Vec<_>>()
        );
        assert!(changes(&from, &from).is_empty());
    }

    #[test]
    fn added_and_removed_parts_are_told() {
        let from = json!({"spec": {"containers": [{"name": "a", "image": "a:1"}]}});
        let to = json!({"spec": {"containers": [{"name": "a", "image": "a:1",
            "resources": {"limits": {"cpu": "1"}}}, {"name": "b", "image": "b:1"}]}});
        assert_eq!(
            text(&changes(&from, &to)),
            "containers[a].resources.limits.cpu: added \"1\"; containers[b]: added \"b:1\""
        );
    }
}
