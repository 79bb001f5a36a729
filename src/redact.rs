//! The one redaction point: text goes in, the same text with secrets replaced by `[redacted:kind]` comes
//! out. Everything that leaves for the model, Slack, Postgres or the log passes here. It keeps what an
//! engineer needs (keys, user names, hosts, digests, object names) and never looks at anything but the text.

mod private_key;
mod rules;
mod secret_object;
mod value;
mod wrapped;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

/// A pass can lay bare what the next one finds (a token inside a connection string); more never help.
const MAX_PASSES: usize = 4;
/// Shorter than what any rule needs that looks for small letters alone.
const MAX_PLAIN_BYTES: usize = 14;
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
    if is_plain_word(text) {
        return redacted;
    }
    for _ in 0..MAX_PASSES {
        let before = redacted.secrets;
        redacted.cut(secret_object::spans(&redacted.text));
        for rule in rules::matching(&redacted.text) {
            redacted.cut(rule.spans(&redacted.text));
        }
        redacted.cut(private_key::spans(&redacted.text));
        redacted.cut(wrapped::spans(&redacted.text));
        if redacted.secrets == before {
            break;
        }
    }
    redacted
}

/// Replaces the secrets in the value beside a key, as in a label or a variable. A telling key makes all of a
/// value secret, however many words it has; elsewhere the value is looked at as any text.
pub fn redact_pair<'t>(key: &str, value: &'t str) -> Cow<'t, str> {
    if rules::is_telling(key) && value::is_secret_for(key, value) {
        return Cow::Owned(format!("{MARK}credential]"));
    }
    redact(value)
}

/// Most labels are a short word or two: no rule matches so little without a sign, a digit or a capital.
fn is_plain_word(text: &str) -> bool {
    text.len() <= MAX_PLAIN_BYTES && text.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'.'))
}

/// A secret's place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    from: usize,
    to: usize,
    kind: &'static str,
}

impl Redacted<'_> {
    /// Puts a mark in place of each span; they come in order and do not overlap.
    fn cut(&mut self, spans: Vec<Span>) {
        let spans = beyond_marks(&self.text, spans);
        if spans.is_empty() {
            return;
        }
        let mut out = String::with_capacity(self.text.len());
        let mut kept = 0;
        for span in &spans {
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

/// Widens spans to whole marks, so that none is ever torn, and drops those that are nothing but a mark.
fn beyond_marks(text: &str, spans: Vec<Span>) -> Vec<Span> {
    let marks: Vec<Range<usize>> = marks(text).collect();
    let mut wide: Vec<Span> = Vec::with_capacity(spans.len());
    for mut span in spans {
        let first = marks.partition_point(|mark| mark.end <= span.from);
        let touched = marks[first..].iter().take_while(|mark| mark.start < span.to).count();
        let touched = &marks[first..first + touched];
        if let [mark] = touched
            && span.from >= mark.start
            && span.to <= mark.end
        {
            continue;
        }
        span.from = touched.first().map_or(span.from, |mark| mark.start.min(span.from));
        span.to = touched.last().map_or(span.to, |mark| mark.end.max(span.to));
        match wide.last_mut() {
            Some(before) if span.from < before.to => before.to = before.to.max(span.to),
            _ => wide.push(span),
        }
    }
    wide
}

/// The marks that stand in a text already.
fn marks(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices(MARK).filter_map(|(start, _)| {
        let kind = &text[start + MARK.len()..];
        let end = kind.find(|c: char| !c.is_ascii_lowercase() && c != '-')?;
        (end > 0 && kind[end..].starts_with(']')).then(|| start..start + MARK.len() + end + 1)
    })
}
