//! The rows of facts that matter, as lines that can be quoted: each stands verbatim in the observation that it
//! names. Pure; healthy rows are counted, not shown.

use std::collections::BTreeMap;

use crate::facts::{ContainerFact, EventFact, Facts};

/// Pods of one container's fault that are shown; the others are counted.
const MAX_ALIKE: usize = 1;
const MAX_EVENTS: usize = 8;
/// Rules and measurements.
const MAX_MEASURED: usize = 6;
const MAX_LOG_LINES: usize = 6;
const MAX_READ: usize = 24;

pub fn lines(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    // What the alert measures comes first, and what else Prometheus knows of what fails.
    let rules = facts.alert_rules.iter().map(|row| (&row.evidence, &row.quote));
    let usage = facts.usage.iter().map(|row| (&row.evidence, &row.quote));
    let targets = facts.targets.iter().map(|row| (&row.evidence, &row.quote));
    lines.extend(rules.chain(targets).chain(usage).take(MAX_MEASURED).map(|(id, quote)| quoted(id, quote)));
    containers(facts, &mut lines);
    for row in facts.pods.iter().filter(|pod| !pod.healthy && !has_failing_container(facts, &pod.name)) {
        lines.push(quoted(&row.evidence, &row.quote));
    }
    for row in &facts.rollouts {
        lines.push(quoted(&row.evidence, &row.quote));
        if !row.changes_text.is_empty() && !row.quote.contains(&row.changes_text) {
            lines.push(quoted(
                &row.evidence,
                &format!("changed by revision {}: {}", row.revision, row.changes_text),
            ));
        }
    }
    objects(facts, &mut lines);
    events(&facts.events, &mut lines);
    for row in &facts.dependencies {
        lines.push(format!(
            "[{}] {} names {}:{} ({}); Service there: {}, ready endpoints: {}",
            row.evidence,
            row.container,
            row.host,
            row.port,
            row.class,
            row.service_exists,
            row.ready_endpoints
        ));
    }
    let healthy = facts.pods.iter().filter(|pod| pod.healthy).count();
    if healthy > 0 {
        lines.push(format!("{healthy} of {} pods are healthy", facts.pods.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    lines
}

/// Requests that were made already, shortest form.
pub fn read_already(facts: &Facts) -> Vec<String> {
    let mut lines: Vec<String> = facts
        .observations
        .iter()
        .take(MAX_READ)
        .map(|one| format!("{} {} {}", one.id, one.source, one.query))
        .collect();
    if facts.observations.len() > MAX_READ {
        lines.push(format!("and {} more", facts.observations.len() - MAX_READ));
    }
    lines
}

fn quoted(evidence: &str, quote: &str) -> String {
    if evidence.is_empty() { quote.to_owned() } else { format!("[{evidence}] {quote}") }
}

fn has_failing_container(facts: &Facts, pod: &str) -> bool {
    facts.containers.iter().any(|row| row.failing && row.pod == pod)
}

fn containers(facts: &Facts, lines: &mut Vec<String>) {
    let mut alike: BTreeMap<(&str, &str, &str, i64), Vec<&ContainerFact>> = BTreeMap::new();
    for row in facts.containers.iter().filter(|row| row.failing) {
        let key = (row.name.as_str(), row.waiting_reason.as_str(), row.exit_reason.as_str(), row.exit_code);
        alike.entry(key).or_default().push(row);
    }
    for rows in alike.values() {
        for row in rows.iter().take(MAX_ALIKE) {
            lines.push(quoted(&row.evidence, &row.quote));
            if !row.command.is_empty() && !row.quote.contains(&row.command) {
                lines.push(format!("  command of {}: {}", row.name, row.command));
            }
            log_lines(facts, row, lines);
        }
        if rows.len() > MAX_ALIKE {
            lines.push(format!("  and the same in {} more pods", rows.len() - MAX_ALIKE));
        }
    }
}

/// The telling line first, then the last ones that stand in the ledger as they are.
fn log_lines(facts: &Facts, row: &ContainerFact, lines: &mut Vec<String>) {
    if row.log_evidence.is_empty() {
        return;
    }
    if !row.log_line.is_empty() {
        lines.push(format!("[{}] log: {}", row.log_evidence, row.log_line));
    }
    let Some(observation) = facts.observations.iter().find(|one| one.id == row.log_evidence) else { return };
    let from = row.log_tail.len().saturating_sub(MAX_LOG_LINES);
    for line in &row.log_tail[from..] {
        if *line != row.log_line && !line.trim().is_empty() && observation.text.contains(line.as_str()) {
            lines.push(format!("[{}] log: {line}", row.log_evidence));
        }
    }
}

/// Objects that are not as they should be.
fn objects(facts: &Facts, lines: &mut Vec<String>) {
    let mut add = |evidence: &str, quote: &str| lines.push(quoted(evidence, quote));
    for row in facts.references.iter().filter(|row| row.exists == "no" || row.key_exists == "no") {
        add(&row.evidence, &row.quote);
    }
    for row in facts.claims.iter().filter(|row| row.phase != "Bound") {
        add(&row.evidence, &row.quote);
    }
    for row in facts.services.iter().filter(|row| !row.mismatch.is_empty() || row.ready_endpoints == 0) {
        add(&row.evidence, &row.quote);
    }
    for row in facts.quotas.iter().filter(|row| row.full) {
        add(&row.evidence, &row.quote);
    }
    for row in facts.jobs.iter().filter(|row| row.failed) {
        add(&row.evidence, &row.quote);
    }
    for row in &facts.cronjobs {
        add(&row.evidence, &row.quote);
    }
    for row in facts.hpas.iter().filter(|row| !row.reason.is_empty() || !row.limited_reason.is_empty()) {
        add(&row.evidence, &row.quote);
    }
    for row in
        facts.nodes.iter().filter(|row| row.ready != "True" || !row.pressures.is_empty() || row.cordoned)
    {
        add(&row.evidence, &row.quote);
    }
}

/// Newest warnings, one of each reason and object.
fn events(events: &[EventFact], lines: &mut Vec<String>) {
    let mut warnings: Vec<&EventFact> = events.iter().filter(|event| event.level == "Warning").collect();
    warnings.sort_by_key(|event| event.age_seconds);
    let mut seen = std::collections::BTreeSet::new();
    let fresh = warnings.into_iter().filter(|event| seen.insert((&event.kind, &event.reason)));
    lines.extend(fresh.take(MAX_EVENTS).map(|event| quoted(&event.evidence, &event.quote)));
}
