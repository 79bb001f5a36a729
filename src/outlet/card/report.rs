//! The parts of a report's card: verdict first, then what proves it, what changed, what to do, what nobody could look at.
//! A report goes in, the parts that fit come out in that order; what matters least is left out first. Pure.

use serde_json::Value;

use super::text::{block, code, heading, length, line, plain, subtle};
use super::{MAX_NAME, MAX_PARAGRAPH, MAX_SENTENCE, bytes, labelled, named, seen_before, space};
use crate::outlet::event::Event;
use crate::report::{Evidence, Finding, Muted, NextStep, Outcome, Report, Role};
use crate::words::{self, Words, fill};

const MAX_QUOTES: usize = 3;
const MAX_CHANGED: usize = 3;
const MAX_TIMELINE: usize = 5;
const MAX_STEPS: usize = 4;
/// Findings, claims, gaps and what was ruled out.
const MAX_ITEMS: usize = 4;
/// Causes that are told one by one where many workloads were looked at.
const MAX_CAUSES: usize = 8;
const MAX_QUOTE: usize = 600;
/// A longer command is not shown at all: half a command is worse than none.
const MAX_COMMAND: usize = 1_500;

/// How much is lost without a part: the last is left out first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Verdict,
    Steps,
    Footer,
    Causes,
    Proof,
    Changed,
    Before,
    Timeline,
    Findings,
    RuledOut,
    Unproven,
    Gaps,
}

type Parts = Vec<(Rank, Vec<Value>)>;

/// All that fits into `room` bytes.
pub(super) fn parts(words: &Words, report: &Report, event: &Event<'_>, room: usize) -> Vec<Value> {
    let before = event.before.map(|before| seen_before(words, before, Some(report))).unwrap_or_default();
    let wide = words::is_wide(report);
    let mut parts: Parts = vec![(Rank::Verdict, verdict(words, report))];
    if report.outcome == Outcome::Inconclusive {
        parts.push((Rank::Findings, findings(words, report, words.what_was_found)));
        parts.push((Rank::RuledOut, ruled_out(words, report)));
        parts.push((Rank::Unproven, unproven(words, report)));
        parts.push((Rank::Gaps, gaps(words, report)));
        parts.push((Rank::Proof, proof(words, report, event, words.what_was_read)));
        parts.push((Rank::Changed, changed(words, report)));
        parts.push((Rank::Timeline, timeline(words, report)));
        parts.push((Rank::Steps, steps(words, report, words.what_to_look_at)));
    } else {
        if report.outcome == Outcome::NotAnIncident {
            parts.push((Rank::RuledOut, ruled_out(words, report)));
        }
        if wide {
            parts.push((Rank::Causes, causes(words, report)));
        }
        parts.push((Rank::Proof, proof(words, report, event, words.what_proves_it)));
        parts.push((Rank::Changed, changed(words, report)));
        parts.push((Rank::Timeline, timeline(words, report)));
        parts.push((Rank::Steps, steps(words, report, words.what_to_do)));
        parts.push((Rank::Findings, findings(words, report, words.also_seen)));
        parts.push((Rank::Unproven, unproven(words, report)));
        parts.push((Rank::Gaps, gaps(words, report)));
    }
    parts.push((Rank::Before, before));
    parts.push((Rank::Footer, footer(words, report)));
    fitting(words, parts, room)
}

/// Somebody said that this cause is no problem here: one line.
pub(super) fn muted(words: &Words, report: &Report, muted: &Muted) -> Value {
    let cause = report.cause.as_ref().map_or("–", |cause| cause.id.as_str());
    let because = if muted.reason.is_empty() { String::new() } else { format!(" ({})", muted.reason) };
    let (until, by) = (words.moment(muted.until), format!("{}{because}", muted.by));
    let values = [("time", until.as_str()), ("name", by.as_str()), ("cause", cause)];
    labelled(words.muted, &fill(words.muted_line, &values), MAX_SENTENCE)
}

/// Another look that came to the result that was told already: one line, not the whole again.
pub(super) fn unchanged(words: &Words, report: &Report, reason: &str) -> Value {
    let result = if report.cause.is_some() { words.same_cause } else { words.still_no_cause };
    labelled(&format!("{} ({reason})", words.looked_again), &format!("{result}."), MAX_SENTENCE)
}

/// By rank as long as there is room, in the order in which they are read.
fn fitting(words: &Words, parts: Parts, room: usize) -> Vec<Value> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&at| parts[at].0);
    let (mut kept, mut used, mut left_out) = (vec![false; parts.len()], 0, 0);
    for at in order {
        let size = bytes(&parts[at].1);
        kept[at] = used + size <= room;
        if kept[at] {
            used += size;
        } else {
            left_out += 1;
        }
    }
    let more = fill(words.more_in_report, &[("more", &left_out.to_string())]);
    let shown = parts.into_iter().zip(kept).filter(|(_, kept)| *kept).flat_map(|((_, items), _)| items);
    let more = (left_out > 0).then(|| line(&[subtle(&more, MAX_SENTENCE)]));
    shown.chain(more).collect()
}

fn verdict(words: &Words, report: &Report) -> Vec<Value> {
    let mut lines = vec![line(&[plain(&report.summary, MAX_PARAGRAPH)])];
    if let Some(cause) = &report.cause {
        if !report.summary.contains(&cause.statement) {
            lines.push(labelled(words.why(report.outcome), &cause.statement, MAX_PARAGRAPH));
        }
        let category = format!("({})", words.category(cause.category));
        lines.push(named(words.at_fault(report.outcome), &cause.object.short(), &category));
    }
    lines.push(labelled(words.how_far, &words.how_far(&report.affected), MAX_PARAGRAPH));
    if report.outcome != Outcome::Inconclusive {
        lines.push(labelled(words.confidence, &words.confidence(report), MAX_SENTENCE));
    }
    if report.held_back.is_some() {
        lines.push(line(&[plain(&words.held_back(report), MAX_SENTENCE)]));
    }
    lines
}

fn proof(words: &Words, report: &Report, event: &Event<'_>, title: &str) -> Vec<Value> {
    let order = words::evidence_order(report);
    let mut lines = Vec::new();
    for &index in order.iter().take(MAX_QUOTES) {
        let evidence = &report.evidence[index];
        lines.push(line(&[plain(&source(words, report, evidence), MAX_SENTENCE)]));
        lines.extend(block(&evidence.quote, MAX_QUOTE));
    }
    let read = fill(words.read_at, &[("time", &words.moment(event.at))]);
    with_title(words, &format!("{title} ({read})"), lines, order.len().saturating_sub(MAX_QUOTES))
}

fn source(words: &Words, report: &Report, evidence: &Evidence) -> String {
    let Evidence { id, source, query, .. } = evidence;
    let values = [("id", id.as_str()), ("source", source), ("query", query)];
    let said = match words::said_at(report, evidence) {
        Some(at) => {
            let [id, source, query] = values;
            fill(words.from_source_at, &[id, source, ("time", &words.moment(at)), query])
        }
        None => fill(words.from_source, &values),
    };
    if evidence.verified { said } else { format!("{said} ({})", words.quote_not_found) }
}

/// The ranking, numbered; nothing where nothing changed.
fn changed(words: &Words, report: &Report) -> Vec<Value> {
    let ranked = words::changed_first(report, MAX_CHANGED).into_iter().enumerate();
    let lines = ranked
        .map(|(at, one)| line(&[plain(&format!("{}. {}", at + 1, words.changed(one)), MAX_SENTENCE)]))
        .collect();
    with_title(words, words.what_changed, lines, 0)
}

fn timeline(words: &Words, report: &Report) -> Vec<Value> {
    let is_ranked = !report.changed_first.is_empty();
    let entries = words::timeline(report, MAX_TIMELINE).into_iter().map(|entry| {
        // The ranking says why.
        let why = if is_ranked { String::new() } else { words.trigger(entry) };
        let what = format!("{} {}{why}", words.moment(entry.at), entry.what);
        line(&[plain(&format!("{} {what}", if entry.trigger { "→" } else { "•" }), MAX_SENTENCE)])
    });
    with_title(
        words,
        words.what_happened,
        entries.collect(),
        report.timeline.len().saturating_sub(MAX_TIMELINE),
    )
}

fn steps(words: &Words, report: &Report, title: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for (at, step) in report.next_steps.iter().take(MAX_STEPS).enumerate() {
        lines.extend(one_step(words, at + 1, step));
    }
    with_title(words, title, lines, report.next_steps.len().saturating_sub(MAX_STEPS))
}

fn one_step(words: &Words, number: usize, step: &NextStep) -> Vec<Value> {
    let command = step.command.trim();
    let risk = if command.is_empty() { String::new() } else { format!(" ({})", words.risk(step.risk)) };
    let mut lines = vec![line(&[plain(&format!("{number}. {}{risk}", step.text), MAX_SENTENCE)])];
    if length(command) > MAX_COMMAND {
        lines.push(line(&[plain(words.command_too_long, MAX_SENTENCE)]));
    } else {
        lines.extend(block(command, MAX_COMMAND));
    }
    lines
}

/// One line a cause: where many workloads were looked at, that is the result.
fn causes(words: &Words, report: &Report) -> Vec<Value> {
    let causes: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.role == Role::Primary).collect();
    let lines = causes.iter().take(MAX_CAUSES).map(|finding| {
        let object = finding.object.short();
        let on: Vec<String> = finding.workloads.iter().filter(|name| **name != object).cloned().collect();
        let mut runs = vec![plain("•", 1), space(), code(&object, MAX_NAME)];
        if !on.is_empty() {
            runs.extend([space(), plain(&format!("({})", words.listed(&on)), MAX_NAME)]);
        }
        runs.push(plain(&format!(": {}", finding.statement), MAX_SENTENCE));
        line(&runs)
    });
    with_title(words, words.what_is_broken, lines.collect(), causes.len().saturating_sub(MAX_CAUSES))
}

fn findings(words: &Words, report: &Report, title: &str) -> Vec<Value> {
    let wide = words::is_wide(report);
    let told_above = |role| role == Role::Primary && report.outcome != Outcome::Inconclusive;
    let rest: Vec<&Finding> = report
        .findings
        .iter()
        .filter(|finding| !told_above(finding.role) && (!wide || words::is_victim(report, finding)))
        .collect();
    if rest.is_empty() && report.outcome == Outcome::Inconclusive {
        return with_title(words, title, vec![line(&[plain(words.no_pattern, MAX_SENTENCE)])], 0);
    }
    let items = rest.iter().map(|finding| format!("{}: {}", finding.object.short(), finding.statement));
    list(words, title, items.collect())
}

fn ruled_out(words: &Words, report: &Report) -> Vec<Value> {
    let items = report.ruled_out.iter().map(|item| match item.evidence.as_slice() {
        [] => item.statement.clone(),
        ids => format!("{} ({})", item.statement, words.listed(ids)),
    });
    list(words, words.found_well(report.outcome), items.collect())
}

/// Claims of the model that code struck. People may know better, so they are not hidden.
fn unproven(words: &Words, report: &Report) -> Vec<Value> {
    let items = report.unproven.iter().map(|claim| format!("{} ({})", claim.statement, claim.why));
    list(words, words.unproven, items.collect())
}

fn gaps(words: &Words, report: &Report) -> Vec<Value> {
    let items = report.gaps.iter().map(|gap| format!("{}, {}: {}", gap.source, gap.what, gap.why));
    list(words, words.not_looked_at, items.collect())
}

fn footer(words: &Words, report: &Report) -> Vec<Value> {
    let said = [words.runbook(&report.runbook), words.investigated_in(&report.cost)];
    said.iter().map(|said| line(&[subtle(said, MAX_SENTENCE)])).collect()
}

fn list(words: &Words, title: &str, items: Vec<String>) -> Vec<Value> {
    let more = items.len().saturating_sub(MAX_ITEMS);
    let lines = items.iter().take(MAX_ITEMS).map(|item| line(&[plain(&format!("• {item}"), MAX_SENTENCE)]));
    with_title(words, title, lines.collect(), more)
}

/// Nothing for nothing.
fn with_title(words: &Words, title: &str, mut lines: Vec<Value>, more: usize) -> Vec<Value> {
    if lines.is_empty() {
        return lines;
    }
    if more > 0 {
        let more = fill(words.more_in_report, &[("more", &more.to_string())]);
        lines.push(line(&[subtle(&more, MAX_SENTENCE)]));
    }
    lines.insert(0, heading(title));
    lines
}
