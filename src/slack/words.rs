//! The words for what a report says in enums and numbers, shared by Slack's blocks and plain text.
//! Pure; what comes out still holds untrusted names and is escaped by whoever prints it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::report::{
    Affected, Category, Confidence, Cost, Coverage, Finding, Outcome, Radius, Report, Risk, Role, RunbookUse,
    TimelineEntry,
};

/// Workloads named one by one; beyond that they are counted.
const MAX_NAMED: usize = 5;

pub(crate) fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::KnownPattern | Outcome::RootCause => "Cause found",
        Outcome::Inconclusive => "No cause found yet",
        Outcome::NotAnIncident => "Nothing is broken",
    }
}

/// The label before a cause's statement: what is not proven is not told as if it were.
pub(crate) fn why(outcome: Outcome) -> &'static str {
    if outcome == Outcome::Inconclusive { "Suspected, not proven" } else { "Why" }
}

pub(crate) fn at_fault(outcome: Outcome) -> &'static str {
    if outcome == Outcome::Inconclusive { "Suspect" } else { "At fault" }
}

pub(crate) fn category(category: Category) -> &'static str {
    match category {
        Category::Code => "the program itself",
        Category::Configuration => "configuration",
        Category::Image => "the image",
        Category::Resources => "resources",
        Category::Dependency => "a dependency",
        Category::Platform => "the platform",
        Category::External => "outside the cluster",
    }
}

/// "high, 3 of 3 quotes found word for word" (in what was read).
pub(crate) fn confidence(report: &Report) -> String {
    let level = confidence_level(report.confidence);
    let verified = report.evidence.iter().filter(|evidence| evidence.verified).count();
    match report.evidence.len() {
        0 => format!("{level}, nothing to quote"),
        all => format!("{level}, {verified} of {all} quotes found word for word"),
    }
}

pub(crate) fn confidence_level(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    }
}

pub(crate) fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "changes nothing",
        Risk::Low => "low risk",
        Risk::High => "high risk, think before you run it",
    }
}

/// "this workload only; 2 of 2 pods unhealthy; in common: node node-3 (8 of 8)".
pub(crate) fn how_far(affected: &Affected) -> String {
    let mut parts = vec![
        match affected.radius {
            Radius::None => "no unhealthy workload was seen",
            Radius::Pod => "one pod of this workload",
            Radius::Workload => "this workload only",
            Radius::Node => "workloads on one node",
            Radius::Namespace => "several workloads of the namespace",
            Radius::Namespaces => "workloads in several namespaces",
            Radius::Cluster => "the whole cluster",
        }
        .to_owned(),
    ];
    let pods = affected.pods;
    if pods.total > 0 {
        parts.push(format!("{} of {} pods unhealthy", pods.unhealthy, pods.total));
    }
    if affected.workloads.len() > 1 {
        parts.push(listed(&affected.workloads));
    }
    if let Some(factor) = affected.shared_factor.as_deref().filter(|factor| !factor.is_empty()) {
        parts.push(format!("in common: {factor}"));
    }
    parts.join("; ")
}

/// "a, b, c and 4 more".
pub(crate) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

pub(crate) fn runbook(used: &RunbookUse) -> String {
    let name = match (used.name.as_str(), used.revision.as_str()) {
        ("", _) => return "No runbook matched: a page for this alert would help next time.".to_owned(),
        (name, "") => name.to_owned(),
        (name, revision) => format!("{name} at {}", revision.chars().take(12).collect::<String>()),
    };
    match used.coverage {
        Coverage::Covered => format!("Runbook {name}, written for this alert."),
        Coverage::Partial => format!("Runbook {name}, a general one: nothing is written for this alert yet."),
        Coverage::None => format!("Runbook {name}, which does not cover this alert."),
    }
}

/// "0.8 s, no model asked" or "41 s, 12 steps, 48210 tokens, $0.08".
pub(crate) fn cost(cost: &Cost) -> String {
    let seconds = cost.seconds.max(0.0);
    let took = if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") };
    let tokens = cost.input_tokens.saturating_add(cost.output_tokens);
    if tokens == 0 {
        return format!("{took}, no model asked, $0.00");
    }
    format!("{took}, {} steps, {tokens} tokens, ${:.2}", cost.steps, cost.usd.max(0.0))
}

/// With a full stop at its end.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', '…']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// "45 s", "18 min", "2 h 5 min", "3 d 4 h"; never negative, clocks may differ.
pub(crate) fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// What the list of things that were looked at and found well is called.
pub(crate) fn found_well(outcome: Outcome) -> &'static str {
    if outcome == Outcome::NotAnIncident { "What was checked and is well" } else { "What it is not" }
}

/// What to show of a timeline: the first entries, and what most likely set the trouble off among them.
pub(crate) fn timeline(report: &Report, most: usize) -> Vec<&TimelineEntry> {
    let mut entries: Vec<&TimelineEntry> = report.timeline.iter().collect();
    entries.sort_by_key(|entry| entry.at);
    let trigger = entries.iter().copied().find(|entry| entry.trigger);
    entries.truncate(most);
    if let Some(trigger) = trigger.filter(|one| !entries.iter().any(|entry| std::ptr::eq(*entry, *one))) {
        entries.pop();
        entries.push(trigger);
        entries.sort_by_key(|entry| entry.at);
    }
    entries
}

/// " (likeliest trigger: only pods of this revision fail)", or nothing.
pub(crate) fn trigger(entry: &TimelineEntry) -> String {
    match (entry.trigger, entry.why.as_str()) {
        (false, _) => String::new(),
        (true, "") => " (likeliest trigger)".to_owned(),
        (true, why) => format!(" (likeliest trigger: {why})"),
    }
}

/// Many workloads were looked at: each cause is told by itself.
pub(crate) fn is_wide(report: &Report) -> bool {
    report.findings.iter().any(|finding| !finding.workloads.is_empty())
}

/// A consequence on a workload that has no cause of its own; the rest of a workload's symptoms are not told.
pub(crate) fn is_victim(report: &Report, finding: &Finding) -> bool {
    let mut causes = report.findings.iter().filter(|one| one.role == Role::Primary);
    let elsewhere = !causes.any(|one| one.workloads.iter().any(|name| finding.workloads.contains(name)));
    finding.role == Role::Secondary && elsewhere
}

/// Evidence ids in the order in which they prove the report: the primary finding's first, then the rest.
pub(crate) fn evidence_order(report: &Report) -> Vec<usize> {
    let proves = |id: &str| {
        report
            .findings
            .iter()
            .position(|finding| finding.evidence.iter().any(|proof| proof == id))
            .unwrap_or(usize::MAX)
    };
    let mut order: Vec<usize> = (0..report.evidence.len()).collect();
    order.sort_by_key(|&at| (!report.evidence[at].verified, proves(&report.evidence[at].id), at));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::PodCount;

    #[test]
    fn times_read_as_people_say_them() {
        for (seconds, words) in
            [(-5, "0 s"), (45, "45 s"), (1080, "18 min"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")]
        {
            assert_eq!(span(TimeDelta::seconds(seconds)), words);
        }
    }

    #[test]
    fn the_reach_names_what_is_shared_and_counts_the_rest() {
        let affected = Affected {
            radius: Radius::Node,
            workloads: (1..=7).map(|n| format!("Deployment shop/w{n}")).collect(),
            pods: PodCount { unhealthy: 8, total: 9 },
            shared_factor: Some("node node-3 (8 of 8)".to_owned()),
        };
        let words = how_far(&affected);
        assert!(
            words.starts_with("workloads on one node; 8 of 9 pods unhealthy; Deployment shop/w1, "),
            "{words}"
        );
        assert!(words.ends_with("w5 and 2 more; in common: node node-3 (8 of 8)"), "{words}");
    }
}
