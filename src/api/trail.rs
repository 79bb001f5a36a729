//! `GET /api/v1/mutes` and `/api/v1/audit`: which causes are muted now, and who did what. It only reads.

mod store;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Scope;
use super::filter::Page;
use super::problem::{Problem, Refusals, WriteRefusals, read};
use super::{ApiState, Caller, Parameters, no_parameters, pairs};
use store::{Line, Mute};

#[derive(Serialize, ToSchema)]
pub(super) struct Mutes {
    /// Those that end last first, at most 500.
    items: Vec<Mute>,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the parameters")]
pub(super) struct Lines {
    /// Lines of one page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Audit {
    items: Vec<Line>,
    /// Where the next page begins: its `cursor`. null: this was the last.
    next: Option<String>,
}

/// Causes that are not announced now.
#[utoipa::path(
    get, path = "/api/v1/mutes", tag = "actions",
    responses((status = 200, body = Mutes), Refusals)
)]
pub(super) async fn mutes(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<Mutes>, Problem> {
    no_parameters(parameters)?;
    let items = read(store::mutes(&state.pool, caller.reach())).await?;
    Ok(Json(Mutes { items }))
}

/// Who did what, newest first. Needs the scope `admin` and a token that sees everything.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", params(Lines),
    responses((status = 200, body = Audit), WriteRefusals)
)]
pub(super) async fn audit(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<Audit>, Problem> {
    if !caller.may(Scope::Admin) || !caller.reach().is_unlimited() {
        return Err(Problem::MayNot(Scope::Admin));
    }
    let page = Page::parse(&pairs(parameters)?)?;
    let mut items = read(store::audit(&state.pool, page.cursor, page.size() + 1)).await?;
    let size = usize::try_from(page.size()).unwrap_or(usize::MAX);
    let more = items.len() > size;
    items.truncate(size);
    let next = if more { items.last().map(|line| line.cursor().encode()) } else { None };
    Ok(Json(Audit { items, next }))
}
