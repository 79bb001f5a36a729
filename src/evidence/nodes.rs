//! Nodes that concern the workload: those its pods are on, all of them while a pod waits for one. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, NodeCondition};

use super::focus::{Focus, name_of};
use super::ledger::{Ledger, clean, clean_labels};
use super::objects::Objects;
use super::units;
use crate::facts::NodeFact;

/// Most rows in a large cluster.
const MAX_NODES: usize = 60;
const ZONE: &str = "topology.kubernetes.io/zone";

pub fn rows(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<NodeFact> {
    if !objects.nodes.known {
        return Vec::new();
    }
    let of_pod =
        |pod: &&k8s_openapi::api::core::v1::Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let own: BTreeSet<String> = focus.pods.iter().filter_map(of_pod).collect();
    let waiting = focus.pods.iter().any(|pod| of_pod(pod).is_none());
    let all = waiting || focus.workload.kind == "Cluster";
    let concerned = |node: &&Node| {
        let name = name_of(&node.metadata);
        all || own.contains(name) || focus.workload.kind == "Node" && focus.workload.name == name
    };
    let nodes: Vec<&Node> = objects.nodes.items.iter().filter(concerned).take(MAX_NODES).collect();
    if nodes.is_empty() {
        return Vec::new();
    }
    let page = ledger.open("kubernetes", &objects.nodes.query, objects.nodes.milliseconds);
    nodes
        .into_iter()
        .map(|node| {
            let mut row = row(objects, node);
            let quote = ledger.line(page, &line(&row));
            (row.evidence, row.quote) = (quote.evidence, quote.text);
            row
        })
        .collect()
}

pub fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_deref()?.iter().find(|condition| condition.type_ == kind)
}

/// Not Ready, or under a pressure.
pub fn is_bad(node: &Node) -> bool {
    condition(node, "Ready").is_none_or(|ready| ready.status != "True") || !pressures(node).is_empty()
}

fn pressures(node: &Node) -> Vec<String> {
    let kinds = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];
    let is_true = |kind: &&str| condition(node, kind).is_some_and(|condition| condition.status == "True");
    kinds.iter().filter(|kind| is_true(kind)).map(|kind| (*kind).to_owned()).collect()
}

fn row(objects: &Objects, node: &Node) -> NodeFact {
    let name = name_of(&node.metadata).to_owned();
    let ready = condition(node, "Ready");
    let spec = node.spec.as_ref();
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let labels = clean_labels(node.metadata.labels.as_ref());
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let requested = objects.requested.as_ref().map(|(sums, _)| sums.get(&name).cloned().unwrap_or_default());
    NodeFact {
        ready: ready.map_or("Unknown", |ready| ready.status.as_str()).to_owned(),
        ready_reason: ready.and_then(|ready| ready.reason.clone()).unwrap_or_default(),
        ready_message: clean(ready.and_then(|ready| ready.message.as_deref()).unwrap_or_default()),
        pressures: pressures(node),
        cordoned: spec.is_some_and(|spec| spec.unschedulable == Some(true)),
        taints: taints
            .iter()
            .map(|taint| {
                let value = taint.value.as_deref().unwrap_or_default();
                clean(&format!("{}={value}:{}", taint.key, taint.effect))
            })
            .collect(),
        zone: labels.get(ZONE).cloned().unwrap_or_default(),
        labels,
        allocatable_cpu_millis: units::millis(units::quantity(allocatable, "cpu")),
        allocatable_memory_bytes: units::units(units::quantity(allocatable, "memory")),
        allocatable_pods: units::units(units::quantity(allocatable, "pods")),
        requested_cpu_millis: requested.as_ref().map_or(-1, |sum| sum.cpu_millis),
        requested_memory_bytes: requested.as_ref().map_or(-1, |sum| sum.memory_bytes),
        pods: requested.as_ref().map_or(-1, |sum| sum.pods),
        name,
        evidence: String::new(),
        quote: String::new(),
    }
}

fn line(row: &NodeFact) -> String {
    let mut line = format!("node {}: Ready={} ({})", row.name, row.ready, row.ready_reason);
    if row.ready != "True" {
        line.push_str(&format!(": {}", row.ready_message));
    }
    line.push_str(&format!(
        ", allocatable {}m CPU, {} Mi memory, {} pods",
        row.allocatable_cpu_millis,
        row.allocatable_memory_bytes / (1024 * 1024),
        row.allocatable_pods
    ));
    if row.requested_cpu_millis >= 0 {
        line.push_str(&format!(
            ", requested {}m CPU, {} Mi memory by {} pods",
            row.requested_cpu_millis,
            row.requested_memory_bytes / (1024 * 1024),
            row.pods
        ));
    }
    if row.cordoned {
        line.push_str(", cordoned");
    }
    for (what, list) in [("pressures", &row.pressures), ("taints", &row.taints)] {
        if !list.is_empty() {
            line.push_str(&format!(", {what} {}", list.join(" ")));
        }
    }
    line
}
