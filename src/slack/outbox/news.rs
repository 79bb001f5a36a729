//! What is to be said enters the outbox inside the caller's transaction, so that an incident and its words are
//! committed together. Each announcement has a key: asked for twice, it is said once. Nothing is posted here.

use std::time::Duration;

use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::slack::blocks::Message;
use crate::slack::route::Routed;
use crate::slack::thread::MARGIN;

/// One announcement to be.
#[derive(Debug, Clone)]
pub struct News {
    incident: Uuid,
    investigation: Option<Uuid>,
    kind: &'static str,
    dedup_key: String,
    message: Message,
    thread_wait: Option<Duration>,
    in_thread: bool,
    to: Option<Routed>,
}

impl News {
    /// The head of an incident's thread.
    pub fn parent(incident: Uuid, message: Message) -> Self {
        Self::new(incident, "parent", format!("parent:{incident}"), message)
    }

    /// The report of an investigation, once however often it is retried.
    pub fn summary((incident, investigation): (Uuid, Uuid), message: Message) -> Self {
        let news = Self::new(incident, "summary", format!("summary:{investigation}"), message);
        Self { investigation: Some(investigation), ..news }
    }

    /// Replaces the head of the thread. `turn` tells one update of the incident from another, e.g.
    /// `report:<investigation>` or `resolved:<resolved_at>`.
    pub fn update(incident: Uuid, turn: &str, message: Message) -> Self {
        Self::new(incident, "update", format!("update:{incident}:{turn}"), message)
    }

    /// The head is posted only after the message of another bot was looked for, so long.
    #[must_use]
    pub fn after_looking(self, thread_wait: Option<Duration>) -> Self {
        Self { thread_wait, ..self }
    }

    /// A reply says the same: nothing is lost where the head is not ours to change.
    #[must_use]
    pub fn said_in_thread(self) -> Self {
        Self { in_thread: true, ..self }
    }

    /// Where it goes, if its incident has no thread yet: a thread goes on where it began.
    #[must_use]
    pub fn to(self, routed: Routed) -> Self {
        Self { to: Some(routed), ..self }
    }

    /// The note that the trouble is over. `turn` tells one end of the incident from the next, e.g. `resolved_at`.
    pub fn resolved(incident: Uuid, turn: &str, message: Message) -> Self {
        Self::new(incident, "resolved", format!("resolved:{incident}:{turn}"), message)
    }

    /// A question's answer, below everything that was said before it.
    pub fn answer(incident: Uuid, request: &str, message: Message) -> Self {
        Self::new(incident, "resolved", format!("answer:{request}"), message)
    }

    fn new(incident: Uuid, kind: &'static str, dedup_key: String, message: Message) -> Self {
        let (investigation, thread_wait, in_thread, to) = (None, None, false, None);
        Self { incident, investigation, kind, dedup_key, message, thread_wait, in_thread, to }
    }
}

/// Queues what is new of `news`, in their order, and returns how many that were. What names no channel and has no
/// thread goes to `channel`.
///
/// # Errors
/// The database's.
pub async fn enqueue(db: impl PgExecutor<'_>, channel: &str, news: &[News]) -> sqlx::Result<u64> {
    if news.is_empty() {
        return Ok(0);
    }
    let added = sqlx::query!(
        "insert into announcements (id, incident_id, investigation_id, kind, channel, payload, dedup_key, state,
             route_reason, in_thread, thread_until, thread_look_at, next_at)
         select u.id, u.incident, u.investigation, u.kind, coalesce(p.channel, u.channel, $1), u.payload, u.dedup_key, 'waiting',
             case when p.channel is null then u.reason end, u.in_thread, now() + make_interval(secs => u.thread_wait),
             case when u.thread_wait is not null then now() end,
             now() + make_interval(secs => coalesce(u.thread_wait + $10, 0))
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[], $7::text[], $8::boolean[], $9::float8[],
                     $11::text[], $12::text[])
           as u (id, incident, investigation, kind, payload, dedup_key, in_thread, thread_wait, channel, reason)
         left join lateral (select p.channel from announcements p
                            where p.incident_id = u.incident and p.kind = 'parent' limit 1) p on true
         -- What changes or ends a thread is said only where there is one.
         where u.kind in ('parent', 'summary') or p.channel is not null
         on conflict (dedup_key) do nothing",
        channel,
        &news.iter().map(|_| Uuid::now_v7()).collect::<Vec<Uuid>>(),
        &news.iter().map(|one| one.incident).collect::<Vec<Uuid>>(),
        &news.iter().map(|one| one.investigation).collect::<Vec<_>>() as &[Option<Uuid>],
        &news.iter().map(|one| one.kind).collect::<Vec<_>>() as &[&str],
        &news.iter().map(|one| Json(&one.message)).collect::<Vec<_>>() as &[Json<&Message>],
        &news.iter().map(|one| one.dedup_key.as_str()).collect::<Vec<_>>() as &[&str],
        &news.iter().map(|one| one.in_thread).collect::<Vec<_>>(),
        &news.iter().map(|one| one.thread_wait.map(|wait| wait.as_secs_f64())).collect::<Vec<_>>() as &[Option<f64>],
        MARGIN.as_secs_f64(),
        &routed(news, |to| &to.channel) as &[Option<&str>],
        &routed(news, |to| &to.reason) as &[Option<&str>],
    );
    Ok(added.execute(db).await?.rows_affected())
}

fn routed(news: &[News], part: fn(&Routed) -> &String) -> Vec<Option<&str>> {
    news.iter().map(|one| one.to.as_ref().map(|to| part(to).as_str())).collect()
}

/// Takes back what was not said yet about incidents that are told of elsewhere, and returns those of which a thread
/// stands already, or may.
///
/// # Errors
/// The database's.
pub async fn withdraw(db: &mut PgConnection, incidents: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query!(
        "with unsaid as (
           select incident_id from announcements
           where incident_id = any($1) and kind = 'parent' and state = 'waiting' and attempts = 0
           for update skip locked)
         delete from announcements a using unsaid u where a.incident_id = u.incident_id",
        incidents
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!(
        "select incident_id from announcements where incident_id = any($1) and kind = 'parent'",
        incidents
    )
    .fetch_all(db)
    .await
}

/// Deletes what was said about incidents that are forgotten.
///
/// # Errors
/// The database's.
pub async fn forget(db: impl PgExecutor<'_>, incidents: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!("delete from announcements where incident_id = any($1)", incidents)
        .execute(db)
        .await
        .map(|_| ())
}

/// How many announcements there are in each state.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    pub waiting: i64,
    pub posting: i64,
    pub posted: i64,
    pub failed: i64,
}

/// Counts all announcements.
///
/// # Errors
/// The database's.
pub async fn standing(db: impl PgExecutor<'_>) -> sqlx::Result<Standing> {
    sqlx::query_as!(
        Standing,
        r#"select count(*) filter (where state = 'waiting') as "waiting!",
                  count(*) filter (where state = 'posting') as "posting!",
                  count(*) filter (where state = 'posted') as "posted!",
                  count(*) filter (where state = 'failed') as "failed!"
           from announcements"#
    )
    .fetch_one(db)
    .await
}
