//! Forms about an investigation: what somebody says or asks for comes in, goes to `feedback`, and the page is shown
//! again. Each needs the scope `write` and an investigation that the reader may see.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::{Extension, Form};
use serde::Deserialize;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use uuid::Uuid;

use super::Pages;
use super::door::Reader;
use super::fault::{Fault, read};
use super::investigation::find;
use crate::feedback::{self, Action, Actor, Verdict, Via};
use crate::report::Report;

const DAY_SECONDS: u64 = 24 * 3600;

#[derive(Deserialize)]
pub(super) struct Said {
    verdict: String,
    #[serde(default)]
    reason: String,
    action: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Muting {
    days: u64,
    #[serde(default)]
    reason: String,
    action: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    action: Option<String>,
}

impl From<feedback::Fault> for Fault {
    fn from(fault: feedback::Fault) -> Self {
        match fault {
            feedback::Fault::Database(error) => error.into(),
            feedback::Fault::NoInvestigation | feedback::Fault::NoMute => {
                Self::NotFound("There is no such thing any more; reload the page.")
            }
            other => Self::Unreadable(format!("{other}.")),
        }
    }
}

/// A connection, the investigation and who acts on it.
struct Desk {
    connection: PoolConnection<Postgres>,
    id: Uuid,
    actor: Actor,
}

impl Desk {
    async fn open(pages: &Pages, reader: &Reader, id: &str) -> Result<Self, Fault> {
        if !reader.may_act() {
            return Err(Fault::Forbidden(
                "Your access is to read. This needs a token with the scope `write`.",
            ));
        }
        let row = find(pages.pool(), id, reader.reach()).await?;
        let connection = read(pages.pool().acquire()).await?;
        Ok(Self { connection, id: row.id, actor: reader.caller.actor(Via::Page) })
    }
}

/// The page of an investigation, with a line about what was done.
fn back(id: Uuid, done: &str) -> Redirect {
    Redirect::to(&format!("/investigations/{id}?done={done}"))
}

pub(super) async fn rate(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path(id): Path<String>,
    Form(said): Form<Said>,
) -> Result<Redirect, Fault> {
    let verdict = match said.verdict.as_str() {
        "helpful" => Verdict::Helpful,
        "unhelpful" => Verdict::Unhelpful,
        _ => return Err(Fault::Unreadable("The verdict is helpful or unhelpful.".to_owned())),
    };
    let Desk { mut connection, id, actor } = Desk::open(&pages, &reader, &id).await?;
    let action = Action { by: &actor, id: said.action.as_deref() };
    feedback::rate(&mut connection, action, id, verdict, &said.reason).await?;
    Ok(back(id, "thanks"))
}

pub(super) async fn rerun(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path(id): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Redirect, Fault> {
    let Desk { mut connection, id, actor } = Desk::open(&pages, &reader, &id).await?;
    let rerun =
        feedback::rerun(&mut connection, Action { by: &actor, id: asked.action.as_deref() }, id).await?;
    pages.api.wake.notify_waiters();
    Ok(back(rerun.investigation, if rerun.joined { "joined" } else { "" }))
}

pub(super) async fn mute(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path(id): Path<String>,
    Form(muting): Form<Muting>,
) -> Result<Redirect, Fault> {
    let Desk { mut connection, id, actor } = Desk::open(&pages, &reader, &id).await?;
    let lasting = Duration::from_secs(muting.days.saturating_mul(DAY_SECONDS));
    let action = Action { by: &actor, id: muting.action.as_deref() };
    feedback::mute(&mut connection, action, id, lasting, &muting.reason).await?;
    Ok(back(id, "muted"))
}

pub(super) async fn unmute(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path(id): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Redirect, Fault> {
    let Desk { mut connection, id, actor } = Desk::open(&pages, &reader, &id).await?;
    // The mute in force is looked up, so that a form cannot name one of another workload.
    let row = find(pages.pool(), &id.to_string(), reader.reach()).await?;
    let report = row.report.and_then(|report| serde_json::from_value::<Report>(report).ok());
    let gone = Fault::NotFound("No mute is in force for this cause any more.");
    let Some(report) = report else { return Err(gone) };
    let Some(muted) = read(feedback::in_force(&mut connection, &row.workload, &report)).await? else {
        return Err(gone);
    };
    feedback::unmute(&mut connection, Action { by: &actor, id: asked.action.as_deref() }, muted.mute).await?;
    Ok(back(id, "unmuted"))
}
