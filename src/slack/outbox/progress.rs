//! The line that tells how far an investigation has come: it replaces the head of the thread, and only where nothing
//! else is to be said. It stands before whatever the investigation ends with, whenever it was written. Nothing is posted
//! here.

use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

use crate::slack::blocks::Message;

/// Two changes of a head have at least this between them.
const PAUSE: Duration = Duration::from_secs(10);

/// Queues the line, or drops it: where something waits, where a head was changed lately or is not ours to change, and
/// where the investigation or the incident is over. `of` is the investigation, its attempt and step.
///
/// The rows that end them are locked meanwhile: either they end later and take the line back, or no line is written.
/// It counts as written when the investigation began, so that what ends it comes after it.
///
/// # Errors
/// The database's.
pub async fn progress(
    db: impl PgExecutor<'_>,
    incident: Uuid,
    of: (Uuid, i32, i32),
    message: &Message,
) -> sqlx::Result<bool> {
    let (investigation, attempt, step) = of;
    let added = sqlx::query!(
        "insert into announcements (id, incident_id, kind, channel, payload, dedup_key, state, in_thread, created_at)
         select $1, $2, 'update', p.channel, $3, $4, 'waiting', true, coalesce(v.started_at, now())
         from announcements p
         join incidents i on i.id = p.incident_id and i.state = 'open'
         join investigations v on v.id = $5 and v.attempt = $6 and v.state = 'running'
         where p.incident_id = $2 and p.kind = 'parent' and p.state = 'posted' and p.thread is distinct from 'adopted'
           and not exists (select from announcements e
                           where e.incident_id = $2 and e.state in ('waiting', 'posting'))
           and not exists (select from announcements e
                           where e.incident_id = $2 and e.kind in ('parent', 'update')
                             and e.posted_at > now() - make_interval(secs => $7))
         for share of i, v
         on conflict (dedup_key) do nothing",
        Uuid::now_v7(),
        incident,
        Json(message) as Json<&Message>,
        format!("progress:{incident}:{investigation}:{attempt}:{step}"),
        investigation,
        attempt,
        PAUSE.as_secs_f64(),
    );
    Ok(added.execute(db).await?.rows_affected() == 1)
}

/// Takes back lines that were not said yet: the incident's investigation has ended.
///
/// # Errors
/// The database's.
pub async fn forget_progress(db: impl PgExecutor<'_>, incident: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from announcements
         where incident_id = $1 and kind = 'update' and state = 'waiting' and dedup_key like 'progress:%'",
        incident
    )
    .execute(db)
    .await
    .map(|_| ())
}
