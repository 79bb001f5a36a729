//! The summary in the thread: a checked report becomes what an engineer reads at 3 am in two minutes. Verdict
//! first, then what proves it, what changed, what to do, what nobody could look at. Inconclusive is made with
//! the same care: what was found, what was ruled out, what is missing.

use super::escape::{code, fence, inline, length};
use super::{Message, Page, link};
use crate::report::{Evidence, Gap, NextStep, Outcome, Report, Role};
use crate::slack::words;
use crate::workload::Workload;

const MAX_QUOTES: usize = 3;
const MAX_TIMELINE: usize = 5;
const MAX_STEPS: usize = 4;
const MAX_FINDINGS: usize = 4;
/// Causes that are told one by one where many workloads were looked at.
const MAX_CAUSES: usize = 8;
const MAX_RULED_OUT: usize = 4;
const MAX_UNPROVEN: usize = 3;
const MAX_GAPS: usize = 5;
const MAX_SENTENCE: usize = 400;
const MAX_PARAGRAPH: usize = 900;
const MAX_QUOTE: usize = 600;
const MAX_NAME: usize = 160;
/// A longer command is not shown at all: half a command is worse than none.
const MAX_COMMAND: usize = 1_500;

/// A finished investigation. `url` comes from `investigation_url`.
pub fn summary(workload: &Workload, report: &Report, url: Option<&str>) -> Message {
    let mut page = Page::default();
    page.header(&format!("{}: {}", words::verdict(report.outcome), workload.short()));
    page.section(&verdict(report));
    if report.outcome == Outcome::Inconclusive {
        page.section(&findings(report, "*What was found*"));
        page.section(&ruled_out(report));
        page.section(&unproven(report));
        page.section(&gaps(&report.gaps));
        evidence(&mut page, report, "*What was read*");
        page.section(&timeline(report));
        next_steps(&mut page, report, "*What to look at next*");
    } else {
        if report.outcome == Outcome::NotAnIncident {
            page.section(&ruled_out(report));
        }
        if words::is_wide(report) {
            page.section(&causes(report));
        }
        evidence(&mut page, report, "*What proves it*");
        page.section(&timeline(report));
        next_steps(&mut page, report, "*What to do next*");
        page.section(&findings(report, "*Also seen*"));
        page.section(&unproven(report));
        page.section(&gaps(&report.gaps));
    }
    page.context(&footer(report, url));
    page.message(&fallback(workload, report))
}

/// Another look that came to the result that already stands in the thread: one line, not the whole again.
pub fn unchanged(workload: &Workload, report: &Report, reason: &str, url: Option<&str>) -> Message {
    let result = match &report.cause {
        Some(_) => "the cause is the same as before",
        None => "still no cause was found",
    };
    let reason = inline(reason, MAX_SENTENCE);
    let mut page = Page::default();
    page.section(&[format!(
        "*Looked again* ({reason}): {result}. How far: {}.",
        inline(&words::how_far(&report.affected), MAX_SENTENCE)
    )]);
    page.context(&[url.map(|url| link(url, "Full report")).unwrap_or_default()]);
    page.message(&format!("Looked again at {}: {result}.", workload.short()))
}

/// An investigation that ended without a report: people must not wait for one.
pub fn gave_up(workload: &Workload, error: &str, url: Option<&str>) -> Message {
    let mut page = Page::default();
    page.header(&format!("Could not investigate: {}", workload.short()));
    page.section(&[
        format!("*Why:* {}", inline(error, MAX_PARAGRAPH)),
        "Every attempt failed, so nothing is known about the cause. Please look at the workload yourself."
            .to_owned(),
    ]);
    page.context(&[url.map(|url| link(url, "Details")).unwrap_or_default()]);
    page.message(&format!("Could not investigate: {}. {error}", workload.short()))
}

fn verdict(report: &Report) -> Vec<String> {
    let mut lines = vec![inline(&report.summary, MAX_PARAGRAPH)];
    if let Some(cause) = &report.cause {
        if !report.summary.contains(&cause.statement) {
            let why = inline(&cause.statement, MAX_PARAGRAPH);
            lines.push(format!("*{}:* {why}", words::why(report.outcome)));
        }
        let object = code(&cause.object.short(), MAX_NAME);
        lines.push(format!(
            "*{}:* {object} ({})",
            words::at_fault(report.outcome),
            words::category(cause.category)
        ));
    }
    lines.push(format!("*How far:* {}", inline(&words::how_far(&report.affected), MAX_PARAGRAPH)));
    if report.outcome != Outcome::Inconclusive {
        lines.push(format!("*Confidence:* {}", words::confidence(report)));
    }
    lines
}

/// One block a quote, so that each stays within a section.
fn evidence(page: &mut Page, report: &Report, title: &str) {
    let order = words::evidence_order(report);
    for (at, &index) in order.iter().take(MAX_QUOTES).enumerate() {
        let evidence = &report.evidence[index];
        let title = if at == 0 { title.to_owned() } else { String::new() };
        page.section(&[title, source(evidence), block(&evidence.quote, MAX_QUOTE)]);
    }
    if let Some(more) = order.len().checked_sub(MAX_QUOTES).filter(|&more| more > 0) {
        page.context(&[format!("{more} more in the full report.")]);
    }
}

/// A code block, or nothing for nothing: Slack shows an empty one as six backticks.
fn block(text: &str, max: usize) -> String {
    if text.trim().is_empty() { String::new() } else { fence(text, max) }
}

fn source(evidence: &Evidence) -> String {
    let doubt = if evidence.verified { "" } else { " (this quote was *not* found in what was read)" };
    format!(
        "{} from {}: {}{doubt}",
        inline(&evidence.id, 12),
        inline(&evidence.source, 40),
        code(&evidence.query, MAX_SENTENCE)
    )
}

fn timeline(report: &Report) -> Vec<String> {
    let entries = words::timeline(report, MAX_TIMELINE);
    let Some(first) = entries.first().map(|entry| entry.at) else { return Vec::new() };
    let one_day = entries.iter().all(|entry| entry.at.date_naive() == first.date_naive());
    let mut lines = vec![if one_day {
        format!("*What changed first* ({}, UTC)", first.format("%Y-%m-%d"))
    } else {
        "*What changed first* (UTC)".to_owned()
    }];
    let format = if one_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    for entry in entries {
        let (what, why) = (inline(&entry.what, MAX_SENTENCE), inline(&words::trigger(entry), MAX_SENTENCE));
        let (mark, space) = if why.is_empty() { ("•", "") } else { (":arrow_right:", " ") };
        lines.push(format!("{mark} {}  {what}{space}{}", entry.at.format(format), why.trim_start()));
    }
    more(&mut lines, report.timeline.len(), MAX_TIMELINE);
    lines
}

fn next_steps(page: &mut Page, report: &Report, title: &str) {
    for (at, step) in report.next_steps.iter().take(MAX_STEPS).enumerate() {
        let title = if at == 0 { title.to_owned() } else { String::new() };
        page.section(&[title, step_line(at + 1, step), command(step)]);
    }
}

fn step_line(number: usize, step: &NextStep) -> String {
    let text = inline(&step.text, MAX_SENTENCE);
    match step.command.trim() {
        "" => format!("{number}. {text}"),
        _ => format!("{number}. {text} ({})", words::risk(step.risk)),
    }
}

fn command(step: &NextStep) -> String {
    let whole = block(&step.command, usize::MAX);
    if length(&whole) > MAX_COMMAND {
        return "The command is too long for Slack; it stands in the full report.".to_owned();
    }
    whole
}

/// One line a cause: where many workloads were looked at, that is the result.
fn causes(report: &Report) -> Vec<String> {
    let causes: Vec<_> = report.findings.iter().filter(|finding| finding.role == Role::Primary).collect();
    let mut lines = vec!["*What is broken*".to_owned()];
    for (at, finding) in causes.iter().take(MAX_CAUSES).enumerate() {
        let object = code(&finding.object.short(), MAX_NAME);
        let on: Vec<String> =
            finding.workloads.iter().filter(|name| **name != finding.object.short()).cloned().collect();
        let on = if on.is_empty() { String::new() } else { format!(" ({})", words::listed(&on)) };
        let statement = inline(&finding.statement, MAX_SENTENCE);
        lines.push(format!("{}. {object}{}: {statement}", at + 1, inline(&on, MAX_NAME)));
    }
    more(&mut lines, causes.len(), MAX_CAUSES);
    lines
}

fn findings(report: &Report, title: &str) -> Vec<String> {
    let wide = words::is_wide(report);
    let told_above = |role| role == Role::Primary && report.outcome != Outcome::Inconclusive;
    let rest: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !told_above(finding.role) && (!wide || words::is_victim(report, finding)))
        .collect();
    if rest.is_empty() {
        return match report.outcome {
            Outcome::Inconclusive => vec![title.to_owned(), "No known pattern matched.".to_owned()],
            _ => Vec::new(),
        };
    }
    let mut lines = vec![title.to_owned()];
    for finding in rest.iter().take(MAX_FINDINGS) {
        let object = code(&finding.object.short(), MAX_NAME);
        lines.push(format!("• {object}: {}", inline(&finding.statement, MAX_SENTENCE)));
    }
    more(&mut lines, rest.len(), MAX_FINDINGS);
    lines
}

fn ruled_out(report: &Report) -> Vec<String> {
    if report.ruled_out.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("*{}*", words::found_well(report.outcome))];
    for item in report.ruled_out.iter().take(MAX_RULED_OUT) {
        let proof = match item.evidence.as_slice() {
            [] => String::new(),
            ids => format!(" ({})", inline(&words::listed(ids), 60)),
        };
        lines.push(format!("• {}{proof}", inline(&item.statement, MAX_SENTENCE)));
    }
    more(&mut lines, report.ruled_out.len(), MAX_RULED_OUT);
    lines
}

/// Claims of the model that code struck. People may know better, so they are not hidden.
fn unproven(report: &Report) -> Vec<String> {
    if report.unproven.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["*Claimed by the model, not proven*".to_owned()];
    for claim in report.unproven.iter().take(MAX_UNPROVEN) {
        let why = inline(&claim.why, MAX_SENTENCE / 2);
        lines.push(format!("• {} ({why})", inline(&claim.statement, MAX_SENTENCE)));
    }
    more(&mut lines, report.unproven.len(), MAX_UNPROVEN);
    lines
}

fn gaps(gaps: &[Gap]) -> Vec<String> {
    if gaps.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["*What could not be looked at*".to_owned()];
    for gap in gaps.iter().take(MAX_GAPS) {
        let (source, what) = (inline(&gap.source, 40), inline(&gap.what, MAX_SENTENCE / 2));
        lines.push(format!("• {source}, {what}: {}", inline(&gap.why, MAX_SENTENCE / 2)));
    }
    more(&mut lines, gaps.len(), MAX_GAPS);
    lines
}

fn footer(report: &Report, url: Option<&str>) -> Vec<String> {
    let mut lines = vec![
        inline(&words::runbook(&report.runbook), MAX_SENTENCE),
        inline(&format!("Investigated in {}.", words::cost(&report.cost)), MAX_SENTENCE),
    ];
    lines.extend(url.map(|url| link(url, "Full report")));
    lines
}

fn more(lines: &mut Vec<String>, all: usize, shown: usize) {
    if let Some(more) = all.checked_sub(shown).filter(|&more| more > 0) {
        lines.push(format!("… and {more} more in the full report"));
    }
}

fn fallback(workload: &Workload, report: &Report) -> String {
    let mut parts = vec![format!("{}: {}.", words::verdict(report.outcome), workload.short())];
    parts.push(words::sentence(&report.summary));
    if let Some(cause) = report.cause.as_ref().filter(|cause| cause.statement != report.summary) {
        parts.push(format!("{}: {}", words::why(report.outcome), words::sentence(&cause.statement)));
    }
    if let Some(step) = report.next_steps.first() {
        parts.push(format!("Next: {}", words::sentence(&step.text)));
    }
    parts.join(" ")
}
