//! What is told of one incident or investigation, row by row as it is answered. It writes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::lists::store::Investigation;

/// Alerts of one incident that are listed, the newest.
const MAX_OCCURRENCES: i64 = 100;
/// Words of people that are listed, the newest.
const MAX_FEEDBACK: i64 = 100;

/// One look at a source.
#[derive(Debug, Serialize, ToSchema)]
pub struct Observation {
    /// E1, E2, …: reports name it so.
    pub evidence: String,
    pub source: String,
    pub query: String,
    pub observation: String,
    pub milliseconds: i64,
}

/// An alert as it came.
#[derive(Debug, Serialize, ToSchema)]
pub struct Occurrence {
    pub name: String,
    pub source: String,
    /// firing or resolved.
    pub status: String,
    pub severity: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    /// Times that it came again.
    pub repeats: i32,
    /// open, attach, reopen, resolve or ignore.
    pub decision: String,
    /// Why it was decided so.
    pub reason: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub labels: Value,
}

/// Where an incident was announced.
#[derive(Debug, Serialize, ToSchema)]
pub struct Thread {
    pub channel: String,
    /// waiting, posting, posted or failed.
    pub state: String,
    /// own: begun by a message of ours; adopted: another bot's message about the alert; null: not decided yet, or
    /// nobody looked.
    pub kind: Option<String>,
    /// How sure the best match was, of 100.
    pub match_score: Option<i32>,
    /// Why that message was taken, or none was.
    pub match_reason: Option<String>,
    /// Slack's id of the thread.
    pub message_ts: Option<String>,
}

/// What somebody said of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feedback {
    /// helpful or unhelpful.
    pub verdict: String,
    pub reason: String,
    pub author: String,
    /// api, slack or page.
    pub via: String,
    pub at: DateTime<Utc>,
}

/// What an agent was told at first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Opening {
    pub instructions: String,
    pub case_file: String,
    pub at: DateTime<Utc>,
}

/// One turn of an agent, redacted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Turn {
    pub number: i32,
    pub attempt: i32,
    pub model: String,
    /// What the model said, with its calls.
    #[schema(value_type = Object)]
    pub said: Value,
    /// What each call was answered.
    #[schema(value_type = Vec<Object>)]
    pub answers: Value,
    /// What a turn without calls was told.
    pub told: String,
    /// Only the conclusion was asked for.
    pub forced: bool,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub output_tokens: i64,
    pub usd: f64,
    pub milliseconds: i64,
    pub at: DateTime<Utc>,
}

pub async fn investigation(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Investigation>> {
    sqlx::query_as!(
        Investigation,
        r#"select id, incident_id, workload, cluster, namespace, state, reason, outcome, cause_id, summary, alert_name,
                  runbook, created_at, started_at, finished_at,
                  extract(epoch from finished_at - started_at)::float8 as seconds,
                  input_tokens, cached_tokens, output_tokens, usd, attempt, error
           from investigations where id = $1"#,
        id,
    )
    .fetch_optional(db)
    .await
}

pub async fn investigations_of(
    db: impl PgExecutor<'_>,
    incident: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<Investigation>> {
    sqlx::query_as!(
        Investigation,
        r#"select id, incident_id, workload, cluster, namespace, state, reason, outcome, cause_id, summary, alert_name,
                  runbook, created_at, started_at, finished_at,
                  extract(epoch from finished_at - started_at)::float8 as seconds,
                  input_tokens, cached_tokens, output_tokens, usd, attempt, error
           from investigations where incident_id = $1 order by created_at desc, id desc limit $2"#,
        incident,
        limit,
    )
    .fetch_all(db)
    .await
}

pub async fn report(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar!("select report from investigations where id = $1", id)
        .fetch_optional(db)
        .await
        .map(Option::flatten)
}

/// In the order of their evidence ids: E1, E2, … E10.
pub async fn observations(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Vec<Observation>> {
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

pub async fn thread(db: impl PgExecutor<'_>, incident: Uuid) -> sqlx::Result<Option<Thread>> {
    sqlx::query_as!(
        Thread,
        "select channel, state, thread as kind, thread_score as match_score, thread_reason as match_reason, message_ts
         from announcements where incident_id = $1 and kind = 'parent' order by created_at limit 1",
        incident
    )
    .fetch_optional(db)
    .await
}

pub async fn feedback(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Vec<Feedback>> {
    sqlx::query_as!(
        Feedback,
        "select verdict, reason, author, via, at from feedback where investigation_id = $1 order by at desc limit $2",
        id,
        MAX_FEEDBACK
    )
    .fetch_all(db)
    .await
}

pub async fn occurrences(db: impl PgExecutor<'_>, incident: Uuid) -> sqlx::Result<Vec<Occurrence>> {
    sqlx::query_as!(
        Occurrence,
        r#"select name, source, status, severity, starts_at, ends_at, received_at, repeats, decision, reason,
                  coalesce(body -> 'labels', '{}') as "labels!"
           from alerts where incident_id = $1 order by received_at desc, id desc limit $2"#,
        incident,
        MAX_OCCURRENCES
    )
    .fetch_all(db)
    .await
}

pub async fn opening(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Opening>> {
    sqlx::query_as!(
        Opening,
        "select system as instructions, case_file, created_at as at from runs where investigation_id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn turns(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Vec<Turn>> {
    sqlx::query_as!(
        Turn,
        "select number, attempt, model, turn as said, answers, told, forced, input_tokens, cached_tokens,
                output_tokens, usd, milliseconds, created_at as at
         from turns where investigation_id = $1 order by number",
        id
    )
    .fetch_all(db)
    .await
}
