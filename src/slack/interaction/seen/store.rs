//! Ids of requests that were acted on, in Postgres, so that all replicas know them.

use std::time::Duration;

use sqlx::PgExecutor;

/// Longer than a request's signature holds, and than Slack repeats an event.
const KEPT: Duration = Duration::from_secs(2 * 3600);

/// True for one caller alone, however many ask.
///
/// # Errors
/// The database's.
pub async fn is_new(db: impl PgExecutor<'_>, id: &str) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "with old as (delete from slack_requests where at < now() - make_interval(secs => $2))
         insert into slack_requests (id) values ($1) on conflict (id) do nothing",
        id,
        KEPT.as_secs_f64(),
    );
    Ok(added.execute(db).await?.rows_affected() == 1)
}
