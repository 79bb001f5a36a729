//! What came of runbooks, counted over the last days among what a caller sees. It writes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::api::access::Reach;

/// Alerts listed as not covered: beyond it nobody reads.
const MAX_UNCOVERED: i64 = 100;

/// How often a runbook was followed, and what came of it.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Usage {
    /// Done under it.
    pub investigations: i64,
    /// Of them: written for the alert or workload, by its own account.
    pub covered: i64,
    /// Of them: a cause was found.
    pub explained: i64,
    /// Of them: nothing was wrong.
    pub healthy: i64,
    /// Of them: neither.
    pub inconclusive: i64,
    /// Calls of tools by agents.
    pub calls: i64,
    /// Of them: failed, were repeated or not run, or brought nothing that the report quotes.
    pub wasted_calls: i64,
    pub helpful: i64,
    pub unhelpful: i64,
    pub usd: f64,
    pub last_at: Option<DateTime<Utc>>,
}

/// An alert without a runbook of its own.
#[derive(Debug, Serialize, ToSchema)]
pub struct Uncovered {
    pub alert: String,
    /// Investigations that followed no runbook, or only a general one.
    pub investigations: i64,
    /// Of them: no cause was found.
    pub unexplained: i64,
    pub last_at: DateTime<Utc>,
}

pub async fn usage(db: impl PgExecutor<'_>, days: i32, reach: &Reach) -> sqlx::Result<Vec<(String, Usage)>> {
    let rows = sqlx::query!(
        r#"with said as (
             select investigation_id, count(*) filter (where verdict = 'helpful') as helpful,
                    count(*) filter (where verdict = 'unhelpful') as unhelpful
             from feedback group by investigation_id),
           asked as (
             select t.investigation_id, count(*) as calls,
                    count(*) filter (where a ->> 'kind' <> 'observed'
                      or not coalesce(v.report -> 'evidence', '[]')
                             @> jsonb_build_array(jsonb_build_object('id', a ->> 'evidence'))) as wasted
             from turns t join investigations v on v.id = t.investigation_id, jsonb_array_elements(t.answers) a
             where v.state = 'done' and v.finished_at > now() - make_interval(days => $1)
               and a ->> 'kind' in ('observed', 'repeated', 'failed', 'left')
             group by t.investigation_id)
           select d.runbook as "runbook!", count(*) as "investigations!",
                  count(*) filter (where d.coverage = 'covered') as "covered!",
                  count(*) filter (where d.outcome in ('known_pattern', 'root_cause')) as "explained!",
                  count(*) filter (where d.outcome = 'not_an_incident') as "healthy!",
                  count(*) filter (where d.outcome = 'inconclusive') as "inconclusive!",
                  coalesce(sum(a.calls), 0)::int8 as "calls!", coalesce(sum(a.wasted), 0)::int8 as "wasted!",
                  coalesce(sum(s.helpful), 0)::int8 as "helpful!",
                  coalesce(sum(s.unhelpful), 0)::int8 as "unhelpful!",
                  coalesce(sum(d.usd), 0)::float8 as "usd!", max(d.finished_at) as last_at
           from investigations d
             left join asked a on a.investigation_id = d.id left join said s on s.investigation_id = d.id
           where d.state = 'done' and d.runbook is not null and d.finished_at > now() - make_interval(days => $1)
             and (cardinality($2::text[]) = 0 or d.cluster ~ any($2))
             and (cardinality($3::text[]) = 0 or d.namespace ~ any($3))
           group by d.runbook"#,
        days,
        &reach.clusters,
        &reach.namespaces
    )
    .fetch_all(db)
    .await?;
    let usage = rows.into_iter().map(|row| {
        let usage = Usage {
            investigations: row.investigations,
            covered: row.covered,
            explained: row.explained,
            healthy: row.healthy,
            inconclusive: row.inconclusive,
            calls: row.calls,
            wasted_calls: row.wasted,
            helpful: row.helpful,
            unhelpful: row.unhelpful,
            usd: row.usd,
            last_at: row.last_at,
        };
        (row.runbook, usage)
    });
    Ok(usage.collect())
}

pub async fn uncovered(db: impl PgExecutor<'_>, days: i32, reach: &Reach) -> sqlx::Result<Vec<Uncovered>> {
    sqlx::query_as!(
        Uncovered,
        r#"select alert_name as alert, count(*) as "investigations!",
                  count(*) filter (where outcome = 'inconclusive') as "unexplained!",
                  max(finished_at) as "last_at!"
           from investigations
           where state = 'done' and coverage <> 'covered'
             and finished_at > now() - make_interval(days => $1)
             and (cardinality($2::text[]) = 0 or cluster ~ any($2))
             and (cardinality($3::text[]) = 0 or namespace ~ any($3))
           group by alert_name
           order by count(*) desc, alert_name
           limit $4"#,
        days,
        &reach.clusters,
        &reach.namespaces,
        MAX_UNCOVERED
    )
    .fetch_all(db)
    .await
}
