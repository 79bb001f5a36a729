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
            let Some(to) = end_below(text, lines.get(at + 1..).unwrap_or_default()) else { continue };
            Span { from: border.range.start, to, kind: KIND }
        } else {
            // What was taken already is not looked at again, or a hostile text would cost its square.
            let taken = spans.last().map_or(0, |before| before.to);
            let own_line = &text[taken.max(lines[at].start).min(border.range.start)..border.range.start];
            let above = lines[..at].iter().rev().take_while(|line| line.start >= taken);
            let before = start_before(own_line).map(|length| border.range.start - length);
            let Some(from) = before.or_else(|| start_above(above)) else { continue };
            Span { from, to: border.range.end, kind: KIND }
        };
        match spans.last_mut() {
            Some(before) if span.from < before.to => before.to = before.to.max(span.to),
            _ => spans.push(span),
        }
    }
    spans
}

/// Where the base64 of the lines below a BEGIN ends; the last line of a key is short.
fn end_below(text: &str, lines: &[Line]) -> Option<usize> {
    let long = lines.iter().map_while(|line| line.base64.clone().filter(|one| one.len() >= MIN_BASE64_BYTES));
    let (count, last) = long.enumerate().last()?;
    let short = lines.get(count + 1).and_then(|line| line.base64.clone());
    let short = short.filter(|one| is_mixed(&text[one.clone()]) || text[one.clone()].ends_with('='));
    Some(short.unwrap_or(last).end)
}

/// Where the base64 of the lines above an END begins, nearest first; that one may be short.
fn start_above<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<usize> {
    let mut from = None;
    for (index, line) in lines.enumerate() {
        let Some(base64) = &line.base64 else { break };
        if base64.len() >= MIN_BASE64_BYTES {
            from = Some(base64.start);
        } else if index > 0 {
            break;
        }
    }
    from
}

/// How many bytes of base64, in words or behind `\n`, stand right before an END on its own line. The last of
/// the words may be short.
fn start_before(line: &str) -> Option<usize> {
    let mut rest = line;
    let mut length = None;
    for index in 0.. {
        rest = rest.trim_end_matches([' ', '\t', '"', '\'', ',', '+', '|']);
        while let Some(before) = rest.strip_suffix("\\n").or_else(|| rest.strip_suffix("\\r")) {
            rest = before.trim_end_matches([' ', '\t', '"', '\'', ',', '+', '|']);
        }
        let mut word = trailing_base64(rest);
        // The `n` of `\n` is no base64.
        if rest[..rest.len() - word].ends_with('\\') {
            word = word.saturating_sub(1);
        }
        if word == 0 || (word < MIN_BASE64_BYTES && index > 0) {
            break;
        }
        rest = &rest[..rest.len() - word];
        if word >= MIN_BASE64_BYTES {
            length = Some(line.len() - rest.len());
        }
    }
    length
}

fn trailing_base64(text: &str) -> usize {
    text.bytes().rev().take_while(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b)).count()
}

/// Rests with neither border: full lines of base64, one below the other, and the shorter one that ends them.
fn between(text: &str, lines: &[Line]) -> Vec<Span> {
    let public: Vec<usize> = borders(text)
        .filter(|border| !border.private)
        .map(|border| line_at(lines, border.range.start))
        .collect();
    let is_public = |line: usize| public.binary_search(&line).is_ok();
    let mut spans = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let is_full =
            |line: &&Line| line.base64.as_ref().is_some_and(|base64| is_full(&text[base64.clone()]));
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
    let length = trailing_base64(content);
    (length > 0).then(|| content.len() - length..content.len())
}
