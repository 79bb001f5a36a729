//! Volume claims of the workload: whether each exists, is bound, and has a storage class that exists. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::focus::{Focus, claims_of, name_of};
use super::ledger::Ledger;
use super::objects::Objects;
use super::units;
use crate::facts::{ClaimFact, EventFact};

pub fn rows(
    objects: &Objects,
    focus: &Focus<'_>,
    events: &[EventFact],
    ledger: &mut Ledger,
) -> Vec<ClaimFact> {
    if !objects.claims.known {
        return Vec::new();
    }
    let mut names: BTreeSet<String> =
        focus.pods.iter().flat_map(|pod| claims_of(pod)).map(str::to_owned).collect();
    if focus.workload.kind == "PersistentVolumeClaim" {
        names.insert(focus.workload.name.clone());
    }
    if focus.everything {
        names.extend(objects.claims.items.iter().map(|claim| name_of(&claim.metadata).to_owned()));
    }
    if names.is_empty() {
        return Vec::new();
    }
    let page = ledger.open("kubernetes", &objects.claims.query, objects.claims.milliseconds);
    names
        .iter()
        .map(|name| {
            let claim = objects.claims.items.iter().find(|claim| name_of(&claim.metadata) == name);
            let mut row = row(objects, name, claim);
            let mounts = focus.pods.iter().filter(|pod| claims_of(pod).any(|claim| claim == name));
            row.pods = mounts.map(|pod| name_of(&pod.metadata).to_owned()).collect();
            let about = events.iter().filter(|event| {
                event.kind == "PersistentVolumeClaim" && event.name == *name && event.level == "Warning"
            });
            if let Some(event) = about.max_by_key(|event| event.last_at) {
                row.event_reason.clone_from(&event.reason);
                row.event_message.clone_from(&event.message);
            }
            let quote = ledger.line(page, &line(&row));
            (row.evidence, row.quote) = (quote.evidence, quote.text);
            row
        })
        .collect()
}

fn row(objects: &Objects, name: &str, claim: Option<&PersistentVolumeClaim>) -> ClaimFact {
    let spec = claim.and_then(|claim| claim.spec.as_ref());
    let storage_class = spec.and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default();
    let classes = &objects.storage_classes;
    let class_exists = if storage_class.is_empty() || !classes.known {
        "unknown"
    } else if classes.items.iter().any(|class| name_of(&class.metadata) == storage_class) {
        "yes"
    } else {
        "no"
    };
    let requests = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    ClaimFact {
        name: name.to_owned(),
        namespace: objects.namespace.clone(),
        exists: claim.is_some(),
        phase: claim.and_then(|claim| claim.status.as_ref()?.phase.clone()).unwrap_or_default(),
        storage_class,
        class_exists: class_exists.to_owned(),
        requested: units::quantity(requests, "storage").to_owned(),
        access_modes: spec.and_then(|spec| spec.access_modes.clone()).unwrap_or_default(),
        volume: spec.and_then(|spec| spec.volume_name.clone()).unwrap_or_default(),
        ..ClaimFact::default()
    }
}

fn line(row: &ClaimFact) -> String {
    if !row.exists {
        return format!("claim {} does not exist in {}", row.name, row.namespace);
    }
    let mut line = format!(
        "claim {}: {}, {} {}, storage class \"{}\"",
        row.name,
        row.phase,
        row.requested,
        row.access_modes.join(","),
        row.storage_class
    );
    match row.class_exists.as_str() {
        "no" => line.push_str(" which does not exist"),
        "yes" => line.push_str(" which exists"),
        _ => {}
    }
    if !row.volume.is_empty() {
        line.push_str(&format!(", volume {}", row.volume));
    }
    line
}
