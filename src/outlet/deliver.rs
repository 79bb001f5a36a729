//! From the outbox to the outlets: takes what is due, one delivery of an outlet and `MAX_AT_ONCE` in all at a time, sends
//! it and stores what became of it. A broken outlet holds up no other. It ends with `shutdown`, after the requests under
//! way, which their deadline bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::after::{Then, after};
use super::queue::{self, Claim, Terms};
use super::send::send;
use super::{Outlet, Outlets, store};
use crate::telemetry;

/// Requests under way at once.
const MAX_AT_ONCE: usize = 8;
/// `wake` wakes sooner; this finds what became due by time, and what a lost wake-up announced.
const POLL: Duration = Duration::from_millis(250);
/// Pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);
/// How often what is too old is buried, and the gauges are set.
const WATCH_INTERVAL: Duration = Duration::from_secs(15);

/// What it takes to deliver.
#[derive(Clone)]
struct Means {
    pool: PgPool,
    http: reqwest::Client,
}

/// Delivers what is due until `shutdown`. `http` follows no redirect.
pub async fn run(
    (pool, http): (PgPool, reqwest::Client),
    outlets: Arc<Outlets>,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
) {
    if let Err(error) = queue::try_again(&pool, &outlets.names()).await {
        tracing::warn!(%error, "held outlets wait out their time");
    }
    let means = Means { pool, http };
    let watch = shutdown.run_until_cancelled(watch(&means.pool));
    tokio::join!(deliver_all(&means, &outlets, &wake, &shutdown), watch);
}

async fn deliver_all(means: &Means, outlets: &Outlets, wake: &Notify, shutdown: &CancellationToken) {
    let mut calls: JoinSet<sqlx::Result<()>> = JoinSet::new();
    let mut busy: HashMap<Id, String> = HashMap::new();
    while !shutdown.is_cancelled() {
        let pause = match take(means, outlets, &busy).await {
            Ok(Some((outlet, claim))) => {
                let (means, name) = (means.clone(), claim.outlet.clone());
                let call = calls.spawn(async move { deliver(&means, &outlet, &claim).await });
                busy.insert(call.id(), name);
                continue;
            }
            Ok(None) => POLL,
            Err(error) => {
                tracing::warn!(%error, "the outlets' outbox cannot be read");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = calls.join_next_with_id() => release(ended, &mut busy),
        }
        while let Some(ended) = calls.try_join_next_with_id() {
            release(ended, &mut busy);
        }
    }
    while let Some(ended) = calls.join_next_with_id().await {
        release(ended, &mut busy);
    }
}

/// The next delivery of an outlet that nothing is on its way to.
async fn take(
    means: &Means,
    outlets: &Outlets,
    busy: &HashMap<Id, String>,
) -> sqlx::Result<Option<(Arc<Outlet>, Claim)>> {
    let is_free = |outlet: &&Arc<Outlet>| !busy.values().any(|name| *name == outlet.name);
    let terms: Vec<Terms> = outlets.all.iter().filter(is_free).map(|outlet| outlet.terms()).collect();
    if terms.is_empty() || busy.len() >= MAX_AT_ONCE {
        return Ok(None);
    }
    let claim = queue::claim(&mut *means.pool.acquire().await?, &terms).await?;
    Ok(claim.and_then(|claim| Some((Arc::clone(outlets.of_name(&claim.outlet)?), claim))))
}

/// Sends a delivery, and stores what became of it.
async fn deliver(means: &Means, outlet: &Outlet, claim: &Claim) -> sqlx::Result<()> {
    let Err(fault) = send(&means.http, outlet, claim).await else {
        if !queue::delivered(&means.pool, claim, outlet.pace()).await? {
            tracing::warn!(id = %claim.id, "delivered after the claim had run out; it may have arrived twice");
        }
        note(claim, "delivered");
        return Ok(());
    };
    let (name, why) = (&outlet.name, fault.to_string());
    match after(&fault, claim.attempts, claim.faults) {
        Then::Again { wait, hold } => {
            queue::again(&means.pool, claim, wait, hold, &why).await?;
            tracing::warn!(outlet = name, id = %claim.id, event = claim.event, reason = why, "not delivered; tried again");
            note(claim, "retried");
        }
        Then::Bury => {
            queue::bury(&means.pool, claim, &why).await?;
            tracing::error!(outlet = name, id = %claim.id, event = claim.event, reason = why, "will never be delivered");
            note(claim, "dead");
        }
    }
    Ok(())
}

fn note(claim: &Claim, state: &'static str) {
    metrics::counter!(telemetry::DELIVERIES, "outlet" => claim.outlet.clone(), "state" => state).increment(1);
}

fn release(ended: Result<(Id, sqlx::Result<()>), JoinError>, busy: &mut HashMap<Id, String>) {
    let id = match ended {
        Ok((id, Ok(()))) => id,
        Ok((id, Err(error))) => {
            tracing::warn!(%error, "what became of a delivery could not be stored; it is sent again");
            id
        }
        Err(error) => {
            tracing::error!(%error, "a delivery ended badly");
            error.id()
        }
    };
    busy.remove(&id);
}

/// Buries what is too old, and keeps the gauges up to date.
async fn watch(pool: &PgPool) {
    // A gauge of an outlet that nothing waits for any more goes back to 0.
    let mut known: Vec<String> = Vec::new();
    loop {
        match watch_once(pool, &mut known).await {
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "the outlets' outbox cannot be watched"),
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

async fn watch_once(pool: &PgPool, known: &mut Vec<String>) -> sqlx::Result<()> {
    for (outlet, count) in queue::expire(pool).await? {
        tracing::error!(outlet, count, "not delivered within a day: will never be");
        let dead = metrics::counter!(telemetry::DELIVERIES, "outlet" => outlet, "state" => "dead");
        dead.increment(u64::try_from(count).unwrap_or_default());
    }
    let waiting: HashMap<String, i64> = store::waiting(pool).await?.into_iter().collect();
    known.extend(waiting.keys().filter(|name| !known.contains(name)).cloned().collect::<Vec<_>>());
    for name in known.iter() {
        let count = waiting.get(name).copied().unwrap_or_default();
        metrics::gauge!(telemetry::DELIVERIES_WAITING, "outlet" => name.clone()).set(count as f64);
    }
    metrics::gauge!(telemetry::OUTLETS_HELD).set(store::held(pool).await?.len() as f64);
    Ok(())
}
