//! What follows from a press or a question: words, stored evidence or an answer go in; a note, a dialogue or a reply
//! in the thread come out. Pure.

use serde_json::{Value, json};
use uuid::Uuid;

use super::escape::{code, fence, inline};
use super::{Message, Page, Telling};
use crate::facts::Observation;
use crate::report::Evidence;
use crate::words::{Words, fill};

/// `callback_id` of the dialogue after 👎, and the name of its one field.
pub const REASON_VIEW: &str = "whodunit_reason";
pub const REASON_FIELD: &str = "whodunit_reason";

const MAX_REASON_CHARS: usize = 500;
const MAX_OBSERVATIONS: usize = 8;
const MAX_TEXT: usize = 1_800;
const MAX_LINE: usize = 300;
const MAX_ANSWER: usize = 1_500;
const MAX_QUOTES: usize = 4;
const MAX_QUOTE: usize = 400;

/// Shown to one person alone. `text` is ours.
pub fn note(text: &str) -> Message {
    let mut page = Page::default();
    page.section(&[text.to_owned()]);
    page.message(text)
}

/// Asks what was wrong with a report.
pub fn reason_view(words: &Words, investigation: Uuid) -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": true});
    json!({
        "type": "modal", "callback_id": REASON_VIEW, "private_metadata": investigation.to_string(),
        "title": plain("whodunit"), "submit": plain(words.send), "close": plain(words.cancel),
        "blocks": [{
            "type": "input", "block_id": REASON_FIELD, "optional": true, "label": plain(words.ask_reason),
            "hint": plain(words.ask_reason_hint),
            "element": {"type": "plain_text_input", "action_id": REASON_FIELD, "multiline": true,
                        "max_length": MAX_REASON_CHARS},
        }],
    })
}

/// What the report quotes from, as it was read and stored.
pub fn evidence(telling: Telling<'_>, observations: &[Observation]) -> Message {
    let words = telling.words;
    let mut page = Page::default();
    let title = if observations.is_empty() { words.evidence_none } else { words.evidence_title };
    page.section(&[format!("*{title}*")]);
    for one in observations.iter().take(MAX_OBSERVATIONS) {
        let (id, source) = (inline(&one.id, 12), inline(&one.source, 40));
        let query = code(&one.query, MAX_LINE);
        let from = fill(words.from_source, &[("id", &id), ("source", &source), ("query", &query)]);
        let text = if one.text.trim().is_empty() { String::new() } else { fence(&one.text, MAX_TEXT) };
        page.section(&[from, text]);
    }
    if let Some(more) = observations.len().checked_sub(MAX_OBSERVATIONS).filter(|&more| more > 0) {
        page.context(&[fill(words.more_in_report, &[("more", &more.to_string())])]);
    }
    page.context(&[telling.link(words.full_report)]);
    page.message(title)
}

/// A question that was answered from what the investigation read.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    pub question: &'a str,
    pub answer: &'a str,
    /// Verified.
    pub quotes: &'a [Evidence],
    pub tokens: u64,
    pub usd: f64,
}

/// The reply in the thread.
pub fn answer(telling: Telling<'_>, answered: Answered<'_>) -> Message {
    let words = telling.words;
    let mut page = Page::default();
    page.section(&[
        format!("*{}*", inline(answered.question, MAX_LINE)),
        inline(answered.answer, MAX_ANSWER),
    ]);
    for evidence in answered.quotes.iter().take(MAX_QUOTES) {
        let (id, source) = (inline(&evidence.id, 12), inline(&evidence.source, 40));
        let query = code(&evidence.query, MAX_LINE);
        let from = fill(words.from_source, &[("id", &id), ("source", &source), ("query", &query)]);
        page.section(&[from, fence(&evidence.quote, MAX_QUOTE)]);
    }
    let (tokens, usd) = (answered.tokens.to_string(), format!("{:.2}", answered.usd.max(0.0)));
    let cost = fill(words.answer_from, &[("tokens", &tokens), ("usd", &usd)]);
    page.context(&[cost, telling.link(words.full_report)]);
    page.message(answered.answer)
}
