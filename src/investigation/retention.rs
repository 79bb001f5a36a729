//! Forgets old evidence and, with their incident, old investigations, a batch a transaction. What is still worked
//! on is never touched.

use sqlx::PgExecutor;
use uuid::Uuid;

/// Deletes what up to `limit` investigations looked at and said, if they ended more than `days` ago; their reports
/// stay. Returns how many investigations that were.
///
/// # Errors
/// The database's.
pub async fn forget_evidence(
    executor: impl PgExecutor<'_>,
    days: i32,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with old as (
             select id from investigations v
             where finished_at < now() - make_interval(days => $1) and state in ('done', 'dead', 'cancelled')
               and (exists (select from steps s where s.investigation_id = v.id)
                    or exists (select from runs r where r.investigation_id = v.id))
             limit $2 for update skip locked),
           s as (delete from steps using old where investigation_id = old.id),
           t as (delete from turns using old where investigation_id = old.id),
           r as (delete from runs using old where investigation_id = old.id)
           select count(*) as "count!" from old"#,
        days,
        limit
    )
    .fetch_one(executor)
    .await
}

/// Deletes the investigations of incidents that are forgotten.
///
/// # Errors
/// The database's.
pub async fn forget(executor: impl PgExecutor<'_>, incidents: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from investigations where incident_id = any($1)", incidents)
        .execute(executor)
        .await
        .map(|_| ())
}
