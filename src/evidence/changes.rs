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

/// An object that somebody changed.
#[derive(Debug, Clone)]
pub struct Write {
    pub at: DateTime<Utc>,
    pub kind: &'static str,
    pub name: String,
    /// "Service x was changed by kubectl-edit"
    pub what: String,
    pub evidence: String,
}

/// One for each concerned object that somebody changed after it was made.
pub fn of_objects(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<Write> {
    let mut found = Vec::new();
    let mut write = |kind: &'static str, name: &str, (query, milliseconds): (&str, u64), (at, by)| {
        let at: DateTime<Utc> = at;
        let by: String = by;
        let what = format!("{kind} {name} was changed by {by}");
        let page = ledger.open("kubernetes", query, milliseconds);
        let quote = ledger.line(page, &format!("{} {what}", at.format("%FT%TZ")));
        found.push(Write { at, kind, name: name.to_owned(), what, evidence: quote.evidence });
    };
    let mut look = |kind: &'static str, metadata: &ObjectMeta, query: &str, milliseconds: u64| {
        if let Some(change) = last_change(metadata).filter(|_| focus.concerns(kind, name_of(metadata))) {
            write(kind, name_of(metadata), (query, milliseconds), change);
        }
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
    each(&objects.deployments, |one| &one.metadata, |m, q, t| look("Deployment", m, q, t));
    each(&objects.stateful_sets, |one| &one.metadata, |m, q, t| look("StatefulSet", m, q, t));
    each(&objects.daemon_sets, |one| &one.metadata, |m, q, t| look("DaemonSet", m, q, t));
    each(&objects.cron_jobs, |one| &one.metadata, |m, q, t| look("CronJob", m, q, t));
    each(&objects.services, |one| &one.metadata, |m, q, t| look("Service", m, q, t));
    for (name, map) in objects.config_maps.iter().filter(|(_, map)| map.exists) {
        if let Some(change) = map.changed.clone() {
            write("ConfigMap", name, (&map.query, 0), change);
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
