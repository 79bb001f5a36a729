//! A storm: ten alerts of each of many workloads within ten seconds. Asserted in the long form only are the times,
//! because the short one also runs on machines that have other work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::house::{Ground, House, Size};
use crate::sender::Alert;
use crate::verdict::{Outcome, Sent, workload};

const TWINS: usize = 10;
/// The storm comes evenly within this, whether or not the last answer is there: who waits for answers measures only
/// what the service lets him send.
const SENDING: Duration = Duration::from_secs(8);
const STORM: Duration = Duration::from_secs(10);
const MAX_P99: Duration = Duration::from_millis(100);
const MAX_RSS_KIB: u64 = 150 * 1024;
const DRAIN: Duration = Duration::from_secs(1800);

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let workloads: usize = ground.size.pick(100, 1000);
    // The usual wait: what is investigated begins when the storm has been taken in.
    let settings = [("INTAKE__SETTLE_SECS", ground.size.pick("0", "30"))];
    let mut house = House::build(ground, "storm", &settings).await?;
    house.start_service().await?;
    let sender = Arc::new(house.sender());
    let names: Vec<String> = (0..workloads).map(|number| workload(0, number)).collect();
    let begun = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    // One body is ten workloads' alerts of one kind, as a group by alert and namespace is.
    let bodies: Vec<(usize, &[String])> =
        (0..TWINS).flat_map(|twin| names.chunks(10).map(move |chunk| (twin, chunk))).collect();
    let pause = SENDING / u32::try_from(bodies.len())?;
    for (number, (twin, chunk)) in (0..).zip(bodies) {
        let sender = Arc::clone(&sender);
        let body: Vec<Alert> =
            chunk.iter().map(|name| Alert { workload: name.clone(), twin, is_resolved: false }).collect();
        tokio::time::sleep_until((begun + pause * number).into()).await;
        sending.spawn(async move { sender.deliver(&body).await });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    let storm = begun.elapsed();
    house.drain(DRAIN).await?;
    let drained = begun.elapsed();
    let heard = sender.heard();
    let took: Vec<Duration> = heard.acknowledged.iter().map(|(_, took)| *took).collect();
    let p99 = percentile(took.clone(), 0.99);
    let peak = house.services[0].process.usage().peak_rss_kib;
    let alerts = i64::try_from(workloads * TWINS)?;
    let mut outcome = Outcome::new(format!("{alerts} alerts, {workloads} workloads in {storm:.1?}"));
    outcome.figure(format!(
        "202 after p50 {:.0?}, p99 {p99:.0?}, answers {:?}; all told after {drained:.1?}; peak RSS {} MiB",
        percentile(took, 0.5),
        heard.statuses,
        peak / 1024
    ));
    outcome.figure(format!("slow ones: {}", slow(&heard.acknowledged)));
    let investigations = house.count("select count(*) from investigations").await?;
    outcome.figure(format!("{investigations} investigations"));
    outcome.demand(investigations <= i64::try_from(workloads)?, "more investigations than workloads");
    outcome.demand(heard.dropped() == 0, format!("{} answers of 4xx", heard.dropped()));
    if ground.size == Size::Long {
        outcome.demand(storm <= STORM, format!("the storm took {storm:.1?} to be taken in"));
        outcome.demand(p99 < MAX_P99, format!("p99 of the 202s is {p99:.0?}"));
        outcome.demand(peak < MAX_RSS_KIB, format!("peak RSS is {} MiB", peak / 1024));
    }
    outcome.judge(&house, &Sent { workloads: &names, alerts, replies: 1 }).await?;
    Ok(outcome)
}

/// In which seconds of the storm answers took longer than they may: whether it is the start or a stall shows here.
fn slow(acknowledged: &[(Duration, Duration)]) -> String {
    let mut seconds: BTreeMap<u64, (usize, Duration)> = BTreeMap::new();
    for (sent, took) in acknowledged.iter().filter(|(_, took)| *took >= MAX_P99) {
        let (count, longest) = seconds.entry(sent.as_secs()).or_default();
        *count += 1;
        *longest = (*longest).max(*took);
    }
    let words = seconds
        .iter()
        .map(|(second, (count, longest))| format!("{count} in second {second}, up to {longest:.0?}"));
    if seconds.is_empty() { "none".to_owned() } else { words.collect::<Vec<_>>().join("; ") }
}

fn percentile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
