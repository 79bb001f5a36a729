//! `kubernetes_rollout`: the revisions that a controller still keeps, newest first, and what each changed
//! in the pod template against the one before. Values of variables are redacted with their names.

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, Words};
use super::reach::{Reach, refusal};
use super::table::columns;
use super::{condense, found};
use crate::evidence::rollout::{Revision, controller_revision, is_owned, set_revision};
use crate::evidence::{template, units};
use crate::source::kubernetes::ListQuery;
use crate::tool::{Found, Refusal};

/// Most revisions of one answer.
const MAX_REVISIONS: usize = 10;
/// Conditions that tell how a rollout goes.
const CONDITIONS: [&str; 3] = ["Progressing", "Available", "ReplicaFailure"];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(alias = "name", alias = "workload")]
    pub object: String,
    #[serde(default)]
    pub namespace: Option<String>,
}

pub async fn answer(reach: &Reach<'_>, arguments: Arguments) -> Result<Found, Refusal> {
    let words = Words {
        name: Some(&arguments.object),
        namespace: arguments.namespace.as_deref(),
        default_kind: "Deployment",
        ..Words::default()
    };
    let asked = Asked::understand(&words)?.named()?;
    if !matches!(asked.kind.name, "Deployment" | "StatefulSet" | "DaemonSet") {
        let words = format!("a {} has no revisions; name a deploy, sts or ds", asked.kind.name);
        return Err(Refusal::Arguments(words));
    }
    let namespace = reach.one_namespace(&asked)?;
    let object = reach.object(asked.kind, &namespace, &asked.name).await?.value;
    let (mut revisions, query) = revisions(reach, &asked, &namespace).await?;
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    let mut lines = state(reach, &asked, &object);
    if revisions.is_empty() {
        lines.push("no revisions are kept".to_owned());
    }
    let mut full = lines.clone();
    for (index, revision) in revisions.iter().enumerate() {
        let told = told(revision, revisions.get(index + 1), reach);
        if index < MAX_REVISIONS {
            lines.extend(told.clone());
        }
        full.extend(told);
    }
    if revisions.len() > MAX_REVISIONS {
        lines.push(format!("{} older revisions are left out", revisions.len() - MAX_REVISIONS));
    }
    Ok(found(query, lines.join("\n"), full.join("\n")))
}

async fn revisions(
    reach: &Reach<'_>,
    asked: &Asked,
    namespace: &str,
) -> Result<(Vec<Revision>, String), Refusal> {
    let all = ListQuery::default();
    if asked.kind.name == "Deployment" {
        let sets = reach.scoped.list::<ReplicaSet>(namespace, &all).await;
        let sets = sets.map_err(|error| refusal(&error, "replicasets"))?;
        let own = sets.value.items.iter().filter(|set| is_owned(&set.metadata, asked.kind.name, &asked.name));
        return Ok((own.map(set_revision).collect(), sets.query));
    }
    let kept = reach.scoped.list::<ControllerRevision>(namespace, &all).await;
    let kept = kept.map_err(|error| refusal(&error, "controllerrevisions"))?;
    let own = kept.value.items.iter().filter(|one| is_owned(&one.metadata, asked.kind.name, &asked.name));
    Ok((own.map(controller_revision).collect(), kept.query))
}

/// `Deployment shop/checkout: READY 2/2, UPDATED 1, …`, and how the rollout goes.
fn state(reach: &Reach<'_>, asked: &Asked, object: &Value) -> Vec<String> {
    let cells =
        columns(asked.kind).iter().map(|(head, cell)| format!("{head} {}", cell(object, reach.bounds.now)));
    let cells = cells.collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!("{} {}: {cells}", asked.kind.name, asked.name)];
    if object["spec"]["paused"] == true {
        lines.push("paused".to_owned());
    }
    for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
        let kind = condition["type"].as_str().unwrap_or_default();
        if CONDITIONS.contains(&kind) {
            let words = ["status", "reason", "message"].map(|key| condense::scalar(&condition[key]));
            let [status, reason, message] = words;
            lines.push(format!("{kind}={status} {reason}: {message}"));
        }
    }
    lines
}

fn told(revision: &Revision, before: Option<&Revision>, reach: &Reach<'_>) -> Vec<String> {
    let mut head = format!("revision {} ({})", revision.number, revision.name);
    if let Some(at) = revision.created_at {
        let ago = units::span((reach.bounds.now - at).num_seconds());
        head.push_str(&format!(" made {} ({ago} ago)", at.format("%Y-%m-%dT%H:%M:%SZ")));
    }
    if revision.name.is_empty() || revision.desired > 0 || revision.ready > 0 {
        head.push_str(&format!(", {} of {} pods ready", revision.ready, revision.desired));
    }
    if !revision.change_cause.is_empty() {
        head.push_str(&format!(", cause: {}", revision.change_cause));
    }
    let mut lines = vec![head];
    let Some(before) = before else { return lines };
    let changes = template::changes(&before.template, &revision.template);
    if changes.is_empty() {
        lines.push(format!("  same pod template as revision {}", before.number));
    }
    lines.extend(changes.into_iter().map(|change| format!("  {}", template::text(&[change]))));
    lines
}
