//! The commit that happened although the caller saw a failure: the proxy passes COMMIT on, waits for PostgreSQL's
//! answer, and cuts the connection instead of handing it over. Of intake: the sender hears 503 and sends again. Of
//! a report, a claim, a post's result: whoever was cut finds it done.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::house::{Ground, House};
use crate::proxy::Faults;
use crate::sender::Alert;
use crate::verdict::{Outcome, Sent, workload};
use crate::wire::Commit;

const DRAIN: Duration = Duration::from_secs(600);
const CUT_TIMEOUT: Duration = Duration::from_secs(30);
/// Every other cut is of intake, the others are of what follows.
const KINDS: [Commit; 8] = [
    Commit::Intake,
    Commit::WorkFinished,
    Commit::Intake,
    Commit::PostingClaimed,
    Commit::Intake,
    Commit::WorkClaimed,
    Commit::Intake,
    Commit::PostingStored,
];

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let cuts = ground.size.pick(30, 1000);
    let mut house = House::build(ground, "commits", &[]).await?;
    house.start_service().await?;
    let sender = house.sender();
    let mut workloads = Vec::new();
    let (mut unheard, mut of_intake) = (0, 0);
    for (number, kind) in KINDS.iter().cycle().take(cuts).enumerate() {
        let name = workload(0, number);
        let before = house.database.cuts();
        house.database.set(Faults { cut_next: Some(*kind), ..Faults::default() });
        let alert = [Alert::firing(&name)];
        let status = sender.post(&alert).await;
        if *kind == Commit::Intake {
            of_intake += 1;
            unheard += usize::from(status != 202);
        }
        if status != 202 {
            sender.deliver(&alert).await?;
        }
        let until = Instant::now() + CUT_TIMEOUT;
        while house.database.cuts() == before {
            ensure!(Instant::now() < until, "no commit of {kind:?} came to be cut");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        workloads.push(name);
        if number % 100 == 99 {
            println!("  commits: {} of {cuts} cuts", number + 1);
        }
    }
    house.drain(DRAIN).await?;
    let mut outcome = Outcome::new(format!("{cuts} commits cut, {of_intake} of them of intake"));
    let heard = sender.heard();
    outcome.figure(format!(
        "{unheard} senders heard a failure of what was committed; answers {:?}",
        heard.statuses
    ));
    outcome.demand(
        unheard == of_intake,
        format!("{} cut commits of intake were answered 202", of_intake - unheard),
    );
    outcome.demand(heard.dropped() == 0, format!("{} answers of 4xx", heard.dropped()));
    let alerts = i64::try_from(workloads.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 1 }).await?;
    Ok(outcome)
}
