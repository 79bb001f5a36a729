//! What a trace says before it is read span by span: how it failed, where its time went, what was repeated. Spans come
//! in, a few lines go out. Spans that may not be told keep their time and failure. Pure; parents may be missing, lead
//! in a circle or end before their children.

use std::collections::{BTreeMap, BTreeSet};

use super::super::request::count;
use super::tree::{MayBeTold, number_ms};
use crate::source::tempo::{Span, Status};

/// Smaller traces are told by their tree alone.
const MIN_SPANS: usize = 4;
/// Spans of a path that are named; the middle is left out.
const MAX_PATH: usize = 6;
/// Spans with the most time of their own, and the least share of the whole that is worth telling, in percent.
const MAX_OWN: usize = 3;
const MIN_OWN_PERCENT: u64 = 5;
/// So many alike under one span are a repetition.
const MIN_REPEATED: usize = 5;
const MAX_REPEATED: usize = 2;
/// Longest message of a failure, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// Who is whose child, by place in the list, and the time that each span spent itself.
pub(super) struct Forest {
    pub parents: Vec<Option<usize>>,
    pub children: Vec<Vec<usize>>,
    /// In nanoseconds.
    pub own: Vec<u64>,
}

impl Forest {
    pub fn new(spans: &[Span]) -> Self {
        let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, span) in spans.iter().enumerate() {
            by_id.entry(&span.id).or_insert(at);
        }
        let parent = |(at, span): (usize, &Span)| {
            let parent = by_id.get(span.parent.as_deref()?).copied();
            parent.filter(|parent| *parent != at)
        };
        let parents: Vec<Option<usize>> = spans.iter().enumerate().map(parent).collect();
        let mut children = vec![Vec::new(); spans.len()];
        for (at, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(at);
            }
        }
        let own = (0..spans.len()).map(|at| own_time(spans, at, &children[at])).collect();
        Self { parents, children, own }
    }

    /// From the root to a span. A circle ends where it began.
    pub fn path(&self, to: usize) -> Vec<usize> {
        let mut seen = BTreeSet::from([to]);
        let mut path = vec![to];
        let mut next = self.parents[to];
        while let Some(at) = next.filter(|at| seen.insert(*at)) {
            path.push(at);
            next = self.parents[at];
        }
        path.reverse();
        path
    }
}

/// Start and end, in nanoseconds since 1970.
fn interval(span: &Span) -> (i128, i128) {
    let start = i128::from(span.started_at.timestamp_micros()) * 1000
        + i128::from(span.started_at.timestamp_subsec_nanos() % 1000);
    (start, start + i128::from(span.nanoseconds))
}

/// What no child covers. Children that run at the same time count once.
fn own_time(spans: &[Span], at: usize, children: &[usize]) -> u64 {
    let (from, to) = interval(&spans[at]);
    let mut covered: Vec<(i128, i128)> = children
        .iter()
        .map(|child| interval(&spans[*child]))
        .map(|(start, end)| (start.clamp(from, to), end.clamp(from, to)))
        .collect();
    covered.sort_unstable();
    let (mut sum, mut until) = (0, from);
    for (start, end) in covered {
        sum += (end - start.max(until)).max(0);
        until = until.max(end);
    }
    u64::try_from(to - from - sum).unwrap_or(0)
}

/// Nothing for a small trace: its tree says it all.
pub(super) fn overview(spans: &[Span], forest: &Forest, may_be_told: MayBeTold<'_>) -> String {
    if spans.len() < MIN_SPANS {
        return String::new();
    }
    let services: BTreeSet<&str> =
        spans.iter().filter(|span| may_be_told(span)).map(|span| span.service.as_str()).collect();
    let failed = spans.iter().filter(|span| span.status == Status::Error).count();
    let mut text = format!(
        "{} of {}, {failed} failed\n",
        count(spans.len(), "span", "spans"),
        count(services.len(), "service", "services")
    );
    let telling = Telling { spans, forest, may_be_told };
    for line in
        [telling.failing(), telling.slowest(), telling.own(), telling.repeated()].into_iter().flatten()
    {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

struct Telling<'a> {
    spans: &'a [Span],
    forest: &'a Forest,
    may_be_told: MayBeTold<'a>,
}

impl Telling<'_> {
    fn name(&self, at: usize) -> String {
        let span = &self.spans[at];
        if (self.may_be_told)(span) {
            format!("{} {}", span.service, span.name).trim().to_owned()
        } else {
            "(another namespace)".to_owned()
        }
    }

    fn path(&self, path: &[usize], one: impl Fn(usize) -> String) -> String {
        let mut words: Vec<String> = path.iter().map(|at| one(*at)).collect();
        if let Some(more) = words.len().checked_sub(MAX_PATH).filter(|more| *more > 0) {
            let half = MAX_PATH / 2;
            words.splice(half..half + more, [format!("({more} more)")]);
        }
        words.join(" → ")
    }

    /// The failure that lies deepest, the earliest of several: those above it follow from it.
    fn failing(&self) -> Option<String> {
        let failed = |at: &usize| self.spans[*at].status == Status::Error;
        let last = |at: &usize| !self.forest.children[*at].iter().any(failed);
        let deepest = (0..self.spans.len()).filter(failed).filter(last).max_by_key(|at| {
            let span = &self.spans[*at];
            (self.forest.path(*at).len(), std::cmp::Reverse(span.started_at), std::cmp::Reverse(*at))
        })?;
        let span = &self.spans[deepest];
        let said = if span.status_message.is_empty() {
            span.exceptions.first().map_or("", String::as_str)
        } else {
            span.status_message.as_str()
        };
        let said: String = said.chars().take(MAX_MESSAGE_CHARS).collect();
        let said =
            if said.is_empty() || !(self.may_be_told)(span) { String::new() } else { format!(": {said}") };
        let path = self.path(&self.forest.path(deepest), |at| self.name(at));
        Some(format!("failing path: {path}{said}"))
    }

    /// From the longest root to whatever takes longest below it, as long as that explains most of it.
    fn slowest(&self) -> Option<String> {
        let longest = |at: &usize| (self.spans[*at].nanoseconds, std::cmp::Reverse(*at));
        let roots = (0..self.spans.len()).filter(|at| self.forest.parents[*at].is_none());
        let mut at = roots.max_by_key(longest)?;
        let mut path = vec![at];
        while let Some(next) = self.forest.children[at].iter().copied().max_by_key(longest) {
            let explains = self.spans[next].nanoseconds >= self.spans[at].nanoseconds / 2;
            if !explains || path.contains(&next) {
                break;
            }
            path.push(next);
            at = next;
        }
        let told = |at: usize| format!("{} {} ms", self.name(at), number_ms(self.spans[at].nanoseconds));
        Some(format!("slowest path: {}", self.path(&path, told)))
    }

    fn own(&self) -> Option<String> {
        let whole = self.spans.iter().map(|span| span.nanoseconds).max()?;
        let mut most: Vec<usize> = (0..self.spans.len()).collect();
        most.sort_by_key(|at| (std::cmp::Reverse(self.forest.own[*at]), *at));
        let percent = |at: usize| self.forest.own[at].saturating_mul(100) / whole.max(1);
        let told: Vec<String> = most
            .into_iter()
            .take(MAX_OWN)
            .filter(|at| percent(*at) >= MIN_OWN_PERCENT)
            .map(|at| format!("{} {} ms ({} %)", self.name(at), number_ms(self.forest.own[at]), percent(at)))
            .collect();
        (!told.is_empty()).then(|| format!("time of its own: {}", told.join(", ")))
    }

    /// One call many times under one span.
    fn repeated(&self) -> Option<String> {
        let mut alike: BTreeMap<(usize, &str, &str), (usize, u64)> = BTreeMap::new();
        for (at, span) in self.spans.iter().enumerate().filter(|(_, span)| (self.may_be_told)(span)) {
            if let Some(parent) = self.forest.parents[at] {
                let place = alike.entry((parent, &span.service, &span.name)).or_default();
                *place = (place.0 + 1, place.1.saturating_add(span.nanoseconds));
            }
        }
        let mut most: Vec<_> = alike.into_iter().filter(|(_, (times, _))| *times >= MIN_REPEATED).collect();
        most.sort_by_key(|(what, (_, sum))| (std::cmp::Reverse(*sum), *what));
        let told: Vec<String> = most
            .into_iter()
            .take(MAX_REPEATED)
            .map(|((parent, service, name), (times, sum))| {
                format!(
                    "{service} {name} ×{times} under {}, {} ms together",
                    self.name(parent),
                    number_ms(sum)
                )
            })
            .collect();
        (!told.is_empty()).then(|| format!("repeated: {}", told.join("; ")))
    }
}
