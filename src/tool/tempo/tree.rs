//! Spans as a tree that is read in a minute: all of a small trace, else those that failed or took longest, with
//! what leads to them. Each has its duration, and what of it was its own where others took part. Spans that may not be
//! told keep their place, duration and failure. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::request::count;
use super::path::{Forest, overview};
use crate::source::tempo::{Span, Status};

/// Spans of the tree that are shown; the ledger has all.
const MAX_SHOWN: usize = 30;
/// Spans that are chosen by failure, and by duration.
const MAX_CHOSEN: usize = 8;
/// Attributes shown of a span.
const MAX_ATTRIBUTES: usize = 6;
/// Deepest indentation: what lies deeper stands there.
const MAX_DEPTH: usize = 12;

pub(super) type MayBeTold<'a> = &'a dyn Fn(&Span) -> bool;

pub fn digest(spans: &[Span], may_be_told: MayBeTold<'_>) -> String {
    let rows = rows(spans);
    let forest = Forest::new(spans);
    let overview = overview(spans, &forest, may_be_told);
    if spans.len() <= MAX_SHOWN {
        return format!("{overview}{}", render(spans, &forest, &rows, may_be_told));
    }
    let chosen = chosen(spans);
    let shown: Vec<(usize, usize)> =
        rows.iter().copied().filter(|(at, _)| chosen.contains(at)).take(MAX_SHOWN).collect();
    let errors = |at: &dyn Fn(usize) -> bool| {
        spans.iter().enumerate().filter(|(i, span)| span.status == Status::Error && at(*i)).count()
    };
    let is_shown: BTreeSet<usize> = shown.iter().map(|(at, _)| *at).collect();
    format!(
        "{overview}{}left out: {} of {}, {} of them failed; shown are failures, the slowest, and what leads to them\n",
        render(spans, &forest, &shown, may_be_told),
        spans.len() - shown.len(),
        count(spans.len(), "span", "spans"),
        errors(&|at| !is_shown.contains(&at))
    )
}

/// Everything that was read, for the ledger.
pub fn full(spans: &[Span], may_be_told: MayBeTold<'_>) -> String {
    render(spans, &Forest::new(spans), &rows(spans), may_be_told)
}

/// Index and depth of every span, children after their parents. A span whose parent is missing is a root, and
/// so is one whose parents lead back to itself.
fn rows(spans: &[Span]) -> Vec<(usize, usize)> {
    let known: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut children: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        match span.parent.as_deref().filter(|parent| known.contains(parent)) {
            Some(parent) => children.entry(parent).or_default().push(at),
            None => roots.push(at),
        }
    }
    let mut rows = Vec::new();
    let mut seen = vec![false; spans.len()];
    for root in roots.into_iter().chain(0..spans.len()) {
        let mut waiting = vec![(root, 0)];
        while let Some((at, depth)) = waiting.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            rows.push((at, depth));
            let below = children.get(spans[at].id.as_str()).into_iter().flatten();
            waiting.extend(below.rev().map(|child| (*child, depth + 1)));
        }
    }
    rows
}

/// Failures first by their start, then the slowest, each with its parents.
fn chosen(spans: &[Span]) -> BTreeSet<usize> {
    let by_id: BTreeMap<&str, usize> =
        spans.iter().enumerate().map(|(at, span)| (span.id.as_str(), at)).collect();
    let failed = (0..spans.len()).filter(|at| spans[*at].status == Status::Error).take(MAX_CHOSEN);
    let mut slowest: Vec<usize> = (0..spans.len()).collect();
    slowest.sort_by_key(|at| std::cmp::Reverse(spans[*at].nanoseconds));
    let mut chosen = BTreeSet::new();
    for start in failed.chain(slowest.into_iter().take(MAX_CHOSEN)) {
        let mut next = Some(start);
        // A parent that is chosen has its own parents chosen: this ends, cycles or not.
        while let Some(at) = next.filter(|at| chosen.insert(*at)) {
            next = spans[at].parent.as_deref().and_then(|parent| by_id.get(parent).copied());
        }
    }
    chosen
}

fn render(spans: &[Span], forest: &Forest, rows: &[(usize, usize)], may_be_told: MayBeTold<'_>) -> String {
    let Some(began) = spans.iter().map(|span| span.started_at).min() else { return "no spans\n".to_owned() };
    let mut text = format!("began {}\n", began.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    for (at, depth) in rows {
        let span = &spans[*at];
        let indent = "  ".repeat((*depth).min(MAX_DEPTH));
        let after = (span.started_at - began).num_milliseconds();
        let told = if may_be_told(span) { words(span) } else { "(of another namespace)".to_owned() };
        let failed = if span.status == Status::Error { " FAILED" } else { "" };
        let took = number_ms(span.nanoseconds);
        let own = number_ms(forest.own[*at]);
        let own = if forest.children[*at].is_empty() { String::new() } else { format!(" (own {own} ms)") };
        text.push_str(&format!("{indent}+{after} ms {took} ms{own}{failed} {told}\n"));
    }
    text
}

pub(super) fn number_ms(nanoseconds: u64) -> String {
    if nanoseconds >= 1_000_000 {
        (nanoseconds / 1_000_000).to_string()
    } else {
        format!("0.{:03}", nanoseconds / 1000)
    }
}

fn words(span: &Span) -> String {
    let mut text = format!("{} {}", span.service, span.name);
    if !span.kind.is_empty() {
        text.push_str(&format!(" [{}]", span.kind));
    }
    if !span.status_message.is_empty() {
        text.push_str(&format!(": {}", span.status_message));
    }
    for exception in span.exceptions.iter().filter(|exception| !exception.ends_with(&span.status_message)) {
        text.push_str(&format!("; {exception}"));
    }
    let own: Vec<String> = span
        .attributes
        .iter()
        .filter(|(key, _)| !key.starts_with("k8s."))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if !own.is_empty() {
        let more = match own.len().saturating_sub(MAX_ATTRIBUTES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        text.push_str(&format!(
            " ({}{more})",
            own.into_iter().take(MAX_ATTRIBUTES).collect::<Vec<_>>().join(" ")
        ));
    }
    text
}
