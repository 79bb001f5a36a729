//! The outbox in Postgres: what is still to be said, and what was said. `news` enter it inside the
//! caller's transaction, so that an incident and its words are committed together; `queue` hands out what is due, one at a
//! time, and stores what became of it. Only `announcements` and `announcement_channels` are written here.

mod news;
pub mod queue;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

pub use news::{News, Standing, enqueue, forget, standing, withdraw};

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

/// How many announcements are still to be said.
pub async fn unsaid(db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from announcements where state in ('waiting', 'posting')"#
    )
    .fetch_one(db)
    .await
}

/// A process has started, perhaps with another token or channel: what is held is tried again now, and what waits
/// for a channel that does not work goes to the configured one. A thread goes on where it began.
pub async fn try_again(db: impl PgExecutor<'_>, channel: Option<&str>) -> sqlx::Result<u64> {
    let freed = sqlx::query!(
        "with moved as (
             update announcements a set channel = $1 from announcement_channels c
             where $1::text is not null and c.channel = a.channel and c.fault is not null
               and a.state = 'waiting' and a.channel <> $1)
         update announcement_channels set free_at = now() where fault is not null and free_at > now()",
        channel,
    );
    Ok(freed.execute(db).await?.rows_affected())
}
