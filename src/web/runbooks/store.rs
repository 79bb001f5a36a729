//! How runbooks did, from the investigations that followed them. It writes nothing, and counts only what a reader may
//! see.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::api::access::Reach;

/// A runbook's last days.
#[derive(Debug)]
pub(super) struct Used {
    pub runbook: String,
    pub investigations: i64,
    /// Of them, those in which it was written for the alert.
    pub covered: i64,
    pub found: i64,
    /// Requests to sources, and those of whose answer nothing is quoted.
    pub calls: i64,
    pub wasted: i64,
    pub helpful: i64,
    pub unhelpful: i64,
    pub last_at: DateTime<Utc>,
}

/// One runbook, or all where `name` is "": of its newest investigations, none older than so many days.
pub(super) async fn used(
    db: impl PgExecutor<'_>,
    name: &str,
    (newest, days): (i64, i32),
    reach: &Reach,
) -> sqlx::Result<Vec<Used>> {
    sqlx::query_as!(
        Used,
        r#"with one as materialized (
               select id, runbook, outcome, report, finished_at from investigations
               where state = 'done' and runbook is not null and created_at > now() - make_interval(days => $2)
                 and ($1 = '' or runbook = $1)
                 and (cardinality($3::text[]) = 0 or cluster ~ any($3))
                 and (cardinality($4::text[]) = 0 or namespace ~ any($4))
               order by created_at desc, id desc limit $5
           ), calls as (
               select o.runbook, count(*) as calls,
                      count(*) filter (where not jsonb_path_exists(
                          o.report, '$.evidence[*].id ? (@ == $id)', jsonb_build_object('id', s.evidence))) as wasted
               from one o join steps s on s.investigation_id = o.id group by o.runbook
           ), said as (
               select o.runbook, count(*) filter (where f.verdict = 'helpful') as helpful,
                      count(*) filter (where f.verdict = 'unhelpful') as unhelpful
               from one o join feedback f on f.investigation_id = o.id group by o.runbook
           )
           select o.runbook as "runbook!", count(*) as "investigations!",
                  count(*) filter (where report #>> '{runbook,coverage}' = 'covered') as "covered!",
                  count(*) filter (where o.outcome in ('known_pattern', 'root_cause')) as "found!",
                  coalesce(max(c.calls), 0) as "calls!", coalesce(max(c.wasted), 0) as "wasted!",
                  coalesce(max(s.helpful), 0) as "helpful!", coalesce(max(s.unhelpful), 0) as "unhelpful!",
                  max(o.finished_at) as "last_at!"
           from one o left join calls c using (runbook) left join said s using (runbook)
           group by o.runbook order by count(*) desc, o.runbook limit 200"#,
        name,
        days,
        &reach.clusters,
        &reach.namespaces,
        newest
    )
    .fetch_all(db)
    .await
}

/// An investigation that followed it.
#[derive(Debug)]
pub(super) struct Followed {
    pub id: Uuid,
    pub workload: String,
    pub alert_name: String,
    pub state: String,
    pub outcome: Option<String>,
    pub created_at: DateTime<Utc>,
}

pub(super) async fn followed(
    db: impl PgExecutor<'_>,
    name: &str,
    reach: &Reach,
    limit: i64,
) -> sqlx::Result<Vec<Followed>> {
    sqlx::query_as!(
        Followed,
        "select id, workload, alert_name, state, outcome, created_at from investigations
         where runbook = $1
           and (cardinality($2::text[]) = 0 or cluster ~ any($2))
           and (cardinality($3::text[]) = 0 or namespace ~ any($3))
         order by created_at desc, id desc limit $4",
        name,
        &reach.clusters,
        &reach.namespaces,
        limit
    )
    .fetch_all(db)
    .await
}
