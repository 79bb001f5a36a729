//! Facts and findings become a report. Pure: no clock, no network, no model. What no signature explains ends
//! inconclusive, with what was found and what could not be looked at.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::report::{
    Cause, Confidence, Cost, Coverage, Evidence, Finding, Gap, NextStep, Outcome, Report, Role, RunbookUse,
    TimelineEntry,
};

use super::healthy::{self, Healthy};
use super::verify::verify;

/// Next steps shown: a reader of two minutes does not do more.
const MAX_NEXT_STEPS: usize = 5;
/// Where many workloads were looked at: the first step of each cause.
const MAX_NEXT_STEPS_WIDE: usize = 12;
/// What Kubernetes allows.
const MAX_NAMESPACE_BYTES: usize = 63;

/// What the report is made of beside the facts.
pub struct Judgement {
    pub findings: Vec<Finding>,
    /// A primary finding names a cause, not merely a symptom.
    pub explained: bool,
    pub gaps: Vec<Gap>,
    pub runbook: RunbookUse,
    pub seconds: f64,
}

/// Writes the report of an investigation without a model.
pub fn conclude(facts: &Facts, judgement: Judgement) -> Report {
    let Judgement { mut findings, explained, mut gaps, runbook, seconds } = judgement;
    let evidence = verify(&mut findings, &facts.observations);
    gaps.splice(0..0, facts.gaps.iter().cloned());
    if let Some(healthy) = healthy::judge(facts, &findings, &gaps) {
        return calm(facts, healthy, Judgement { findings, explained, gaps, runbook, seconds });
    }
    let primary = findings.iter().find(|finding| finding.role == Role::Primary).cloned();
    let cause = primary.filter(|_| explained).map(|finding| Cause {
        id: finding.signature,
        category: finding.category,
        statement: finding.statement,
        object: finding.object,
    });
    let wide = !facts.parts.is_empty();
    let next_steps =
        if wide { first_steps(&findings) } else { next_steps(facts, &findings, &gaps, &runbook) };
    if !wide {
        findings.iter_mut().for_each(|finding| finding.next_steps.clear());
    }
    let outcome = if cause.is_some() { Outcome::KnownPattern } else { Outcome::Inconclusive };
    Report {
        outcome,
        summary: if wide {
            summary_of_many(facts, &findings)
        } else {
            summary(facts, cause.as_ref(), &findings)
        },
        confidence: confidence(cause.as_ref(), &findings, &evidence, &gaps),
        affected: facts.affected.clone(),
        timeline: facts.timeline.clone(),
        onset_at: facts.onset_at,
        changed_first: facts.changed.clone(),
        evidence,
        ruled_out: Vec::new(),
        next_steps,
        runbook,
        cost: Cost { seconds, ..Cost::default() },
        gaps,
        unproven: Vec::new(),
        muted: None,
        policy: None,
        held_back: None,
        cause,
        findings,
    }
}

/// Nothing is broken: what was checked takes the place of findings.
fn calm(facts: &Facts, healthy: Healthy, judgement: Judgement) -> Report {
    // What changed set nothing off.
    let unmarked =
        |entry: &TimelineEntry| TimelineEntry { trigger: false, why: String::new(), ..entry.clone() };
    let timeline = facts.timeline.iter().map(unmarked).collect();
    // What could not be read did not matter, but is told.
    let confidence = if judgement.gaps.is_empty() { Confidence::High } else { Confidence::Medium };
    Report {
        outcome: Outcome::NotAnIncident,
        summary: healthy.summary,
        cause: None,
        confidence,
        affected: facts.affected.clone(),
        findings: Vec::new(),
        timeline,
        onset_at: None,
        changed_first: Vec::new(),
        evidence: healthy.evidence,
        ruled_out: healthy.checked,
        next_steps: Vec::new(),
        runbook: judgement.runbook,
        cost: Cost { seconds: judgement.seconds, ..Cost::default() },
        gaps: judgement.gaps,
        unproven: Vec::new(),
        muted: None,
        policy: None,
        held_back: None,
    }
}

fn summary(facts: &Facts, cause: Option<&Cause>, findings: &[Finding]) -> String {
    let pods = facts.affected.pods;
    let reach = match (pods.unhealthy, pods.total) {
        (_, 0) => String::new(),
        (0, total) => format!(" All {total} pods are healthy."),
        (unhealthy, total) => format!(" {unhealthy} of {total} pods are unhealthy."),
    };
    match cause {
        Some(cause) => {
            let others = findings.iter().filter(|one| one.role == Role::Primary).count().saturating_sub(1);
            let also = match others {
                0 => String::new(),
                1 => " One more, independent problem was found.".to_owned(),
                n => format!(" {n} more, independent problems were found."),
            };
            format!("{}{reach}{also}", cause.statement)
        }
        None => match findings.first() {
            Some(finding) => {
                format!("No known cause explains this alert. What was found: {}{reach}", finding.statement)
            }
            None => format!("No known failure pattern was found on {}.{reach}", facts.workload.short()),
        },
    }
}

/// Of a namespace or a node: how many causes on how many workloads, and the first of them.
fn summary_of_many(facts: &Facts, findings: &[Finding]) -> String {
    let primaries: Vec<&Finding> = findings.iter().filter(|one| one.role == Role::Primary).collect();
    let of = |role: Role| {
        let on = findings.iter().filter(|one| one.role == role).flat_map(|one| &one.workloads);
        on.collect::<BTreeSet<_>>()
    };
    let struck = of(Role::Primary);
    let also = of(Role::Secondary).difference(&struck).count();
    let all = facts.parts.len().saturating_sub(1);
    let pods = facts.affected.pods;
    let place = format!("{} {}", facts.workload.kind, facts.workload.name);
    let Some(first) = primaries.first() else {
        let reach = format!("{} of {} pods are unhealthy", pods.unhealthy, pods.total);
        return format!(
            "No known failure pattern was found in {place}: {all} workloads were looked at, {reach}."
        );
    };
    let causes = match primaries.len() {
        1 => "one cause".to_owned(),
        many => format!("{many} independent causes"),
    };
    let victims = match also {
        0 => String::new(),
        1 => ", one more suffers from them".to_owned(),
        many => format!(", {many} more suffer from them"),
    };
    let reach = format!("{} of {} workloads are struck{victims}", struck.len(), all);
    format!(
        "{place}: {causes}; {reach}; {} of {} pods are unhealthy. First: {}",
        pods.unhealthy, pods.total, first.statement
    )
}

/// What to do first about each cause.
fn first_steps(findings: &[Finding]) -> Vec<NextStep> {
    let mut steps: Vec<NextStep> = Vec::new();
    for finding in findings.iter().filter(|one| one.role == Role::Primary) {
        if let Some(step) = finding.next_steps.first().filter(|step| !steps.contains(step)) {
            steps.push(step.clone());
        }
    }
    steps.truncate(MAX_NEXT_STEPS_WIDE);
    steps
}

/// From what was verified, never from how sure a text sounds.
fn confidence(
    cause: Option<&Cause>,
    findings: &[Finding],
    evidence: &[Evidence],
    gaps: &[Gap],
) -> Confidence {
    let Some(cause) = cause else { return Confidence::Low };
    let own = findings.iter().find(|finding| finding.signature == cause.id && finding.object == cause.object);
    let quotes = own.map_or(0, |finding| finding.evidence.len());
    // A cause on another workload is no rival.
    let same = |finding: &&Finding| own.is_some_and(|own| own.workloads == finding.workloads);
    let rivals = findings.iter().filter(|finding| finding.role == Role::Primary).filter(same).count() > 1;
    let kubernetes_is_dark = gaps.iter().any(|gap| gap.source == "kubernetes");
    match (quotes, rivals || kubernetes_is_dark) {
        (0, _) => Confidence::Low,
        (_, true) => Confidence::Medium,
        _ if evidence.iter().all(|one| one.verified) => Confidence::High,
        _ => Confidence::Medium,
    }
}

/// A namespace may come from a label, which holds anything; people paste commands into a shell.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= MAX_NAMESPACE_BYTES && text.bytes().all(plain) && !text.starts_with('-')
}

fn next_steps(facts: &Facts, findings: &[Finding], gaps: &[Gap], runbook: &RunbookUse) -> Vec<NextStep> {
    let mut steps: Vec<NextStep> = Vec::new();
    for step in findings.iter().filter(|one| one.role == Role::Primary).flat_map(|one| &one.next_steps) {
        if !steps.contains(step) {
            steps.push(step.clone());
        }
    }
    if steps.is_empty() {
        let text = |text: &str, command: String| NextStep {
            text: text.to_owned(),
            command,
            risk: crate::report::Risk::None,
        };
        if !gaps.is_empty() {
            steps.push(text(
                "Close the gaps below first: what could not be read may hold the cause.",
                String::new(),
            ));
        }
        if is_name(&facts.workload.namespace) {
            steps.push(text(
                "Look at the newest events of the namespace.",
                format!("kubectl -n {} get events --sort-by=.lastTimestamp", facts.workload.namespace),
            ));
        }
        if runbook.coverage != Coverage::Covered {
            steps.push(text(
                "Write a runbook for this alert: the next investigation starts from it.",
                String::new(),
            ));
        }
    }
    steps.truncate(MAX_NEXT_STEPS);
    steps
}
