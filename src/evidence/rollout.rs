//! The newest revision of each controller beside the one before it: how far it got, and what its template
//! changed. Deployments by their ReplicaSets, StatefulSets and DaemonSets by ControllerRevisions. Pure.

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::focus::{Focus, name_of};
use super::ledger::{Ledger, clean};
use super::objects::Objects;
use super::units::{self, clock};
use super::{pods, template};
use crate::facts::RolloutFact;
use crate::source::kubernetes::controller;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// One revision of a template.
pub struct Revision {
    pub name: String,
    pub number: i64,
    pub change_cause: String,
    pub created_at: Option<DateTime<Utc>>,
    pub ready: i64,
    pub desired: i64,
    /// Its rollout is known to have ended well.
    pub completed: bool,
    pub template: Value,
}

pub fn rows(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<RolloutFact> {
    let mut rows = Vec::new();
    let concerned = |kind: &str, metadata: &ObjectMeta| focus.concerns(kind, name_of(metadata));
    rows.extend(
        objects
            .deployments
            .items
            .iter()
            .filter(|d| concerned("Deployment", &d.metadata))
            .map(|d| (deployment(objects, d), &objects.deployments.query, objects.deployments.milliseconds)),
    );
    rows.extend(objects.stateful_sets.items.iter().filter(|s| concerned("StatefulSet", &s.metadata)).map(
        |s| (stateful_set(objects, s), &objects.stateful_sets.query, objects.stateful_sets.milliseconds),
    ));
    rows.extend(
        objects
            .daemon_sets
            .items
            .iter()
            .filter(|d| concerned("DaemonSet", &d.metadata))
            .map(|d| (daemon_set(objects, d), &objects.daemon_sets.query, objects.daemon_sets.milliseconds)),
    );
    let mut pages = std::collections::BTreeMap::new();
    let write = |(mut row, query, milliseconds): (RolloutFact, &String, u64)| {
        let page =
            *pages.entry(query.clone()).or_insert_with(|| ledger.open("kubernetes", query, milliseconds));
        let quote = ledger.line(page, &line(&row, objects.now));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        row
    };
    rows.into_iter().map(write).collect()
}

/// When the newest ReplicaSet of a Deployment was made.
pub fn newest_at(objects: &Objects, deployment: &str) -> Option<DateTime<Utc>> {
    let own = objects.replica_sets.items.iter();
    let own = own.filter(|set| is_owned(&set.metadata, "Deployment", deployment));
    own.filter_map(|set| set.metadata.creation_timestamp.as_ref().and_then(units::time)).max()
}

pub fn deployment(objects: &Objects, deployment: &Deployment) -> RolloutFact {
    let status = deployment.status.as_ref();
    let count = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let condition = |kind: &str, state: &str| {
        conditions.iter().find(|c| c.type_.as_deref() == Some(kind) && c.status.as_deref() == Some(state))
    };
    let stuck = condition("Progressing", "False").and_then(|condition| condition.reason.clone());
    let failure = condition("ReplicaFailure", "True").map(|condition| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        clean(&format!("{}: {}", text(&condition.reason), text(&condition.message)))
    });
    let mut row = RolloutFact {
        kind: "Deployment".to_owned(),
        name: name_of(&deployment.metadata).to_owned(),
        namespace: deployment.metadata.namespace.clone().unwrap_or_default(),
        paused: deployment.spec.paused.unwrap_or(false),
        desired: i64::from(deployment.spec.replicas.unwrap_or(1)),
        updated: count(status.and_then(|status| status.updated_replicas)),
        ready: count(status.and_then(|status| status.ready_replicas)),
        available: count(status.and_then(|status| status.available_replicas)),
        unavailable: count(status.and_then(|status| status.unavailable_replicas)),
        stuck_reason: stuck.unwrap_or_default(),
        replica_failure: failure.unwrap_or_default(),
        generation_lag: lags(&deployment.metadata, status.and_then(|status| status.observed_generation)),
        ..RolloutFact::default()
    };
    let sets = objects.replica_sets.items.iter();
    let own = sets.filter(|set| is_owned(&set.metadata, "Deployment", &row.name)).map(set_revision).collect();
    take_revisions(&mut row, own);
    row
}

fn stateful_set(objects: &Objects, set: &StatefulSet) -> RolloutFact {
    let status = set.status.as_ref();
    let count = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let desired = i64::from(set.spec.replicas.unwrap_or(1));
    let ready = count(status.and_then(|status| status.ready_replicas));
    let mut row = RolloutFact {
        kind: "StatefulSet".to_owned(),
        name: name_of(&set.metadata).to_owned(),
        namespace: set.metadata.namespace.clone().unwrap_or_default(),
        desired,
        updated: count(status.and_then(|status| status.updated_replicas)),
        ready,
        available: count(status.and_then(|status| status.available_replicas)),
        unavailable: (desired - ready).max(0),
        generation_lag: lags(&set.metadata, status.and_then(|status| status.observed_generation)),
        ..RolloutFact::default()
    };
    let current = status.and_then(|status| status.current_revision.as_deref());
    take_controller_revisions(objects, &mut row, current);
    row
}

fn daemon_set(objects: &Objects, set: &DaemonSet) -> RolloutFact {
    let status = set.status.as_ref();
    let mut row = RolloutFact {
        kind: "DaemonSet".to_owned(),
        name: name_of(&set.metadata).to_owned(),
        namespace: set.metadata.namespace.clone().unwrap_or_default(),
        desired: status.map_or(0, |status| i64::from(status.desired_number_scheduled)),
        updated: i64::from(status.and_then(|status| status.updated_number_scheduled).unwrap_or(0)),
        ready: status.map_or(0, |status| i64::from(status.number_ready)),
        available: i64::from(status.and_then(|status| status.number_available).unwrap_or(0)),
        unavailable: i64::from(status.and_then(|status| status.number_unavailable).unwrap_or(0)),
        generation_lag: lags(&set.metadata, status.and_then(|status| status.observed_generation)),
        ..RolloutFact::default()
    };
    take_controller_revisions(objects, &mut row, None);
    row
}

/// A controller that has never looked has observed nothing.
fn lags(metadata: &ObjectMeta, observed: Option<i64>) -> bool {
    metadata.generation.is_some_and(|generation| observed.unwrap_or(0) < generation)
}

pub fn is_owned(metadata: &ObjectMeta, kind: &str, name: &str) -> bool {
    controller(metadata).is_some_and(|owner| owner.kind == kind && owner.name == name)
}

fn annotation(metadata: &ObjectMeta, key: &str) -> String {
    metadata.annotations.as_ref().and_then(|annotations| annotations.get(key)).cloned().unwrap_or_default()
}

pub fn set_revision(set: &ReplicaSet) -> Revision {
    Revision {
        name: name_of(&set.metadata).to_owned(),
        number: annotation(&set.metadata, REVISION).parse().unwrap_or(0),
        change_cause: clean(&annotation(&set.metadata, CHANGE_CAUSE)),
        created_at: set.metadata.creation_timestamp.as_ref().and_then(units::time),
        ready: i64::from(set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)),
        desired: i64::from(set.spec.replicas.unwrap_or(0)),
        completed: false,
        template: set.spec.template.as_ref().map_or(Value::Null, |template| json!(template)),
    }
}

/// ControllerRevisions do not count pods.
pub fn controller_revision(revision: &ControllerRevision) -> Revision {
    let template = revision.data.0.pointer("/spec/template").cloned();
    Revision {
        name: name_of(&revision.metadata).to_owned(),
        number: revision.revision.unwrap_or(0),
        change_cause: clean(&annotation(&revision.metadata, CHANGE_CAUSE)),
        created_at: revision.metadata.creation_timestamp.as_ref().and_then(units::time),
        ready: 0,
        desired: 0,
        completed: false,
        template: template.map(without_patch).unwrap_or(Value::Null),
    }
}

/// `current` is the revision that a StatefulSet says it has rolled out.
fn take_controller_revisions(objects: &Objects, row: &mut RolloutFact, current: Option<&str>) {
    let own = objects.revisions.items.iter().filter(|r| is_owned(&r.metadata, &row.kind, &row.name));
    let mut revisions: Vec<Revision> = own.map(controller_revision).collect();
    for revision in &mut revisions {
        if objects.pods.known {
            revision.ready = ready_of(objects, &row.kind, &row.name, &revision.name);
        }
        // The first one is the current one from the start; any other becomes it when all its pods are ready.
        revision.completed = revision.number > 1 && current == Some(revision.name.as_str());
    }
    take_revisions(row, revisions);
    row.new_desired = row.desired;
    // ControllerRevisions do not count pods, and the controller's status counts the ready ones of all revisions.
    row.new_ready = if objects.pods.known {
        ready_of(objects, &row.kind, &row.name, &row.new_set)
    } else {
        row.ready.min(row.updated)
    };
    row.old_ready = (row.ready - row.new_ready).max(0);
}

fn ready_of(objects: &Objects, kind: &str, name: &str, revision: &str) -> i64 {
    let own = objects.pods.items.iter().filter(|pod| {
        is_owned(&pod.metadata, kind, name)
            && pods::is_ready(pod)
            && pods::controller_revision(objects, pod).is_some_and(|own| name_of(&own.metadata) == revision)
    });
    i64::try_from(own.count()).unwrap_or(i64::MAX)
}

/// ControllerRevisions hold a patch; its marker is no part of the template.
fn without_patch(mut template: Value) -> Value {
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
    }
    template
}

fn take_revisions(row: &mut RolloutFact, mut revisions: Vec<Revision>) {
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    let Some(new) = revisions.first() else { return };
    row.revision = new.number.to_string();
    row.change_cause.clone_from(&new.change_cause);
    row.new_set.clone_from(&new.name);
    (row.new_ready, row.new_desired, row.new_created_at) = (new.ready, new.desired, new.created_at);
    // The way back leads to the last revision that is known to have served, not to one that was skipped.
    let older = || revisions.iter().skip(1);
    let good = older().find(|revision| revision.ready > 0 || revision.completed);
    row.good_revision = good.map(|revision| revision.number.to_string()).unwrap_or_default();
    let Some(old) = good.or_else(|| older().next()) else { return };
    row.previous_revision = old.number.to_string();
    row.previous_change_cause.clone_from(&old.change_cause);
    row.old_set.clone_from(&old.name);
    row.old_ready = old.ready;
    row.changes = template::changes(&old.template, &new.template);
    row.changes_text = template::text(&row.changes);
}

fn line(row: &RolloutFact, now: DateTime<Utc>) -> String {
    let cause = |text: &str| if text.is_empty() { String::new() } else { format!(" ({text})") };
    let mut line = format!(
        "{} {}: {} of {} ready, {} updated, {} available",
        row.kind, row.name, row.ready, row.desired, row.updated, row.available
    );
    if !row.revision.is_empty() {
        line.push_str(&format!("; revision {}{}", row.revision, cause(&row.change_cause)));
        if let Some(at) = row.new_created_at {
            line.push_str(&format!(" since {}", clock(at, now)));
        }
        line.push_str(&format!(" {} of {} ready", row.new_ready, row.new_desired));
    }
    if !row.previous_revision.is_empty() {
        let cause = cause(&row.previous_change_cause);
        line.push_str(&format!(", revision {}{cause} {} ready", row.previous_revision, row.old_ready));
    }
    for (name, text) in [("stuck", &row.stuck_reason), ("cannot create pods", &row.replica_failure)] {
        if !text.is_empty() {
            line.push_str(&format!("; {name}: {text}"));
        }
    }
    if row.paused {
        line.push_str("; paused");
    }
    if !row.changes_text.is_empty() {
        line.push_str(&format!("; changed {}", row.changes_text));
    }
    line
}
