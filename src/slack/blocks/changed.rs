//! What changed first, and what happened when, in the thread. A report goes in, lines go out; what the ranking says
//! of an entry of the timeline is said once. Pure.

use super::escape::inline;
use super::summary::more;
use crate::report::{Report, TimelineEntry};
use crate::words::{self, Words};

const MAX_CHANGED: usize = 3;
const MAX_TIMELINE: usize = 5;
const MAX_SENTENCE: usize = 400;

/// The ranking, numbered; nothing where nothing changed.
pub(super) fn changed(words: &Words, report: &Report) -> Vec<String> {
    let ranked = words::changed_first(report, MAX_CHANGED);
    if ranked.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("*{}*", words.what_changed)];
    for (at, one) in ranked.into_iter().enumerate() {
        lines.push(format!("{}. {}", at + 1, inline(&words.changed(one), MAX_SENTENCE)));
    }
    lines
}

pub(super) fn timeline(words: &Words, report: &Report) -> Vec<String> {
    let entries = words::timeline(report, MAX_TIMELINE);
    let Some(first) = entries.first().map(|entry| entry.at) else { return Vec::new() };
    let title = words.what_happened;
    let one_day = entries.iter().all(|entry| entry.at.date_naive() == first.date_naive());
    let mut lines = vec![if one_day {
        format!("*{title}* ({}, UTC)", first.format("%Y-%m-%d"))
    } else {
        format!("*{title}* (UTC)")
    }];
    let format = if one_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    for entry in entries {
        let what = inline(&entry.what, MAX_SENTENCE);
        let (mark, why) = mark(words, report, entry);
        let space = if why.is_empty() { "" } else { " " };
        lines.push(format!("{mark} {}  {what}{space}{}", entry.at.format(format), why.trim_start()));
    }
    more(words, &mut lines, report.timeline.len(), MAX_TIMELINE);
    lines
}

fn mark(words: &Words, report: &Report, entry: &TimelineEntry) -> (&'static str, String) {
    match (entry.trigger, report.changed_first.is_empty()) {
        (false, _) => ("•", String::new()),
        (true, true) => (":arrow_right:", inline(&words.trigger(entry), MAX_SENTENCE)),
        (true, false) => (":arrow_right:", String::new()),
    }
}
