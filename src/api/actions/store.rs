//! What actions look up before they are done. It writes nothing.

use sqlx::PgExecutor;
use uuid::Uuid;

/// The workload of a mute, whether it is in force or not.
pub async fn muted_workload(db: impl PgExecutor<'_>, mute: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select workload from mutes where id = $1", mute).fetch_optional(db).await
}

pub async fn open_incident(db: impl PgExecutor<'_>, workload: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("select id from incidents where workload = $1 and state = 'open'", workload)
        .fetch_optional(db)
        .await
}
