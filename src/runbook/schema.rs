//! The JSON Schema of a runbook's header, for editors. Nothing comes in; what the parser takes goes out.
//! A test holds it against the parser: every built-in header fits, and every key of it is one of the parser's.

use serde_json::{Value, json};

use super::Tool;
use super::header::MCP;
use crate::signature::TABLES;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const CATEGORIES: [&str; 7] =
    ["code", "configuration", "image", "resources", "dependency", "platform", "external"];

/// The schema of the YAML between the two lines of `---`.
pub fn schema() -> Value {
    let tools = Tool::ALL.map(|tool| tool.to_string()).join("|");
    let tools = format!("^({tools}|{MCP}.+)$");
    json!({
        "$schema": DRAFT,
        "title": "Header of a whodunit runbook",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "description": "Default: the file's name."},
            "match": {
                "type": "object",
                "additionalProperties": false,
                "description": "All given keys must hold; lists are alternatives; every text is a glob.",
                "properties": {
                    "alerts": strings("Names of alerts."),
                    "namespaces": strings("Namespaces of the workload."),
                    "workload": {
                        "type": "object",
                        "additionalProperties": false,
                        "properties": {"kind": {"type": "string"}, "name": {"type": "string"}},
                    },
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
            "scope": {"enum": ["workload", "namespace", "cluster"], "description": "Default: namespace."},
            "tools": {"type": "array", "items": {"type": "string", "pattern": tools}, "description": "Default: all."},
            "cautions": strings("What an investigation must know."),
            "budget": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "steps": {"type": "integer"},
                    "seconds": {"type": "integer"},
                    "tokens": {"type": "integer"},
                    "usd": {"type": "number"},
                },
            },
            "signatures": {"type": "array", "items": signature()},
            "owner": {"type": "string"},
        },
    })
}

fn signature() -> Value {
    let text = || json!({"type": "string"});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "over", "when", "category", "statement", "fix"],
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
            "over": {"enum": TABLES, "description": "The table whose rows are judged."},
            "when": {"type": "string", "description": "CEL, true for a row that shows the failure."},
            "category": {"enum": CATEGORIES},
            "object": {
                "type": "object",
                "additionalProperties": false,
                "required": ["kind", "namespace", "name"],
                "properties": {"kind": text(), "namespace": text(), "name": text()},
                "description": "What is at fault. Default: the workload.",
            },
            "statement": {"type": "string", "description": "What broke, where and why, with {{CEL}} in it."},
            "evidence": strings("CEL that gives rows which prove it. Default: row."),
            "explains": strings("Ids of signatures that are consequences of this one."),
            "rank": {"type": "integer", "description": "Among causes, higher goes first. Default: 50."},
            "fix": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["text", "risk"],
                    "properties": {
                        "text": text(),
                        "command": text(),
                        "when": {"type": "string", "description": "CEL. Default: always."},
                        "risk": {"enum": ["none", "low", "high"]},
                    },
                },
            },
            "not": {"type": "string", "description": "How it differs from its neighbours."},
            "catch_all": {"type": "boolean", "description": "It says what can be seen and knows no cause."},
        },
    })
}

fn strings(description: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "description": description})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::{builtin, parse};

    /// As much of JSON Schema as `schema` uses.
    fn fits(schema: &Value, value: &Value, path: &str) -> Vec<String> {
        if let Some(choices) = schema["enum"].as_array() {
            return if choices.contains(value) { Vec::new() } else { vec![format!("{path}: {value}")] };
        }
        let mut wrong = Vec::new();
        let is = match schema["type"].as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        };
        if !is {
            wrong.push(format!("{path}: {value} is no {}", schema["type"]));
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            let pattern = regex::Regex::new(pattern).unwrap();
            if !value.as_str().is_some_and(|text| pattern.is_match(text)) {
                wrong.push(format!("{path}: {value}"));
            }
        }
        for item in value.as_array().into_iter().flatten() {
            wrong.extend(fits(&schema["items"], item, path));
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{key}");
            match (&schema["properties"][key], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => wrong.push(format!("{path} is unknown")),
                (Value::Null, any) => wrong.extend(fits(any, value, &path)),
                (known, _) => wrong.extend(fits(known, value, &path)),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        let missing = required.filter(|key| value.get(key.as_str().unwrap()).is_none());
        wrong.extend(missing.map(|key| format!("{path}/{key} is missing")));
        wrong
    }

    fn header(text: &str) -> Value {
        let yaml = text.strip_prefix("---\n").unwrap().split("\n---\n").next().unwrap();
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn every_built_in_header_fits_and_unknown_keys_do_not() {
        for (path, text) in builtin::FILES {
            assert_eq!(fits(&schema(), &header(text), path), Vec::<String>::new());
        }
        for wrong in ["---\nscop: cluster\n---\n", "---\nscope: galaxy\n---\n", "---\ntools: [ssh]\n---\n"] {
            assert_eq!(fits(&schema(), &header(wrong), "").len(), 1, "{wrong}");
            assert!(parse("a.md", wrong, false).is_err());
        }
    }

    /// The parser's complaint about an unknown key lists those that it knows.
    #[test]
    fn the_schema_has_the_keys_that_the_parser_has() {
        let signature = "id: a\n    over: pods\n    when: 'true'\n    category: code\n    statement: s\n";
        let fix = "    fix: [{text: t, risk: low, KEY: 1}]\n";
        let places = [
            ("/properties", "KEY: 1\n".to_owned()),
            ("/properties/match/properties", "match: {KEY: 1}\n".to_owned()),
            ("/properties/match/properties/workload/properties", "match: {workload: {KEY: 1}}\n".to_owned()),
            ("/properties/budget/properties", "budget: {KEY: 1}\n".to_owned()),
            ("/properties/signatures/items/properties", "signatures:\n  - KEY: 1\n".to_owned()),
            (
                "/properties/signatures/items/properties/fix/items/properties",
                format!("signatures:\n  - {signature}{fix}"),
            ),
        ];
        for (pointer, yaml) in places {
            let text = format!("---\n{}---\n", yaml.replace("KEY", "unheard_of"));
            let message = parse("a.md", &text, false).unwrap_err()[0].message.clone();
            let schema = schema();
            let keys = schema.pointer(pointer).and_then(Value::as_object).unwrap();
            for key in keys.keys() {
                // Of a known key the parser complains about the value, if at all.
                let text = format!("---\n{}---\n", yaml.replace("KEY", key));
                let told = parse("a.md", &text, false).err().map(|faults| faults[0].message.clone());
                assert_ne!(told.map(|told| told.replace(key, "unheard_of")), Some(message.clone()), "{key}");
            }
            assert!(message.contains("unheard_of"), "{message}");
            let count = message.matches('`').count() / 2;
            assert!(count < 2 || count == keys.len() + 1, "{pointer}: {message}");
        }
    }
}
