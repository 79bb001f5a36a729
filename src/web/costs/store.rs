//! What investigations cost, week by week. It writes nothing, and counts only what a reader may see.

use chrono::NaiveDate;
use sqlx::PgExecutor;

use crate::api::access::Reach;

/// One week, from Monday.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Week {
    pub monday: NaiveDate,
    pub investigations: i64,
    /// Ended with a cause, or with the proof that nothing is broken.
    pub answered: i64,
    pub usd: f64,
    pub tokens: i64,
    pub seconds: f64,
}

/// The last weeks in which an investigation ended, the newest first.
pub(super) async fn weeks(db: impl PgExecutor<'_>, weeks: i32, reach: &Reach) -> sqlx::Result<Vec<Week>> {
    sqlx::query_as!(
        Week,
        r#"select date_trunc('week', finished_at at time zone 'UTC')::date as "monday!",
                  count(*) as "investigations!",
                  count(*) filter (where outcome in ('known_pattern', 'root_cause', 'not_an_incident')) as "answered!",
                  coalesce(sum(usd), 0) as "usd!",
                  coalesce(sum(input_tokens + output_tokens), 0)::int8 as "tokens!",
                  coalesce(sum(extract(epoch from finished_at - started_at)), 0)::float8 as "seconds!"
           from investigations
           where state in ('done', 'dead') and finished_at >= date_trunc('week', now(), 'UTC') - make_interval(weeks => $1 - 1)
             and (cardinality($2::text[]) = 0 or cluster ~ any($2))
             and (cardinality($3::text[]) = 0 or namespace ~ any($3))
           group by 1 order by 1 desc"#,
        weeks,
        &reach.clusters,
        &reach.namespaces
    )
    .fetch_all(db)
    .await
}
