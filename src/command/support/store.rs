//! What a report of a fault tells of the database: versions, sizes, and faults by their words. It writes nothing.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// Different faults that are told.
const MAX_FAULTS: i64 = 20;

/// One table with its indexes; rows as the statistics have them.
pub(super) struct Table {
    pub name: String,
    pub rows: i64,
    pub bytes: i64,
}

/// What attempts failed with, in the same words.
pub(super) struct Fault {
    pub error: String,
    pub times: i64,
    pub last: DateTime<Utc>,
}

/// The server's, and the last migration's.
pub(super) async fn versions(pool: &PgPool) -> sqlx::Result<(String, i64)> {
    // The table is made by the migrations themselves, so its type is not known when this is compiled.
    let schema = sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations");
    let server = sqlx::query_scalar!(r#"select version() as "version!""#);
    Ok((server.fetch_one(pool).await?, schema.fetch_one(pool).await?))
}

pub(super) async fn tables(pool: &PgPool) -> sqlx::Result<Vec<Table>> {
    sqlx::query_as!(
        Table,
        r#"select relname::text as "name!", n_live_tup as "rows!", pg_total_relation_size(relid) as "bytes!"
           from pg_stat_user_tables order by relname"#
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn faults(pool: &PgPool) -> sqlx::Result<Vec<Fault>> {
    sqlx::query_as!(
        Fault,
        r#"select left(error, 300) as "error!", count(*) as "times!", max(created_at) as "last!"
           from investigations
           where error is not null and created_at > now() - interval '7 days'
           group by 1 order by 2 desc, 1 limit $1"#,
        MAX_FAULTS
    )
    .fetch_all(pool)
    .await
}
