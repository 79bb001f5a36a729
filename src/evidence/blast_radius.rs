//! How far the trouble reaches: the lowest level that explains the workload's unhealthy pods, widened only
//! by a factor that pods of other workloads share. That neighbours fail as well is no common cause. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::focus::{Focus, Name, name_of, top_owner};
use super::objects::Objects;
use super::shared::{Shared, Trouble};
use super::{nodes, pods};
use crate::facts::RolloutFact;
use crate::report::{Affected, PodCount, Radius};

/// Share of what is unhealthy that a level must explain, in percent.
const LEVEL_SHARE: usize = 80;
/// Failing checks of the API server that are named.
const MAX_CHECKS: usize = 5;
/// Most workloads that are listed.
pub const MAX_WORKLOADS: usize = 20;

pub fn affected(objects: &Objects, focus: &Focus<'_>) -> Affected {
    let trouble = Trouble::new(objects);
    let own: BTreeSet<(&Option<String>, &str)> =
        focus.pods.iter().map(|pod| (&pod.metadata.namespace, name_of(&pod.metadata))).collect();
    let is_own = |pod: &&Pod| own.contains(&(&pod.metadata.namespace, name_of(&pod.metadata)));
    // A workload's own pods count however long ago they failed: they are what is asked about.
    let all = objects.pods.items.iter().filter(|pod| !pods::is_healthy(objects, pod));
    let own_bad: Vec<&Pod> = if focus.everything {
        trouble.unhealthy.iter().copied().filter(|pod| objects.namespace_of(pod)).collect()
    } else {
        all.filter(is_own).collect()
    };
    let mut affected = Affected {
        radius: own_radius(objects, focus, &own_bad),
        workloads: vec![focus.workload.object().short()],
        pods: PodCount { unhealthy: clamp(own_bad.len()), total: clamp(focus.pods_total) },
        shared_factor: control_plane(objects)
            .filter(|_| !own_bad.is_empty() || focus.workload.kind == "Cluster"),
    };
    if focus.everything || focus.workload.kind == "Node" {
        affected.workloads = workloads(objects, &own_bad);
    }
    if affected.shared_factor.is_some() {
        return affected;
    }
    if let Some(shared) = joined(&trouble, focus, &own_bad) {
        affected.radius = shared.radius;
        affected.shared_factor = Some(shared.words);
        // A namespace's list stays its own; a workload's is widened to who shares its fate.
        if !focus.everything {
            affected.workloads = workloads(objects, &shared.pods);
            affected.pods.unhealthy = clamp(shared.pods.len());
            affected.pods.total = affected.pods.total.max(clamp(shared.pods.len()));
        }
    }
    if affected.shared_factor.is_none() && !focus.everything {
        affected.shared_factor = shared_class(objects, focus);
    }
    affected
}

/// A factor that joins the subject's unhealthy pods with others. Of a namespace it must explain nearly all
/// of them, or it is only one of several troubles.
fn joined<'a>(trouble: &Trouble<'a>, focus: &Focus<'_>, own: &[&'a Pod]) -> Option<Shared<'a>> {
    if !focus.everything {
        return trouble.factor(own).filter(|_| focus.workload.kind != "Node");
    }
    own.iter().filter_map(|pod| trouble.factor(&[*pod])).find(|shared| {
        let here = shared.pods.iter().filter(|pod| own.iter().any(|one| std::ptr::eq(*one, **pod))).count();
        here * 100 >= own.len() * LEVEL_SHARE
    })
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

fn own_radius(objects: &Objects, focus: &Focus<'_>, unhealthy: &[&Pod]) -> Radius {
    match focus.workload.kind.as_str() {
        // A scrape target or a part of the cluster: only a failing control plane reaches everything.
        "Cluster" => return if control_plane_fails(objects) { Radius::Cluster } else { Radius::None },
        "Node" => return Radius::Node,
        _ => {}
    }
    match unhealthy.len() {
        0 => Radius::None,
        _ if control_plane_fails(objects) => Radius::Cluster,
        _ if focus.everything => within_namespace(objects, unhealthy),
        1 if focus.pods_total > 1 || focus.workload.kind == "Pod" => Radius::Pod,
        _ => Radius::Workload,
    }
}

/// The lowest level that explains nearly all unhealthy pods of a namespace.
fn within_namespace(objects: &Objects, unhealthy: &[&Pod]) -> Radius {
    let mut by_owner: BTreeMap<Name, usize> = BTreeMap::new();
    for pod in unhealthy {
        *by_owner.entry(top_owner(objects, pod)).or_default() += 1;
    }
    let Some((owner, most)) = by_owner.into_iter().max_by_key(|(_, count)| *count) else {
        return Radius::None;
    };
    if most * 100 < unhealthy.len() * LEVEL_SHARE {
        return Radius::Namespace;
    }
    let all = objects.pods.items.iter().filter(|pod| top_owner(objects, pod) == owner).count();
    if most == 1 && (all > 1 || owner.0 == "Pod") { Radius::Pod } else { Radius::Workload }
}

fn control_plane_fails(objects: &Objects) -> bool {
    control_plane(objects).is_some()
}

/// What of the control plane fails: checks that the API server itself reports, or half of the nodes.
fn control_plane(objects: &Objects) -> Option<String> {
    let checks = objects.readyz.iter().flat_map(|(text, _)| text.lines());
    let failing: Vec<&str> = checks
        .filter_map(|line| line.trim().strip_prefix("[-]")?.split_whitespace().next())
        .take(MAX_CHECKS)
        .collect();
    if !failing.is_empty() {
        return Some(format!("the API server is not ready: {}", super::ledger::clean(&failing.join(", "))));
    }
    let nodes = &objects.nodes.items;
    let bad = nodes.iter().filter(|node| nodes::is_bad(node)).count();
    (nodes.len() > 1 && bad * 2 >= nodes.len())
        .then(|| format!("{bad} of {} nodes are not ready or under pressure", nodes.len()))
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
