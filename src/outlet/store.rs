//! How outlets stand, for `/readyz`, `whodunit stats` and metrics. It writes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;

/// Outlets and reasons shown on `/readyz`.
const MAX_SHOWN: i64 = 20;

/// How many deliveries of an outlet there are in each state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub outlet: String,
    pub waiting: i64,
    pub delivered: i64,
    pub dead: i64,
}

/// An outlet to which nothing can be delivered now; what is for it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    pub outlet: String,
    pub reason: String,
    pub since: Option<DateTime<Utc>>,
    /// The next try.
    pub until: DateTime<Utc>,
    pub waiting: i64,
}

/// Deliveries that will never arrive, grouped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub outlet: String,
    pub reason: String,
    pub count: i64,
    pub last_at: DateTime<Utc>,
}

/// Every outlet that was told anything that is not forgotten, by name.
///
/// # Errors
/// The database's.
pub async fn standing(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"select outlet, count(*) filter (where state = 'waiting') as "waiting!",
                  count(*) filter (where state = 'delivered') as "delivered!",
                  count(*) filter (where state = 'dead') as "dead!"
           from deliveries group by outlet order by outlet"#
    )
    .fetch_all(db)
    .await
}

/// How many deliveries wait for each outlet that any waits for.
///
/// # Errors
/// The database's.
pub async fn waiting(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select outlet, count(*) as "count!" from deliveries where state = 'waiting' group by outlet"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.outlet, row.count)).collect())
}

/// Outlets that are held for a fault and that something waits for, longest first.
///
/// # Errors
/// The database's.
pub async fn held(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Held>> {
    sqlx::query_as!(
        Held,
        r#"select o.outlet, o.fault as "reason!", o.fault_since as since, o.free_at as until, w.waiting as "waiting!"
           from delivery_outlets o
           cross join lateral (select count(*) as waiting from deliveries d
                               where d.outlet = o.outlet and d.state = 'waiting') w
           where o.fault is not null and w.waiting > 0
           order by o.fault_since, o.outlet limit $1"#,
        MAX_SHOWN,
    )
    .fetch_all(db)
    .await
}

/// What died within the last day, newest first.
///
/// # Errors
/// The database's.
pub async fn failed_reasons(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Failure>> {
    sqlx::query_as!(
        Failure,
        r#"select outlet, coalesce(error, 'unknown reason') as "reason!", count(*) as "count!",
                  max(ended_at) as "last_at!"
           from deliveries
           where state = 'dead' and ended_at > now() - interval '1 day'
           group by 1, 2 order by 4 desc limit $1"#,
        MAX_SHOWN,
    )
    .fetch_all(db)
    .await
}
