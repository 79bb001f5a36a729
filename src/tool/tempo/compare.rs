//! A trace beside a healthy one of the same operation: where its time differs, what it did more often, what it never
//! came to. The spans of both come in, a few lines go out. Spans are compared by service and name, never one by one.
//! Pure.

use std::collections::BTreeMap;

use super::path::Forest;
use super::tree::{MayBeTold, number_ms};
use crate::source::tempo::{Span, Status};

/// Differences that are told, and names of what is missing.
const MAX_DIFFERENCES: usize = 4;
const MAX_MISSING: usize = 3;
/// A difference is this share of the longer trace at least, in percent.
const MIN_PERCENT: u64 = 5;

/// One operation in one trace: how often, and how long by itself.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    times: u64,
    own: u64,
}

/// `healthy` failed nowhere; `id` is its own.
pub(super) fn compare(spans: &[Span], healthy: &[Span], id: &str, may_be_told: MayBeTold<'_>) -> String {
    let (here, there) = (sums(spans, may_be_told), sums(healthy, may_be_told));
    let longest = |spans: &[Span]| spans.iter().map(|span| span.nanoseconds).max().unwrap_or(0);
    let (whole, usual) = (longest(spans), longest(healthy));
    let mut text = format!(
        "beside the healthy trace {id} of the same operation ({} ms, here {} ms):\n",
        number_ms(usual),
        number_ms(whole)
    );
    let none = Sum::default();
    let mut differ: Vec<(&(&str, &str), &Sum, &Sum)> =
        here.iter().map(|(what, sum)| (what, sum, there.get(what).unwrap_or(&none))).collect();
    differ.retain(|(_, here, there)| here.own.abs_diff(there.own) * 100 >= whole.max(usual) * MIN_PERCENT);
    differ.sort_by_key(|(what, here, there)| (std::cmp::Reverse(here.own.abs_diff(there.own)), **what));
    for ((service, name), here, there) in differ.iter().take(MAX_DIFFERENCES) {
        let usual = if there.times == 0 { "nothing of it there".to_owned() } else { told(there) };
        let usual = if there.times == 0 { usual } else { format!("there {usual}") };
        text.push_str(&format!("  {service} {name}: {} of its own, {usual}\n", told(here)));
    }
    let more = differ.len().saturating_sub(MAX_DIFFERENCES);
    if more > 0 {
        text.push_str(&format!("  left out: {more} smaller differences\n"));
    }
    let missing: Vec<String> = there
        .keys()
        .filter(|what| !here.contains_key(*what))
        .map(|(service, name)| format!("{service} {name}"))
        .collect();
    if !missing.is_empty() {
        let more = missing.len().saturating_sub(MAX_MISSING);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = missing.into_iter().take(MAX_MISSING).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("  only there: {shown}{more}\n"));
    }
    if text.lines().count() == 1 {
        text.push_str("  no operation differs by much\n");
    }
    text
}

/// Whether a trace can stand for a healthy one.
pub(super) fn is_healthy(spans: &[Span]) -> bool {
    !spans.is_empty() && spans.iter().all(|span| span.status != Status::Error)
}

fn told(sum: &Sum) -> String {
    let times = if sum.times > 1 { format!(" in {} calls", sum.times) } else { String::new() };
    format!("{} ms{times}", number_ms(sum.own))
}

fn sums<'s>(spans: &'s [Span], may_be_told: MayBeTold<'_>) -> BTreeMap<(&'s str, &'s str), Sum> {
    let forest = Forest::new(spans);
    let mut sums: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for (span, own) in spans.iter().zip(&forest.own).filter(|(span, _)| may_be_told(span)) {
        let sum = sums.entry((&span.service, &span.name)).or_default();
        *sum = Sum { times: sum.times + 1, own: sum.own.saturating_add(*own) };
    }
    sums
}
