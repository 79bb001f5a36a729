//! The rest of a private key whose beginning was cut off, as in the tail of a log: lines of base64, each
//! perhaps behind a time stamp, above an `-----END … PRIVATE KEY-----`.

use std::sync::LazyLock;

use regex::Regex;

use super::Span;

/// Shorter last words of a line are prose.
const MIN_BASE64_BYTES: usize = 16;

static END: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----").ok());

/// Where such rests stand, in order.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let Some(end) = END.as_ref() else { return Vec::new() };
    let mut spans: Vec<Span> = Vec::new();
    for end in end.find_iter(text) {
        let searched = spans.last().map_or(0, |before| before.to);
        let mut from = end.start();
        // The end's own line first: what stands before it there is a time stamp or nothing.
        let above = text[searched..from].rfind('\n').map(|line| searched + line);
        let mut rest = above.map_or("", |line| &text[searched..line]);
        while let Some(word) = base64_word(rest.rsplit('\n').next().unwrap_or_default()) {
            from = searched + rest.trim_end().len() - word.len();
            rest = rest.rfind('\n').map_or("", |line| &rest[..line]);
        }
        if from < end.start() {
            spans.push(Span { from, to: end.end(), kind: "private-key" });
        }
    }
    spans
}

/// The last word of a line, if it is base64.
fn base64_word(line: &str) -> Option<&str> {
    let word = line.split_whitespace().next_back()?;
    let is_base64 = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    (is_base64 && word.len() >= MIN_BASE64_BYTES).then_some(word)
}
