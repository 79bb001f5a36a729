//! The kind's own rules, over the table that scripts/deploy-check holds against its schema.

use serde_json::Value;

use super::*;

/// What each rule of the schema says of this value and of all that is in it.
fn refusals(schema: &Value, value: &Value, found: &mut Vec<String>) {
    for validation in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let rule = validation["rule"].as_str().unwrap();
        let mut context = cel::Context::default();
        context.add_variable("self", value.clone()).unwrap();
        let answer = cel::Program::compile(rule).unwrap().execute(&context).unwrap();
        match answer {
            cel::Value::Bool(true) => {}
            cel::Value::Bool(false) => found.push(validation["message"].as_str().unwrap().to_owned()),
            other => panic!("{rule}: {other:?}"),
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            refusals(schema, value, found);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        refusals(&schema["items"], value, found);
    }
}

fn schema() -> Value {
    let definition = serde_json::to_value(definition()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

#[test]
fn the_rules_refuse_what_the_table_says_and_nothing_else() {
    let table: Vec<Value> =
        serde_saphyr::from_str(include_str!("../../../../deploy/tests/policies.yaml")).unwrap();
    let schema = schema();
    let mut judged = 0;
    for row in table.iter().filter(|row| row["refused"] != "schema") {
        let mut found = Vec::new();
        refusals(&schema, &row["spec"], &mut found);
        if row["refused"] == "cel" {
            judged += 1;
            let words = row["message"].as_str().unwrap();
            assert!(found.iter().any(|message| message.contains(words)), "{}: {found:?}", row["what"]);
        } else {
            assert_eq!(found, Vec::<String>::new(), "{}", row["what"]);
        }
    }
    assert_eq!(judged, 9);
}

/// What a schema may not hold, or what no rule's cost could be told for.
fn unbounded(schema: &Value, place: &str, found: &mut Vec<String>) {
    let kind = schema["type"].as_str().unwrap_or("none");
    let bound = match kind {
        "string" if schema.get("enum").is_none() && schema["format"] != "date-time" => {
            schema.get("maxLength").or(schema.get("pattern"))
        }
        "array" => schema.get("maxItems"),
        "object" if schema.get("additionalProperties").is_some() => schema.get("maxProperties"),
        "integer" | "number" => schema.get("minimum"),
        "object" | "string" => Some(&Value::Null),
        _ => None,
    };
    if bound.is_none() {
        found.push(format!("{place}: {kind}"));
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(schema, &format!("{place}.{name}"), found);
    }
    for (key, inside) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(schema) = schema.get(key) {
            unbounded(schema, &format!("{place}{inside}"), found);
        }
    }
}

#[test]
fn every_value_has_a_type_and_a_bound() {
    let mut found = Vec::new();
    unbounded(&schema(), "spec", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let text = serde_json::to_string(&definition()).unwrap();
    for word in ["nullable", "anyOf", "$ref", "uint"] {
        assert!(!text.contains(word), "{word}");
    }
}
