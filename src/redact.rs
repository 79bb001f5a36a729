//! The one redaction point: text goes in, the same text with secrets replaced by `[redacted:kind]` comes
//! out. Everything that leaves for the model, Slack, Postgres or the log passes here. It keeps what an
//! engineer needs (keys, user names, hosts, digests, object names) and never looks at anything but the text.

mod rules;
mod secret_object;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// A pass can lay bare what the next one finds (a token inside a connection string); more never help.
const MAX_PASSES: usize = 4;
/// How every replacement starts; what starts so already is left alone.
const MARK: &str = "[redacted:";

/// A text without its secrets, and how many were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted<'t> {
    pub text: Cow<'t, str>,
    pub secrets: usize,
}

/// Replaces every secret in a text. Time is linear in the text's length, and redacting twice changes
/// nothing more.
pub fn redact(text: &str) -> Cow<'_, str> {
    redact_and_count(text).text
}

/// As `redact`, with the number of replacements, for the audit trail.
pub fn redact_and_count(text: &str) -> Redacted<'_> {
    let mut redacted = Redacted { text: Cow::Borrowed(text), secrets: 0 };
    for _ in 0..MAX_PASSES {
        let before = redacted.secrets;
        let mut spans = secret_object::spans(&redacted.text);
        redacted.cut(&mut spans);
        for rule in rules::matching(&redacted.text) {
            let mut spans = rule.spans(&redacted.text);
            redacted.cut(&mut spans);
        }
        if redacted.secrets == before {
            break;
        }
    }
    redacted
}

/// A secret's place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    from: usize,
    to: usize,
    kind: &'static str,
}

impl Redacted<'_> {
    /// Puts a mark in place of each span; they stand in order and do not overlap.
    fn cut(&mut self, spans: &mut Vec<Span>) {
        spans.retain(|span| !self.text[span.from..span.to].starts_with(MARK));
        if spans.is_empty() {
            return;
        }
        let mut out = String::with_capacity(self.text.len());
        let mut kept = 0;
        for span in spans.iter() {
            out.push_str(&self.text[kept..span.from]);
            out.push_str(MARK);
            out.push_str(span.kind);
            out.push(']');
            kept = span.to;
        }
        out.push_str(&self.text[kept..]);
        self.secrets += spans.len();
        self.text = Cow::Owned(out);
    }
}
