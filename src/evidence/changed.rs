//! What changed about when the trouble began, gathered from everything that was read: rollouts, edits, scaling, nodes,
//! events, and what logs and series show. Candidates with their place in the topology go to `change`, which orders
//! them; the first one is marked in the timeline. Pure; it names no cause.

mod objects;
mod rollouts;
mod signs;
mod topology;

use chrono::{DateTime, TimeDelta, Utc};

use super::changes::Write;
use super::focus::Focus;
use super::ledger::Ledger;
use super::logs::Digest;
use super::objects::Objects;
use super::timeline::{self, entry};
use crate::alert::Alert;
use crate::change::{self, Candidate, Symptom};
use crate::facts::Facts;
use crate::report::{Changed, Changing, Moment, Near};
use topology::Topology;

/// A first place that scores less, or of which no relation is known, is not marked.
const MIN_MARKED: f64 = 0.05;
/// What the timeline tells of a change and the change itself are this far apart, in seconds.
const SAME_SECS: i64 = 5;

/// What there is beside the rows.
pub(super) struct Read<'a> {
    pub objects: &'a Objects,
    pub focus: &'a Focus<'a>,
    pub alerts: &'a [Alert],
    pub writes: &'a [Write],
    pub digests: &'a [Digest],
}

/// Writes down when the trouble began and what changed then, and marks what stands first.
pub(super) fn take(facts: &mut Facts, read: &Read<'_>, ledger: &mut Ledger) {
    let Some(onset) = onset(facts, read.alerts) else { return };
    facts.onset_at = Some(onset);
    // Of a part nothing is asked but its findings: the whole has its order.
    if ledger.looks_again() {
        return;
    }
    let complained_of: Vec<&str> = facts.dependencies.iter().map(|row| row.service.as_str()).collect();
    let topology = Topology::new(read.objects, read.focus, &complained_of);
    let mut found = rollouts::own(facts, &topology);
    found.extend(rollouts::others(read, &topology, onset, ledger));
    traced(read, ledger);
    found.extend(objects::edits(facts, read, &topology));
    found.extend(objects::made(facts, read, &topology, ledger));
    found.extend(objects::nodes(facts, read, &topology));
    found.extend(objects::scaled(facts, &topology));
    found.extend(objects::told_by_events(facts, &topology));
    found.extend(signs::callees(read, &topology, onset, ledger));
    found.extend(signs::bursts(facts, read));
    found.extend(signs::series(facts, read, &topology, ledger));
    facts.changed = change::rank(&found, onset);
    mark(facts);
}

/// What a trace says of who calls whom, for whoever asks why something counts as called.
fn traced(read: &Read<'_>, ledger: &mut Ledger) {
    let calls = &read.objects.calls;
    let all = [("calls", &calls.callees), ("is called by", &calls.callers)];
    let mut page = None;
    for (verb, names) in all.into_iter().filter(|(_, names)| !names.is_empty()) {
        let names = names.iter().cloned().collect::<Vec<_>>().join(", ");
        let page = *page.get_or_insert_with(|| ledger.open("tempo", &calls.query, calls.milliseconds));
        ledger.line(page, &format!("{} {verb} {names}", read.focus.workload.name));
    }
}

/// The alert's time, without the time that its rule waited, corrected by the first symptom.
fn onset(facts: &Facts, alerts: &[Alert]) -> Option<DateTime<Utc>> {
    let waited = |alert: &Alert| {
        let rule = facts.alert_rules.iter().find(|rule| rule.alert == alert.name());
        alert.starts_at - TimeDelta::seconds(rule.map_or(0, |rule| rule.for_seconds.max(0)))
    };
    let fired = alerts.iter().filter(|alert| alert.is_firing()).map(waited).min();
    let once = |at| Symptom { from: at, to: at };
    let warned = facts.events.iter().filter(|event| event.level == "Warning" && event.kind != "Node");
    let mut symptoms: Vec<Symptom> = warned
        .filter_map(|event| {
            let from = event.first_at?;
            Some(Symptom { from, to: event.last_at.unwrap_or(from).max(from) })
        })
        .collect();
    let failing = || facts.containers.iter().filter(|row| row.failing);
    symptoms.extend(failing().filter(|row| row.exit_code > 0).filter_map(|row| row.exited_at).map(once));
    symptoms.extend(failing().filter(|row| !row.log_class.is_empty()).filter_map(|row| row.log_at).map(once));
    symptoms.extend(facts.jobs.iter().filter(|row| row.failed).filter_map(|row| row.finished_at).map(once));
    change::onset(&symptoms, fired.map(|at| at.min(facts.observed_at)))
}

/// The entry of what stands first says so; what the timeline does not have yet becomes an entry.
fn mark(facts: &mut Facts) {
    let Some(first) = facts.changed.first() else { return };
    if first.score < MIN_MARKED || first.near == Near::Neighbour {
        return;
    }
    let kind = moment(first);
    let (_, name) =
        first.object.rsplit_once('/').unwrap_or(("", first.object.rsplit(' ').next().unwrap_or("")));
    let near = |one: &crate::report::TimelineEntry| {
        one.kind.is_change() == kind.is_change()
            && (one.at - first.at).num_seconds().abs() <= SAME_SECS
            && one.what.split(' ').any(|word| word.trim_end_matches(':') == name)
    };
    let why = first.line.strip_prefix(&format!("{}, ", first.what)).unwrap_or(&first.line).to_owned();
    let at = facts.timeline.iter().position(near).unwrap_or_else(|| {
        let new = entry(first.at, kind, first.what.clone(), &first.evidence);
        let at = facts.timeline.partition_point(|one| one.at <= new.at);
        facts.timeline.insert(at, new);
        at
    });
    facts.timeline[at].trigger = true;
    facts.timeline[at].why = why;
    timeline::shorten(&mut facts.timeline);
}

fn moment(changed: &Changed) -> Moment {
    match changed.kind {
        Changing::Rollout => Moment::Rollout,
        Changing::Config => Moment::Config,
        Changing::Scaling => Moment::Scaling,
        Changing::Node => Moment::Node,
        Changing::Event | Changing::Log | Changing::Series => Moment::Sign,
    }
}

/// A candidate against which nothing speaks.
fn candidate(at: DateTime<Utc>, kind: Changing, near: Near, object: String, what: String) -> Candidate {
    Candidate {
        at,
        kind,
        object,
        what,
        near,
        size: 1.0,
        fit: 1.0,
        why: String::new(),
        evidence: String::new(),
    }
}

/// `Kind namespace/name`
fn named(kind: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}
