//! Three replicas on one database and waves of alerts; in each wave one replica is stopped (SIGSTOP) for longer than
//! its leases last and then goes on, believing that it still has them. Each investigation must end once.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::dice::Dice;
use crate::house::{Ground, House};
use crate::sender::Alert;
use crate::verdict::{Outcome, Sent, workload};

const REPLICAS: usize = 3;
const LEASE_SECS: &str = "2";
const SHORTEST_STOP: Duration = Duration::from_millis(2100);
/// Within it the investigations of a wave are under way.
const WAVE: Duration = Duration::from_millis(400);
const DRAIN: Duration = Duration::from_secs(3600);

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let (waves, alerts) = ground.size.pick((10, 20), (200, 50));
    let longest_stop = Duration::from_secs(ground.size.pick(3, 6));
    let mut dice = Dice::new(ground.seed);
    let settings = [("WORKER__LEASE_SECS", LEASE_SECS), ("WORKER__CONCURRENCY", "8")];
    let mut house = House::build(ground, "replicas", &settings).await?;
    for _ in 0..REPLICAS {
        house.start_service().await?;
    }
    let mut workloads = Vec::new();
    let sender = house.sender();
    for wave in 0..waves {
        let names: Vec<String> = (0..alerts).map(|number| workload(wave, number)).collect();
        sender.deliver(&names.iter().map(Alert::firing).collect::<Vec<_>>()).await?;
        workloads.extend(names);
        tokio::time::sleep(dice.between(Duration::ZERO, WAVE)).await;
        let victim = usize::try_from(dice.up_to(REPLICAS as u64 - 1))?;
        house.services[victim].process.signal(Signal::STOP)?;
        tokio::time::sleep(dice.between(SHORTEST_STOP, longest_stop)).await;
        house.services[victim].process.signal(Signal::CONT)?;
        if wave % 20 == 19 {
            println!("  replicas: wave {} of {waves}", wave + 1);
        }
    }
    house.drain(DRAIN).await?;
    let mut outcome = Outcome::new(format!("{} jobs, {REPLICAS} replicas, {waves} stops", workloads.len()));
    let taken_over = house.count("select count(*) from investigations where attempt > 1").await?;
    outcome.figure(format!("{taken_over} investigations were taken over from a stopped replica"));
    outcome.demand(taken_over > 0, "no stop met an investigation: nothing was shown");
    let alerts = i64::try_from(workloads.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 1 }).await?;
    Ok(outcome)
}
