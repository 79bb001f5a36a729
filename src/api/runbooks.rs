//! `GET /api/v1/runbooks`: which runbooks are in force, how often each was followed lately and what came of it, and
//! which alerts had none of their own. It only reads.

pub(crate) mod store;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::Pairs;
use super::problem::{Problem, Refusals, read};
use super::{ApiState, Caller, Parameters, pairs};
use crate::runbook::Runbook;
use store::{Uncovered, Usage};

pub(crate) const DEFAULT_DAYS: i32 = 30;
const MAX_DAYS: i32 = 365;

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the parameter")]
pub(super) struct Days {
    /// Over how many days it is counted; 30 where it is not given.
    #[param(minimum = 1, maximum = 365)]
    days: Option<i32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Runbooks {
    pub days: i32,
    /// By name.
    pub items: Vec<RunbookItem>,
    /// Alerts that were investigated without a runbook of their own, the most frequent first, at most 100.
    pub uncovered: Vec<Uncovered>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RunbookItem {
    pub name: String,
    pub path: String,
    /// It came with the program.
    pub builtin: bool,
    pub owner: String,
    /// workload, namespace or cluster: how far it allows to look.
    pub scope: String,
    /// Of this state of its text.
    pub revision: String,
    /// The ids of causes that it names.
    pub signatures: Vec<String>,
    pub usage: Usage,
    /// Of the investigations that followed it, the part that found a cause or that nothing is wrong; null: none did.
    pub hit_rate: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RunbookDetail {
    #[serde(flatten)]
    pub runbook: RunbookItem,
    pub tools: Vec<String>,
    pub cautions: Vec<String>,
    /// The guidance, in Markdown.
    pub text: String,
}

/// All runbooks in force, with what came of them.
#[utoipa::path(
    get, path = "/api/v1/runbooks", tag = "runbooks", params(Days),
    responses((status = 200, body = Runbooks), Refusals)
)]
pub(super) async fn runbooks(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<Runbooks>, Problem> {
    Ok(Json(runbooks_of(&state, &caller, days(&pairs(parameters)?)?).await?))
}

/// All runbooks in force, with what came of them among what the caller sees.
pub(crate) async fn runbooks_of(state: &ApiState, caller: &Caller, days: i32) -> Result<Runbooks, Problem> {
    let usage = read(store::usage(&state.pool, days, caller.reach())).await?;
    let uncovered = read(store::uncovered(&state.pool, days, caller.reach())).await?;
    let catalogue = state.catalogue.borrow().clone();
    let mut items: Vec<RunbookItem> =
        catalogue.runbooks().iter().map(|runbook| item(runbook, &usage)).collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Runbooks { days, items, uncovered })
}

/// One runbook.
#[utoipa::path(
    get, path = "/api/v1/runbooks/{name}", tag = "runbooks",
    params(("name" = String, Path, description = "Its name"), Days),
    responses((status = 200, body = RunbookDetail), Refusals)
)]
pub(super) async fn runbook(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Json<RunbookDetail>, Problem> {
    Ok(Json(runbook_of(&state, &caller, &name, days(&pairs(parameters)?)?).await?))
}

/// One runbook, with what came of it among what the caller sees.
pub(crate) async fn runbook_of(
    state: &ApiState,
    caller: &Caller,
    name: &str,
    days: i32,
) -> Result<RunbookDetail, Problem> {
    let catalogue = state.catalogue.borrow().clone();
    let found = catalogue.runbooks().iter().find(|runbook| runbook.name == name);
    let runbook = found.ok_or(Problem::NotFound("There is no runbook with this name."))?;
    let usage = read(store::usage(&state.pool, days, caller.reach())).await?;
    Ok(RunbookDetail {
        runbook: item(runbook, &usage),
        tools: runbook.tools.iter().map(ToString::to_string).collect(),
        cautions: runbook.cautions.clone(),
        text: runbook.text.clone(),
    })
}

fn item(runbook: &Runbook, usage: &[(String, Usage)]) -> RunbookItem {
    let used = usage.iter().find(|(name, _)| *name == runbook.name);
    let usage = used.map(|(_, usage)| usage.clone()).unwrap_or_default();
    let hits = usage.explained + usage.healthy;
    RunbookItem {
        name: runbook.name.clone(),
        path: runbook.path.clone(),
        builtin: runbook.builtin,
        owner: runbook.owner.clone(),
        scope: format!("{:?}", runbook.scope).to_lowercase(),
        revision: runbook.revision.clone(),
        signatures: runbook.signatures.iter().map(|signature| signature.id.clone()).collect(),
        hit_rate: (usage.investigations > 0).then(|| hits as f64 / usage.investigations as f64),
        usage,
    }
}

/// Over how many days is counted.
pub(crate) fn days(pairs: &Pairs) -> Result<i32, Problem> {
    let mut days = DEFAULT_DAYS;
    for (key, value) in pairs {
        if key != "days" {
            return Err(Problem::parameter(key, "the only parameter is days"));
        }
        let given = value.parse().ok().filter(|days| (1..=MAX_DAYS).contains(days));
        days = given
            .ok_or_else(|| Problem::parameter("days", "days is a number from 1 to 365, e.g. days=30"))?;
    }
    Ok(days)
}
