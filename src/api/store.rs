//! What the API reads from Postgres, row by row as it is answered. It writes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::access::Reach;
use super::filter::{Cursor, Incidents, Investigations};

/// An item of `GET /api/v1/investigations`.
#[derive(Debug, Serialize)]
pub struct Investigation {
    pub id: Uuid,
    pub incident_id: Uuid,
    pub workload: String,
    pub cluster: String,
    pub namespace: String,
    pub state: String,
    pub outcome: Option<String>,
    pub cause_id: Option<String>,
    pub summary: Option<String>,
    pub alert_name: String,
    pub runbook: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// From start to finish.
    pub seconds: Option<f64>,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub output_tokens: i64,
    pub usd: f64,
    pub attempt: i32,
    pub error: Option<String>,
}

/// What the last attempt looked at.
#[derive(Debug, Serialize)]
pub struct Observation {
    pub evidence: String,
    pub source: String,
    pub query: String,
    pub observation: String,
    pub milliseconds: i64,
}

/// An item of `GET /api/v1/incidents`.
#[derive(Debug, Serialize)]
pub struct Incident {
    pub id: Uuid,
    pub workload: String,
    pub cluster: String,
    pub namespace: String,
    pub kind: String,
    pub name: String,
    pub state: String,
    pub severity: String,
    pub title: String,
    pub alert_names: Vec<String>,
    /// Occurrences of alerts attached.
    pub alerts: i32,
    pub investigations: i64,
    pub opened_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub last_investigation: Option<sqlx::types::Json<LastInvestigation>>,
}

#[derive(Debug, Serialize, serde::Deserialize)]
pub struct LastInvestigation {
    pub id: Uuid,
    pub state: String,
    pub outcome: Option<String>,
}

impl Investigation {
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { at: self.created_at, id: self.id }
    }
}

impl Incident {
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { at: self.opened_at, id: self.id }
    }
}

/// One row more than the page holds tells that there is a next one.
pub(super) async fn investigations(
    db: impl PgExecutor<'_>,
    filter: &Investigations,
    reach: &Reach,
) -> sqlx::Result<Vec<Investigation>> {
    sqlx::query_as!(
        Investigation,
        r#"select id, incident_id, workload, cluster, namespace, state, outcome, cause_id, summary, alert_name,
                  runbook, created_at, started_at, finished_at,
                  extract(epoch from finished_at - started_at)::float8 as seconds,
                  input_tokens, cached_tokens, output_tokens, usd, attempt, error
           from investigations
           where ($1::text is null or cluster = $1)
             and ($2::text is null or namespace = $2)
             and ($3::text is null or workload = $3)
             and ($4::text is null or alert_name = $4)
             and ($5::text is null or outcome = $5)
             and ($6::text is null or cause_id = $6)
             and ($7::text is null or state = $7)
             and ($8::timestamptz is null or created_at >= $8)
             and ($9::timestamptz is null or created_at < $9)
             and ($10::text is null or search @@ websearch_to_tsquery('english', $10))
             and ($11::timestamptz is null or (created_at, id) < ($11, $12::uuid))
             and (cardinality($14::text[]) = 0 or cluster ~ any($14))
             and (cardinality($15::text[]) = 0 or namespace ~ any($15))
           order by created_at desc, id desc
           limit $13::bigint + 1"#,
        filter.cluster,
        filter.namespace,
        filter.workload,
        filter.alert,
        filter.outcome,
        filter.cause,
        filter.state,
        filter.since,
        filter.until,
        filter.q,
        filter.page.after.map(|after| after.at),
        filter.page.after.map(|after| after.id),
        filter.page.limit,
        &reach.clusters,
        &reach.namespaces,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn investigation(
    db: impl PgExecutor<'_>,
    id: Uuid,
    reach: &Reach,
) -> sqlx::Result<Option<Investigation>> {
    sqlx::query_as!(
        Investigation,
        r#"select id, incident_id, workload, cluster, namespace, state, outcome, cause_id, summary, alert_name,
                  runbook, created_at, started_at, finished_at,
                  extract(epoch from finished_at - started_at)::float8 as seconds,
                  input_tokens, cached_tokens, output_tokens, usd, attempt, error
           from investigations
           where id = $1 and (cardinality($2::text[]) = 0 or cluster ~ any($2))
             and (cardinality($3::text[]) = 0 or namespace ~ any($3))"#,
        id,
        &reach.clusters,
        &reach.namespaces,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn report(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar!("select report from investigations where id = $1", id)
        .fetch_optional(db)
        .await
        .map(Option::flatten)
}

/// In the order of their evidence ids: E1, E2, … E10.
pub(super) async fn observations(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Vec<Observation>> {
    sqlx::query_as!(
        Observation,
        "select evidence, source, query, observation, milliseconds
         from steps
         where investigation_id = $1
           and attempt = (select max(attempt) from steps where investigation_id = $1)
         order by length(evidence), evidence",
        id,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn incidents(
    db: impl PgExecutor<'_>,
    filter: &Incidents,
    reach: &Reach,
) -> sqlx::Result<Vec<Incident>> {
    sqlx::query_as!(
        Incident,
        r#"select i.id, i.workload, i.cluster, i.namespace, i.kind, i.name, i.state, i.severity, i.title,
                  i.alert_names, i.alerts, i.opened_at, i.updated_at, i.resolved_at,
                  (select count(*) from investigations n where n.incident_id = i.id) as "investigations!",
                  (select jsonb_build_object('id', n.id, 'state', n.state, 'outcome', n.outcome)
                   from investigations n where n.incident_id = i.id
                   order by n.created_at desc, n.id desc limit 1)
                      as "last_investigation: sqlx::types::Json<LastInvestigation>"
           from incidents i
           where ($1::text is null or i.state = $1)
             and ($2::text is null or i.cluster = $2)
             and ($3::text is null or i.namespace = $3)
             and ($4::text is null or i.workload = $4)
             and ($5::timestamptz is null or (i.opened_at, i.id) < ($5, $6::uuid))
             and (cardinality($8::text[]) = 0 or i.cluster ~ any($8))
             and (cardinality($9::text[]) = 0 or i.namespace ~ any($9))
           order by i.opened_at desc, i.id desc
           limit $7::bigint + 1"#,
        filter.state,
        filter.cluster,
        filter.namespace,
        filter.workload,
        filter.page.after.map(|after| after.at),
        filter.page.after.map(|after| after.id),
        filter.page.limit,
        &reach.clusters,
        &reach.namespaces,
    )
    .fetch_all(db)
    .await
}

/// Does the database answer?
pub(super) async fn ping(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(db).await.map(|_| ())
}
