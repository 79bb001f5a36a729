//! The poster: takes what is due from the outbox, one announcement of a channel and `MAX_AT_ONCE` in all at a time,
//! so that a slow channel holds up no other. It ends with `shutdown`, after the calls under way, which their
//! deadline bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::deliver::{Delivery, deliver, terms};
use super::outbox::{self, queue};
use super::thread;
use crate::telemetry;

/// Calls to Slack under way at once.
const MAX_AT_ONCE: usize = 8;
/// `wake` wakes sooner; this finds what became due by time, and what a lost wake-up announced.
const POLL: Duration = Duration::from_millis(250);
/// Pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);
/// How often the gauges are set, and how often Slack is asked what the token may do.
const WATCH_INTERVAL: Duration = Duration::from_secs(15);
const ACCESS_INTERVAL: Duration = Duration::from_secs(600);

/// Posts what is due until `shutdown`.
pub async fn run(pool: PgPool, client: Client, wake: Arc<Notify>, shutdown: CancellationToken) {
    match outbox::try_again(&pool, client.channels()).await {
        Ok(0) => {}
        Ok(channels) => tracing::info!(channels, "channels that were held are tried again"),
        Err(error) => tracing::warn!(%error, "held channels wait out their time"),
    }
    let watch = shutdown.run_until_cancelled(watch(&pool, &client));
    let threads = thread::run(&pool, &client, &wake, &shutdown);
    tokio::join!(post(&pool, &client, &wake, &shutdown), threads, watch);
}

async fn post(pool: &PgPool, client: &Client, wake: &Notify, shutdown: &CancellationToken) {
    let mut calls: JoinSet<sqlx::Result<Delivery>> = JoinSet::new();
    let mut channels: HashMap<Id, String> = HashMap::new();
    // A busy channel is free again after one pace.
    let poll = POLL.min(client.pace());
    while !shutdown.is_cancelled() {
        let pause = match take(pool, client, &channels).await {
            Ok(Some(claim)) => {
                let (pool, client, channel) = (pool.clone(), client.clone(), claim.channel.clone());
                let call = calls.spawn(async move { deliver(&pool, &client, &claim).await });
                channels.insert(call.id(), channel);
                continue;
            }
            Ok(None) => poll,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = calls.join_next_with_id() => release(ended, &mut channels),
        }
        while let Some(ended) = calls.try_join_next_with_id() {
            release(ended, &mut channels);
        }
    }
    while let Some(ended) = calls.join_next_with_id().await {
        release(ended, &mut channels);
    }
}

/// The next claim of a channel that nothing is on its way to.
async fn take(
    pool: &PgPool,
    client: &Client,
    channels: &HashMap<Id, String>,
) -> sqlx::Result<Option<Box<queue::Claim>>> {
    if channels.len() >= MAX_AT_ONCE {
        return Ok(None);
    }
    let busy: Vec<String> = channels.values().cloned().collect();
    queue::claim(&mut *pool.acquire().await?, terms(client), &busy).await
}

type Ended = Result<(Id, sqlx::Result<Delivery>), tokio::task::JoinError>;

fn release(ended: Ended, channels: &mut HashMap<Id, String>) {
    let id = match ended {
        Ok((id, Ok(_))) => id,
        Ok((id, Err(error))) => {
            tracing::warn!(%error, "what became of an announcement could not be stored; it is looked for");
            id
        }
        Err(error) => {
            tracing::error!(%error, "a call to Slack ended badly");
            error.id()
        }
    };
    channels.remove(&id);
}

/// Keeps the gauges, and what the token may do, up to date.
async fn watch(pool: &PgPool, client: &Client) {
    let every = ACCESS_INTERVAL.as_secs() / WATCH_INTERVAL.as_secs();
    for round in 0_u64.. {
        if round % every == 0 {
            ask_access(client).await;
        }
        let counted =
            async { Ok::<_, sqlx::Error>((outbox::unsaid(pool).await?, outbox::held(pool).await?)) };
        if let Ok((unsaid, held)) = counted.await {
            metrics::gauge!(telemetry::ANNOUNCEMENTS_WAITING).set(count(unsaid));
            metrics::gauge!(telemetry::SLACK_CHANNELS_HELD).set(count(held.len()));
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

fn count(of: impl TryInto<u32>) -> f64 {
    f64::from(of.try_into().unwrap_or(u32::MAX))
}

/// Whom Slack takes us for, and what it lets us do.
async fn ask_access(client: &Client) {
    let identity = match client.auth_test().await {
        Ok(identity) => identity,
        Err(fault) => {
            tracing::warn!(%fault, "Slack does not know us; announcements wait in the outbox");
            return;
        }
    };
    tracing::info!(team = identity.team, user = identity.user, "Slack knows us");
    let Some(scopes) = identity.scopes else { return };
    let missing = client.access().granted(&scopes);
    metrics::gauge!(telemetry::SLACK_SCOPES_MISSING).set(count(missing.len()));
    if !missing.is_empty() {
        tracing::warn!(
            missing = missing.join(", "),
            "the Slack token lacks scopes; without them a crash in the wrong instant can post a message twice"
        );
    }
}
