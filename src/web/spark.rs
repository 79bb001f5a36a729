//! Small drawings of metrics: the digest of a query over a window comes in as text, the points that it tells go out
//! line by line. A digest holds a series' turning points and not each sample, so only those are drawn. Pure.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

/// Series of one observation that are drawn.
const MAX_SERIES: usize = 6;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spark {
    pub name: String,
    /// Seconds since the window's begin, and value, in the order of time.
    pub points: Vec<(f64, f64)>,
    /// The value jumps between two points; else it is drawn straight.
    pub steps: bool,
    pub seconds: f64,
}

type Window = (DateTime<Utc>, DateTime<Utc>);

pub(super) fn sparks(text: &str) -> Vec<Spark> {
    let Some(window) = text.lines().next().and_then(window) else { return Vec::new() };
    let drawn = text.lines().skip(1).filter_map(|line| {
        let (name, told) = line.rsplit_once(": ").map(|_| split(line))?;
        series(name, told, window)
    });
    drawn.take(MAX_SERIES).collect()
}

/// `…query… from 2026-11-21T06:57:25Z to 2026-11-21T07:07:25Z, every 30 s`.
fn window(line: &str) -> Option<Window> {
    let (rest, _) = line.rsplit_once(", every ")?;
    let (rest, to) = rest.rsplit_once(" to ")?;
    let (_, from) = rest.rsplit_once(" from ")?;
    let (from, to) = (from.parse::<DateTime<Utc>>().ok()?, to.parse::<DateTime<Utc>>().ok()?);
    (from < to && to - from < TimeDelta::days(1)).then_some((from, to))
}

/// A label may hold ": "; what is told of a series begins with `min ` or with a change.
fn split(line: &str) -> (&str, &str) {
    let at = line.rfind(": min ").or_else(|| line.find(" → ").and_then(|arrow| line[..arrow].rfind(": ")));
    at.map_or((line, ""), |at| (&line[..at], &line[at + 2..]))
}

fn series(name: &str, told: &str, window: Window) -> Option<Spark> {
    let seconds = (window.1 - window.0).num_seconds() as f64;
    let (steps, mut points) = match told.strip_prefix("min ") {
        Some(rest) => (false, extremes(rest, window)?),
        None => (true, jumps(told, window)?),
    };
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let is_drawable = points.len() > 1 && points.iter().all(|(_, value)| value.is_finite());
    is_drawable.then(|| Spark { name: name.to_owned(), points, steps, seconds })
}

/// `0.1 (07:02:55) median 0.5 max 0.6 (07:05:25) last 0.5`.
fn extremes(told: &str, window: Window) -> Option<Vec<(f64, f64)>> {
    let (min, rest) = told.split_once(" (")?;
    let (min_at, rest) = rest.split_once(')')?;
    let (max, rest) = rest.split_once(" max ")?.1.split_once(" (")?;
    let (max_at, rest) = rest.split_once(')')?;
    let last = rest.strip_prefix(" last ")?.split([';', ' ']).next()?;
    let end = (window.1 - window.0).num_seconds() as f64;
    let mut points =
        vec![(offset(min_at, window)?, min.parse().ok()?), (offset(max_at, window)?, max.parse().ok()?)];
    if points.iter().all(|(at, _)| *at < end) {
        points.push((end, last.parse().ok()?));
    }
    Some(points)
}

/// `4 → 5 at 07:02:55, 5 → 6 at 07:05:25`.
fn jumps(told: &str, window: Window) -> Option<Vec<(f64, f64)>> {
    let mut points = Vec::new();
    for one in told.split("; ").next()?.split(", ") {
        let (values, at) = one.split_once(" at ")?;
        let (before, after) = values.split_once(" → ")?;
        if points.is_empty() {
            points.push((0.0, before.parse().ok()?));
        }
        points.push((offset(at.trim(), window)?, after.parse().ok()?));
    }
    let last = points.last()?.1;
    points.push(((window.1 - window.0).num_seconds() as f64, last));
    Some(points)
}

/// A time of day within the window; it may be of the day after the window's begin.
fn offset(clock: &str, (from, to): Window) -> Option<f64> {
    let clock: NaiveTime = clock.parse().ok()?;
    let at = from.date_naive().and_time(clock).and_utc();
    let at = if at < from { at + TimeDelta::days(1) } else { at };
    (at <= to).then(|| (at - from).num_seconds() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "sum by (pod) (x) from 2026-11-21T06:57:25Z to 2026-11-21T07:07:25Z, every 30 s";

    #[test]
    fn changes_are_drawn_as_steps() {
        let found = sparks(&format!("{HEAD}\n2 series\npod=a: 4 → 5 at 07:02:25, 5 → 6 at 07:05:25\n"));
        let points = vec![(0.0, 4.0), (300.0, 5.0), (480.0, 6.0), (600.0, 6.0)];
        assert_eq!(found, [Spark { name: "pod=a".to_owned(), points, steps: true, seconds: 600.0 }]);
    }

    #[test]
    fn extremes_are_drawn_as_what_is_known() {
        let line = "pod=b: min 0 (07:07:25) median 0.3 max 0.5 (07:02:25) last 0; step at 07:06:25: 0.3 → 0";
        let found = sparks(&format!("{HEAD}\n{line}\n"));
        assert_eq!(found[0].points, [(300.0, 0.5), (600.0, 0.0)]);
        assert!(!found[0].steps);
    }

    #[test]
    fn what_is_no_digest_is_not_drawn() {
        for text in [
            "",
            "pods\npod=a: 4 → 5 at 07:02:25",
            &format!("{HEAD}\nno series in this window"),
            &format!("{HEAD}\npod=a: NaN → 5 at 07:02:25"),
            &format!("{HEAD}\npod=a: 4 → 5 at 09:00:00"),
            &format!("{HEAD}\nleft out: 3 series that never changed, at 0"),
        ] {
            assert_eq!(sparks(text), [], "{text}");
        }
    }
}
