//! The `data` and `stringData` of a Kubernetes Secret, as YAML or JSON: all of it is secret, whatever its
//! keys. Texts in which no Secret is written out are not looked at.

use std::sync::LazyLock;

use regex::Regex;

use super::Span;

const KIND: &str = "secret-data";

static SECRET_KIND: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?-u:\b)kind\\?["']?\s*:\s*\\?["']?Secret(?:List)?(?-u:\b)"#).ok());
static JSON_DATA: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\\?"(?:data|stringData)\\?"\s*:\s*\{([^{}]*)\}"#).ok());
static JSON_VALUE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#":\s*(?:\\"([^"\\]+)\\"|"((?:[^"\\]|\\.)+)")"#).ok());

/// Where the values of Secrets stand, in order.
pub(super) fn spans(text: &str) -> Vec<Span> {
    if !SECRET_KIND.as_ref().is_some_and(|kind| kind.is_match(text)) {
        return Vec::new();
    }
    let mut spans = in_json(text);
    spans.extend(in_yaml(text));
    spans.sort_by_key(|span| span.from);
    // JSON inside a YAML block was found by both.
    spans.dedup_by(|later, earlier| later.from < earlier.to);
    spans
}

fn in_json(text: &str) -> Vec<Span> {
    let (Some(data), Some(value)) = (JSON_DATA.as_ref(), JSON_VALUE.as_ref()) else { return Vec::new() };
    let blocks = data.captures_iter(text).filter_map(|captures| captures.get(1));
    blocks
        .flat_map(|block| {
            value.captures_iter(block.as_str()).filter_map(move |captures| {
                let value = captures.get(1).or_else(|| captures.get(2))?;
                Some(Span {
                    from: block.start() + value.start(),
                    to: block.start() + value.end(),
                    kind: KIND,
                })
            })
        })
        .collect()
}

/// Follows the indentation: a block ends at the first line that is not deeper than its `data:`.
fn in_yaml(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut block: Option<usize> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        if block.is_some_and(|outer| indent <= outer && !content.is_empty()) {
            block = None;
        }
        if block.is_some() && !content.is_empty() {
            // `key: value`, or a line of a multi-line value.
            let skipped = match content.split_once(": ") {
                Some((key, value)) => key.len() + 2 + (value.len() - value.trim_start().len()),
                None if content.ends_with(':') => content.len(),
                None => 0,
            };
            let value = &content[skipped..];
            if !matches!(value, "" | "|" | "|-" | ">" | ">-" | "\"\"") {
                let from = at + indent + skipped;
                spans.push(Span { from, to: from + value.len(), kind: KIND });
            }
        } else if matches!(content, "data:" | "stringData:") {
            block = Some(indent);
        }
        at += line.len();
    }
    spans
}
