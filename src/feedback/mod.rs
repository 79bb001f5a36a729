//! What people say about an investigation comes in (it helped or not, its cause is no problem here, look again), and
//! rows, a mute or a queued investigation come out, each action with its line in the audit trail. An action that
//! comes twice under one id is done once. Texts are redacted and bounded here; who may act is the caller's to decide.

mod action;
pub mod retention;
pub mod store;

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use self::action::bounded;
pub use self::action::{Action, Actor, MAX_NAME, MAX_REASON, Verdict, Via};
use crate::investigation::queue;
use crate::report::{Muted, Outcome, Report};
use crate::workload::Workload;
use store::{Begun, Entry};

/// Bytes of an action's id; a longer one is refused.
pub const MAX_ACTION_ID_BYTES: usize = 200;
pub const MIN_MUTE: Duration = Duration::from_secs(60);
pub const MAX_MUTE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Where nobody says how long.
pub const DEFAULT_MUTE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Why an investigation that a person asked for is in the queue.
pub const RERUN: &str = "rerun";
/// What stands for an alert's name where nobody but a person asked.
pub const ASKED: &str = "Asked";
const INVESTIGATE: &str = "investigate";
/// Of a re-run: above what nobody waits for.
const PRIORITY: i32 = crate::alert::Severity::Critical as i32;
/// The waiting investigation may be claimed between two looks.
const QUEUE_TRIES: usize = 5;

/// A new look at an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rerun {
    pub investigation: Uuid,
    /// It was waiting already.
    pub joined: bool,
}

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("there is no such investigation")]
    NoInvestigation,
    #[error("there is no such mute in force")]
    NoMute,
    #[error("the report names no cause, so there is nothing to mute")]
    NoCause,
    #[error("a mute lasts from one minute to 90 days")]
    BadDuration,
    #[error("an action's id has 1 to 200 bytes")]
    BadActionId,
    /// The id was used for something else.
    #[error("this id was used for another action")]
    OtherAction,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Says whether a report helped. A later word of the same author replaces the one before.
///
/// # Errors
/// No such investigation, an id of another action, the database's.
pub async fn rate(
    db: &mut PgConnection,
    action: Action<'_>,
    investigation: Uuid,
    verdict: Verdict,
    reason: &str,
) -> Result<(), Fault> {
    let reason = bounded(reason, MAX_REASON);
    let mut transaction = db.begin().await?;
    store::subject(&mut *transaction, investigation).await?.ok_or(Fault::NoInvestigation)?;
    let detail = json!({"verdict": verdict.as_str(), "reason": reason});
    let entry = Entry { action: "rate", subject: investigation.to_string(), detail };
    if let Begun::New(audit) = begin(&mut transaction, action, &entry).await? {
        store::rate(&mut *transaction, action.by, investigation, (verdict, &reason)).await?;
        store::done(&mut *transaction, audit, &json!({})).await?;
    }
    Ok(transaction.commit().await?)
}

/// "Not a problem": the cause of this investigation is not posted again for its workload, for a time. What a
/// signature names is muted whichever object it is on; what an agent found, for its object only, because agents'
/// causes share a few ids. Returns the mute's id; a cause that is muted already gets the new end.
///
/// # Errors
/// No such investigation, no cause, a bad duration, an id of another action, the database's.
pub async fn mute(
    db: &mut PgConnection,
    action: Action<'_>,
    investigation: Uuid,
    lasting: Duration,
    reason: &str,
) -> Result<Uuid, Fault> {
    if !(MIN_MUTE..=MAX_MUTE).contains(&lasting) {
        return Err(Fault::BadDuration);
    }
    let reason = bounded(reason, MAX_REASON);
    let mut transaction = db.begin().await?;
    let subject = store::subject(&mut *transaction, investigation).await?.ok_or(Fault::NoInvestigation)?;
    let report = subject.report.as_ref().ok_or(Fault::NoCause)?;
    let (cause, object) = muted_by(report).ok_or(Fault::NoCause)?;
    let detail = json!({
        "workload": subject.workload, "cause": cause, "object": object,
        "seconds": lasting.as_secs(), "reason": reason,
    });
    let entry = Entry { action: "mute", subject: investigation.to_string(), detail };
    let mute = match begin(&mut transaction, action, &entry).await? {
        Begun::Before(result) => id_of(&result, "mute")?,
        Begun::New(audit) => {
            let what =
                store::Mute { investigation, workload: &subject.workload, cause, object: &object, lasting };
            let mute = store::mute(&mut *transaction, action.by, &what, &reason).await?;
            store::done(&mut *transaction, audit, &json!({"mute": mute})).await?;
            mute
        }
    };
    transaction.commit().await?;
    Ok(mute)
}

/// Lifts a mute.
///
/// # Errors
/// No such mute in force, an id of another action, the database's.
pub async fn unmute(db: &mut PgConnection, action: Action<'_>, mute: Uuid) -> Result<(), Fault> {
    let mut transaction = db.begin().await?;
    let entry = Entry { action: "unmute", subject: mute.to_string(), detail: json!({}) };
    if let Begun::New(audit) = begin(&mut transaction, action, &entry).await? {
        if !store::lift(&mut *transaction, mute).await? {
            return Err(Fault::NoMute);
        }
        store::done(&mut *transaction, audit, &json!({})).await?;
    }
    Ok(transaction.commit().await?)
}

/// Queues a fresh investigation of the same incident, closed or not; one that waits already is joined, and waits no
/// longer. The caller wakes the workers.
///
/// # Errors
/// No such investigation, an id of another action, the database's.
pub async fn rerun(db: &mut PgConnection, action: Action<'_>, investigation: Uuid) -> Result<Rerun, Fault> {
    let mut transaction = db.begin().await?;
    let subject = store::subject(&mut *transaction, investigation).await?.ok_or(Fault::NoInvestigation)?;
    let entry = Entry { action: "rerun", subject: investigation.to_string(), detail: json!({}) };
    let rerun = match begin(&mut transaction, action, &entry).await? {
        Begun::Before(result) => rerun_of(&result)?,
        Begun::New(audit) => queue_and_note(&mut transaction, &subject, audit).await?,
    };
    transaction.commit().await?;
    Ok(rerun)
}

/// What a request to investigate a workload led to, where it came before under its id.
///
/// # Errors
/// A bad id, an id of another action, the database's.
pub async fn asked_before(
    db: &mut PgConnection,
    action: Action<'_>,
    workload: &Workload,
) -> Result<Option<Rerun>, Fault> {
    let Some(entry) = store::before(db, action).await? else { return Ok(None) };
    if (entry.action.as_str(), &entry.subject) != (INVESTIGATE, &workload.key()) {
        return Err(Fault::OtherAction);
    }
    rerun_of(&entry.result).map(Some)
}

/// The incident of a workload that somebody asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Opened because of the question: what was queued with it is the answer.
    Opened(Uuid),
    /// Open already.
    Open(Uuid),
}

/// Queues an investigation of a workload's incident because somebody asked, as `rerun` does.
///
/// # Errors
/// An id of another action, the database's.
pub async fn investigate(
    db: &mut PgConnection,
    action: Action<'_>,
    workload: &Workload,
    asked: Asked,
) -> Result<Rerun, Fault> {
    let (Asked::Opened(incident) | Asked::Open(incident)) = asked;
    let mut transaction = db.begin().await?;
    let subject = store::Subject {
        incident_id: incident,
        workload: workload.key(),
        alert_name: ASKED.to_owned(),
        report: None,
    };
    let entry = Entry { action: INVESTIGATE, subject: workload.key(), detail: json!({"incident": incident}) };
    let rerun = match begin(&mut transaction, action, &entry).await? {
        Begun::Before(result) => rerun_of(&result)?,
        Begun::New(audit) => {
            let queued = match asked {
                // A worker may have it already.
                Asked::Opened(_) => store::newest(&mut *transaction, incident).await?,
                Asked::Open(_) => None,
            };
            match queued {
                Some(investigation) => {
                    let rerun = Rerun { investigation, joined: false };
                    note(&mut transaction, rerun, audit).await?
                }
                None => queue_and_note(&mut transaction, &subject, audit).await?,
            }
        }
    };
    transaction.commit().await?;
    Ok(rerun)
}

/// The mute that holds for this cause on this workload now, by the database's clock.
///
/// # Errors
/// The database's.
pub async fn in_force(
    db: &mut PgConnection,
    workload: &str,
    report: &Report,
) -> Result<Option<Muted>, sqlx::Error> {
    match muted_by(report) {
        Some((cause, object)) => store::in_force(db, workload, cause, &object).await,
        None => Ok(None),
    }
}

/// The cause's id and the object that a mute of this report is about.
fn muted_by(report: &Report) -> Option<(&str, String)> {
    let cause = report.cause.as_ref()?;
    let named_by_signature = report.outcome == Outcome::KnownPattern;
    Some((&cause.id, if named_by_signature { String::new() } else { cause.object.short() }))
}

fn rerun_of(result: &serde_json::Value) -> Result<Rerun, Fault> {
    Ok(Rerun { investigation: id_of(result, "investigation")?, joined: result["joined"] == json!(true) })
}

async fn queue_and_note(
    db: &mut PgConnection,
    subject: &store::Subject,
    audit: Uuid,
) -> Result<Rerun, Fault> {
    let rerun = queue_again(db, subject).await?;
    note(db, rerun, audit).await
}

async fn note(db: &mut PgConnection, rerun: Rerun, audit: Uuid) -> Result<Rerun, Fault> {
    let result = json!({"investigation": rerun.investigation, "joined": rerun.joined});
    store::done(&mut *db, audit, &result).await?;
    Ok(rerun)
}

async fn queue_again(db: &mut PgConnection, subject: &store::Subject) -> Result<Rerun, Fault> {
    let workload = subject.workload.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let waiting = queue::Waiting {
        incident_id: subject.incident_id,
        workload,
        alert_name: subject.alert_name.clone(),
        reason: RERUN.to_owned(),
        priority: PRIORITY,
        after: Duration::ZERO,
    };
    for _ in 0..QUEUE_TRIES {
        let queued = queue::enqueue(&mut *db, std::slice::from_ref(&waiting)).await?;
        if let Some(investigation) = queued.get(&subject.incident_id) {
            return Ok(Rerun { investigation: *investigation, joined: false });
        }
        if let Some(investigation) = queue::hurry(&mut *db, subject.incident_id).await? {
            return Ok(Rerun { investigation, joined: true });
        }
    }
    Err(Fault::Database(sqlx::Error::RowNotFound))
}

/// Enters an action into the trail, or finds what was entered under its id.
async fn begin(db: &mut PgConnection, action: Action<'_>, entry: &Entry) -> Result<Begun, Fault> {
    if action.id.is_some_and(|id| id.is_empty() || id.len() > MAX_ACTION_ID_BYTES || id.contains('\0')) {
        return Err(Fault::BadActionId);
    }
    store::begin(db, action, entry).await?.ok_or(Fault::OtherAction)
}

fn id_of(result: &serde_json::Value, key: &str) -> Result<Uuid, Fault> {
    let id = result[key].as_str().and_then(|id| id.parse().ok());
    id.ok_or(Fault::Database(sqlx::Error::RowNotFound))
}
