//! The queue: investigations wait in Postgres and are claimed under a lease. Every statement that ends a
//! claim demands the lease's attempt number, so that a worker that lost it changes nothing. Database time
//! everywhere.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::workload::Workload;

/// First wait after a failed attempt; it grows fourfold.
const BACKOFF_BASE_SECS: f64 = 5.0;
const MAX_ERROR_CHARS: usize = 2000;

/// An investigation to put into the queue.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub incident_id: Uuid,
    pub workload: Workload,
    pub alert_name: String,
    pub reason: String,
    /// Higher first.
    pub priority: i32,
    pub after: Duration,
}

/// The right to work on one investigation until the lease runs out.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: Uuid,
    pub incident_id: Uuid,
    /// Counts from 1; also the fence: an older attempt can end nothing.
    pub attempt: i32,
    pub workload: String,
    pub alert_name: String,
    pub reason: String,
}

/// Queues each of `waiting` whose incident has none waiting yet, and returns what was queued: investigations by
/// their incident.
///
/// # Errors
/// The database's.
pub async fn enqueue(
    executor: impl PgExecutor<'_>,
    waiting: &[Waiting],
) -> Result<HashMap<Uuid, Uuid>, sqlx::Error> {
    if waiting.is_empty() {
        return Ok(HashMap::new());
    }
    let text = |field: fn(&Waiting) -> String| waiting.iter().map(field).collect::<Vec<String>>();
    let rows = sqlx::query!(
        r#"insert into investigations (id, incident_id, state, reason, priority, run_at, workload, cluster,
                                       namespace, alert_name)
           select u.id, u.incident_id, 'queued', u.reason, u.priority, now() + make_interval(secs => u.after),
                  u.workload, u.cluster, u.namespace, u.alert_name
           from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::float8[], $6::text[], $7::text[],
                       $8::text[], $9::text[])
             as u (id, incident_id, reason, priority, after, workload, cluster, namespace, alert_name)
           on conflict do nothing
           returning id, incident_id"#,
        &waiting.iter().map(|_| Uuid::now_v7()).collect::<Vec<Uuid>>(),
        &waiting.iter().map(|one| one.incident_id).collect::<Vec<Uuid>>(),
        &text(|one| one.reason.clone()),
        &waiting.iter().map(|one| one.priority).collect::<Vec<i32>>(),
        &waiting.iter().map(|one| one.after.as_secs_f64()).collect::<Vec<f64>>(),
        &text(|one| one.workload.key()),
        &text(|one| one.workload.cluster.clone()),
        &text(|one| one.workload.namespace.clone()),
        &text(|one| one.alert_name.clone()),
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| (row.incident_id, row.id)).collect())
}

/// The investigation that waits for an incident waits no longer.
///
/// # Errors
/// The database's.
pub async fn hurry(executor: impl PgExecutor<'_>, incident: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "update investigations set run_at = least(run_at, now()) where incident_id = $1 and state = 'queued'
         returning id",
        incident
    )
    .fetch_optional(executor)
    .await
}

/// Cancels what still waits for incidents that are over.
///
/// # Errors
/// The database's.
pub async fn cancel(executor: impl PgExecutor<'_>, incidents: &[Uuid]) -> Result<u64, sqlx::Error> {
    if incidents.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "update investigations set state = 'cancelled', finished_at = now(),
                error = 'the incident was resolved before the investigation began'
         where incident_id = any($1) and state = 'queued'",
        incidents
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// How this process claims.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Host and process, kept with each claim.
    pub worker: String,
    pub lease: Duration,
    pub max_attempts: i32,
    /// Investigations of one namespace at once, over all replicas. Two that claim in the same instant may exceed
    /// it by one.
    pub per_namespace: i64,
    /// Clusters of which nothing new is claimed: this process works on as much of them as it may.
    pub full: Vec<String>,
}

/// Claims an investigation whose worker's lease ran out (which counts as a failure), else the one that is due
/// first: by severity and age (column `rank`), of a namespace that has room.
///
/// # Errors
/// The database's.
pub async fn claim(executor: impl PgExecutor<'_>, terms: &Terms) -> Result<Option<Claim>, sqlx::Error> {
    sqlx::query_as!(
        Claim,
        r#"with busy as materialized (
             select cluster, namespace from investigations where state = 'running' and lease_until >= now()
             group by cluster, namespace having count(*) >= $4)
           update investigations set state = 'running', attempt = attempt + 1, worker = $1,
                  failures = failures + case when state = 'running' then 1 else 0 end,
                  lease_until = now() + make_interval(secs => $2), started_at = coalesce(started_at, now())
           where id = coalesce(
               (select id from investigations
                where state = 'running' and lease_until < now() and failures + 1 < $3
                order by lease_until for update skip locked limit 1),
               (select id from investigations v
                where state = 'queued' and run_at <= now() and not v.cluster = any($5)
                  and not exists (select from busy b where b.cluster = v.cluster and b.namespace = v.namespace)
                order by rank for update skip locked limit 1))
           returning id, incident_id, attempt, workload, alert_name, reason"#,
        terms.worker,
        terms.lease.as_secs_f64(),
        terms.max_attempts,
        terms.per_namespace,
        &terms.full
    )
    .fetch_optional(executor)
    .await
}

/// Buries investigations whose last allowed attempt vanished with its worker: (id, incident).
///
/// # Errors
/// The database's.
pub async fn bury(
    executor: impl PgExecutor<'_>,
    max_attempts: i32,
) -> Result<Vec<(Uuid, Uuid)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"update investigations set state = 'dead', finished_at = now(), lease_until = null,
                  failures = failures + 1,
                  error = 'the worker vanished during the last of ' || $1::int || ' attempts'
                          || coalesce('; before that: ' || error, '')
           where id in (select id from investigations
                        where state = 'running' and lease_until < now() and failures + 1 >= $1
                        for update skip locked)
           returning id, incident_id"#,
        max_attempts
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.incident_id)).collect())
}

/// Prolongs the lease; `false`: it is lost, and the work must stop.
///
/// # Errors
/// The database's.
pub async fn heartbeat(
    executor: impl PgExecutor<'_>,
    claim: &Claim,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update investigations set lease_until = now() + make_interval(secs => $3)
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        lease.as_secs_f64()
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What became of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It will be tried again.
    Retry,
    /// That was the last attempt.
    Dead,
    /// Another reason waits for the same incident: that one will look.
    Superseded,
    /// The lease was lost: somebody else has it.
    Lost,
}

/// Ends an attempt that failed: back into the queue with a growing wait, or `dead` after the last one.
///
/// # Errors
/// The database's.
pub async fn fail(
    executor: impl PgExecutor<'_>,
    claim: &Claim,
    error: &str,
    max_attempts: i32,
) -> Result<Failure, sqlx::Error> {
    let error: String = error.chars().take(MAX_ERROR_CHARS).collect();
    let state = sqlx::query_scalar!(
        r#"update investigations v set failures = v.failures + 1, lease_until = null, error = $4,
             state = case when v.failures + 1 >= $3 then 'dead'
                          when exists (select 1 from investigations q
                                       where q.incident_id = v.incident_id and q.state = 'queued') then 'cancelled'
                          else 'queued' end,
             finished_at = now(),
             run_at = now() + make_interval(secs => $5 * power(4, v.failures))
           where v.id = $1 and v.attempt = $2 and v.state = 'running'
           returning state"#,
        claim.id,
        claim.attempt,
        max_attempts,
        error,
        BACKOFF_BASE_SECS
    )
    .fetch_optional(executor)
    .await?;
    Ok(match state.as_deref() {
        Some("dead") => Failure::Dead,
        Some("cancelled") => Failure::Superseded,
        Some(_) => Failure::Retry,
        None => Failure::Lost,
    })
}

/// Ends a claim whose incident has joined another one; `false`: the lease is lost, and the caller rolls back.
///
/// # Errors
/// The database's.
pub async fn supersede(executor: impl PgExecutor<'_>, claim: &Claim, why: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update investigations set state = 'cancelled', finished_at = now(), lease_until = null, error = $3
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        why
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many wait.
///
/// # Errors
/// The database's.
pub async fn depth(executor: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from investigations where state = 'queued'"#)
        .fetch_one(executor)
        .await
}

/// Hands an unfinished claim back at once and counts no failure: a drain is nobody's fault.
///
/// # Errors
/// The database's.
pub async fn release(executor: impl PgExecutor<'_>, claim: &Claim) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update investigations v set lease_until = null, run_at = now(), finished_at = now(),
             state = case when exists (select 1 from investigations q
                                       where q.incident_id = v.incident_id and q.state = 'queued') then 'cancelled'
                          else 'queued' end
           where v.id = $1 and v.attempt = $2 and v.state = 'running'"#,
        claim.id,
        claim.attempt
    )
    .execute(executor)
    .await?;
    Ok(())
}
