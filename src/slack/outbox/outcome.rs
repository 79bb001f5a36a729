//! What became of a claim: where its message stands, that it is tried again, looked for, not needed, or lost. Each
//! statement changes only what the claim still holds, and the channel with it. It asks Slack nothing.

use std::time::Duration;

use sqlx::PgExecutor;

use super::queue::{Claim, Task};
use crate::slack::client::Posted;

/// Why an announcement waits again, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Again<'a> {
    pub wait: Duration,
    pub why: &'a str,
    /// Nothing was sent, or nothing that counts as a try.
    pub uncounted: bool,
    /// From now on without blocks.
    pub plain: bool,
    pub doubts: i32,
}

/// Stores where the message stands, and what is learnt of its channel. False when the claim had run out and the
/// row is no longer ours.
pub async fn posted(
    db: impl PgExecutor<'_>,
    claim: &Claim,
    at: &Posted,
    pace: Duration,
) -> sqlx::Result<bool> {
    // A thread may stand in another channel than the one that is configured now.
    let learnt = claim.parent.is_none().then_some(at.channel.as_str());
    let done = sqlx::query_scalar!(
        r#"with done as (
               update announcements
               set state = 'posted', message_ts = $3, channel_id = $4, posted_at = now(), error = null
               where id = $1 and state = 'posting' and next_at = $2 returning channel
           ), channel as (
               update announcement_channels c
               set free_at = greatest(c.free_at, now() + make_interval(secs => $5)),
                   channel_id = coalesce($6, c.channel_id), fault = null, fault_since = null, faults = 0
               from done where c.channel = done.channel)
           select count(*) as "count!" from done"#,
        claim.id,
        claim.lease,
        at.ts,
        at.channel,
        pace.as_secs_f64(),
        learnt,
    );
    Ok(done.fetch_one(db).await? == 1)
}

/// Not posted: tried again later. What follows it in its thread waits with it, so that a claim need not pass over it
/// again and again.
pub async fn again(db: impl PgExecutor<'_>, claim: &Claim, again: Again<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "with mine as (
             update announcements
             set state = 'waiting', next_at = now() + make_interval(secs => $3), error = $4,
                 attempts = attempts - $5::boolean::integer, plain = plain or $6, doubts = $7
             where id = $1 and state = 'posting' and next_at = $2
             returning id, incident_id, next_at)
         update announcements f set next_at = mine.next_at from mine
         where f.incident_id = mine.incident_id and f.id <> mine.id
           and f.state = 'waiting' and f.next_at < mine.next_at",
        claim.id,
        claim.lease,
        again.wait.as_secs_f64(),
        again.why,
        again.uncounted,
        again.plain,
        again.doubts,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Perhaps posted: the row stays `posting` and is handed out to be looked for after `wait`. `answered` when Slack
/// said that it failed.
pub async fn doubt(
    db: impl PgExecutor<'_>,
    claim: &Claim,
    wait: Duration,
    why: &str,
    answered: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements
         set error = $4, answered = $5, next_at = now() + make_interval(secs => $3)
         where id = $1 and state = 'posting' and next_at = $2",
        claim.id,
        claim.lease,
        wait.as_secs_f64(),
        why,
        answered,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Nothing is left to be said. The channel's turn is given back.
pub async fn skip(db: impl PgExecutor<'_>, claim: &Claim) -> sqlx::Result<()> {
    sqlx::query!(
        "with mine as (
             update announcements set state = 'posted', posted_at = now(), error = null
             where id = $1 and state = 'posting' and next_at = $2 returning channel)
         update announcement_channels c set free_at = now() from mine
         where c.channel = mine.channel and c.free_at = $3",
        claim.id,
        claim.lease,
        claim.turn,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Will never be posted. The channel's turn is given back where nothing was sent.
pub async fn fail(db: impl PgExecutor<'_>, claim: &Claim, why: &str) -> sqlx::Result<()> {
    let turn = claim.turn.filter(|_| matches!(claim.task, Task::Drop(_)));
    sqlx::query!(
        "with mine as (
             update announcements set state = 'failed', failed_at = now(), error = $3
             where id = $1 and state = 'posting' and next_at = $2 returning channel)
         update announcement_channels c set free_at = now() from mine
         where c.channel = mine.channel and c.free_at = $4",
        claim.id,
        claim.lease,
        why,
        turn,
    )
    .execute(db)
    .await?;
    Ok(())
}
