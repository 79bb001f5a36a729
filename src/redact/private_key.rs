//! What is left of a private key whose beginning, end or both were cut off, as in the tail of a log: lines
//! of base64, each perhaps behind a time stamp or inside JSON. Certificates and public keys stay.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::Span;

const KIND: &str = "private-key";
/// Shorter last words of a line are prose.
const MIN_BASE64_BYTES: usize = 16;
/// How PEM and OpenSSH break their lines; only the last line of a key is shorter.
const FULL_LINE_BYTES: [usize; 3] = [64, 70, 76];
/// Full lines in a row that no prose has.
const MIN_FULL_LINES: usize = 2;

static BORDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("-----(?P<word>BEGIN|END) (?P<private>(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?").ok()
});

/// A line that ends in base64: where the line starts, and where its base64 stands.
struct Line {
    start: usize,
    base64: Option<Range<usize>>,
}

/// Where such rests stand, in order.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let lines = lines(text);
    let mut spans = beside_borders(text, &lines);
    spans.extend(between(text, &lines));
    spans.sort_by_key(|span| (span.from, std::cmp::Reverse(span.to)));
    spans.dedup_by(|later, earlier| later.from < earlier.to);
    spans
}

/// Rests that still have their `-----BEGIN …` above or their `-----END …` below.
fn beside_borders(text: &str, lines: &[Line]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for border in borders(text).filter(|border| border.private) {
        let at = line_at(lines, border.range.start);
        let span = if border.begins {
            let rest = lines.get(at + 1..).unwrap_or_default();
            let Some(last) = run(rest.iter()).last() else { continue };
            Span { from: border.range.start, to: last.end, kind: KIND }
        } else {
            // What was taken already is not looked at again, or a hostile text would cost its square.
            let taken = spans.last().map_or(0, |before| before.to);
            let above = lines[..at].iter().rev().take_while(|line| line.start >= taken);
            let Some(first) = run(above).last() else { continue };
            Span { from: first.start, to: border.range.end, kind: KIND }
        };
        match spans.last_mut() {
            Some(before) if span.from < before.to => before.to = before.to.max(span.to),
            _ => spans.push(span),
        }
    }
    spans
}

/// The base64 of neighbouring lines, as far as it goes; the first of them may be short when it is a key's last.
fn run<'a>(lines: impl Iterator<Item = &'a Line>) -> impl Iterator<Item = Range<usize>> {
    lines
        .enumerate()
        .map_while(|(index, line)| {
            let base64 = line.base64.clone()?;
            (base64.len() >= MIN_BASE64_BYTES || index == 0).then_some(base64)
        })
}

/// Rests with neither border: full lines of base64, one below the other, and the shorter one that ends them.
fn between(text: &str, lines: &[Line]) -> Vec<Span> {
    let public: Vec<usize> =
        borders(text).filter(|border| !border.private).map(|border| line_at(lines, border.range.start)).collect();
    let is_public = |line: usize| public.binary_search(&line).is_ok();
    let mut spans = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let is_full = |line: &&Line| line.base64.as_ref().is_some_and(|base64| is_full(&text[base64.clone()]));
        let full = lines[at..].iter().take_while(is_full).count();
        let mut end = at + full;
        let ends_short = |line: &Line| line.base64.as_ref().is_some_and(|rest| is_mixed(&text[rest.clone()]));
        if full >= MIN_FULL_LINES && lines.get(end).is_some_and(ends_short) {
            end += 1;
        }
        // A certificate's lines stand below its BEGIN or above its END.
        let certificate = (at > 0 && is_public(at - 1)) || is_public(end);
        let ends = lines[at].base64.clone().zip(lines[at..end].last().and_then(|line| line.base64.clone()));
        if full >= MIN_FULL_LINES
            && !certificate
            && let Some((first, last)) = ends
        {
            spans.push(Span { from: first.start, to: last.end, kind: KIND });
        }
        at = end.max(at + 1);
    }
    spans
}

fn is_full(word: &str) -> bool {
    FULL_LINE_BYTES.contains(&word.len()) && is_mixed(word)
}

/// Letters of both cases and digits: no hash, no path, no word.
fn is_mixed(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_digit())
}

struct Border {
    range: Range<usize>,
    begins: bool,
    private: bool,
}

fn borders(text: &str) -> impl Iterator<Item = Border> {
    let captures = BORDER.as_ref().into_iter().flat_map(|border| border.captures_iter(text));
    captures.filter_map(|captures| {
        Some(Border {
            range: captures.get(0)?.range(),
            begins: captures.name("word")?.as_str() == "BEGIN",
            private: captures.name("private").is_some(),
        })
    })
}

fn lines(text: &str) -> Vec<Line> {
    let mut start = 0;
    let each = text.split_inclusive('\n').map(|line| {
        let here = start;
        start += line.len();
        Line { start: here, base64: base64_at_end(line).map(|range| here + range.start..here + range.end) }
    });
    each.collect()
}

/// The index of the line in which a byte stands.
fn line_at(lines: &[Line], byte: usize) -> usize {
    lines.partition_point(|line| line.start <= byte).saturating_sub(1)
}

/// The base64 at the end of a line, before what JSON or YAML puts behind it.
fn base64_at_end(line: &str) -> Option<Range<usize>> {
    let mut content = line.trim_end().trim_end_matches(['"', '\'', ',', '}', ']']);
    content = content.strip_suffix("\\n").unwrap_or(content).trim_end_matches(['"', '\'']);
    let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
    let length = content.bytes().rev().take_while(is_base64).count();
    (length > 0).then(|| content.len() - length..content.len())
}
