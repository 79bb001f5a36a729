//! Facts as CEL sees them: one context with every table, and one small scope a row with `row`, `log`, `pod`
//! and `since`. Facts come in, values go out; the ledger's texts stay outside, rows quote them already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cel::{Context, Value, to_value};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::functions;
use crate::facts::{
    ApiServiceFact, BudgetFact, ClaimFact, ContainerFact, CronJobFact, DependencyFact, EditFact, EventFact,
    Facts, HpaFact, IngressFact, JobFact, LeaseFact, NodeFact, PlacementFact, PodFact, PolicyFact, QuotaFact,
    ReferenceFact, RolloutFact, ServiceFact, UsageFact, VolumeFact, WebhookFact,
};
use crate::workload::Workload;

/// Changes of a revision that a sentence names; the row that is quoted has them all.
const MAX_CHANGES_TOLD: usize = 3;

/// What a signature may be `over`.
pub const TABLES: &[&str] = &[
    "workload",
    "pods",
    "containers",
    "rollouts",
    "events",
    "nodes",
    "claims",
    "references",
    "services",
    "quotas",
    "jobs",
    "cronjobs",
    "hpas",
    "dependencies",
    "placements",
    "volumes",
    "usage",
    "ingresses",
    "policies",
    "budgets",
    "leases",
    "webhooks",
    "api_services",
    "edits",
];

/// One row of a table, with what ranking needs to know about it.
pub(super) struct Row {
    pub value: Value,
    pub log: Value,
    /// Names of the pods that this row is about.
    pub pods: Vec<String>,
    /// Pod and container that it is, in the table of containers.
    pub container: Option<(String, String)>,
    /// Seconds since the row was true; 0 for what is true now.
    pub age_seconds: i64,
    /// When it came to be, where the row says so.
    pub began: Option<DateTime<Utc>>,
    /// It is, or belongs to, part of what is wrong: such rows are judged first.
    pub failing: bool,
}

/// Every table and the workload, as variables of the root context.
pub(super) fn root<'v>(facts: &Facts) -> Result<Context<'static, 'v>, String> {
    let mut tables: HashMap<String, Value> = HashMap::new();
    for table in TABLES {
        let values: Vec<Value> = rows(facts, table)?.into_iter().map(|row| row.value).collect();
        tables.insert((*table).to_owned(), Value::List(values.into()));
    }
    tables.insert("workload".to_owned(), value(&facts.workload)?);
    let mut context = functions::context();
    context.add_variable_from_value("facts", tables);
    context.add_variable_from_value("workload", value(&facts.workload)?);
    context.add_variable_from_value("alerts", value(&facts.alerts)?);
    let rollout = facts.rollouts.first().cloned().unwrap_or_default();
    context.add_variable_from_value("rollout", value(&rollout)?);
    Ok(context)
}

/// Puts a row into a scope of its own.
pub(super) fn bind(scope: &mut Context<'_, '_>, facts: &Facts, row: &Row) -> Result<(), String> {
    let pod = row.pods.first().and_then(|name| facts.pods.iter().find(|pod| pod.name == *name));
    scope.add_variable_from_value("row", row.value.clone());
    scope.add_variable_from_value("log", row.log.clone());
    scope.add_variable_from_value("since", since(facts, pod));
    scope.add_variable_from_value("pod", value(&pod.cloned().unwrap_or_default())?);
    Ok(())
}

/// A sentence (with a leading space) when only pods of the newest revision are affected and something
/// changed with it; else "". A revision is blamed only while an older one serves or left its template.
fn since(facts: &Facts, pod: Option<&PodFact>) -> String {
    let Some(pod) = pod.filter(|pod| !pod.revision.is_empty()) else { return String::new() };
    let rollout = facts.rollouts.iter().find(|rollout| {
        rollout.revision == pod.revision
            && !rollout.previous_revision.is_empty()
            && !rollout.changes_text.is_empty()
    });
    let Some(rollout) = rollout else { return String::new() };
    let older_fails = facts.pods.iter().any(|other| other.revision != pod.revision && !other.healthy);
    if older_fails {
        return String::new();
    }
    let named = |revision: &str, cause: &str| {
        if cause.is_empty() {
            format!("revision {revision}")
        } else {
            format!("revision {revision} ({cause})")
        }
    };
    let mut text = format!(" It came with {}", named(&rollout.revision, &rollout.change_cause));
    if rollout.old_ready > 0 {
        let previous = named(&rollout.previous_revision, &rollout.previous_change_cause);
        let pods = if rollout.old_ready == 1 { "pod" } else { "pods" };
        text.push_str(&format!("; {previous} still serves with {} ready {pods}", rollout.old_ready));
    }
    let paths: Vec<&str> =
        rollout.changes.iter().take(MAX_CHANGES_TOLD).map(|change| change.path.as_str()).collect();
    if !paths.is_empty() {
        text.push_str(&format!(". It changed {}", paths.join(", ")));
        let more = rollout.changes.len() - paths.len();
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
    }
    text.push('.');
    text
}

pub(super) fn rows(facts: &Facts, table: &str) -> Result<Vec<Row>, String> {
    match table {
        "workload" => all(std::slice::from_ref(&facts.workload), |_| Vec::new(), |_| 0),
        "pods" => pods(facts),
        "containers" => containers(facts),
        "rollouts" => rollouts(facts),
        "events" => events(facts),
        "nodes" => all(&facts.nodes, |_| Vec::new(), |_| 0),
        "claims" => all(&facts.claims, |row| row.pods.clone(), |_| 0),
        "references" => all(&facts.references, |row| row.waiting_pods.clone(), |_| 0),
        "services" => all(&facts.services, |_| Vec::new(), |_| 0),
        "quotas" => all(&facts.quotas, |_| Vec::new(), |_| 0),
        "jobs" => jobs(facts),
        "cronjobs" => all(&facts.cronjobs, |_| Vec::new(), |_| 0),
        "hpas" => all(&facts.hpas, |_| Vec::new(), |_| 0),
        "dependencies" => all(&facts.dependencies, |row| vec![row.pod.clone()], |_| 0),
        "placements" => all(&facts.placements, |row| vec![row.pod.clone()], |_| 0),
        "volumes" => all(&facts.volumes, |row| row.pods.clone(), |_| 0),
        "usage" => all(&facts.usage, usage_pods, |_| 0),
        "ingresses" => all(&facts.ingresses, |_| Vec::new(), |_| 0),
        "policies" => all(&facts.policies, |_| Vec::new(), |_| 0),
        "budgets" => all(&facts.budgets, |_| Vec::new(), |_| 0),
        "leases" => all(&facts.leases, |_| Vec::new(), |_| 0),
        "webhooks" => all(&facts.webhooks, |_| Vec::new(), |_| 0),
        "api_services" => all(&facts.api_services, |_| Vec::new(), |_| 0),
        "edits" => all(&facts.edits, |_| Vec::new(), |_| 0),
        _ => Ok(Vec::new()),
    }
}

fn all<T: Serialize>(
    items: &[T],
    pods: impl Fn(&T) -> Vec<String>,
    age: impl Fn(&T) -> i64,
) -> Result<Vec<Row>, String> {
    items
        .iter()
        .map(|item| {
            let log = value(&BTreeMap::from([("evidence", ""), ("quote", "")]))?;
            Ok(Row {
                value: value(item)?,
                log,
                pods: pods(item),
                container: None,
                age_seconds: age(item),
                began: None,
                failing: false,
            })
        })
        .collect()
}

fn pods(facts: &Facts) -> Result<Vec<Row>, String> {
    let mut rows = all(&facts.pods, |row| vec![row.name.clone()], |_| 0)?;
    for (row, fact) in rows.iter_mut().zip(&facts.pods) {
        row.failing = !fact.healthy;
        row.began = fact.created_at;
    }
    Ok(rows)
}

/// Containers of pods that ended and whose end is made good (a retry succeeded) prove nothing any more.
fn containers(facts: &Facts) -> Result<Vec<Row>, String> {
    let over = |name: &str| {
        let pod = facts.pods.iter().find(|pod| pod.name == name);
        pod.is_some_and(|pod| pod.healthy && ["Failed", "Succeeded"].contains(&pod.phase.as_str()))
    };
    let living: Vec<&ContainerFact> = facts.containers.iter().filter(|row| !over(&row.pod)).collect();
    let mut rows = all(&living, |row| vec![row.pod.clone()], |_| 0)?;
    for (row, fact) in rows.iter_mut().zip(living) {
        let log = [("evidence", fact.log_evidence.as_str()), ("quote", fact.log_line.as_str())];
        row.log = value(&BTreeMap::from(log))?;
        row.failing = fact.failing;
        row.container = Some((fact.pod.clone(), fact.name.clone()));
        row.began = fact.exited_at;
    }
    Ok(rows)
}

fn jobs(facts: &Facts) -> Result<Vec<Row>, String> {
    let mut rows = all(&facts.jobs, |_| Vec::new(), |_| 0)?;
    for (row, fact) in rows.iter_mut().zip(&facts.jobs) {
        let log = [("evidence", fact.log_evidence.as_str()), ("quote", fact.log_line.as_str())];
        row.log = value(&BTreeMap::from(log))?;
    }
    Ok(rows)
}

fn events(facts: &Facts) -> Result<Vec<Row>, String> {
    let mut rows = all(&facts.events, event_pods, |row| row.age_seconds)?;
    for (row, fact) in rows.iter_mut().zip(&facts.events) {
        row.began = fact.first_at;
    }
    Ok(rows)
}

fn rollouts(facts: &Facts) -> Result<Vec<Row>, String> {
    let mut rows = all(&facts.rollouts, |_| Vec::new(), |_| 0)?;
    for (row, fact) in rows.iter_mut().zip(&facts.rollouts) {
        row.began = fact.new_created_at;
    }
    Ok(rows)
}

fn usage_pods(row: &UsageFact) -> Vec<String> {
    if row.pod.is_empty() { Vec::new() } else { vec![row.pod.clone()] }
}

fn event_pods(event: &EventFact) -> Vec<String> {
    if event.kind == "Pod" { vec![event.name.clone()] } else { Vec::new() }
}

fn value<T: Serialize>(item: &T) -> Result<Value, String> {
    to_value(item).map_err(|fault| fault.to_string())
}

/// The fields that rows of a table have.
pub(super) fn field_names(table: &str) -> BTreeSet<String> {
    let row = match table {
        "workload" => serde_json::to_value(Workload::new("", "", "", "")),
        "pods" => serde_json::to_value(PodFact::default()),
        "containers" => serde_json::to_value(ContainerFact::default()),
        "rollouts" => serde_json::to_value(RolloutFact::default()),
        "events" => serde_json::to_value(EventFact::default()),
        "nodes" => serde_json::to_value(NodeFact::default()),
        "claims" => serde_json::to_value(ClaimFact::default()),
        "references" => serde_json::to_value(ReferenceFact::default()),
        "services" => serde_json::to_value(ServiceFact::default()),
        "quotas" => serde_json::to_value(QuotaFact::default()),
        "jobs" => serde_json::to_value(JobFact::default()),
        "cronjobs" => serde_json::to_value(CronJobFact::default()),
        "hpas" => serde_json::to_value(HpaFact::default()),
        "dependencies" => serde_json::to_value(DependencyFact::default()),
        "placements" => serde_json::to_value(PlacementFact::default()),
        "volumes" => serde_json::to_value(VolumeFact::default()),
        "usage" => serde_json::to_value(UsageFact::default()),
        "ingresses" => serde_json::to_value(IngressFact::default()),
        "policies" => serde_json::to_value(PolicyFact::default()),
        "budgets" => serde_json::to_value(BudgetFact::default()),
        "leases" => serde_json::to_value(LeaseFact::default()),
        "webhooks" => serde_json::to_value(WebhookFact::default()),
        "api_services" => serde_json::to_value(ApiServiceFact::default()),
        "edits" => serde_json::to_value(EditFact::default()),
        _ => Ok(serde_json::Value::Null),
    };
    match row {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => BTreeSet::new(),
    }
}
