//! Gives guessed incidents their right key in `incidents`, with everything that hangs on it, inside the
//! caller's transaction and under the workloads' locks. It decides nothing about alerts.

use std::time::Duration;

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::alert::Severity;
use crate::incident::store::{Record, lock};
use crate::workload::Workload;

/// Open incidents of guessed workloads that opened within `since` and that nobody is about to look at, the
/// newest first, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn guessed(
    executor: impl PgExecutor<'_>,
    since: Duration,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from incidents i
         where state = 'open' and not confident and opened_at > now() - make_interval(secs => $1)
           and not exists (select from investigations v
                           where v.incident_id = i.id and v.state in ('queued', 'running'))
         order by opened_at desc limit $2",
        since.as_secs_f64(),
        limit
    )
    .fetch_all(executor)
    .await
}

/// What became of an incident whose workload was guessed first and is known now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corrected {
    /// Somebody else was quicker: nothing was changed.
    Known,
    /// The incident has its right key.
    Kept,
    /// Another incident of that workload was open: this one's alerts joined it, and this one is over.
    Merged {
        into: Uuid,
        /// What joined is not covered by the other's investigations, or is more severe.
        look_again: bool,
    },
}

/// Gives an incident the workload that the cluster named.
///
/// # Errors
/// The database's.
pub async fn correct(
    transaction: &mut PgConnection,
    incident: &Record,
    workload: &Workload,
) -> Result<Corrected, sqlx::Error> {
    let (old, new) = (incident.workload.key(), workload.key());
    lock(transaction, &[old, new.clone()]).await?;
    let known = sqlx::query_scalar!("select confident from incidents where id = $1", incident.id);
    if known.fetch_one(&mut *transaction).await? {
        return Ok(Corrected::Known);
    }
    // An incident that is over meanwhile joins nothing: its alerts are resolved.
    let other = sqlx::query!(
        r#"select o.id, o.alert_names @> i.alert_names as "covered!", o.severity
           from incidents i join incidents o on o.workload = $2 and o.state = 'open' and o.id <> i.id
           where i.id = $1 and i.state = 'open'"#,
        incident.id,
        new
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(other) = other else {
        rekey(transaction, incident.id, workload).await?;
        return Ok(Corrected::Kept);
    };
    let severity = Severity::from_word(&other.severity).max(incident.severity);
    let look_again = !other.covered || severity > Severity::from_word(&other.severity);
    merge(transaction, incident.id, other.id, severity).await?;
    Ok(Corrected::Merged { into: other.id, look_again })
}

async fn rekey(
    transaction: &mut PgConnection,
    incident: Uuid,
    workload: &Workload,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with corrected as (
           update incidents set workload = $2, cluster = $3, namespace = $4, kind = $5, name = $6,
                  confident = true, updated_at = now() where id = $1)
         update investigations set workload = $2, cluster = $3, namespace = $4
         where incident_id = $1 and state in ('queued', 'running')",
        incident,
        workload.key(),
        workload.cluster,
        workload.namespace,
        workload.kind,
        workload.name
    )
    .execute(transaction)
    .await?;
    Ok(())
}

async fn merge(
    transaction: &mut PgConnection,
    from: Uuid,
    into: Uuid,
    severity: Severity,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with moved as (update alerts set incident_id = $2 where incident_id = $1 returning 1),
              over as (update incidents set state = 'resolved', confident = true, resolved_at = now(),
                              updated_at = now()
                       where id = $1 returning alert_names)
         update incidents o set alerts = o.alerts + (select count(*) from moved), severity = $3,
                updated_at = now(),
                alert_names = array(select unnest(o.alert_names)
                                    union select unnest(over.alert_names) order by 1)
         from over where o.id = $2",
        from,
        into,
        severity.as_str()
    )
    .execute(transaction)
    .await?;
    Ok(())
}
