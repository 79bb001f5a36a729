//! Three replicas on one database, of which one is always stopped for longer than its lease (SIGSTOP) and then goes
//! on, believing that it still has it. Each investigation must end once.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::dice::Dice;
use crate::house::{Ground, House};
use crate::proxy::Faults;
use crate::sender::Alert;
use crate::verdict::{Outcome, Sent, workload};

const REPLICAS: usize = 3;
const ALERTS: usize = 50;
const LEASE_SECS: &str = "2";
const SHORTEST_STOP: Duration = Duration::from_millis(2500);
const LONGEST_STOP: Duration = Duration::from_secs(5);
const DRAIN: Duration = Duration::from_secs(3600);

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let jobs: usize = ground.size.pick(200, 10_000);
    let mut dice = Dice::new(ground.seed);
    let settings = [("WORKER__LEASE_SECS", LEASE_SECS), ("WORKER__CONCURRENCY", "8")];
    let mut house = House::build(ground, "replicas", &settings).await?;
    for _ in 0..REPLICAS {
        house.start_service().await?;
    }
    // Slow enough that stops meet work under way.
    let delay = Duration::from_millis(ground.size.pick(150, 40));
    house.cluster_way.set(Faults { delay, ..Faults::default() });
    let sender = house.sender();
    let mut workloads = Vec::new();
    for group in 0..jobs.div_ceil(ALERTS) {
        let names: Vec<String> = (0..ALERTS).map(|number| workload(group, number)).collect();
        sender.deliver(&names.iter().map(Alert::firing).collect::<Vec<_>>()).await?;
        workloads.extend(names);
    }
    let mut stops = 0;
    loop {
        let waiting =
            house.count("select count(*) from investigations where state in ('queued', 'running')").await?;
        if waiting == 0 {
            break;
        }
        let victim = usize::try_from(dice.up_to(REPLICAS as u64 - 1))?;
        house.services[victim].process.signal(Signal::STOP)?;
        tokio::time::sleep(dice.between(SHORTEST_STOP, LONGEST_STOP)).await;
        house.services[victim].process.signal(Signal::CONT)?;
        stops += 1;
        tokio::time::sleep(dice.between(Duration::from_millis(50), Duration::from_millis(400))).await;
        if stops % 20 == 0 {
            println!("  replicas: {stops} stops, {waiting} investigations to go");
        }
    }
    house.drain(DRAIN).await?;
    let mut outcome = Outcome::new(format!("{} jobs, {REPLICAS} replicas, {stops} stops", workloads.len()));
    let taken_over = house.count("select count(*) from investigations where attempt > 1").await?;
    outcome.figure(format!("{taken_over} investigations were taken over from a stopped replica"));
    outcome.demand(taken_over > 0, "no stop met an investigation: nothing was shown");
    let alerts = i64::try_from(workloads.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 1 }).await?;
    Ok(outcome)
}
