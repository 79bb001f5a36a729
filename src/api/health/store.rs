//! The one question of readiness. It writes nothing.

use sqlx::PgExecutor;

/// Does the database answer?
pub(super) async fn ping(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(db).await.map(|_| ())
}
