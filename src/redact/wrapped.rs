//! Secrets that go on in the next line, because a log broke them: below a line that ends in a mark, a line
//! that is nothing but one word that nobody chose. Whatever else stands in a line ends the secret.

use super::{Span, marks};

const KIND: &str = "continued";
/// Shorter words are words.
const MIN_BYTES: usize = 12;

/// Where such continuations stand, in order.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let ends: Vec<usize> = marks(text).map(|mark| mark.end).collect();
    if ends.is_empty() {
        return Vec::new();
    }
    let mut spans = Vec::new();
    let mut goes_on = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let word = last_word(content);
        let from = at + content.len() - word.len();
        let is_alone = content.len() == word.len() || is_stamp(content[..content.len() - word.len()].trim());
        if goes_on && is_alone && is_random(word) {
            spans.push(Span { from, to: from + word.len(), kind: KIND });
        } else {
            goes_on = ends.binary_search(&(at + content.len())).is_ok();
        }
        at += line.len();
    }
    spans
}

fn last_word(content: &str) -> &str {
    content.rsplit(char::is_whitespace).next().unwrap_or_default()
}

/// The time that a log puts before its line.
fn is_stamp(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

fn is_random(word: &str) -> bool {
    word.len() >= MIN_BYTES
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-.".contains(&b))
        && word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_digit())
}
