//! What lists show of incidents and investigations, row by row as it is answered. It writes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::access::Reach;
use crate::api::filter::{Cursor, Incidents, Investigations};

/// One investigation, in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct Investigation {
    pub id: Uuid,
    pub incident_id: Uuid,
    /// `cluster/namespace/Kind/name`.
    pub workload: String,
    pub cluster: String,
    /// "" for what has none, such as a node.
    pub namespace: String,
    /// queued, running, done, dead or cancelled.
    pub state: String,
    /// Why it was queued.
    pub reason: String,
    /// known_pattern, root_cause, inconclusive or not_an_incident; null until it is done.
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
    /// Of the last attempt that failed.
    pub error: Option<String>,
}

/// One incident, in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct Incident {
    pub id: Uuid,
    /// `cluster/namespace/Kind/name`.
    pub workload: String,
    pub cluster: String,
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// open or resolved.
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
    #[schema(value_type = Option<LastInvestigation>)]
    pub last_investigation: Option<sqlx::types::Json<LastInvestigation>>,
}

/// How an incident's newest investigation went.
#[derive(Debug, Serialize, serde::Deserialize, ToSchema)]
pub struct LastInvestigation {
    pub id: Uuid,
    pub state: String,
    pub outcome: Option<String>,
}

impl Investigation {
    pub(in crate::api) fn cursor(&self) -> Cursor {
        Cursor { at: self.created_at, id: self.id }
    }
}

impl Incident {
    pub(in crate::api) fn cursor(&self) -> Cursor {
        Cursor { at: self.opened_at, id: self.id }
    }
}

/// A part of a list: `limit` rows after `after`, or so many of them left out first.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub after: Option<Cursor>,
    pub skip: i64,
    pub limit: i64,
}

pub async fn investigations(
    pool: &PgPool,
    filter: &Investigations,
    reach: &Reach,
    part: Part,
) -> sqlx::Result<Vec<Investigation>> {
    let mut transaction = pool.begin().await?;
    plan_for_values(&mut transaction).await?;
    sqlx::query_as!(
        Investigation,
        r#"select id, incident_id, workload, cluster, namespace, state, reason, outcome, cause_id, summary, alert_name,
                  runbook, created_at, started_at, finished_at,
                  extract(epoch from finished_at - started_at)::float8 as seconds,
                  input_tokens, cached_tokens, output_tokens, usd, attempt, error
           from investigations v
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
             and (cardinality($13::text[]) = 0 or cluster ~ any($13))
             and (cardinality($14::text[]) = 0 or namespace ~ any($14))
             and ($15::text is null
                  or incident_id in (select i.id from incidents i where i.severity = $15))
             and ($16::uuid is null or id between $16 and $17::uuid)
           order by created_at desc, id desc
           limit $18 offset $19"#,
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
        part.after.map(|after| after.at),
        part.after.map(|after| after.id),
        &reach.clusters,
        &reach.namespaces,
        filter.severity,
        filter.id.map(|prefix| prefix.first),
        filter.id.map(|prefix| prefix.last),
        part.limit,
        part.skip,
    )
    .fetch_all(&mut *transaction)
    .await
}

pub async fn incidents(
    pool: &PgPool,
    filter: &Incidents,
    reach: &Reach,
    part: Part,
) -> sqlx::Result<Vec<Incident>> {
    let mut transaction = pool.begin().await?;
    plan_for_values(&mut transaction).await?;
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
             and (cardinality($7::text[]) = 0 or i.cluster ~ any($7))
             and (cardinality($8::text[]) = 0 or i.namespace ~ any($8))
             and ($9::text is null or i.severity = $9)
             and ($10::text is null or i.alert_names @> array[$10])
             and ($11::timestamptz is null or i.opened_at >= $11)
             and ($12::timestamptz is null or i.opened_at < $12)
             and ($13::uuid is null or i.id = $13)
           order by i.opened_at desc, i.id desc
           limit $14 offset $15"#,
        filter.state,
        filter.cluster,
        filter.namespace,
        filter.workload,
        part.after.map(|after| after.at),
        part.after.map(|after| after.id),
        &reach.clusters,
        &reach.namespaces,
        filter.severity,
        filter.alert,
        filter.since,
        filter.until,
        filter.id,
        part.limit,
        part.skip,
    )
    .fetch_all(&mut *transaction)
    .await
}

/// Most of a list's conditions are not asked for. A plan that has to do for all of them reads the whole table; one
/// for these values takes a fraction of a millisecond to make.
async fn plan_for_values(transaction: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set local plan_cache_mode = force_custom_plan").execute(transaction).await.map(|_| ())
}
