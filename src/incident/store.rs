//! Keeps alerts and incidents: loads the book's page for one request inside its transaction, and writes it
//! back (`write`) in a handful of batched statements. The only writer of `alerts` and `incidents`.

mod write;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

pub use self::write::{write_alerts, write_incidents};
use super::book::{Book, Change, Entry, Placed, Seen};
use super::decide::{self, NEVER, Occurrence};
use crate::alert::{Alert, Severity, Source, Status};
use crate::workload::Workload;

/// Decisions about one workload are made one after the other. The lock is on a bucket of its key, so that a
/// request over 10,000 workloads does not fill Postgres' lock table.
const LOCK_BUCKETS: u64 = 1024;
/// First half of our two-part advisory locks, so that no other program's locks meet ours.
const LOCK_CLASS: i32 = 0x77d0;

/// Postgres keeps microseconds; identities are compared in what it keeps.
pub fn normalise(alert: &mut Alert) {
    alert.starts_at = micros(alert.starts_at);
    alert.ends_at = alert.ends_at.map(micros);
}

fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(at)
}

/// Workloads of occurrences that are already stored: what was decided once needs no cluster again, and a
/// resolve goes where its firing went.
///
/// # Errors
/// The database's.
pub async fn known<'a>(
    executor: impl PgExecutor<'_>,
    alerts: impl Iterator<Item = &'a Alert>,
) -> Result<HashMap<Occurrence, Workload>, sqlx::Error> {
    let (sources, fingerprints, starts) = keys(alerts);
    let rows = sqlx::query!(
        r#"select a.source, a.fingerprint, a.starts_at, i.cluster, i.namespace, i.kind, i.name
           from unnest($1::text[], $2::text[], $3::timestamptz[]) as k (source, fingerprint, starts_at)
           -- Lateral with a limit: one look into the index for each, whatever the planner thinks of the table.
           cross join lateral (
             select * from alerts a where a.source = k.source and a.fingerprint = k.fingerprint
               and a.starts_at = k.starts_at and a.status = 'firing' limit 1) a
           cross join lateral (select * from incidents i where i.id = a.incident_id limit 1) i"#,
        &sources,
        &fingerprints,
        &starts
    )
    .fetch_all(executor)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let workload = Workload::new(row.cluster, row.namespace, row.kind, row.name);
            ((source(&row.source), row.fingerprint, row.starts_at), workload)
        })
        .collect())
}

/// Opens the book at the page of these alerts: takes their workloads' locks and reads what is known of them.
/// Returns the database's time with it.
///
/// # Errors
/// The database's; the caller rolls back and the senders try again.
pub async fn open<'a>(
    transaction: &mut PgConnection,
    placed: impl Iterator<Item = &'a Placed> + Clone,
) -> Result<(Book, DateTime<Utc>), sqlx::Error> {
    let workloads: BTreeSet<&Workload> = placed.clone().map(|placed| &placed.workload).collect();
    let keys: Vec<String> = workloads.iter().map(|workload| workload.key()).collect();
    let now = lock(transaction, &keys).await?;
    let mut book = Book::default();
    book.seen = seen(transaction, placed).await?;
    book.entries = entries(transaction, &keys).await?;
    Ok((book, now))
}

/// Takes the workloads' locks in one order, so that two requests never wait for each other.
pub(super) async fn lock(
    transaction: &mut PgConnection,
    workloads: &[String],
) -> Result<DateTime<Utc>, sqlx::Error> {
    let buckets: BTreeSet<i32> = workloads.iter().map(|key| bucket(key)).collect();
    let buckets: Vec<i32> = buckets.into_iter().collect();
    let row = sqlx::query!(
        r#"select now() as "now!", count(pg_advisory_xact_lock($1, bucket)) as locks
           from unnest($2::int[]) as bucket"#,
        LOCK_CLASS,
        &buckets
    )
    .fetch_one(&mut *transaction)
    .await?;
    Ok(row.now)
}

/// FNV-1a: any stable hash will do, across versions and replicas.
fn bucket(key: &str) -> i32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i32::try_from(hash % LOCK_BUCKETS).unwrap_or_default()
}

/// An incident as those who tell people about it need it.
#[derive(Debug, Clone)]
pub struct Record {
    pub id: Uuid,
    pub workload: Workload,
    pub severity: Severity,
    pub title: String,
    pub alert_names: Vec<String>,
    pub alerts: i32,
    pub confident: bool,
    pub open: bool,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
}

/// Reads incidents in the order in which they were opened.
///
/// # Errors
/// The database's.
pub async fn read(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<Record>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, cluster, namespace, kind, name, severity, title, alert_names, alerts, confident, state,
                opened_at, resolved_at
         from incidents where id = any($1) order by opened_at, id",
        ids
    )
    .fetch_all(executor)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Record {
            id: row.id,
            workload: Workload::new(row.cluster, row.namespace, row.kind, row.name),
            severity: Severity::from_word(&row.severity),
            title: row.title,
            alert_names: row.alert_names,
            alerts: row.alerts,
            confident: row.confident,
            open: row.state == "open",
            opened_at: row.opened_at,
            resolved_at: row.resolved_at,
        })
        .collect())
}

/// Closes open incidents that heard nothing for `after`: resolved webhooks may never come. At most `limit`.
///
/// # Errors
/// The database's.
pub async fn close_stale(
    transaction: &mut PgConnection,
    after: std::time::Duration,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "update incidents set state = 'resolved', resolved_at = now(), updated_at = now()
         where id in (select id from incidents
                      where state = 'open' and updated_at < now() - make_interval(secs => $1)
                      order by updated_at for update skip locked limit $2)
         returning id",
        after.as_secs_f64(),
        limit
    )
    .fetch_all(transaction)
    .await
}

async fn seen<'a>(
    transaction: &mut PgConnection,
    placed: impl Iterator<Item = &'a Placed>,
) -> Result<HashMap<(Occurrence, Status), Seen>, sqlx::Error> {
    let (sources, fingerprints, starts) = keys(placed.map(|placed| &placed.alert));
    let rows = sqlx::query!(
        r#"select distinct a.source, a.fingerprint, a.starts_at, a.status, a.incident_id,
                  a.decision = 'ignore' and starts_with(a.reason, $4) as "never!"
           from unnest($1::text[], $2::text[], $3::timestamptz[]) as k (source, fingerprint, starts_at)
           cross join lateral (
             select * from alerts a where a.source = k.source and a.fingerprint = k.fingerprint
               and a.starts_at = k.starts_at limit 2) a"#,
        &sources,
        &fingerprints,
        &starts,
        NEVER
    )
    .fetch_all(transaction)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let occurrence = (source(&row.source), row.fingerprint, row.starts_at);
            ((occurrence, status(&row.status)), Seen { incident: row.incident_id, never: row.never })
        })
        .collect())
}

async fn entries(
    transaction: &mut PgConnection,
    workloads: &[String],
) -> Result<HashMap<Workload, Entry>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select i.id, i.cluster, i.namespace, i.kind, i.name, i.state, i.severity,
                  i.title, i.alert_names, i.confident, i.firing, i.investigated_at, i.resolved_at,
                  -- Of an incident that is folded into another, that one's investigation sees to it.
                  i.folded_into is not null
                    or exists (select 1 from investigations v where v.incident_id = i.id and v.state = 'queued')
                    as "queued!"
           from unnest($1::text[]) as k (workload)
           cross join lateral (select * from incidents i where i.workload = k.workload
                               order by i.opened_at desc limit 1) i"#,
        workloads
    )
    .fetch_all(&mut *transaction)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let workload = Workload::new(row.cluster, row.namespace, row.kind, row.name);
            let state = decide::Incident {
                open: row.state == "open",
                severity: Severity::from_word(&row.severity),
                covered: row.alert_names.into_iter().collect(),
                firing: row.firing,
                queued: row.queued,
                investigated_at: row.investigated_at,
                resolved_at: row.resolved_at,
            };
            let entry = Entry {
                id: row.id,
                workload: workload.clone(),
                title: row.title,
                confident: row.confident,
                state,
                new_alerts: 0,
                enqueue: None,
                change: Change::None,
            };
            (workload, entry)
        })
        .collect())
}

fn keys<'a>(alerts: impl Iterator<Item = &'a Alert>) -> (Vec<String>, Vec<String>, Vec<DateTime<Utc>>) {
    let mut keys = (Vec::new(), Vec::new(), Vec::new());
    for alert in alerts {
        keys.0.push(alert.source.as_str().to_owned());
        keys.1.push(alert.fingerprint.clone());
        keys.2.push(alert.starts_at);
    }
    keys
}

fn source(word: &str) -> Source {
    match word {
        "alertmanager" => Source::Alertmanager,
        "robusta" => Source::Robusta,
        "grafana" => Source::Grafana,
        _ => Source::Manual,
    }
}

fn status(word: &str) -> Status {
    if word == "resolved" { Status::Resolved } else { Status::Firing }
}
