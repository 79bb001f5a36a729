//! Series come in, what is said of their shape is asserted: noise, spikes, resets, gaps.

use super::*;
use crate::series::change::change_point;

const START: i64 = 1_795_244_400; // 07:00:00

fn series(name: &str, values: &[f64]) -> Series {
    let labels = [("__name__".to_owned(), name.to_owned())].into_iter().collect();
    let samples = values.iter().enumerate().map(|(i, v)| ((START + 30 * i as i64) as f64, *v)).collect();
    Series { labels, samples }
}

fn told(one: &Series) -> String {
    let end = one.samples.last().map_or(START, |v| v.0 as i64);
    let window = [START, end].map(|at| DateTime::from_timestamp(at, 0).unwrap());
    line(one, (window[0], window[1]), 30)
}

/// The same on every run, between -0.5 and 0.5.
fn noise(i: usize) -> f64 {
    ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5
}

#[test]
fn a_level_that_jumps_has_its_moment() {
    for (before, after, spread) in [(10.0, 20.0, 1.0), (1e-6, 5e-6, 1e-7), (100.0, 0.0, 3.0), (0.0, 1e9, 1e6)]
    {
        let values: Vec<(f64, f64)> =
            (0..100).map(|i| (i as f64, if i < 60 { before } else { after } + noise(i) * spread)).collect();
        let change = change_point(&values).unwrap();
        assert!((change.at - 60.0).abs() < 1.1, "{change:?}");
        assert!((change.from - before).abs() <= spread && (change.to - after).abs() <= spread, "{change:?}");
    }
}

#[test]
fn noise_spikes_and_short_series_are_no_change() {
    let noisy: Vec<(f64, f64)> = (0..200).map(|i| (i as f64, 10.0 + noise(i))).collect();
    assert_eq!(change_point(&noisy), None);
    let mut spiked: Vec<(f64, f64)> = (0..200).map(|i| (i as f64, 10.0 + noise(i) * 0.01)).collect();
    spiked[50].1 = 1e6;
    spiked[150].1 = -1e6;
    assert_eq!(change_point(&spiked), None);
    assert_eq!(change_point(&[(0.0, 1.0), (1.0, 9.0)]), None);
    assert_eq!(change_point(&[]), None);
    // A steady line whose last digit wavers.
    let wavers: Vec<(f64, f64)> = (0..50).map(|i| (i as f64, if i < 25 { 1e9 } else { 1e9 + 1.0 })).collect();
    assert_eq!(change_point(&wavers), None);
}

#[test]
fn what_moves_at_the_onset_comes_before_what_wavers_more() {
    let onset = DateTime::from_timestamp(START + 30 * 60, 0).unwrap();
    let window =
        (DateTime::from_timestamp(START, 0).unwrap(), DateTime::from_timestamp(START + 3_000, 0).unwrap());
    let of = |value: &dyn Fn(usize) -> f64| series("up", &(0..100).map(value).collect::<Vec<_>>());
    let steps = of(&|i| if i < 60 { 1.0 } else { 2.0 } + noise(i) * 0.01);
    let wavers = of(&|i| 100.0 + noise(i) * 50.0);
    let [steps, wavers] = [steps, wavers].map(|one| moved(&one, window, 30, onset));
    assert_eq!(steps.order(&wavers), Ordering::Greater);
}

#[test]
fn a_long_series_is_thinned_first() {
    let values: Vec<(f64, f64)> =
        (0..11_000).map(|i| (i as f64, if i < 8_000 { 1.0 } else { 2.0 } + noise(i) * 0.1)).collect();
    let began = std::time::Instant::now();
    let change = change_point(&values).unwrap();
    assert!((change.at - 8_000.0).abs() < 100.0, "{change:?}");
    assert!(began.elapsed().as_secs() < 5);
}

#[test]
fn few_steps_are_told_one_by_one() {
    assert_eq!(told(&series("x", &[4.0, 4.0, 5.0, 5.0, 6.0])), "4 → 5 at 07:01:00, 5 → 6 at 07:02:00");
    assert_eq!(told(&series("x", &[1.0; 5])), "always 1");
    assert_eq!(told(&series("x_total", &[7.0, 0.0, 0.0])), "7 → 0 at 07:00:30 (reset)");
    assert_eq!(told(&series("x", &[f64::NAN; 3])), "only NaN or infinite");
}

#[test]
fn a_counter_s_resets_are_no_fall() {
    let values: Vec<f64> = (0..40).map(|i| ((i % 20) * 10) as f64).collect();
    assert_eq!(told(&series("x_total", &values)), "counter, rose by 380 (19.49/min); 1 resets: 07:10:00");
    // The rate rises to the tenfold in the middle.
    let mut total = 0.0;
    let values: Vec<f64> = (0..60)
        .map(|i| {
            total += if i < 30 { 5.0 } else { 50.0 };
            total
        })
        .collect();
    let text = told(&series("x_total", &values));
    assert!(text.contains("rate a minute: step at 07:15:00: 10 → 100"), "{text}");
}

#[test]
fn what_is_missing_is_told() {
    let mut one = series("x", &[1.0; 40]);
    one.samples.retain(|(at, _)| {
        let i = (*at as i64 - START) / 30;
        (4..10).contains(&i) || (15..30).contains(&i)
    });
    let window = [START, START + 39 * 30].map(|at| DateTime::from_timestamp(at, 0).unwrap());
    assert_eq!(
        line(&one, (window[0], window[1]), 30),
        "always 1; first sample 07:02:00; no samples 07:04:30–07:07:30; no sample after 07:14:30"
    );
    assert!(moved(&one, (window[0], window[1]), 30, window[0]).any());
}

#[test]
fn numbers_keep_four_digits_that_count() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (5.0, "5"),
        (134_217_728.0, "134217728"),
        (0.000_573_446, "0.0005734"),
        (1234.567, "1235"),
        (12.3, "12.3"),
        (1e300, "1.000e300"),
        (1e-9, "1.000e-9"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(number(value), expected);
    }
}
