//! Workloads of a namespace whose pods the same admission webhook refuses: refusals in events and ReplicaSets
//! come in, the webhook that several of them name goes out. Pure; a workload that has all its pods by now is
//! refused nothing.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Named;
use crate::evidence::blast_radius::MAX_WORKLOADS;
use crate::evidence::control::called_webhook;
use crate::evidence::focus::{Focus, Name, name_of, top_owner};
use crate::evidence::ledger::clean;
use crate::evidence::objects::Objects;
use crate::evidence::{events, pods};
use crate::source::kubernetes::controller;

/// A refusal that was last said longer ago tells nothing, in seconds.
const FRESH_SECS: i64 = 900;
/// Share of a namespace's workloads in trouble that one webhook must explain, in percent.
const SHARE: usize = 80;

/// A workload that lacks pods, and the webhook that its refusal names, if one does.
struct Refused {
    owner: Name,
    webhook: Option<String>,
    missing: usize,
}

pub(super) fn factor(objects: &Objects, focus: &Focus<'_>) -> Option<Named> {
    if !objects.pods.known {
        return None;
    }
    let all = refused(objects);
    let is_own = |one: &Refused| {
        focus.everything || (one.owner.0 == focus.workload.kind && one.owner.1 == focus.workload.name)
    };
    let mut by_webhook: BTreeMap<&str, Vec<&Refused>> = BTreeMap::new();
    for one in &all {
        if let Some(webhook) = one.webhook.as_deref() {
            by_webhook.entry(webhook).or_default().push(one);
        }
    }
    let joins = |held: &Vec<&Refused>| held.len() >= 2 && held.iter().any(|one| is_own(one));
    let (webhook, held) =
        by_webhook.into_iter().filter(|(_, held)| joins(held)).max_by_key(|(_, held)| held.len())?;
    let unhealthy = objects.pods.items.iter().filter(|pod| pods::is_unhealthy_now(objects, pod));
    let mut troubled: BTreeSet<Name> = unhealthy.map(|pod| top_owner(objects, pod)).collect();
    troubled.extend(all.iter().map(|one| one.owner.clone()));
    if focus.everything && held.len() * 100 < troubled.len() * SHARE {
        return None;
    }
    let named = |one: &&Refused| format!("{} {}/{}", one.owner.0, objects.namespace, one.owner.1);
    Some(Named {
        words: format!(
            "admission webhook {webhook} ({} of {} workloads in trouble)",
            held.len(),
            troubled.len()
        ),
        workloads: held.iter().take(MAX_WORKLOADS).map(named).collect(),
        pods: held.iter().map(|one| one.missing).sum(),
    })
}

/// Workloads to whose controllers the API server said no, not long ago, and that still lack the pods.
fn refused(objects: &Objects) -> Vec<Refused> {
    let mut found: BTreeMap<Name, Refused> = BTreeMap::new();
    for set in &objects.replica_sets.items {
        let status = set.status.as_ref();
        let missing = set.spec.replicas.unwrap_or(1) - status.map_or(0, |status| status.replicas);
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let failure = conditions.iter().find(|one| {
            one.type_.as_deref() == Some("ReplicaFailure") && one.status.as_deref() == Some("True")
        });
        let (Some(failure), true) = (failure, missing > 0) else { continue };
        let said = failure.message.as_deref().unwrap_or_default();
        add(&mut found, owner(&set.metadata, "ReplicaSet"), said, missing);
    }
    for event in &objects.events.items {
        let kind = event.involved_object.kind.as_deref().unwrap_or_default();
        // A ReplicaSet's condition says the same, and whether it still holds.
        if event.reason.as_deref() != Some("FailedCreate") || kind == "ReplicaSet" || !holds(objects, event) {
            continue;
        }
        let name = event.involved_object.name.clone().unwrap_or_default();
        let job = objects.jobs.items.iter().find(|job| kind == "Job" && name_of(&job.metadata) == name);
        let own = job.map_or_else(|| (kind.to_owned(), name), |job| owner(&job.metadata, "Job"));
        add(&mut found, own, event.message.as_deref().unwrap_or_default(), 1);
    }
    found.into_values().collect()
}

fn add(found: &mut BTreeMap<Name, Refused>, owner: Name, said: &str, missing: i32) {
    let missing = usize::try_from(missing).unwrap_or(0);
    let one = found.entry(owner.clone()).or_insert(Refused { owner, webhook: None, missing: 0 });
    one.missing = one.missing.max(missing);
    one.webhook = webhook(said).map(clean).or(one.webhook.take());
}

/// The webhook that could not be called or that said no.
fn webhook(said: &str) -> Option<&str> {
    let denied = || {
        let (_, rest) = said.split_once("admission webhook \"")?;
        rest.split_once("\" denied the request")
    };
    called_webhook(said).or_else(denied).map(|(name, _)| name)
}

fn owner(metadata: &ObjectMeta, kind: &str) -> Name {
    let own = || (kind.to_owned(), name_of(metadata).to_owned());
    controller(metadata).map_or_else(own, |owner| (owner.kind, owner.name))
}

/// Said not long ago, and no pod of that controller has been made since.
fn holds(objects: &Objects, event: &Event) -> bool {
    let Some(last) = events::row(event, objects.now).last_at else { return false };
    let object = &event.involved_object;
    let made_since = |pod: &Pod| {
        controller(&pod.metadata).is_some_and(|owner| {
            object.kind.as_ref() == Some(&owner.kind) && object.name.as_ref() == Some(&owner.name)
        }) && pods::created_at(pod).is_some_and(|at| at >= last)
    };
    (objects.now - last).num_seconds() < FRESH_SECS && !objects.pods.items.iter().any(made_since)
}
