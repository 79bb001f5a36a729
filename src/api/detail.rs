//! One incident or investigation with all that is known of it, and the transcript of an agent: an id in, JSON out.

pub(crate) mod store;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::filter::Incidents;
use super::lists::store::{self as lists, Incident, Investigation, Part};
use super::problem::{Problem, Refusals, read};
use super::{ApiState, Caller, Parameters, no_parameters};
use crate::report::Report;
use store::{Feedback, Observation, Occurrence, Opening, Thread, Turn};

/// Investigations of one incident that are listed with it, the newest.
const MAX_INVESTIGATIONS: i64 = 50;

/// An investigation with its report and all that it looked at.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvestigationDetail {
    #[serde(flatten)]
    pub investigation: Investigation,
    /// null until it is done.
    #[schema(value_type = Option<Report>)]
    pub report: Option<Value>,
    /// What the last attempt looked at, redacted.
    pub observations: Vec<Observation>,
    /// Where it was announced; null: nowhere.
    pub thread: Option<Thread>,
    /// What people said of it.
    pub feedback: Vec<Feedback>,
}

/// An incident with its alerts and investigations.
#[derive(Serialize, ToSchema)]
pub(crate) struct IncidentDetail {
    #[serde(flatten)]
    pub incident: Incident,
    /// The newest, at most 50.
    pub recent_investigations: Vec<Investigation>,
    /// The newest, at most 100.
    pub occurrences: Vec<Occurrence>,
    /// Where it was announced; null: nowhere.
    pub thread: Option<Thread>,
}

/// What was said between an agent and its tools.
#[derive(Serialize, ToSchema)]
pub(super) struct Transcript {
    /// How it began; null: no agent was asked, or that was forgotten.
    opening: Option<Opening>,
    turns: Vec<Turn>,
}

/// One investigation.
#[utoipa::path(
    get, path = "/api/v1/investigations/{id}", tag = "investigations",
    params(("id" = Uuid, Path, description = "Its id")),
    responses((status = 200, body = InvestigationDetail), Refusals)
)]
pub(super) async fn investigation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    parameters: Parameters,
) -> Result<Json<InvestigationDetail>, Problem> {
    no_parameters(parameters)?;
    Ok(Json(investigation_of(&state, &caller, id_of(id)?).await?))
}

/// An investigation that the caller sees, with all that is known of it.
pub(crate) async fn investigation_of(
    state: &ApiState,
    caller: &Caller,
    id: Uuid,
) -> Result<InvestigationDetail, Problem> {
    let investigation = seen(state, caller, id).await?;
    let (report, observations, thread, feedback) = read(async {
        let mut connection = state.pool.acquire().await?;
        Ok((
            store::report(&mut *connection, id).await?,
            store::observations(&mut *connection, id).await?,
            store::thread(&mut *connection, investigation.incident_id).await?,
            store::feedback(&mut *connection, id).await?,
        ))
    })
    .await?;
    Ok(InvestigationDetail { investigation, report, observations, thread, feedback })
}

/// What an agent asked and heard in one investigation.
#[utoipa::path(
    get, path = "/api/v1/investigations/{id}/transcript", tag = "investigations",
    params(("id" = Uuid, Path, description = "Its id")),
    responses((status = 200, body = Transcript), Refusals)
)]
pub(super) async fn transcript(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    parameters: Parameters,
) -> Result<Json<Transcript>, Problem> {
    no_parameters(parameters)?;
    let id = id_of(id)?;
    seen(&state, &caller, id).await?;
    let transcript = read(async {
        let mut connection = state.pool.acquire().await?;
        let opening = store::opening(&mut *connection, id).await?;
        Ok(Transcript { opening, turns: store::turns(&mut *connection, id).await? })
    });
    Ok(Json(transcript.await?))
}

/// One incident.
#[utoipa::path(
    get, path = "/api/v1/incidents/{id}", tag = "incidents",
    params(("id" = Uuid, Path, description = "Its id")),
    responses((status = 200, body = IncidentDetail), Refusals)
)]
pub(super) async fn incident(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    parameters: Parameters,
) -> Result<Json<IncidentDetail>, Problem> {
    no_parameters(parameters)?;
    Ok(Json(incident_of(&state, &caller, id_of(id)?).await?))
}

/// An incident that the caller sees, with all that is known of it.
pub(crate) async fn incident_of(
    state: &ApiState,
    caller: &Caller,
    id: Uuid,
) -> Result<IncidentDetail, Problem> {
    let only = Incidents { id: Some(id), ..Incidents::default() };
    let part = Part { after: None, skip: 0, limit: 1 };
    let found = read(lists::incidents(&state.pool, &only, caller.reach(), part)).await?.pop();
    let incident = found.ok_or(Problem::NotFound("There is no incident with this id."))?;
    let (recent_investigations, occurrences, thread) = read(async {
        let mut connection = state.pool.acquire().await?;
        Ok((
            store::investigations_of(&mut *connection, id, MAX_INVESTIGATIONS).await?,
            store::occurrences(&mut *connection, id).await?,
            store::thread(&mut *connection, id).await?,
        ))
    })
    .await?;
    Ok(IncidentDetail { incident, recent_investigations, occurrences, thread })
}

/// An investigation that the caller sees; a foreign one is not there.
pub(super) async fn seen(state: &ApiState, caller: &Caller, id: Uuid) -> Result<Investigation, Problem> {
    let found = read(store::investigation(&state.pool, id)).await?;
    let found = found.filter(|one| caller.reach().sees(&one.cluster, &one.namespace));
    found.ok_or(Problem::NotFound("There is no investigation with this id."))
}

pub(super) fn id_of(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    let hint = "id is a UUID, e.g. 019aa000-0000-7000-8000-000000000001";
    id.map(|Path(id)| id).map_err(|_| Problem::parameter("id", hint))
}
