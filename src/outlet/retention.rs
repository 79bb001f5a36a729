//! Forgets what outlets were told long ago. What still waits is kept, and so is what tells that an open incident was told
//! of, because people are told its end only then. With an incident goes all that was told of it.

use sqlx::PgExecutor;

/// Deletes up to `limit` deliveries that ended more than `days` ago, of incidents that are over, and returns how many.
///
/// # Errors
/// The database's.
pub async fn forget(db: impl PgExecutor<'_>, days: i32, limit: i64) -> sqlx::Result<i64> {
    let deleted = sqlx::query!(
        "delete from deliveries where id in (
           select d.id from deliveries d join incidents i on i.id = d.incident_id
           where d.state <> 'waiting' and d.ended_at < now() - make_interval(days => $1) and i.state = 'resolved'
           limit $2 for update of d skip locked)",
        days,
        limit
    )
    .execute(db)
    .await?;
    Ok(i64::try_from(deleted.rows_affected()).unwrap_or(i64::MAX))
}
