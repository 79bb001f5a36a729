//! What happened when: rollouts, changed objects, scaling, node conditions, the first failure, restarts and
//! the alerts, in order of time, each with its evidence; the change that most likely set it off is marked,
//! with the reason. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::changes;
use super::focus::Focus;
use super::ledger::Ledger;
use super::objects::Objects;
use crate::alert::Alert;
use crate::facts::{AlertRuleFact, EventFact, Facts, RolloutFact};
use crate::report::{Moment, TimelineEntry};

/// Most entries.
const MAX_ENTRIES: usize = 24;
/// A change longer before the first failure did not set it off, in minutes.
const TRIGGER_WINDOW_MINUTES: i64 = 60;
/// Clocks and the order of writes differ by this much, in seconds.
const TOLERANCE_SECS: i64 = 2;
/// A write to a controller and the revision that came of it are this far apart, in seconds.
const SAME_CHANGE_SECS: i64 = 5;
/// Of an alert's expression that is shown, in characters.
const MAX_EXPRESSION_CHARS: usize = 200;
/// Changes of a revision that are named.
const MAX_PATHS: usize = 3;

pub fn entries(
    facts: &Facts,
    objects: &Objects,
    focus: &Focus<'_>,
    alerts: &[Alert],
    ledger: &mut Ledger,
) -> Vec<TimelineEntry> {
    let mut entries: Vec<TimelineEntry> = facts.rollouts.iter().filter_map(rollout).collect();
    entries.extend(
        changes::of_objects(objects, focus, ledger).into_iter().filter(|one| !is_told(one, &facts.rollouts)),
    );
    entries.extend(changes::of_nodes(facts, objects));
    entries.extend(scalings(&facts.events));
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
    mark_trigger(&mut entries, facts);
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
fn is_told(change: &TimelineEntry, rollouts: &[RolloutFact]) -> bool {
    rollouts.iter().any(|row| {
        let near =
            row.new_created_at.is_some_and(|at| (at - change.at).num_seconds().abs() <= SAME_CHANGE_SECS);
        near && change.what.starts_with(&format!("{} {} ", row.kind, row.name))
    })
}

/// Replicas that somebody changed: a rollout scales two sets at once, and is told by itself.
fn scalings(events: &[EventFact]) -> Vec<TimelineEntry> {
    let by_hand = events.iter().filter(|event| match event.reason.as_str() {
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
    });
    by_hand
        .filter_map(|event| {
            let what = format!("{} {}: {}", event.kind, event.name, event.message);
            Some(entry(event.last_at?, Moment::Scaling, what, &event.evidence))
        })
        .collect()
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

/// The last change before the first failure, if it can have to do with what fails.
fn mark_trigger(entries: &mut [TimelineEntry], facts: &Facts) {
    if facts.pods.iter().all(|pod| pod.healthy) && facts.affected.pods.unhealthy == 0 {
        return;
    }
    let failed = |one: &&TimelineEntry| matches!(one.kind, Moment::Failure | Moment::Restart | Moment::Alert);
    let Some(onset) = entries.iter().filter(failed).map(|one| one.at).min() else { return };
    let suspects = entries.iter().enumerate().filter(|(_, one)| {
        let ahead = (onset - one.at).num_seconds();
        one.kind.is_change() && (-TOLERANCE_SECS..=TRIGGER_WINDOW_MINUTES * 60).contains(&ahead)
    });
    let suspects = suspects.filter_map(|(index, one)| Some((index, because(one, facts)?)));
    let Some((index, because)) = suspects.max_by_key(|(index, _)| entries[*index].at) else { return };
    let ahead = (onset - entries[index].at).num_seconds().max(0);
    let after = if ahead == 0 {
        "at the same time".to_owned()
    } else {
        format!("{} later", super::units::span(ahead))
    };
    entries[index].trigger = true;
    entries[index].why = format!("{because}; the first sign of failure came {after}");
}

/// Why a change can have set the trouble off; None where it has nothing to do with the pods that fail.
fn because(change: &TimelineEntry, facts: &Facts) -> Option<String> {
    let bad = || facts.pods.iter().filter(|pod| !pod.healthy);
    match change.kind {
        Moment::Rollout => {
            let row = facts.rollouts.iter().find(|row| {
                change.what.starts_with(&format!("{} {} revision {} ", row.kind, row.name, row.revision))
                    || row.new_created_at == Some(change.at)
            })?;
            let older = bad().any(|pod| !pod.revision.is_empty() && pod.revision != row.revision);
            if row.previous_revision.is_empty() {
                return Some("it has failed ever since it was made".to_owned());
            }
            (!older).then(|| "only pods of this revision fail".to_owned())
        }
        Moment::Node => {
            let node = facts
                .nodes
                .iter()
                .find(|node| change.evidence == node.evidence && change.what.contains(&node.name))?;
            let all = bad().count();
            let there = bad().filter(|pod| pod.node == node.name).count();
            (there > 0).then(|| format!("{there} of {all} unhealthy pods are on this node"))
        }
        Moment::Config => {
            Some("it is the last change before the failure to anything the workload uses".to_owned())
        }
        Moment::Scaling => Some("it is the last change before the failure".to_owned()),
        _ => None,
    }
}

/// What is left out is in the middle: the beginning and the end tell the story, and what set it off.
fn shorten(entries: &mut Vec<TimelineEntry>) {
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
