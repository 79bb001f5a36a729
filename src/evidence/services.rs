//! Services of the workload: whom they select, how many addresses stand behind them, and Services that
//! select nobody but were probably meant for it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::focus::{Focus, name_of, selects};
use super::ledger::Ledger;
use super::nodes::condition;
use super::objects::Objects;
use super::ports::Reached;
use super::references::edits;
use super::units;
use crate::facts::ServiceFact;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Edits by which a selector's value still looks like a label's.
const NEAR_EDITS: usize = 2;
/// Nodes without an endpoint that a row names.
const MAX_NODES: usize = 20;

pub fn rows(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<ServiceFact> {
    if !objects.services.known {
        return Vec::new();
    }
    let mut found: Vec<ServiceFact> = objects
        .services
        .items
        .iter()
        .map(|service| row(objects, focus, service))
        .filter(|row| row.selects_workload || row.meant_for_workload || focus.concerns("Service", &row.name))
        .collect();
    if found.is_empty() {
        return found;
    }
    let page = ledger.open("kubernetes", &objects.services.query, objects.services.milliseconds);
    for row in &mut found {
        let quote = ledger.line(page, &line(row));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    found
}

/// Ready and not-ready addresses behind a Service; None when slices could not be read.
pub fn endpoints(objects: &Objects, service: &str) -> Option<(i64, i64)> {
    if !objects.slices.known {
        return None;
    }
    let mut ready = BTreeSet::new();
    let mut unready = BTreeSet::new();
    for slice in &objects.slices.items {
        let labels = slice.metadata.labels.as_ref();
        if labels.and_then(|labels| labels.get(SERVICE_NAME)).map(String::as_str) != Some(service) {
            continue;
        }
        for endpoint in slice.endpoints.iter().flatten() {
            // The API means ready by an absent condition.
            let is_ready = endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true);
            // IPv4 and IPv6 slices list the same pod twice.
            let target = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
            let key = target.unwrap_or_else(|| endpoint.addresses.join(","));
            if is_ready {
                ready.insert(key)
            } else {
                unready.insert(key)
            };
        }
    }
    Some((count(ready.len()), count(unready.difference(&ready).count())))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn row(objects: &Objects, focus: &Focus<'_>, service: &Service) -> ServiceFact {
    let spec = service.spec.as_ref();
    let none = BTreeMap::new();
    let selector = spec.and_then(|spec| spec.selector.as_ref()).unwrap_or(&none);
    let selected: Vec<&Pod> = objects
        .pods
        .items
        .iter()
        .filter(|pod| selects(selector, pod.metadata.labels.as_ref().unwrap_or(&none)))
        .collect();
    let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let (ready, unready) = endpoints(objects, name_of(&service.metadata)).unwrap_or((-1, -1));
    let is_template = selects(selector, &focus.labels);
    // Pods behind an Ingress are of several templates.
    let routed = focus.workload.kind == "Ingress" && focus.concerns("Service", name_of(&service.metadata));
    let selects_workload = is_template || routed && !selected.is_empty();
    let reached = Reached::new(ports, &selected, is_template.then_some(focus.spec).flatten());
    let missing = reached.missing();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let service_type = text(spec.and_then(|spec| spec.type_.as_ref()));
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let has_address = balancer.is_some_and(|one| one.ingress.as_ref().is_some_and(|all| !all.is_empty()));
    let created_at = service.metadata.creation_timestamp.as_ref().and_then(units::time);
    let mut row = ServiceFact {
        name: name_of(&service.metadata).to_owned(),
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        selector: selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
        headless: spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None"),
        ready_endpoints: ready,
        unready_endpoints: unready,
        selected_pods: count(selected.len()),
        selects_workload,
        ports: ports.iter().map(port_text).collect::<Vec<_>>().join(", "),
        missing_port_name: missing.as_ref().is_some_and(|port| port.parse::<i32>().is_err()),
        missing_target_port: missing.unwrap_or_default(),
        answering_port: reached.answering(),
        protocol_mismatch: reached.protocol_mismatch(),
        load_balancer_pending: service_type == "LoadBalancer" && !has_address,
        service_type,
        external_name: text(spec.and_then(|spec| spec.external_name.as_ref())),
        external_missing: external_missing(objects, spec.and_then(|spec| spec.external_name.as_deref())),
        local_traffic: local_traffic(spec).to_owned(),
        age_seconds: created_at.map_or(0, |at| (objects.now - at).num_seconds()),
        ..ServiceFact::default()
    };
    if !row.local_traffic.is_empty() && ready > 0 {
        row.nodes_without_endpoint = without_endpoint(objects, &row.name);
    }
    let orphan = !selector.is_empty() && selected.is_empty() && objects.pods.known;
    // A Service is judged by itself when it is the subject; else it has to come close to the workload.
    if orphan && !focus.labels.is_empty() && !selects_workload && !routed {
        row.meant_for_workload = row.name == focus.workload.name || comes_close(selector, &focus.labels);
        if row.meant_for_workload {
            row.mismatch = mismatch(selector, &focus.labels);
        }
    }
    row
}

/// All keys of the selector are labels of the pods, or nearly; some value is only misspelt.
fn comes_close(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().any(|(key, value)| labels.get(key).is_some_and(|own| own == value || near(value, own)))
        && selector
            .iter()
            .filter(|(key, value)| labels.get(*key) != Some(value))
            .all(|(key, value)| labels.get(key).is_none_or(|own| near(value, own) || selector.len() > 1))
}

fn near(a: &str, b: &str) -> bool {
    edits(a, b) <= NEAR_EDITS.min(a.len() / 3)
}

fn mismatch(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> String {
    let differs = selector.iter().filter(|(key, value)| labels.get(*key) != Some(value));
    let each = differs.map(|(key, value)| match labels.get(key) {
        Some(own) => format!("{key}: the Service wants \"{value}\", the pods have \"{own}\""),
        None => format!("{key}: the Service wants \"{value}\", the pods have no such label"),
    });
    each.collect::<Vec<_>>().join("; ")
}

fn port_text(port: &ServicePort) -> String {
    let target = match &port.target_port {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(name)) => name.clone(),
        None => port.port.to_string(),
    };
    format!("{}→{target}/{}", port.port, port.protocol.as_deref().unwrap_or("TCP"))
}

/// A Service `x.NAMESPACE.svc…` that is not there.
fn external_missing(objects: &Objects, name: Option<&str>) -> bool {
    let Some(name) = name.filter(|_| objects.services.known) else { return false };
    let mut parts = name.trim_end_matches('.').split('.');
    let (service, namespace, kind) = (parts.next(), parts.next(), parts.next());
    kind == Some("svc")
        && namespace == Some(objects.namespace.as_str())
        && !objects.services.items.iter().any(|known| Some(name_of(&known.metadata)) == service)
}

fn local_traffic(spec: Option<&ServiceSpec>) -> &'static str {
    let is = |policy: Option<&String>| policy.is_some_and(|policy| policy == "Local");
    match spec {
        Some(spec) if is(spec.internal_traffic_policy.as_ref()) => "internal",
        Some(spec) if is(spec.external_traffic_policy.as_ref()) => "external",
        _ => "",
    }
}

fn without_endpoint(objects: &Objects, service: &str) -> Vec<String> {
    let own = objects.slices.items.iter().filter(|slice| {
        let labels = slice.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(SERVICE_NAME)).map(String::as_str) == Some(service)
    });
    let ready = own.flat_map(|slice| slice.endpoints.iter().flatten()).filter(|endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    let with: BTreeSet<&str> = ready.filter_map(|endpoint| endpoint.node_name.as_deref()).collect();
    // Slices made by hand name no nodes.
    if with.is_empty() {
        return Vec::new();
    }
    let is_ready = |node: &&Node| condition(node, "Ready").is_some_and(|ready| ready.status == "True");
    let names = objects.nodes.items.iter().filter(is_ready).map(|node| name_of(&node.metadata));
    names.filter(|name| !with.contains(name)).take(MAX_NODES).map(str::to_owned).collect()
}

fn line(row: &ServiceFact) -> String {
    let mut line =
        format!("service {}: selector {}, selects {} pods", row.name, row.selector, row.selected_pods);
    if row.ready_endpoints >= 0 {
        line.push_str(&format!(
            ", {} ready and {} not-ready addresses",
            row.ready_endpoints, row.unready_endpoints
        ));
    }
    line.push_str(&format!(", ports {}", row.ports));
    if !row.missing_target_port.is_empty() {
        line.push_str(&format!(", no container declares port {}", row.missing_target_port));
    }
    if !row.answering_port.is_empty() {
        line.push_str(&format!(", readiness probes are answered on {}", row.answering_port));
    }
    if !row.protocol_mismatch.is_empty() {
        line.push_str(&format!(", {}", row.protocol_mismatch));
    }
    if !row.external_name.is_empty() {
        let gone = if row.external_missing { " which does not exist" } else { "" };
        line.push_str(&format!(", external name {}{gone}", row.external_name));
    }
    if row.load_balancer_pending {
        line.push_str(", LoadBalancer without an address");
    }
    if !row.nodes_without_endpoint.is_empty() {
        let nodes = row.nodes_without_endpoint.join(", ");
        line.push_str(&format!(", {} traffic stays local, no ready pod on {nodes}", row.local_traffic));
    }
    if !row.mismatch.is_empty() {
        line.push_str(&format!("; {}", row.mismatch));
    }
    line
}
