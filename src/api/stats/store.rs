//! Investigations counted by week. It writes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::api::access::Reach;

/// What ended in one week.
#[derive(Debug, Serialize, ToSchema)]
pub struct Week {
    /// Its Monday, 00:00 UTC.
    pub week: DateTime<Utc>,
    pub known_pattern: i64,
    pub root_cause: i64,
    pub inconclusive: i64,
    pub not_an_incident: i64,
    /// Given up.
    pub dead: i64,
    /// Found a cause, or that nothing is wrong, and nobody called it unhelpful.
    pub useful: i64,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub output_tokens: i64,
    pub usd: f64,
    /// From claim to report, half took longer.
    pub median_seconds: Option<f64>,
    pub helpful: i64,
    pub unhelpful: i64,
}

pub async fn weeks(db: impl PgExecutor<'_>, weeks: i32, reach: &Reach) -> sqlx::Result<Vec<Week>> {
    sqlx::query_as!(
        Week,
        r#"with said as (
             select investigation_id, count(*) filter (where verdict = 'helpful') as helpful,
                    count(*) filter (where verdict = 'unhelpful') as unhelpful
             from feedback group by investigation_id),
           ended as (
             select v.finished_at, v.started_at, v.state, v.outcome, v.usd, v.input_tokens, v.cached_tokens,
                    v.output_tokens, coalesce(s.helpful, 0) as helpful, coalesce(s.unhelpful, 0) as unhelpful
             from investigations v left join said s on s.investigation_id = v.id
             where state in ('done', 'dead')
               and finished_at >= date_trunc('week', now(), 'UTC') - make_interval(weeks => $1 - 1)
               and (cardinality($2::text[]) = 0 or cluster ~ any($2))
               and (cardinality($3::text[]) = 0 or namespace ~ any($3)))
           select date_trunc('week', finished_at, 'UTC') as "week!",
                  count(*) filter (where outcome = 'known_pattern') as "known_pattern!",
                  count(*) filter (where outcome = 'root_cause') as "root_cause!",
                  count(*) filter (where outcome = 'inconclusive') as "inconclusive!",
                  count(*) filter (where outcome = 'not_an_incident') as "not_an_incident!",
                  count(*) filter (where state = 'dead') as "dead!",
                  count(*) filter (where outcome <> 'inconclusive' and unhelpful = 0) as "useful!",
                  coalesce(sum(input_tokens), 0)::int8 as "input_tokens!",
                  coalesce(sum(cached_tokens), 0)::int8 as "cached_tokens!",
                  coalesce(sum(output_tokens), 0)::int8 as "output_tokens!",
                  coalesce(sum(usd), 0)::float8 as "usd!",
                  percentile_cont(0.5) within group (order by extract(epoch from finished_at - started_at)::float8)
                    as median_seconds,
                  coalesce(sum(helpful), 0)::int8 as "helpful!", coalesce(sum(unhelpful), 0)::int8 as "unhelpful!"
           from ended group by 1 order by 1 desc"#,
        weeks,
        &reach.clusters,
        &reach.namespaces
    )
    .fetch_all(db)
    .await
}
