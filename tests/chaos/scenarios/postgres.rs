//! PostgreSQL killed, restarted, its sessions cut, and away for a while, under a steady stream of alerts that
//! Alertmanager itself sends. Everything arrives, no refusal is final, and afterwards as much is done as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinHandle;

use crate::alertmanager::Alertmanager;
use crate::house::{self, Ground, House};
use crate::proxy::{Proxy, Upstream};
use crate::sender::{Alert, Sender};
use crate::verdict::{Outcome, Sent, workload};

const DRAIN: Duration = Duration::from_secs(900);
/// Of a webhook while the database is away (R5).
const MAX_REFUSAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Harm {
    Kill,
    Restart,
    CutSessions,
    Away(Duration),
}

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let (window, pause, away) = ground.size.pick((4, 250, 5), (30, 50, 60));
    let (window, away) = (Duration::from_secs(window), Duration::from_secs(away));
    let mut house = House::build(ground, "postgres", &[]).await?;
    house.start_service().await?;
    let webhook = Proxy::start(Upstream::Http(house.services[0].port), ground.seed).await?;
    let sender = Arc::new(Sender::new(house.http.clone(), webhook.port));
    let ports = (house::free_port().await?, webhook.port);
    let alertmanager = Alertmanager::start(&ground.folder, ports, house.http.clone()).await?;
    let mut outcome = Outcome::default();
    if alertmanager.is_none() {
        outcome.figure("ALERTMANAGER IS NOT ON THIS MACHINE: the harness sent by itself, with its schedule");
    }
    let stream = Stream::start(alertmanager, Arc::clone(&sender), Duration::from_millis(pause));
    until_something_ends(&house).await?;
    let before = ended_within(&house, window).await?;
    for harm in [Harm::Kill, Harm::Restart, Harm::CutSessions, Harm::Away(away)] {
        let down = do_harm(ground, &sender, harm, &mut outcome).await?;
        let recovered = until_something_ends(&house).await?;
        let after = ended_within(&house, window).await?;
        let ratio = after as f64 / before.max(1) as f64;
        outcome.figure(format!(
            "{harm:?}: away {down:.1?}, the next investigation ended {recovered:.1?} later; {before} in {window:?} before, {after} after: {ratio:.2}"
        ));
        // A few more or less are chance; the short form counts too few to say more.
        outcome.demand(
            ratio >= ground.size.pick(0.6, 0.99),
            format!("{harm:?}: completion after/before is {ratio:.2}"),
        );
        println!("  postgres: {harm:?} {ratio:.2}");
    }
    let (workloads, _alertmanager) = stream.end().await?;
    let taken_in = arrived(&house, workloads.len()).await?;
    house.drain(DRAIN).await?;
    outcome.size = format!("{} alerts, 4 harms, away {away:?}", workloads.len());
    let statuses = webhook.statuses();
    outcome.figure(format!(
        "answers to the sender {statuses:?}; the last alert arrived {taken_in:.1?} after it fired"
    ));
    let refused: u64 =
        statuses.iter().filter(|(status, _)| (400..500).contains(*status)).map(|(_, count)| count).sum();
    outcome.demand(refused == 0, format!("{refused} answers of 4xx, which Alertmanager never sends again"));
    let alerts = i64::try_from(workloads.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 1 }).await?;
    Ok(outcome)
}

/// Returns how long the server was away.
async fn do_harm(ground: &mut Ground, probe: &Sender, harm: Harm, outcome: &mut Outcome) -> Result<Duration> {
    let begun = Instant::now();
    match harm {
        Harm::CutSessions => {
            let cut = ground.server.terminate_sessions().await?;
            outcome.figure(format!("{cut} sessions cut"));
            return Ok(Duration::ZERO);
        }
        Harm::Kill => ground.server.kill().await?,
        Harm::Restart => ground.server.stop().await,
        Harm::Away(away) => {
            ground.server.stop().await;
            // An alert that fired already: what is asked is how fast the service says no.
            let asked = Instant::now();
            let status = probe.post(&[Alert::firing(workload(0, 0))]).await;
            let took = asked.elapsed();
            outcome.figure(format!("while it was away a webhook was answered {status} after {took:.0?}"));
            outcome.demand(status == 503, format!("without a database a webhook is answered {status}"));
            outcome.demand(
                took < MAX_REFUSAL.mul_f64(ground.size.pick(3.0, 1.0)),
                format!("the refusal took {took:.1?}"),
            );
            tokio::time::sleep(away.saturating_sub(begun.elapsed())).await;
        }
    }
    ground.server.start_again().await?;
    Ok(begun.elapsed())
}

async fn ends(house: &House) -> Result<i64> {
    house.count("select count(*) from chaos.ends").await
}

async fn ended_within(house: &House, window: Duration) -> Result<i64> {
    let before = ends(house).await?;
    tokio::time::sleep(window).await;
    Ok(ends(house).await? - before)
}

async fn until_something_ends(house: &House) -> Result<Duration> {
    let (begun, before) = (Instant::now(), ends(house).await?);
    while ends(house).await? == before && begun.elapsed() < DRAIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(begun.elapsed())
}

/// Waits until as many are stored as were sent, or as long as any sender would try.
async fn arrived(house: &House, alerts: usize) -> Result<Duration> {
    let begun = Instant::now();
    while house.count("select count(*) from alerts").await? < i64::try_from(alerts)?
        && begun.elapsed() < DRAIN
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(begun.elapsed())
}

/// One alert after the other, each of a workload of its own.
struct Stream {
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    sending: JoinHandle<Result<Option<Alertmanager>>>,
}

impl Stream {
    fn start(alertmanager: Option<Alertmanager>, sender: Arc<Sender>, pause: Duration) -> Self {
        let (is_over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&sent));
        let sending = tokio::spawn(async move {
            let mut under_way = tokio::task::JoinSet::new();
            while !over.load(Ordering::Relaxed) {
                let alert = Alert::firing(workload(0, count.load(Ordering::Relaxed)));
                match &alertmanager {
                    Some(alertmanager) => alertmanager.fire(&alert).await?,
                    None => {
                        let sender = Arc::clone(&sender);
                        under_way.spawn(async move { sender.deliver(&[alert]).await });
                    }
                }
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
            }
            while let Some(delivered) = under_way.join_next().await {
                delivered??;
            }
            Ok(alertmanager)
        });
        Self { is_over, sent, sending }
    }

    /// Ends it and names everything that it sent. Alertmanager goes on: it may have something left to try.
    async fn end(self) -> Result<(Vec<String>, Option<Alertmanager>)> {
        self.is_over.store(true, Ordering::Relaxed);
        let alertmanager = self.sending.await.context("the sender panicked")??;
        let sent = self.sent.load(Ordering::Relaxed);
        Ok(((0..sent).map(|number| workload(0, number)).collect(), alertmanager))
    }
}
