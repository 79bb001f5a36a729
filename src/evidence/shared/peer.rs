//! Workloads of a namespace that fail because of the same peer: what failing containers say about a Service or
//! a host comes in, the peer that several workloads miss goes out. Pure; a workload whose log was not read
//! counts only where its pods name a Service that is known to be missing or empty.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, ContainerState, Pod};

use super::Named;
use crate::evidence::blast_radius::MAX_WORKLOADS;
use crate::evidence::focus::{Focus, name_of, selects, top_owner};
use crate::evidence::objects::Objects;
use crate::evidence::pods;
use crate::facts::{DependencyFact, Facts};

/// Share of a namespace's unhealthy pods that the peer must explain, in percent.
const SHARE: usize = 80;
/// Reasons for which a container fails before it could miss anybody, or for its own size.
const OTHER_REASONS: [&str; 9] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
    "OOMKilled",
];

pub(super) fn factor(objects: &Objects, focus: &Focus<'_>, facts: &Facts) -> Option<Named> {
    let mut by_peer: BTreeMap<String, Vec<&DependencyFact>> = BTreeMap::new();
    for row in &facts.dependencies {
        by_peer.entry(peer_of(row)).or_default().push(row);
    }
    by_peer.remove("");
    let unhealthy: Vec<&Pod> =
        objects.pods.items.iter().filter(|pod| pods::is_unhealthy_now(objects, pod)).collect();
    let joined = by_peer.iter().filter_map(|(peer, rows)| of_peer(objects, focus, &unhealthy, (peer, rows)));
    joined.max_by_key(|named| named.pods)
}

/// The Service, or else the host; "" for what means the pod itself or nobody in particular.
fn peer_of(row: &DependencyFact) -> String {
    let host = row.host.trim_end_matches('.').to_lowercase();
    let itself = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    match (row.service.is_empty(), row.service_exists.as_str()) {
        _ if itself || host == "localhost" => String::new(),
        (false, _) => row.service.clone(),
        // A name of this namespace that no Service has: `db`, `db.shop`, `db.shop.svc`.
        (true, "no") => host.split('.').next().unwrap_or_default().to_owned(),
        (true, _) => host,
    }
}

fn of_peer(
    objects: &Objects,
    focus: &Focus<'_>,
    unhealthy: &[&Pod],
    (peer, rows): (&str, &[&DependencyFact]),
) -> Option<Named> {
    let says: BTreeSet<&str> = rows.iter().map(|row| row.pod.as_str()).collect();
    let missing = rows.iter().any(|row| row.service_exists == "no");
    let empty = rows.iter().any(|row| row.service_exists == "yes" && row.ready_endpoints == 0);
    let named = |pod: &Pod| (missing || empty) && needs(pod, peer) && may_miss(pod);
    let dependent: Vec<&&Pod> =
        unhealthy.iter().filter(|pod| says.contains(name_of(&pod.metadata)) || named(pod)).collect();
    let owners: BTreeSet<_> = dependent.iter().map(|pod| top_owner(objects, pod)).collect();
    if owners.len() < 2 {
        return None;
    }
    let behind = unhealthy.iter().filter(|pod| {
        empty && is_behind(objects, peer, pod) && !dependent.iter().any(|one| std::ptr::eq(*one, *pod))
    });
    let covered = dependent.len() + behind.clone().count();
    if focus.everything && covered * 100 < unhealthy.len() * SHARE {
        return None;
    }
    let what = match (missing, empty) {
        (true, _) => format!("Service {peer}, which does not exist"),
        (_, true) => format!("Service {peer}, which has no ready pods"),
        _ if rows.iter().any(|row| row.service_exists == "yes") => format!("Service {peer}"),
        _ => format!("host {peer}"),
    };
    let of = |pod: &&&Pod| {
        let (kind, name) = top_owner(objects, pod);
        format!("{kind} {}/{name}", objects.namespace)
    };
    let workloads: BTreeSet<String> = dependent.iter().copied().chain(behind).map(|pod| of(&pod)).collect();
    Some(Named {
        words: format!("{what} ({covered} of {} unhealthy pods)", unhealthy.len()),
        workloads: workloads.into_iter().take(MAX_WORKLOADS).collect(),
        pods: covered,
    })
}

/// A container's command, arguments or environment name the Service as a host.
fn needs(pod: &Pod, service: &str) -> bool {
    let names = |text: &String| {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'));
        words.into_iter().any(|word| word.split('.').next() == Some(service))
    };
    let all = |container: &Container| {
        let values = container.env.iter().flatten().filter_map(|one| one.value.as_ref());
        container.command.iter().flatten().chain(container.args.iter().flatten()).chain(values).any(names)
    };
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    spec.is_some_and(|spec| spec.containers.iter().chain(init).any(all))
}

/// It has a node, and nothing else is said to be the reason.
fn may_miss(pod: &Pod) -> bool {
    let scheduled = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let other = pods::statuses(pod).any(|status| {
        let states = [status.state.as_ref(), status.last_state.as_ref()];
        states.into_iter().flatten().filter_map(reason).any(|reason| OTHER_REASONS.contains(&reason))
    });
    scheduled && !other && pods::statuses(pod).next().is_some()
}

fn reason(state: &ContainerState) -> Option<&str> {
    let ended = state.terminated.as_ref().and_then(|end| end.reason.as_deref());
    state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref()).or(ended)
}

fn is_behind(objects: &Objects, service: &str, pod: &Pod) -> bool {
    let known = objects.services.items.iter().find(|known| name_of(&known.metadata) == service);
    let selector = known.and_then(|known| known.spec.as_ref()?.selector.as_ref());
    let labels = pod.metadata.labels.as_ref();
    selector.zip(labels).is_some_and(|(selector, labels)| selects(selector, labels))
}
