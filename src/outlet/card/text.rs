//! Untrusted text becomes text runs of an Adaptive Card. Text runs know no Markdown, so nothing in them is a link or
//! formatting; what a host might act on all the same (addresses, `<at>`, `{{DATE(…)}}`) is broken up by a character
//! without width. Every function takes raw text and is the only way for raw text into a card. Pure.

use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

use crate::inert::inert;

/// Beyond this nothing of a text can be shown, so nothing of it is looked at.
const MAX_INPUT_BYTES: usize = 64 * 1024;
const BREAK: char = '\u{200b}';
/// Stands where there is nothing to show: an empty run is refused.
const NOTHING: &str = "–";

/// Running text on one line.
pub(super) fn plain(text: &str, max: usize) -> Value {
    json!({"type": "TextRun", "text": prose(text, max)})
}

pub(super) fn bold(text: &str, max: usize) -> Value {
    json!({"type": "TextRun", "text": prose(text, max), "weight": "Bolder"})
}

/// The card's own headline.
pub(super) fn large(text: &str, max: usize) -> Value {
    json!({"type": "TextRun", "text": prose(text, max), "weight": "Bolder", "size": "Large"})
}

pub(super) fn subtle(text: &str, max: usize) -> Value {
    json!({"type": "TextRun", "text": prose(text, max), "isSubtle": true, "size": "Small"})
}

/// A name.
pub(super) fn code(text: &str, max: usize) -> Value {
    json!({"type": "TextRun", "text": verbatim(&one_line(text), max), "fontType": "Monospace"})
}

/// One line of the card.
pub(super) fn line(runs: &[Value]) -> Value {
    json!({"type": "RichTextBlock", "inlines": runs, "spacing": "Small"})
}

/// A line that begins a part.
pub(super) fn heading(text: &str) -> Value {
    json!({"type": "RichTextBlock", "inlines": [bold(text, 200)], "spacing": "Medium"})
}

/// A quote or a command, line by line as it is. Nothing for nothing.
pub(super) fn block(text: &str, max: usize) -> Option<Value> {
    let text = inert(bounded(text)).replace('\t', "    ");
    let text = text.trim_matches('\n').trim_end();
    let run =
        json!({"type": "TextRun", "text": verbatim(text, max), "fontType": "Monospace", "size": "Small"});
    let items = [json!({"type": "RichTextBlock", "inlines": [run]})];
    let shown = !text.trim().is_empty();
    shown.then(|| json!({"type": "Container", "style": "emphasis", "spacing": "Small", "items": items}))
}

/// Length as Teams may count it: UTF-16 units, never less than characters and never less than a third of the bytes.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn prose(text: &str, max: usize) -> String {
    // Addresses that a client would find by itself.
    let text = one_line(text).replace("://", &format!(":{BREAK}//")).replace("www.", &format!("www{BREAK}."));
    verbatim(&text, max)
}

fn verbatim(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '{']) {
        let (before, from) = rest.split_at(at);
        let first = if from.starts_with('<') { '<' } else { '{' };
        out.push_str(before);
        out.push(first);
        rest = &from[1..];
        if is_acted_on(first, rest) {
            out.push(BREAK);
        }
    }
    out.push_str(rest);
    cut(if out.is_empty() { NOTHING } else { &out }, max)
}

/// `<at>` and `</at>`, however they are written, `{{DATE(` and `{{TIME(`.
fn is_acted_on(first: char, rest: &str) -> bool {
    let rest = rest.as_bytes();
    match first {
        '<' => {
            let skipped = rest.iter().take_while(|byte| matches!(byte, b'/' | b' ')).count();
            let name = &rest[skipped..];
            name.len() >= 3 && name[..2].eq_ignore_ascii_case(b"at") && !name[2].is_ascii_alphanumeric()
        }
        _ => rest.starts_with(b"{DATE(") || rest.starts_with(b"{TIME("),
    }
}

fn one_line(text: &str) -> String {
    inert(bounded(text)).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_INPUT_BYTES)]
}

/// At most `max` long, "…" included; never within a grapheme.
fn cut(text: &str, max: usize) -> String {
    if length(text) <= max {
        return text.to_owned();
    }
    let (mut end, mut used) = (0, 1);
    for grapheme in text.graphemes(true) {
        used += length(grapheme);
        if used > max {
            break;
        }
        end += grapheme.len();
    }
    format!("{}…", text[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(run: &Value) -> &str {
        run["text"].as_str().unwrap()
    }

    #[test]
    fn what_a_host_might_act_on_is_broken_up() {
        let run = plain("see https://evil.example and www.evil.example, <at>Everyone</at> < /AT>", 200);
        assert_eq!(
            text(&run),
            "see https:\u{200b}//evil.example and www\u{200b}.evil.example, <\u{200b}at>Everyone<\u{200b}/at> <\u{200b} /AT>"
        );
        assert_eq!(
            text(&plain("{{DATE(2026-11-21T07:00:00Z)}}", 99)),
            "{\u{200b}{DATE(2026-11-21T07:00:00Z)}}"
        );
        assert_eq!(text(&plain("two\nlines\u{202e}\u{0}\u{e0041}", 99)), "two lines");
        assert_eq!(text(&plain("", 99)), "–");
        assert_eq!(text(&plain("<attr> {{.Values.x}}", 99)), "<attr> {{.Values.x}}");
        // Markdown is not read in a run, so it stays as it is.
        assert_eq!(text(&plain("**a** [b](c) _d_", 99)), "**a** [b](c) _d_");
    }

    #[test]
    fn a_command_is_what_was_advised_word_for_word() {
        let command = "kubectl get pods -o jsonpath='{.items[*].x}' \\\n  --as=a@b https://x <in >out";
        let block = block(command, 500).unwrap();
        assert_eq!(block["items"][0]["inlines"][0]["text"], command);
        assert_eq!(super::block(" \n", 500), None);
    }

    #[test]
    fn a_cut_keeps_graphemes_whole() {
        assert_eq!(text(&plain("abcdef", 4)), "abc…");
        assert_eq!(text(&plain(&format!("e{}", "\u{301}".repeat(50)), 5)), "…");
    }
}
