//! Templates on one screen: for each its count and share, first and last time, level, parameters with their top
//! values, and an exemplar that is whole lines of the log. Beside a window before, what is new and what is gone is
//! marked. Errors and rare kinds come first; what is left out is said, and how to ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chrono::{DateTime, Utc};

use super::group::{Grouper, Template};
use super::parameters::{self, Parameter};
use super::record::records;
use super::structure::Level;

/// Kinds that get a place of their own.
const MAX_SHOWN: usize = 32;
/// Of a line that is shown.
const MAX_LINE_CHARS: usize = 300;
/// Lines of a stack trace that are shown: the head, and what names the cause.
const MAX_CAUSES: usize = 2;

/// One line, redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: Option<DateTime<Utc>>,
    pub text: String,
}

/// What a window has against the window before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// There is no window before, or it had this too.
    Known,
    New,
    Vanished,
}

/// A template in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub template: Template,
    pub mark: Mark,
    /// Records in the window, and in the window before.
    pub count: usize,
    pub before: usize,
    pub first: Option<DateTime<Utc>>,
    pub last: Option<DateTime<Utc>>,
    /// Whole lines of the log, the newest of its kind.
    pub exemplar: Vec<String>,
    pub parameters: Vec<Parameter>,
}

/// A window condensed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    pub records: usize,
    /// The worst first, then the rarest, then by template.
    pub kinds: Vec<Kind>,
    /// Records beyond the bound of a window.
    pub left_out: usize,
}

/// Condenses a window, beside the lines of the time before it (empty when there are none). Both are grouped as
/// one, so that a template is the same in both.
pub fn condense(window: &[Line], before: &[Line]) -> Digest {
    let mut grouper = Grouper::new();
    let texts: Vec<&str> = window.iter().map(|line| line.text.as_str()).collect();
    let own = records(&texts);
    let mut taken = 0;
    for record in &own {
        taken += usize::from(grouper.add(&joined(&texts, record)));
    }
    let texts_before: Vec<&str> = before.iter().map(|line| line.text.as_str()).collect();
    for record in records(&texts_before) {
        grouper.add(&joined(&texts_before, &record));
    }
    let grouping = grouper.finish();
    let mut members: BTreeMap<usize, Vec<&Range<usize>>> = BTreeMap::new();
    for (record, template) in own.iter().zip(&grouping.of_record) {
        members.entry(*template).or_default().push(record);
    }
    let mut counts_before: BTreeMap<usize, usize> = BTreeMap::new();
    for template in grouping.of_record.iter().skip(taken) {
        *counts_before.entry(*template).or_default() += 1;
    }
    let mut kinds: Vec<Kind> = Vec::new();
    for (number, template) in grouping.templates.into_iter().enumerate() {
        let own = members.get(&number).map(Vec::as_slice).unwrap_or_default();
        let count_before = counts_before.get(&number).copied().unwrap_or(0);
        kinds.push(kind(template, own, window, (count_before, !before.is_empty())));
    }
    kinds.sort_by(|a, b| order(a).cmp(&order(b)));
    Digest { records: own.len(), kinds, left_out: grouping.left_out }
}

fn joined(texts: &[&str], record: &Range<usize>) -> String {
    texts.get(record.clone()).unwrap_or_default().join("\n")
}

fn kind(
    template: Template,
    own: &[&Range<usize>],
    window: &[Line],
    (before, compared): (usize, bool),
) -> Kind {
    let lines_of = |record: &Range<usize>| window.get(record.clone()).unwrap_or_default();
    let times = own.iter().filter_map(|record| lines_of(record).first().and_then(|line| line.at));
    let (first, last) = (times.clone().min(), times.max());
    // The newest; of several at one time the greatest text, so that the order of lines does not matter.
    let text =
        |record: &Range<usize>| lines_of(record).iter().map(|line| line.text.as_str()).collect::<Vec<_>>();
    let newest =
        own.iter().max_by_key(|record| (lines_of(record).first().and_then(|line| line.at), text(record)));
    let exemplar = newest.map(|record| exemplar(lines_of(record))).unwrap_or_default();
    let heads = own.iter().filter_map(|record| lines_of(record).first()).map(|line| line.text.as_str());
    let mark = match (own.len(), before) {
        (0, _) => Mark::Vanished,
        (_, 0) if compared => Mark::New,
        _ => Mark::Known,
    };
    let parameters = parameters::of(&template, heads);
    Kind { template, mark, count: own.len(), before, first, last, exemplar, parameters }
}

/// Trouble first, by its level or by its words; then what is new, then the rare.
fn order(kind: &Kind) -> (bool, Level, bool, usize, &str) {
    let level =
        kind.template.level.min(if kind.template.tells_of_trouble() { Level::Error } else { Level::Unknown });
    (kind.mark == Mark::Vanished, level, kind.mark != Mark::New, kind.count, &kind.template.text)
}

/// The head of a record, and the lines that name its cause.
fn exemplar(lines: &[Line]) -> Vec<String> {
    let Some((head, rest)) = lines.split_first() else { return Vec::new() };
    let mut shown = vec![head.text.clone()];
    let causes: Vec<&Line> = rest
        .iter()
        .filter(|line| {
            let is_frame = line.text.starts_with([' ', '\t']) || line.text.starts_with("goroutine ");
            !is_frame && !line.text.starts_with("Traceback (") && !line.text.trim().is_empty()
        })
        .collect();
    let first = causes.first().into_iter().chain(causes.last().filter(|_| causes.len() > 1));
    shown.extend(first.take(MAX_CAUSES).map(|line| line.text.clone()));
    shown
}

/// The digest as text of at most about `max_bytes`. Lines of the log stand whole unless they are very long.
pub fn told(digest: &Digest, max_bytes: usize) -> String {
    let (gone, here): (Vec<&Kind>, Vec<&Kind>) =
        digest.kinds.iter().partition(|kind| kind.mark == Mark::Vanished);
    let mut text = format!("{} records of {} kinds\n", digest.records, here.len());
    let mut left: Vec<&Kind> = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, kind) in here.iter().enumerate() {
        let one = one(kind, digest.records);
        if number > 0 && (number >= MAX_SHOWN || text.len() + one.len() > max_bytes) {
            left.push(kind);
        } else if seen.insert(one.clone()) {
            text.push_str(&one);
        }
    }
    if !gone.is_empty() {
        let most = gone.iter().max_by_key(|kind| kind.before);
        let example = most.map_or("", |kind| kind.template.text.as_str());
        text.push_str(&format!(
            "vanished since before: {} kinds, most often: {}\n",
            gone.len(),
            cut(example)
        ));
    }
    if !left.is_empty() {
        let count: usize = left.iter().map(|kind| kind.count).sum();
        let trouble = left.iter().filter(|kind| order(kind).1 <= Level::Error).count();
        text.push_str(&format!(
            "left out: {} more kinds in {count} records, {trouble} of them trouble; ask with words to grep for\n",
            left.len()
        ));
    }
    if digest.left_out > 0 {
        text.push_str(&format!(
            "not read: {} records beyond the window; ask for less time\n",
            digest.left_out
        ));
    }
    text
}

/// `120× (3 %) 06:59:51–07:05:01 error new [id] ` and the exemplar, then the parameters.
fn one(kind: &Kind, all: usize) -> String {
    let mut text = format!("{}×", kind.count);
    let percent = kind.count * 100 / all.max(1);
    if percent > 0 {
        text.push_str(&format!(" {percent} %"));
    }
    let clock = |at: DateTime<Utc>| at.format("%H:%M:%S").to_string();
    match (kind.first, kind.last) {
        (Some(first), Some(last)) if first != last => {
            text.push_str(&format!(" {}–{}", clock(first), clock(last)))
        }
        (Some(at), _) => text.push_str(&format!(" {}", clock(at))),
        _ => {}
    }
    if kind.mark == Mark::New {
        text.push_str(" new");
    }
    text.push_str(&format!(" {} [{}]\n", kind.template.level.name(), kind.template.id).replace("  ", " "));
    for line in &kind.exemplar {
        text.push_str(&format!("  {}\n", cut(line)));
    }
    for parameter in &kind.parameters {
        text.push_str(&format!("    {}\n", parameter.told()));
    }
    text
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_LINE_CHARS) {
        Some((at, _)) => format!("{} … {} more bytes", &line[..at], line.len() - at),
        None => line.trim_end().to_owned(),
    }
}
