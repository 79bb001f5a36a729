//! Writes one request's page of the book back: alerts, what they repeat and incidents, a statement each. It decides
//! nothing, and reads nothing.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::alert::Alert;
use crate::incident::book::{Book, Change, Entry, Line};
use crate::incident::decide::NEVER;

/// Writes the incidents that the book changed.
///
/// # Errors
/// The database's.
pub async fn write_incidents(transaction: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    let changed: Vec<&Entry> = book.entries.values().filter(|entry| entry.change != Change::None).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let text =
        |field: fn(&Entry) -> String| changed.iter().map(|entry| field(entry)).collect::<Vec<String>>();
    let names: Vec<serde_json::Value> =
        changed.iter().map(|entry| serde_json::json!(entry.state.covered)).collect();
    sqlx::query!(
        r#"insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, confident,
                                  alert_names, alerts, firing, investigated_at, resolved_at)
           select u.id, u.workload, u.cluster, u.namespace, u.kind, u.name,
                  case when u.open then 'open' else 'resolved' end, u.severity, u.title, u.confident,
                  array(select jsonb_array_elements_text(u.names)), u.alerts, u.firing,
                  case when u.enqueued then now() end, case when u.open then null else now() end
           from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[],
                       $8::text[], $9::text[], $10::bool[], $11::jsonb[], $12::int[], $13::bool[], $14::int[])
             as u (id, workload, cluster, namespace, kind, name, open, severity, title, confident, names, alerts,
                   enqueued, firing)
           on conflict (id) do update set state = excluded.state, severity = excluded.severity,
             alert_names = excluded.alert_names, alerts = incidents.alerts + excluded.alerts,
             firing = excluded.firing, updated_at = now(),
             investigated_at = coalesce(excluded.investigated_at, incidents.investigated_at),
             resolved_at = excluded.resolved_at,
             -- Who fires again is looked at for itself.
             folded_into = case when incidents.state = 'resolved' and excluded.state = 'open' then null
                                else incidents.folded_into end"#,
        &changed.iter().map(|entry| entry.id).collect::<Vec<Uuid>>(),
        &text(|entry| entry.workload.key()),
        &text(|entry| entry.workload.cluster.clone()),
        &text(|entry| entry.workload.namespace.clone()),
        &text(|entry| entry.workload.kind.clone()),
        &text(|entry| entry.workload.name.clone()),
        &changed.iter().map(|entry| entry.state.open).collect::<Vec<bool>>(),
        &text(|entry| entry.state.severity.as_str().to_owned()),
        &text(|entry| entry.title.clone()),
        &changed.iter().map(|entry| entry.confident).collect::<Vec<bool>>(),
        &names,
        &changed.iter().map(|entry| entry.new_alerts).collect::<Vec<i32>>(),
        &changed.iter().map(|entry| entry.enqueue.is_some()).collect::<Vec<bool>>(),
        &changed.iter().map(|entry| entry.state.firing).collect::<Vec<i32>>(),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

async fn insert_alerts(
    transaction: &mut PgConnection,
    lines: &[Line],
    queued: &HashMap<Uuid, Uuid>,
) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let text = |field: fn(&Line) -> &str| lines.iter().map(field).collect::<Vec<&str>>();
    let bodies: Vec<Json<&Alert>> = lines.iter().map(|line| Json(&line.alert)).collect();
    let investigation =
        |line: &Line| line.decision.enqueue().and_then(|_| queued.get(&line.incident?).copied());
    // The unique constraint stays the last word: a twin request on a label-derived key may have been here.
    sqlx::query!(
        r#"insert into alerts (id, source, fingerprint, starts_at, status, name, severity, cluster, body, ends_at,
                               incident_id, decision, reason, repeats, investigation_id)
           select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[],
                                $7::text[], $8::text[], $9::jsonb[], $10::timestamptz[], $11::uuid[], $12::text[],
                                $13::text[], $14::int[], $15::uuid[])
           on conflict on constraint alerts_occurrence do update
             -- What a policy's `never` ignored is decided anew when it comes again; all else was decided for good.
             set (decision, reason, incident_id, investigation_id) = (
                   select d.decision, d.reason, d.incident_id, d.investigation_id
                   from (values (true, excluded.decision, excluded.reason, excluded.incident_id, excluded.investigation_id),
                                (false, alerts.decision, alerts.reason, alerts.incident_id, alerts.investigation_id))
                     as d (anew, decision, reason, incident_id, investigation_id)
                   where d.anew = (alerts.decision = 'ignore' and starts_with(alerts.reason, $16))),
                 repeats = alerts.repeats + 1 + excluded.repeats, seen_at = now()"#,
        &lines.iter().map(|line| line.id).collect::<Vec<Uuid>>(),
        &text(|line| line.alert.source.as_str()) as &[&str],
        &text(|line| line.alert.fingerprint.as_str()) as &[&str],
        &lines.iter().map(|line| line.alert.starts_at).collect::<Vec<DateTime<Utc>>>(),
        &text(|line| line.alert.status.as_str()) as &[&str],
        &text(|line| line.alert.name()) as &[&str],
        &text(|line| line.alert.severity.as_str()) as &[&str],
        &text(|line| line.alert.label("cluster").unwrap_or_default()) as &[&str],
        &bodies as &[Json<&Alert>],
        &lines.iter().map(|line| line.alert.ends_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &lines.iter().map(|line| line.incident).collect::<Vec<_>>() as &[Option<Uuid>],
        &text(|line| line.decision.as_str()) as &[&str],
        &lines.iter().map(Line::reason).collect::<Vec<String>>(),
        &lines.iter().map(|line| line.repeats).collect::<Vec<i32>>(),
        &lines.iter().map(investigation).collect::<Vec<_>>() as &[Option<Uuid>],
        NEVER,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// A repeat is counted, and shows that the sender still holds the alert for true.
async fn count_repeats(transaction: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    if book.repeats.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = book.repeats.iter().collect();
    sqlx::query!(
        r#"with again as (
             update alerts a set repeats = a.repeats + k.times, seen_at = now()
             from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::int[])
               as k (source, fingerprint, starts_at, status, times)
             where a.source = k.source and a.fingerprint = k.fingerprint and a.starts_at = k.starts_at
               and a.status = k.status
             returning a.incident_id)
           update incidents set updated_at = now()
           where state = 'open' and id in (select incident_id from again)"#,
        &rows.iter().map(|((key, _), _)| key.0.as_str().to_owned()).collect::<Vec<String>>(),
        &rows.iter().map(|((key, _), _)| key.1.clone()).collect::<Vec<String>>(),
        &rows.iter().map(|((key, _), _)| key.2).collect::<Vec<DateTime<Utc>>>(),
        &rows.iter().map(|((_, status), _)| status.as_str().to_owned()).collect::<Vec<String>>(),
        &rows.iter().map(|(_, times)| **times).collect::<Vec<i32>>(),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Writes the alerts of the book, each with the investigation that its decision queued: those of `queued`, by
/// incident.
///
/// # Errors
/// The database's.
pub async fn write_alerts(
    transaction: &mut PgConnection,
    book: &Book,
    queued: &HashMap<Uuid, Uuid>,
) -> Result<(), sqlx::Error> {
    insert_alerts(transaction, &book.lines, queued).await?;
    count_repeats(transaction, book).await
}
