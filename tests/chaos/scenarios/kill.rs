//! kill -9 at a random instant between the 202 and the announcement, round after round on the same rows. What one
//! life left unfinished the next ones finish.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::dice::Dice;
use crate::house::{Ground, House};
use crate::sender::{Alert, Sender};
use crate::verdict::{Outcome, Sent, workload};

const DRAIN: Duration = Duration::from_secs(1200);

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let (rounds, alerts) = ground.size.pick((5, 20), (200, 50));
    let mut dice = Dice::new(ground.seed);
    let mut house = House::build(ground, "kill", &[]).await?;
    house.start_service().await?;
    let sender = house.sender();
    let mut workloads = Vec::new();
    // A round without a kill tells how long there is something to kill.
    let span = {
        let begun = Instant::now();
        send(&sender, (0, alerts), &mut workloads).await?;
        house.drain(DRAIN).await?;
        begun.elapsed()
    };
    for round in 1..=rounds {
        send(&sender, (round, alerts), &mut workloads).await?;
        tokio::time::sleep(dice.between(Duration::ZERO, span)).await;
        house.services[0].process.kill();
        house.restart(0).await?;
        if round % 10 == 0 {
            println!("  kill: round {round} of {rounds}");
            house.drain(DRAIN).await?;
        }
    }
    house.drain(DRAIN).await?;
    let mut outcome = Outcome::new(format!("{rounds} kills, {} alerts", workloads.len()));
    outcome.figure(format!("a round takes {span:.1?} without a kill"));
    let alerts = i64::try_from(workloads.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 1 }).await?;
    Ok(outcome)
}

async fn send(sender: &Sender, (round, alerts): (usize, usize), workloads: &mut Vec<String>) -> Result<()> {
    let names: Vec<String> = (0..alerts).map(|number| workload(round, number)).collect();
    let alerts: Vec<Alert> = names.iter().map(Alert::firing).collect();
    workloads.extend(names);
    sender.deliver(&alerts).await
}
