//! When a series went from one level to another: the split whose two medians leave the least deviation. Noise of
//! nothing is no change, for spreads have a floor.

use super::stats::{median, spread};

/// Points that a series is thinned to before its change is looked for.
const MAX_POINTS: usize = 240;
/// Fewest points on either side of a change.
const MIN_SIDE: usize = 3;
/// A change is as many spreads wide at least.
const MIN_SPREADS: f64 = 3.0;
/// A change is this part of the larger level at least: less is noise, however steady the rest.
pub const MIN_RELATIVE: f64 = 0.05;

/// From one level to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub at: f64,
    pub from: f64,
    pub to: f64,
}

/// The split whose two medians leave the least deviation, when they lie further apart than spreads explain.
pub fn change_point(values: &[(f64, f64)]) -> Option<Change> {
    let values = thin(values);
    let side = |part: &[(f64, f64)]| part.iter().map(|v| v.1).collect::<Vec<_>>();
    let cost =
        |split: usize| -> f64 { deviation(&side(&values[..split])) + deviation(&side(&values[split..])) };
    let splits = MIN_SIDE..=values.len().checked_sub(MIN_SIDE)?;
    let split = splits.min_by(|one, other| cost(*one).total_cmp(&cost(*other)))?;
    let (before, after) = (side(&values[..split]), side(&values[split..]));
    let widest = spread(&before).max(spread(&after));
    let (from, to) = (median(&before), median(&after));
    let floor = (MIN_RELATIVE * from.abs().max(to.abs())).max(f64::EPSILON);
    let wide = (to - from).abs() >= floor && (to - from).abs() >= MIN_SPREADS * widest;
    wide.then(|| Change { at: values[split].0, from, to })
}

/// Medians of equal parts.
fn thin(values: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let each = values.len().div_ceil(MAX_POINTS).max(1);
    let middle = |part: &[(f64, f64)]| median(&part.iter().map(|v| v.1).collect::<Vec<_>>());
    values.chunks(each).map(|part| (part[0].0, middle(part))).collect()
}

fn deviation(values: &[f64]) -> f64 {
    let middle = median(values);
    values.iter().map(|value| (value - middle).abs()).sum()
}
