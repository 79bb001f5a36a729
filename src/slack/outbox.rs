//! The outbox in Postgres: what is still to be said, and what was said. `news` enter it inside the
//! caller's transaction, so that an incident and its words are committed together; `queue` hands out what is due, one at a
//! time, and `outcome` stores what became of it. Only `announcements` and `announcement_channels` are written here.

mod news;
mod outcome;
mod progress;
pub mod queue;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

pub use news::{News, Standing, enqueue, forget, standing, withdraw};
pub use progress::{forget_progress, progress};

/// Failures and held channels shown on `/readyz`.
const MAX_SHOWN: i64 = 20;

/// Announcements that will never be posted, grouped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub channel: String,
    pub reason: String,
    pub count: i64,
    pub last_at: DateTime<Utc>,
}

/// A channel to which nothing can be posted now; its announcements wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    pub channel: String,
    pub reason: String,
    pub since: Option<DateTime<Utc>>,
    /// The next try.
    pub until: DateTime<Utc>,
    pub waiting: i64,
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
        MAX_SHOWN,
    )
    .fetch_all(db)
    .await
}

/// Channels that are held for a fault, longest first, for `/readyz`.
pub async fn held(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Held>> {
    sqlx::query_as!(
        Held,
        r#"select c.channel, c.fault as "reason!", c.fault_since as since, c.free_at as until,
                  (select count(*) from announcements a
                   where a.channel = c.channel and a.state in ('waiting', 'posting')) as "waiting!"
           from announcement_channels c where c.fault is not null
           order by c.fault_since, c.channel limit $1"#,
        MAX_SHOWN,
    )
    .fetch_all(db)
    .await
}

/// The incident that a thread is about.
pub async fn incident_of(
    db: impl PgExecutor<'_>,
    channel_id: &str,
    thread_ts: &str,
) -> sqlx::Result<Option<uuid::Uuid>> {
    sqlx::query_scalar!(
        "select incident_id from announcements
         where kind = 'parent' and channel_id = $1 and message_ts = $2 and state = 'posted'
         order by posted_at desc limit 1",
        channel_id,
        thread_ts
    )
    .fetch_optional(db)
    .await
}

/// How many announcements are still to be said.
pub async fn unsaid(db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from announcements where state in ('waiting', 'posting')"#
    )
    .fetch_one(db)
    .await
}

/// A process has started, perhaps with another token or other channels: what is held is tried again now, and what
/// waits for a channel that does not work and that no setting names any more goes to the first of `channels`. A thread
/// goes on where it began.
pub async fn try_again(db: impl PgExecutor<'_>, channels: &[String]) -> sqlx::Result<u64> {
    let freed = sqlx::query!(
        "with moved as (
             update announcements a set channel = ($1::text[])[1] from announcement_channels c
             where cardinality($1::text[]) > 0 and c.channel = a.channel and c.fault is not null
               and a.state = 'waiting' and a.channel <> all($1))
         update announcement_channels set free_at = now() where fault is not null and free_at > now()",
        channels,
    );
    Ok(freed.execute(db).await?.rows_affected())
}

/// Nothing goes to the channel before `wait` is over. A `fault` is shown until a post goes well; None is Slack's
/// own pace.
pub async fn hold(
    db: impl PgExecutor<'_>,
    channel: &str,
    wait: Duration,
    fault: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into announcement_channels as c (channel, free_at, fault, fault_since, faults)
         values ($1, now() + make_interval(secs => $2), $3, case when $3::text is not null then now() end,
                 case when $3::text is not null then 1 else 0 end)
         on conflict (channel) do update set
             free_at = greatest(c.free_at, excluded.free_at), fault = coalesce(excluded.fault, c.fault),
             fault_since = coalesce(c.fault_since, excluded.fault_since), faults = c.faults + excluded.faults",
        channel,
        wait.as_secs_f64(),
        fault,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What was learnt of the channel's id is wrong by now.
pub async fn forget_id(db: impl PgExecutor<'_>, channel: &str) -> sqlx::Result<()> {
    sqlx::query!("update announcement_channels set channel_id = null where channel = $1", channel)
        .execute(db)
        .await?;
    Ok(())
}
