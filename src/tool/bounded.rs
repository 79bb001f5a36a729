//! Texts within their bounds: what a source said comes in, the redacted, inert, bounded text that may leave
//! goes out, with a note of what was left out. Nothing is cut in the middle of a secret. Pure.

use std::borrow::Cow;

use crate::inert::inert;
use crate::redact::redact;

/// Read beyond the bound before redaction, so that a secret at the edge is seen whole.
const SLACK_BYTES: usize = 16 * 1024;
/// What the note at the end may take.
const NOTE_BYTES: usize = 160;

/// The text as it may leave, in whole lines as far as there are any.
pub fn bounded(text: &str, limit: usize) -> String {
    let head = head(text, limit + SLACK_BYTES);
    let clean = inert(head);
    let clean = redact(&clean);
    let unread = text.len() - head.len();
    if unread == 0 && clean.len() <= limit {
        return clean.into_owned();
    }
    let room = limit.saturating_sub(NOTE_BYTES);
    let end = clean.floor_char_boundary(room.min(clean.len()));
    let end = clean[..end].rfind('\n').map_or(end, |line| line + 1);
    let (kept, rest) = (&clean[..end], &clean[end..]);
    let bytes = rest.len() + unread;
    let lines = rest.lines().count() + text[head.len()..].lines().count();
    let line_end = if kept.is_empty() || kept.ends_with('\n') { "" } else { "\n" };
    format!("{kept}{line_end}[left out here: {lines} more lines, {bytes} bytes; ask for less to see them]")
}

/// The beginning of a text, which ends between words: half a token would no longer be known as one.
fn head(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = text.floor_char_boundary(limit);
    let edge = text.floor_char_boundary(end.saturating_sub(SLACK_BYTES));
    let last = &text[edge..end];
    let at = last.rfind('\n').or_else(|| last.rfind(char::is_whitespace)).unwrap_or(0);
    &text[..edge + at]
}

/// At most this many characters, with the number of those left out. Redact before.
pub fn cut(text: &str, max_chars: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(max_chars) else { return Cow::Borrowed(text) };
    let rest = text[end..].chars().count();
    Cow::Owned(format!("{}… (+{rest} characters)", &text[..end]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let text = (0..500).map(|n| format!("line {n} of the answer\n")).collect::<String>();
        let cut = bounded(&text, 1_000);
        assert!(cut.len() <= 1_000);
        let kept = cut.lines().count() - 1;
        let last = cut.lines().last().unwrap();
        assert_eq!(
            last,
            format!(
                "[left out here: {} more lines, {} bytes; ask for less to see them]",
                500 - kept,
                text.len() - (cut.len() - last.len())
            )
        );
        assert_eq!(bounded("short", 1_000), "short");
        assert_eq!(super::cut("äöü", 2), "äö… (+1 characters)");
    }

    #[test]
    fn a_secret_at_the_edge_does_not_slip_through() {
        let token = format!("ghp_{}", "a1B2c3D4e5".repeat(4).get(..36).unwrap());
        for limit in [300, 1_000] {
            for before in limit - 60..limit + 60 {
                let text = format!("{} token {token} end\n{}", "x".repeat(before), "y\n".repeat(20_000));
                let cut = bounded(&text, limit);
                assert!(!cut.contains("a1B2c3"), "limit {limit}, {before} before: {cut}");
            }
            for before in limit + SLACK_BYTES - 60..limit + SLACK_BYTES + 20 {
                let text = format!("{}{token}{}", "password=hunter22 ".repeat(before / 18), "z".repeat(90));
                assert!(!bounded(&text, limit).contains("a1B2c3"));
            }
        }
        let hidden = "pass\u{200b}word=hun\u{200b}ter22";
        assert!(!bounded(hidden, 1_000).contains("ter22"));
    }

    proptest! {
        #[test]
        fn the_bound_holds(text in "(\\PC|\n){0,400}", limit in 200_usize..400) {
            prop_assert!(bounded(&text, limit).len() <= limit);
        }
    }
}
