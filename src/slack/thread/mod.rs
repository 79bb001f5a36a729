//! The right thread: before an incident's head is posted, the channel is searched for the message that Robusta,
//! Alertmanager or Grafana posted about the same alert. Heads that wait go in; each is adopted by that message's thread
//! or released to be posted as our own. It posts nothing, and never holds a head back longer than was agreed.
//!
//! `message` reads a message, `score` compares it with an alert and `choose` takes the best (all pure); `history` reads
//! the channel and `store` keeps what became of the head. The head is released by time alone, should all of this fail.

mod choose;
mod history;
mod message;
mod score;
mod store;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::choose::{Choice, choose, posts_here};
use self::history::{READ_DEADLINE, Reader, Unread};
use self::store::{Head, Verdict};
use super::client::{Client, Posted};
use crate::settings::ThreadMatch;

pub(super) use self::store::disown;

/// After the bot's message was waited for, a head that nobody decided about is posted after this: time for one look.
pub const MARGIN: Duration = Duration::from_secs(15);
/// Nobody else decides about the heads of a look before it has ended.
const LEASE: Duration = Duration::from_secs(15);
/// How often the outbox is asked for heads.
const POLL: Duration = Duration::from_millis(250);
/// Pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);
/// Between two looks for one head: as long as it has been waiting, within these.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(8);

/// Decides about heads until `shutdown`; `wake` tells the poster that there is something to post.
pub(super) async fn run(pool: &PgPool, client: &Client, wake: &Arc<Notify>, shutdown: &CancellationToken) {
    if client.thread_match() == ThreadMatch::Off {
        return;
    }
    let mut reader = Reader::default();
    loop {
        let Some(turn) = shutdown.run_until_cancelled(turn(pool, client, &mut reader)).await else { return };
        let pause = match turn {
            Ok(0) => POLL,
            Ok(_) => {
                wake.notify_one();
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "threads cannot be looked for");
                DATABASE_PAUSE
            }
        };
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Decides about the heads of one channel that are due; returns how many there were.
async fn turn(pool: &PgPool, client: &Client, reader: &mut Reader) -> sqlx::Result<usize> {
    let heads = store::undecided(pool, LEASE).await?;
    let due = heads.len();
    let (heads, bare): (Vec<Head>, _) = heads.into_iter().partition(|head| !head.wanted.alerts.is_empty());
    for head in bare {
        own(pool, &head, 0, "it has no alerts of its own").await?;
    }
    let Some(first) = heads.first() else { return Ok(due) };
    let oldest = heads.iter().map(|head| head.wanted.oldest()).min().unwrap_or(first.wanted.opened_at);
    let place = (first.channel.as_str(), first.channel_id.as_deref());
    match reader.read(client, place, oldest).await {
        Ok(channel) => {
            client.access().readable(place.0);
            decide(pool, client.thread_match(), channel, &heads).await?;
        }
        Err(unread) => postpone(pool, client, &heads, unread).await?,
    }
    Ok(due)
}

/// The surest match goes first, so that none takes another's message.
async fn decide(
    pool: &PgPool,
    senders: ThreadMatch,
    channel: &history::Channel,
    heads: &[Head],
) -> sqlx::Result<()> {
    let mut taken = store::taken(pool, &channel.id).await?;
    let expected = senders != ThreadMatch::Any || posts_here(&channel.candidates, senders);
    let mut order: Vec<(i32, &Head)> = heads
        .iter()
        .map(|head| (choose(&channel.candidates, &head.wanted, senders, &taken).score(), head))
        .collect();
    order.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    for (_, head) in order {
        match choose(&channel.candidates, &head.wanted, senders, &taken) {
            Choice::Match { ts, root, score, reason } => {
                let at = Posted { channel: channel.id.clone(), ts: root };
                let verdict = Verdict { score, reason: &reason };
                if store::adopt(pool, head.id, &at, &ts, verdict).await? {
                    tracing::info!(id = %head.id, ts, score, reason, "an incident goes on in a bot's thread");
                    taken.insert(ts);
                } else if head.left.is_zero() {
                    own(pool, head, score, "its message could not be taken in time").await?;
                } else {
                    store::later(pool, head.id, MIN_PAUSE).await?;
                }
            }
            Choice::Nothing { score, reason } if head.left.is_zero() || !expected => {
                own(pool, head, score, &reason).await?;
            }
            Choice::Nothing { .. } => store::later(pool, head.id, pause(head)).await?,
        }
    }
    Ok(())
}

/// The channel could not be read: our own thread where that will not change in time.
async fn postpone(pool: &PgPool, client: &Client, heads: &[Head], unread: Unread) -> sqlx::Result<()> {
    for head in heads {
        match &unread {
            Unread::Forbidden(why) => {
                if client.access().unreadable(&head.channel, why) {
                    tracing::error!(
                        channel = head.channel,
                        reason = why,
                        "a channel cannot be read: incidents get threads of their own there; give the token the \
                         scopes channels:history, groups:history, channels:read and groups:read, and invite the \
                         app to the channel, or set slack.thread_match to off"
                    );
                }
                own(pool, head, 0, &format!("the channel cannot be read: {why}")).await?;
            }
            Unread::Later(wait, why) if *wait >= head.left => {
                own(pool, head, 0, &format!("the channel could not be read in time: {why}")).await?;
            }
            Unread::Later(wait, _) => store::later(pool, head.id, *wait).await?,
        }
    }
    Ok(())
}

async fn own(pool: &PgPool, head: &Head, score: i32, reason: &str) -> sqlx::Result<()> {
    tracing::debug!(id = %head.id, score, reason, "an incident gets a thread of its own");
    store::own(pool, head.id, Verdict { score, reason }).await
}

/// Never past the end of the wait, where the last look is taken.
fn pause(head: &Head) -> Duration {
    head.age.clamp(MIN_PAUSE, MAX_PAUSE).min(head.left)
}

const _: () = assert!(READ_DEADLINE.as_secs() < LEASE.as_secs());
