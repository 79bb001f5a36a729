//! Rows of facts as signatures are judged over: facts come in, each table's rows go out, with what ranking needs to
//! know of them. Pure; it judges nothing.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::needs::Fields;
use super::row::SharedMap;
use crate::facts::{
    ApiServiceFact, BudgetFact, ClaimFact, ContainerFact, CronJobFact, DependencyFact, EditFact, EventFact,
    Facts, HpaFact, IngressFact, JobFact, LeaseFact, NodeFact, PlacementFact, PodFact, PolicyFact, QuotaFact,
    ReferenceFact, RolloutFact, ServiceFact, TargetFact, UsageFact, VolumeFact, WebhookFact,
};
use crate::workload::Workload;

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
    "targets",
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
    pub fields: Fields,
    value: OnceLock<SharedMap>,
    /// Evidence and quote of the log that says most about it, or twice "".
    pub log: (String, String),
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

impl Row {
    pub(super) fn value(&self) -> &SharedMap {
        self.value.get_or_init(|| SharedMap::new(&self.fields))
    }
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
        "targets" => all(&facts.targets, |_| Vec::new(), |_| 0),
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
            Ok(Row {
                fields: fields(item)?,
                value: OnceLock::new(),
                log: Default::default(),
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
        row.log = (fact.log_evidence.clone(), fact.log_line.clone());
        row.failing = fact.failing;
        row.container = Some((fact.pod.clone(), fact.name.clone()));
        row.began = fact.exited_at;
    }
    Ok(rows)
}

fn jobs(facts: &Facts) -> Result<Vec<Row>, String> {
    let mut rows = all(&facts.jobs, |_| Vec::new(), |_| 0)?;
    for (row, fact) in rows.iter_mut().zip(&facts.jobs) {
        row.log = (fact.log_evidence.clone(), fact.log_line.clone());
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

pub(super) fn fields<T: Serialize>(item: &T) -> Result<Fields, String> {
    match serde_json::to_value(item) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("a row without fields".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}

fn usage_pods(row: &UsageFact) -> Vec<String> {
    if row.pod.is_empty() { Vec::new() } else { vec![row.pod.clone()] }
}

fn event_pods(event: &EventFact) -> Vec<String> {
    if event.kind == "Pod" { vec![event.name.clone()] } else { Vec::new() }
}

/// The fields that rows of a table have.
pub(super) fn field_names(table: &str) -> BTreeSet<String> {
    let row = match table {
        "workload" => fields(&Workload::new("", "", "", "")),
        "pods" => fields(&PodFact::default()),
        "containers" => fields(&ContainerFact::default()),
        "rollouts" => fields(&RolloutFact::default()),
        "events" => fields(&EventFact::default()),
        "nodes" => fields(&NodeFact::default()),
        "claims" => fields(&ClaimFact::default()),
        "references" => fields(&ReferenceFact::default()),
        "services" => fields(&ServiceFact::default()),
        "quotas" => fields(&QuotaFact::default()),
        "jobs" => fields(&JobFact::default()),
        "cronjobs" => fields(&CronJobFact::default()),
        "hpas" => fields(&HpaFact::default()),
        "dependencies" => fields(&DependencyFact::default()),
        "placements" => fields(&PlacementFact::default()),
        "volumes" => fields(&VolumeFact::default()),
        "usage" => fields(&UsageFact::default()),
        "targets" => fields(&TargetFact::default()),
        "ingresses" => fields(&IngressFact::default()),
        "policies" => fields(&PolicyFact::default()),
        "budgets" => fields(&BudgetFact::default()),
        "leases" => fields(&LeaseFact::default()),
        "webhooks" => fields(&WebhookFact::default()),
        "api_services" => fields(&ApiServiceFact::default()),
        "edits" => fields(&EditFact::default()),
        _ => Ok(Fields::new()),
    };
    row.unwrap_or_default().into_iter().map(|(name, _)| name).collect()
}
