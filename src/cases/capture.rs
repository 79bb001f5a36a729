//! A recording of one namespace as a case: the cluster is read as evidence reads it, redacted, and comes out
//! as files that `whodunit runbooks test` replays. Secrets are never asked for, values of ConfigMaps left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::redacted;
use crate::evidence::pods;
use crate::redact::redact;
use crate::report::{Report, Role};
use crate::source::kubernetes::kinds::{KINDS, Kind};
use crate::source::kubernetes::{Client, Error, ListQuery, LogQuery, Requested, Scope, Scoped};

/// Kinds without a namespace that facts read, whole.
const SHARED: [&str; 4] = ["Node", "StorageClass", "PriorityClass", "IngressClass"];
/// Namespace in which events about nodes lie.
const NODE_EVENTS_NAMESPACE: &str = "default";
/// Logs in one recording; failing containers come first.
const MAX_LOGS: usize = 100;
/// Lines of one log.
const LOG_LINES: i64 = 200;
/// Placeholders of other namespaces' pods on one node.
const MAX_PLACEHOLDERS: i64 = 250;
/// Where placeholders stand.
const ELSEWHERE: &str = "other-namespaces";

/// A recording, not yet written.
pub struct Captured {
    pub now: DateTime<Utc>,
    /// Below the case's folder.
    pub files: BTreeMap<PathBuf, String>,
    /// What could not be read, in words.
    pub gaps: Vec<String>,
}

/// Reads a namespace. What cannot be read is a gap, never an error.
pub async fn capture(client: &Client, namespace: &str) -> Captured {
    let scoped =
        client.scoped(Scope::Namespaces(vec![namespace.to_owned(), NODE_EVENTS_NAMESPACE.to_owned()]));
    let now = scoped.cluster_time().await;
    let mut captured = Captured { now, files: BTreeMap::new(), gaps: Vec::new() };
    let mut objects: Vec<Value> = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.namespaced || SHARED.contains(&kind.name)) {
        objects.extend(captured.list(&scoped, kind, namespace).await);
    }
    if namespace != NODE_EVENTS_NAMESPACE {
        for kind in KINDS.iter().filter(|kind| kind.name == "Event") {
            let events = captured.list(&scoped, kind, NODE_EVENTS_NAMESPACE).await;
            objects.extend(events.into_iter().filter(|event| event["involvedObject"]["kind"] == "Node"));
        }
    }
    let claimed: BTreeSet<String> = objects
        .iter()
        .filter(|object| object["kind"] == "PersistentVolumeClaim")
        .filter_map(|claim| claim["spec"]["volumeName"].as_str().map(str::to_owned))
        .collect();
    for kind in KINDS.iter().filter(|kind| matches!(kind.name, "PersistentVolume" | "Namespace")) {
        if kind.name == "Namespace" {
            match scoped.object(kind, namespace, namespace).await {
                Ok(answer) => objects.push(answer.value),
                Err(error) => captured.gaps.push(format!("namespace {namespace}: {error}")),
            }
        } else {
            let volumes = captured.list(&scoped, kind, namespace).await.into_iter();
            objects.extend(volumes.filter(|volume| {
                volume["metadata"]["name"].as_str().is_some_and(|name| claimed.contains(name))
            }));
        }
    }
    let pods: Vec<Pod> = objects
        .iter()
        .filter(|object| object["kind"] == "Pod")
        .filter_map(|object| serde_json::from_value(object.clone()).ok())
        .collect();
    captured.logs(&scoped, namespace, &pods).await;
    objects.extend(captured.elsewhere(&scoped, &pods).await);
    match client.readyz().await {
        Ok(answer) => captured.put("readyz.txt", redact(&answer.value).into_owned()),
        Err(error) => captured.gaps.push(format!("readiness: {error}")),
    }
    let documents: Vec<String> =
        objects.into_iter().map(|value| document(&redacted::object(value))).collect();
    captured.put("objects.yaml", documents.join("---\n"));
    captured
}

impl Captured {
    fn put(&mut self, path: &str, text: String) {
        self.files.insert(PathBuf::from(path), text);
    }

    /// Items of a list carry neither kind nor version.
    async fn list(&mut self, scoped: &Scoped<'_>, kind: &Kind, namespace: &str) -> Vec<Value> {
        let page = match scoped.objects(kind, namespace, &ListQuery::default()).await {
            Ok(answer) => answer.value,
            // The cluster does not have this kind.
            Err(Error::NotFound) => return Vec::new(),
            Err(error) => {
                self.gaps.push(format!("{}: {error}", kind.plural));
                return Vec::new();
            }
        };
        if page.more {
            self.gaps.push(format!("{}: more than the {} that were read", kind.plural, page.items.len()));
        }
        let mut items = page.items;
        for item in &mut items {
            item["apiVersion"] = kind.api_version.into();
            item["kind"] = kind.name.into();
        }
        items
    }

    async fn logs(&mut self, scoped: &Scoped<'_>, namespace: &str, pods: &[Pod]) {
        let mut wanted: Vec<(bool, String, String, i32)> = Vec::new();
        for pod in pods {
            let Some(status) = &pod.status else { continue };
            let name = pod.metadata.name.clone().unwrap_or_default();
            let lists = [&status.container_statuses, &status.init_container_statuses];
            for container in lists.into_iter().flatten().flatten() {
                let key = (container.ready, name.clone(), container.name.clone(), container.restart_count);
                wanted.push(key);
            }
        }
        wanted.sort();
        if wanted.len() > MAX_LOGS {
            self.gaps.push(format!("logs: of {} containers, those of {MAX_LOGS} were read", wanted.len()));
        }
        for (_, pod, container, restarts) in wanted.into_iter().take(MAX_LOGS) {
            for (previous, which) in [(false, "current"), (true, "previous")] {
                if previous && restarts == 0 {
                    continue;
                }
                let query = LogQuery::tail(container.clone(), previous, LOG_LINES);
                match scoped.log(namespace, &pod, &query).await {
                    Ok(answer) => {
                        let path = format!("logs/{namespace}/{pod}.{container}.{which}.log");
                        self.put(&path, with_times(&redact(&answer.value)));
                    }
                    // It never ran, or its last instance is gone: there is no log.
                    Err(Error::BadRequest(_)) => {}
                    Err(error) => self.gaps.push(format!("{which} log of {container} in {pod}: {error}")),
                }
            }
        }
    }

    /// What other namespaces' pods ask of each node, without saying whose they are: pods that wait for a node
    /// are judged by what is free.
    async fn elsewhere(&mut self, scoped: &Scoped<'_>, own: &[Pod]) -> Vec<Value> {
        let waits = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_none());
        if !own.iter().any(waits) {
            return Vec::new();
        }
        let mut sums = match scoped.requested_per_node(pods::requested).await {
            Ok(answer) => answer.value,
            Err(error) => {
                self.gaps.push(format!("requests per node: {error}"));
                return Vec::new();
            }
        };
        for pod in own {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            let (Some(node), false) = (node, matches!(phase, Some("Succeeded" | "Failed"))) else { continue };
            if let Some(sum) = sums.get_mut(node) {
                let one = pods::requested(pod);
                sum.cpu_millis -= one.cpu_millis;
                sum.memory_bytes -= one.memory_bytes;
                sum.pods -= 1;
                for (resource, millis) in one.other_millis {
                    *sum.other_millis.entry(resource).or_default() -= millis;
                }
                sum.host_ports.retain(|port| !one.host_ports.contains(port));
            }
        }
        sums.iter().flat_map(|(node, sum)| placeholders(node, sum)).collect()
    }

    /// Writes what was found as what must be found.
    pub fn describe(&mut self, namespace: &str, report: &Report, is_cause: impl Fn(&str) -> bool) {
        let text = |text: &str| Value::from(text).to_string();
        let at = self.now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let about = format!("Namespace {namespace} as it was at {at}.");
        let mut file = format!(
            "about: {}\norigin: recorded\nnow: {at}\nworkload: {}\n",
            text(&about),
            text(&format!("Namespace/{namespace}"))
        );
        let primary = report.findings.iter().filter(|finding| finding.role == Role::Primary);
        let found: Vec<String> = primary
            .filter(|finding| is_cause(&finding.signature))
            .map(|finding| {
                let object = text(&finding.object.short());
                format!("  - signature: {}\n    object: {object}\n", finding.signature)
            })
            .collect();
        if found.is_empty() {
            file.push_str("expect: []\n");
        } else {
            file.push_str("expect:\n");
            file.push_str(&found.concat());
        }
        file.push_str(&format!("outcome: {}\n", report.outcome.as_str()));
        self.put("case.yaml", file);
    }
}

/// A pod that holds the sum, and empty ones for the number.
fn placeholders(node: &str, sum: &Requested) -> Vec<Value> {
    let one = |number: i64| {
        let (mut requests, mut ports) = (json!({}), Vec::new());
        if number == 0 {
            requests["cpu"] = format!("{}m", sum.cpu_millis.max(0)).into();
            requests["memory"] = sum.memory_bytes.max(0).to_string().into();
            for (resource, millis) in &sum.other_millis {
                requests[resource] = format!("{}m", millis.max(&0)).into();
            }
            ports = sum.host_ports.iter().filter_map(|port| host_port(port)).collect();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("{node}-{number}"), "namespace": ELSEWHERE},
            "spec": {"nodeName": node, "containers": [{"name": "any", "ports": ports, "resources": {"requests": requests}}]},
            "status": {"phase": "Running"},
        })
    };
    (0..sum.pods.clamp(0, MAX_PLACEHOLDERS)).map(one).collect()
}

/// `8080/TCP`, `10.0.0.1:8080/TCP`.
fn host_port(text: &str) -> Option<Value> {
    let (place, protocol) = text.rsplit_once('/')?;
    let (address, port) = place.rsplit_once(':').unwrap_or(("", place));
    let port: u16 = port.parse().ok()?;
    Some(json!({"containerPort": port, "hostPort": port, "hostIP": address, "protocol": protocol}))
}

/// Lines without a time are the rest of one that had: a replacement may have swallowed a line's beginning.
fn with_times(log: &str) -> String {
    let mut last = DateTime::UNIX_EPOCH.to_rfc3339();
    let mut out = String::with_capacity(log.len());
    for line in log.lines() {
        match line.split(' ').next().filter(|at| at.parse::<DateTime<Utc>>().is_ok()) {
            Some(at) => at.clone_into(&mut last),
            None => {
                out.push_str(&last);
                out.push(' ');
            }
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// YAML where it reads back as the same, else JSON, which is YAML as well.
fn document(value: &Value) -> String {
    let yaml = serde_saphyr::to_string(value).unwrap_or_default();
    let same = serde_saphyr::from_str::<Value>(&yaml).is_ok_and(|back| back == *value);
    if same && !yaml.contains("\n---") { yaml } else { format!("{value:#}\n") }
}
