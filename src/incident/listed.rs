//! What is stored, beside what an Alertmanager lists by itself: which listed alerts never came, and which stored ones
//! are over although nobody said so. Only alerts that this Alertmanager listed before can be over by its word.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use crate::alert::Alert;

/// Alerts ended in one round; more wait for the next.
const MAX_ENDED: i64 = 10_000;
/// Days over which receivers are remembered.
const RECEIVER_DAYS: i32 = 30;

/// Receivers under which Alertmanager's webhooks came.
///
/// # Errors
/// The database's.
pub async fn receivers(executor: impl PgExecutor<'_>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct body->>'receiver' as "receiver!" from alerts
           where source = 'alertmanager' and received_at > now() - make_interval(days => $1)
             and body->>'receiver' <> ''"#,
        RECEIVER_DAYS
    )
    .fetch_all(executor)
    .await
}

/// Positions in `alerts` of those whose firing is not stored. The others are marked: `by` lists them.
///
/// # Errors
/// The database's.
pub async fn missing(
    connection: &mut PgConnection,
    by: &str,
    alerts: &[&Alert],
) -> Result<Vec<usize>, sqlx::Error> {
    let (fingerprints, starts) = keys(alerts);
    sqlx::query!(
        "update alerts a set listed_by = $1
         from unnest($2::text[], $3::timestamptz[]) as k (fingerprint, starts_at)
         where a.source = 'alertmanager' and a.fingerprint = k.fingerprint and a.starts_at = k.starts_at
           and a.status = 'firing' and a.listed_by is distinct from $1",
        by,
        &fingerprints,
        &starts
    )
    .execute(&mut *connection)
    .await?;
    let missing = sqlx::query_scalar!(
        r#"select k.place as "place!"
           from unnest($1::text[], $2::timestamptz[]) with ordinality as k (fingerprint, starts_at, place)
           where not exists (select from alerts a where a.source = 'alertmanager'
                             and a.fingerprint = k.fingerprint and a.starts_at = k.starts_at)"#,
        &fingerprints,
        &starts
    )
    .fetch_all(connection)
    .await?;
    Ok(missing.into_iter().filter_map(|place| usize::try_from(place - 1).ok()).collect())
}

/// Stored alerts of open incidents that `by` listed before and does not list any more.
///
/// # Errors
/// The database's, or an alert that does not read back.
pub async fn ended(executor: impl PgExecutor<'_>, by: &str, listed: &[&Alert]) -> anyhow::Result<Vec<Alert>> {
    let (fingerprints, starts) = keys(listed);
    let bodies = sqlx::query_scalar!(
        r#"select f.body from incidents i join alerts f on f.incident_id = i.id
           where i.state = 'open' and f.status = 'firing' and f.source = 'alertmanager' and f.listed_by = $1
             and not exists (select from alerts r where r.source = f.source and r.fingerprint = f.fingerprint
                             and r.starts_at = f.starts_at and r.status = 'resolved')
             and not exists (select from unnest($2::text[], $3::timestamptz[]) as k (fingerprint, starts_at)
                             where k.fingerprint = f.fingerprint and k.starts_at = f.starts_at)
           limit $4"#,
        by,
        &fingerprints,
        &starts,
        MAX_ENDED
    )
    .fetch_all(executor)
    .await?;
    bodies.into_iter().map(|body| Ok(serde_json::from_value(body)?)).collect()
}

fn keys(alerts: &[&Alert]) -> (Vec<String>, Vec<DateTime<Utc>>) {
    alerts.iter().map(|alert| (alert.fingerprint.clone(), alert.starts_at)).unzip()
}
