//! Levels and spreads of samples by order, so that single odd ones do not move them, and the rise of counters.

/// Spread in interquartile ranges, as a normal distribution has it.
const IQR_PER_SPREAD: f64 = 1.349;
/// What falls back less often than this is a counter that began anew.
const MAX_RESETS: usize = 20;

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 2)
}

/// As a standard deviation, of the middle half.
pub fn spread(values: &[f64]) -> f64 {
    (quantile(values, 3) - quantile(values, 1)) / IQR_PER_SPREAD
}

/// One to four quarters of the samples are lower or equal. NaN of nothing.
pub fn quantile(values: &[f64], quarters: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_sub(1) * quarters;
    let (low, rest) = (at / 4, at % 4);
    let (Some(one), Some(other)) = (values.get(low), values.get(low + usize::from(rest > 0))) else {
        return f64::NAN;
    };
    let part = [0.0, 0.25, 0.5, 0.75][rest];
    one + (other - one) * part
}

/// The rise of a counter, resets understood: where it falls it began anew.
pub fn increase(values: &[(f64, f64)]) -> f64 {
    values.windows(2).map(|pair| rise(pair[0].1, pair[1].1)).sum()
}

/// A counter as its rises from sample to sample; other series as they are.
pub fn rates(name: &str, values: &[f64]) -> Vec<f64> {
    let falls = values.windows(2).filter(|pair| pair[1] < pair[0]).count();
    let rises = values.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let is_counter = is_counter(name) && falls * MAX_RESETS <= values.len() && rises > falls;
    if is_counter { values.windows(2).map(|pair| rise(pair[0], pair[1])).collect() } else { values.to_vec() }
}

/// A counter as its rise a minute from sample to sample. Where it began anew nobody knows what it had risen by.
pub fn per_minute(values: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const LEAST_SECS: f64 = 1e-3;
    let rate = |pair: &[(f64, f64)]| {
        let seconds = (pair[1].0 - pair[0].0).max(LEAST_SECS);
        (pair[1].0, (pair[1].1 - pair[0].1) / seconds * 60.0)
    };
    values.windows(2).filter(|pair| pair[1].1 >= pair[0].1).map(rate).collect()
}

/// By its name, as Prometheus asks for it.
pub fn is_counter(name: &str) -> bool {
    ["total", "count", "sum", "bucket"]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with(['_', '-'])))
}

fn rise(from: f64, to: f64) -> f64 {
    if to < from { to } else { to - from }
}
