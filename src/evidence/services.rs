//! Services of the workload: whom they select, how many addresses stand behind them, and Services that
//! select nobody but were probably meant for it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::focus::{Focus, name_of, selects};
use super::ledger::Ledger;
use super::objects::Objects;
use super::references::edits;
use crate::facts::ServiceFact;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Edits by which a selector's value still looks like a label's.
const NEAR_EDITS: usize = 2;

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
    let selects_workload = selects(selector, &focus.labels);
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
        missing_target_port: missing_target_port(ports, &selected),
        ..ServiceFact::default()
    };
    let orphan = !selector.is_empty() && selected.is_empty() && objects.pods.known;
    // A Service is judged by itself when it is the subject; else it has to come close to the workload.
    if orphan && !focus.labels.is_empty() && !selects_workload {
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

/// Only containers that declare ports can be wrong about one; a declaration is optional.
fn missing_target_port(ports: &[ServicePort], pods: &[&Pod]) -> String {
    let declared: Vec<(Option<&str>, i32)> = pods
        .iter()
        .filter_map(|pod| pod.spec.as_ref())
        .flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
        .flat_map(|container| container.ports.iter().flatten())
        .map(|port| (port.name.as_deref(), port.container_port))
        .collect();
    if pods.is_empty() {
        return String::new();
    }
    for port in ports {
        match &port.target_port {
            Some(IntOrString::String(name)) if !declared.iter().any(|(own, _)| *own == Some(name)) => {
                return name.clone();
            }
            Some(IntOrString::Int(number))
                if !declared.is_empty() && !declared.iter().any(|(_, own)| own == number) =>
            {
                return number.to_string();
            }
            _ => {}
        }
    }
    String::new()
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
    if !row.mismatch.is_empty() {
        line.push_str(&format!("; {}", row.mismatch));
    }
    line
}
