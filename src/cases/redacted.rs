//! An object as it may leave its cluster: what a source said comes in, the same without secrets, values of
//! ConfigMaps and bulk goes out. Pure; every text passes the one redaction point.

use serde_json::{Map, Value};

use crate::redact::{redact, redact_pair};

/// Copies of whole objects, as text.
const COPIES: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "control-plane.alpha.kubernetes.io/leader"];

/// The object without what nobody needs and nobody may see.
pub(super) fn object(mut value: Value) -> Value {
    if value["kind"] == "ConfigMap" {
        for field in ["data", "binaryData"] {
            if let Some(data) = value.get_mut(field).and_then(Value::as_object_mut) {
                data.values_mut().for_each(|content| *content = "".into());
            }
        }
    }
    if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !COPIES.contains(&key.as_str()));
    }
    let managed = value.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    for entry in managed.into_iter().flatten().filter_map(Value::as_object_mut) {
        entry.remove("fieldsV1");
    }
    // The images that a node keeps are many and say nothing about this namespace.
    if let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("images");
    }
    walk("", &mut value);
    value
}

fn walk(key: &str, value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text).into_owned(),
        Value::Array(items) => list(key, items),
        Value::Object(fields) => map(key, fields),
        _ => {}
    }
}

/// A flag tells what the word behind it is: `--password hunter2`.
fn list(key: &str, items: &mut [Value]) {
    for index in 0..items.len() {
        let flag = index.checked_sub(1).and_then(|before| items[before].as_str()).unwrap_or_default();
        let flag =
            flag.strip_prefix('-').filter(|flag| !flag.contains('=')).map(|flag| flag.replace('-', ""));
        match (flag, &mut items[index]) {
            (Some(flag), Value::String(text)) => *text = redact_pair(&flag, text).into_owned(),
            (_, item) => walk(key, item),
        }
    }
}

/// Pairs of a name and a value: variables, labels and annotations.
fn map(key: &str, fields: &mut Map<String, Value>) {
    let name = fields.get("name").and_then(Value::as_str).map(str::to_owned);
    let is_pairs = matches!(key, "labels" | "annotations" | "data");
    for (field, value) in fields.iter_mut() {
        match (value, &name) {
            (Value::String(text), Some(name)) if field == "value" => {
                *text = redact_pair(name, text).into_owned();
            }
            (Value::String(text), _) if is_pairs => *text = redact_pair(field, text).into_owned(),
            (value, _) => walk(field, value),
        }
    }
}
