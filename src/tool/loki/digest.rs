//! Lines of many streams as a model reads them: kinds with their counts, streams and times, and everything that was
//! read for the ledger. Pure; `logs` condenses.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::super::request::count;
use crate::evidence::classify;
use crate::logs::digest::{Line, condense};
use crate::logs::told::{Page, told};
use crate::source::loki::{Found, StreamLine};

/// Kinds that get a line of their own.
const MAX_SHOWN: usize = 14;
/// Of all of them; the rest of the answer is the query and notes.
const MAX_BYTES: usize = 5_000;

/// Lines by kind: trouble first, then the new, then the rare. `since` is the moment before which nothing was wrong.
pub fn digest(found: &Found, since: DateTime<Utc>) -> String {
    let line = |line: &StreamLine| Line {
        at: Some(line.at),
        stream: u32::try_from(line.stream).unwrap_or(u32::MAX),
        text: line.text.clone(),
    };
    let lines: Vec<Line> = found.lines.iter().map(line).collect();
    let digest = condense(&lines, Some(since), classify::class_and_weight);
    let names: Vec<String> = found.streams.iter().map(stream_name).collect();
    let how = "filter with contains or without";
    let page = Page { max_bytes: MAX_BYTES, max_kinds: MAX_SHOWN, streams: &names, how };
    format!(
        "{} in {}, {}; trouble first, then new and rare ones\n{}",
        count(found.lines.len(), "line", "lines"),
        count(found.streams.len(), "stream", "streams"),
        count(digest.kinds.len(), "kind", "kinds"),
        told(&digest, &page)
    )
}

fn stream_name(labels: &BTreeMap<String, String>) -> String {
    let part = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
    match (part("pod"), part("container")) {
        ("", "") => labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
        (pod, "") => pod.to_owned(),
        (pod, container) => format!("{pod}/{container}"),
    }
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
