//! A digest as text within a bound: whole lines of the log, repeated ones with their count, what is new or gone,
//! and at the end what was left out and how to ask for it. What says most about a failure comes first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::digest::{Digest, Exemplar, Kind, Mark};

/// Of a line that is shown.
const MAX_LINE_CHARS: usize = 300;
/// Of parameters, which are beside the line.
const MAX_PARAMETERS: usize = 2;
/// Kinds seen so often that a change of their rate means something, and how much it changes.
const MIN_TREND: usize = 20;
const TREND: usize = 3;

/// What room there is, and who reads.
pub struct Page<'a> {
    pub max_bytes: usize,
    pub max_kinds: usize,
    /// Names of the streams; empty where there is one.
    pub streams: &'a [String],
    /// How to ask for what is left out: `grep finds them`.
    pub how: &'a str,
}

/// The digest as text of at most about `max_bytes`.
pub fn told(digest: &Digest, page: &Page<'_>) -> String {
    let mut text = String::new();
    let mut left: Vec<&Kind> = Vec::new();
    for (number, kind) in digest.kinds.iter().enumerate() {
        let one = one(kind, page);
        if number > 0 && (number >= page.max_kinds || text.len() + one.len() > page.max_bytes) {
            left.push(kind);
        } else {
            text.push_str(&one);
        }
    }
    if !left.is_empty() {
        let records: usize = left.iter().map(|kind| kind.count).sum();
        let trouble = left.iter().filter(|kind| kind.is_trouble()).count();
        let gone = left.iter().filter(|kind| kind.mark == Mark::Gone).count();
        let gone = if gone > 0 { format!(", {gone} no longer seen") } else { String::new() };
        text.push_str(&format!(
            "left out: {} more kinds of lines ({records} lines), {trouble} of them trouble{gone}; {}\n",
            left.len(),
            page.how
        ));
    }
    if digest.left_out > 0 {
        text.push_str(&format!(
            "not read: {} records beyond the window; ask for less time\n",
            digest.left_out
        ));
    }
    text
}

/// `refused 120, timeout 3`
pub fn classes(digest: &Digest) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in &digest.kinds {
        let shown: usize = kind.classes().values().sum();
        for (class, count) in kind.classes() {
            *counts.entry(class).or_default() += count;
        }
        // The rest of the kind says what its exemplar says.
        if !kind.exemplar.class.is_empty() {
            *counts.entry(kind.exemplar.class).or_default() += kind.count.saturating_sub(shown);
        }
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(class, count)| (std::cmp::Reverse(*count), *class));
    counts.iter().map(|(class, count)| format!("{class} {count}")).collect::<Vec<_>>().join(", ")
}

/// `120× 06:59:51–07:05:01 new [checkout-1/app] dial tcp 10.0.0.7:5432: connection refused`
fn one(kind: &Kind, page: &Page<'_>) -> String {
    let mut text = String::new();
    if kind.count > 1 {
        text.push_str(&format!("{}× ", kind.count));
    }
    match (kind.first, kind.last) {
        (Some(first), Some(last)) if clock(first) != clock(last) => {
            text.push_str(&format!("{}–{} ", clock(first), clock(last)));
        }
        (Some(at), _) => text.push_str(&format!("{} ", clock(at))),
        _ => {}
    }
    text.push_str(mark(kind));
    text.push_str(&whose(kind, page.streams));
    text.push_str(&lines(&kind.exemplar));
    let mut more = kind.hidden_more;
    for hidden in &kind.hidden {
        let at = hidden.lines.first().and_then(|line| line.at);
        let at = at.map_or_else(String::new, |at| format!("{} ", clock(at)));
        let one = format!("  also {}× {at}{}", hidden.count, lines(hidden));
        if text.len() + one.len() <= page.max_bytes {
            text.push_str(&one);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        text.push_str(&format!("  {more} more causes of this kind; {}\n", page.how));
    }
    if kind.is_trouble() && kind.count > 1 {
        for parameter in kind.parameters.iter().take(MAX_PARAMETERS) {
            text.push_str(&format!("  {}\n", parameter.told()));
        }
    }
    text
}

fn mark(kind: &Kind) -> &'static str {
    let after = kind.count - kind.before;
    match kind.mark {
        Mark::New => "new ",
        Mark::Gone => "gone ",
        Mark::Known if kind.before == 0 || kind.count < MIN_TREND => "",
        Mark::Known if after >= kind.before * TREND => "rising ",
        Mark::Known if kind.before >= after * TREND => "falling ",
        Mark::Known => "",
    }
}

fn whose(kind: &Kind, names: &[String]) -> String {
    match (names.len(), kind.streams.len()) {
        (0, _) => String::new(),
        (_, 1) => {
            let name = kind.streams.first().and_then(|stream| names.get(*stream as usize));
            format!("[{}] ", name.map_or("", String::as_str))
        }
        (_, many) => format!("[{many} streams] "),
    }
}

fn lines(exemplar: &Exemplar) -> String {
    let mut text = String::new();
    for (number, line) in exemplar.lines.iter().enumerate() {
        text.push_str(if number > 0 { "    " } else { "" });
        text.push_str(&cut(&line.text));
        text.push('\n');
    }
    text
}

/// A line, or its beginning and how much more of it there is.
pub fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_LINE_CHARS) {
        Some((at, _)) => format!("{} … {} more bytes", line[..at].trim_end(), line.len() - at),
        None => line.trim_end().to_owned(),
    }
}

/// Of the day.
pub fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}
