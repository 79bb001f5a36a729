//! From the outbox to Slack: posts each announcement under its claim, looks for those whose post had no clear
//! outcome, and stores what became of them, as `after` decides. It never posts what may stand in Slack before it has
//! looked, unless it may not look.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::after::{Next, Then, after, after_look, pause};
use super::client::{Client, Form, Mark, Posted};
use super::fault::Fault;
use super::look::{self, Seen};
use super::outbox;
use super::outbox::queue::{self, Again, Claim, Doubt, Kind, SHOWN_AFTER, Task, Terms};
use super::thread;
use crate::telemetry;

/// What became of one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Idle,
    Posted(Uuid),
    /// It stood in Slack already.
    Found(Uuid),
    /// The thread says the same already.
    Unneeded(Uuid),
    Retried {
        id: Uuid,
        wait: Duration,
    },
    /// The whole channel waits.
    RateLimited {
        id: Uuid,
        wait: Duration,
    },
    /// The whole channel waits until an operator has mended something.
    Held {
        id: Uuid,
        wait: Duration,
        reason: String,
    },
    /// Its outcome is unknown; it is looked for in Slack before it is posted again.
    InDoubt(Uuid),
    Failed {
        id: Uuid,
        reason: String,
    },
}

/// Takes one announcement that is due, and posts or looks for it.
pub async fn deliver_once(pool: &PgPool, client: &Client) -> sqlx::Result<Delivery> {
    match queue::claim(&mut *pool.acquire().await?, terms(client), &[]).await? {
        Some(claim) => deliver(pool, client, &claim).await,
        None => Ok(Delivery::Idle),
    }
}

pub(super) fn terms(client: &Client) -> Terms {
    Terms { pace: client.pace(), timeout: client.timeout() }
}

/// Does what the claim asks for.
pub(super) async fn deliver(pool: &PgPool, client: &Client, claim: &Claim) -> sqlx::Result<Delivery> {
    let delivery = match &claim.task {
        Task::Drop(reason) => fail(pool, claim, reason).await?,
        Task::Skip => {
            queue::skip(pool, claim).await?;
            Delivery::Unneeded(claim.id)
        }
        Task::Look(doubt) => {
            let seen = look::look(client, claim, doubt).await;
            seen_so(pool, client, claim, doubt, seen).await?
        }
        Task::Post => {
            if !claim.may_send() {
                tracing::warn!(id = %claim.id, "too late to post under this claim");
                let why = "the claim was too old to be posted";
                let uncounted = Again { wait: Duration::ZERO, why, ..retry(claim) };
                queue::again(pool, claim, Again { uncounted: true, ..uncounted }).await?;
                return Ok(Delivery::Retried { id: claim.id, wait: Duration::ZERO });
            }
            let answer = send(client, claim).await;
            settle(pool, client, claim, answer).await?
        }
    };
    note(&delivery);
    Ok(delivery)
}

async fn send(client: &Client, claim: &Claim) -> Result<Posted, Fault> {
    let form = if claim.plain { Form::Plain } else { Form::Blocks };
    let mark = Mark { id: claim.id, incident: claim.incident, update: None };
    match (claim.kind, &claim.parent) {
        // A bot's message is not ours to change: what it would say is said below it.
        (Kind::Update, Some((_, at))) if claim.adopted => {
            client.post((&at.channel, Some(&at.ts)), &claim.message.in_short(), mark, form).await
        }
        // The message stays what it was: only who changed it last is new.
        (Kind::Update, Some((parent, at))) => {
            let mark = Mark { id: *parent, update: Some(claim.id), ..mark };
            client.update(at, &claim.message, mark, form).await
        }
        // The outbox hands out no such claim; a second head of the thread must never be posted.
        (Kind::Update, None) => Err(Fault::Rejected("there is no message to update".to_owned())),
        (_, Some((_, at))) => client.post((&at.channel, Some(&at.ts)), &claim.message, mark, form).await,
        (_, None) => client.post((&claim.channel, None), &claim.message, mark, form).await,
    }
}

/// Stores what became of a post.
async fn settle(
    pool: &PgPool,
    client: &Client,
    claim: &Claim,
    answer: Result<Posted, Fault>,
) -> sqlx::Result<Delivery> {
    let id = claim.id;
    let fault = match answer {
        Ok(at) => {
            if !queue::posted(pool, claim, &at, client.pace()).await? {
                tracing::warn!(%id, "posted after the claim had run out; it may stand there twice");
            }
            return Ok(Delivery::Posted(id));
        }
        Err(fault) => fault,
    };
    let why = fault.to_string();
    if let Some((head, _)) = claim.parent.as_ref().filter(|_| claim.adopted && is_gone(&fault)) {
        tracing::warn!(%id, reason = why, "a bot's message is gone: the incident gets a thread of its own");
        thread::disown(pool, *head, &why).await?;
        queue::again(pool, claim, Again { why: &why, uncounted: true, ..retry(claim) }).await?;
        return Ok(Delivery::Retried { id, wait: Duration::ZERO });
    }
    let channel = claim.channel.as_str();
    let then = after(&fault, claim);
    match &then {
        Then::Retry(_) | Then::Doubt { .. } => {
            outbox::hold(pool, channel, pause(claim.faults), Some(&why)).await?
        }
        Then::LimitRate(wait) => outbox::hold(pool, channel, *wait, None).await?,
        Then::Hold(wait) => outbox::hold(pool, channel, *wait, Some(&why)).await?,
        Then::Plain | Then::Fail => {}
    }
    match then {
        Then::Retry(wait) => {
            queue::again(pool, claim, Again { wait, why: &why, ..retry(claim) }).await?;
            Ok(Delivery::Retried { id, wait })
        }
        Then::LimitRate(wait) => {
            queue::again(pool, claim, Again { wait, why: &why, uncounted: true, ..retry(claim) }).await?;
            Ok(Delivery::RateLimited { id, wait })
        }
        Then::Hold(wait) => {
            // Its place in the line is kept: the channel's hold is wait enough.
            queue::again(pool, claim, Again { why: &why, uncounted: true, ..retry(claim) }).await?;
            Ok(Delivery::Held { id, wait, reason: why })
        }
        Then::Doubt { answered } => {
            queue::doubt(pool, claim, SHOWN_AFTER, &why, answered).await?;
            Ok(Delivery::InDoubt(id))
        }
        Then::Plain => {
            tracing::warn!(%id, reason = why, "Slack refuses the blocks of an announcement; its words are posted");
            queue::again(pool, claim, Again { why: &why, plain: true, ..retry(claim) }).await?;
            Ok(Delivery::Retried { id, wait: Duration::ZERO })
        }
        Then::Fail => fail(pool, claim, &why).await,
    }
}

/// Stores what a look brought.
async fn seen_so(
    pool: &PgPool,
    client: &Client,
    claim: &Claim,
    doubt: &Doubt,
    seen: Seen,
) -> sqlx::Result<Delivery> {
    let id = claim.id;
    match &seen {
        Seen::There(_) | Seen::NotThere => client.access().readable(&claim.channel),
        Seen::Unreadable(why) => {
            if client.access().unreadable(&claim.channel, why) {
                tracing::error!(
                    channel = claim.channel,
                    reason = why,
                    "a channel cannot be read back: an announcement whose post had no clear outcome is posted \
                     again and may stand there twice; give the token the scopes channels:history, groups:history, \
                     channels:read and groups:read, and invite the app to the channel"
                );
            }
        }
        Seen::StaleId => outbox::forget_id(pool, &claim.channel).await?,
        Seen::Failed(_) => {}
    }
    match after_look(seen, claim, doubt) {
        Next::Store(at) => {
            if queue::posted(pool, claim, &at, Duration::ZERO).await? {
                tracing::info!(%id, ts = at.ts, "an announcement in doubt stands in Slack");
            }
            Ok(Delivery::Found(id))
        }
        Next::Post { wait, doubts, why } => {
            queue::again(pool, claim, Again { wait, why: &why, doubts, ..retry(claim) }).await?;
            Ok(Delivery::Retried { id, wait })
        }
        Next::Look { wait, why } => {
            queue::doubt(pool, claim, wait, &why, doubt.answered).await?;
            Ok(Delivery::InDoubt(id))
        }
        Next::Hold { wait, why } => {
            outbox::hold(pool, &claim.channel, wait, Some(&why)).await?;
            queue::doubt(pool, claim, wait, &why, doubt.answered).await?;
            Ok(Delivery::Held { id, wait, reason: why })
        }
        Next::Fail(why) => fail(pool, claim, &why).await,
    }
}

async fn fail(pool: &PgPool, claim: &Claim, why: &str) -> sqlx::Result<Delivery> {
    queue::fail(pool, claim, why).await?;
    Ok(Delivery::Failed { id: claim.id, reason: why.to_owned() })
}

fn retry(claim: &Claim) -> Again<'static> {
    Again { wait: Duration::ZERO, why: "", uncounted: false, plain: false, doubts: claim.doubts }
}

/// Nothing can be said below that message any more.
fn is_gone(fault: &Fault) -> bool {
    let gone = ["thread_not_found", "cannot_reply_to_message", "message_not_found"];
    matches!(fault, Fault::Rejected(code) if gone.contains(&code.as_str()))
}

fn note(delivery: &Delivery) {
    let state = match delivery {
        Delivery::Idle => return,
        Delivery::Posted(_) => "posted",
        Delivery::Found(_) => "found",
        Delivery::Unneeded(_) => "unneeded",
        Delivery::Retried { .. } => "retried",
        Delivery::RateLimited { .. } => "rate_limited",
        Delivery::Held { .. } => "held",
        Delivery::InDoubt(_) => "ambiguous",
        Delivery::Failed { .. } => "failed",
    };
    metrics::counter!(telemetry::ANNOUNCEMENTS, "state" => state).increment(1);
    match delivery {
        Delivery::Failed { id, reason } => {
            tracing::error!(%id, reason, "an announcement will never be posted")
        }
        Delivery::Held { reason, wait, .. } => {
            tracing::error!(reason, ?wait, "Slack takes nothing for a channel; its announcements wait")
        }
        Delivery::InDoubt(id) => tracing::warn!(%id, "no clear outcome at Slack: it is looked for"),
        other => tracing::debug!(?other, "announcement"),
    }
}
