//! What happened when: rollout, first failure, first warning of each reason, last end, and the alert,
//! in order of time, each with its evidence. Pure.

use std::collections::BTreeMap;

use crate::alert::Alert;
use crate::facts::{EventFact, Facts};
use crate::report::TimelineEntry;

/// Most entries.
const MAX_ENTRIES: usize = 24;

pub fn entries(facts: &Facts, alerts: &[Alert]) -> Vec<TimelineEntry> {
    let mut entries = Vec::new();
    for row in &facts.rollouts {
        if let Some(at) = row.new_created_at {
            let cause = if row.change_cause.is_empty() { "" } else { &row.change_cause };
            let cause = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
            let what = format!("{} {} revision {}{cause} created", row.kind, row.name, row.revision);
            entries.push(TimelineEntry { at, what, evidence: row.evidence.clone() });
        }
    }
    for row in &facts.jobs {
        if let (true, Some(at)) = (row.failed, row.finished_at) {
            let what = format!("Job {} failed: {}", row.name, row.failed_reason);
            entries.push(TimelineEntry { at, what, evidence: row.evidence.clone() });
        }
    }
    entries.extend(first_warnings(&facts.events));
    entries.extend(ends(facts));
    for alert in alerts.iter().filter(|alert| alert.is_firing()) {
        let what = format!("alert {} began to fire", alert.name());
        entries.push(TimelineEntry { at: alert.starts_at, what, evidence: String::new() });
    }
    entries.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
    entries.dedup_by(|a, b| a.at == b.at && a.what == b.what);
    // What is left out is in the middle: the beginning and the end tell the story.
    if entries.len() > MAX_ENTRIES {
        let tail = entries.split_off(entries.len() - MAX_ENTRIES / 2);
        entries.truncate(MAX_ENTRIES / 2);
        entries.extend(tail);
    }
    entries
}

fn first_warnings(events: &[EventFact]) -> Vec<TimelineEntry> {
    let mut first: BTreeMap<(&str, &str), &EventFact> = BTreeMap::new();
    for event in events.iter().filter(|event| event.level == "Warning" && event.first_at.is_some()) {
        let known = first.entry((&event.kind, &event.reason)).or_insert(event);
        if event.first_at < known.first_at {
            *known = event;
        }
    }
    let entry = |event: &EventFact| {
        let what = format!("first {} of {} {}: {}", event.reason, event.kind, event.name, event.message);
        Some(TimelineEntry { at: event.first_at?, what, evidence: event.evidence.clone() })
    };
    first.into_values().filter_map(entry).collect()
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
            entries.push(TimelineEntry { at: *at, what, evidence: row.evidence.clone() });
        }
    }
    entries
}
