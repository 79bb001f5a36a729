//! One series over a window in words: its shape, how far it moved, when it changed, where samples are missing. What a
//! shape is, `series` knows. Pure.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use super::super::request::Window;
use crate::series::rank::movement;
use crate::series::shape::{self, Shape};
use crate::series::stats::{self, increase, median, per_minute};
use crate::source::prometheus::Series;

/// A series with at most this many changes of value is told change by change.
const MAX_STEPS_TOLD: usize = 5;
/// A movement at the onset is as many spreads wide at least.
const MIN_SPREADS: f64 = 3.0;
/// A gap is longer than this many steps.
const GAP_STEPS: f64 = 1.5;
/// Gaps and resets told with their times.
const MAX_GAPS_TOLD: usize = 3;

/// How far a series moved, for the order of lines.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// By more spreads than chance explains, when the trouble began.
    at_onset: bool,
    distance: f64,
    /// It begins late, ends early or has gaps.
    broken: bool,
}

impl Moved {
    pub fn any(&self) -> bool {
        self.broken || self.distance > 0.0
    }

    pub fn order(&self, other: &Self) -> Ordering {
        let by_onset = self.at_onset.cmp(&other.at_onset);
        by_onset.then(self.distance.total_cmp(&other.distance)).then(self.broken.cmp(&other.broken))
    }
}

pub fn moved(series: &Series, window: Window, step_secs: u32, onset: DateTime<Utc>) -> Moved {
    let values = finite(series);
    let distance = if is_counter(series) {
        increase(&values)
    } else {
        let low = values.iter().map(|v| v.1).fold(f64::INFINITY, f64::min);
        let high = values.iter().map(|v| v.1).fold(f64::NEG_INFINITY, f64::max);
        (high - low).max(0.0)
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let onset = onset.timestamp() as f64;
    for (at, value) in &values {
        if *at < onset { before.push(*value) } else { after.push(*value) }
    }
    let name = series.labels.get("__name__").map_or("", String::as_str);
    let at_onset = movement(name, &before, &after).is_some_and(|moved| moved.spreads.abs() >= MIN_SPREADS);
    Moved { at_onset, distance, broken: !missing(&series.samples, window, step_secs).is_empty() }
}

/// In one word, and when it began. A counter's is that of its rate.
pub fn of(series: &Series) -> Shape {
    let values = finite(series);
    if is_counter(series) {
        return shape::shape(&per_minute(&values), None);
    }
    let steps = steps(&values);
    match (steps.first(), values.first(), values.last()) {
        // A stair: it is told from its first step to its last.
        (Some((at, ..)), Some((_, from)), Some((_, to)))
            if steps.len() <= MAX_STEPS_TOLD && (from - to).abs() > 0.0 =>
        {
            Shape::Step { at: *at, from: *from, to: *to }
        }
        _ => shape::shape(&values, None),
    }
}

/// Each change of value: when, from, to.
fn steps(values: &[(f64, f64)]) -> Vec<(f64, f64, f64)> {
    let changed = values.windows(2).filter(|pair| (pair[0].1 - pair[1].1).abs() > 0.0);
    changed.map(|pair| (pair[1].0, pair[0].1, pair[1].1)).collect()
}

/// What one series did.
pub fn line(series: &Series, window: Window, step_secs: u32) -> String {
    let values = finite(series);
    let mut words = Vec::new();
    match values.as_slice() {
        [] if series.samples.is_empty() => return "no samples".to_owned(),
        [] => words.push("only NaN or infinite".to_owned()),
        values => words.extend(levels(series, values)),
    }
    let odd = series.samples.len() - values.len();
    if odd > 0 && !values.is_empty() {
        words.push(format!("{odd} samples are NaN or infinite"));
    }
    words.extend(missing(&series.samples, window, step_secs));
    words.join("; ")
}

fn levels(series: &Series, values: &[(f64, f64)]) -> Vec<String> {
    let mut words = Vec::new();
    let last = values.last().map_or(f64::NAN, |v| v.1);
    let steps = steps(values);
    let counter = is_counter(series);
    if steps.is_empty() {
        words.push(format!("always {}", number(last)));
    } else if steps.len() <= MAX_STEPS_TOLD {
        let told = |(at, from, to): &(f64, f64, f64)| {
            let reset = if counter && to < from { " (reset)" } else { "" };
            format!("{} → {} at {}{reset}", number(*from), number(*to), clock(*at))
        };
        words.push(steps.iter().map(told).collect::<Vec<_>>().join(", "));
        // Steps and gaps are told already.
        let word = Some(of(series).word()).filter(|word| !["", "step", "gap"].contains(word));
        words.extend(word.map(str::to_owned));
    } else if counter {
        words.extend(counter_words(values));
        words.extend(shaped(of(series)).map(|shape| format!("rate a minute: {shape}")));
    } else {
        words.push(summary(values));
        words.extend(shaped(of(series)));
    }
    words
}

/// A series' own shape; where samples are missing is told beside it.
fn shaped(shape: Shape) -> Option<String> {
    let word = shape.word();
    Some(match shape {
        Shape::Steady | Shape::Constant { .. } | Shape::Gap { .. } => return None,
        Shape::Step { at, from, to } => format!("{word} at {}: {} → {}", clock(at), number(from), number(to)),
        Shape::Spike { at, usual, peak } => {
            format!("{word} at {}: {} → {} and back", clock(at), number(usual), number(peak))
        }
        Shape::Leak { from, to, per_hour, .. } => {
            format!("{word}: {} → {}, {} an hour", number(from), number(to), number(per_hour))
        }
        Shape::Saturation { at, level } | Shape::Flatline { at, level } => {
            format!("{word} since {} at {}", clock(at), number(level))
        }
    })
}

fn summary(values: &[(f64, f64)]) -> String {
    let of = |pick: fn(&f64, &f64) -> Ordering| values.iter().copied().max_by(|a, b| pick(&a.1, &b.1));
    let high = of(|a, b| a.total_cmp(b)).unwrap_or_default();
    let low = of(|a, b| b.total_cmp(a)).unwrap_or_default();
    format!(
        "min {} ({}) median {} max {} ({}) last {}",
        number(low.1),
        clock(low.0),
        number(median(&values.iter().map(|v| v.1).collect::<Vec<_>>())),
        number(high.1),
        clock(high.0),
        number(values.last().map_or(f64::NAN, |v| v.1))
    )
}

/// A counter only rises; where it falls it began anew. What it stood at says nothing, its rise does.
fn counter_words(values: &[(f64, f64)]) -> Vec<String> {
    let seconds = values.last().map_or(0.0, |v| v.0) - values.first().map_or(0.0, |v| v.0);
    let rise = increase(values);
    let mut words =
        vec![format!("counter, rose by {} ({}/min)", number(rise), number(rise / seconds * 60.0))];
    let resets: Vec<String> = values.windows(2).filter(|p| p[1].1 < p[0].1).map(|p| clock(p[1].0)).collect();
    if !resets.is_empty() {
        words.push(format!("{} resets: {}", resets.len(), first_few(&resets)));
    }
    words
}

fn is_counter(series: &Series) -> bool {
    series.labels.get("__name__").is_some_and(|name| stats::is_counter(name))
}

fn finite(series: &Series) -> Vec<(f64, f64)> {
    series.samples.iter().copied().filter(|(_, value)| value.is_finite()).collect()
}

/// The part of a window in which any series has samples, and words for what lies outside of it: what is
/// missing of all is said once.
pub fn edges(series: &[Series], (from, to): Window, step_secs: u32) -> (Window, String) {
    let firsts = series.iter().filter_map(|one| Some(one.samples.first()?.0));
    let lasts = series.iter().filter_map(|one| Some(one.samples.last()?.0));
    let (first, last) = (firsts.fold(f64::INFINITY, f64::min), lasts.fold(f64::NEG_INFINITY, f64::max));
    let longest = f64::from(step_secs.max(1)) * GAP_STEPS;
    let (mut window, mut words) = ((from, to), String::new());
    if let Some(at) = instant(first).filter(|at| (*at - from).num_seconds() as f64 > longest) {
        window.0 = at;
        words.push_str(&format!("no series has samples before {}\n", clock(first)));
    }
    if let Some(at) = instant(last).filter(|at| (to - *at).num_seconds() as f64 > longest) {
        window.1 = at;
        words.push_str(&format!("no series has samples after {}\n", clock(last)));
    }
    (window, words)
}

/// Where samples are missing within the window.
fn missing(samples: &[(f64, f64)], (from, to): Window, step_secs: u32) -> Vec<String> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let longest = f64::from(step_secs.max(1)) * GAP_STEPS;
    let [from, to] = [from, to].map(|at| at.timestamp() as f64);
    let mut words = Vec::new();
    if first.0 - from > longest {
        words.push(format!("first sample {}", clock(first.0)));
    }
    let gaps: Vec<String> = samples
        .windows(2)
        .filter(|pair| pair[1].0 - pair[0].0 > longest)
        .map(|pair| format!("{}–{}", clock(pair[0].0), clock(pair[1].0)))
        .collect();
    if !gaps.is_empty() {
        words.push(format!("no samples {}", first_few(&gaps)));
    }
    if to - last.0 > longest {
        words.push(format!("no sample after {}", clock(last.0)));
    }
    words
}

fn first_few(all: &[String]) -> String {
    let shown = all.iter().take(MAX_GAPS_TOLD).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MAX_GAPS_TOLD) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Time of day; days are in the query's own line.
pub fn clock(unix: f64) -> String {
    instant(unix).map_or_else(|| unix.to_string(), |at| at.format("%H:%M:%S").to_string())
}

fn instant(unix: f64) -> Option<DateTime<Utc>> {
    // A cast saturates, and what is no time is None.
    DateTime::from_timestamp(unix as i64, 0)
}

/// Whole numbers in full, others with four digits that count.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    if value.fract().abs() <= 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    if value.abs() < 1e-5 || value.abs() >= 1e15 {
        return format!("{value:.3e}");
    }
    let decimals = usize::try_from(3 - value.abs().log10().floor() as i64).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests;
