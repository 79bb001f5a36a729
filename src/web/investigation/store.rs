//! What the page of an investigation reads from Postgres. It writes nothing; whoever calls has asked first whether the
//! reader may see the investigation.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::api::access::Reach;

#[derive(Debug)]
pub(in crate::web) struct Row {
    pub id: Uuid,
    pub incident_id: Uuid,
    pub workload: String,
    pub alert_name: String,
    pub state: String,
    pub reason: String,
    pub attempt: i32,
    pub error: Option<String>,
    pub outcome: Option<String>,
    pub report: Option<Value>,
    pub severity: String,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub seconds: Option<f64>,
}

pub(super) async fn investigation(
    db: impl PgExecutor<'_>,
    id: Uuid,
    reach: &Reach,
) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        r#"select n.id, n.incident_id, n.workload, n.alert_name, n.state, n.reason, n.attempt, n.error,
                  n.outcome, n.report, i.severity, n.created_at, n.finished_at,
                  extract(epoch from n.finished_at - n.started_at)::float8 as seconds
           from investigations n join incidents i on i.id = n.incident_id
           where n.id = $1 and (cardinality($2::text[]) = 0 or n.cluster ~ any($2))
             and (cardinality($3::text[]) = 0 or n.namespace ~ any($3))"#,
        id,
        &reach.clusters,
        &reach.namespaces
    )
    .fetch_optional(db)
    .await
}

/// What was read, without long texts.
#[derive(Debug)]
pub(super) struct Observation {
    pub evidence: String,
    pub source: String,
    pub query: String,
    /// None: longer than was asked for.
    pub text: Option<String>,
    pub bytes: i32,
    pub milliseconds: i64,
    pub created_at: DateTime<Utc>,
}

/// In the order of their ids: E1, E2, … E10.
pub(super) async fn observations(
    db: impl PgExecutor<'_>,
    id: Uuid,
    longest: i32,
) -> sqlx::Result<Vec<Observation>> {
    sqlx::query_as!(
        Observation,
        r#"select evidence, source, query, octet_length(observation) as "bytes!",
                  case when octet_length(observation) <= $2 then observation end as text, milliseconds, created_at
           from steps
           where investigation_id = $1
             and attempt = (select max(attempt) from steps where investigation_id = $1)
           order by length(evidence), evidence"#,
        id,
        longest
    )
    .fetch_all(db)
    .await
}

pub(super) async fn observation(
    db: impl PgExecutor<'_>,
    id: Uuid,
    evidence: &str,
) -> sqlx::Result<Option<Observation>> {
    sqlx::query_as!(
        Observation,
        r#"select evidence, source, query, octet_length(observation) as "bytes!", observation as text, milliseconds,
                  created_at
           from steps
           where investigation_id = $1 and evidence = $2
             and attempt = (select max(attempt) from steps where investigation_id = $1)"#,
        id,
        evidence
    )
    .fetch_optional(db)
    .await
}

/// An earlier investigation of the same workload.
#[derive(Debug)]
pub(super) struct Earlier {
    pub id: Uuid,
    pub report: Value,
    pub finished_at: DateTime<Utc>,
}

pub(super) async fn earlier(
    db: impl PgExecutor<'_>,
    workload: &str,
    before: DateTime<Utc>,
) -> sqlx::Result<Option<Earlier>> {
    sqlx::query_as!(
        Earlier,
        r#"select id, report as "report!", finished_at as "finished_at!" from investigations
           where workload = $1 and created_at < $2 and state = 'done' and report is not null
             and finished_at is not null
           order by created_at desc limit 1"#,
        workload,
        before
    )
    .fetch_optional(db)
    .await
}

/// What somebody said.
#[derive(Debug)]
pub(super) struct Said {
    pub verdict: String,
    pub reason: String,
    pub author: String,
    pub at: DateTime<Utc>,
}

pub(super) async fn said(db: impl PgExecutor<'_>, id: Uuid, limit: i64) -> sqlx::Result<Vec<Said>> {
    sqlx::query_as!(
        Said,
        "select verdict, reason, author, at from feedback where investigation_id = $1 order by at desc limit $2",
        id,
        limit
    )
    .fetch_all(db)
    .await
}
