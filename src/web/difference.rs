//! What is different since the last look at the same workload: two reports and what was read for them come in, what is
//! new, what is gone and what changed goes out. Numbers that always move (times, ages, counts) are no change. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::report::{Finding, Report};

/// Changed lines that are shown.
const MAX_LINES: usize = 12;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub same_cause: bool,
    pub cause_before: Option<String>,
    /// Statements of findings.
    pub new: Vec<String>,
    pub gone: Vec<String>,
    pub facts: Vec<Change>,
    /// Changes that are not shown.
    pub more: usize,
}

/// A line that only one of the two looks read, by the same request.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub is_new: bool,
    pub line: String,
}

/// What was read: query and text.
pub(super) type Read<'a> = (&'a str, &'a str);

pub(super) fn difference(
    (now, read_now): (&Report, &[Read<'_>]),
    (before, read_before): (&Report, &[Read<'_>]),
) -> Difference {
    let cause = |report: &Report| report.cause.as_ref().map(|cause| (cause.id.clone(), cause.object.clone()));
    let (mut facts, more) = facts(read_now, read_before);
    facts.truncate(MAX_LINES);
    Difference {
        same_cause: cause(now) == cause(before),
        cause_before: before.cause.as_ref().map(|cause| cause.statement.clone()),
        new: only(&now.findings, &before.findings),
        gone: only(&before.findings, &now.findings),
        facts,
        more,
    }
}

/// Statements of findings of `these` that `those` do not have on the same object.
fn only(these: &[Finding], those: &[Finding]) -> Vec<String> {
    let has = |one: &Finding| {
        those.iter().any(|other| other.signature == one.signature && other.object == one.object)
    };
    these.iter().filter(|one| !has(one)).map(|one| one.statement.clone()).collect()
}

fn facts(now: &[Read<'_>], before: &[Read<'_>]) -> (Vec<Change>, usize) {
    let earlier: BTreeMap<&str, &str> = before.iter().copied().collect();
    let mut changes = Vec::new();
    for (query, text) in now.iter().filter(|(query, _)| !is_log(query)) {
        let Some(other) = earlier.get(query) else { continue };
        let (now, before) = (steady(text), steady(other));
        let only = |these: &BTreeMap<String, &str>, those: &BTreeMap<String, &str>, is_new: bool| {
            let lines = these.iter().filter(|(key, _)| !those.contains_key(*key));
            lines.map(|(_, line)| Change { is_new, line: (*line).to_owned() }).collect::<Vec<_>>()
        };
        changes.extend(only(&before, &now, false));
        changes.extend(only(&now, &before, true));
    }
    let mut seen = BTreeSet::new();
    changes.retain(|change| seen.insert((change.is_new, change.line.clone())));
    let more = changes.len().saturating_sub(MAX_LINES);
    (changes, more)
}

/// A log goes on by itself, and events are about the past.
fn is_log(query: &str) -> bool {
    query.contains("/log?") || query.contains("/events") || query.contains("loki")
}

/// Lines by what of them stands still.
fn steady(text: &str) -> BTreeMap<String, &str> {
    static MOVING: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let times = r"\d{4}-\d\d-\d\dT[0-9:.]+Z|\d\d:\d\d:\d\d|\b(?:\d+(?:\.\d+)?(?:d|h|ms|m|s))+\b";
        Regex::new(&format!(
            r"{times}|×\d+|\d+ (?:restarts?|times?|hours?|minutes?|days?)|\b\d+(?:\.\d+)?e[+-]\d+"
        ))
        .ok()
    });
    let masked = |line: &str| match &*MOVING {
        Some(moving) => moving.replace_all(line, "~").into_owned(),
        None => line.to_owned(),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| (masked(line), line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_always_moves_is_no_change() {
        let before = "pod a: Running, age 9m16s\ncontainer x: last exit 1 at 07:05:07 after 2s, 6 restarts\n";
        let now = "pod a: Running, age 2h3m\ncontainer x: last exit 1 at 09:05:07 after 3s, 46 restarts\n";
        assert_eq!(facts(&[("GET /pods", now)], &[("GET /pods", before)]), (vec![], 0));
    }

    #[test]
    fn what_changed_is_told_with_both_lines() {
        let before = "image: web:1\nnode n1: Ready\n";
        let now = "image: web:2\nnode n1: Ready\n";
        let (changes, _) = facts(&[("GET /pods", now)], &[("GET /pods", before)]);
        let told: Vec<(bool, &str)> = changes.iter().map(|one| (one.is_new, one.line.as_str())).collect();
        assert_eq!(told, [(false, "image: web:1"), (true, "image: web:2")]);
        assert_eq!(
            facts(&[("GET /a", now)], &[("GET /b", before)]).0,
            [],
            "other questions are not compared"
        );
        assert_eq!(
            facts(&[("GET /pods/a/log?x", now)], &[("GET /pods/a/log?x", before)]).0,
            [],
            "logs go on"
        );
    }
}
