//! Series as a model reads them: what all share is said once, each gets one line, those that moved most come
//! first, the rest is counted; above them who moved first, and by service and node who moved at all. Pure; nothing is
//! left out without being told.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::super::Refusal;
use super::super::request::{Window, count};
use super::shape::{self, clock, number};
use crate::series::group::{self, Group};
use crate::series::shape as shapes;
use crate::source::prometheus::Series;

/// Most series that are read; more is a question that was too wide.
pub const MAX_SERIES: usize = 1000;
/// Most series that get a line of their own.
const MAX_SHOWN: usize = 12;
/// Labels that tell series apart and say nothing that others do not say better: not shown, but told of.
const UNSAID: [&str; 3] = ["uid", "container_id", "image_id"];
/// Series that are told as the first to move, and groups.
const MAX_FIRST: usize = 3;
const MAX_GROUPS: usize = 5;
/// Of a series' name where it is told by the way.
const MAX_NAME_CHARS: usize = 80;
/// Endings of names that say in what something is measured.
const UNITS: [&str; 7] = ["bytes", "seconds", "ratio", "percent", "cores", "celsius", "volts"];
/// Labels named in a refusal.
const MAX_LABELS_NAMED: usize = 5;

/// Refuses more than `MAX_SERIES`, naming the labels that make them many.
pub fn bound(series: &[Series]) -> Result<(), Refusal> {
    if series.len() <= MAX_SERIES {
        return Ok(());
    }
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in series.iter().flat_map(|one| &one.labels) {
        values.entry(label).or_default().insert(value);
    }
    let mut by_count: Vec<(usize, &str)> = values.iter().map(|(label, all)| (all.len(), *label)).collect();
    by_count.sort_by(|one, other| other.cmp(one));
    let widest: Vec<String> = by_count
        .iter()
        .take(MAX_LABELS_NAMED)
        .map(|(distinct, label)| format!("{label} has {distinct} values"))
        .collect();
    Err(Refusal::TooMuch(too_many(&series.len().to_string(), &widest.join(", "))))
}

/// The words of that refusal.
pub fn too_many(number: &str, widest: &str) -> String {
    let widest = if widest.is_empty() { String::new() } else { format!(" ({widest})") };
    format!(
        "{number} series, at most {MAX_SERIES} are read{widest}: add matchers, aggregate with `sum by (…)`, or \
         ask for `topk(10, …)`"
    )
}

/// The labels that all series share, and for each series the others.
struct Names {
    shared: String,
    own: Vec<String>,
    /// Labels that differ and are not shown.
    unsaid: String,
}

fn names(series: &[Series]) -> Names {
    let first = series.first().map(|one| one.labels.clone()).unwrap_or_default();
    let is_shared =
        |key: &str, value: &str| series.iter().all(|one| one.labels.get(key).is_some_and(|v| v == value));
    let shared: BTreeMap<String, String> =
        first.into_iter().filter(|(key, value)| is_shared(key, value)).collect();
    let word = |labels: &mut dyn Iterator<Item = (&String, &String)>| {
        labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    let is_said = |key: &str| !shared.contains_key(key) && !UNSAID.contains(&key);
    let own = |one: &Series| {
        let text = word(&mut one.labels.iter().filter(|(key, _)| is_said(key)));
        if text.is_empty() { "{}".to_owned() } else { text }
    };
    let is_unsaid = |label: &&str| {
        !shared.contains_key(*label) && series.iter().any(|one| one.labels.contains_key(*label))
    };
    let unsaid = UNSAID.into_iter().filter(is_unsaid).collect::<Vec<_>>().join(", ");
    Names { own: series.iter().map(own).collect(), shared: word(&mut shared.iter()), unsaid }
}

fn heading(series: &[Series], names: &Names) -> String {
    let shared = match (series.len(), names.shared.as_str()) {
        (_, "") => String::new(),
        (1, shared) => format!(": {shared}"),
        (_, shared) => format!("; all have {shared}"),
    };
    let unsaid = match names.unsaid.as_str() {
        "" => String::new(),
        labels => format!("; not shown: {labels}"),
    };
    let unit = unit(series).map(|unit| format!("; in {unit}")).unwrap_or_default();
    format!("{}{shared}{unit}{unsaid}\n", count(series.len(), "series", "series"))
}

/// Where all series are one metric whose name tells.
fn unit(series: &[Series]) -> Option<&'static str> {
    let name = series.first()?.labels.get("__name__")?;
    let same = series.iter().all(|one| one.labels.get("__name__") == Some(name));
    let name = name.strip_suffix("_total").unwrap_or(name);
    UNITS.into_iter().find(|unit| same && name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
}

/// An instant answer, the highest values first.
pub fn instant(series: &[Series]) -> String {
    if series.is_empty() {
        return "no series: nothing matches, or the condition holds for nothing\n".to_owned();
    }
    let names = names(series);
    let mut rows: Vec<(f64, &str)> = series
        .iter()
        .zip(&names.own)
        .filter_map(|(one, name)| Some((one.samples.last()?.1, name.as_str())))
        .collect();
    // NaN last.
    rows.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    rows.sort_by_key(|row| row.0.is_nan());
    let mut text = heading(series, &names);
    for (value, name) in rows.iter().take(MAX_SHOWN) {
        text.push_str(&format!("{}  {name}\n", number(*value)));
    }
    if let Some(rest) = rows.get(MAX_SHOWN..).filter(|rest| !rest.is_empty()) {
        let (low, high) = (rest.last().map_or(f64::NAN, |row| row.0), rest[0].0);
        text.push_str(&format!("left out: {}, {}\n", count(rest.len(), "series", "series"), span(low, high)));
    }
    text
}

type Row<'a> = (shape::Moved, &'a Series, &'a str);

/// A range answer: one line a series; what moved when the trouble began comes first, then what moved most.
pub fn range(series: &[Series], window: Window, step_secs: u32, onset: DateTime<Utc>) -> String {
    if series.is_empty() {
        return "no series in this window\n".to_owned();
    }
    let names = names(series);
    let (window, edges) = shape::edges(series, window, step_secs);
    let mut rows: Vec<Row<'_>> = series
        .iter()
        .zip(&names.own)
        .map(|(one, name)| (shape::moved(one, window, step_secs, onset), one, name.as_str()))
        .collect();
    rows.sort_by(|one, other| other.0.order(&one.0).then(one.2.cmp(other.2)));
    let mut text = format!("{}{edges}{}", heading(series, &names), overview(series, &names));
    let moving = rows.iter().filter(|row| row.0.any()).count();
    // With nothing moving, a few that stand still say what there is.
    let shown = if moving == 0 { rows.len().min(3) } else { moving.min(MAX_SHOWN) };
    for (_, one, name) in &rows[..shown] {
        text.push_str(&format!("{name}: {}\n", shape::line(one, window, step_secs)));
    }
    let (left, still): (Vec<&Row<'_>>, Vec<&Row<'_>>) = rows[shown..].iter().partition(|row| row.0.any());
    if !left.is_empty() {
        text.push_str(&format!("left out: {} that moved less\n", count(left.len(), "series", "series")));
    }
    if !still.is_empty() {
        let values: Vec<f64> = still.iter().filter_map(|row| Some(row.1.samples.last()?.1)).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let still = count(still.len(), "series", "series");
        text.push_str(&format!("left out: {still} that never changed, {}\n", span(low, high)));
    }
    text
}

/// Who moved first, and whose series moved, where there are several.
fn overview(series: &[Series], names: &Names) -> String {
    let shapes: Vec<shapes::Shape> = series.iter().map(shape::of).collect();
    let mut text = String::new();
    let first = shapes::first(names.own.iter().map(String::as_str).zip(shapes.iter().copied()));
    if first.len() > 1 {
        let told = |(name, what, at): &(&str, shapes::Shape, f64)| {
            let name: String = name.chars().take(MAX_NAME_CHARS).collect();
            format!("{name} ({} {})", what.word(), clock(*at))
        };
        let shown: Vec<String> = first.iter().take(MAX_FIRST).map(told).collect();
        let more = more(first.len(), MAX_FIRST);
        text.push_str(&format!("moved first: {}{more}\n", shown.join(", then ")));
    }
    let told: Vec<group::Told<'_>> =
        series.iter().zip(&shapes).map(|(one, what)| (&one.labels, what.word())).collect();
    for (by, groups) in [("service", group::by_service(&told)), ("node", group::by_node(&told))] {
        let (moved, still): (Vec<&Group>, Vec<&Group>) = groups.iter().partition(|group| group.moved > 0);
        if !moved.is_empty() {
            let shown: Vec<String> = moved.iter().take(MAX_GROUPS).map(|group| one_group(group)).collect();
            let more = more(moved.len(), MAX_GROUPS);
            let still = if still.is_empty() { String::new() } else { format!("; {} did not", still.len()) };
            text.push_str(&format!("by {by}: {}{more}{still}\n", shown.join(", ")));
        }
    }
    text
}

/// `carts with carts-db 2 of 4 moved (step 2)`
fn one_group(group: &Group) -> String {
    let with: Vec<&str> = group.with.iter().map(String::as_str).collect();
    let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" and ")) };
    let shapes: Vec<String> = group.shapes.iter().map(|(word, count)| format!("{word} {count}")).collect();
    let shapes = if shapes.is_empty() { String::new() } else { format!(" ({})", shapes.join(", ")) };
    format!("{}{with} {} of {} moved{shapes}", group.name, group.moved, group.all)
}

fn more(all: usize, shown: usize) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

fn span(low: f64, high: f64) -> String {
    if low < high {
        format!("at {} to {}", number(low), number(high))
    } else {
        format!("at {}", number(high))
    }
}

/// Everything that was read, for the ledger.
pub fn full(series: &[Series]) -> String {
    let mut text = String::new();
    for one in series {
        let labels: Vec<String> = one.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        text.push_str(&format!("{{{}}}", labels.join(" ")));
        for (at, value) in &one.samples {
            text.push_str(&format!(" {}={value}", clock(*at)));
        }
        text.push('\n');
    }
    text
}
