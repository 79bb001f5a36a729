//! What of a report is shown, and in which order, whatever the language: a report goes in, its parts come out. Pure.

use chrono::{DateTime, Utc};

use crate::report::{Changed, Evidence, Finding, Near, Report, Role, TimelineEntry};

/// Shorter quotes stand in too many lines to tell a time.
const MIN_TELLING: usize = 12;

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

/// What to show of the ranking: what has to do with the workload, and the rest only where nothing has. The page and the
/// API show all of it.
pub(crate) fn changed_first(report: &Report, most: usize) -> Vec<&Changed> {
    let is_related = |one: &&Changed| one.near != Near::Neighbour;
    let any_related = report.changed_first.iter().any(|one| is_related(&one));
    report.changed_first.iter().filter(|one| !any_related || is_related(one)).take(most).collect()
}

/// When what a quote says happened, where the timeline has the very words of the same observation.
pub(crate) fn said_at(report: &Report, evidence: &Evidence) -> Option<DateTime<Utc>> {
    let quote = evidence.quote.trim();
    let same = |entry: &&TimelineEntry| entry.evidence == evidence.id && entry.what.contains(quote);
    let first = report.timeline.iter().filter(same).min_by_key(|entry| entry.at);
    first.filter(|_| quote.len() >= MIN_TELLING).map(|entry| entry.at)
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
