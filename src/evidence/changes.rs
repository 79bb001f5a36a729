//! Who changed what, and when, from objects that were read anyway: managedFields of controllers, Services
//! and ConfigMaps, and the conditions of nodes. Pure. A status that a controller keeps writing is no change.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use super::focus::{Focus, name_of};
use super::ledger::{Ledger, clean};
use super::objects::{Objects, Read};
use super::timeline::entry;
use super::{nodes, units};
use crate::facts::Facts;
use crate::report::{Moment, TimelineEntry};

/// Objects changed this soon after they were made were still being made, in seconds.
const MADE_SECS: i64 = 5;
/// Managers that only keep counts and revisions in the specs of what they control.
const CONTROLLERS: [&str; 3] = ["kube-controller-manager", "kubelet", "kube-scheduler"];

/// One entry for each concerned object that somebody changed after it was made.
pub fn of_objects(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<TimelineEntry> {
    let mut found = Vec::new();
    let mut look =
        |kind: &str, metadata: &ObjectMeta, query: &str, milliseconds: u64, kinds: (Moment, &str)| {
            if !focus.concerns(kind, name_of(metadata)) {
                return;
            }
            let Some((at, by)) = last_change(metadata) else { return };
            let what = format!("{kind} {} was changed by {by}{}", name_of(metadata), kinds.1);
            let page = ledger.open("kubernetes", query, milliseconds);
            let quote = ledger.line(page, &format!("{} {what}", at.format("%FT%TZ")));
            found.push(entry(at, kinds.0, what, &quote.evidence));
        };
    fn each<K>(
        read: &Read<K>,
        metadata: impl Fn(&K) -> &ObjectMeta,
        mut look: impl FnMut(&ObjectMeta, &str, u64),
    ) {
        for item in &read.items {
            look(metadata(item), &read.query, read.milliseconds);
        }
    }
    let spec = (Moment::Config, "");
    each(&objects.deployments, |one| &one.metadata, |m, q, t| look("Deployment", m, q, t, spec));
    each(&objects.stateful_sets, |one| &one.metadata, |m, q, t| look("StatefulSet", m, q, t, spec));
    each(&objects.daemon_sets, |one| &one.metadata, |m, q, t| look("DaemonSet", m, q, t, spec));
    each(&objects.services, |one| &one.metadata, |m, q, t| look("Service", m, q, t, spec));
    for (name, map) in objects.config_maps.iter().filter(|(_, map)| map.exists) {
        if let Some((at, by)) = map.changed.clone() {
            let what = format!("ConfigMap {name} was changed by {by}");
            let page = ledger.open("kubernetes", &map.query, 0);
            let quote = ledger.line(page, &format!("{} {what}", at.format("%FT%TZ")));
            found.push(entry(at, Moment::Config, what, &quote.evidence));
        }
    }
    found
}

/// The newest write to anything but the status, by anybody but a controller, after the object was made.
pub fn last_change(metadata: &ObjectMeta) -> Option<(DateTime<Utc>, String)> {
    let made = metadata.creation_timestamp.as_ref().and_then(units::time)?;
    let by_hand = |one: &&ManagedFieldsEntry| {
        let manager = one.manager.as_deref().unwrap_or_default();
        one.subresource.as_deref() != Some("status") && !CONTROLLERS.contains(&manager)
    };
    let writes = metadata.managed_fields.iter().flatten().filter(by_hand).filter_map(|one| {
        Some((one.time.as_ref().and_then(units::time)?, clean(one.manager.as_deref().unwrap_or("somebody"))))
    });
    writes.max().filter(|(at, _)| (*at - made).num_seconds() > MADE_SECS)
}

/// Nodes of the workload's pods that stopped being ready or came under pressure.
pub fn of_nodes(facts: &Facts, objects: &Objects) -> Vec<TimelineEntry> {
    let mut found = Vec::new();
    for row in &facts.nodes {
        let Some(node) = objects.nodes.items.iter().find(|node| name_of(&node.metadata) == row.name) else {
            continue;
        };
        let since = |kind: &str| {
            nodes::condition(node, kind)
                .and_then(|one| one.last_transition_time.as_ref())
                .and_then(units::time)
        };
        if let (false, Some(at)) = (row.ready == "True", since("Ready")) {
            let what = format!("Node {} stopped being ready ({})", row.name, row.ready_reason);
            found.push(entry(at, Moment::Node, what, &row.evidence));
        }
        for pressure in &row.pressures {
            if let Some(at) = since(pressure) {
                let what = format!("Node {} came under {pressure}", row.name);
                found.push(entry(at, Moment::Node, what, &row.evidence));
            }
        }
    }
    found
}
