//! Edits, new objects, scaling, nodes and events as candidates. Rows and objects come in, candidates go out. Pure but
//! for the ledger's lines; what a controller writes by itself counts as its own doing.

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::topology::Topology;
use super::{Read, candidate, named};
use crate::change::Candidate;
use crate::evidence::changes::Write;
use crate::evidence::focus::name_of;
use crate::evidence::ledger::Ledger;
use crate::evidence::{nodes as node_rows, objects, timeline, units};
use crate::facts::{EditFact, Facts, NodeFact};
use crate::report::{Changing, Near};

/// Objects changed this soon after they were made were still being made, in seconds.
const MADE_SECS: i64 = 5;
/// What was made this soon after the subject came with it, in minutes.
const INSTALL_MINUTES: i64 = 5;
/// A template's write and the revision that came of it are this far apart, in seconds.
const ROLLED_SECS: i64 = 60;
/// Characters of an event's message that are told.
const MAX_MESSAGE_CHARS: usize = 140;
/// How large a change is of which only the fact is known, and other sizes.
const SIZE_SOMETHING: f64 = 0.3;
const SIZE_SCALED: f64 = 0.5;
const SIZE_PRESSURE: f64 = 0.8;
const SIZE_READY_AGAIN: f64 = 0.6;
/// A node of which no pod is known to fail.
const FIT_NO_POD: f64 = 0.5;
/// Events of pods that tell of a change from outside.
const FROM_OUTSIDE: [&str; 4] = ["Preempted", "Evicted", "TaintManagerEviction", "NodeNotReady"];

/// Who changed what, by part; and writes of which no part is known.
pub(super) fn edits(facts: &Facts, read: &Read<'_>, topology: &Topology<'_>) -> Vec<Candidate> {
    let made = |row: &EditFact| metadata(read.objects, &row.kind, &row.name).and_then(made_at);
    let after_it_was_made = |row: &&EditFact| {
        let since = row.at.zip(made(row)).map(|(at, made)| (at - made).num_seconds());
        since.is_none_or(|since| since > MADE_SECS)
    };
    let parts = facts.edits.iter().filter(after_it_was_made).filter_map(|row| edit(row, facts, topology));
    let told = |one: &&Write| !timeline::is_told(one, &facts.rollouts);
    let writes = read.writes.iter().filter(told).filter_map(|one| {
        let near = topology.near(one.kind, &one.name)?;
        let object = named(one.kind, &read.objects.namespace, &one.name);
        let mut found = candidate(one.at, Changing::Config, near, object, one.what.clone());
        found.size = SIZE_SOMETHING;
        found.evidence.clone_from(&one.evidence);
        Some(found)
    });
    parts.chain(writes).collect()
}

fn edit(row: &EditFact, facts: &Facts, topology: &Topology<'_>) -> Option<Candidate> {
    let at = row.at?;
    let near = topology.near(&row.kind, &row.name)?;
    let rollout = facts.rollouts.iter().find(|one| one.kind == row.kind && one.name == row.name);
    let (mut kind, mut size) = (Changing::Config, 1.0);
    match row.part.as_str() {
        "template" => {
            let rolled = rollout.and_then(|one| one.new_created_at);
            if rolled.is_some_and(|rolled| (rolled - at).num_seconds().abs() <= ROLLED_SECS) {
                return None;
            }
            kind = Changing::Rollout;
        }
        "replicas" => {
            kind = Changing::Scaling;
            size = if rollout.is_some_and(|one| one.desired == 0) { 1.0 } else { SIZE_SCALED };
        }
        _ => {}
    }
    let value = match (row.value.as_str(), rollout) {
        ("", Some(one)) if row.part == "replicas" => format!(" (now {})", one.desired),
        ("", _) => String::new(),
        (value, _) => format!(" (now {value})"),
    };
    let of = if topology.is_plain(near) { String::new() } else { format!(" of {} {}", row.kind, row.name) };
    let by = if row.manager.is_empty() { "somebody" } else { row.manager.as_str() };
    let what = format!("{}{of} changed by {by}{value}", row.part);
    let mut found = candidate(at, kind, near, named(&row.kind, &row.namespace, &row.name), what);
    found.size = size;
    found.evidence.clone_from(&row.evidence);
    Some(found)
}

/// ConfigMaps and NetworkPolicies that are newer than what they are for.
pub(super) fn made(
    facts: &Facts,
    read: &Read<'_>,
    topology: &Topology<'_>,
    ledger: &mut Ledger,
) -> Vec<Candidate> {
    let workload = &read.focus.workload;
    let installed = metadata(read.objects, &workload.kind, &workload.name).and_then(made_at);
    let is_later =
        |at: DateTime<Utc>| installed.is_some_and(|own| at - own > TimeDelta::minutes(INSTALL_MINUTES));
    let mut found = Vec::new();
    for (name, map) in &read.objects.config_maps {
        let Some(at) = map.metadata.as_ref().and_then(made_at).filter(|at| is_later(*at)) else { continue };
        let Some(near) = topology.near("ConfigMap", name) else { continue };
        let object = named("ConfigMap", &read.objects.namespace, name);
        let what = format!("ConfigMap {name} was made");
        let page = ledger.open("kubernetes", &map.query, 0);
        let quote = ledger.line(page, &format!("{} {what}", at.format("%FT%TZ")));
        let mut one = candidate(at, Changing::Config, near, object, what);
        one.evidence = quote.evidence;
        found.push(one);
    }
    for row in &facts.policies {
        let at = facts.observed_at - TimeDelta::seconds(row.age_seconds.max(0));
        if row.age_seconds >= 0 && is_later(at) {
            let object = named("NetworkPolicy", &row.namespace, &row.name);
            let what = format!("NetworkPolicy {} was made", row.name);
            let mut one = candidate(at, Changing::Config, Near::Uses, object, what);
            one.evidence.clone_from(&row.evidence);
            found.push(one);
        }
    }
    found
}

/// Nodes that stopped being ready, came under pressure, or came back.
pub(super) fn nodes(facts: &Facts, read: &Read<'_>, topology: &Topology<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for row in &facts.nodes {
        let Some(node) = read.objects.nodes.items.iter().find(|node| name_of(&node.metadata) == row.name)
        else {
            continue;
        };
        let since = |kind: &str| {
            let condition = node_rows::condition(node, kind)?;
            condition.last_transition_time.as_ref().and_then(units::time)
        };
        let mut add = |at: Option<DateTime<Utc>>, what: String, size: f64| {
            if let (Some(at), Some((near, fit, why))) = (at, of_node(row, facts, topology)) {
                let mut one = candidate(at, Changing::Node, near, named("Node", "", &row.name), what);
                (one.size, one.fit, one.why) = (size, fit, why);
                one.evidence.clone_from(&row.evidence);
                found.push(one);
            }
        };
        if row.ready != "True" {
            let what = format!("Node {} stopped being ready ({})", row.name, row.ready_reason);
            add(since("Ready"), what, 1.0);
        } else {
            // A new node becomes ready once; one that comes back was away.
            let made = made_at(&node.metadata);
            let back = since("Ready")
                .zip(made)
                .filter(|(at, made)| *at - *made > TimeDelta::minutes(INSTALL_MINUTES));
            let what = format!("Node {} became ready again", row.name);
            add(back.map(|(at, _)| at), what, SIZE_READY_AGAIN);
        }
        for pressure in &row.pressures {
            let what = format!("Node {} came under {pressure}", row.name);
            add(since(pressure), what, SIZE_PRESSURE);
        }
    }
    found
}

/// How a node is related to what fails; None where nothing that fails is on it.
fn of_node(row: &NodeFact, facts: &Facts, topology: &Topology<'_>) -> Option<(Near, f64, String)> {
    let workload = &topology.focus.workload;
    if workload.kind == "Node" && workload.name == row.name {
        return Some((Near::Itself, 1.0, String::new()));
    }
    let bad = || facts.pods.iter().filter(|pod| !pod.healthy);
    let (all, there) = (bad().count(), bad().filter(|pod| pod.node == row.name).count());
    match (all, there) {
        (0, _) => {
            let runs = facts.pods.iter().any(|pod| pod.node == row.name);
            runs.then(|| (Near::Node, FIT_NO_POD, String::new()))
        }
        (_, 0) => None,
        #[expect(clippy::cast_precision_loss, reason = "a share of some pods")]
        _ => {
            let why = format!("{there} of {all} unhealthy pods are on this node");
            Some((Near::Node, there as f64 / all as f64, why))
        }
    }
}

/// Replicas that somebody or an autoscaler changed.
pub(super) fn scaled(facts: &Facts, topology: &Topology<'_>) -> Vec<Candidate> {
    let found = timeline::scaled(&facts.events).filter_map(|event| {
        let near = topology.near(&event.kind, &event.name)?;
        let what = format!("{} {}: {}", event.kind, event.name, short(&event.message));
        let object = named(&event.kind, &event.namespace, &event.name);
        let mut one = candidate(event.last_at?, Changing::Scaling, near, object, what);
        one.size = if to_zero(&event.message) { 1.0 } else { SIZE_SCALED };
        one.evidence.clone_from(&event.evidence);
        Some(one)
    });
    found.collect()
}

/// `Scaled down replica set x-1 from 3 to 0`
fn to_zero(message: &str) -> bool {
    message.split_once(" to ").is_some_and(|(_, rest)| rest.split(' ').next() == Some("0"))
}

/// What events tell of nodes, and of pods that something outside has ended.
pub(super) fn told_by_events(facts: &Facts, topology: &Topology<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for event in &facts.events {
        let placed = match event.kind.as_str() {
            "Node" => {
                let row = facts.nodes.iter().find(|row| row.name == event.name);
                row.and_then(|row| of_node(row, facts, topology))
            }
            "Pod" if FROM_OUTSIDE.contains(&event.reason.as_str()) => {
                topology.near(&event.kind, &event.name).map(|near| (near, 1.0, String::new()))
            }
            _ => None,
        };
        if let (Some((near, fit, why)), Some(at)) = (placed, event.first_at) {
            let what =
                format!("{} of {} {}: {}", event.reason, event.kind, event.name, short(&event.message));
            let mut one =
                candidate(at, Changing::Event, near, named(&event.kind, &event.namespace, &event.name), what);
            (one.fit, one.why) = (fit, why);
            one.size = if event.level == "Warning" { 1.0 } else { SIZE_SCALED };
            one.evidence.clone_from(&event.evidence);
            // Events about nodes are filed in a namespace that says nothing.
            if event.kind == "Node" {
                one.object = named("Node", "", &event.name);
            }
            found.push(one);
        }
    }
    found
}

fn short(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}

pub(super) fn made_at(metadata: &ObjectMeta) -> Option<DateTime<Utc>> {
    metadata.creation_timestamp.as_ref().and_then(units::time)
}

fn metadata<'o>(objects: &'o objects::Objects, kind: &str, name: &str) -> Option<&'o ObjectMeta> {
    let is = |metadata: &&ObjectMeta| name_of(metadata) == name;
    match kind {
        "Deployment" => objects.deployments.items.iter().map(|one| &one.metadata).find(is),
        "StatefulSet" => objects.stateful_sets.items.iter().map(|one| &one.metadata).find(is),
        "DaemonSet" => objects.daemon_sets.items.iter().map(|one| &one.metadata).find(is),
        "Service" => objects.services.items.iter().map(|one| &one.metadata).find(is),
        "HorizontalPodAutoscaler" => objects.hpas.items.iter().map(|one| &one.metadata).find(is),
        "ConfigMap" => objects.config_maps.get(name)?.metadata.as_ref(),
        _ => None,
    }
}
