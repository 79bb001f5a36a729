//! Volume claims of the workload: whether each exists, is bound, and has a storage class that exists. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;

use super::focus::{Focus, claims_of, name_of};
use super::ledger::Ledger;
use super::objects::Objects;
use super::units;
use crate::facts::{ClaimFact, EventFact};

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// Set by the scheduler on a claim that waits for its first consumer.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

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

fn annotation<'a>(class: &'a StorageClass, key: &str) -> Option<&'a str> {
    class.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Without its pods, events and quote.
pub fn row(objects: &Objects, name: &str, claim: Option<&PersistentVolumeClaim>) -> ClaimFact {
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
    let class = classes.items.iter().find(|class| name_of(&class.metadata) == storage_class);
    let status = claim.and_then(|claim| claim.status.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let created_at = claim.and_then(|claim| claim.metadata.creation_timestamp.as_ref()).and_then(units::time);
    let requests = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    ClaimFact {
        name: name.to_owned(),
        namespace: objects.namespace.clone(),
        exists: claim.is_some(),
        phase: claim.and_then(|claim| claim.status.as_ref()?.phase.clone()).unwrap_or_default(),
        storage_class: storage_class.clone(),
        class_exists: class_exists.to_owned(),
        static_only: spec.is_some_and(|spec| spec.storage_class_name.as_deref() == Some("")),
        default_class: classes
            .items
            .iter()
            .find(|class| annotation(class, DEFAULT_CLASS).is_some_and(|value| value == "true"))
            .map(|class| name_of(&class.metadata).to_owned())
            .unwrap_or_default(),
        binding_mode: class.and_then(|class| class.volume_binding_mode.clone()).unwrap_or_default(),
        provisioner: class.map(|class| class.provisioner.clone()).unwrap_or_default(),
        node_selected: claim
            .and_then(|claim| claim.metadata.annotations.as_ref())
            .is_some_and(|annotations| annotations.contains_key(SELECTED_NODE)),
        terminating: claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some()),
        conditions: conditions
            .iter()
            .filter(|condition| condition.status == "True")
            .map(|condition| condition.type_.clone())
            .collect(),
        age_seconds: created_at.map_or(0, |at| (objects.now - at).num_seconds()),
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
    if !row.binding_mode.is_empty() && row.phase != "Bound" {
        line.push_str(&format!(", binding {}", row.binding_mode));
    }
    if !row.conditions.is_empty() {
        line.push_str(&format!(", {}", row.conditions.join(", ")));
    }
    if row.terminating {
        line.push_str(", terminating");
    }
    if !row.volume.is_empty() {
        line.push_str(&format!(", volume {}", row.volume));
    }
    line
}
