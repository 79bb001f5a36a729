//! Heads of threads that nobody decided about yet, in the outbox: `undecided` hands out those that are due for a look,
//! the other functions store what became of them. A head is changed only while it was never posted; it asks Slack
//! nothing.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

use super::choose::Wanted;
use crate::alert::Alert;
use crate::slack::client::Posted;

/// Heads decided about in one go.
const MAX_HEADS: i64 = 100;
/// Alerts of an incident that are compared, the newest.
const MAX_ALERTS: i64 = 20;
/// Messages of other incidents are remembered for so long; older ones are no incident's any more.
const TAKEN_FOR: Duration = Duration::from_secs(24 * 3600);

/// The head of an incident's thread, not posted yet.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: Uuid,
    pub(super) channel: String,
    pub(super) channel_id: Option<String>,
    /// How long it has been waiting, and is worth waiting.
    pub(super) age: Duration,
    pub(super) left: Duration,
    pub(super) wanted: Wanted,
}

/// How sure the best match was, and why it was taken or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict<'a> {
    pub(super) score: i32,
    pub(super) reason: &'a str,
}

/// Those of one channel that are due, for `lease` nobody else's.
pub(super) async fn undecided(db: impl PgExecutor<'_>, lease: Duration) -> sqlx::Result<Vec<Head>> {
    let rows = sqlx::query!(
        r#"with first as (
               select channel from announcements
               where thread_until is not null and thread is null and state = 'waiting' and thread_look_at <= now()
               order by thread_look_at limit 1
           ), due as (
               select a.id from announcements a join first f on f.channel = a.channel
               where a.thread_until is not null and a.thread is null and a.state = 'waiting'
                 and a.thread_look_at <= now()
               order by a.thread_look_at, a.id limit $1 for update of a skip locked
           ), taken as (
               update announcements a set thread_look_at = now() + make_interval(secs => $2)
               from due where a.id = due.id returning a.*
           )
           select t.id as "id!", t.channel as "channel!", c.channel_id as "channel_id?", t.created_at as "opened_at!",
                  i.cluster as "cluster!",
                  extract(epoch from now() - t.created_at)::float8 as "age!",
                  extract(epoch from t.thread_until - now())::float8 as "left!",
                  (select coalesce(jsonb_agg(one.body), '[]') from (
                       select a.body from alerts a where a.incident_id = t.incident_id and a.status = 'firing'
                       order by a.received_at desc limit $3) one) as "alerts!: Json<Vec<Alert>>"
           from taken t join incidents i on i.id = t.incident_id
           left join announcement_channels c on c.channel = t.channel"#,
        MAX_HEADS,
        lease.as_secs_f64(),
        MAX_ALERTS,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Head {
            id: row.id,
            channel: row.channel,
            channel_id: row.channel_id,
            age: seconds(row.age),
            left: seconds(row.left),
            wanted: Wanted { cluster: row.cluster, opened_at: row.opened_at, alerts: row.alerts.0 },
        })
        .collect())
}

fn seconds(of: f64) -> Duration {
    Duration::try_from_secs_f64(of.max(0.0)).unwrap_or_default()
}

/// Messages of the channel that are incidents' already.
pub(super) async fn taken(db: impl PgExecutor<'_>, channel_id: &str) -> sqlx::Result<HashSet<String>> {
    let rows = sqlx::query_scalar!(
        r#"select matched_ts as "ts!" from announcements
           where channel_id = $1 and matched_ts is not null and posted_at > now() - make_interval(secs => $2)"#,
        channel_id,
        TAKEN_FOR.as_secs_f64(),
    );
    Ok(rows.fetch_all(db).await?.into_iter().collect())
}

/// The incident's thread is the bot's: `at` is where replies go, `matched` the message about the alert. False where it
/// belongs to another incident by now, or the head was posted or withdrawn meanwhile.
pub(super) async fn adopt(
    db: impl PgExecutor<'_>,
    id: Uuid,
    at: &Posted,
    matched: &str,
    verdict: Verdict<'_>,
) -> sqlx::Result<bool> {
    let adopted = sqlx::query!(
        "update announcements set state = 'posted', thread = 'adopted', message_ts = $2, channel_id = $3,
             matched_ts = $4, thread_score = $5, thread_reason = $6, posted_at = now(), error = null
         where id = $1 and state = 'waiting' and attempts = 0 and thread is null",
        id,
        at.ts,
        at.channel,
        matched,
        verdict.score,
        verdict.reason,
    );
    match adopted.execute(db).await {
        Ok(done) => Ok(done.rows_affected() == 1),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A message of our own begins the thread, now.
pub(super) async fn own(db: impl PgExecutor<'_>, id: Uuid, verdict: Verdict<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements
         set thread = 'own', thread_score = $2, thread_reason = $3, next_at = least(next_at, now())
         where id = $1 and state = 'waiting' and thread is null",
        id,
        verdict.score,
        verdict.reason,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Looked for again after `wait`.
pub(super) async fn later(db: impl PgExecutor<'_>, id: Uuid, wait: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements set thread_look_at = now() + make_interval(secs => $2)
         where id = $1 and state = 'waiting' and thread is null",
        id,
        wait.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The bot's message is gone: the incident's head is posted after all.
pub(in crate::slack) async fn disown(db: impl PgExecutor<'_>, head: Uuid, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update announcements set state = 'waiting', thread = 'own', message_ts = null, matched_ts = null,
             posted_at = null, thread_reason = $2, next_at = now()
         where id = $1 and thread = 'adopted'",
        head,
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}
