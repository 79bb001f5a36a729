//! What a pod requests against what is free on a node: CPU, memory, devices, the cap on pods and host ports.
//! Pure; without the sums of requests only what could never fit is told.

use k8s_openapi::api::core::v1::Node;

use super::Failure;
use crate::evidence::focus::name_of;
use crate::evidence::objects::Objects;
use crate::evidence::units;
use crate::facts::PlacementFact;
use crate::source::kubernetes::Requested;

pub fn failures(objects: &Objects, wanted: &Requested, node: &Node) -> Vec<Failure> {
    // A node whose kubelet has not reported yet says nothing about its size.
    let Some(allocatable) = node.status.as_ref().and_then(|status| status.allocatable.as_ref()) else {
        return Vec::new();
    };
    let has = |resource: &str| units::millis(units::quantity(Some(allocatable), resource));
    let none = Requested::default();
    let sums = objects.requested.as_ref().map(|(sums, _)| sums.get(name_of(&node.metadata)).unwrap_or(&none));
    let memory_millis = wanted.memory_bytes.saturating_mul(1000);
    let mut wants = vec![("cpu", "cpu", wanted.cpu_millis), ("memory", "memory", memory_millis)];
    wants.extend(wanted.other_millis.iter().map(|(name, millis)| ("resource", name.as_str(), *millis)));
    wants.push(("pod-limit", "pods", 1000));
    let mut all = Vec::new();
    for (constraint, resource, wants) in wants.into_iter().filter(|(_, _, wants)| *wants > 0) {
        let used = sums.map_or(0, |sums| match constraint {
            "cpu" => sums.cpu_millis,
            "memory" => sums.memory_bytes.saturating_mul(1000),
            "pod-limit" => sums.pods.saturating_mul(1000),
            _ => sums.other_millis.get(resource).copied().unwrap_or(0),
        });
        let (has, free) = (has(resource), has(resource) - used);
        if wants > free {
            let detail = if constraint == "resource" { resource } else { "" };
            let never_fits = wants > has;
            all.push(Failure { free: Some(free.max(0)), never_fits, ..Failure::new(constraint, detail) });
        }
    }
    let taken = sums.into_iter().flat_map(|sums| &sums.host_ports);
    let clash = wanted.host_ports.iter().find(|port| taken.clone().any(|taken| clashes(port, taken)));
    all.extend(clash.map(|port| Failure::new("host-port", port)));
    all
}

/// `8080/TCP` stands for every address, `10.0.0.1:8080/TCP` for one.
fn clashes(one: &str, other: &str) -> bool {
    let split = |text: &'_ str| text.rsplit_once(':').map(|(ip, port)| (ip.to_owned(), port.to_owned()));
    let (one, other) = (
        split(one).unwrap_or((String::new(), one.to_owned())),
        split(other).unwrap_or((String::new(), other.to_owned())),
    );
    one.1 == other.1 && (one.0.is_empty() || other.0.is_empty() || one.0 == other.0)
}

/// Puts quantities into words: what the pod wants, and the most that is free.
pub fn describe(row: &mut PlacementFact, wanted: &Requested) {
    let Ok(free) = row.most_free.parse::<i64>() else { return };
    let (wants, free) = match row.constraint.as_str() {
        "cpu" => (cpu(wanted.cpu_millis), cpu(free)),
        "memory" => (bytes(wanted.memory_bytes), bytes(free / 1000)),
        "pod-limit" => ("1 pod".to_owned(), (free / 1000).to_string()),
        _ => {
            let wants = wanted.other_millis.get(&row.detail).copied().unwrap_or(0) / 1000;
            let in_bytes = row.detail == "ephemeral-storage" || row.detail.starts_with("hugepages-");
            let words = |number: i64| if in_bytes { bytes(number) } else { number.to_string() };
            (words(wants), words(free / 1000))
        }
    };
    (row.wants, row.most_free) = (wants, free);
}

fn cpu(millis: i64) -> String {
    if millis % 1000 == 0 { (millis / 1000).to_string() } else { format!("{millis}m") }
}

fn bytes(bytes: i64) -> String {
    const MEBI: i64 = 1024 * 1024;
    if bytes % (1024 * MEBI) == 0 && bytes > 0 {
        format!("{}Gi", bytes / (1024 * MEBI))
    } else if bytes >= MEBI {
        format!("{}Mi", bytes / MEBI)
    } else {
        bytes.to_string()
    }
}
