//! Work that one replica does for all, now and then: whoever asks first when it is due takes the turn. A replica
//! that stands still in the middle delays nothing but that turn, which a lock held meanwhile would not promise.

use std::time::Duration;

use sqlx::PgExecutor;

/// True for one caller every `every`, by the database's clock, over all replicas.
///
/// # Errors
/// The database's.
pub async fn turn(db: impl PgExecutor<'_>, name: &str, every: Duration) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "insert into chores (name, due_at) values ($1, now() + make_interval(secs => $2))
         on conflict (name) do update set due_at = excluded.due_at where chores.due_at <= now()",
        name,
        every.as_secs_f64()
    );
    Ok(taken.execute(db).await?.rows_affected() == 1)
}
