//! What happened when: rollouts, changed objects, scaling, node conditions, the first failure, restarts and
//! the alerts, in order of time, each with its evidence. Rows and alerts come in, entries go out; it marks none of
//! them. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::changes::{self, Write};
use super::objects::Objects;
use crate::alert::Alert;
use crate::facts::{AlertRuleFact, EventFact, Facts, RolloutFact};
use crate::report::{Moment, TimelineEntry};

/// Most entries.
const MAX_ENTRIES: usize = 24;
/// A write to a controller and the revision that came of it are this far apart, in seconds.
const SAME_CHANGE_SECS: i64 = 5;
/// Of an alert's expression that is shown, in characters.
const MAX_EXPRESSION_CHARS: usize = 200;
/// Changes of a revision that are named.
const MAX_PATHS: usize = 3;

pub fn entries(facts: &Facts, objects: &Objects, alerts: &[Alert], writes: &[Write]) -> Vec<TimelineEntry> {
    let mut entries: Vec<TimelineEntry> = facts.rollouts.iter().filter_map(rollout).collect();
    let told = writes.iter().filter(|one| !is_told(one, &facts.rollouts));
    entries.extend(told.map(|one| entry(one.at, Moment::Config, one.what.clone(), &one.evidence)));
    entries.extend(changes::of_nodes(facts, objects));
    entries.extend(scaled(&facts.events).filter_map(scaling));
    for row in &facts.jobs {
        if let (true, Some(at)) = (row.failed, row.finished_at) {
            let what = format!("Job {} failed: {}", row.name, row.failed_reason);
            entries.push(entry(at, Moment::Failure, what, &row.evidence));
        }
    }
    entries.extend(first_warnings(&facts.events));
    entries.extend(ends(facts));
    for alert in alerts.iter().filter(|alert| alert.is_firing()) {
        let rule = facts.alert_rules.iter().find(|rule| rule.alert == alert.name());
        let what = format!("alert {} began to fire{}", alert.name(), rule.map(gives).unwrap_or_default());
        let evidence = rule.map_or("", |rule| rule.evidence.as_str());
        entries.push(entry(alert.starts_at, Moment::Alert, what, evidence));
    }
    entries.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
    entries.dedup_by(|a, b| a.at == b.at && a.what == b.what);
    shorten(&mut entries);
    entries
}

pub(super) fn entry(at: DateTime<Utc>, kind: Moment, what: String, evidence: &str) -> TimelineEntry {
    TimelineEntry { at, what, evidence: evidence.to_owned(), kind, trigger: false, why: String::new() }
}

fn rollout(row: &RolloutFact) -> Option<TimelineEntry> {
    let cause = if row.change_cause.is_empty() { String::new() } else { format!(" ({})", row.change_cause) };
    let paths: Vec<&str> = row.changes.iter().take(MAX_PATHS).map(|change| change.path.as_str()).collect();
    let changed = if paths.is_empty() { String::new() } else { format!(", it changed {}", paths.join(", ")) };
    let what = format!("{} {} revision {}{cause} created{changed}", row.kind, row.name, row.revision);
    Some(entry(row.new_created_at?, Moment::Rollout, what, &row.evidence))
}

/// Whoever changed a template made the revision: one event, not two.
pub(super) fn is_told(change: &Write, rollouts: &[RolloutFact]) -> bool {
    rollouts.iter().any(|row| {
        let near =
            row.new_created_at.is_some_and(|at| (at - change.at).num_seconds().abs() <= SAME_CHANGE_SECS);
        near && row.kind == change.kind && row.name == change.name
    })
}

/// Replicas that somebody changed: a rollout scales two sets at once, and is told by itself.
pub(super) fn scaled(events: &[EventFact]) -> impl Iterator<Item = &EventFact> {
    events.iter().filter(move |event| match event.reason.as_str() {
        "SuccessfulRescale" => true,
        "ScalingReplicaSet" => {
            let paired = events.iter().any(|other| {
                other.reason == event.reason
                    && other.name == event.name
                    && other.message != event.message
                    && close(other.last_at, event.last_at)
            });
            // More pods are asked for by every new Deployment; fewer only by somebody.
            !paired && event.message.contains("Scaled down")
        }
        _ => false,
    })
}

fn scaling(event: &EventFact) -> Option<TimelineEntry> {
    let what = format!("{} {}: {}", event.kind, event.name, event.message);
    Some(entry(event.last_at?, Moment::Scaling, what, &event.evidence))
}

/// What the alert's rule asks and gives now.
fn gives(rule: &AlertRuleFact) -> String {
    let asks: String = rule.expression.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = asks.chars().take(MAX_EXPRESSION_CHARS).collect();
    if shown.len() < asks.len() {
        shown.push('…');
    }
    let value = match (rule.last_error.is_empty(), rule.value.is_empty()) {
        (false, _) => "cannot be evaluated".to_owned(),
        (_, true) => "gives nothing any more".to_owned(),
        _ => format!("now gives {}", plain(&rule.value)),
    };
    format!("; its rule `{shown}` {value}")
}

/// A rollout's steps follow each other within minutes.
fn close(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> bool {
    one.zip(other).is_some_and(|(one, other)| (one - other).num_minutes().abs() < 10)
}

fn first_warnings(events: &[EventFact]) -> Vec<TimelineEntry> {
    let mut first: BTreeMap<(&str, &str), &EventFact> = BTreeMap::new();
    for event in events.iter().filter(|event| event.level == "Warning" && event.first_at.is_some()) {
        let known = first.entry((&event.kind, &event.reason)).or_insert(event);
        if event.first_at < known.first_at {
            *known = event;
        }
    }
    let told = |event: &EventFact| {
        let what = format!("first {} of {} {}: {}", event.reason, event.kind, event.name, event.message);
        Some(entry(event.first_at?, Moment::Failure, what, &event.evidence))
    };
    first.into_values().filter_map(told).collect()
}

/// The first and the last end of failing containers that are known.
fn ends(facts: &Facts) -> Vec<TimelineEntry> {
    let ended = facts.containers.iter().filter(|row| row.failing && row.exit_code > 0);
    let mut ended: Vec<_> = ended.filter_map(|row| Some((row.exited_at?, row))).collect();
    ended.sort_by_key(|(at, _)| *at);
    let mut entries: Vec<TimelineEntry> = Vec::new();
    for (index, (at, row)) in ended.iter().enumerate() {
        if index == 0 || index + 1 == ended.len() {
            let nth =
                if row.restarts > 0 { format!(" after {} restarts", row.restarts) } else { String::new() };
            let what = format!(
                "container {} of pod {} ended with exit {} ({}){nth}",
                row.name, row.pod, row.exit_code, row.exit_reason
            );
            let kind = if row.restarts > 0 { Moment::Restart } else { Moment::Failure };
            entries.push(entry(*at, kind, what, &row.evidence));
        }
    }
    entries
}

/// What is left out is in the middle: the beginning and the end tell the story, and what is marked.
pub(super) fn shorten(entries: &mut Vec<TimelineEntry>) {
    if entries.len() <= MAX_ENTRIES {
        return;
    }
    let tail = entries.split_off(entries.len() - MAX_ENTRIES / 2);
    let middle = entries.split_off(MAX_ENTRIES / 2);
    entries.extend(middle.into_iter().filter(|one| one.trigger));
    entries.extend(tail);
}

/// Prometheus' rules API writes every value as `1e+00`.
fn plain(value: &str) -> String {
    /// Beyond it digits read worse than an exponent.
    const MANY: f64 = 1e9;
    match value.parse::<f64>() {
        Ok(number) if number.abs() < MANY => number.to_string(),
        _ => value.to_owned(),
    }
}
