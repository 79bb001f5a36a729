//! The summary in the thread: a checked report becomes what an engineer reads at 3 am in two minutes. Verdict
//! first, then what proves it, what changed, what to do, what nobody could look at. Inconclusive is made with
//! the same care: what was found, what was ruled out, what is missing.

use super::buttons::{Action, buttons};
use super::changed::{changed, timeline};
use super::escape::{code, fence, inline, length};
use super::{Message, Page, Telling, before};
use crate::report::{Evidence, Gap, NextStep, Outcome, Report, Role};
use crate::words::{self, Words, fill, sentence};
use crate::workload::Workload;

const MAX_QUOTES: usize = 3;
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

/// A finished investigation.
pub fn summary(telling: Telling<'_>, workload: &Workload, report: &Report) -> Message {
    let words = telling.words;
    let mut page = Page::default();
    page.header(&format!("{}: {}", words.verdict(report.outcome), workload.short()));
    page.section(&verdict(words, report));
    if report.outcome == Outcome::Inconclusive {
        page.section(&findings(words, report, words.what_was_found));
        page.section(&ruled_out(words, report));
        page.section(&unproven(words, report));
        page.section(&gaps(words, &report.gaps));
        evidence(&mut page, telling, report, words.what_was_read);
        page.section(&changed(words, report));
        page.section(&timeline(words, report));
        next_steps(&mut page, words, report, words.what_to_look_at);
    } else {
        if report.outcome == Outcome::NotAnIncident {
            page.section(&ruled_out(words, report));
        }
        if words::is_wide(report) {
            page.section(&causes(words, report));
        }
        evidence(&mut page, telling, report, words.what_proves_it);
        page.section(&changed(words, report));
        page.section(&timeline(words, report));
        next_steps(&mut page, words, report, words.what_to_do);
        page.section(&findings(words, report, words.also_seen));
        page.section(&unproven(words, report));
        page.section(&gaps(words, &report.gaps));
    }
    if let Some(last) = telling.before {
        page.section(&before::lines(words, last, Some(report)));
    }
    page.context(&footer(telling, report));
    if let Some(investigation) = telling.buttons {
        page.push(buttons(words, investigation, &actions(report)));
    }
    page.message(&fallback(words, workload, report))
}

/// Only a cause can be called no problem.
fn actions(report: &Report) -> Vec<Action> {
    let fits = |action: &Action| *action != Action::NotAProblem || report.cause.is_some();
    Action::ALL.into_iter().filter(fits).collect()
}

/// Another look that came to the result that already stands in the thread: one line, not the whole again.
pub fn unchanged(telling: Telling<'_>, workload: &Workload, report: &Report, reason: &str) -> Message {
    let words = telling.words;
    let result = if report.cause.is_some() { words.same_cause } else { words.still_no_cause };
    let far = inline(&words.how_far(&report.affected), MAX_SENTENCE);
    let mut page = Page::default();
    page.section(&[
        format!("*{}* ({}): {result}.", words.looked_again, inline(reason, MAX_SENTENCE)),
        format!("*{}:* {far}", words.how_far),
    ]);
    page.context(&[telling.link(words.full_report)]);
    page.message(&format!("{}: {}: {result}.", words.looked_again, workload.short()))
}

/// An investigation that ended without a report: people must not wait for one.
pub fn gave_up(telling: Telling<'_>, workload: &Workload, error: &str) -> Message {
    let words = telling.words;
    let mut page = Page::default();
    page.header(&format!("{}: {}", words.could_not, workload.short()));
    let why = format!("*{}:* {}", words.gave_up_why, inline(error, MAX_PARAGRAPH));
    page.section(&[why, words.gave_up.to_owned()]);
    page.context(&[telling.link(words.details)]);
    if let Some(investigation) = telling.buttons {
        page.push(buttons(words, investigation, &[Action::Rerun]));
    }
    page.message(&format!("{}: {}. {error}", words.could_not, workload.short()))
}

fn verdict(words: &Words, report: &Report) -> Vec<String> {
    let mut lines = vec![inline(&report.summary, MAX_PARAGRAPH)];
    if let Some(cause) = &report.cause {
        if !report.summary.contains(&cause.statement) {
            let why = inline(&cause.statement, MAX_PARAGRAPH);
            lines.push(format!("*{}:* {why}", words.why(report.outcome)));
        }
        let object = code(&cause.object.short(), MAX_NAME);
        let category = words.category(cause.category);
        lines.push(format!("*{}:* {object} ({category})", words.at_fault(report.outcome)));
    }
    let far = inline(&words.how_far(&report.affected), MAX_PARAGRAPH);
    lines.push(format!("*{}:* {far}", words.how_far));
    if report.outcome != Outcome::Inconclusive {
        lines.push(format!("*{}:* {}", words.confidence, words.confidence(report)));
    }
    lines.push(inline(&words.held_back(report), MAX_SENTENCE));
    lines
}

/// One block a quote, so that each stays within a section.
fn evidence(page: &mut Page, telling: Telling<'_>, report: &Report, title: &str) {
    let words = telling.words;
    let read = telling.read_at.map(|at| fill(words.read_at, &[("time", &words.moment(at))]));
    let title = match read {
        Some(read) => format!("*{title}* ({read})"),
        None => format!("*{title}*"),
    };
    let order = words::evidence_order(report);
    for (at, &index) in order.iter().take(MAX_QUOTES).enumerate() {
        let evidence = &report.evidence[index];
        let title = if at == 0 { title.clone() } else { String::new() };
        page.section(&[title, source(words, report, evidence), block(&evidence.quote, MAX_QUOTE)]);
    }
    let mut rest = Vec::new();
    more(words, &mut rest, order.len(), MAX_QUOTES);
    page.context(&rest);
}

/// A code block, or nothing for nothing: Slack shows an empty one as six backticks.
fn block(text: &str, max: usize) -> String {
    if text.trim().is_empty() { String::new() } else { fence(text, max) }
}

fn source(words: &Words, report: &Report, evidence: &Evidence) -> String {
    let (id, source) = (inline(&evidence.id, 12), inline(&evidence.source, 40));
    let query = code(&evidence.query, MAX_SENTENCE);
    let said = match words::said_at(report, evidence) {
        Some(at) => {
            let time = words.moment(at);
            let values = [("id", id.as_str()), ("source", &source), ("time", &time), ("query", &query)];
            fill(words.from_source_at, &values)
        }
        None => fill(words.from_source, &[("id", &id), ("source", &source), ("query", &query)]),
    };
    if evidence.verified { said } else { format!("{said} (*{}*)", words.quote_not_found) }
}

fn next_steps(page: &mut Page, words: &Words, report: &Report, title: &str) {
    for (at, step) in report.next_steps.iter().take(MAX_STEPS).enumerate() {
        let title = if at == 0 { format!("*{title}*") } else { String::new() };
        page.section(&[title, step_line(words, at + 1, step), command(words, step)]);
    }
}

fn step_line(words: &Words, number: usize, step: &NextStep) -> String {
    let text = inline(&step.text, MAX_SENTENCE);
    match step.command.trim() {
        "" => format!("{number}. {text}"),
        _ => format!("{number}. {text} ({})", words.risk(step.risk)),
    }
}

fn command(words: &Words, step: &NextStep) -> String {
    let whole = block(&step.command, usize::MAX);
    if length(&whole) > MAX_COMMAND {
        return words.command_too_long.to_owned();
    }
    whole
}

/// One line a cause: where many workloads were looked at, that is the result.
fn causes(words: &Words, report: &Report) -> Vec<String> {
    let causes: Vec<_> = report.findings.iter().filter(|finding| finding.role == Role::Primary).collect();
    let mut lines = vec![format!("*{}*", words.what_is_broken)];
    for (at, finding) in causes.iter().take(MAX_CAUSES).enumerate() {
        let object = code(&finding.object.short(), MAX_NAME);
        let on: Vec<String> =
            finding.workloads.iter().filter(|name| **name != finding.object.short()).cloned().collect();
        let on = if on.is_empty() {
            String::new()
        } else {
            format!(" ({})", inline(&words.listed(&on), MAX_NAME))
        };
        let statement = inline(&finding.statement, MAX_SENTENCE);
        lines.push(format!("{}. {object}{on}: {statement}", at + 1));
    }
    more(words, &mut lines, causes.len(), MAX_CAUSES);
    lines
}

fn findings(words: &Words, report: &Report, title: &str) -> Vec<String> {
    let wide = words::is_wide(report);
    let told_above = |role| role == Role::Primary && report.outcome != Outcome::Inconclusive;
    let rest: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !told_above(finding.role) && (!wide || words::is_victim(report, finding)))
        .collect();
    if rest.is_empty() {
        return match report.outcome {
            Outcome::Inconclusive => vec![format!("*{title}*"), words.no_pattern.to_owned()],
            _ => Vec::new(),
        };
    }
    let mut lines = vec![format!("*{title}*")];
    for finding in rest.iter().take(MAX_FINDINGS) {
        let object = code(&finding.object.short(), MAX_NAME);
        lines.push(format!("• {object}: {}", inline(&finding.statement, MAX_SENTENCE)));
    }
    more(words, &mut lines, rest.len(), MAX_FINDINGS);
    lines
}

fn ruled_out(words: &Words, report: &Report) -> Vec<String> {
    if report.ruled_out.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("*{}*", words.found_well(report.outcome))];
    for item in report.ruled_out.iter().take(MAX_RULED_OUT) {
        let proof = match item.evidence.as_slice() {
            [] => String::new(),
            ids => format!(" ({})", inline(&words.listed(ids), 60)),
        };
        lines.push(format!("• {}{proof}", inline(&item.statement, MAX_SENTENCE)));
    }
    more(words, &mut lines, report.ruled_out.len(), MAX_RULED_OUT);
    lines
}

/// Claims of the model that code struck. People may know better, so they are not hidden.
fn unproven(words: &Words, report: &Report) -> Vec<String> {
    if report.unproven.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("*{}*", words.unproven)];
    for claim in report.unproven.iter().take(MAX_UNPROVEN) {
        let why = inline(&claim.why, MAX_SENTENCE / 2);
        lines.push(format!("• {} ({why})", inline(&claim.statement, MAX_SENTENCE)));
    }
    more(words, &mut lines, report.unproven.len(), MAX_UNPROVEN);
    lines
}

fn gaps(words: &Words, gaps: &[Gap]) -> Vec<String> {
    if gaps.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("*{}*", words.not_looked_at)];
    for gap in gaps.iter().take(MAX_GAPS) {
        let (source, what) = (inline(&gap.source, 40), inline(&gap.what, MAX_SENTENCE / 2));
        lines.push(format!("• {source}, {what}: {}", inline(&gap.why, MAX_SENTENCE / 2)));
    }
    more(words, &mut lines, gaps.len(), MAX_GAPS);
    lines
}

fn footer(telling: Telling<'_>, report: &Report) -> Vec<String> {
    let words = telling.words;
    vec![
        inline(&words.runbook(&report.runbook), MAX_SENTENCE),
        inline(&words.investigated_in(&report.cost), MAX_SENTENCE),
        telling.link(words.full_report),
    ]
}

pub(super) fn more(words: &Words, lines: &mut Vec<String>, all: usize, shown: usize) {
    if let Some(more) = all.checked_sub(shown).filter(|&more| more > 0) {
        lines.push(fill(words.more_in_report, &[("more", &more.to_string())]));
    }
}

fn fallback(words: &Words, workload: &Workload, report: &Report) -> String {
    let mut parts = vec![format!("{}: {}.", words.verdict(report.outcome), workload.short())];
    parts.push(sentence(&report.summary));
    if let Some(cause) = report.cause.as_ref().filter(|cause| cause.statement != report.summary) {
        parts.push(format!("{}: {}", words.why(report.outcome), sentence(&cause.statement)));
    }
    if let Some(step) = report.next_steps.first() {
        parts.push(format!("{}: {}", words.next, sentence(&step.text)));
    }
    parts.join(" ")
}
