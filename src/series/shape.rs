//! What a series did, in one word that an engineer would use: a step, a spike, a leak, a saturation, a flat line, a
//! gap. Samples come in, a shape goes out; single odd samples, infinite ones and the size of the unit make no
//! difference, and noise of nothing is no shape. Counters come in as their rates. Pure.

use super::change::{MIN_RELATIVE, change_point};
use super::stats::{median, quantile, spread};

/// Fewer samples have no shape, and fewer levels are a stair, not a growth.
const MIN_SAMPLES: usize = 8;
const MIN_LEVELS: usize = 12;
/// Parts of a window whose medians must rise one after the other for steady growth.
const PARTS: usize = 8;
/// Of the steps between them, those that may go the other way.
const MAX_AGAINST: usize = 1;
/// No step of a steady growth is more than this share of all of it.
const MAX_ONE_STEP: f64 = 0.45;
/// A growth is this part of the larger end at least, and so many spreads of what is left when it is taken out.
const MIN_GROWTH: f64 = 0.1;
const MIN_GROWTH_SPREADS: f64 = 2.0;
/// A spike lies so many spreads beyond the usual level.
const SPIKE_SPREADS: f64 = 6.0;
/// With less than this part of its size beyond the usual level, floors included, it is noise.
const SPIKE_RELATIVE: f64 = 0.25;
/// Share of the samples that a spike may last; longer is a level of its own.
const MAX_SPIKE_SHARE: f64 = 0.2;
/// The end of a series that stands still, as a share of it and in samples.
const MIN_STILL_SHARE: f64 = 0.2;
const MIN_STILL: usize = 5;
/// A flat top is within this part of its level; near a limit is above this part of it.
const TOP_WIDTH: f64 = 0.03;
const NEAR_LIMIT: f64 = 0.95;
/// Samples that lead up to a flat top without a limit: fewer are a step.
const MIN_RAMP: usize = 5;

/// What a series did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Too few samples, or nothing but its usual ups and downs.
    Steady,
    /// It never changed.
    Constant {
        level: f64,
    },
    Step {
        at: f64,
        from: f64,
        to: f64,
    },
    /// Away from its usual level for a short time, and back.
    Spike {
        at: f64,
        usual: f64,
        peak: f64,
    },
    /// Steady growth, or steady fall.
    Leak {
        at: f64,
        from: f64,
        to: f64,
        per_hour: f64,
    },
    /// It rose, and stands at a level that it does not pass.
    Saturation {
        at: f64,
        level: f64,
    },
    /// It moved, and stands still.
    Flatline {
        at: f64,
        level: f64,
    },
    /// Samples are missing for longer than chance explains, and nothing else is to be told.
    Gap {
        at: f64,
        until: f64,
    },
}

impl Shape {
    /// `step`, `spike`, …; "" where there is nothing to tell.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Steady | Self::Constant { .. } => "",
            Self::Step { .. } => "step",
            Self::Spike { .. } => "spike",
            Self::Leak { per_hour, .. } if *per_hour < 0.0 => "steady fall",
            Self::Leak { .. } => "leak",
            Self::Saturation { .. } => "saturation",
            Self::Flatline { .. } => "flatline",
            Self::Gap { .. } => "gap",
        }
    }

    /// When it began to be so.
    pub fn at(&self) -> Option<f64> {
        match self {
            Self::Steady | Self::Constant { .. } => None,
            Self::Step { at, .. }
            | Self::Spike { at, .. }
            | Self::Leak { at, .. }
            | Self::Saturation { at, .. }
            | Self::Flatline { at, .. }
            | Self::Gap { at, .. } => Some(*at),
        }
    }
}

/// Samples as (unix seconds, value), in order of time. `limit` is what the values cannot pass, where it is known.
pub fn shape(samples: &[(f64, f64)], limit: Option<f64>) -> Shape {
    let values: Vec<(f64, f64)> = samples.iter().copied().filter(|(_, value)| value.is_finite()).collect();
    if values.len() < MIN_SAMPLES {
        return gap(&values).unwrap_or(Shape::Steady);
    }
    let first = values[0].1;
    if values.iter().all(|(_, value)| (value - first).abs() <= 0.0) {
        return gap(&values).unwrap_or(Shape::Constant { level: first });
    }
    let told = saturation(&values, limit)
        .or_else(|| leak(&values))
        .or_else(|| flatline(&values))
        .or_else(|| spike(&values))
        .or_else(|| step(&values));
    told.or_else(|| gap(&values)).unwrap_or(Shape::Steady)
}

/// The longest time without a sample, where it is long for this series and a part of all of it.
fn gap(values: &[(f64, f64)]) -> Option<Shape> {
    const LONG: f64 = 4.0;
    const MIN_SHARE: f64 = 0.1;
    let between: Vec<f64> = values.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let usual = median(&between);
    let whole = values.last()?.0 - values.first()?.0;
    let widest = values.windows(2).max_by(|a, b| (a[1].0 - a[0].0).total_cmp(&(b[1].0 - b[0].0)))?;
    let (at, until) = (widest[0].0, widest[1].0);
    let is_long = until - at > LONG * usual && until - at >= MIN_SHARE * whole;
    (values.len() > 2 && is_long).then_some(Shape::Gap { at, until })
}

fn only(values: &[(f64, f64)]) -> Vec<f64> {
    values.iter().map(|one| one.1).collect()
}

/// Larger of the spread and a part of the level: noise of nothing has no size.
fn scale(values: &[f64]) -> f64 {
    spread(values).max(MIN_RELATIVE * median(values).abs())
}

/// Rises, then stands at its highest: at a known limit, or after a climb of several samples.
fn saturation(values: &[(f64, f64)], limit: Option<f64>) -> Option<Shape> {
    let top = quantile(&only(values), 4);
    if top <= 0.0 {
        return None;
    }
    let is_at_top = |value: f64| match limit.filter(|limit| *limit > 0.0) {
        Some(limit) => value >= NEAR_LIMIT * limit,
        None => value >= (1.0 - TOP_WIDTH) * top,
    };
    let still = values.iter().rev().take_while(|one| is_at_top(one.1)).count();
    let start = values.len() - still;
    let long = still >= MIN_STILL && still as f64 >= MIN_STILL_SHARE * values.len() as f64;
    let level = median(&only(values.get(start..)?));
    let found = Some(Shape::Saturation { at: values.get(start)?.0, level }).filter(|_| long);
    if limit.is_some() {
        return found.filter(|_| start > 0 || still == values.len());
    }
    let low = quantile(&only(&values[..start]), 1);
    let (near_low, near_top) = (low + 0.2 * (level - low), low + 0.9 * (level - low));
    let mut climb = only(&values[..start]);
    climb.retain(|value| *value > near_low && *value < near_top);
    climb.sort_by(f64::total_cmp);
    // A stair has many samples on few levels.
    climb.dedup_by(|a, b| (*a - *b).abs() <= 0.0);
    let climb = climb.len();
    // What climbs to its end has no top: its last part still rises.
    let flat = spread(&only(&values[start..])) <= TOP_WIDTH * level / 2.0 && !rises(&values[start..]);
    found.filter(|_| start >= MIN_RAMP && climb >= MIN_RAMP && flat && level - low >= MIN_GROWTH * level)
}

/// The second half of it lies above the first by more than its spread.
fn rises(values: &[(f64, f64)]) -> bool {
    let (early, late) = values.split_at(values.len() / 2);
    let (early, late) = (only(early), only(late));
    median(&late) - median(&early) > spread(&early).max(spread(&late))
}

/// Medians of equal parts that follow each other upwards, or downwards, none of them at one go.
fn leak(values: &[(f64, f64)]) -> Option<Shape> {
    let mut levels = only(values);
    levels.sort_by(f64::total_cmp);
    levels.dedup_by(|a, b| (*a - *b).abs() <= 0.0);
    let parts = parts(values).filter(|_| levels.len() >= MIN_LEVELS)?;
    let steps: Vec<f64> = parts.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    let (from, to) = (parts.first()?.1, parts.last()?.1);
    let rise = to - from;
    let against = steps.iter().filter(|step| **step * rise <= 0.0).count();
    let largest = steps.iter().map(|step| step.abs()).fold(0.0, f64::max);
    let seconds = parts.last()?.0 - parts.first()?.0;
    // What is left beside the line between the ends.
    let line = |at: f64| from + rise * (at - parts[0].0) / seconds.max(1.0);
    let rest: Vec<f64> = values.iter().map(|(at, value)| value - line(*at)).collect();
    let is_wide = rise.abs() >= MIN_GROWTH * from.abs().max(to.abs())
        && rise.abs() >= MIN_GROWTH_SPREADS * spread(&rest);
    let is_steady = against <= MAX_AGAINST && largest <= MAX_ONE_STEP * rise.abs() && seconds > 0.0;
    (is_wide && is_steady).then(|| Shape::Leak {
        at: values[0].0,
        from,
        to,
        per_hour: rise / seconds * 3600.0,
    })
}

/// Middle and median of equal parts.
fn parts(values: &[(f64, f64)]) -> Option<Vec<(f64, f64)>> {
    let count = PARTS.min(values.len() / 2);
    let part = |number: usize| {
        let (from, to) = (number * values.len() / count, (number + 1) * values.len() / count);
        let part = &values[from..to];
        let at: Vec<f64> = part.iter().map(|one| one.0).collect();
        (median(&at), median(&only(part)))
    };
    (count >= PARTS / 2).then(|| (0..count).map(part).collect())
}

/// Moved from sample to sample, and from some moment on not at all.
fn flatline(values: &[(f64, f64)]) -> Option<Shape> {
    let level = values.last()?.1;
    let still = values.iter().rev().take_while(|one| (one.1 - level).abs() <= 0.0).count();
    let start = values.len() - still;
    let before = values.get(..start)?;
    let moved = before.windows(2).filter(|pair| (pair[1].1 - pair[0].1).abs() > 0.0).count();
    let is_lively = before.len() >= MIN_STILL && moved * 2 >= before.len();
    let is_long = still >= MIN_STILL && still as f64 >= MIN_STILL_SHARE * values.len() as f64;
    (is_lively && is_long).then(|| Shape::Flatline { at: values[start].0, level })
}

/// Few samples far beyond the rest, with the usual level before and after.
fn spike(values: &[(f64, f64)]) -> Option<Shape> {
    let all = only(values);
    let usual = median(&all);
    let width = SPIKE_SPREADS * scale(&all);
    let is_far = |one: &&(f64, f64)| (one.1 - usual).abs() > width.max(f64::MIN_POSITIVE);
    let far: Vec<&(f64, f64)> = values.iter().filter(is_far).collect();
    let peak = far.iter().max_by(|a, b| (a.1 - usual).abs().total_cmp(&(b.1 - usual).abs()))?;
    let most = usual.abs().max(peak.1.abs());
    let edges = [values.first()?, values.last()?].into_iter().all(|one| !is_far(&one));
    let is_short = far.len() as f64 <= (MAX_SPIKE_SHARE * values.len() as f64).max(1.0);
    let is_large = (peak.1 - usual).abs() >= SPIKE_RELATIVE * most;
    (edges && is_short && is_large).then(|| Shape::Spike { at: far[0].0, usual, peak: peak.1 })
}

fn step(values: &[(f64, f64)]) -> Option<Shape> {
    let change = change_point(values)?;
    Some(Shape::Step { at: change.at, from: change.from, to: change.to })
}

/// What moved first of several, by name; what began together stands in order of name.
pub fn first<'n>(shapes: impl IntoIterator<Item = (&'n str, Shape)>) -> Vec<(&'n str, Shape, f64)> {
    let begun = shapes.into_iter().filter_map(|(name, shape)| {
        // Growth over the whole window began before it, and says nothing about who was first.
        let at = shape.at().filter(|_| !matches!(shape, Shape::Leak { .. }))?;
        Some((name, shape, at))
    });
    let mut begun: Vec<(&str, Shape, f64)> = begun.collect();
    begun.sort_by(|a, b| a.2.total_cmp(&b.2).then_with(|| a.0.cmp(b.0)));
    begun
}
