//! Log lines as a model reads them: lines that differ only in numbers and ids become one template with its
//! count, first and last time and an example; rare lines and errors come first. Pure.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use regex::Regex;

use super::super::request::count;
use crate::source::loki::{Found, StreamLine};

/// Templates that get a line of their own.
const MAX_SHOWN: usize = 14;
/// Longest line shown; the ledger has it in full.
const MAX_LINE_CHARS: usize = 300;
/// Longest part of a line that decides its template.
const MAX_MASKED_CHARS: usize = 1000;

/// What varies between lines that say the same, the longest first. ASCII's borders and digits: with Unicode's, a
/// letter beyond ASCII makes the search many times slower.
const VARIES: &str = concat!(
    r"(?-u:\b)[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?",
    r"|(?-u:\b)[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?-u:\b)",
    r"|(?-u:\b)[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?-u:\b)",
    r"|(?-u:\b)0x[0-9a-fA-F]+(?-u:\b)|(?-u:\b)[0-9a-f]*[0-9][0-9a-f]*[a-f][0-9a-f]{6,}(?-u:\b)",
    r"|(?-u:\b)[0-9a-f]*[a-f][0-9a-f]*[0-9][0-9a-f]{6,}(?-u:\b)",
    r"|[0-9]+(?:\.[0-9]+)?"
);

/// Words of a line that tells of trouble.
const TROUBLE: &str = r"(?i)\b(error|err|fatal|panic|panicked|exception|traceback|fail(ed|ure|ing)?|refused|denied|timed? ?out|unreachable|killed|critical|cannot|unable|no such|not found|oom)\b|^[EF]\d{4} ";

static PATTERNS: LazyLock<Option<(Regex, Regex)>> =
    LazyLock::new(|| Some((Regex::new(VARIES).ok()?, Regex::new(TROUBLE).ok()?)));

/// The line with what varies replaced by what it is: `took <n> ms`.
pub fn template(line: &str) -> String {
    let end = line.char_indices().nth(MAX_MASKED_CHARS).map_or(line.len(), |(at, _)| at);
    let Some((varies, _)) = PATTERNS.as_ref() else { return line[..end].to_owned() };
    let (mut text, mut kept) = (String::with_capacity(end), 0);
    for found in varies.find_iter(&line[..end]) {
        text.push_str(&line[kept..found.start()]);
        text.push_str(kind(found.as_str()));
        kept = found.end();
    }
    text.push_str(&line[kept..end]);
    text
}

/// Which of the things that vary this is; each has a sign that the others lack.
fn kind(found: &str) -> &'static str {
    let has = |sign: char| found.contains(sign);
    match found.matches('.').count() {
        _ if has(':') => "<time>",
        _ if has('-') => "<uuid>",
        3 => "<ip>",
        _ if found.bytes().any(|b| b.is_ascii_alphabetic()) => "<hex>",
        _ => "<n>",
    }
}

fn is_trouble(line: &str) -> bool {
    PATTERNS.as_ref().is_some_and(|(_, trouble)| trouble.is_match(line))
}

struct Group<'a> {
    count: usize,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    /// The newest line as it stood.
    example: &'a StreamLine,
    trouble: bool,
    /// Streams in which it was seen.
    streams: std::collections::BTreeSet<usize>,
}

/// Lines by template: trouble first, then the rare, then the newest.
pub fn digest(found: &Found) -> String {
    let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
    for line in &found.lines {
        let group = groups.entry(template(&line.text)).or_insert_with(|| Group {
            count: 0,
            first: line.at,
            last: line.at,
            example: line,
            trouble: is_trouble(&line.text),
            streams: std::collections::BTreeSet::new(),
        });
        group.count += 1;
        (group.last, group.example) = (line.at, line);
        group.streams.insert(line.stream);
    }
    let mut rows: Vec<Group<'_>> = groups.into_values().collect();
    rows.sort_by_key(|row| (!row.trouble, row.count, std::cmp::Reverse(row.last)));
    let mut text = format!(
        "{} in {}, {} of text; trouble first, then rare ones\n",
        count(found.lines.len(), "line", "lines"),
        count(found.streams.len(), "stream", "streams"),
        count(rows.len(), "kind", "kinds")
    );
    for row in rows.iter().take(MAX_SHOWN) {
        text.push_str(&told(row, found));
    }
    if let Some(rest) = rows.get(MAX_SHOWN..).filter(|rest| !rest.is_empty()) {
        let lines: usize = rest.iter().map(|row| row.count).sum();
        let trouble = rest.iter().filter(|row| row.trouble).count();
        text.push_str(&format!(
            "left out: {} more kinds of text in {}, {trouble} of them trouble; filter with contains or without\n",
            rest.len(),
            count(lines, "line", "lines")
        ));
    }
    text
}

fn told(row: &Group<'_>, found: &Found) -> String {
    let when = if row.count == 1 {
        clock(row.last)
    } else {
        format!("{}× {}–{}", row.count, clock(row.first), clock(row.last))
    };
    let whose = match row.streams.len() {
        1 => found.streams.get(row.example.stream).map(stream_name).unwrap_or_default(),
        many => format!("{many} streams"),
    };
    let line = &row.example.text;
    let end = line.char_indices().nth(MAX_LINE_CHARS).map(|(at, _)| at);
    let cut = end.map_or_else(String::new, |at| format!(" … {} more bytes", line.len() - at));
    format!("{when} [{whose}] {}{cut}\n", line[..end.unwrap_or(line.len())].trim_end())
}

fn stream_name(labels: &BTreeMap<String, String>) -> String {
    let part = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
    match (part("pod"), part("container")) {
        ("", "") => labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
        (pod, "") => pod.to_owned(),
        (pod, container) => format!("{pod}/{container}"),
    }
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

/// Everything that was read, for the ledger.
pub fn full(found: &Found) -> String {
    let line = |line: &StreamLine| {
        let whose = found.streams.get(line.stream).map(stream_name).unwrap_or_default();
        format!("{} [{whose}] {}\n", line.at.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true), line.text)
    };
    found.lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
