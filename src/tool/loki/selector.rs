//! LogQL from typed arguments: every label and filter is quoted here, the namespace is one that may be read,
//! and where only a workload's own pods may be read, the selector says so. Pure.

use std::collections::BTreeMap;

use super::super::{Bounds, Refusal};
use crate::source::http::quote;
use crate::workload::Workload;

/// Most labels, and most filters, of one query.
const MAX_PARTS: usize = 10;
/// Longest value or filter, in bytes.
const MAX_PART_BYTES: usize = 300;

/// Characters that Kubernetes makes suffixes of: no vowels, so that no words come out.
const SUFFIX: &str = "[bcdfghjklmnpqrstvwxz2456789]";

/// What is asked, beside the time.
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    pub namespace: Option<&'a str>,
    pub pod: Option<&'a str>,
    pub container: Option<&'a str>,
    pub labels: BTreeMap<&'a str, &'a str>,
    /// Lines have all of these.
    pub contains: Vec<&'a str>,
    /// Lines have none of these.
    pub without: Vec<&'a str>,
    pub regex: Option<&'a str>,
}

/// The selector and its filters: `{namespace="shop",pod="a"} |= "error"`.
pub fn logql(ask: &Ask<'_>, bounds: &Bounds) -> Result<String, Refusal> {
    let mut parts = vec![namespace(ask.namespace, bounds)?];
    parts.extend(pods(ask.pod, bounds)?);
    if let Some(container) = ask.container {
        parts.push(matcher("container", container)?);
    }
    for (label, value) in &ask.labels {
        parts.push(label_matcher(label, value)?);
    }
    let filters = filters(ask)?;
    let many = ask.labels.len().max(ask.contains.len() + ask.without.len());
    if many > MAX_PARTS {
        return Err(Refusal::Arguments(format!("{many} labels or filters, at most {MAX_PARTS} are read")));
    }
    parts.retain(|part| !part.is_empty());
    Ok(format!("{{{}}}{filters}", parts.join(",")))
}

/// The selector of everything in one's own namespaces, for names and values of labels.
pub fn own(bounds: &Bounds) -> Result<String, Refusal> {
    logql(&Ask::default(), bounds)
}

fn namespace(asked: Option<&str>, bounds: &Bounds) -> Result<String, Refusal> {
    let own = &bounds.namespaces;
    // A namespace comes from an alert's label: what is no name must not become a pattern.
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match asked {
        Some(name) if own.is_empty() || own.iter().any(|own| own == name) => matcher("namespace", name),
        Some(name) => {
            Err(Refusal::Scope(format!("namespace `{name}`; this investigation reads {}", own.join(", "))))
        }
        None if own.is_empty() => Ok("namespace=~\".+\"".to_owned()),
        None => match own.iter().find(|name| !is_name(name)) {
            Some(odd) => Err(Refusal::Scope(format!("`{odd}` is no namespace's name"))),
            None if own.len() == 1 => matcher("namespace", &own[0]),
            None => Ok(format!("namespace=~{}", quote(&own.join("|")))),
        },
    }
}

/// A pod by name, or by its beginning with a `*`; within the workload's own where only those may be read.
fn pods(asked: Option<&str>, bounds: &Bounds) -> Result<Vec<String>, Refusal> {
    let mut parts = Vec::new();
    if bounds.own_pods_only {
        let Some(pattern) = own_pods(&bounds.workload) else {
            return Err(Refusal::Scope(format!("{} has no pods of its own", bounds.workload.short())));
        };
        let fits =
            |pod: &str| regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|re| re.is_match(pod));
        if let Some(pod) = asked.filter(|pod| !pod.contains('*') && !fits(pod)) {
            return Err(Refusal::Scope(format!("pod `{pod}` is not one of {}", bounds.workload.short())));
        }
        parts.push(format!("pod=~{}", quote(&pattern)));
    }
    if let Some(pod) = asked {
        parts.push(match pod.strip_suffix('*') {
            Some(beginning) => {
                format!("pod=~{}", quote(&format!("{}.*", regex::escape(bounded(beginning)?))))
            }
            None => matcher("pod", pod)?,
        });
    }
    Ok(parts)
}

/// How Kubernetes names the pods of a workload; None for kinds that have none.
fn own_pods(workload: &Workload) -> Option<String> {
    let name = regex::escape(&workload.name);
    let suffix = match workload.kind.as_str() {
        "Pod" => String::new(),
        "StatefulSet" => "-[0-9]+".to_owned(),
        // A hash of the template; shorter ones are rarer than one in a thousand.
        "Deployment" => format!("-{SUFFIX}{{7,10}}-{SUFFIX}{{5}}"),
        "ReplicaSet" | "DaemonSet" | "ReplicationController" => format!("-{SUFFIX}{{5}}"),
        "Job" => format!("(?:-[0-9]+)?-{SUFFIX}{{5}}"),
        "CronJob" => format!("-[0-9]+(?:-[0-9]+)?-{SUFFIX}{{5}}"),
        _ => return None,
    };
    Some(format!("{name}{suffix}"))
}

fn label_matcher(label: &str, value: &str) -> Result<String, Refusal> {
    let is_label = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && label.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !is_label {
        return Err(Refusal::Arguments(format!("`{label}` is no name of a label")));
    }
    if matches!(label, "namespace" | "pod" | "container") {
        return Err(Refusal::Arguments(format!("`{label}` has an argument of its own")));
    }
    matcher(label, value)
}

fn matcher(label: &str, value: &str) -> Result<String, Refusal> {
    if value.is_empty() {
        return Err(Refusal::Arguments(format!("`{label}` is empty")));
    }
    Ok(format!("{label}={}", quote(bounded(value)?)))
}

fn filters(ask: &Ask<'_>) -> Result<String, Refusal> {
    let mut text = String::new();
    for (sign, words) in [("|=", &ask.contains), ("!=", &ask.without)] {
        for word in words.iter().filter(|word| !word.is_empty()) {
            text.push_str(&format!(" {sign} {}", quote(bounded(word)?)));
        }
    }
    if let Some(pattern) = ask.regex.filter(|pattern| !pattern.is_empty()) {
        regex::Regex::new(bounded(pattern)?)
            .map_err(|error| Refusal::Arguments(format!("regex: {error}")))?;
        text.push_str(&format!(" |~ {}", quote(pattern)));
    }
    Ok(text)
}

fn bounded(value: &str) -> Result<&str, Refusal> {
    if value.len() > MAX_PART_BYTES {
        return Err(Refusal::Arguments(format!(
            "a value of {} bytes, at most {MAX_PART_BYTES} are read",
            value.len()
        )));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
