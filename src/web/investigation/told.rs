//! A report as people read it at night: the verdict, what to do, what proves it, how it came about, what it is not and
//! what nobody knows; beside it what it cost, which runbook it followed and what is different since the last look.

use maud::{Markup, html};

use super::{Case, feedback, progress, proof, timeline};
use crate::report::{Finding, NextStep, Outcome, Report, Risk, Role};
use crate::web::door::Reader;
use crate::web::layout::{prose, time, words};
use crate::web::runbooks::segment;

const MAX_FINDINGS: usize = 20;
const MAX_STEPS: usize = 12;
const MAX_LISTED: usize = 30;

pub(super) fn report(case: &Case, report: &Report, reader: &Reader) -> Markup {
    let open = report.outcome == Outcome::Inconclusive;
    html! {
        (verdict(report))
        div.columns {
            div.main {
                @if !open { (next_steps(&report.next_steps, "What to do next")) }
                @if open { (findings(report, "What was found")) (unknown(report)) }
                (proof::proof(case, report))
                (timeline::changed(report))
                (timeline::timeline(report))
                @if open { (next_steps(&report.next_steps, "What to look at next")) }
                @if !open { (findings(report, "Also seen")) }
                (ruled_out(report))
                @if !open { (unknown(report)) }
                (proof::everything(case, report))
                (progress::finished(case))
            }
            aside aria-label="About this investigation" {
                (about(case, report))
                (feedback::feedback(case, report, reader))
                (since_last(case))
            }
        }
    }
}

fn verdict(report: &Report) -> Markup {
    let cause = report.cause.as_ref();
    html! {
        section class={ "verdict-block " (report.outcome.as_str()) } aria-labelledby="verdict" {
            h2 id="verdict" { (words().verdict(report.outcome)) }
            p.lead { (prose(&report.summary)) }
            dl.facts {
                @if let Some(cause) = cause {
                    @if !report.summary.contains(&cause.statement) {
                        dt { (words().why(report.outcome)) } dd { (prose(&cause.statement)) }
                    }
                    dt { (words().at_fault(report.outcome)) }
                    dd { code { (cause.object.short()) } " (" (words().category(cause.category)) ", " code { (cause.id) } ")" }
                }
                dt { "How far" } dd { (words().how_far(&report.affected)) }
                @if report.outcome != Outcome::Inconclusive { dt { "Confidence" } dd { (words().confidence(report)) } }
            }
        }
    }
}

fn next_steps(steps: &[NextStep], title: &str) -> Markup {
    html! {
        @if !steps.is_empty() {
            section aria-labelledby="next" {
                h2 id="next" { (title) }
                ol.steps {
                    @for step in steps.iter().take(MAX_STEPS) {
                        li {
                            p { (prose(&step.text)) " " (risk(step.risk)) }
                            @if !step.command.is_empty() {
                                div.command data-copy { pre tabindex="0" { code { (step.command) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn risk(risk: Risk) -> Markup {
    let class = match risk {
        Risk::None => "none",
        Risk::Low => "low",
        Risk::High => "high",
    };
    html! { span class={ "risk " (class) } { (words().risk(risk)) } }
}

/// What is told beside the cause: in a report with a cause, not the cause again.
fn findings(report: &Report, title: &str) -> Markup {
    let is_cause = |one: &Finding| {
        report.cause.as_ref().is_some_and(|cause| cause.id == one.signature && cause.object == one.object)
    };
    let mut shown: Vec<&Finding> = report.findings.iter().filter(|one| !is_cause(one)).collect();
    shown.sort_by_key(|one| one.role != Role::Primary);
    html! {
        @if !shown.is_empty() {
            section aria-labelledby="findings" {
                h2 id="findings" { (title) }
                ul.plain {
                    @for one in shown.iter().take(MAX_FINDINGS) {
                        li {
                            p {
                                @if one.role == Role::Primary { strong { (prose(&one.statement)) } } @else { (prose(&one.statement)) }
                                " " (proof::links(&one.evidence))
                            }
                            @if !one.workloads.is_empty() { p.muted.small { "on " (words().listed(&one.workloads)) } }
                            @for step in one.next_steps.iter().filter(|step| !step.command.is_empty()).take(2) {
                                div.command data-copy { pre tabindex="0" { code { (step.command) } } }
                            }
                        }
                    }
                }
                @if shown.len() > MAX_FINDINGS { p.muted { "and " (shown.len() - MAX_FINDINGS) " more" } }
            }
        }
    }
}

fn ruled_out(report: &Report) -> Markup {
    html! {
        @if !report.ruled_out.is_empty() {
            section aria-labelledby="ruled-out" {
                h2 id="ruled-out" { (words().found_well(report.outcome)) }
                ul.plain {
                    @for one in report.ruled_out.iter().take(MAX_LISTED) {
                        li { (prose(&one.statement)) " " (proof::links(&one.evidence)) }
                    }
                }
            }
        }
    }
}

fn unknown(report: &Report) -> Markup {
    html! {
        @if !report.gaps.is_empty() || !report.unproven.is_empty() || report.held_back.is_some() {
            section aria-labelledby="unknown" {
                h2 id="unknown" { "What is not known" }
                ul.plain {
                    @if report.held_back.is_some() { li { (words().held_back(report)) } }
                    @for gap in report.gaps.iter().take(MAX_LISTED) {
                        li { strong { (gap.source) } ": " (gap.what) " — " (gap.why) }
                    }
                    @for one in report.unproven.iter().take(MAX_LISTED) {
                        li { "Claimed and not proven: " (one.statement) " — " (one.why) }
                    }
                }
            }
        }
    }
}

fn about(case: &Case, report: &Report) -> Markup {
    let name = report.runbook.name.as_str();
    html! {
        section aria-labelledby="about" {
            h2 id="about" { "About" }
            dl.facts {
                dt { "Runbook" }
                dd {
                    (words().runbook(&report.runbook))
                    @if !name.is_empty() { " " a href={ "/runbooks/" (segment(name)) } { "How it does" } }
                    @if !report.runbook.reason.is_empty() { span.muted.small { " Chosen because " (prose(&report.runbook.reason)) "." } }
                }
                @if let Some(policy) = &report.policy {
                    dt { "Policy" } dd { (policy.name) " " span.muted.small { (policy.reason) } }
                }
                dt { "Cost" } dd { (words().cost(&report.cost)) }
                dt { "Looked because" } dd { (case.row.reason) }
                @if let Some(at) = case.row.finished_at {
                    dt { "Finished" }
                    dd {
                        (time(at, case.now))
                        @if let Some(seconds) = case.row.seconds { " after " (format!("{seconds:.1} s")) }
                        @if case.row.attempt > 1 { ", attempt " (case.row.attempt) }
                    }
                }
            }
        }
    }
}

fn since_last(case: &Case) -> Markup {
    let Some((before, difference)) = &case.earlier else { return html! {} };
    let facts = difference.facts.len() + difference.more;
    html! {
        section aria-labelledby="since" {
            h2 id="since" { "Since the last look" }
            p { a href={ "/investigations/" (before.id) } { "The last look" } ", " (time(before.finished_at, case.now)) }
            p {
                @if difference.same_cause { "The cause is the same." }
                @else if let Some(cause) = &difference.cause_before { strong { "Another cause then: " } (cause) }
                @else { strong { "No cause was found then." } }
            }
            @if !difference.new.is_empty() { (changed("New", &difference.new)) }
            @if !difference.gone.is_empty() { (changed("Gone", &difference.gone)) }
            @if facts == 0 {
                p.muted { "No fact changed but times and counts." }
            } @else {
                details {
                    summary { (facts) " changed facts" }
                    ul.diff {
                        @for fact in &difference.facts {
                            li class=(if fact.is_new { "now" } else { "then" }) {
                                span.side { (if fact.is_new { "now" } else { "then" }) } " " (fact.line)
                            }
                        }
                    }
                    @if difference.more > 0 { p.muted { "and " (difference.more) " more" } }
                }
            }
        }
    }
}

fn changed(title: &str, statements: &[String]) -> Markup {
    html! {
        h3 { (title) }
        ul.plain { @for statement in statements.iter().take(MAX_FINDINGS) { li { (prose(statement)) } } }
    }
}
