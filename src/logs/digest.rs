//! Lines in, kinds out: for each its template, count, first and last time, streams, parameters with their top values,
//! an exemplar that is whole lines of the log, and one more for each cause that its template does not show. Against
//! the time before a moment, what is new and what is gone is marked. Writes no text and drops no kind.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::group::{Grouper, Template};
use super::parameters::{self, Parameter};
use super::record::records;
use super::structure::Level;

/// Different texts of a window that are judged; the rarest of each kind come first.
const MAX_JUDGED: usize = 2_000;
/// Of one kind.
const MAX_JUDGED_OF_KIND: usize = 200;
/// Exemplars of one kind beside its own.
const MAX_HIDDEN: usize = 6;
/// What is seen so many times less often than its kind is rare in it.
const RARE: usize = 10;
/// What was said less often than this is not missed.
const MIN_GONE: usize = 3;
/// Words that tell texts of one kind apart, and bytes of a record that are looked at for them.
const MAX_WORDS: usize = 40;
const MAX_WORDS_BYTES: usize = 2_000;

/// One line, redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: Option<DateTime<Utc>>,
    /// Which of the streams that were read together.
    pub stream: u32,
    pub text: String,
}

/// What a text tells of: a class of failure ("" for none), and how much it says about one.
pub type Judge = fn(&str) -> (&'static str, i32);

/// What there is of a kind against the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// There is no time before, or it had this too.
    Known,
    New,
    /// Not seen any more.
    Gone,
}

/// Whole lines of the log: the head of a record, and what names its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemplar {
    pub lines: Vec<Line>,
    pub class: &'static str,
    /// Records that say the same but for numbers and ids.
    pub count: usize,
}

/// A template in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub template: Template,
    pub mark: Mark,
    pub count: usize,
    /// Of these, before the moment.
    pub before: usize,
    pub first: Option<DateTime<Utc>>,
    pub last: Option<DateTime<Utc>>,
    pub streams: BTreeSet<u32>,
    /// The newest of its kind.
    pub exemplar: Exemplar,
    /// Other classes of failure and rare causes that the template hides, the weightiest first.
    pub hidden: Vec<Exemplar>,
    /// Causes beyond these.
    pub hidden_more: usize,
    pub parameters: Vec<Parameter>,
    /// How much it says about a failure.
    pub weight: i32,
}

impl Kind {
    pub fn is_trouble(&self) -> bool {
        self.template.level <= Level::Error || !self.classes().is_empty()
    }

    /// Of failures that its records tell of.
    pub fn classes(&self) -> BTreeMap<&'static str, usize> {
        let mut classes = BTreeMap::new();
        for exemplar in std::iter::once(&self.exemplar).chain(&self.hidden) {
            if !exemplar.class.is_empty() {
                *classes.entry(exemplar.class).or_default() += exemplar.count;
            }
        }
        classes
    }
}

/// A window condensed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    pub lines: usize,
    pub records: usize,
    /// What says most about a failure first, then the new, then the rare, then by template.
    pub kinds: Vec<Kind>,
    /// Records beyond the bound of a window.
    pub left_out: usize,
}

/// A record: its lines, and when its head was written.
struct Record<'a> {
    lines: Vec<&'a Line>,
}

impl Record<'_> {
    fn at(&self) -> Option<DateTime<Utc>> {
        self.lines.first().and_then(|line| line.at)
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// Condenses lines. `since` is the moment before which nothing was wrong yet; without it nothing is marked.
pub fn condense(lines: &[Line], since: Option<DateTime<Utc>>, judge: Judge) -> Digest {
    // Streams are read one by one: a stack trace of one is not torn by the lines of another.
    let mut streams: BTreeMap<u32, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        streams.entry(line.stream).or_default().push(line);
    }
    let mut all: Vec<Record<'_>> = Vec::new();
    for own in streams.into_values() {
        let texts: Vec<&str> = own.iter().map(|line| line.text.as_str()).collect();
        for range in records(&texts) {
            all.push(Record { lines: own.get(range).unwrap_or_default().to_vec() });
        }
    }
    let mut grouper = Grouper::new();
    for record in &all {
        grouper.add(&record.text());
    }
    let grouping = grouper.finish();
    let mut members: BTreeMap<usize, Vec<&Record<'_>>> = BTreeMap::new();
    for (record, template) in all.iter().zip(&grouping.of_record) {
        members.entry(*template).or_default().push(record);
    }
    let (earliest, latest) = all.iter().filter_map(Record::at).fold((None, None), |(first, last), at| {
        (
            Some(first.map_or(at, |first: DateTime<Utc>| first.min(at))),
            Some(last.map_or(at, |last: DateTime<Utc>| last.max(at))),
        )
    });
    // Only where there is something on both sides of the moment can anything be new or gone.
    let since =
        since.filter(|since| earliest.is_some_and(|at| at < *since) && latest.is_some_and(|at| at >= *since));
    let mut judged = MAX_JUDGED;
    let mut kinds: Vec<Kind> = Vec::new();
    for (number, template) in grouping.templates.into_iter().enumerate() {
        let own = members.get(&number).map(Vec::as_slice).unwrap_or_default();
        kinds.extend(kind(template, own, since, (judge, &mut judged)));
    }
    kinds.sort_by(|a, b| order(a).cmp(&order(b)));
    Digest { lines: lines.len(), records: all.len(), kinds, left_out: grouping.left_out }
}

fn kind(
    template: Template,
    own: &[&Record<'_>],
    since: Option<DateTime<Utc>>,
    (judge, judged): (Judge, &mut usize),
) -> Option<Kind> {
    let times = own.iter().filter_map(|record| record.at());
    let (first, last) = (times.clone().min(), times.clone().max());
    let before = since.map_or(0, |since| times.filter(|at| *at < since).count());
    let mark = match since {
        Some(_) if before == 0 && first.is_some() => Mark::New,
        Some(_) if before == own.len() && before >= MIN_GONE => Mark::Gone,
        _ => Mark::Known,
    };
    // The newest; of several at one time the greatest text, so that the order of lines does not matter.
    let newest = own.iter().max_by(|a, b| (a.at(), a.text()).cmp(&(b.at(), b.text())))?;
    let own_words = words(newest);
    let mut variants: BTreeMap<String, (usize, &Record<'_>)> = BTreeMap::new();
    for record in own {
        let place = variants.entry(words(record)).or_insert((0, record));
        place.0 += 1;
        if (place.1.at(), place.1.text()) < (record.at(), record.text()) {
            place.1 = record;
        }
    }
    let mut rarest: Vec<(&String, &(usize, &Record<'_>))> = variants.iter().collect();
    // The newest is always judged, then the rare: what is frequent shows by itself.
    rarest.sort_by_key(|(key, (count, _))| (**key != own_words, *count, key.to_string()));
    let taken = rarest.len().min(MAX_JUDGED_OF_KIND).min((*judged).max(1));
    *judged = judged.saturating_sub(taken);
    let mut told: Vec<(Exemplar, i32)> = rarest
        .iter()
        .take(taken)
        .map(|(_, (count, record))| {
            let (class, weight) = judge(&record.text());
            (
                Exemplar { lines: shown(record), class, count: *count },
                if class.is_empty() { 0 } else { weight },
            )
        })
        .collect();
    let weight = told.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
    let (exemplar, _) = told.remove(0);
    let (hidden, hidden_more) = hidden(told, &exemplar, own.len());
    let heads = own.iter().filter_map(|record| record.lines.first()).map(|line| line.text.as_str());
    let parameters = parameters::of(&template, heads);
    let streams = own.iter().filter_map(|record| record.lines.first()).map(|line| line.stream).collect();
    Some(Kind {
        template,
        mark,
        count: own.len(),
        before,
        first,
        last,
        streams,
        exemplar,
        hidden,
        hidden_more,
        parameters,
        weight,
    })
}

/// One of each other class of failure, and the rare among those of the same class.
fn hidden(mut told: Vec<(Exemplar, i32)>, own: &Exemplar, all: usize) -> (Vec<Exemplar>, usize) {
    told.retain(|(other, _)| !other.class.is_empty());
    // Stable: the rarest come first already.
    told.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let mut classes = BTreeSet::from([own.class]);
    let (mut first, mut rare) = (Vec::new(), Vec::new());
    for (other, _) in told {
        if classes.insert(other.class) {
            first.push(other);
        } else if other.count * RARE <= all {
            rare.push(other);
        }
    }
    first.append(&mut rare);
    let more = first.len().saturating_sub(MAX_HIDDEN);
    first.truncate(MAX_HIDDEN);
    (first, more)
}

/// What tells texts of one kind apart: their words, without numbers, ids and order of time.
fn words(record: &Record<'_>) -> String {
    let mut out = String::new();
    let mut left = MAX_WORDS_BYTES;
    let mut count = 0;
    for line in shown_lines(record) {
        let end = line.text.floor_char_boundary(left.min(line.text.len()));
        left -= end;
        for word in line.text[..end].split(|c: char| !c.is_alphanumeric() && c != '_') {
            if word.len() > 1 && count < MAX_WORDS && !word.bytes().any(|byte| byte.is_ascii_digit()) {
                out.push_str(word);
                out.push(' ');
                count += 1;
            }
        }
    }
    out
}

fn shown(record: &Record<'_>) -> Vec<Line> {
    shown_lines(record).into_iter().cloned().collect()
}

/// The head of a record, and of the lines that name a cause the first and the last.
fn shown_lines<'a>(record: &Record<'a>) -> Vec<&'a Line> {
    let Some((head, rest)) = record.lines.split_first() else { return Vec::new() };
    let names_cause = |line: &&&Line| {
        let is_frame = line.text.starts_with([' ', '\t']) || line.text.starts_with("goroutine ");
        !is_frame && !line.text.starts_with("Traceback (") && !line.text.trim().is_empty()
    };
    let causes: Vec<&Line> = rest.iter().filter(names_cause).copied().collect();
    let mut lines = vec![*head];
    lines.extend(causes.first().copied());
    lines.extend(causes.last().filter(|_| causes.len() > 1).copied());
    lines
}

fn order(kind: &Kind) -> (std::cmp::Reverse<i32>, Level, bool, usize, &str) {
    let level = if kind.template.level <= Level::Error { kind.template.level } else { Level::Unknown };
    (std::cmp::Reverse(kind.weight), level, kind.mark != Mark::New, kind.count, &kind.template.text)
}
