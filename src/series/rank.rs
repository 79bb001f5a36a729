//! Which service's series moved most when the trouble began. Samples of each metric before and after come in, services
//! go out, the most suspect first, with the metric that says so. A resource that rises is a cause, latency and errors
//! are what a cause does to its callers, and less traffic is a consequence.

use std::collections::{BTreeMap, BTreeSet};

use super::change::MIN_RELATIVE;
use super::stats::{median, rates, spread};

/// Endings of what belongs to a service: its database, its cache, its proxy.
const PARTS: [&str; 12] = [
    "db",
    "database",
    "mongo",
    "mongodb",
    "mysql",
    "postgres",
    "postgresql",
    "redis",
    "cache",
    "proxy",
    "sidecar",
    "exporter",
];
/// More spreads say no more.
const MAX_SPREADS: f64 = 1_000.0;
/// Samples needed on either side.
const MIN_SAMPLES: usize = 3;
/// Of how far a metric moved against the same metric of the others, what counts anyway.
const OWN_PART: f64 = 0.2;

/// One metric of one service.
#[derive(Debug, Clone)]
pub struct Metric {
    pub service: String,
    pub name: String,
    pub before: Vec<f64>,
    pub after: Vec<f64>,
}

/// A service, and what of it moved most.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    pub service: String,
    pub metric: String,
    pub score: f64,
    pub from: f64,
    pub to: f64,
}

/// What a metric measures, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Resource,
    /// Fills up in whoever waits, too.
    Pressure,
    Latency,
    Errors,
    Traffic,
    Other,
}

impl Sort {
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["latency", "duration", "rtt", "delay", "response"]) {
            Self::Latency
        } else if has(&["error", "fail", "5xx", "4xx", "drop", "retrans"]) {
            Self::Errors
        } else if has(&["cpu", "mem", "disk", "fs-", "fs_", "throttl", "swap"]) {
            Self::Resource
        } else if has(&["socket", "thread", "queue", "connection", "fds"]) {
            Self::Pressure
        } else if has(&[
            "load", "workload", "request", "rps", "qps", "traffic", "receive", "transmit", "rx", "tx",
        ]) {
            Self::Traffic
        } else {
            Self::Other
        }
    }

    /// How much a rise and a fall say about a cause.
    fn weights(self) -> (f64, f64) {
        match self {
            Self::Resource => (1.0, 0.2),
            Self::Pressure => (0.6, 0.2),
            Self::Latency | Self::Errors => (0.45, 0.1),
            Self::Traffic => (0.2, 0.3),
            Self::Other => (0.5, 0.3),
        }
    }
}

/// How far one metric moved: in spreads of its own, which have a floor, and in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Movement {
    pub spreads: f64,
    pub from: f64,
    pub to: f64,
}

/// None where there are too few samples on a side.
pub fn movement(name: &str, before: &[f64], after: &[f64]) -> Option<Movement> {
    let finite =
        |values: &[f64]| values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<f64>>();
    let (before, after) = (rates(name, &finite(before)), rates(name, &finite(after)));
    if before.len() < MIN_SAMPLES || after.len() < MIN_SAMPLES {
        return None;
    }
    let from = median(&before);
    // What begins late or ends early moved too: the halves are looked at beside the whole.
    let (early, late) = after.split_at(after.len() / 2);
    let parts = [after.as_slice(), early, late].into_iter().filter(|part| part.len() >= MIN_SAMPLES);
    let far = |level: &f64| (level - from).abs();
    let to = parts.map(median).max_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(from);
    let floor = MIN_RELATIVE * from.abs().max(to.abs());
    let scale = spread(&before).max(floor);
    let spreads = if scale > 0.0 { (to - from) / scale } else { 0.0 };
    Some(Movement { spreads: spreads.clamp(-MAX_SPREADS, MAX_SPREADS), from, to })
}

/// The services, the most suspect first; of equals by name.
pub fn rank(metrics: &[Metric]) -> Vec<Suspect> {
    let services: BTreeSet<&str> = metrics.iter().map(|metric| metric.service.as_str()).collect();
    let moved: Vec<(&Metric, Movement)> = metrics
        .iter()
        .filter_map(|metric| Some((metric, movement(&metric.name, &metric.before, &metric.after)?)))
        .collect();
    // The same metric of all services has one unit: who rose most in it says more than who is steadiest else.
    let mut most: BTreeMap<&str, f64> = BTreeMap::new();
    for (metric, movement) in &moved {
        let place = most.entry(&metric.name).or_default();
        *place = place.max(movement.to - movement.from);
    }
    let mut best: BTreeMap<&str, Suspect> = BTreeMap::new();
    for (metric, movement) in &moved {
        let sort = Sort::of(&metric.name);
        let (rise, fall) = sort.weights();
        let weight = if movement.spreads >= 0.0 { rise } else { fall };
        let all = most.get(metric.name.as_str()).copied().unwrap_or(0.0);
        let part = if sort == Sort::Resource && all > 0.0 {
            OWN_PART + (1.0 - OWN_PART) * ((movement.to - movement.from) / all).clamp(0.0, 1.0)
        } else {
            1.0
        };
        let score = movement.spreads.abs().ln_1p() * weight * part;
        let service = owner(&metric.service, &services);
        let suspect = Suspect {
            service: service.to_owned(),
            metric: metric.name.clone(),
            score,
            from: movement.from,
            to: movement.to,
        };
        let place = best.entry(service).or_insert_with(|| suspect.clone());
        if (suspect.score, &place.metric) > (place.score, &suspect.metric) {
            *place = suspect;
        }
    }
    let mut suspects: Vec<Suspect> = best.into_values().collect();
    suspects.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.service.cmp(&b.service)));
    suspects
}

/// `carts-db` is part of `carts` where there is a `carts`.
pub fn owner<'a>(service: &'a str, services: &BTreeSet<&'a str>) -> &'a str {
    let part = service.rsplit_once('-').filter(|(_, part)| PARTS.contains(part));
    part.map(|(owner, _)| owner).filter(|owner| services.contains(owner)).unwrap_or(service)
}
