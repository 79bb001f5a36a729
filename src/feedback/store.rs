//! Rows of what people did: feedback, mutes and the audit trail, each written here alone. Time is the database's.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{Action, Actor, Verdict};
use crate::report::{Muted, Report};

/// What an action is about.
pub(super) struct Subject {
    pub(super) incident_id: Uuid,
    pub(super) workload: String,
    pub(super) alert_name: String,
    /// None: there is none yet, or another version wrote it differently.
    pub(super) report: Option<Report>,
}

pub(super) async fn subject(db: impl PgExecutor<'_>, investigation: Uuid) -> sqlx::Result<Option<Subject>> {
    let row = sqlx::query!(
        "select incident_id, workload, alert_name, report from investigations where id = $1",
        investigation
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Subject {
        incident_id: row.incident_id,
        workload: row.workload,
        alert_name: row.alert_name,
        report: row.report.and_then(|report| serde_json::from_value(report).ok()),
    }))
}

/// The newest investigation of an incident.
pub(super) async fn newest(db: impl PgExecutor<'_>, incident: Uuid) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "select id from investigations where incident_id = $1 order by created_at desc, id desc limit 1",
        incident
    )
    .fetch_optional(db)
    .await
}

/// A line of the audit trail.
pub(super) struct Entry {
    pub(super) action: &'static str,
    pub(super) subject: String,
    pub(super) detail: Value,
}

pub(super) enum Begun {
    /// The trail has a new line.
    New(Uuid),
    /// The same was done before, with this result.
    Before(Value),
}

/// None: the id was used for something else. Two that come at once wait for each other here.
pub(super) async fn begin(
    db: &mut PgConnection,
    action: Action<'_>,
    entry: &Entry,
) -> sqlx::Result<Option<Begun>> {
    let (actor, via) = (action.by.name(), action.by.via().as_str());
    let key = key(action);
    let id = Uuid::now_v7();
    let added = sqlx::query!(
        "insert into audit (id, action_id, actor, via, action, subject, detail) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (action_id) do nothing",
        id,
        key,
        actor,
        via,
        entry.action,
        entry.subject,
        entry.detail
    )
    .execute(&mut *db)
    .await?;
    if added.rows_affected() == 1 {
        return Ok(Some(Begun::New(id)));
    }
    let before = sqlx::query_scalar!(
        "select result from audit where action_id = $1 and action = $2 and subject = $3",
        key,
        entry.action,
        entry.subject
    );
    Ok(before.fetch_optional(db).await?.map(Begun::Before))
}

/// A line that stands in the trail under an action's id.
pub(super) struct Line {
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) result: Value,
}

pub(super) async fn before(db: impl PgExecutor<'_>, action: Action<'_>) -> sqlx::Result<Option<Line>> {
    sqlx::query_as!(Line, "select action, subject, result from audit where action_id = $1", key(action))
        .fetch_optional(db)
        .await
}

fn key(action: Action<'_>) -> Option<String> {
    action.id.map(|id| format!("{}:{}:{id}", action.by.via().as_str(), action.by.name()))
}

pub(super) async fn done(db: impl PgExecutor<'_>, audit: Uuid, result: &Value) -> sqlx::Result<()> {
    sqlx::query!("update audit set result = $2 where id = $1", audit, result).execute(db).await.map(|_| ())
}

pub(super) async fn rate(
    db: impl PgExecutor<'_>,
    by: &Actor,
    investigation: Uuid,
    (verdict, reason): (Verdict, &str),
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into feedback (id, investigation_id, verdict, reason, author, via) values ($1, $2, $3, $4, $5, $6)
         on conflict (investigation_id, author) do update
           set verdict = excluded.verdict, reason = excluded.reason, via = excluded.via, at = now()",
        Uuid::now_v7(),
        investigation,
        verdict.as_str(),
        reason,
        by.name(),
        by.via().as_str()
    )
    .execute(db)
    .await
    .map(|_| ())
}

pub(super) struct Mute<'a> {
    pub(super) investigation: Uuid,
    pub(super) workload: &'a str,
    pub(super) cause: &'a str,
    pub(super) object: &'a str,
    pub(super) lasting: Duration,
}

pub(super) async fn mute(
    db: impl PgExecutor<'_>,
    by: &Actor,
    mute: &Mute<'_>,
    reason: &str,
) -> sqlx::Result<Uuid> {
    sqlx::query_scalar!(
        "insert into mutes (id, workload, cause_id, object, until, reason, author, via, investigation_id)
         values ($1, $2, $3, $4, now() + make_interval(secs => $5), $6, $7, $8, $9)
         on conflict (workload, cause_id, object) where lifted_at is null do update
           set until = excluded.until, reason = excluded.reason, author = excluded.author, via = excluded.via,
               investigation_id = excluded.investigation_id, created_at = now()
         returning id",
        Uuid::now_v7(),
        mute.workload,
        mute.cause,
        mute.object,
        mute.lasting.as_secs_f64(),
        reason,
        by.name(),
        by.via().as_str(),
        mute.investigation
    )
    .fetch_one(db)
    .await
}

/// False: it is none, over, or lifted already.
pub(super) async fn lift(db: impl PgExecutor<'_>, mute: Uuid) -> sqlx::Result<bool> {
    let lifted = sqlx::query!(
        "update mutes set lifted_at = now() where id = $1 and lifted_at is null and until > now()",
        mute
    );
    Ok(lifted.execute(db).await?.rows_affected() == 1)
}

pub(super) async fn in_force(
    db: &mut PgConnection,
    workload: &str,
    cause: &str,
    object: &str,
) -> sqlx::Result<Option<Muted>> {
    sqlx::query_as!(
        Muted,
        r#"select id as mute, until, author as by, reason from mutes
           where workload = $1 and cause_id = $2 and object in ('', $3) and lifted_at is null and until > now()
           order by until desc limit 1"#,
        workload,
        cause,
        object
    )
    .fetch_optional(db)
    .await
}
