//! Faults that nobody had: a seeded generator makes a dozen services that call each other, their metrics with noise,
//! and in each case one that eats CPU or leaks memory. What follows from it, follows: latency grows up to the entry,
//! traffic falls. Made for the measure alone; who wrote it also wrote the ranking.

use super::Metric;

/// Who calls whom; the first is the entry. `-db` and `-redis` belong to their owners.
const CALLS: [(&str, &[&str]); 13] = [
    ("frontend", &["cart", "catalog", "checkout", "ads"]),
    ("cart", &["cart-redis"]),
    ("catalog", &["catalog-db"]),
    ("checkout", &["cart", "payment", "shipping", "email", "currency"]),
    ("ads", &[]),
    ("payment", &["payment-db"]),
    ("shipping", &["quote"]),
    ("email", &[]),
    ("currency", &[]),
    ("quote", &[]),
    ("cart-redis", &[]),
    ("catalog-db", &[]),
    ("payment-db", &[]),
];
const SAMPLES: usize = 60;

/// One case: its metrics, and the service that is at fault.
pub struct Case {
    pub metrics: Vec<Metric>,
    pub culprit: String,
    pub fault: &'static str,
}

/// A linear congruential generator: the same cases in every run.
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.roll()).sum::<f64>() - 6.0
    }
}

pub fn cases(count: usize, seed: u64) -> Vec<Case> {
    (0..count)
        .map(|number| case(number, &mut Dice(seed ^ (number as u64).wrapping_mul(0x9e37_79b9))))
        .collect()
}

fn case(number: usize, dice: &mut Dice) -> Case {
    let culprit = CALLS[(dice.roll() * CALLS.len() as f64) as usize % CALLS.len()].0;
    let fault = if number.is_multiple_of(2) { "cpu" } else { "mem" };
    let mut metrics = Vec::new();
    for (service, _) in CALLS {
        let near = distance(service, culprit);
        // Callers wait for it: the nearer, the longer.
        let slowed = near.map_or(1.0, |steps| 1.0 + (2.0 + 6.0 * dice.roll()) / (1.0 + steps as f64));
        let traffic = if near.is_some() { 0.7 + 0.2 * dice.roll() } else { 0.95 };
        let own = |name: &str| service == culprit && fault == name;
        let cpu = if own("cpu") { 2.0 + 4.0 * dice.roll() } else { traffic };
        let mem = if own("mem") { 1.6 + 2.0 * dice.roll() } else { 1.0 + 0.02 * dice.roll() };
        for (name, level, noise, factor) in [
            ("cpu", 0.05 + 0.4 * dice.roll(), 0.08 + 0.2 * dice.roll(), cpu),
            ("mem", 5e7 + 3e8 * dice.roll(), 0.002, mem),
            ("latency", 0.01 + 0.1 * dice.roll(), 0.1, slowed),
            ("error", 0.001, 0.5, if near.is_some() && dice.roll() > 0.5 { 3.0 } else { 1.0 }),
            ("workload", 20.0 + 80.0 * dice.roll(), 0.05, traffic),
        ] {
            let mut samples = |factor: f64| -> Vec<f64> {
                // Single odd samples are everywhere.
                let odd = |dice: &mut Dice| if dice.roll() > 0.98 { 1.0 + 3.0 * dice.roll() } else { 1.0 };
                (0..SAMPLES)
                    .map(|_| (level * factor * (1.0 + noise * dice.noise()) * odd(dice)).max(0.0))
                    .collect()
            };
            let (before, after) = (samples(1.0), samples(factor));
            metrics.push(Metric { service: service.to_owned(), name: name.to_owned(), before, after });
        }
    }
    let culprit = culprit.trim_end_matches("-db").trim_end_matches("-redis").to_owned();
    Case { metrics, culprit, fault }
}

/// Calls from a service down to the one at fault.
fn distance(from: &str, to: &str) -> Option<usize> {
    if from == to {
        return Some(0);
    }
    let (_, called) = CALLS.iter().find(|(service, _)| *service == from)?;
    called.iter().filter_map(|next| distance(next, to)).min().map(|steps| steps + 1)
}
