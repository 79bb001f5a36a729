//! A rolling deploy: an older whodunit (`--old PATH`) beside this one, over one database, with alerts to both and kills
//! of either. The old one meets the new one's migrations while it is at work.

use std::time::Duration;

use anyhow::Result;

use crate::dice::Dice;
use crate::house::{Ground, House, Version};
use crate::sender::{Alert, Sender};
use crate::verdict::{Outcome, Sent, workload};

const DRAIN: Duration = Duration::from_secs(1200);
/// Between two waves; a kill falls somewhere within it.
const WAVE: Duration = Duration::from_millis(1500);

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    if ground.old.is_none() {
        return Ok(Outcome::new("left out: no older program was named (--old PATH)"));
    }
    let (waves, alerts) = ground.size.pick((4, 20), (40, 50));
    let mut dice = Dice::new(ground.seed);
    let mut house = House::build(ground, "upgrade", &[]).await?;
    house.start_version(Version::Old).await?;
    let mut workloads = Vec::new();
    wave(&house, 0, (0, alerts), &mut workloads).await?;
    house.start_version(Version::This).await?;
    for number in 1..=waves {
        wave(&house, number % 2, (number, alerts), &mut workloads).await?;
        tokio::time::sleep(dice.between(Duration::ZERO, WAVE)).await;
        let victim = usize::try_from(dice.up_to(1))?;
        house.services[victim].process.kill();
        house.restart(victim).await?;
    }
    house.drain(DRAIN).await?;
    let mut outcome = Outcome::new(format!("{} alerts to both versions, {waves} kills", workloads.len()));
    let alerts = i64::try_from(workloads.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 1 }).await?;
    Ok(outcome)
}

async fn wave(
    house: &House,
    service: usize,
    (number, alerts): (usize, usize),
    workloads: &mut Vec<String>,
) -> Result<()> {
    let sender = Sender::new(house.http.clone(), house.services[service].port);
    let names: Vec<String> = (0..alerts).map(|alert| workload(number, alert)).collect();
    sender.deliver(&names.iter().map(Alert::firing).collect::<Vec<_>>()).await?;
    workloads.extend(names);
    Ok(())
}
