//! New revisions as candidates: the subject's own, with what its failing pods say for or against them, and those of
//! workloads around it that were made in time. Rows and objects come in, candidates go out. Pure but for the ledger's
//! lines.

use chrono::{DateTime, Utc};

use super::topology::Topology;
use super::{Read, candidate, named};
use crate::change::{Candidate, is_in_time};
use crate::evidence::focus::name_of;
use crate::evidence::ledger::{Ledger, clean};
use crate::evidence::rollout;
use crate::facts::{Change, Facts, PodFact, RolloutFact};
use crate::report::{Changing, Near};

/// Workloads around the subject whose revisions are looked at.
const MAX_OTHERS: usize = 12;
/// Of them, those of which no relation is known.
const MAX_NEIGHBOURS: usize = 2;
/// Changes of a revision that are told, and characters of a value in them.
const MAX_CHANGES_TOLD: usize = 2;
const MAX_VALUE_CHARS: usize = 60;
/// Pods of other revisions fail as well: it can hardly have been this one.
const FIT_DESPITE_OLDER: f64 = 0.4;
/// A new revision that only differs in its labels or annotations restarts its pods, and nothing else.
const SIZE_RESTART: f64 = 0.3;
const SIZE_UNKNOWN: f64 = 0.6;

/// The rows of the facts.
pub(super) fn own(facts: &Facts, topology: &Topology<'_>) -> Vec<Candidate> {
    let rows = facts.rollouts.iter();
    rows.filter_map(|row| {
        let near = topology.near(&row.kind, &row.name)?;
        let mut found = of(row, near, topology.is_plain(near))?;
        (found.fit, found.why) = fit(row, facts, topology);
        Some(found)
    })
    .collect()
}

/// Deployments of the namespace that the facts have no row of, as far as a new revision was made in time.
pub(super) fn others(
    read: &Read<'_>,
    topology: &Topology<'_>,
    onset: DateTime<Utc>,
    ledger: &mut Ledger,
) -> Vec<Candidate> {
    let objects = read.objects;
    let rest = objects
        .deployments
        .items
        .iter()
        .filter(|one| !read.focus.concerns("Deployment", name_of(&one.metadata)));
    let mut found: Vec<Candidate> = rest
        .filter_map(|one| {
            let near = topology.near("Deployment", name_of(&one.metadata))?;
            let newest = rollout::newest_at(objects, name_of(&one.metadata))?;
            if !is_in_time(newest, onset) {
                return None;
            }
            let row = rollout::deployment(objects, one);
            // What is new beside it took nothing away.
            let is_new = near == Near::Neighbour && row.previous_revision.is_empty();
            if is_new { None } else { of(&row, near, false) }
        })
        .collect();
    // The nearer ones are told of; a namespace may have hundreds.
    found.sort_by(|a, b| (a.near, b.at, &a.object).cmp(&(b.near, a.at, &b.object)));
    let related = found.iter().filter(|one| one.near != Near::Neighbour).count();
    found.truncate(MAX_OTHERS.min(related + MAX_NEIGHBOURS));
    let mut page = None;
    for one in &mut found {
        let (query, milliseconds) = (&objects.replica_sets.query, objects.replica_sets.milliseconds);
        let page = *page.get_or_insert_with(|| ledger.open("kubernetes", query, milliseconds));
        let line = format!("{} {}", one.at.format("%FT%TZ"), one.what);
        one.evidence = ledger.line(page, &line).evidence;
    }
    found
}

fn of(row: &RolloutFact, near: Near, is_plain: bool) -> Option<Candidate> {
    let object = named(&row.kind, &row.namespace, &row.name);
    let of = if is_plain { String::new() } else { format!("{} {} ", row.kind, row.name) };
    let first = row.previous_revision.is_empty();
    let told = if first { "first revision".to_owned() } else { told(row) };
    let detail = if told.is_empty() { String::new() } else { format!(" ({told})") };
    let what = format!("rollout of {of}revision {}{detail}", row.revision);
    let mut found = candidate(row.new_created_at?, Changing::Rollout, near, object, what);
    found.size = if first { 1.0 } else { size(&row.changes) };
    found.evidence.clone_from(&row.evidence);
    Some(found)
}

/// `image a:1 → a:2, containers[c].env[X]: "1" → "2" and 3 more`
fn told(row: &RolloutFact) -> String {
    let mut weighty: Vec<&Change> = row.changes.iter().filter(|change| !is_mark(change)).collect();
    if weighty.is_empty() {
        weighty = row.changes.iter().collect();
    }
    weighty.sort_by_key(|change| !change.path.ends_with(".image"));
    let mut words: Vec<String> = weighty.iter().take(MAX_CHANGES_TOLD).map(|one| one_change(one)).collect();
    if row.changes.len() > words.len() {
        words.push(format!("{} more", row.changes.len() - words.len()));
    }
    if words.is_empty() { clean(&row.change_cause) } else { words.join(", ") }
}

fn one_change(change: &Change) -> String {
    let (from, to) = (short(&change.from), short(&change.to));
    match (from.is_empty(), to.is_empty()) {
        (false, false) if change.path.ends_with(".image") => format!("image {from} → {to}"),
        (false, false) => format!("{}: {from} → {to}", change.path),
        (true, _) => format!("{} added", change.path),
        (_, true) => format!("{} removed", change.path),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Only says something about the pods; the program is the same.
fn is_mark(change: &Change) -> bool {
    change.path.starts_with("annotations") || change.path.starts_with("labels")
}

fn size(changes: &[Change]) -> f64 {
    match changes {
        [] => SIZE_UNKNOWN,
        changes if changes.iter().all(is_mark) => SIZE_RESTART,
        _ => 1.0,
    }
}

/// What the pods that fail say of a revision.
fn fit(row: &RolloutFact, facts: &Facts, topology: &Topology<'_>) -> (f64, String) {
    let is_of = |pod: &&PodFact| {
        topology.owner(&pod.name).is_none_or(|owner| owner.0 == row.kind && owner.1 == row.name)
    };
    let bad: Vec<&PodFact> = facts.pods.iter().filter(|pod| !pod.healthy).filter(is_of).collect();
    if bad.is_empty() {
        return (1.0, String::new());
    }
    if row.previous_revision.is_empty() {
        return (1.0, "it has failed ever since it was made".to_owned());
    }
    if bad.iter().any(|pod| !pod.revision.is_empty() && pod.revision != row.revision) {
        return (FIT_DESPITE_OLDER, "pods of older revisions fail too".to_owned());
    }
    (1.0, "only pods of this revision fail".to_owned())
}
