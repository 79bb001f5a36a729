//! A broken namespace: hundreds of workloads alert within seconds, a replica is killed meanwhile, and all of it is one
//! incident with one thread and one investigation beside the few that were quicker.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::house::{Ground, House};
use crate::sender::Alert;
use crate::verdict::{Outcome, workload};

const FOLDED: Duration = Duration::from_secs(120);
const DRAIN: Duration = Duration::from_secs(300);
/// Threads that may have been opened before it was seen that they are one; at Slack's own pace.
const MAX_THREADS: usize = 20;

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let workloads: usize = ground.size.pick(60, 300);
    let settings =
        [("INTAKE__STORM_WORKLOADS", "20"), ("INTAKE__SETTLE_SECS", "30"), ("SLACK__PACE_MS", "1000")];
    let mut house = House::build(ground, "fold", &settings).await?;
    house.start_service().await?;
    house.start_service().await?;
    let sender = house.sender();
    let names: Vec<String> = (0..workloads).map(|number| workload(0, number)).collect();
    for chunk in names.chunks(10) {
        sender.deliver(&chunk.iter().map(Alert::firing).collect::<Vec<_>>()).await?;
    }
    house.restart(1).await?;
    let begun = Instant::now();
    let all = i64::try_from(workloads)?;
    while house.count("select count(*) from incidents where folded_into is not null").await? < all {
        if begun.elapsed() > FOLDED {
            bail!("after {FOLDED:?} not all of {workloads} workloads are one incident");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let folded = begun.elapsed();
    house.drain(DRAIN).await?;
    let parents = house.count("select count(*) from incidents where kind = 'Namespace'").await?;
    let looks = house.count("select count(*) from investigations where started_at is not null").await?;
    let threads = house.slack.messages().await?.iter().filter(|said| said.thread.is_none()).count();
    let mut outcome = Outcome::new(format!("{workloads} workloads of one namespace, 2 replicas"));
    outcome.figure(format!(
        "one incident after {folded:.1?}; {looks} investigation, {threads} threads (1 of the whole)"
    ));
    outcome.demand(parents == 1, format!("{parents} incidents of the namespace"));
    outcome.demand(looks == 1, format!("{looks} investigations instead of one"));
    outcome.demand(threads <= MAX_THREADS, format!("{threads} threads"));
    outcome.accounts(&house, all).await?;
    Ok(outcome)
}
