//! Facts as CEL sees them: tables that every condition may ask for, and one small scope a row with `row`, `log`,
//! `pod` and `since`. Facts come in, values go out, made when a condition first asks for them; the ledger's texts
//! stay outside, rows quote them already.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cel::Context;
use cel::common::types::{CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::functions;
use super::needs::Fields;
use super::row::{self, SharedMap};
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
    pub fields: Fields,
    value: OnceLock<SharedMap>,
    /// Evidence and quote of the log that says most about it, or twice "".
    log: (String, String),
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
    fn value(&self) -> &SharedMap {
        self.value.get_or_init(|| SharedMap::new(&self.fields))
    }
}

/// Every table of some facts, in the order of TABLES.
pub(super) struct Tables<'f> {
    facts: &'f Facts,
    tables: Vec<Table>,
    /// Values of `facts`, `workload`, `alerts` and `rollout`.
    whole: OnceLock<SharedMap>,
    workload: OnceLock<SharedMap>,
    alerts: OnceLock<Box<dyn Val>>,
    rollout: OnceLock<SharedMap>,
}

struct Table {
    rows: Vec<Row>,
    list: OnceLock<CelList<'static>>,
}

impl<'f> Tables<'f> {
    pub(super) fn new(facts: &'f Facts) -> Result<Self, String> {
        let read = |table: &&str| Ok(Table { rows: rows(facts, table)?, list: OnceLock::new() });
        Ok(Self {
            facts,
            tables: TABLES.iter().map(read).collect::<Result<_, String>>()?,
            whole: OnceLock::new(),
            workload: OnceLock::new(),
            alerts: OnceLock::new(),
            rollout: OnceLock::new(),
        })
    }

    pub(super) fn rows(&self, name: &str) -> &[Row] {
        self.table(name).map_or(&[], |table| &table.rows)
    }

    /// A context with every function, whose variables are looked up here.
    pub(super) fn context(&self) -> Context<'_, '_> {
        let mut context = functions::context();
        context.set_variable_resolver(self);
        context
    }

    /// A scope of the row's own.
    pub(super) fn bind<'c, 'v>(&self, root: &'c Context<'_, 'v>, row: &Row) -> Context<'c, 'v> {
        let mut scope = root.new_inner_scope();
        let first = row.pods.first();
        let pod = first.and_then(|name| self.facts.pods.iter().position(|pod| pod.name == *name));
        let log = json!({"evidence": row.log.0, "quote": row.log.1});
        scope.add_variable_as_val("row", Box::new(row.value().clone()));
        scope.add_variable_as_val("log", row::value(&log));
        let text = since(self.facts, pod.and_then(|at| self.facts.pods.get(at)));
        scope.add_variable_as_val("since", Box::new(CelString::from(text)));
        match pod.and_then(|at| self.rows("pods").get(at)) {
            Some(pod) => scope.add_variable_as_val("pod", Box::new(pod.value().clone())),
            None => scope.add_variable_as_val("pod", of_default::<PodFact>()),
        }
        scope
    }

    fn table(&self, name: &str) -> Option<&Table> {
        let at = TABLES.iter().position(|table| *table == name)?;
        self.tables.get(at)
    }

    fn workload(&self) -> &SharedMap {
        self.workload.get_or_init(|| SharedMap::new(&fields(&self.facts.workload).unwrap_or_default()))
    }
}

/// Asked for a whole name first, so that `facts.events` makes one table and not all of them.
impl VariableResolver for Tables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        match name {
            "workload" | "facts.workload" => Some(CowVal::Borrowed(self.workload())),
            "alerts" => {
                let make = || row::value(&Value::from(self.facts.alerts.clone()));
                Some(CowVal::Borrowed(self.alerts.get_or_init(make).as_ref()))
            }
            "rollout" => {
                let make = || match self.rows("rollouts").first() {
                    Some(row) => row.value().clone(),
                    None => SharedMap::new(&fields(&RolloutFact::default()).unwrap_or_default()),
                };
                Some(CowVal::Borrowed(self.rollout.get_or_init(make)))
            }
            "facts" => Some(CowVal::Borrowed(self.whole.get_or_init(|| {
                let tables = TABLES.iter().zip(&self.tables);
                let list = |rows: &[Row]| rows.iter().map(|row| Value::Object(row.fields.clone())).collect();
                let mut all: Fields =
                    tables.map(|(name, table)| ((*name).to_owned(), list(&table.rows))).collect();
                let workload = fields(&self.facts.workload).unwrap_or_default();
                all.insert("workload".to_owned(), Value::Object(workload));
                SharedMap::new(&all)
            }))),
            _ => {
                let table = self.table(name.strip_prefix("facts.")?)?;
                let list = table.list.get_or_init(|| {
                    let copy = |row: &Row| Box::new(row.value().clone()) as Box<dyn Val>;
                    CelList::from(table.rows.iter().map(copy).collect::<Vec<_>>())
                });
                Some(CowVal::Borrowed(list))
            }
        }
    }
}

fn of_default<T: Serialize + Default>() -> Box<dyn Val> {
    Box::new(SharedMap::new(&fields(&T::default()).unwrap_or_default()))
}

fn fields<T: Serialize>(item: &T) -> Result<Fields, String> {
    match serde_json::to_value(item) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("a row without fields".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
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

fn rows(facts: &Facts, table: &str) -> Result<Vec<Row>, String> {
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
