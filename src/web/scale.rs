//! A timeline drawn to scale: moments in, their places on a line out, in a drawing's own units. A gap that is so long
//! that it would press all the rest into a few dots is drawn as a break, with its length. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// The drawing, in its own units.
pub(super) const WIDTH: f64 = 1000.0;
/// Room at both ends, so that a sign there is whole.
const MARGIN: f64 = 24.0;
/// Width of a break.
const BREAK: f64 = 60.0;
/// A gap is a break when it is longer than this share of the whole.
const LONG: f64 = 0.8;
const MAX_BREAKS: usize = 3;
/// Signs that are closer stand on different levels.
const APART: f64 = 34.0;
pub(super) const LEVELS: usize = 4;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    /// One for each moment, in their order.
    pub places: Vec<Place>,
    pub breaks: Vec<Gap>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub x: f64,
    /// 0 is the line; higher ones are drawn above it.
    pub level: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gap {
    pub from: f64,
    pub to: f64,
    pub length: TimeDelta,
}

/// `moments` must be in their order.
pub(super) fn scale(moments: &[DateTime<Utc>]) -> Scale {
    let gaps: Vec<f64> = moments.windows(2).map(|pair| milliseconds(pair[1] - pair[0])).collect();
    let broken = breaks(&gaps);
    let whole: f64 = gaps.iter().enumerate().filter(|(at, _)| !broken.contains(at)).map(|(_, gap)| gap).sum();
    let room = WIDTH - 2.0 * MARGIN - BREAK * broken.len() as f64;
    let (mut x, mut places, mut breaks) = (MARGIN, vec![MARGIN], Vec::new());
    for (at, gap) in gaps.iter().enumerate() {
        let step = match broken.contains(&at) {
            true => BREAK,
            false if whole > 0.0 => room * gap / whole,
            false => 0.0,
        };
        if broken.contains(&at) {
            breaks.push(Gap { from: x, to: x + step, length: moments[at + 1] - moments[at] });
        }
        x += step;
        places.push(x);
    }
    places.truncate(moments.len());
    Scale { places: levels(&places), breaks }
}

fn milliseconds(span: TimeDelta) -> f64 {
    span.num_milliseconds().max(0) as f64
}

/// Gaps that are far longer than the rest together, the longest first.
fn breaks(gaps: &[f64]) -> Vec<usize> {
    let mut broken: Vec<usize> = Vec::new();
    while broken.len() < MAX_BREAKS {
        let rest = || gaps.iter().enumerate().filter(|(at, _)| !broken.contains(at));
        let whole: f64 = rest().map(|(_, gap)| gap).sum();
        // Two others at least, or there are no distances that it would press together.
        let several = rest().filter(|(_, gap)| **gap > 0.0).count() > 2;
        let longest = rest().max_by(|one, other| one.1.total_cmp(other.1)).filter(|_| several);
        match longest {
            Some((at, gap)) if *gap > whole * LONG => broken.push(at),
            _ => break,
        }
    }
    broken
}

/// The lowest level on which a sign does not cover the one before it.
fn levels(places: &[f64]) -> Vec<Place> {
    let mut last = [f64::NEG_INFINITY; LEVELS];
    let mut placed = Vec::new();
    for &x in places {
        let free = last.iter().position(|before| x - before >= APART);
        // With all taken, the one that was taken longest ago.
        let oldest =
            last.iter().enumerate().min_by(|one, other| one.1.total_cmp(other.1)).map(|(level, _)| level);
        let level = free.or(oldest).unwrap_or(0);
        last[level] = x;
        placed.push(Place { x, level });
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: &[i64]) -> Vec<DateTime<Utc>> {
        seconds.iter().map(|second| DateTime::from_timestamp(*second, 0).unwrap()).collect()
    }

    fn places(seconds: &[i64]) -> Vec<i64> {
        scale(&at(seconds)).places.iter().map(|place| place.x.round() as i64).collect()
    }

    #[test]
    fn distances_are_those_of_time() {
        assert_eq!(places(&[0, 50, 100]), [24, 500, 976]);
        assert_eq!(places(&[0, 25, 50, 100]), [24, 262, 500, 976]);
    }

    #[test]
    fn a_gap_far_longer_than_all_the_rest_is_broken() {
        let drawn = scale(&at(&[0, 86_400, 86_410, 86_420]));
        assert_eq!(drawn.breaks.len(), 1);
        assert_eq!((drawn.breaks[0].from, drawn.breaks[0].to), (24.0, 84.0));
        assert_eq!(drawn.breaks[0].length, TimeDelta::days(1));
        assert_eq!(drawn.places[2].x.round(), 530.0, "the rest has the room");
    }

    #[test]
    fn few_or_equal_moments_are_drawn_too() {
        assert_eq!(places(&[]), [] as [i64; 0]);
        assert_eq!(places(&[7]), [24]);
        assert_eq!(places(&[7, 7, 7]), [24, 24, 24]);
        assert_eq!(places(&[0, 1_000_000]), [24, 976], "one gap is the scale itself");
        assert_eq!(places(&[0, 1, 241, 241]), [24, 28, 976, 976], "nothing is won by a break");
        let levels: Vec<usize> = scale(&at(&[7, 7, 7])).places.iter().map(|place| place.level).collect();
        assert_eq!(levels, [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn whatever_comes_stays_on_the_drawing_and_in_order(mut seconds in prop::collection::vec(0i64..10_000_000, 0..40)) {
            seconds.sort_unstable();
            let drawn = scale(&at(&seconds));
            prop_assert_eq!(drawn.places.len(), seconds.len());
            prop_assert!(drawn.places.iter().all(|place| (0.0..=WIDTH).contains(&place.x) && place.level < LEVELS));
            prop_assert!(drawn.places.windows(2).all(|pair| pair[0].x <= pair[1].x));
        }
    }
}
