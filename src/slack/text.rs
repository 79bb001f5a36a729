//! A report as plain text, for `investigate --output text` and for the log where no Slack is configured.
//! Pure; control characters are dropped, because a terminal obeys them.

use super::blocks::clean;
use crate::report::{Gap, NextStep, Outcome, Report, Role};
use crate::words::{self, Words};
use crate::workload::Workload;

/// Changes that are shown.
const MAX_CHANGED: usize = 5;
/// Entries of the timeline that are shown.
const MAX_TIMELINE: usize = 12;
/// Findings of a namespace that are shown one by one: what can be read in two minutes.
const MAX_BLOCKS: usize = 20;

/// The whole report, about 80 columns where the text allows it, ending in a newline.
pub fn report(workload: &Workload, report: &Report) -> String {
    let words = Words::of("en");
    let mut out = Vec::new();
    let verdict = format!("{}: {}", words.verdict(report.outcome), workload.short());
    out.push(line(&verdict));
    out.push("=".repeat(out[0].chars().count().min(80)));
    out.push(line(&report.summary));
    out.push(String::new());
    let wide = words::is_wide(report);
    facts(words, &mut out, report, wide);
    if wide {
        each_finding(words, &mut out, report);
    }
    findings(&mut out, report, wide);
    part(
        &mut out,
        words.found_well(report.outcome),
        report.ruled_out.iter().map(|item| line(&item.statement)),
    );
    let unproven = report.unproven.iter().map(|claim| line(&format!("{} ({})", claim.statement, claim.why)));
    part(&mut out, "Claimed by the model, not proven", unproven);
    if !wide {
        evidence(&mut out, report);
    }
    let entries = words::timeline(report, MAX_TIMELINE).into_iter();
    let entries = entries.map(|entry| {
        // The ranking above says why.
        let told = entry.trigger && !report.changed_first.is_empty();
        let mark = if told { format!(" ({})", words.trigger) } else { words.trigger(entry) };
        let what = format!("{}{mark}", entry.what);
        format!("{}  {}", words.moment(entry.at), line(&what))
    });
    let ranked = words::changed_first(report, MAX_CHANGED).into_iter().map(|one| line(&words.changed(one)));
    part(&mut out, words.what_changed, ranked);
    part(&mut out, words.what_happened, entries);
    if !wide {
        next_steps(words, &mut out, &report.next_steps);
    }
    part(&mut out, "What could not be looked at", report.gaps.iter().map(gap));
    out.push(line(&words.runbook(&report.runbook)));
    if let Some(policy) = &report.policy {
        out.push(line(&format!("Policy {} ({}).", policy.name, policy.reason)));
    }
    out.push(line(&words.investigated_in(&report.cost)));
    out.join("\n") + "\n"
}

fn facts(words: &Words, out: &mut Vec<String>, report: &Report, wide: bool) {
    if let Some(cause) = report.cause.as_ref().filter(|_| !wide) {
        if !report.summary.starts_with(&cause.statement) {
            out.push(fact(words.why(report.outcome), &cause.statement));
        }
        let at_fault = format!("{} ({})", cause.object.short(), words.category(cause.category));
        out.push(fact(words.at_fault(report.outcome), &at_fault));
        out.push(fact("Cause id", &cause.id));
    }
    out.push(fact("How far", &words.how_far(&report.affected)));
    if report.outcome != Outcome::Inconclusive {
        out.push(fact("Confidence", &words.confidence(report)));
    }
    if report.held_back.is_some() {
        out.push(fact("Held back", &words.held_back(report)));
    }
    out.push(String::new());
}

fn fact(label: &str, text: &str) -> String {
    format!("{:11} {}", format!("{label}:"), line(text))
}

/// One block a cause: where, what, one line that proves it, the first step.
fn each_finding(words: &Words, out: &mut Vec<String>, report: &Report) {
    let primaries: Vec<_> = report.findings.iter().filter(|one| one.role == Role::Primary).collect();
    for (at, finding) in primaries.iter().take(MAX_BLOCKS).enumerate() {
        let at_fault = finding.object.short();
        let category = words.category(finding.category);
        out.push(line(&format!("{}. {at_fault}: {} ({category})", at + 1, finding.signature)));
        if finding.workloads.iter().any(|workload| *workload != at_fault) {
            out.push(format!("   On {}", line(&words.listed(&finding.workloads))));
        }
        out.push(format!("   {}", line(&finding.statement)));
        let verified = |quote: &&(String, String)| {
            report.evidence.iter().any(|one| one.verified && one.id == quote.0 && one.quote == quote.1)
        };
        if let Some((id, quote)) = finding.quotes.iter().find(verified) {
            out.push(format!("   | {}: {}", line(id), line(quote)));
        }
        if let Some(step) = finding.next_steps.first() {
            out.push(format!("   Next: {}", line(&step.text)));
            out.extend(clean(&step.command, true).trim().lines().map(|command| format!("     {command}")));
        }
        out.push(String::new());
    }
    if let Some(more) = primaries.len().checked_sub(MAX_BLOCKS).filter(|more| *more > 0) {
        out.push(format!("… and {more} more; --output json has them all."));
        out.push(String::new());
    }
}

fn findings(out: &mut Vec<String>, report: &Report, wide: bool) {
    let inconclusive = report.outcome == Outcome::Inconclusive && !wide;
    let rest = report.findings.iter().filter(|finding| {
        inconclusive || finding.role == Role::Secondary && (!wide || words::is_victim(report, finding))
    });
    let title = if inconclusive { "What was found" } else { "Also seen" };
    part(out, title, rest.map(|finding| line(&format!("{}: {}", finding.object.short(), finding.statement))));
}

fn evidence(out: &mut Vec<String>, report: &Report) {
    if report.evidence.is_empty() {
        return;
    }
    let inconclusive = report.outcome == Outcome::Inconclusive;
    out.push(if inconclusive { "What was read" } else { "What proves it" }.to_owned());
    for index in words::evidence_order(report) {
        let evidence = &report.evidence[index];
        let doubt = if evidence.verified { "" } else { " (this quote was NOT found in what was read)" };
        out.push(format!(
            "  {} from {}: {}{doubt}",
            line(&evidence.id),
            line(&evidence.source),
            line(&evidence.query)
        ));
        out.extend(clean(&evidence.quote, true).lines().map(|quote| format!("    | {quote}")));
    }
    out.push(String::new());
}

fn next_steps(words: &Words, out: &mut Vec<String>, steps: &[NextStep]) {
    if steps.is_empty() {
        return;
    }
    out.push("What to do next".to_owned());
    for (at, step) in steps.iter().enumerate() {
        let has_command = !step.command.trim().is_empty();
        let risk = if has_command { format!(" ({})", words.risk(step.risk)) } else { String::new() };
        out.push(format!("  {}. {}{risk}", at + 1, line(&step.text)));
        if has_command {
            out.extend(clean(&step.command, true).trim().lines().map(|command| format!("       {command}")));
        }
    }
    out.push(String::new());
}

fn gap(gap: &Gap) -> String {
    line(&format!("{}, {}: {}", gap.source, gap.what, gap.why))
}

fn part(out: &mut Vec<String>, title: &str, items: impl Iterator<Item = String>) {
    let before = out.len();
    out.push(title.to_owned());
    out.extend(items.map(|item| format!("  - {item}")));
    if out.len() == before + 1 {
        out.pop();
    } else {
        out.push(String::new());
    }
}

fn line(text: &str) -> String {
    clean(text, false).split_whitespace().collect::<Vec<_>>().join(" ")
}
