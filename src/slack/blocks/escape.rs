//! Untrusted text becomes text that Slack shows and never obeys: no mention, no link, no formatting, no way
//! out of a code block, no longer than allowed. Every function takes raw text and is the only way for raw
//! text into a payload. Cuts fall between graphemes and show as "…".

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

/// Beyond this nothing of a text can be shown, so nothing of it is looked at.
const MAX_INPUT_GRAPHEMES: usize = 8_000;
/// Stands in the middle of what Slack would otherwise act on. It has no width.
const BREAK: char = '\u{200b}';
/// Words that Slack may read as a mention even without its `<!…>` syntax.
const MENTIONS: [&str; 4] = ["here", "channel", "everyone", "group"];

/// Length as Slack may count it: UTF-16 units, never less than characters.
pub(in crate::slack) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Running text on one line, for mrkdwn and plain text: `&<>` escaped; `*_~` and backticks replaced by look-alikes that no
/// parser of Slack's knows (a zero-width character beside them would still leave them a word boundary).
pub(super) fn inline(text: &str, max: usize) -> String {
    let line = one_line(text);
    let chars: Vec<char> = line.chars().collect();
    let mut out = String::with_capacity(line.len());
    for (at, &c) in chars.iter().enumerate() {
        match c {
            '*' => out.push('\u{2217}'),
            '~' => out.push('\u{223c}'),
            '`' => out.push('\u{2cb}'),
            '_' if !(is_ascii_word(before(&chars, at)) && is_ascii_word(after(&chars, at))) => {
                out.push('\u{2cd}')
            }
            _ => push(&mut out, &chars, at, Place::Text),
        }
    }
    cut(&out, max)
}

/// A name in a code span: nothing in it is formatted, and it cannot end the span.
pub(super) fn code(text: &str, max: usize) -> String {
    let line = one_line(text).replace('`', "\u{2cb}");
    if line.is_empty() {
        return "–".to_owned();
    }
    let chars: Vec<char> = line.chars().collect();
    let mut out = String::with_capacity(line.len());
    for at in 0..chars.len() {
        push(&mut out, &chars, at, Place::Code);
    }
    format!("`{}`", cut(&out, max.saturating_sub(2)))
}

/// A quote or a command in a code block. One and two backticks stay, so that a command can be copied;
/// three in a row, which would end the block, are broken up.
pub(super) fn fence(text: &str, max: usize) -> String {
    let text = clean(text, true);
    let chars: Vec<char> = text.trim_matches('\n').trim_end().chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut ticks = 0;
    for (at, &c) in chars.iter().enumerate() {
        ticks = if c == '`' { ticks + 1 } else { 0 };
        if ticks == 3 {
            out.push(BREAK);
            ticks = 1;
        }
        push(&mut out, &chars, at, Place::Code);
    }
    format!("```\n{}\n```", cut(&out, max.saturating_sub(8)))
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Text,
    /// Copied by people: as little as possible may be changed.
    Code,
}

fn push(out: &mut String, chars: &[char], at: usize, place: Place) {
    match chars[at] {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '@' if place == Place::Text && after(chars, at).is_some_and(char::is_alphanumeric) => {
            out.push('@');
            out.push(BREAK);
        }
        '@' if names_a_mention(&chars[at + 1..]) => {
            out.push('@');
            out.push(BREAK);
        }
        ':' if place == Place::Text && chars[at..].starts_with(&[':', '/', '/']) => {
            out.push(':');
            out.push(BREAK);
        }
        c => out.push(c),
    }
}

fn names_a_mention(rest: &[char]) -> bool {
    MENTIONS.iter().any(|word| {
        rest.len() >= word.len() && word.chars().zip(rest).all(|(a, b)| a == b.to_ascii_lowercase())
    })
}

fn before(chars: &[char], at: usize) -> Option<char> {
    at.checked_sub(1).map(|at| chars[at])
}

fn after(chars: &[char], at: usize) -> Option<char> {
    chars.get(at + 1).copied()
}

fn is_ascii_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphanumeric())
}

fn one_line(text: &str) -> String {
    clean(text, false).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Drops what cannot be seen but changes how the rest is read: control characters, bidirectional overrides
/// (a command could read differently from what is copied), Unicode tags.
pub(in crate::slack) fn clean(text: &str, keep_lines: bool) -> String {
    let bounded: Cow<'_, str> = match text.grapheme_indices(true).nth(MAX_INPUT_GRAPHEMES) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    };
    bounded
        .chars()
        .filter_map(|c| match c {
            '\n' | '\t' if keep_lines => Some(c),
            '\n' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => None,
            '\u{e0000}'..='\u{e007f}' => None,
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect()
}

/// At most `max` long, "…" included; never within a grapheme or one of our `&…;`.
fn cut(escaped: &str, max: usize) -> String {
    if length(escaped) <= max {
        return escaped.to_owned();
    }
    let (mut end, mut used) = (0, 1);
    for grapheme in escaped.graphemes(true) {
        used += length(grapheme);
        if used > max {
            break;
        }
        end += grapheme.len();
    }
    let mut kept = &escaped[..end];
    if let Some(entity) = kept.rfind('&').filter(|&at| !kept[at..].contains(';')) {
        kept = &kept[..entity];
    }
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_syntax_in_running_text_is_inert() {
        assert_eq!(
            inline("<!channel> <@U1> <https://evil|x> a & b", 99),
            "&lt;!channel&gt; &lt;@\u{200b}U1&gt; &lt;https:\u{200b}//evil|x&gt; a &amp; b"
        );
        assert_eq!(inline("*bold* _it_ ~no~ `code`", 99), "∗bold∗ ˍitˍ ∼no∼ ˋcodeˋ");
        assert_eq!(inline("DATABASE_URL is set", 99), "DATABASE_URL is set", "names stay as they are");
        assert_eq!(inline("@here and @Channel", 99), "@\u{200b}here and @\u{200b}Channel");
        assert_eq!(inline("two\nlines\u{202e}\u{0}", 99), "two lines");
    }

    #[test]
    fn a_code_block_cannot_be_left() {
        assert_eq!(fence("a ``` b", 99), "```\na ``\u{200b}` b\n```");
        assert_eq!(fence("``````", 99), "```\n``\u{200b}``\u{200b}``\n```");
        assert_eq!(fence("echo `date` @sha256:1 http://x", 99), "```\necho `date` @sha256:1 http://x\n```");
        assert_eq!(fence("@HERE <!here>", 99), "```\n@\u{200b}HERE &lt;!here&gt;\n```");
        assert_eq!(code("a`b", 99), "`aˋb`");
        assert_eq!(code("", 99), "–");
    }

    #[test]
    fn a_cut_keeps_graphemes_and_entities_whole() {
        assert_eq!(inline("abcdef", 4), "abc…");
        assert_eq!(inline("abcd", 4), "abcd");
        assert_eq!(inline("ab<cd", 5), "ab…", "no half entity");
        let family = "👨‍👩‍👧‍👦";
        assert_eq!(inline(&format!("a{family}b"), 5), "a…", "no half family");
        assert_eq!(inline(&format!("e{}", "\u{301}".repeat(50)), 5), "…", "no half letter");
    }
}
