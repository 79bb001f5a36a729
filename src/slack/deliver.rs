//! From the outbox to Slack: posts each announcement under its claim, looks for those whose post had no clear
//! outcome, and stores what became of them. `after` and `after_look` decide (pure); the rest acts. It never posts
//! what may stand in Slack before it has looked, unless it may not look.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::client::{Client, DEFAULT_PACE, Form, Mark, Posted};
use super::fault::Fault;
use super::look::{self, Seen};
use super::outbox;
use super::outbox::queue::{self, Again, Claim, Doubt, Kind, SHOWN_AFTER, Task, Terms};
use super::thread;
use crate::telemetry;

/// How often a message is posted again although an earlier post may stand there and nobody may look: to lose an
/// alert is worse than to say it twice, and to say it for ever is worse than to lose it.
const MAX_DOUBTS: i32 = 2;
/// Looks that fail, over about ten minutes; then it is as if we may not look.
const MAX_LOOKS: i32 = 15;
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// With `MAX_BACKOFF` about a day.
const MAX_ATTEMPTS: i32 = 300;
/// A channel that fails is asked again after 1, 2, 4 … 30 s, by one message at a time.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A channel that an operator has to mend is asked again after 10, 20, 40 … 300 s.
const FIRST_HOLD: Duration = Duration::from_secs(10);
const MAX_HOLD: Duration = Duration::from_secs(300);

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

/// What becomes of an announcement after a fault.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Retry(Duration),
    LimitRate(Duration),
    Hold(Duration),
    Doubt { answered: bool },
    Plain,
    Fail,
}

fn after(fault: &Fault, claim: &Claim) -> Then {
    match fault {
        Fault::RateLimited { retry_after } => Then::LimitRate((*retry_after).max(DEFAULT_PACE)),
        Fault::Misconfigured(_) => Then::Hold(hold(claim.faults)),
        Fault::Ambiguous(_) => Then::Doubt { answered: false },
        Fault::Broken(_) => Then::Doubt { answered: true },
        Fault::Transient(_) if claim.attempts < MAX_ATTEMPTS => Then::Retry(backoff(claim.attempts)),
        Fault::Rejected(_) if !claim.plain && !claim.message.blocks.is_empty() => Then::Plain,
        Fault::Transient(_) | Fault::Rejected(_) => Then::Fail,
    }
}

/// What becomes of an announcement after it was looked for.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Store(Posted),
    Post { wait: Duration, doubts: i32, why: String },
    Look { wait: Duration, why: String },
    Hold { wait: Duration, why: String },
    Fail(String),
}

fn after_look(seen: Seen, claim: &Claim, doubt: &Doubt) -> Next {
    let wait = backoff(claim.attempts);
    match seen {
        Seen::There(at) => Next::Store(at),
        Seen::NotThere if claim.attempts < MAX_ATTEMPTS => {
            Next::Post { wait, doubts: claim.doubts, why: "it does not stand in Slack".to_owned() }
        }
        Seen::NotThere => Next::Fail(format!("{} posts did not arrive", claim.attempts)),
        Seen::StaleId => Next::Look { wait: Duration::ZERO, why: "the channel has another id".to_owned() },
        Seen::Unreadable(why) => blind(why, claim, doubt),
        Seen::Failed(Fault::Misconfigured(why)) => Next::Hold { wait: hold(claim.faults), why },
        Seen::Failed(Fault::RateLimited { retry_after }) => {
            let why = "rate limited while it was looked for".to_owned();
            Next::Look { wait: retry_after.max(look::pause(doubt.looks)), why }
        }
        Seen::Failed(fault) if doubt.looks < MAX_LOOKS => {
            Next::Look { wait: look::pause(doubt.looks), why: format!("it cannot be looked for: {fault}") }
        }
        Seen::Failed(fault) => blind(fault.to_string(), claim, doubt),
    }
}

/// Nobody can look: posted again, a few times. The same update twice is the same as once, and what Slack itself
/// said to have failed hardly stands there.
fn blind(why: String, claim: &Claim, doubt: &Doubt) -> Next {
    let harmless = claim.changes_head() || doubt.answered;
    let doubts = claim.doubts + i32::from(!harmless);
    if doubts > MAX_DOUBTS || claim.attempts >= MAX_ATTEMPTS {
        let posts = claim.attempts;
        return Next::Fail(format!(
            "{posts} posts went without an answer; it may stand in the channel, which cannot be read: {why}"
        ));
    }
    let why = format!("it may stand in the channel, which cannot be read: {why}");
    Next::Post { wait: backoff(claim.attempts), doubts, why }
}

/// 1, 2, 4 … 256, then 300 seconds.
fn backoff(attempts: i32) -> Duration {
    doubled(Duration::from_secs(1), attempts.saturating_sub(1)).min(MAX_BACKOFF)
}

fn pause(faults: i32) -> Duration {
    doubled(Duration::from_secs(1), faults).min(MAX_PAUSE)
}

fn hold(faults: i32) -> Duration {
    doubled(FIRST_HOLD, faults).min(MAX_HOLD)
}

fn doubled(first: Duration, times: i32) -> Duration {
    first * (1 << u32::try_from(times).unwrap_or(0).min(9))
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

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn doubt(answered: bool, looks: i32) -> Doubt {
        Doubt { since: Utc::now(), until: Utc::now(), answered, looks }
    }

    #[test]
    fn a_fault_decides_what_becomes_of_an_announcement() {
        let claim = Claim::sample(Kind::Summary);
        let of = |fault: Fault| after(&fault, &claim);
        let code = |code: &str| code.to_owned();
        assert_eq!(of(Fault::Misconfigured(code("invalid_auth"))), Then::Hold(FIRST_HOLD));
        assert_eq!(of(Fault::Transient(code("503"))), Then::Retry(Duration::from_secs(1)));
        assert_eq!(of(Fault::Ambiguous(code("no answer"))), Then::Doubt { answered: false });
        assert_eq!(of(Fault::Broken(code("internal_error"))), Then::Doubt { answered: true });
        assert_eq!(of(Fault::Rejected(code("invalid_blocks"))), Then::Plain);
        let limited = Fault::RateLimited { retry_after: Duration::from_secs(30) };
        assert_eq!(of(limited.clone()), Then::LimitRate(Duration::from_secs(30)));

        let mut tired = claim.clone();
        (tired.attempts, tired.plain, tired.faults) = (MAX_ATTEMPTS, true, 99);
        let of = |fault: Fault| after(&fault, &tired);
        assert_eq!(of(Fault::Transient(code("503"))), Then::Fail);
        assert_eq!(of(Fault::Rejected(code("invalid_blocks"))), Then::Fail, "its words were tried");
        assert_eq!(of(Fault::Misconfigured(code("invalid_auth"))), Then::Hold(MAX_HOLD), "however long");
        assert_eq!(of(limited), Then::LimitRate(Duration::from_secs(30)));
    }

    #[test]
    fn what_was_seen_decides_whether_it_is_posted_again() {
        let claim = Claim::sample(Kind::Parent);
        let at = Posted { channel: "C1".to_owned(), ts: "1.1".to_owned() };
        assert_eq!(after_look(Seen::There(at.clone()), &claim, &doubt(false, 1)), Next::Store(at));
        let absent = after_look(Seen::NotThere, &claim, &doubt(false, 1));
        assert!(matches!(absent, Next::Post { doubts: 0, .. }), "{absent:?}");
        let dead = Seen::Failed(Fault::Misconfigured("invalid_auth".to_owned()));
        let held = after_look(dead, &claim, &doubt(false, 1));
        assert!(matches!(held, Next::Hold { .. }), "a new token may look: {held:?}");
        let slow = || Seen::Failed(Fault::Transient("slow".to_owned()));
        assert!(matches!(after_look(slow(), &claim, &doubt(false, 1)), Next::Look { .. }));
        let given_up = after_look(slow(), &claim, &doubt(false, MAX_LOOKS));
        assert!(matches!(given_up, Next::Post { doubts: 1, .. }), "{given_up:?}");
        let looking: Duration = (1..MAX_LOOKS).map(look::pause).sum();
        assert!((500..700).contains(&looking.as_secs()), "{looking:?}");
    }

    #[test]
    fn where_nobody_may_look_only_harmless_repeats_go_on() {
        let unreadable = || Seen::Unreadable("missing_scope".to_owned());
        let mut doubted = Claim::sample(Kind::Parent);
        doubted.doubts = MAX_DOUBTS;
        let of = |claim: &Claim, answered| after_look(unreadable(), claim, &doubt(answered, 1));
        assert!(matches!(of(&doubted, false), Next::Fail(_)));
        assert!(matches!(of(&doubted, true), Next::Post { .. }), "Slack said that it failed");
        doubted.kind = Kind::Update;
        assert!(
            matches!(of(&doubted, false), Next::Post { .. }),
            "the same update twice is the same as once"
        );
    }

    #[test]
    fn waits_grow_to_their_bounds() {
        assert_eq!(backoff(1), Duration::from_secs(1));
        assert_eq!(backoff(9), Duration::from_secs(256));
        assert_eq!(backoff(10), MAX_BACKOFF);
        let horizon: Duration = (1..MAX_ATTEMPTS).map(backoff).sum();
        assert!((20..30).contains(&(horizon.as_secs() / 3600)), "{horizon:?}");
        assert_eq!([0, 1, 4, 9].map(|faults| pause(faults).as_secs()), [1, 2, 16, 30]);
        assert_eq!([0, 1, 4, 9].map(|faults| hold(faults).as_secs()), [10, 20, 160, 300]);
    }
}
