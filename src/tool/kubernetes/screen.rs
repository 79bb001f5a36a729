//! Secrets in objects, where a value's name stands beside it and not before it: variables, data of
//! ConfigMaps, annotations, flags. An object comes in, the same object with such values redacted goes out,
//! before anything is chosen from it or cut. What Kubernetes keeps for itself is left out. Pure.

use serde_json::{Map, Value};

use crate::redact::redact;

/// A copy of the whole object, as it was applied, values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub fn screened(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    screen(&mut object);
    object
}

fn screen(value: &mut Value) {
    match value {
        Value::Object(map) => screen_map(map),
        Value::Array(list) => {
            list.iter_mut().for_each(screen);
            screen_flags(list);
        }
        Value::String(text) => *text = redact(text).into_owned(),
        _ => {}
    }
}

fn screen_map(map: &mut Map<String, Value>) {
    // `{name: DB_PASSWORD, value: …}`
    if let (Some(Value::String(name)), Some(Value::String(value))) = (map.get("name"), map.get("value")) {
        let value = beside(name, value);
        map.insert("value".to_owned(), Value::String(value));
    }
    for (key, value) in map.iter_mut() {
        match value {
            Value::String(text) if !names_an_object(key) => *text = beside(key, text),
            Value::String(_) => {}
            value => screen(value),
        }
    }
}

/// Keys whose values are names, also where the key ends in "Secret" or "Token".
fn names_an_object(key: &str) -> bool {
    matches!(key, "name" | "kind" | "namespace" | "key" | "reason" | "type" | "uid" | "resourceVersion")
        || key.ends_with("Name")
}

/// `["--password", "…"]`: the flag and its value are two entries.
fn screen_flags(list: &mut [Value]) {
    for at in 1..list.len() {
        let Some(flag) = list[at - 1].as_str().filter(|flag| flag.starts_with('-') && !flag.contains('='))
        else {
            continue;
        };
        let flag = flag.trim_start_matches('-').to_owned();
        if let Value::String(text) = &mut list[at]
            && !text.starts_with('-')
        {
            *text = beside(&flag, text);
        }
    }
}

/// A value redacted as if it stood behind its name.
pub fn beside(name: &str, value: &str) -> String {
    let prefix = format!("{name}=");
    let line = format!("{prefix}{value}");
    let redacted = redact(&line);
    redacted.strip_prefix(&prefix).unwrap_or(&redacted).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_judged_beside_their_names() {
        let object = json!({
            "kind": "Deployment",
            "metadata": {"name": "a", "managedFields": [{"manager": "kubectl"}], "annotations": {
                LAST_APPLIED: "{\"env\": \"hunter22x\"}", "vendor/api-token": "hunter22x", "note": "fine"}},
            "data": {"db.password": "hunter22x", "mode": "slow",
                "app.yaml": "db:\n  user: app\n  password: hunter22x\n"},
            "spec": {"containers": [{"name": "a", "image": "a:1",
                "args": ["--db-password", "hunter22x", "--verbose", "--token=hunter22x9", "run"],
                "env": [{"name": "DB_PASSWORD", "value": "hunter22x"}, {"name": "MODE", "value": "slow"},
                    {"name": "URL", "value": "postgres://app:hunter22x@db:5432/shop"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "db-credentials", "key": "token"}}}]}],
                "volumes": [{"name": "v", "secret": {"secretName": "db-credentials"}}],
                "serviceAccountName": "deployer-token-7x2b9"}});
        let screened = screened(object);
        let text = screened.to_string();
        assert!(!text.contains("hunter22x"), "{text}");
        assert!(!text.contains("managedFields") && !text.contains(LAST_APPLIED));
        for kept in [
            "\"MODE\",\"value\":\"slow\"",
            "\"mode\":\"slow\"",
            "\"note\":\"fine\"",
            "db-credentials",
            "\"key\":\"token\"",
            "deployer-token-7x2b9",
            "--verbose",
            "user: app",
            "db:5432",
        ] {
            assert!(text.contains(kept), "{kept} is gone: {text}");
        }
    }
}
