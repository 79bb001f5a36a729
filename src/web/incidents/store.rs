//! What the pages of incidents read from Postgres. It writes nothing, and returns only what a reader may see.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Filter;
use crate::api::access::Reach;

#[derive(Debug)]
pub(super) struct Row {
    pub id: Uuid,
    pub workload: String,
    pub state: String,
    pub severity: String,
    pub title: String,
    pub alert_names: Vec<String>,
    /// Occurrences attached.
    pub alerts: i32,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub folded_into: Option<Uuid>,
    /// Of the last investigation.
    pub investigation: Option<Uuid>,
    pub investigation_state: Option<String>,
    pub outcome: Option<String>,
    pub statement: Option<String>,
    /// Of the thread in Slack, where one was opened or found.
    pub channel_id: Option<String>,
    pub thread: Option<String>,
}

/// How many incidents are open, by severity.
#[derive(Debug)]
pub(super) struct Count {
    pub severity: String,
    pub open: i64,
}

/// Open incidents, the worst first.
pub(super) async fn open(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    reach: &Reach,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select id from incidents
         where state = 'open'
           and ($1 = '' or cluster = $1) and ($2 = '' or namespace = $2) and ($3 = '' or severity = $3)
           and (cardinality($4::text[]) = 0 or cluster ~ any($4))
           and (cardinality($5::text[]) = 0 or namespace ~ any($5))
         order by array_position(array['critical', 'warning', 'info', 'none'], severity), opened_at desc, id desc
         limit $6",
        filter.cluster,
        filter.namespace,
        filter.severity,
        &reach.clusters,
        &reach.namespaces,
        limit
    )
    .fetch_all(db)
    .await
}

/// Incidents that are over, the newest first.
pub(super) async fn over(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    reach: &Reach,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select id from incidents
         where state = 'resolved'
           and ($1 = '' or cluster = $1) and ($2 = '' or namespace = $2) and ($3 = '' or severity = $3)
           and (cardinality($4::text[]) = 0 or cluster ~ any($4))
           and (cardinality($5::text[]) = 0 or namespace ~ any($5))
         order by opened_at desc, id desc
         limit $6",
        filter.cluster,
        filter.namespace,
        filter.severity,
        &reach.clusters,
        &reach.namespaces,
        limit
    )
    .fetch_all(db)
    .await
}

pub(super) async fn counts(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    reach: &Reach,
) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select severity, count(*) as "open!" from incidents
           where state = 'open' and ($1 = '' or cluster = $1) and ($2 = '' or namespace = $2)
             and (cardinality($3::text[]) = 0 or cluster ~ any($3))
             and (cardinality($4::text[]) = 0 or namespace ~ any($4))
           group by severity
           order by array_position(array['critical', 'warning', 'info', 'none'], severity)"#,
        filter.cluster,
        filter.namespace,
        &reach.clusters,
        &reach.namespaces
    )
    .fetch_all(db)
    .await
}

/// These incidents, in this order; of them only what a reader may see.
pub(super) async fn rows(db: impl PgExecutor<'_>, ids: &[Uuid], reach: &Reach) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"select i.id, i.workload, i.state, i.severity, i.title, i.alert_names, i.alerts, i.opened_at, i.resolved_at,
                  i.folded_into, n.id as "investigation?", n.state as "investigation_state?", n.outcome as "outcome?",
                  coalesce(n.report #>> '{cause,statement}', n.summary) as "statement?",
                  t.channel_id as "channel_id?", t.message_ts as "thread?"
           from unnest($1::uuid[]) with ordinality as wanted (id, place)
           join incidents i using (id)
           left join lateral (
               select id, state, outcome, report, summary from investigations where incident_id = i.id
               order by created_at desc, id desc limit 1) n on true
           left join lateral (
               select channel_id, message_ts from announcements
               where incident_id = i.id and kind = 'parent' and message_ts is not null
               order by created_at desc limit 1) t on true
           where (cardinality($2::text[]) = 0 or i.cluster ~ any($2))
             and (cardinality($3::text[]) = 0 or i.namespace ~ any($3))
           order by wanted.place"#,
        ids,
        &reach.clusters,
        &reach.namespaces
    )
    .fetch_all(db)
    .await
}

/// One occurrence of an alert.
#[derive(Debug)]
pub(super) struct Alert {
    pub name: String,
    pub source: String,
    pub severity: String,
    pub status: String,
    pub reason: String,
    pub repeats: i32,
    pub labels: Option<Value>,
    pub annotations: Option<Value>,
    pub starts_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
}

pub(super) async fn alerts(db: impl PgExecutor<'_>, incident: Uuid, limit: i64) -> sqlx::Result<Vec<Alert>> {
    sqlx::query_as!(
        Alert,
        "select name, source, severity, status, reason, repeats, body -> 'labels' as labels,
                body -> 'annotations' as annotations, starts_at, received_at
         from alerts where incident_id = $1 order by received_at desc, id desc limit $2",
        incident,
        limit
    )
    .fetch_all(db)
    .await
}

/// An investigation of an incident.
#[derive(Debug)]
pub(super) struct Look {
    pub id: Uuid,
    pub state: String,
    pub outcome: Option<String>,
    pub summary: Option<String>,
    pub error: Option<String>,
    pub reason: String,
    pub created_at: DateTime<Utc>,
    pub seconds: Option<f64>,
}

pub(super) async fn looks(db: impl PgExecutor<'_>, incident: Uuid, limit: i64) -> sqlx::Result<Vec<Look>> {
    sqlx::query_as!(
        Look,
        "select id, state, outcome, summary, error, reason, created_at,
                extract(epoch from finished_at - started_at)::float8 as seconds
         from investigations where incident_id = $1 order by created_at desc, id desc limit $2",
        incident,
        limit
    )
    .fetch_all(db)
    .await
}
