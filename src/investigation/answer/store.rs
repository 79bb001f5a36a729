//! Answers to questions, and what they may cost: the dearest that one can be is reserved with it, by the same lock and
//! against the same day as the calls of investigations. The only writer of `answers`.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::facts::Observation;
use crate::investigation::money::afford;
use crate::investigation::money::store::{lock_day, spent};
use crate::policy::Purse;
use crate::report::Report;
use crate::workload::Workload;

/// Questions of an hour, for models without a price.
const MAX_AN_HOUR: i64 = 60;
/// Observations that a question is answered from.
const MAX_OBSERVATIONS: i64 = 200;

/// What is known of an incident's last investigation.
#[derive(Debug)]
pub struct Subject {
    pub investigation: Uuid,
    pub workload: Workload,
    /// By which its money is counted.
    pub policy: String,
    pub team_policy: String,
    pub report: Report,
    pub finished_at: DateTime<Utc>,
}

/// The newest report of an incident.
///
/// # Errors
/// The database's. A report that an older version wrote differently counts as none.
pub async fn last_of(db: impl PgExecutor<'_>, incident: Uuid) -> sqlx::Result<Option<Subject>> {
    let row = sqlx::query!(
        r#"select id, workload, policy, team_policy, report as "report!", finished_at as "finished_at!" from investigations
           where incident_id = $1 and report is not null and finished_at is not null
           order by finished_at desc limit 1"#,
        incident
    )
    .fetch_optional(db)
    .await?;
    Ok(row.and_then(|row| {
        let report = serde_json::from_value(row.report).ok()?;
        let (workload, policy, team_policy) = (row.workload.parse().ok()?, row.policy, row.team_policy);
        let (investigation, finished_at) = (row.id, row.finished_at);
        Some(Subject { investigation, workload, policy, team_policy, report, finished_at })
    }))
}

/// The report of one investigation.
///
/// # Errors
/// The database's.
pub async fn report(db: impl PgExecutor<'_>, investigation: Uuid) -> sqlx::Result<Option<Report>> {
    let report = sqlx::query_scalar!("select report from investigations where id = $1", investigation);
    let report = report.fetch_optional(db).await?.flatten();
    Ok(report.and_then(|report| serde_json::from_value(report).ok()))
}

/// What an investigation read, as far as it is still kept, in its order.
///
/// # Errors
/// The database's.
pub async fn observations(db: impl PgExecutor<'_>, investigation: Uuid) -> sqlx::Result<Vec<Observation>> {
    let rows = sqlx::query!(
        "select evidence, source, query, observation, milliseconds from steps
         where investigation_id = $1
           and attempt = (select max(attempt) from steps where investigation_id = $1)
         order by length(evidence), evidence limit $2",
        investigation,
        MAX_OBSERVATIONS
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Observation {
            id: row.evidence,
            source: row.source,
            query: row.query,
            text: row.observation,
            milliseconds: u64::try_from(row.milliseconds).unwrap_or_default(),
        })
        .collect())
}

/// Enters a question with the most that its answer can cost. None: the day's money or the hour's
/// questions are used up.
///
/// # Errors
/// The database's.
pub async fn begin(
    transaction: &mut PgConnection,
    investigation: Uuid,
    (author, question): (&str, &str),
    (usd, purse): (f64, &Purse),
) -> sqlx::Result<Option<Uuid>> {
    lock_day(&mut *transaction).await?;
    if afford(purse, spent(&mut *transaction, purse, Uuid::nil()).await?, usd).is_err() {
        return Ok(None);
    }
    sqlx::query_scalar!(
        "insert into answers (id, investigation_id, author, question, answer, usd)
         select $1, $2, $3, $4, '', $5
         where (select count(*) from answers where at > now() - interval '1 hour') < $6
         returning id",
        Uuid::now_v7(),
        investigation,
        author,
        question,
        usd,
        MAX_AN_HOUR
    )
    .fetch_optional(transaction)
    .await
}

/// What it cost, and the answer.
///
/// # Errors
/// The database's.
pub async fn end(
    db: impl PgExecutor<'_>,
    answer: Uuid,
    text: &str,
    (tokens, usd): (u64, f64),
) -> sqlx::Result<()> {
    sqlx::query!(
        "update answers set answer = $2, tokens = $3, usd = $4 where id = $1",
        answer,
        text,
        i64::try_from(tokens).unwrap_or(i64::MAX),
        usd
    )
    .execute(db)
    .await
    .map(|_| ())
}
