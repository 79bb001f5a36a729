//! How an answer is put: texts and JSON from the store come in, what may leave goes out, redacted once more, without
//! characters that nobody sees, within its bounds and with a note of what was left out. Pure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Answer;
use crate::inert::inert;
use crate::tool::bounded::bounded;

/// Most bytes of an answer's text.
const MAX_TEXT_BYTES: usize = 48 * 1024;
/// Most bytes of an answer's JSON; a larger one is left out.
const MAX_STRUCTURED_BYTES: usize = 96 * 1024;

/// Text and JSON, each within its bound.
pub fn answer(mut text: String, structured: Value) -> Answer {
    let bytes = structured.to_string().len();
    if bytes <= MAX_STRUCTURED_BYTES {
        return Answer { text, structured: Some(structured) };
    }
    text.push_str(&format!(
        "\n[left out: the structured content, {bytes} bytes of at most {MAX_STRUCTURED_BYTES}; ask for less to have it]\n"
    ));
    Answer { text, structured: None }
}

/// A text as it leaves.
pub fn text(text: &str) -> String {
    bounded(text, MAX_TEXT_BYTES)
}

/// A long text's beginning, with what is missing.
pub fn cut(text: &str, limit: usize) -> String {
    bounded(text, limit)
}

/// What stands in one line: a name, a label, a sentence.
pub fn line(text: &str) -> String {
    inert(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `1 alert`, `2 alerts`.
pub fn count(number: impl Into<i64>, one: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

pub fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%MZ").to_string()
}

/// The last line of a list.
pub fn next_page(next: Option<&str>, else_told: &str) -> String {
    match next {
        Some(next) => {
            format!("\n[there are more: the same arguments with cursor: \"{next}\"; {else_told}]\n")
        }
        None => format!("\n[that is all; {else_told}]\n"),
    }
}

/// The same JSON, without characters that nobody sees in any of its texts.
pub fn inert_json(value: Value) -> Value {
    match value {
        Value::String(text) => match inert(&text) {
            Cow::Borrowed(_) => Value::String(text),
            Cow::Owned(clean) => Value::String(clean),
        },
        Value::Array(items) => items.into_iter().map(inert_json).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (inert(&key).into_owned(), inert_json(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_sees_is_left_out_of_every_text() {
        let hostile = json!({"a\u{200b}b": ["\u{1b}[31mred", {"c": "x\u{202e}y"}], "n": 1});
        assert_eq!(inert_json(hostile), json!({"ab": ["red", {"c": "xy"}], "n": 1}));
        assert_eq!(line("one\r\n two\u{2028}three\u{1b}[0m"), "one two three");
    }

    #[test]
    fn json_that_is_too_large_is_left_out_and_said_so() {
        let small = answer("t".to_owned(), json!({"a": 1}));
        assert_eq!((small.text.as_str(), small.structured), ("t", Some(json!({"a": 1}))));
        let large = answer("t".to_owned(), json!("x".repeat(MAX_STRUCTURED_BYTES)));
        assert!(large.structured.is_none() && large.text.contains("left out: the structured content"));
        let long = "a line of text\n".repeat(MAX_TEXT_BYTES);
        let told = text(&long);
        assert!(
            told.len() <= MAX_TEXT_BYTES && told.ends_with("ask for less to see them]"),
            "{}",
            told.len()
        );
    }
}
