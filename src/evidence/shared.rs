//! What unhealthy pods of several workloads have in common: a node, a zone, the very words they wait with,
//! an image, a claim, a webhook that refuses them, a Service that none of them reaches. Pods come in, the
//! factor that joins them goes out with its coverage. Pure; that neighbours fail as well is no common factor.

mod peer;
mod refused;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod};

use super::focus::{Focus, Name, claims_of, name_of, top_owner};
use super::objects::Objects;
use super::{ledger, nodes, pods};
use crate::facts::Facts;
use crate::report::{Affected, Radius};

/// Share of a node's pods that must be unhealthy for the node to be the level, in percent.
const NODE_SHARE: usize = 80;
/// Share of what is unhealthy that a zone must hold, in percent.
const ZONE_SHARE: usize = 80;
const ZONE: &str = "topology.kubernetes.io/zone";

/// A factor that is known by name alone, and whom it holds up.
struct Named {
    words: String,
    workloads: BTreeSet<String>,
    /// Pods of theirs that are unhealthy or missing.
    pods: usize,
}

/// Widens what is affected by a factor that pods alone do not show: their logs, and refusals to make them.
pub fn widen(facts: &mut Facts, objects: &Objects, focus: &Focus<'_>) {
    if facts.affected.shared_factor.is_some() || focus.workload.kind == "Node" {
        return;
    }
    let Some(named) = refused::factor(objects, focus).or_else(|| peer::factor(objects, focus, facts)) else {
        return;
    };
    let affected: &mut Affected = &mut facts.affected;
    affected.shared_factor = Some(named.words);
    affected.radius = affected.radius.max(Radius::Namespace);
    // A namespace's list and counts stay its own.
    if !focus.everything {
        affected.workloads = named.workloads.into_iter().collect();
        affected.pods.unhealthy = affected.pods.unhealthy.max(u32::try_from(named.pods).unwrap_or(u32::MAX));
        affected.pods.total = affected.pods.total.max(affected.pods.unhealthy);
    }
}

/// A factor, and the unhealthy pods that share it.
pub struct Shared<'a> {
    pub radius: Radius,
    pub words: String,
    pub pods: Vec<&'a Pod>,
}

/// Everything unhealthy that may be looked at, in all namespaces that were read.
pub struct Trouble<'a> {
    pub objects: &'a Objects,
    pub unhealthy: Vec<&'a Pod>,
}

impl<'a> Trouble<'a> {
    pub fn new(objects: &'a Objects) -> Self {
        let all = objects.pods.items.iter().chain(&objects.elsewhere);
        Self { objects, unhealthy: all.filter(|pod| pods::is_unhealthy_now(objects, pod)).collect() }
    }

    /// The narrowest factor that joins these pods, which are unhealthy, with those of other workloads.
    pub fn factor(&self, own: &[&'a Pod]) -> Option<Shared<'a>> {
        self.node(own).or_else(|| self.words(own)).or_else(|| self.zone(own))
    }

    fn owners(&self, pods: &[&Pod]) -> BTreeSet<(String, Name)> {
        let namespace = |pod: &Pod| pod.metadata.namespace.clone().unwrap_or_default();
        pods.iter().map(|pod| (namespace(pod), top_owner(self.objects, pod))).collect()
    }

    fn all_pods(&self) -> impl Iterator<Item = &'a Pod> + use<'a> {
        self.objects.pods.items.iter().chain(&self.objects.elsewhere)
    }

    /// All own unhealthy pods sit on one of several nodes, other workloads fail there too, and either most of
    /// that node's pods do or the node itself is bad.
    fn node(&self, own: &[&'a Pod]) -> Option<Shared<'a>> {
        let known = &self.objects.nodes.items;
        if known.len() < 2 {
            return None;
        }
        let node = node_of(own.first()?)?;
        if !own.iter().all(|pod| node_of(pod) == Some(node)) {
            return None;
        }
        let on_it = |pod: &&Pod| node_of(pod) == Some(node);
        let there: Vec<&Pod> = self.unhealthy.iter().copied().filter(on_it).collect();
        let all = self.all_pods().filter(on_it).count();
        let bad = known.iter().any(|one| name_of(&one.metadata) == node && nodes::is_bad(one));
        let most = there.len() * 100 >= all * NODE_SHARE;
        // A cluster whose pods mostly sit on one node says nothing about that node.
        let elsewhere = self.all_pods().any(|pod| node_of(pod).is_some_and(|other| other != node));
        (self.owners(&there).len() >= 2 && elsewhere && (most || bad)).then(|| {
            let words = format!("node {node} ({} of {all} pods)", there.len());
            Shared { radius: Radius::Node, words, pods: there }
        })
    }

    /// Pods of two or more workloads wait with the very same words: a missing object, an image, a registry.
    fn words(&self, own: &[&'a Pod]) -> Option<Shared<'a>> {
        let mut by_words: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
        for pod in &self.unhealthy {
            for words in factors(self.objects, pod) {
                by_words.entry(words).or_default().push(pod);
            }
        }
        let own: BTreeSet<String> = own.iter().flat_map(|pod| factors(self.objects, pod)).collect();
        let shared =
            by_words.into_iter().filter(|(words, pods)| own.contains(words) && self.owners(pods).len() >= 2);
        let (words, pods) = shared.max_by_key(|(_, pods)| pods.len())?;
        let namespaces: BTreeSet<_> = pods.iter().map(|pod| &pod.metadata.namespace).collect();
        let radius = if namespaces.len() > 1 { Radius::Namespaces } else { Radius::Namespace };
        let words = format!("{words} ({} of {} unhealthy pods)", pods.len(), self.unhealthy.len());
        Some(Shared { radius, words, pods })
    }

    /// Nearly everything that is unhealthy sits in one of several zones, on more than one node and of more
    /// than one workload, while that zone has a node that is bad.
    fn zone(&self, own: &[&'a Pod]) -> Option<Shared<'a>> {
        let zone_of = |node: &Node| node.metadata.labels.as_ref()?.get(ZONE).cloned();
        let known = &self.objects.nodes.items;
        let zones: BTreeMap<&str, String> =
            known.iter().filter_map(|node| Some((name_of(&node.metadata), zone_of(node)?))).collect();
        let of = |pod: &Pod| zones.get(node_of(pod)?);
        let zone = of(own.first()?)?;
        let several = zones.values().any(|other| other != zone);
        let there: Vec<&Pod> = self.unhealthy.iter().copied().filter(|pod| of(pod) == Some(zone)).collect();
        let placed = self.unhealthy.iter().filter(|pod| of(pod).is_some()).count();
        let on: BTreeSet<_> = there.iter().map(|pod| node_of(pod)).collect();
        let bad = known.iter().any(|node| zone_of(node).as_ref() == Some(zone) && nodes::is_bad(node));
        let most = there.len() * 100 >= placed * ZONE_SHARE && own.iter().all(|pod| of(pod) == Some(zone));
        (several && bad && most && on.len() >= 2 && self.owners(&there).len() >= 2).then(|| {
            let words = format!("zone {zone} ({} of {placed} unhealthy pods)", there.len());
            let namespaces: BTreeSet<_> = there.iter().map(|pod| &pod.metadata.namespace).collect();
            let radius = if namespaces.len() > 1 { Radius::Namespaces } else { Radius::Namespace };
            Shared { radius, words, pods: there }
        })
    }
}

/// What a pod waits for, in words that are the same for all who wait for it.
fn factors(objects: &Objects, pod: &Pod) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = waiting_words(pod).into_iter().collect();
    let uid = pod.metadata.uid.as_deref();
    let own = objects.events.items.iter().filter(|event| {
        let object = &event.involved_object;
        object.name == pod.metadata.name
            && object.namespace == pod.metadata.namespace
            && (uid.is_none() || object.uid.is_none() || object.uid.as_deref() == uid)
    });
    for event in own.filter(|event| event.reason.as_deref() == Some("FailedMount")) {
        // `… for volume "config" : configmap "x" not found`: what is missing, not the volume's name.
        let message = event.message.as_deref().unwrap_or_default();
        let missing = message.rsplit(" : ").next().filter(|end| end.ends_with("not found"));
        found.extend(missing.filter(|_| message.contains(" : ")).map(ledger::clean));
    }
    for claim in claims_of(pod) {
        let known =
            objects.claims.items.iter().find(|one| {
                name_of(&one.metadata) == claim && one.metadata.namespace == pod.metadata.namespace
            });
        let phase = known.and_then(|one| one.status.as_ref()?.phase.as_deref());
        if phase.is_some_and(|phase| phase != "Bound") {
            found.insert(format!("claim {claim} is not bound"));
        }
    }
    found
}

/// Words that name an object: `secret "x" not found`, `configmap "x" not found`, a registry's host.
fn waiting_words(pod: &Pod) -> Vec<String> {
    let messages = pods::statuses(pod).filter_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        Some((
            status,
            waiting.reason.clone().unwrap_or_default(),
            waiting.message.clone().unwrap_or_default(),
        ))
    });
    let words = messages.filter_map(|(status, reason, message)| match reason.as_str() {
        "CreateContainerConfigError" if !message.is_empty() => Some(ledger::clean(&message)),
        // `… lookup HOST on …`: the same registry cannot be resolved.
        "ImagePullBackOff" | "ErrImagePull" => match message.split_once("lookup ") {
            Some((_, rest)) => {
                let host = rest.split(' ').next()?;
                Some(format!("registry {} cannot be resolved", host.trim_end_matches(':')))
            }
            None => Some(format!("image {} cannot be pulled", ledger::clean(&status.image))),
        },
        _ => None,
    });
    words.collect()
}

pub fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}
