//! One log on one screen: a short log as it stands, a longer one as its kinds, with the classes of failures above and
//! the last lines verbatim below, for they are nearest to a death. Every line that is shown stands in the log.

use chrono::{DateTime, Utc};

use super::digest::{Judge, Line, condense};
use super::group::masked;
use super::told::{Page, classes, clock, cut, told};

/// A log this short is shown as it is, unless it repeats itself.
const SHORT_LINES: usize = 25;
/// Kinds that are shown.
const MAX_KINDS: usize = 32;
const LAST_LINES: usize = 6;

/// At most about `max_bytes`; `since` is the moment before which nothing was wrong yet.
pub fn screen(lines: &[Line], since: Option<DateTime<Utc>>, judge: Judge, max_bytes: usize) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let digest = condense(lines, since, judge);
    let all = lines.iter().map(shown).collect::<Vec<_>>().join("\n");
    if lines.len() <= SHORT_LINES && digest.kinds.len() * 2 > digest.records && all.len() <= max_bytes {
        return all;
    }
    let mut text = String::new();
    let classes = classes(&digest);
    if !classes.is_empty() {
        text.push_str(&format!("failures by class: {classes}\n"));
    }
    let room = max_bytes / 3 * 2;
    let page = Page { max_bytes: room, max_kinds: MAX_KINDS, streams: &[], how: "grep finds them" };
    text.push_str(&told(&digest, &page));
    let last: Vec<String> = lines.iter().rev().take(LAST_LINES).map(shown).collect();
    let fits = last.iter().scan(0, |sum, line| {
        *sum += line.len() + 1;
        Some(*sum)
    });
    let last = &last[..fits.take_while(|sum| *sum <= max_bytes - room).count().max(1)];
    let mut kinds: Vec<String> = lines.iter().rev().take(last.len()).map(|line| masked(&line.text)).collect();
    kinds.dedup();
    // Of one kind, they were told above.
    if kinds.len() > 1 {
        text.push_str(&format!("the last {} lines:\n", last.len()));
        text.extend(last.iter().rev().flat_map(|line| [line.as_str(), "\n"]));
    }
    text.truncate(text.trim_end().len());
    text
}

fn shown(line: &Line) -> String {
    let text = cut(&line.text);
    line.at.map_or_else(|| text.clone(), |at| format!("{} {text}", clock(at)))
}
