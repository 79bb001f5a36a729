//! A model's arguments: text that should be JSON comes in, a typed struct or words that tell what would
//! fit go out. It forgives form (strings for numbers, JSON in a string) and never guesses content. Pure.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Refusal;
use super::nearest::nearest;
use crate::llm::ToolSchema;

/// Longest arguments of one call.
pub const MAX_ARGUMENT_BYTES: usize = 16 * 1024;
/// Some models wrap JSON in a JSON string, a few of them twice.
const MAX_WRAPPINGS: usize = 3;
/// Keys that some models put around the arguments.
const ENVELOPES: [&str; 4] = ["arguments", "parameters", "input", "args"];

/// The arguments as an object whose values have the types of the schema, as far as form goes.
pub fn object(raw: &str, schema: &ToolSchema) -> Result<Value, Refusal> {
    if raw.len() > MAX_ARGUMENT_BYTES {
        let bytes = raw.len();
        return Err(Refusal::Arguments(format!("{bytes} bytes, at most {MAX_ARGUMENT_BYTES}")));
    }
    let mut value = match without_fence(raw.trim()) {
        "" => Value::Null,
        text => json(text, schema)?,
    };
    for _ in 0..MAX_WRAPPINGS {
        let Value::String(text) = &value else { break };
        value = json(&text.clone(), schema)?;
    }
    match value {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(map) => Ok(Value::Object(fit(unwrapped(map, schema), schema))),
        other => {
            let got = kind_of(&other);
            Err(Refusal::Arguments(format!("an object is needed, not {got}: {}", shape(schema))))
        }
    }
}

/// The arguments as a tool's own struct. A fault names its field, an unknown field the one that was meant.
pub fn typed<T: DeserializeOwned>(arguments: &Value, schema: &ToolSchema) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.inner().to_string();
        let place = if path == "." { String::new() } else { format!("`{path}`: ") };
        let meant = unknown_field(&cause)
            .and_then(|field| nearest(field, properties(schema)))
            .map(|known| format!("; did you mean `{known}`?"))
            .unwrap_or_default();
        Refusal::Arguments(format!("{place}{cause}{meant} Fits: {}", shape(schema)))
    })
}

fn json(text: &str, schema: &ToolSchema) -> Result<Value, Refusal> {
    serde_json::from_str(text)
        .map_err(|error| Refusal::Arguments(format!("not JSON ({error}); send {}", shape(schema))))
}

fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else { return text };
    inner.strip_prefix("json").unwrap_or(inner).trim()
}

fn unwrapped(map: Map<String, Value>, schema: &ToolSchema) -> Map<String, Value> {
    let known = |key: &str| properties(schema).any(|name| name == key);
    if map.len() != 1 {
        return map;
    }
    match map.iter().next() {
        Some((key, Value::Object(inner))) if ENVELOPES.contains(&key.as_str()) && !known(key) => {
            inner.clone()
        }
        _ => map,
    }
}

/// Nulls are left out, and values whose form alone is wrong get the form of the schema.
fn fit(map: Map<String, Value>, schema: &ToolSchema) -> Map<String, Value> {
    let kept = map.into_iter().filter(|(_, value)| !value.is_null());
    kept.map(|(key, value)| {
        let wanted = schema.parameters["properties"][&key]["type"].as_str().unwrap_or_default();
        let value = formed(value, wanted);
        (key, value)
    })
    .collect()
}

fn formed(value: Value, wanted: &str) -> Value {
    let fitting = match (wanted, &value) {
        ("integer" | "number", Value::String(text)) => match text.trim().parse::<i64>() {
            Ok(number) => Some(number.into()),
            Err(_) => {
                text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
            }
        },
        // 100.0 is a whole number to every model.
        ("integer", Value::Number(number)) => {
            number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15).map(|n| {
                #[expect(clippy::cast_possible_truncation, reason = "whole and small, as the filter says")]
                let whole = n as i64;
                whole.into()
            })
        }
        ("boolean", Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true.into()),
            "false" | "no" | "0" | "" => Some(false.into()),
            _ => None,
        },
        ("string", Value::Number(number)) => Some(number.to_string().into()),
        ("string", Value::Bool(flag)) => Some(flag.to_string().into()),
        ("array", Value::String(text)) => Some(list(text)),
        _ => None,
    };
    fitting.unwrap_or(value)
}

/// `a, b` or `["a", "b"]` in a string.
fn list(text: &str) -> Value {
    if let Ok(Value::Array(entries)) = serde_json::from_str(text) {
        return Value::Array(entries);
    }
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(Value::from).collect()
}

fn properties(schema: &ToolSchema) -> impl Iterator<Item = &str> {
    schema.parameters["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}

/// `{"kind": string, "namespace"?: string}`
pub fn shape(schema: &ToolSchema) -> String {
    let required: Vec<&str> =
        schema.parameters["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let each = properties(schema).map(|name| {
        let optional = if required.contains(&name) { "" } else { "?" };
        let wanted = schema.parameters["properties"][name]["type"].as_str().unwrap_or("any");
        format!("\"{name}\"{optional}: {wanted}")
    });
    format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
}

/// The field that serde's own words name: "unknown field `x`, expected …".
fn unknown_field(cause: &str) -> Option<&str> {
    cause.strip_prefix("unknown field `")?.split('`').next()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        kind: String,
        #[serde(default)]
        namespace: Option<String>,
        #[serde(default)]
        tail: Option<u32>,
        #[serde(default)]
        previous: bool,
        #[serde(default)]
        fields: Vec<String>,
    }

    fn schema() -> ToolSchema {
        let parameters = json!({"type": "object", "required": ["kind"], "properties": {
            "kind": {"type": "string"}, "namespace": {"type": "string"}, "tail": {"type": "integer"},
            "previous": {"type": "boolean"}, "fields": {"type": "array", "items": {"type": "string"}}}});
        ToolSchema { name: "x".to_owned(), description: String::new(), parameters }
    }

    fn parse(raw: &str) -> Result<Wanted, Refusal> {
        typed(&object(raw, &schema())?, &schema())
    }

    #[test]
    fn form_is_forgiven() {
        let wanted = Wanted {
            kind: "Pod".to_owned(),
            namespace: None,
            tail: Some(5),
            previous: true,
            fields: vec!["a".to_owned(), "b".to_owned()],
        };
        for raw in [
            r#"{"kind":"Pod","tail":5,"previous":true,"fields":["a","b"]}"#,
            r#"{"kind":"Pod","tail":"5","previous":"true","fields":"a, b","namespace":null}"#,
            r#"{"kind":"Pod","tail":5.0,"previous":"yes","fields":"[\"a\",\"b\"]"}"#,
            r#""{\"kind\":\"Pod\",\"tail\":5,\"previous\":true,\"fields\":[\"a\",\"b\"]}""#,
            r#"{"arguments":{"kind":"Pod","tail":5,"previous":true,"fields":["a","b"]}}"#,
            "```json\n{\"kind\":\"Pod\",\"tail\":5,\"previous\":true,\"fields\":[\"a\",\"b\"]}\n```",
        ] {
            assert_eq!(parse(raw).unwrap(), wanted, "{raw}");
        }
    }

    #[test]
    fn faults_name_the_field_and_what_fits() {
        for (raw, words) in [
            ("{\"kind\":", "not JSON (EOF while parsing a value"),
            ("[1]", "an object is needed, not an array"),
            ("", "missing field `kind`"),
            ("null", "missing field `kind`"),
            (r#"{"kind":"Pod","namspace":"x"}"#, "did you mean `namespace`?"),
            (r#"{"kind":"Pod","tail":"many"}"#, "`tail`: invalid type: string \"many\""),
            (r#"{"kind":"Pod","tail":-1}"#, "`tail`: invalid value"),
            (r#"{"kind":["Pod"]}"#, "`kind`: invalid type: sequence"),
            (r#"{"kind":"Pod","fields":[1]}"#, "`fields[0]`: invalid type"),
        ] {
            let Err(Refusal::Arguments(text)) = parse(raw) else { panic!("{raw} passed") };
            assert!(text.contains(words), "{raw}: {text}");
            assert!(text.contains("\"namespace\"?: string"), "{raw}: {text}");
        }
        let long = format!("\"{}\"", "x".repeat(MAX_ARGUMENT_BYTES));
        assert!(parse(&long).is_err());
        assert!(parse(&"[".repeat(MAX_ARGUMENT_BYTES)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(raw in "\\PC{0,60}", wrapped in any::<bool>()) {
            let raw = if wrapped { json!(raw).to_string() } else { raw };
            let _ = parse(&raw);
        }
    }
}
