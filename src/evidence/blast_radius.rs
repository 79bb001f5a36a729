//! How far the trouble reaches: the lowest level that explains the workload's unhealthy pods, widened only
//! by a factor that pods of other workloads share. That neighbours fail as well is no common cause. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::focus::{Focus, Name, name_of, top_owner};
use super::objects::Objects;
use super::{nodes, pods};
use crate::facts::RolloutFact;
use crate::report::{Affected, PodCount, Radius};

/// Share of a node's pods that must be unhealthy for the node to be the level, in percent.
const NODE_SHARE: usize = 80;
/// Most workloads that are listed.
const MAX_WORKLOADS: usize = 20;

pub fn affected(objects: &Objects, focus: &Focus<'_>) -> Affected {
    let unhealthy: Vec<&Pod> =
        objects.pods.items.iter().filter(|pod| !pods::is_healthy(objects, pod)).collect();
    let own: BTreeSet<&str> = focus.pods.iter().map(|pod| name_of(&pod.metadata)).collect();
    let own_bad: Vec<&Pod> =
        unhealthy.iter().copied().filter(|pod| own.contains(name_of(&pod.metadata))).collect();
    let mut affected = Affected {
        radius: own_radius(objects, focus, own_bad.len()),
        workloads: vec![focus.workload.object().short()],
        pods: PodCount { unhealthy: clamp(own_bad.len()), total: clamp(focus.pods_total) },
        shared_factor: None,
    };
    if focus.everything || focus.workload.kind == "Node" {
        affected.workloads = workloads(objects, &own_bad);
    }
    let shared =
        shared_node(objects, &unhealthy, &own_bad).or_else(|| shared_words(objects, &unhealthy, &own_bad));
    if let Some((radius, factor, pods)) = shared.filter(|_| !focus.everything) {
        affected.radius = radius;
        affected.shared_factor = Some(factor);
        affected.workloads = workloads(objects, &pods);
        affected.pods.unhealthy = clamp(pods.len());
        affected.pods.total = affected.pods.total.max(clamp(pods.len()));
    }
    if affected.shared_factor.is_none() {
        affected.shared_factor = shared_class(objects, focus);
    }
    affected
}

/// Pods that should be there and were never made (a quota, an admission webhook) are unhealthy as well.
pub fn count_missing(affected: &mut Affected, rollouts: &[RolloutFact], focus: &Focus<'_>) {
    let own = rollouts.iter().find(|row| row.kind == focus.workload.kind && row.name == focus.workload.name);
    let desired = own.map_or(0, |row| u32::try_from(row.desired).unwrap_or(0));
    let missing = desired.saturating_sub(affected.pods.total);
    if missing > 0 {
        affected.pods.unhealthy += missing;
        affected.pods.total += missing;
        if matches!(affected.radius, Radius::None | Radius::Pod) {
            affected.radius = Radius::Workload;
        }
    }
}

/// Several claims wait for the same storage class that does not exist.
fn shared_class(objects: &Objects, focus: &Focus<'_>) -> Option<String> {
    if !objects.storage_classes.known {
        return None;
    }
    let class_of = |claim: &PersistentVolumeClaim| {
        let class = claim.spec.as_ref()?.storage_class_name.clone()?;
        let exists = objects.storage_classes.items.iter().any(|known| name_of(&known.metadata) == class);
        (!exists).then_some(class)
    };
    let claims = &objects.claims.items;
    let own = claims.iter().filter(|claim| focus.concerns("PersistentVolumeClaim", name_of(&claim.metadata)));
    let class = own.filter_map(class_of).next()?;
    let waiting = claims.iter().filter(|claim| class_of(claim).as_ref() == Some(&class)).count();
    (waiting >= 2).then(|| format!("storage class {class} is missing ({waiting} claims)"))
}

/// One line for the ledger: how the whole namespace does.
pub fn namespace_line(objects: &Objects) -> String {
    let unhealthy: Vec<&Pod> =
        objects.pods.items.iter().filter(|pod| !pods::is_healthy(objects, pod)).collect();
    let owners: BTreeSet<Name> = unhealthy.iter().map(|pod| top_owner(objects, pod)).collect();
    format!(
        "namespace {}: {} of {} pods unhealthy, in {} workloads",
        objects.namespace,
        unhealthy.len(),
        objects.pods.items.len(),
        owners.len()
    )
}

fn own_radius(objects: &Objects, focus: &Focus<'_>, unhealthy: usize) -> Radius {
    match focus.workload.kind.as_str() {
        // A scrape target or a part of the cluster: only a failing control plane reaches everything.
        "Cluster" => return if control_plane_fails(objects) { Radius::Cluster } else { Radius::None },
        "Node" => return Radius::Node,
        _ => {}
    }
    match unhealthy {
        0 => Radius::None,
        _ if control_plane_fails(objects) => Radius::Cluster,
        _ if focus.everything => Radius::Namespace,
        1 if focus.pods_total > 1 || focus.workload.kind == "Pod" => Radius::Pod,
        _ => Radius::Workload,
    }
}

fn control_plane_fails(objects: &Objects) -> bool {
    let nodes = &objects.nodes.items;
    let bad = nodes.iter().filter(|node| nodes::is_bad(node)).count();
    let checks = objects.readyz.as_ref().is_some_and(|(text, _)| text.contains("[-]"));
    checks || nodes.len() > 1 && bad * 2 >= nodes.len()
}

type Shared<'a> = (Radius, String, Vec<&'a Pod>);

/// All own unhealthy pods sit on one of several nodes, other workloads fail there too, and either most of
/// that node's pods do or the node itself is bad.
fn shared_node<'a>(objects: &Objects, unhealthy: &[&'a Pod], own: &[&'a Pod]) -> Option<Shared<'a>> {
    if objects.nodes.items.len() < 2 {
        return None;
    }
    let node = node_of(own.first()?)?;
    if !own.iter().all(|pod| node_of(pod) == Some(node)) {
        return None;
    }
    let there: Vec<&Pod> = unhealthy.iter().copied().filter(|pod| node_of(pod) == Some(node)).collect();
    let owners: BTreeSet<Name> = there.iter().map(|pod| top_owner(objects, pod)).collect();
    let all = objects.pods.items.iter().filter(|pod| node_of(pod) == Some(node)).count();
    let bad = objects.nodes.items.iter().any(|n| name_of(&n.metadata) == node && nodes::is_bad(n));
    let most = there.len() * 100 >= all * NODE_SHARE;
    // A cluster whose pods mostly sit on one node says nothing about that node.
    let elsewhere = objects.pods.items.iter().any(|pod| node_of(pod).is_some_and(|other| other != node));
    (owners.len() >= 2 && elsewhere && (most || bad))
        .then(|| (Radius::Node, format!("node {node} ({} of {all} pods)", there.len()), there))
}

/// Pods of two or more workloads wait with the very same words: a missing object, an image, a registry.
fn shared_words<'a>(objects: &Objects, unhealthy: &[&'a Pod], own: &[&'a Pod]) -> Option<Shared<'a>> {
    let mut by_words: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in unhealthy {
        for words in waiting_words(pod) {
            by_words.entry(words).or_default().push(pod);
        }
    }
    let own_words: BTreeSet<String> = own.iter().flat_map(|pod| waiting_words(pod)).collect();
    by_words.into_iter().filter(|(words, _)| own_words.contains(words)).find_map(|(words, mut pods)| {
        pods.dedup_by_key(|pod| name_of(&pod.metadata).to_owned());
        let owners: BTreeSet<Name> = pods.iter().map(|pod| top_owner(objects, pod)).collect();
        (owners.len() >= 2).then(|| {
            (
                Radius::Namespace,
                format!("{words} ({} of {} unhealthy pods)", pods.len(), unhealthy.len()),
                pods,
            )
        })
    })
}

/// Words that name an object: `secret "x" not found`, `configmap "x" not found`, a registry's host.
fn waiting_words(pod: &Pod) -> Vec<String> {
    let messages = pods::statuses(pod).filter_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        Some((waiting.reason.clone().unwrap_or_default(), waiting.message.clone()?))
    });
    let words = messages.filter_map(|(reason, message)| match reason.as_str() {
        "CreateContainerConfigError" => Some(super::ledger::clean(&message)),
        // `… lookup HOST on …`: the same registry cannot be resolved.
        "ImagePullBackOff" | "ErrImagePull" => {
            let (_, rest) = message.split_once("lookup ")?;
            let host = rest.split(' ').next()?;
            Some(format!("registry {} cannot be resolved", host.trim_end_matches(':')))
        }
        _ => None,
    });
    words.collect()
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn workloads(objects: &Objects, pods: &[&Pod]) -> Vec<String> {
    let mut named: BTreeSet<String> = BTreeSet::new();
    for pod in pods {
        let (kind, name) = top_owner(objects, pod);
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        named.insert(format!("{kind} {namespace}/{name}"));
    }
    named.into_iter().take(MAX_WORKLOADS).collect()
}

fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
