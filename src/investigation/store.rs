//! Keeps what an investigation found: report, ledger, cost. Every write demands the claim's attempt, so a
//! worker that lost its lease can store nothing. The only writer of an investigation's result; of `steps` beside
//! `journal/store`, which writes them one by one.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::queue::Claim;
use crate::alert::Alert;
use crate::facts::Observation;
use crate::report::Report;
use crate::tool::memory::{PastQuery, PastReport};

/// Alerts read for one investigation: the newest are the ones that matter.
const MAX_ALERTS: i64 = 200;

/// Reads an incident's alerts: those that still fire first, then the newest.
///
/// # Errors
/// The database's, or an alert that does not read back.
pub async fn alerts(connection: &mut PgConnection, incident: Uuid) -> anyhow::Result<Vec<Alert>> {
    let bodies = sqlx::query_scalar!(
        r#"select f.body from alerts f where f.incident_id = $1 and f.status = 'firing'
           order by exists (select 1 from alerts r where r.source = f.source and r.fingerprint = f.fingerprint
                            and r.starts_at = f.starts_at and r.status = 'resolved'), f.received_at desc
           limit $2"#,
        incident,
        MAX_ALERTS
    )
    .fetch_all(connection)
    .await?;
    Ok(bodies.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?)
}

/// The newest report of each incident that has one.
///
/// # Errors
/// The database's. A report that an older version wrote differently counts as none.
pub async fn last_reports(
    connection: &mut PgConnection,
    incidents: &[Uuid],
) -> Result<HashMap<Uuid, Report>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select k.incident as "incident!", v.report as "report!" from unnest($1::uuid[]) as k (incident)
           cross join lateral (select report from investigations
                               where incident_id = k.incident and report is not null
                               order by finished_at desc limit 1) v"#,
        incidents
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.incident, serde_json::from_value(row.report).ok()?)))
        .collect())
}

/// The last time that a workload was investigated.
#[derive(Debug)]
pub struct LastTime {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub report: Report,
    /// From the incident's first alert to its last resolve, if it is over.
    pub lasted: Option<TimeDelta>,
}

/// Incidents of a workload that are looked through for one that was investigated.
const MAX_EARLIER: i64 = 20;

/// The newest report of a workload, of another incident than `except`.
///
/// # Errors
/// The database's. A report that an older version wrote differently counts as none.
pub async fn last_time(
    executor: impl PgExecutor<'_>,
    workload: &str,
    except: Option<Uuid>,
) -> Result<Option<LastTime>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select v.id as "id!", v.finished_at as "at!", v.report as "report!", i.opened_at, i.resolved_at
           from (select id, opened_at, resolved_at from incidents
                 where workload = $1 and id is distinct from $2
                 order by opened_at desc limit $3) i
           cross join lateral (select id, finished_at, report from investigations
                               where incident_id = i.id and report is not null and finished_at is not null
                               order by finished_at desc limit 1) v
           order by v.finished_at desc limit 1"#,
        workload,
        except,
        MAX_EARLIER
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.and_then(|row| {
        let lasted = row.resolved_at.map(|resolved_at| resolved_at - row.opened_at);
        Some(LastTime { id: row.id, at: row.at, report: serde_json::from_value(row.report).ok()?, lasted })
    }))
}

/// How far the agent of an investigation has come.
#[derive(Debug)]
pub struct Turns {
    pub count: i32,
    /// Tools that the last turn called.
    pub tools: Vec<String>,
    pub seconds: f64,
}

/// The turns of an investigation that goes on; None before the first.
///
/// # Errors
/// The database's.
pub async fn turns(executor: impl PgExecutor<'_>, investigation: Uuid) -> Result<Option<Turns>, sqlx::Error> {
    sqlx::query_as!(
        Turns,
        r#"select t.number as "count!",
                  array(select distinct call ->> 'name' from jsonb_array_elements(coalesce(t.turn -> 'calls', '[]')) call
                        where call ->> 'name' is not null order by 1) as "tools!",
                  extract(epoch from now() - coalesce(v.started_at, v.created_at))::float8 as "seconds!"
           from turns t join investigations v on v.id = t.investigation_id
           where t.investigation_id = $1 order by t.number desc limit 1"#,
        investigation
    )
    .fetch_optional(executor)
    .await
}

/// Finished investigations that fit, newest first, each with the number of all that fit.
///
/// # Errors
/// The database's.
pub async fn past(executor: impl PgExecutor<'_>, query: &PastQuery) -> Result<Vec<PastReport>, sqlx::Error> {
    sqlx::query_as!(
        PastReport,
        r#"select id::text as "id!", finished_at as "finished_at!", workload, alert_name as alert,
                  outcome as "outcome!", cause_id as cause,
                  coalesce(report #>> '{cause,statement}', summary, '') as "statement!",
                  count(*) over () as "total!"
           from investigations
           where state = 'done' and outcome is not null and cluster = $1
             and (cardinality($2::text[]) = 0 or namespace = any($2))
             and ($3::text is null or right(workload, length($3) + 1) = '/' || $3)
             and ($4::text is null or cause_id = $4)
             and ($5::text is null or search @@ websearch_to_tsquery('english', $5))
             and finished_at > $6 and finished_at <= $7
           order by finished_at desc, id desc
           limit $8"#,
        query.cluster,
        &query.namespaces,
        query.workload,
        query.cause,
        query.text,
        query.since,
        query.until,
        query.limit
    )
    .fetch_all(executor)
    .await
}

/// An alert that had no runbook of its own, over some days.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Uncovered {
    pub alert: String,
    /// Occurrences that no runbook matched.
    pub without: i64,
    /// Occurrences that only a general runbook matched.
    pub partial: i64,
    /// Of both, those whose last investigation found no cause.
    pub unexplained: i64,
    pub last_at: DateTime<Utc>,
}

/// Alerts listed as not covered: beyond it nobody reads.
const MAX_UNCOVERED: i64 = 200;

/// Alerts that were investigated in the last days without a runbook of their own, most frequent first.
///
/// # Errors
/// The database's.
pub async fn uncovered(executor: impl PgExecutor<'_>, days: i32) -> Result<Vec<Uncovered>, sqlx::Error> {
    sqlx::query_as!(
        Uncovered,
        r#"select a.name as "alert!",
                  count(*) filter (where i.coverage = 'none') as "without!",
                  count(*) filter (where i.coverage = 'partial') as "partial!",
                  count(*) filter (where i.coverage <> 'covered' and i.outcome = 'inconclusive') as "unexplained!",
                  max(a.received_at) as "last_at!"
           from alerts a
           join lateral (select report #>> '{runbook,coverage}' as coverage, outcome from investigations
                         where incident_id = a.incident_id and report is not null
                         order by finished_at desc limit 1) i on true
           where a.status = 'firing' and a.received_at > now() - make_interval(days => $1)
           group by a.name
           having count(*) filter (where i.coverage <> 'covered') > 0
           order by count(*) filter (where i.coverage <> 'covered') desc, a.name
           limit $2"#,
        days,
        MAX_UNCOVERED
    )
    .fetch_all(executor)
    .await
}

/// Finishes the investigation: report and ledger in the caller's transaction. `false`: the lease is lost and
/// nothing was written; the caller rolls back.
///
/// # Errors
/// The database's.
pub async fn finish(
    transaction: &mut PgConnection,
    claim: &Claim,
    report: &Report,
    observations: &[Observation],
) -> Result<bool, sqlx::Error> {
    let body = serde_json::to_value(report).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let done = sqlx::query!(
        "update investigations set state = 'done', finished_at = now(), lease_until = null, error = null,
                outcome = $3, cause_id = $4, summary = $5, report = $6, runbook = nullif($7, ''),
                runbook_revision = nullif($8, ''), steps = $9, input_tokens = $10, cached_tokens = $11,
                output_tokens = $12, usd = $13, usd_reserved = 0
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        report.outcome.as_str(),
        report.cause.as_ref().map(|cause| cause.id.clone()),
        report.summary,
        body,
        report.runbook.name,
        report.runbook.revision,
        i32::try_from(report.cost.steps).unwrap_or(i32::MAX),
        i64::try_from(report.cost.input_tokens).unwrap_or(i64::MAX),
        i64::try_from(report.cost.cached_tokens).unwrap_or(i64::MAX),
        i64::try_from(report.cost.output_tokens).unwrap_or(i64::MAX),
        report.cost.usd
    )
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    write_observations(transaction, claim, observations).await?;
    Ok(true)
}

/// What was written with its turn already stays as it is.
pub(super) async fn write_observations(
    transaction: &mut PgConnection,
    claim: &Claim,
    observations: &[Observation],
) -> Result<(), sqlx::Error> {
    let text = |field: fn(&Observation) -> &String| {
        observations.iter().map(|one| field(one).clone()).collect::<Vec<_>>()
    };
    sqlx::query!(
        "insert into steps (investigation_id, attempt, evidence, source, query, observation, milliseconds)
         select $1, $2, u.* from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::int8[]) as u
         on conflict do nothing",
        claim.id,
        claim.attempt,
        &text(|one| &one.id),
        &text(|one| &one.source),
        &text(|one| &one.query),
        &text(|one| &one.text),
        &observations
            .iter()
            .map(|one| i64::try_from(one.milliseconds).unwrap_or(i64::MAX))
            .collect::<Vec<i64>>()
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// How many investigations there are in each state.
#[derive(Debug, Clone, Serialize)]
pub struct Numbers {
    pub queued: i64,
    pub running: i64,
    pub done: i64,
    pub dead: i64,
    /// Resolved, superseded or folded before they began.
    pub cancelled: i64,
    /// Of those that are due.
    pub oldest_wait_secs: Option<f64>,
}

/// Counts all investigations.
///
/// # Errors
/// The database's.
pub async fn numbers(executor: impl PgExecutor<'_>) -> Result<Numbers, sqlx::Error> {
    sqlx::query_as!(
        Numbers,
        r#"select count(*) filter (where state = 'queued') as "queued!",
                  count(*) filter (where state = 'running') as "running!",
                  count(*) filter (where state = 'done') as "done!",
                  count(*) filter (where state = 'dead') as "dead!",
                  count(*) filter (where state = 'cancelled') as "cancelled!",
                  extract(epoch from max(now() - run_at) filter (where state = 'queued' and run_at <= now()))::float8
                    as oldest_wait_secs
           from investigations"#
    )
    .fetch_one(executor)
    .await
}
