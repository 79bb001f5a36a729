//! Forgets what was done long ago: lines of the audit trail, and mutes that are over. Feedback goes with its
//! investigation.

use sqlx::PgExecutor;

/// Deletes up to `limit` lines of the trail and as many mutes that are older, or over for longer, than `days`, and
/// returns how many that were.
///
/// # Errors
/// The database's.
pub async fn forget(executor: impl PgExecutor<'_>, days: i32, limit: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with a as (
             delete from audit where id in (
               select id from audit where at < now() - make_interval(days => $1)
               limit $2 for update skip locked) returning 1),
           m as (
             delete from mutes where id in (
               select id from mutes where least(until, coalesce(lifted_at, until)) < now() - make_interval(days => $1)
               limit $2 for update skip locked) returning 1)
           select (select count(*) from a) + (select count(*) from m) as "count!""#,
        days,
        limit
    )
    .fetch_one(executor)
    .await
}
