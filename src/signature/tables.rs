//! Facts as CEL sees them: tables that every condition may ask for, and one small scope a row with `row`, `log`,
//! `pod` and `since`. Facts come in, values go out, made when a condition first asks for them; the ledger's texts
//! stay outside, rows quote them already.

use std::sync::OnceLock;

use cel::Context;
use cel::common::types::{CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde::Serialize;
use serde_json::{Value, json};

use super::functions;
use super::needs::Fields;
use super::row::{self, SharedMap};
use super::scope::{Row, TABLES, fields, rows};
use crate::facts::{Facts, PodFact, RolloutFact};

/// Changes of a revision that a sentence names; the row that is quoted has them all.
const MAX_CHANGES_TOLD: usize = 3;

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
