//! What a stream of events reads from Postgres: where an investigation is, and its turns. It writes nothing.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

/// Where an investigation is.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub state: String,
    pub attempt: i32,
    pub steps: i32,
    pub reason: String,
    pub workload: String,
    pub cluster: String,
    pub namespace: String,
    pub alert_name: String,
    pub outcome: Option<String>,
    pub cause_id: Option<String>,
    pub summary: Option<String>,
    pub error: Option<String>,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub output_tokens: i64,
    pub usd: f64,
    pub seconds: Option<f64>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Known {
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "done" | "dead" | "cancelled")
    }
}

/// One turn of the agent; tokens and dollars of all turns up to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    pub number: i32,
    pub attempt: i32,
    pub model: String,
    pub calls: Value,
    pub answers: Value,
    /// Milliseconds of each observation, by its evidence id.
    pub observed: Value,
    pub forced: bool,
    pub milliseconds: i64,
    pub input_tokens: i64,
    pub cached_tokens: i64,
    pub output_tokens: i64,
    pub usd: f64,
    pub created_at: DateTime<Utc>,
}

pub(super) async fn known(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Known>> {
    sqlx::query_as!(
        Known,
        r#"select state, attempt, steps, reason, workload, cluster, namespace, alert_name, outcome, cause_id, summary, error,
                  input_tokens, cached_tokens, output_tokens, usd,
                  extract(epoch from finished_at - started_at)::float8 as seconds,
                  created_at, started_at, finished_at
           from investigations where id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

/// Turns after that one (attempt and number), in their order.
pub(super) async fn turns(db: impl PgExecutor<'_>, id: Uuid, after: (i32, i32)) -> sqlx::Result<Vec<Turn>> {
    sqlx::query_as!(
        Turn,
        r#"select t.number, t.attempt, t.model, coalesce(t.turn -> 'calls', '[]') as "calls!", t.answers,
                  t.forced, t.milliseconds, t.created_at,
                  coalesce((select jsonb_object_agg(s.evidence, s.milliseconds) from steps s
                            where s.investigation_id = t.investigation_id), '{}') as "observed!",
                  r.input_tokens as "input_tokens!", r.cached_tokens as "cached_tokens!",
                  r.output_tokens as "output_tokens!", r.usd as "usd!"
           from turns t, lateral (
                select sum(u.input_tokens)::int8 as input_tokens, sum(u.cached_tokens)::int8 as cached_tokens,
                       sum(u.output_tokens)::int8 as output_tokens, sum(u.usd) as usd
                from turns u where u.investigation_id = t.investigation_id and u.number <= t.number) r
           where t.investigation_id = $1 and (t.attempt, t.number) > ($2, $3)
           order by t.attempt, t.number"#,
        id,
        after.0,
        after.1
    )
    .fetch_all(db)
    .await
}
