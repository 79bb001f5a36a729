//! The objects of a case: a YAML stream comes in, each object with its line goes out, or every fault. Lists
//! fall into their items. Pure.

use serde_json::Value;
use serde_saphyr::{Spanned, options};

use super::case::Origin;
use super::check;
use crate::runbook::Fault;

/// An object and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub value: Value,
    /// `Pod shop/checkout-1`, `Node node-1`.
    pub key: String,
}

/// Every object of a file.
pub(super) fn read(path: &str, text: &str, origin: Origin) -> Result<Vec<Placed>, Vec<Fault>> {
    let documents: Vec<Spanned<Value>> = serde_saphyr::from_multiple_with_options(text, options! {})
        .map_err(|error| vec![yaml_fault(path, &error)])?;
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    for document in documents {
        let line = document.referenced.line().max(1);
        let mut value = document.value;
        let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        let items = value.get_mut("items").and_then(Value::as_array_mut).filter(|_| is_list);
        let items = match items.map(std::mem::take) {
            Some(items) => items,
            None if value.is_null() => Vec::new(),
            None => vec![value],
        };
        for value in items {
            let key = key(&value);
            let mut wrong = check::object(&value, origin);
            if objects.iter().any(|known: &Placed| known.key == key) {
                wrong.push("it is there twice".to_owned());
            }
            faults.extend(wrong.into_iter().map(|message| Fault {
                path: path.to_owned(),
                line,
                column: 1,
                message: format!("{key}: {message}"),
            }));
            objects.push(Placed { value, key });
        }
    }
    if faults.is_empty() { Ok(objects) } else { Err(faults) }
}

/// How changes and findings name an object.
pub(super) fn key(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

/// A parser's complaint, at its place.
pub(super) fn yaml_fault(path: &str, error: &serde_saphyr::Error) -> Fault {
    let place = error.location();
    let message = error.without_snippet().to_string();
    Fault {
        path: path.to_owned(),
        line: place.map_or(1, |place| place.line()),
        column: place.map_or(1, |place| place.column()),
        message: message.lines().next().unwrap_or("not YAML").to_owned(),
    }
}
