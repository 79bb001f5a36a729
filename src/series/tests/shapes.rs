//! Shapes: each of them with noise, and what must make no difference: the unit, the moment, odd samples, infinite ones,
//! missing ones.

use proptest::prelude::*;

use super::super::group::{by_node, by_service, of_pod};
use super::super::shape::{Shape, first, shape};
use super::super::stats::per_minute;

/// The same on every run, between -0.5 and 0.5.
fn noise(i: usize) -> f64 {
    ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5
}

fn samples(count: usize, value: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
    (0..count).map(|i| (i as f64 * 30.0, value(i))).collect()
}

/// Each shape as it comes from life, at a level of about a hundred.
fn examples() -> Vec<(&'static str, Vec<(f64, f64)>)> {
    let quiet = |i: usize| 100.0 + 2.0 * noise(i);
    vec![
        ("", samples(80, quiet)),
        ("", samples(80, |_| 7.0)),
        ("", samples(80, |i| 100.0 + 30.0 * (i as f64 / 6.0).sin() + noise(i))),
        ("step", samples(80, |i| quiet(i) + if i < 50 { 0.0 } else { 80.0 })),
        ("step", samples(80, |i| if i < 50 { quiet(i) } else { 0.0 + noise(i) })),
        ("spike", samples(80, |i| quiet(i) + if (40..44).contains(&i) { 300.0 } else { 0.0 })),
        ("spike", samples(80, |i| if (40..46).contains(&i) { 1.0 } else { quiet(i) })),
        ("leak", samples(80, |i| 40.0 + i as f64 + 2.0 * noise(i))),
        ("steady fall", samples(80, |i| 140.0 - i as f64 + 2.0 * noise(i))),
        ("saturation", samples(80, |i| (20.0 + 2.0 * i as f64).min(100.0) + 0.2 * noise(i))),
        ("flatline", samples(80, |i| if i < 50 { quiet(i) } else { 101.0 })),
    ]
}

#[test]
fn each_shape_has_its_name() {
    for (word, samples) in examples() {
        assert_eq!(shape(&samples, None).word(), word, "{:?} {samples:?}", shape(&samples, None));
    }
}

#[test]
fn a_shape_has_its_moment_and_its_levels() {
    let all = examples();
    let Shape::Step { at, from, to } = shape(&all[3].1, None) else { panic!() };
    assert!((at - 1_500.0).abs() < 31.0 && (from - 100.0).abs() < 2.0 && (to - 180.0).abs() < 2.0);
    let Shape::Spike { at, usual, peak } = shape(&all[5].1, None) else { panic!() };
    assert!((at - 1_200.0).abs() < 1.0 && (usual - 100.0).abs() < 2.0 && (peak - 400.0).abs() < 2.0);
    let Shape::Leak { per_hour, .. } = shape(&all[7].1, None) else { panic!() };
    assert!((per_hour - 120.0).abs() < 10.0, "{per_hour}");
    let Shape::Saturation { level, .. } = shape(&all[9].1, None) else { panic!() };
    assert!((level - 100.0).abs() < 1.0, "{level}");
}

#[test]
fn a_limit_that_is_known_says_what_near_is() {
    let full = samples(60, |i| if i < 20 { 40.0 + noise(i) } else { 97.0 + noise(i) });
    assert_eq!(shape(&full, Some(100.0)).word(), "saturation");
    assert_eq!(shape(&full, Some(200.0)).word(), "step");
    assert_eq!(shape(&full, None).word(), "step");
}

#[test]
fn samples_that_are_missing_are_a_gap_where_nothing_else_is_to_tell() {
    let mut one = samples(80, |i| 100.0 + noise(i));
    one.retain(|(at, _)| !(900.0..1_500.0).contains(at));
    assert_eq!(shape(&one, None), Shape::Gap { at: 870.0, until: 1_500.0 });
    let mut stepped = samples(80, |i| if i < 60 { 1.0 } else { 9.0 } + 0.1 * noise(i));
    stepped.retain(|(at, _)| !(900.0..1_500.0).contains(at));
    assert_eq!(shape(&stepped, None).word(), "step");
}

#[test]
fn few_samples_or_none_have_no_shape() {
    for few in
        [&[][..], &[(0.0, 1.0)], &[(0.0, 1.0), (30.0, 900.0)], &[(0.0, f64::NAN), (30.0, f64::INFINITY)]]
    {
        assert_eq!(shape(few, None), Shape::Steady);
    }
    assert_eq!(shape(&samples(20, |_| f64::NAN), None), Shape::Steady);
}

#[test]
fn a_counter_that_began_anew_goes_on() {
    let counter: Vec<(f64, f64)> =
        samples(80, |i| if i < 40 { 10.0 * i as f64 } else { 10.0 * (i - 40) as f64 });
    let rates = per_minute(&counter);
    assert_eq!(rates.len(), 78);
    assert_eq!(shape(&rates, None), Shape::Constant { level: 20.0 });
}

#[test]
fn who_moved_first_comes_first() {
    let at =
        |moment: usize| shape(&samples(80, |i| if i < moment { 1.0 } else { 5.0 } + 0.1 * noise(i)), None);
    let leak = shape(&samples(80, |i| 40.0 + i as f64), None);
    let order = first([("late", at(60)), ("early", at(30)), ("leak", leak), ("still", Shape::Steady)]);
    assert_eq!(order.iter().map(|one| one.0).collect::<Vec<_>>(), ["early", "late"]);
}

#[test]
fn pods_lose_what_kubernetes_put_at_their_end() {
    for (pod, name) in [
        ("checkout-66f478c98f-x2nj2", "checkout"),
        ("catalog-677bc4f7c4-gpqqc", "catalog"),
        ("orders-db-0", "orders-db"),
        ("log-agent-7wz4k", "log-agent"),
        ("redis", "redis"),
        ("my-redis", "my-redis"),
        ("web-proxy", "web-proxy"),
        ("-0", "-0"),
        ("", ""),
    ] {
        assert_eq!(of_pod(pod), name);
    }
}

#[test]
fn a_database_moves_with_its_owner_and_nodes_are_told_apart() {
    let labels = |pod: &str, node: &str| {
        [("pod", pod), ("node", node)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    };
    let series = [
        (labels("carts-66f478c98f-x2nj2", "n1"), "step"),
        (labels("carts-db-0", "n1"), "leak"),
        (labels("front-66f478c98f-x2nj2", "n2"), ""),
        (labels("front-66f478c98f-x2nj4", "n1"), "step"),
    ];
    let told: Vec<_> = series.iter().map(|(labels, word)| (labels, *word)).collect();
    let counts = |groups: Vec<super::super::group::Group>| {
        groups.into_iter().map(|one| (one.name, one.with.len(), one.moved, one.all)).collect::<Vec<_>>()
    };
    assert_eq!(counts(by_service(&told)), [("carts".to_owned(), 1, 2, 2), ("front".to_owned(), 0, 1, 2)]);
    assert_eq!(counts(by_node(&told)), [("n1".to_owned(), 0, 3, 3), ("n2".to_owned(), 0, 0, 1)]);
    assert_eq!(by_node(&told[..2]), [], "all on one node");
}

proptest! {
    /// A unit, a moment and a little noise make no difference, and neither does what is infinite.
    #[test]
    fn a_shape_is_the_same_in_any_unit_at_any_time(
        which in 0..11_usize,
        unit in -9..9_i32,
        moment in 0..2_000_000_000_i64,
        odd in proptest::collection::vec((0..80_usize, prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)]), 0..4),
    ) {
        let (word, samples) = examples().swap_remove(which);
        let mut moved: Vec<(f64, f64)> =
            samples.iter().map(|(at, value)| (at + moment as f64, value * 10_f64.powi(unit))).collect();
        for (index, value) in odd {
            // Beside the samples that there are: it was scraped twice.
            moved.insert(index, (moved[index].0, value));
        }
        prop_assert_eq!(shape(&moved, None).word(), word, "{:?}", shape(&moved, None));
    }

    /// Another zero makes no difference either, as long as what happened is not small beside the level.
    #[test]
    fn a_shape_is_the_same_above_another_level(which in 0..11_usize, level in 0.0..100.0_f64) {
        let (word, samples) = examples().swap_remove(which);
        let moved: Vec<(f64, f64)> = samples.iter().map(|(at, value)| (*at, value + level)).collect();
        prop_assert_eq!(shape(&moved, None).word(), word, "{:?}", shape(&moved, None));
    }

    /// Noise has no shape, however it falls.
    #[test]
    fn noise_is_steady(values in proptest::collection::vec(99.0..101.0_f64, 20..120)) {
        let samples: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, value)| (i as f64, *value)).collect();
        prop_assert_eq!(shape(&samples, None), Shape::Steady);
    }

    /// Anything is taken, and the same comes out of the same.
    #[test]
    fn any_samples_are_taken(
        samples in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..60),
        limit in proptest::option::of(any::<f64>()),
    ) {
        let one = shape(&samples, limit);
        prop_assert_eq!(format!("{one:?}"), format!("{:?}", shape(&samples, limit)));
    }
}
