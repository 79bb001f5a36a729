//! From the outbox to Slack: claims one announcement at a time, posts it, and stores what became of it.
//! `after` decides (pure); the rest acts. It never gives up on what may heal by itself within a day.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client::{Client, DEFAULT_PACE, Fault, Posted};
use super::outbox::{self, Claim, Kind, Next};
use crate::telemetry;

/// `wake` wakes sooner; this finds what became due by time, and what a lost wake-up announced.
const POLL: Duration = Duration::from_millis(500);
/// Pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// With `MAX_BACKOFF` about a day.
const MAX_ATTEMPTS: i32 = 300;

/// What became of one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Idle,
    Posted(Uuid),
    Retried {
        id: Uuid,
        wait: Duration,
    },
    /// The whole channel waits.
    RateLimited {
        id: Uuid,
        wait: Duration,
    },
    /// The answer never came; posted again after `outbox::POSTING_GRACE`.
    InDoubt(Uuid),
    Failed {
        id: Uuid,
        reason: String,
    },
}

/// Posts what is due until `shutdown`; a post under way is finished first, which its deadline bounds.
pub async fn run(pool: PgPool, client: Client, wake: Arc<Notify>, shutdown: CancellationToken) {
    match client.auth_test().await {
        Ok(who) => tracing::info!(team = who.team, user = who.user, "Slack knows us"),
        Err(fault) => tracing::warn!(%fault, "Slack does not know us; announcements wait in the outbox"),
    }
    while !shutdown.is_cancelled() {
        let pause = match deliver_once(&pool, &client).await {
            // A busy channel is free again after one pace.
            Ok(Delivery::Idle) => POLL.min(client.pace()),
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read or written");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Takes one announcement that is due and posts it.
pub async fn deliver_once(pool: &PgPool, client: &Client) -> sqlx::Result<Delivery> {
    let next = outbox::claim(&mut *pool.acquire().await?, client.pace()).await?;
    let delivery = match next {
        Next::Idle => return Ok(Delivery::Idle),
        Next::Unpostable { id, reason } => Delivery::Failed { id, reason },
        Next::Claimed(claim) => {
            let answer = send(client, &claim).await;
            settle(pool, &claim, answer, client.pace()).await?
        }
    };
    note(&delivery);
    Ok(delivery)
}

async fn send(client: &Client, claim: &Claim) -> Result<Posted, Fault> {
    match (claim.kind, &claim.parent) {
        (Kind::Update, Some(parent)) => client.update(parent, &claim.message).await,
        // The outbox hands out no such claim; a second head of the thread must never be posted.
        (Kind::Update, None) => Err(Fault::Permanent("there is no message to update".to_owned())),
        (Kind::Summary | Kind::Resolved, Some(parent)) => {
            client.post(&parent.channel, Some(&parent.ts), &claim.message).await
        }
        (Kind::Parent | Kind::Summary | Kind::Resolved, _) => {
            client.post(&claim.channel, None, &claim.message).await
        }
    }
}

async fn settle(
    pool: &PgPool,
    claim: &Claim,
    answer: Result<Posted, Fault>,
    pace: Duration,
) -> sqlx::Result<Delivery> {
    let id = claim.id;
    let fault = match answer {
        Ok(at) => {
            if !outbox::posted(pool, claim, &at, pace).await? {
                tracing::warn!(%id, "posted after the claim had run out; it may be posted again");
            }
            return Ok(Delivery::Posted(id));
        }
        Err(fault) => fault,
    };
    let why = fault.to_string();
    Ok(match after(&fault, claim.kind, claim.attempts) {
        Then::Retry(wait) => {
            outbox::retry(pool, claim, wait, &why).await?;
            Delivery::Retried { id, wait }
        }
        Then::HoldChannel(wait) => {
            outbox::hold(pool, claim, wait, &why).await?;
            Delivery::RateLimited { id, wait }
        }
        Then::Doubt => {
            outbox::doubt(pool, claim, &why).await?;
            Delivery::InDoubt(id)
        }
        Then::Fail => {
            outbox::fail(pool, claim, &why).await?;
            Delivery::Failed { id, reason: why }
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Then {
    Retry(Duration),
    HoldChannel(Duration),
    Doubt,
    Fail,
}

/// What a fault means for the announcement.
fn after(fault: &Fault, kind: Kind, attempts: i32) -> Then {
    match fault {
        Fault::Permanent(_) => Then::Fail,
        Fault::RateLimited { retry_after } => Then::HoldChannel((*retry_after).max(DEFAULT_PACE)),
        // The same update twice is the same as once.
        Fault::Ambiguous(_) if kind != Kind::Update => Then::Doubt,
        Fault::Transient(_) | Fault::Ambiguous(_) if attempts < MAX_ATTEMPTS => {
            Then::Retry(backoff(attempts))
        }
        Fault::Transient(_) | Fault::Ambiguous(_) => Then::Fail,
    }
}

/// 1, 2, 4 … 256, then 300 seconds.
fn backoff(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(9);
    Duration::from_secs(1 << doublings).min(MAX_BACKOFF)
}

fn note(delivery: &Delivery) {
    let state = match delivery {
        Delivery::Idle => return,
        Delivery::Posted(_) => "posted",
        Delivery::Retried { .. } => "retried",
        Delivery::RateLimited { .. } => "rate_limited",
        Delivery::InDoubt(_) => "ambiguous",
        Delivery::Failed { .. } => "failed",
    };
    metrics::counter!(telemetry::ANNOUNCEMENTS, "state" => state).increment(1);
    match delivery {
        Delivery::Failed { id, reason } => {
            tracing::error!(%id, reason, "an announcement will never be posted")
        }
        Delivery::InDoubt(id) => tracing::warn!(%id, "no answer from Slack: posted again unless it heals"),
        other => tracing::debug!(?other, "announcement"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_decides_what_becomes_of_an_announcement() {
        let transient = Fault::Transient("internal_error".to_owned());
        let ambiguous = Fault::Ambiguous("no answer".to_owned());
        let limited = Fault::RateLimited { retry_after: Duration::from_secs(30) };
        assert_eq!(after(&Fault::Permanent("invalid_auth".to_owned()), Kind::Parent, 1), Then::Fail);
        assert_eq!(after(&transient, Kind::Parent, 1), Then::Retry(Duration::from_secs(1)));
        assert_eq!(after(&transient, Kind::Parent, MAX_ATTEMPTS), Then::Fail);
        assert_eq!(after(&limited, Kind::Parent, 9999), Then::HoldChannel(Duration::from_secs(30)));
        assert_eq!(after(&ambiguous, Kind::Summary, 1), Then::Doubt);
        assert_eq!(after(&ambiguous, Kind::Update, 1), Then::Retry(Duration::from_secs(1)), "repeatable");
    }

    #[test]
    fn retries_go_on_for_about_a_day() {
        assert_eq!(backoff(1), Duration::from_secs(1));
        assert_eq!(backoff(9), Duration::from_secs(256));
        assert_eq!(backoff(10), MAX_BACKOFF);
        let horizon: Duration = (1..MAX_ATTEMPTS).map(backoff).sum();
        assert!((20..30).contains(&(horizon.as_secs() / 3600)), "{horizon:?}");
    }
}
