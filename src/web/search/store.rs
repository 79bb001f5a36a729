//! What the search reads from Postgres. It writes nothing, and returns only what a reader may see.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Filter;
use crate::api::access::Reach;

#[derive(Debug)]
pub(super) struct Hit {
    pub id: Uuid,
    pub workload: String,
    pub alert_name: String,
    pub state: String,
    pub outcome: Option<String>,
    pub cause_id: Option<String>,
    pub summary: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The newest that hold all words.
/// most reports would read them all; those are found by going through the newest instead.
pub(super) async fn words(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    reach: &Reach,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        "select id, workload, alert_name, state, outcome, cause_id, summary, created_at from investigations
         where search @@ websearch_to_tsquery('english', $1)
           and ($2 = '' or cluster = $2) and ($3 = '' or namespace = $3)
           and ($4 = '' or workload = $4 or split_part(workload, '/', 4) = $4)
           and ($5 = '' or outcome = $5) and ($6 = '' or cause_id = $6)
           and ($7::timestamptz is null or created_at >= $7)
           and (cardinality($8::text[]) = 0 or cluster ~ any($8))
           and (cardinality($9::text[]) = 0 or namespace ~ any($9))
         order by created_at desc, id desc limit $10",
        filter.q,
        filter.cluster,
        filter.namespace,
        filter.workload,
        filter.outcome,
        filter.cause,
        filter.since_at,
        &reach.clusters,
        &reach.namespaces,
        limit
    )
    .fetch_all(db)
    .await
}

/// The newest, without words.
pub(super) async fn newest(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    reach: &Reach,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        "select id, workload, alert_name, state, outcome, cause_id, summary, created_at from investigations
         where ($1 = '' or cluster = $1) and ($2 = '' or namespace = $2)
           and ($3 = '' or workload = $3 or split_part(workload, '/', 4) = $3)
           and ($4 = '' or outcome = $4) and ($5 = '' or cause_id = $5)
           and ($6::timestamptz is null or created_at >= $6)
           and (cardinality($7::text[]) = 0 or cluster ~ any($7))
           and (cardinality($8::text[]) = 0 or namespace ~ any($8))
         order by created_at desc, id desc limit $9",
        filter.cluster,
        filter.namespace,
        filter.workload,
        filter.outcome,
        filter.cause,
        filter.since_at,
        &reach.clusters,
        &reach.namespaces,
        limit
    )
    .fetch_all(db)
    .await
}
