//! A container's log as the kubelet gives it becomes lines, each with its time, in order of time. Takes redacted
//! text; a line without a time belongs to the one before it.

use chrono::{DateTime, Utc};

use super::digest::Line;

/// Splits a log with the kubelet's times, in order of time: two streams may arrive mixed.
pub fn lines(text: &str) -> Vec<Line> {
    let mut last = None;
    let mut keyed: Vec<(Option<DateTime<Utc>>, Line)> = Vec::new();
    for text in text.lines().filter(|line| !line.trim().is_empty()) {
        let (stamp, rest) = text.split_once(' ').unwrap_or((text, ""));
        let at = DateTime::parse_from_rfc3339(stamp).ok().map(|at| at.with_timezone(&Utc));
        let text = if at.is_some() { rest } else { text };
        last = at.or(last);
        if !text.trim().is_empty() {
            keyed.push((last, Line { at, stream: 0, text: text.trim_end().to_owned() }));
        }
    }
    keyed.sort_by_key(|(at, _)| *at);
    keyed.into_iter().map(|(_, line)| line).collect()
}
