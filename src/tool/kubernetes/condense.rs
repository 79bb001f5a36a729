//! An object as an engineer would read it out: JSON that was screened comes in, lines in the manner of YAML
//! go out, without what Kubernetes fills in by itself, with long texts cut and counted. Pure.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::evidence::units;
use crate::source::kubernetes::kinds::Kind;
use crate::tool::bounded::cut;

/// What fits on one line stays on one line.
const INLINE_CHARS: usize = 140;
/// Longest text that is shown.
const MAX_TEXT_CHARS: usize = 400;
/// Lines of a text of many lines, such as a file in a ConfigMap.
const MAX_TEXT_LINES: usize = 25;
const MAX_ENTRIES: usize = 40;
/// Deeper nesting is told in one word; no built-in kind needs it.
const MAX_DEPTH: usize = 24;

/// Fields that say nothing about how a workload is doing.
const NOISE: [&str; 29] = [
    "allocatedResources",
    "apiVersion",
    "bootID",
    "clusterIPs",
    "containerID",
    "creationTimestamp",
    "daemonEndpoints",
    "declaredFeatures",
    "defaultMode",
    "generateName",
    "hostIPs",
    "imageID",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "lastProbeTime",
    "lastHeartbeatTime",
    "machineID",
    "observedGeneration",
    "podIPs",
    "preemptionPolicy",
    "resourceVersion",
    "selfLink",
    "serviceAccount",
    "systemUUID",
    "terminatingReplicas",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "uid",
];

/// Values that Kubernetes sets where nobody said otherwise.
const DEFAULTS: [(&str, &str); 17] = [
    ("dnsPolicy", "ClusterFirst"),
    ("schedulerName", "default-scheduler"),
    ("serviceAccountName", "default"),
    ("protocol", "TCP"),
    ("scheme", "HTTP"),
    ("sessionAffinity", "None"),
    ("imagePullPolicy", "IfNotPresent"),
    ("podManagementPolicy", "OrderedReady"),
    ("volumeMode", "Filesystem"),
    ("successThreshold", "1"),
    ("priority", "0"),
    ("revisionHistoryLimit", "10"),
    ("progressDeadlineSeconds", "600"),
    ("terminationGracePeriodSeconds", "30"),
    ("enableServiceLinks", "true"),
    ("started", "true"),
    ("recursiveReadOnly", "Disabled"),
];

/// Parts of a container's status that repeat its spec.
const STATUS_REPEATS: [&str; 4] = ["volumeMounts", "resources", "user", "image"];
/// What stands for "never" in a container that did not start.
const NEVER: &str = "1970-01-01T00:00:00Z";

pub fn lines(kind: &Kind, object: &Value, now: DateTime<Utc>) -> Vec<String> {
    let mut out = vec![head(kind, object, now)];
    let metadata = &object["metadata"];
    for part in ["labels", "annotations"] {
        if let Some(entries) = metadata[part].as_object().filter(|entries| !entries.is_empty()) {
            let each = entries.iter().map(|(key, value)| format!("{key}={}", scalar(value)));
            out.push(format!("{part}: {}", each.collect::<Vec<_>>().join(", ")));
        }
    }
    for part in ["deletionTimestamp", "finalizers"] {
        if !is_empty(&metadata[part]) {
            out.push(format!("{part}: {}", inline(&metadata[part]).unwrap_or_default()));
        }
    }
    let cleaned = cleaned(object, "", 0).unwrap_or(Value::Null);
    for (key, value) in cleaned.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "metadata" | "kind") {
            render(&mut out, 0, key, value);
        }
    }
    out
}

/// `Pod shop/x, made 2026-11-21T06:59:18Z (8m47s ago), owner ReplicaSet x`
fn head(kind: &Kind, object: &Value, now: DateTime<Utc>) -> String {
    let metadata = &object["metadata"];
    let text = |key: &str| metadata[key].as_str().unwrap_or_default();
    let place = if text("namespace").is_empty() { String::new() } else { format!("{}/", text("namespace")) };
    let mut head = format!("{} {place}{}", kind.name, text("name"));
    if let Ok(made) = text("creationTimestamp").parse::<DateTime<Utc>>() {
        head.push_str(&format!(
            ", made {} ({} ago)",
            text("creationTimestamp"),
            units::span((now - made).num_seconds())
        ));
    }
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        head.push_str(&format!(", owner {} {}", scalar(&owner["kind"]), scalar(&owner["name"])));
    }
    if let (Some(generation), Some(observed)) =
        (metadata["generation"].as_i64(), object["status"]["observedGeneration"].as_i64())
        && observed < generation
    {
        head.push_str(&format!(", generation {generation} of which the controller has seen {observed}"));
    }
    head
}

/// What is left of a value without noise and defaults; None when nothing is.
fn cleaned(value: &Value, key: &str, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return Some("(nested deeper)".into());
    }
    let kept = match value {
        Value::Object(map) => Value::Object(cleaned_map(map, key, depth)),
        Value::Array(list) if key == "images" && list.iter().any(|image| image["sizeBytes"].is_number()) => {
            format!("{} on the node, not shown", list.len()).into()
        }
        Value::Array(list) => {
            let shown = list.iter().filter(|entry| !is_filled_in(key, entry));
            shown.filter_map(|entry| cleaned(entry, key, depth + 1)).collect()
        }
        other => other.clone(),
    };
    (!is_empty(&kept)).then_some(kept)
}

fn cleaned_map(map: &Map<String, Value>, key: &str, depth: usize) -> Map<String, Value> {
    // What people wrote is shown as they wrote it.
    let is_content =
        matches!(key, "data" | "binaryData" | "labels" | "matchLabels" | "annotations" | "nodeSelector");
    let is_status =
        matches!(key, "containerStatuses" | "initContainerStatuses" | "ephemeralContainerStatuses");
    let is_noise = |name: &str, value: &Value| {
        let text = scalar(value);
        NOISE.contains(&name)
            || text == NEVER
            || DEFAULTS.iter().any(|(field, default)| *field == name && *default == text)
            || is_status && STATUS_REPEATS.contains(&name)
            // Of a pod; of an init container it makes a sidecar.
            || name == "restartPolicy" && text == "Always" && map.contains_key("containers")
            || name == "ownerReferences"
    };
    map.iter()
        .filter(|(name, value)| is_content || !is_noise(name, value))
        .filter_map(|(name, value)| Some((name.clone(), cleaned(value, name, depth + 1)?)))
        .collect()
}

/// Entries of lists that admission adds to every pod.
fn is_filled_in(list: &str, entry: &Value) -> bool {
    match list {
        "volumes" | "volumeMounts" => {
            entry["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"))
        }
        "tolerations" => {
            let key = entry["key"].as_str().unwrap_or_default();
            entry["tolerationSeconds"] == 300
                && matches!(key, "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable")
        }
        _ => false,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn render(out: &mut Vec<String>, indent: usize, key: &str, value: &Value) {
    let pad = " ".repeat(indent);
    match value {
        Value::String(text) if text.trim_end().contains('\n') => block(out, indent, key, text),
        Value::Object(map) => match inline(value) {
            Some(line) => out.push(format!("{pad}{key}: {line}")),
            None => {
                out.push(format!("{pad}{key}:"));
                in_order(map).for_each(|(key, value)| render(out, indent + 2, key, value));
            }
        },
        Value::Array(list) => match inline(value).filter(|_| !matches!(key, "conditions" | "env")) {
            Some(line) => out.push(format!("{pad}{key}: {line}")),
            None => {
                out.push(format!("{pad}{key}:"));
                list.iter().take(MAX_ENTRIES).for_each(|entry| render_entry(out, indent, key, entry));
                if list.len() > MAX_ENTRIES {
                    out.push(format!("{pad}- … {} more", list.len() - MAX_ENTRIES));
                }
            }
        },
        other => out.push(format!("{pad}{key}: {}", scalar(other))),
    }
}

fn render_entry(out: &mut Vec<String>, indent: usize, list: &str, entry: &Value) {
    let pad = " ".repeat(indent);
    let special = match list {
        "conditions" => condition(entry),
        "env" => variable(entry),
        _ => None,
    };
    if let Some(line) = special.or_else(|| inline(entry)) {
        out.push(format!("{pad}- {line}"));
        return;
    }
    match entry {
        Value::Object(map) => {
            let first = out.len();
            in_order(map).for_each(|(key, value)| render(out, indent + 2, key, value));
            if let Some(line) = out.get_mut(first) {
                *line = format!("{pad}- {}", line.trim_start());
            }
        }
        other => out.push(format!("{pad}- {}", scalar(other))),
    }
}

/// A text of several lines, cut like a file that is too long for the screen.
fn block(out: &mut Vec<String>, indent: usize, key: &str, text: &str) {
    let pad = " ".repeat(indent);
    out.push(format!("{pad}{key}: |"));
    let lines: Vec<&str> = text.trim_end().lines().collect();
    out.extend(lines.iter().take(MAX_TEXT_LINES).map(|line| format!("{pad}  {}", cut(line, MAX_TEXT_CHARS))));
    if lines.len() > MAX_TEXT_LINES {
        out.push(format!("{pad}  … {} more lines", lines.len() - MAX_TEXT_LINES));
    }
}

/// `Ready=False since 2026-11-21T06:59:18Z ContainersNotReady: containers with unready status: [catalog]`
fn condition(entry: &Value) -> Option<String> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let mut line = format!("{}={}", entry["type"].as_str()?, entry["status"].as_str()?);
    for (word, key) in [(" since ", "lastTransitionTime"), (" ", "reason"), (": ", "message")] {
        if !text(key).is_empty() {
            line.push_str(&format!("{word}{}", scalar(&entry[key])));
        }
    }
    Some(line)
}

/// `MODE=slow`, `URL from Secret db-credentials key url`
fn variable(entry: &Value) -> Option<String> {
    let name = entry["name"].as_str()?;
    let Some(source) = entry["valueFrom"].as_object() else {
        return Some(format!("{name}={}", scalar(&entry["value"])));
    };
    for (key, kind) in [("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")] {
        if let Some(reference) = source.get(key) {
            let optional = if reference["optional"] == true { " (optional)" } else { "" };
            let (object, key) = (scalar(&reference["name"]), scalar(&reference["key"]));
            return Some(format!("{name} from {kind} {object} key {key}{optional}"));
        }
    }
    Some(format!("{name} from {}", inline(&entry["valueFrom"])?))
}

/// The value on one line, if it is short and has no text of several lines in it.
pub fn inline(value: &Value) -> Option<String> {
    let line = match value {
        Value::Object(map) => {
            let each: Option<Vec<String>> =
                in_order(map).map(|(key, value)| Some(format!("{key}: {}", inline(value)?))).collect();
            format!("{{{}}}", each?.join(", "))
        }
        Value::Array(list) => {
            let each: Option<Vec<String>> = list.iter().map(inline).collect();
            format!("[{}]", each?.join(", "))
        }
        Value::String(text) if text.contains('\n') => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (line.chars().count() <= INLINE_CHARS).then_some(line)
}

/// The name first, the rest in order of the alphabet.
fn in_order(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let named = map.iter().filter(|(key, _)| key.as_str() == "name");
    named.chain(map.iter().filter(|(key, _)| key.as_str() != "name"))
}

pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => cut(&text.trim_end().replace('\n', "\\n"), MAX_TEXT_CHARS).into_owned(),
        Value::Null => String::new(),
        other => cut(&other.to_string(), MAX_TEXT_CHARS).into_owned(),
    }
}
