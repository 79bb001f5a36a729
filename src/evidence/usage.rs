//! Samples become rows: how memory went before a kill, how much a CPU limit holds a container up, how full a
//! volume is and when it will be. Pure. Where samples do not decide, a row says nothing.

use std::collections::BTreeMap;

use super::focus::Focus;
use super::ledger::{Ledger, clean};
use super::metrics::{Measure, Measured};
use super::objects::Objects;
use crate::facts::{AlertRuleFact, ContainerFact, Facts, UsageFact};

/// Fewer samples show no shape.
const MIN_SAMPLES: usize = 8;
/// Steady growth over less time is a start, not a leak, in seconds.
const MIN_LEAK_SECS: f64 = 600.0;
/// How well a straight line must fit to be steady growth (r²).
const LEAK_FIT: f64 = 0.85;
/// A leak begins at most at this share of where it ends; a spike's usual level lies as far below its end.
const LOW_SHARE: f64 = 0.7;
/// The last sample must be this near to the limit, or the end was not seen.
const NEAR_LIMIT: f64 = 0.7;

pub fn rows(objects: &Objects, focus: &Focus<'_>, facts: &Facts, ledger: &mut Ledger) -> Vec<UsageFact> {
    let mut rows: BTreeMap<(String, String, String), (UsageFact, Vec<&Measured>)> = BTreeMap::new();
    // What was measured around the onset tells of changes, not of use.
    let around = |measured: &&Measured| matches!(measured.measure, Measure::Cpu | Measure::WorkingSet);
    for measured in objects.measurements.series.iter().filter(|one| !around(one)) {
        let label = |key: &str| measured.labels.get(key).cloned().unwrap_or_default();
        let claim = label("persistentvolumeclaim");
        let (kind, pod, name) = match claim.is_empty() {
            true => ("container", label("pod"), label("container")),
            false => ("claim", String::new(), claim),
        };
        let concerned = match kind {
            "claim" => facts.claims.iter().any(|row| row.name == name) || focus.everything,
            _ => facts.containers.iter().any(|row| row.pod == pod && row.name == name),
        };
        let Some((_, value)) = measured.samples.last().filter(|(_, value)| concerned && value.is_finite())
        else {
            continue;
        };
        let key = (kind.to_owned(), pod.clone(), name.clone());
        let new = UsageFact {
            kind: kind.to_owned(),
            namespace: label("namespace"),
            pod,
            name,
            ..UsageFact::default()
        };
        let (row, from) = rows.entry(key).or_insert((new, Vec::new()));
        match measured.measure {
            Measure::Memory => {
                let container =
                    facts.containers.iter().find(|one| one.pod == row.pod && one.name == row.name);
                container.into_iter().for_each(|container| memory(row, container, &measured.samples));
            }
            Measure::Throttled => row.throttled_percent = whole(*value),
            Measure::Restarts => row.restarts_24h = whole(*value),
            Measure::VolumeUsed => row.used_percent = whole(*value),
            Measure::InodesUsed => row.inodes_used_percent = whole(*value),
            Measure::FullIn => row.full_in_hours = whole(*value),
            Measure::Cpu | Measure::WorkingSet => {}
        }
        from.push(measured);
    }
    let written = rows.into_values().map(|(mut row, from)| {
        for measured in from {
            let page = ledger.open("prometheus", &measured.query, measured.milliseconds);
            let quote = ledger.line(page, &line(&row));
            (row.evidence, row.quote) = (quote.evidence, quote.text);
        }
        row
    });
    written.collect()
}

/// Samples of the instance that was killed, up to its end.
fn memory(row: &mut UsageFact, container: &ContainerFact, samples: &[(f64, f64)]) {
    let Some(end) = container.exited_at else { return };
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a float")]
    let (end, ran) = (end.timestamp() as f64, container.ran_seconds as f64);
    let own: Vec<(f64, f64)> = samples
        .iter()
        .copied()
        .filter(|(at, value)| *at <= end && *at >= end - ran && value.is_finite())
        .collect();
    let Some(peak) = own.iter().map(|(_, value)| *value).reduce(f64::max) else { return };
    row.memory_peak_bytes = whole(peak);
    #[expect(clippy::cast_precision_loss, reason = "a limit in bytes needs no more")]
    let limit = container.memory_limit_bytes as f64;
    let (Some(first), Some(last)) = (own.first(), own.last()) else { return };
    // Beside a limit that others share, its own use tells no shape.
    if own.len() < MIN_SAMPLES || limit <= 0.0 || container.memory_limit_shared {
        return;
    }
    let mut values: Vec<f64> = own.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let usual = values[values.len() / 2];
    let (slope, fit) = line_through(&own);
    if last.0 - first.0 >= MIN_LEAK_SECS
        && slope > 0.0
        && fit >= LEAK_FIT
        && first.1 <= last.1 * LOW_SHARE
        && last.1 >= limit * NEAR_LIMIT
    {
        row.memory_shape = "leak".to_owned();
        row.memory_growth_bytes = whole(slope * 3600.0);
    } else if usual <= limit * (1.0 - NEAR_LIMIT / 2.0) * LOW_SHARE && fit < LEAK_FIT {
        // It was killed at its limit, and was far below it most of the time.
        row.memory_shape = "spike".to_owned();
    }
}

/// Slope and r² of the straight line through the samples.
fn line_through(samples: &[(f64, f64)]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
    let n = samples.len() as f64;
    let (at, value) = samples.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0 / n, sum.1 + one.1 / n));
    let (mut both, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in samples {
        let (dx, dy) = (x - at, y - value);
        both += dx * dy;
        xx += dx * dx;
        yy += dy * dy;
    }
    if xx == 0.0 || yy == 0.0 { (0.0, 0.0) } else { (both / xx, both * both / (xx * yy)) }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, which is all that a comparison needs")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

fn line(row: &UsageFact) -> String {
    let mut parts = Vec::new();
    let mut add = |known: bool, text: String| {
        if known {
            parts.push(text);
        }
    };
    add(
        row.memory_peak_bytes >= 0,
        format!("memory peaked at {} Mi before it was killed", row.memory_peak_bytes >> 20),
    );
    add(
        row.memory_shape == "leak",
        format!("after steady growth of {} Mi an hour", row.memory_growth_bytes >> 20),
    );
    add(row.memory_shape == "spike", "after it was far below its limit most of the time".to_owned());
    add(row.throttled_percent >= 0, format!("throttled in {} % of CPU periods", row.throttled_percent));
    add(row.restarts_24h >= 0, format!("{} restarts within 24 hours", row.restarts_24h));
    add(row.used_percent >= 0, format!("{} % of its space used", row.used_percent));
    add(row.inodes_used_percent >= 0, format!("{} % of its inodes used", row.inodes_used_percent));
    add(
        row.full_in_hours >= 0,
        format!("full in {} hours at the growth of the last 6 hours", row.full_in_hours),
    );
    let who = if row.pod.is_empty() {
        format!("claim {}", row.name)
    } else {
        format!("container {} of pod {}", row.name, row.pod)
    };
    format!("{who}: {}", parts.join(", "))
}

/// The rules of the firing alerts, with the value for this namespace.
pub fn rules(objects: &Objects, facts: &Facts, ledger: &mut Ledger) -> Vec<AlertRuleFact> {
    let told = &objects.measurements;
    let own = told.rules.iter().filter(|rule| facts.alerts.contains(&rule.name));
    let mut found = Vec::new();
    for rule in own {
        let active = rule
            .alerts
            .iter()
            .find(|alert| alert.labels.get("namespace").is_none_or(|name| *name == objects.namespace));
        let mut row = AlertRuleFact {
            alert: clean(&rule.name),
            expression: clean(&rule.query.split_whitespace().collect::<Vec<_>>().join(" ")),
            for_seconds: whole(rule.duration),
            state: active.map_or_else(|| "inactive".to_owned(), |alert| clean(&alert.state)),
            value: clean(active.map_or("", |alert| &alert.value)),
            active_at: active.and_then(|alert| alert.active_at),
            last_error: clean(&rule.last_error),
            ..AlertRuleFact::default()
        };
        let page = ledger.open("prometheus", &told.rules_query, 0);
        let value =
            if row.value.is_empty() { String::new() } else { format!(", its value is {}", row.value) };
        let text =
            format!("rule {} for {} s: {}; {}{value}", row.alert, row.for_seconds, row.expression, row.state);
        let quote = ledger.line(page, &text);
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        found.push(row);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container that ran for `minutes` and was killed at a limit of 100 Mi, with these samples in Mi.
    fn shape(minutes: i64, memory: impl Fn(f64) -> f64) -> UsageFact {
        let end = "2026-11-21T08:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let container = ContainerFact {
            exited_at: Some(end),
            ran_seconds: minutes * 60,
            memory_limit_bytes: 100 << 20,
            ..ContainerFact::default()
        };
        let start = end.timestamp() - minutes * 60;
        let samples: Vec<(f64, f64)> = (0..minutes * 2)
            .map(|n| ((start + n * 30) as f64, memory(n as f64 / (minutes * 2) as f64) * f64::from(1 << 20)))
            .collect();
        let mut row = UsageFact::default();
        super::memory(&mut row, &container, &samples);
        row
    }

    #[test]
    fn memory_before_a_kill_is_a_leak_a_spike_or_neither() {
        let leak = shape(60, |share| 20.0 + 75.0 * share);
        assert_eq!((leak.memory_shape.as_str(), leak.memory_growth_bytes >> 20), ("leak", 75));
        let saw = |share: f64| 30.0 + if (share * 7.0).fract() > 0.5 { 4.0 } else { 0.0 };
        assert_eq!(shape(60, saw).memory_shape, "spike");
        assert_eq!(shape(60, |share| if share > 0.95 { 90.0 } else { saw(share) }).memory_shape, "spike");
        assert_eq!(shape(60, |share| 92.0 + (share * 40.0).sin()).memory_shape, "", "full all the time");
        assert_eq!(
            shape(2, |share| 20.0 + 75.0 * share).memory_shape,
            "",
            "ended before anything could be seen"
        );
    }
}
