//! What proves a report: its quotes, each with source and time, each opening to the whole redacted text in which it
//! stands. Long texts stay on the server until somebody asks for them. Sparklines are drawn where a text tells a series.

use maud::{Markup, html};

use super::Case;
use super::store::Observation;
use crate::report::{Evidence, Outcome, Report};
use crate::web::layout::time;
use crate::web::spark::{Spark, sparks};
use crate::words;

/// Observations whose quotes are shown at once; the rest opens.
const MAX_AT_ONCE: usize = 4;
/// Quotes shown of one observation.
const MAX_QUOTES: usize = 6;
/// The drawing of a series, in its own units.
const SPARK: (f64, f64) = (160.0, 32.0);

/// Links to observations of this page.
pub(super) fn links(ids: &[String]) -> Markup {
    html! {
        @for id in ids { a.ref href={ "#" (id) } { (id) } " " }
    }
}

/// Quotes of one observation.
struct Group<'a> {
    quotes: Vec<&'a Evidence>,
    observation: Option<&'a Observation>,
}

pub(super) fn proof(case: &Case, report: &Report) -> Markup {
    let groups = groups(case, report);
    let title = match report.outcome {
        Outcome::Inconclusive => "What was read",
        Outcome::NotAnIncident => "What shows it",
        _ => "What proves it",
    };
    let (first, rest) = groups.split_at(groups.len().min(MAX_AT_ONCE));
    html! {
        @if !groups.is_empty() {
            section aria-labelledby="proof" {
                h2 id="proof" { (title) }
                @for group in first { (shown(case, group)) }
                @if !rest.is_empty() {
                    details.more {
                        summary { "Quotes from " (rest.len()) " more " (if rest.len() == 1 { "observation" } else { "observations" }) }
                        @for group in rest { (shown(case, group)) }
                    }
                }
            }
        }
    }
}

fn groups<'a>(case: &'a Case, report: &'a Report) -> Vec<Group<'a>> {
    let mut groups: Vec<(&str, Group<'_>)> = Vec::new();
    for index in words::evidence_order(report) {
        let evidence = &report.evidence[index];
        match groups.iter_mut().find(|(id, _)| *id == evidence.id) {
            Some((_, group)) => group.quotes.push(evidence),
            None => {
                let observation = case.observations.iter().find(|one| one.evidence == evidence.id);
                groups.push((&evidence.id, Group { quotes: vec![evidence], observation }));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn shown(case: &Case, group: &Group<'_>) -> Markup {
    let Some(first) = group.quotes.first() else { return html! {} };
    html! {
        article.proof id=(first.id) aria-label={ "Evidence " (first.id) } {
            p.source {
                strong { (first.id) } " from " (first.source)
                @if let Some(one) = group.observation { ", read " (time(one.created_at, case.now)) }
            }
            @for quote in group.quotes.iter().take(MAX_QUOTES) {
                blockquote { code { (quote.quote) } }
                @if !quote.verified { p.notice.bad { "This quote was not found in what was read." } }
            }
            @if group.quotes.len() > MAX_QUOTES {
                p.muted.small { (group.quotes.len() - MAX_QUOTES) " more quotes from it" }
            }
            @match group.observation {
                Some(one) => (expandable(case, one, &first.quote)),
                None => p.muted.small { code.query { (first.query) } " · its text is past retention" },
            }
        }
    }
}

/// The whole text, here or on the server.
fn expandable(case: &Case, one: &Observation, quote: &str) -> Markup {
    let address = format!("/investigations/{}/evidence/{}", case.row.id, one.evidence);
    let drawn = one.text.as_deref().filter(|_| one.source == "prometheus").map(sparks).unwrap_or_default();
    html! {
        @for spark in &drawn { (drawing(spark)) }
        details.whole data-evidence=(one.evidence) {
            summary { "The whole observation: " code.query { (one.query) } span.muted { " · " (one.milliseconds) " ms" } }
            @match &one.text {
                Some(text) => pre.observation tabindex="0" { (quoted(text, quote)) },
                None => p data-fetch=(address) data-quote=(quote) {
                    a href=(address) { "Read all of it (" (kibibytes(one.bytes)) ")" }
                },
            }
        }
    }
}

/// A text with the quote marked where it stands first.
fn quoted(text: &str, quote: &str) -> Markup {
    match text.split_once(quote).filter(|_| !quote.is_empty()) {
        Some((before, after)) => html! { (before) mark { (quote) } (after) },
        None => html! { (text) },
    }
}

fn kibibytes(bytes: i32) -> String {
    format!("{:.1} KiB", f64::from(bytes) / 1024.0)
}

fn drawing(spark: &Spark) -> Markup {
    let (width, height) = SPARK;
    let values = || spark.points.iter().map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let x = |at: f64| 3.0 + at / spark.seconds.max(1.0) * (width - 6.0);
    let y = |value: f64| {
        let part = if high > low { (value - low) / (high - low) } else { 0.5 };
        height - 4.0 - part * (height - 8.0)
    };
    let mut path = String::new();
    for (place, (at, value)) in spark.points.iter().enumerate() {
        match place {
            0 => path.push_str(&format!("M{:.1} {:.1}", x(*at), y(*value))),
            _ if spark.steps => path.push_str(&format!("H{:.1}V{:.1}", x(*at), y(*value))),
            _ => path.push_str(&format!("L{:.1} {:.1}", x(*at), y(*value))),
        }
    }
    let said = format!("{}: from {low} to {high}", spark.name);
    html! {
        figure.spark {
            svg viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img" aria-label=(said) {
                path d=(path) fill="none" {}
                @if !spark.steps {
                    @for (at, value) in &spark.points { circle cx=(format!("{:.1}", x(*at))) cy=(format!("{:.1}", y(*value))) r="2.5" {} }
                }
            }
            figcaption { code { (spark.name) } " " (low) " … " (high) @if !spark.steps { " (its extremes and last value)" } }
        }
    }
}

/// Everything that was read, quoted or not.
pub(super) fn everything(case: &Case, report: &Report) -> Markup {
    // A link to an observation leads to its quotes, or here where it has none.
    let anchor = |one: &Observation| {
        let is_quoted = report.evidence.iter().any(|evidence| evidence.id == one.evidence);
        (!is_quoted).then(|| one.evidence.clone())
    };
    html! {
        @if !case.observations.is_empty() {
            section aria-labelledby="read" {
                h2 id="read" { "Everything that was read" }
                div.scroll tabindex="0" role="region" aria-label="Requests" {
                    table {
                        thead { tr { th scope="col" { "Id" } th scope="col" { "Request" } th.number scope="col" { "ms" } } }
                        tbody {
                            @for one in &case.observations {
                                tr id=[anchor(one)] {
                                    th scope="row" { a href={ "/investigations/" (case.row.id) "/evidence/" (one.evidence) } { (one.evidence) } }
                                    td { (one.source) " " code.query { (one.query) } }
                                    td.number { (one.milliseconds) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
