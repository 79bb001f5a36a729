//! Judges: facts and a catalogue come in, one finding per signature and object goes out, ranked, with the
//! rows that prove it. Pure. An expression that fails becomes a gap of that signature alone.

use std::collections::{BTreeMap, BTreeSet};

use cel::common::types::{CelList, CelString};
use cel::common::value::Val;
use cel::{Context, Value};

use super::answers::answers;
use super::compile::Signature;
use super::rank::{self, Candidate};
use super::scope::{Row, TABLES};
use super::stack;
use super::tables::Tables;
use super::template::{evaluate, look};
use super::wide::{self, View};
use crate::facts::Facts;
use crate::report::{Finding, Gap, NextStep, Role};
use crate::workload::ObjectRef;

/// Rows of one table that are judged; conditions may look at every event for each of them.
const MAX_ROWS: usize = 200;
/// Rows of a table that debug builds show to the interpreter although they were ruled out.
const CHECKED_ROWS: usize = 10;
/// Rows of one finding that are quoted; three pods with the same fault prove as much as thirty.
const MAX_QUOTED_ROWS: usize = 3;
/// Quotes of one finding.
const MAX_QUOTES: usize = 6;
/// Objects that one signature may name; beyond it the rest would only repeat.
const MAX_OBJECTS: usize = 10;
/// An event that was last seen longer ago, in seconds, tells of the past.
const STALE_EVENT_SECONDS: i64 = 900;

/// What the catalogue says about the facts.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Primary before secondary.
    pub findings: Vec<Finding>,
    /// Signatures that could not be judged, and why.
    pub gaps: Vec<Gap>,
    /// A primary finding names a cause, and not only a symptom.
    pub explained: bool,
}

/// Never panics, never asks anything: the same facts and catalogue give the same answer.
pub fn find(facts: &Facts, catalogue: &[Signature]) -> Found {
    stack::deep(|| judge(facts, catalogue)).and_then(|found| found).unwrap_or_else(|why| {
        let gap = Gap { source: "runbook".to_owned(), what: "all signatures".to_owned(), why };
        Found { gaps: vec![gap], ..Found::default() }
    })
}

fn judge(facts: &Facts, catalogue: &[Signature]) -> Result<Found, String> {
    let mut gaps = BTreeMap::new();
    let ranked = if facts.parts.is_empty() {
        ranked(facts, catalogue, &mut gaps)?
    } else {
        let mut views = Vec::with_capacity(facts.parts.len());
        for part in &facts.parts {
            views.push(View { facts: part, ranked: ranked(part, catalogue, &mut gaps)? });
        }
        wide::join(views, &facts.workload)
    };
    let gaps = gaps.into_iter();
    let gaps = gaps.map(|(what, why)| Gap { source: "runbook".to_owned(), what, why }).collect();
    let explained = ranked.iter().any(|one| one.finding.role == Role::Primary && !one.catch_all);
    Ok(Found { findings: ranked.into_iter().map(|one| one.finding).collect(), gaps, explained })
}

fn ranked(
    facts: &Facts,
    catalogue: &[Signature],
    gaps: &mut BTreeMap<String, String>,
) -> Result<Vec<Candidate>, String> {
    let tables = Tables::new(facts)?;
    let root = tables.context();
    let mut judge = Judge { facts, tables: &tables, root: &root, candidates: Vec::new(), gaps };
    for table in TABLES {
        let signatures: Vec<&Signature> = catalogue.iter().filter(|known| known.over == *table).collect();
        if !signatures.is_empty() {
            judge.table(table, &signatures);
        }
    }
    let candidates = judge.candidates;
    let consequences = rank::consequences(catalogue, &candidates);
    Ok(rank::rank(candidates, &consequences))
}

struct Judge<'f, 'r> {
    facts: &'f Facts,
    tables: &'r Tables<'f>,
    root: &'r Context<'r, 'r>,
    candidates: Vec<Candidate>,
    /// What → why: one gap per signature and part, not one per row.
    gaps: &'r mut BTreeMap<String, String>,
}

/// Rows of one signature by the object they blame, in the order of the table.
type Groups<'t> = Vec<(ObjectRef, Vec<&'t Row>)>;

impl Judge<'_, '_> {
    fn table(&mut self, table: &str, signatures: &[&Signature]) {
        let mut rows: Vec<&Row> = self.tables.rows(table).iter().collect();
        rows.sort_by_key(|row| (row.age_seconds, !row.failing));
        if rows.len() > MAX_ROWS {
            let why = format!("{} rows, the {MAX_ROWS} most telling were judged", rows.len());
            self.gaps.insert(format!("signatures over {table}"), why);
            rows.truncate(MAX_ROWS);
        }
        let mut groups: Vec<Groups> = signatures.iter().map(|_| Vec::new()).collect();
        for (place, row) in rows.into_iter().enumerate() {
            // Most rows show nothing that any signature needs, and are never bound.
            let mut scope = None;
            for (signature, groups) in signatures.iter().zip(&mut groups) {
                if !signature.needs.allow(&row.fields, self.tables) {
                    debug_assert!(
                        place >= CHECKED_ROWS || !self.is_true(signature, row),
                        "{} was ruled out and is true",
                        signature.id
                    );
                    continue;
                }
                let here = scope.get_or_insert_with(|| self.tables.bind(self.root, row));
                if self.matches(signature, here)
                    && let Some(object) = self.object(signature, here)
                {
                    add(groups, object, row);
                }
            }
        }
        for (signature, groups) in signatures.iter().zip(groups) {
            for (object, rows) in groups {
                self.conclude(signature, object, &rows);
            }
        }
    }

    /// What the interpreter says of a row that was ruled out.
    fn is_true(&self, signature: &Signature, row: &Row) -> bool {
        evaluate(&signature.when, &self.tables.bind(self.root, row)) == Ok(Value::Bool(true))
    }

    fn matches(&mut self, signature: &Signature, here: &Context<'_, '_>) -> bool {
        match evaluate(&signature.when, here) {
            Ok(Value::Bool(truth)) => truth,
            Ok(_) => {
                self.gap(signature, "when", "it gives no true or false".to_owned());
                false
            }
            Err(why) => {
                self.gap(signature, "when", why);
                false
            }
        }
    }

    fn object(&mut self, signature: &Signature, here: &Context<'_, '_>) -> Option<ObjectRef> {
        let workload = self.facts.workload.object();
        let Some(templates) = &signature.object else { return Some(workload) };
        let [kind, namespace, name] = templates.as_ref();
        let texts = (kind.render(here), namespace.render(here), name.render(here));
        match texts {
            (Ok(kind), Ok(namespace), Ok(name)) => {
                Some(ObjectRef { cluster: workload.cluster, kind, namespace, name })
            }
            (kind, namespace, name) => {
                for why in [kind.err(), namespace.err(), name.err()].into_iter().flatten() {
                    self.gap(signature, "object", why);
                }
                None
            }
        }
    }

    /// One finding: the statement speaks of the first row, the quotes come from the first few.
    fn conclude(&mut self, signature: &Signature, object: ObjectRef, rows: &[&Row]) {
        let Some(first) = rows.first() else { return };
        let unhealthy: BTreeSet<&str> =
            self.facts.pods.iter().filter(|pod| !pod.healthy).map(|pod| pod.name.as_str()).collect();
        let pods: BTreeSet<String> = rows.iter().flat_map(|row| row.pods.iter().cloned()).collect();
        let mut here = self.tables.bind(self.root, first);
        here.add_variable_from_value("pods", pods.iter().cloned().collect::<Vec<String>>());
        let statement = match signature.statement.render(&here) {
            Ok(statement) => statement,
            Err(why) => {
                self.gap(signature, "statement", why);
                return;
            }
        };
        let quotes = self.quotes(signature, rows);
        let mut evidence: Vec<String> = Vec::new();
        for (id, _) in &quotes {
            if !evidence.contains(id) {
                evidence.push(id.clone());
            }
        }
        let next_steps = self.next_steps(signature, &here);
        self.candidates.push(Candidate {
            rank: signature.rank,
            catch_all: signature.catch_all,
            stale: rows.iter().all(|row| row.age_seconds > STALE_EVENT_SECONDS),
            answers: answers(&self.facts.alerts, signature),
            // What concerns no pod in particular concerns the workload, with all that fail.
            failing_pods: match pods.is_empty() {
                true => unhealthy.len(),
                false => pods.iter().filter(|pod| unhealthy.contains(pod.as_str())).count(),
            },
            began: rows.iter().filter_map(|row| row.began).min(),
            pods,
            containers: rows.iter().filter_map(|row| row.container.clone()).collect(),
            finding: Finding {
                signature: signature.id.clone(),
                role: Role::Primary,
                category: signature.category,
                object,
                workloads: Vec::new(),
                statement,
                evidence,
                quotes,
                next_steps,
                explains: signature.explains.clone(),
            },
        });
    }

    /// (evidence id, verbatim text) of the rows that the signature's evidence expressions give.
    fn quotes(&mut self, signature: &Signature, rows: &[&Row]) -> Vec<(String, String)> {
        let mut quotes = Vec::new();
        for row in rows.iter().take(MAX_QUOTED_ROWS) {
            let mut here = self.tables.bind(self.root, row);
            here.add_variable_from_value("pods", row.pods.clone());
            for program in &signature.evidence {
                let looked = look(program, &here, |value| {
                    collect(value, &mut quotes);
                    Ok(())
                });
                if let Err(why) = looked {
                    self.gap(signature, "evidence", why);
                }
            }
        }
        quotes
    }

    fn next_steps(&mut self, signature: &Signature, here: &Context<'_, '_>) -> Vec<NextStep> {
        let mut steps = Vec::new();
        for fix in &signature.fix {
            match fix.when.as_ref().map(|when| evaluate(when, here)) {
                None | Some(Ok(Value::Bool(true))) => {}
                Some(Ok(_)) => continue,
                Some(Err(why)) => {
                    self.gap(signature, "fix", why);
                    continue;
                }
            }
            let command = fix.command.as_ref().map_or(Ok(String::new()), |text| text.render_command(here));
            match (fix.text.render(here), command) {
                (Ok(text), Ok(command)) => steps.push(NextStep { text, command, risk: fix.risk }),
                (text, command) => {
                    for why in [text.err(), command.err()].into_iter().flatten() {
                        self.gap(signature, "fix", why);
                    }
                }
            }
        }
        steps
    }

    fn gap(&mut self, signature: &Signature, part: &str, why: String) {
        self.gaps.entry(format!("signature {} ({part})", signature.id)).or_insert(why);
    }
}

fn add<'t>(groups: &mut Groups<'t>, object: ObjectRef, row: &'t Row) {
    match groups.iter().position(|(known, _)| *known == object) {
        Some(known) => groups[known].1.push(row),
        None if groups.len() < MAX_OBJECTS => groups.push((object, vec![row])),
        None => {}
    }
}

/// Rows, or lists of rows; those without evidence or quote (a log that was not read) prove nothing.
fn collect(value: &dyn Val, quotes: &mut Vec<(String, String)>) {
    if let Some((id, quote)) = evidence_of(value) {
        let quote = (id, quote);
        if quotes.len() < MAX_QUOTES && !quotes.contains(&quote) {
            quotes.push(quote);
        }
    } else if value.downcast_ref::<CelList<'_>>().is_some()
        && let Some(items) = value.as_iterable()
    {
        let mut items = items.iter();
        while let Some(item) = items.next() {
            collect(item, quotes);
        }
    }
}

fn evidence_of(value: &dyn Val) -> Option<(String, String)> {
    let text = |field: &'static str| {
        let value = value.as_indexer()?.get(&CelString::from(field)).ok()?;
        let text = value.downcast_ref::<CelString<'_>>()?.inner().to_owned();
        (!text.is_empty()).then_some(text)
    };
    Some((text("evidence")?, text("quote")?))
}
