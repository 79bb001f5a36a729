//! The outbox in Postgres: what is still to be said, and what was said. `enqueue_*` run inside the caller's
//! transaction, so that an incident and its words are committed together; `claim` hands out the next message
//! that is due. Only `announcements` and `announcement_channels` are written here.
//!
//! Delivery is at least once with a narrow window: a row is `posting` from just before the call to Slack
//! until its answer is stored. A process that dies in between, or an answer that never comes, leaves the row
//! `posting`; after `POSTING_GRACE` it is posted again. Reconciling it with what already stands in the channel
//! (by message metadata) would close the window.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection, PgExecutor};
use uuid::Uuid;

use super::blocks::Message;
use super::client::Posted;

mod news;

pub use news::{News, Standing, enqueue, forget, standing, withdraw};

/// After this a row left in `posting` may be posted again. Longer than any call to Slack may take.
pub const POSTING_GRACE: Duration = Duration::from_secs(120);
/// How often a message is posted again although an earlier post may have arrived.
const MAX_DOUBTS: i32 = 2;
/// Failures shown on `/readyz`: those of the last day, grouped.
const MAX_FAILURES: i64 = 20;

/// One announcement, taken for posting.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: Uuid,
    pub kind: Kind,
    pub channel: String,
    pub message: Message,
    /// This attempt included.
    pub attempts: i32,
    /// Until when the row is ours; also what tells our claim from a later one.
    lease: DateTime<Utc>,
    /// The incident's first message, for replies and updates.
    pub parent: Option<Posted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Kind {
    /// The head of the thread.
    Parent,
    /// A report, in the thread.
    Summary,
    /// The head of the thread, replaced.
    Update,
    /// The note at the end of the thread.
    Resolved,
}

/// What `claim` came to.
#[derive(Debug)]
pub enum Next {
    Claimed(Box<Claim>),
    /// Failed without another try: its thread never came to be, or too many posts went without an answer.
    Unpostable {
        id: Uuid,
        reason: String,
    },
    /// Nothing is due, or its channel has to wait.
    Idle,
}

/// Announcements that will never be posted, grouped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub channel: String,
    pub reason: String,
    pub count: i64,
    pub last_at: DateTime<Utc>,
}

/// Takes the next announcement that may be posted now. Within an incident nothing overtakes: the head of the
/// thread first, then the order in which they were enqueued.
pub async fn claim(db: &mut PgConnection, pace: Duration) -> sqlx::Result<Next> {
    let mut tx = db.begin().await?;
    let row = sqlx::query!(
        r#"select a.id, a.kind as "kind: Kind", a.channel, a.payload as "message: Json<Message>",
                  a.doubts + (a.state = 'posting')::integer as "doubts!",
                  p.state as "parent_state?", p.error as parent_error, p.message_ts as "parent_ts?",
                  coalesce(p.channel_id, p.channel) as "parent_channel?"
           from announcements a
           left join announcements p on p.incident_id = a.incident_id and p.kind = 'parent' and a.kind <> 'parent'
           where a.state in ('waiting', 'posting') and a.next_at <= now()
             and not exists (select from announcements e
                 where e.incident_id = a.incident_id and e.state in ('waiting', 'posting')
                   and (e.kind <> 'parent', e.created_at, e.id) < (a.kind <> 'parent', a.created_at, a.id))
             and not exists (select from announcement_channels c
                 where c.channel = a.channel and c.free_at > now())
           order by a.next_at, a.created_at, a.id
           limit 1
           for update of a skip locked"#
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(Next::Idle) };
    let parent = row.parent_ts.zip(row.parent_channel).map(|(ts, channel)| Posted { channel, ts });
    let unpostable = if row.doubts > MAX_DOUBTS {
        Some(format!("{} posts went without an answer; it may stand in the channel", row.doubts))
    } else {
        orphaned(row.kind, row.parent_state.as_deref(), row.parent_error.as_deref())
    };
    if let Some(reason) = unpostable {
        give_up(&mut *tx, row.id, &reason).await?;
        tx.commit().await?;
        return Ok(Next::Unpostable { id: row.id, reason });
    }
    if !take_turn(&mut tx, &row.channel, pace).await? {
        return Ok(Next::Idle);
    }
    let taken = sqlx::query!(
        "update announcements
         set state = 'posting', attempts = attempts + 1, doubts = $2, next_at = now() + make_interval(secs => $3)
         where id = $1 returning attempts, next_at",
        row.id,
        row.doubts,
        POSTING_GRACE.as_secs_f64(),
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Next::Claimed(Box::new(Claim {
        id: row.id,
        kind: row.kind,
        channel: row.channel,
        message: row.message.0,
        attempts: taken.attempts,
        lease: taken.next_at,
        parent,
    })))
}

/// Why an announcement has no thread to go to. A summary without any first message (Slack was configured
/// after the incident began) stands on its own.
fn orphaned(kind: Kind, parent_state: Option<&str>, parent_error: Option<&str>) -> Option<String> {
    match (kind, parent_state) {
        (Kind::Parent, _) | (_, Some("posted")) | (Kind::Summary, None) => None,
        (_, None) => Some("the incident has no first message".to_owned()),
        (_, Some(_)) => {
            let why = parent_error.unwrap_or("unknown reason");
            Some(format!("the incident's first message was not posted: {why}"))
        }
    }
}

/// One turn a `pace` and channel, over all replicas; false when another one was quicker.
async fn take_turn(db: &mut PgConnection, channel: &str, pace: Duration) -> sqlx::Result<bool> {
    let turn = sqlx::query!(
        "insert into announcement_channels (channel, free_at) values ($1, now() + make_interval(secs => $2))
         on conflict (channel) do update set free_at = excluded.free_at
         where announcement_channels.free_at <= now()",
        channel,
        pace.as_secs_f64(),
    );
    Ok(turn.execute(db).await?.rows_affected() == 1)
}

/// Stores where the message stands. False when the claim had run out and the row is no longer ours.
pub async fn posted(
    db: impl PgExecutor<'_>,
    claim: &Claim,
    at: &Posted,
    pace: Duration,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with done as (
             update announcements
             set state = 'posted', message_ts = $3, channel_id = $4, posted_at = now(), error = null
             where id = $1 and state = 'posting' and next_at = $2 returning channel)
         update announcement_channels c set free_at = greatest(c.free_at, now() + make_interval(secs => $5))
         from done where c.channel = done.channel",
        claim.id,
        claim.lease,
        at.ts,
        at.channel,
        pace.as_secs_f64(),
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Not posted: try again after `wait`.
pub async fn retry(db: impl PgExecutor<'_>, claim: &Claim, wait: Duration, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements
         set state = 'waiting', next_at = now() + make_interval(secs => $3), error = $4
         where id = $1 and state = 'posting' and next_at = $2",
        claim.id,
        claim.lease,
        wait.as_secs_f64(),
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Not posted because the channel is rate limited: nothing goes there before `wait` is over. The attempt
/// does not count.
pub async fn hold(db: impl PgExecutor<'_>, claim: &Claim, wait: Duration, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "with held as (
             update announcements
             set state = 'waiting', attempts = attempts - 1, error = $4,
                 next_at = now() + make_interval(secs => $3)
             where id = $1 and state = 'posting' and next_at = $2)
         update announcement_channels set free_at = greatest(free_at, now() + make_interval(secs => $3))
         where channel = $5",
        claim.id,
        claim.lease,
        wait.as_secs_f64(),
        why,
        claim.channel,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Perhaps posted: the row stays `posting` and is taken up again when the grace is over.
pub async fn doubt(db: impl PgExecutor<'_>, claim: &Claim, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements set error = $3 where id = $1 and state = 'posting' and next_at = $2",
        claim.id,
        claim.lease,
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Will never be posted.
pub async fn fail(db: impl PgExecutor<'_>, claim: &Claim, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements set state = 'failed', failed_at = now(), error = $3
         where id = $1 and state = 'posting' and next_at = $2",
        claim.id,
        claim.lease,
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn give_up(db: impl PgExecutor<'_>, id: Uuid, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements set state = 'failed', failed_at = now(), error = $2 where id = $1",
        id,
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What failed for good within the last day, newest first, for `/readyz`.
pub async fn failed_reasons(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Failure>> {
    sqlx::query_as!(
        Failure,
        r#"select channel, coalesce(error, 'unknown reason') as "reason!", count(*) as "count!",
                  max(failed_at) as "last_at!"
           from announcements
           where state = 'failed' and failed_at > now() - interval '1 day'
           group by 1, 2 order by 4 desc limit $1"#,
        MAX_FAILURES,
    )
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replies_can_be_orphans() {
        assert_eq!(orphaned(Kind::Parent, None, None), None);
        assert_eq!(orphaned(Kind::Summary, Some("posted"), None), None);
        assert_eq!(orphaned(Kind::Summary, None, None), None, "stands on its own");
        assert!(orphaned(Kind::Update, None, None).unwrap().contains("no first message"));
        let reason = orphaned(Kind::Summary, Some("failed"), Some("channel_not_found")).unwrap();
        assert!(reason.ends_with("channel_not_found"), "{reason}");
    }
}
