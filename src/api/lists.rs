//! `GET /api/v1/incidents` and `/investigations`: a filter in, a page of JSON out, or an export as CSV or NDJSON.

pub(crate) mod store;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::export::{self, Row, cell};
use super::filter::{Cursor, Format, Incidents, Investigations, Page, Pairs};
use super::problem::{Problem, Refusals, read};
use super::{ApiState, Caller, Parameters, pairs};
use store::{Incident, Investigation, Part};

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub items: Vec<T>,
    /// Where the next page begins: its `cursor`. null: this was the last.
    pub next: Option<String>,
}

/// A page of investigations, by the parameters of their path.
pub(crate) async fn investigations_of(
    state: &ApiState,
    caller: &Caller,
    pairs: &Pairs,
) -> Result<List<Investigation>, Problem> {
    let filter = Investigations::parse(pairs)?;
    page_of(&filter.page, |part| store::investigations(&state.pool, &filter, caller.reach(), part)).await
}

/// A page of incidents, by the parameters of their path.
pub(crate) async fn incidents_of(
    state: &ApiState,
    caller: &Caller,
    pairs: &Pairs,
) -> Result<List<Incident>, Problem> {
    let filter = Incidents::parse(pairs)?;
    page_of(&filter.page, |part| store::incidents(&state.pool, &filter, caller.reach(), part)).await
}

/// Investigations, newest first.
#[utoipa::path(
    get, path = "/api/v1/investigations", tag = "investigations",
    params(Investigations, Page),
    responses(
        (status = 200, description = "One page, or an export", content(
            (List<Investigation> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))),
        Refusals)
)]
pub(super) async fn investigations(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let filter = Investigations::parse(&pairs(parameters)?)?;
    let page = filter.page.clone();
    let fetch = move |part: Part| {
        let (pool, filter, caller) = (state.pool.clone(), filter.clone(), caller.clone());
        async move { store::investigations(&pool, &filter, caller.reach(), part).await }
    };
    answer(page, &headers, fetch).await
}

/// Incidents, newest first.
#[utoipa::path(
    get, path = "/api/v1/incidents", tag = "incidents",
    params(Incidents, Page),
    responses(
        (status = 200, description = "One page, or an export", content(
            (List<Incident> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))),
        Refusals)
)]
pub(super) async fn incidents(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let filter = Incidents::parse(&pairs(parameters)?)?;
    let page = filter.page.clone();
    let fetch = move |part: Part| {
        let (pool, filter, caller) = (state.pool.clone(), filter.clone(), caller.clone());
        async move { store::incidents(&pool, &filter, caller.reach(), part).await }
    };
    answer(page, &headers, fetch).await
}

async fn answer<R: Row, F, Q>(page: Page, headers: &HeaderMap, fetch: F) -> Result<Response, Problem>
where
    F: Fn(Part) -> Q + Send + 'static,
    Q: Future<Output = sqlx::Result<Vec<R>>> + Send,
{
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = page.format(accept);
    if format != Format::Json {
        return export::answer(format, &page, fetch).await;
    }
    Ok(Json(page_of(&page, fetch).await?).into_response())
}

async fn page_of<R: Row, F, Q>(page: &Page, fetch: F) -> Result<List<R>, Problem>
where
    F: FnOnce(Part) -> Q,
    Q: Future<Output = sqlx::Result<Vec<R>>>,
{
    // One row more than the page holds tells that there is a next one.
    let size = page.size();
    let mut items = read(fetch(Part { after: page.cursor, skip: 0, limit: size + 1 })).await?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = items.len() > size;
    items.truncate(size);
    let next = if more { items.last().map(|row| row.cursor().encode()) } else { None };
    Ok(List { items, next })
}

impl Row for Investigation {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "incident_id",
        "workload",
        "cluster",
        "namespace",
        "state",
        "reason",
        "outcome",
        "cause_id",
        "summary",
        "alert_name",
        "runbook",
        "created_at",
        "started_at",
        "finished_at",
        "seconds",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "usd",
        "attempt",
        "error",
    ];

    fn cursor(&self) -> Cursor {
        Self::cursor(self)
    }

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            cell(self.id),
            cell(self.incident_id),
            self.workload.clone(),
            self.cluster.clone(),
            self.namespace.clone(),
            self.state.clone(),
            self.reason.clone(),
            text(&self.outcome),
            text(&self.cause_id),
            text(&self.summary),
            self.alert_name.clone(),
            text(&self.runbook),
            export::time(Some(self.created_at)),
            export::time(self.started_at),
            export::time(self.finished_at),
            self.seconds.map(cell).unwrap_or_default(),
            cell(self.input_tokens),
            cell(self.cached_tokens),
            cell(self.output_tokens),
            cell(self.usd),
            cell(self.attempt),
            text(&self.error),
        ]
    }
}

impl Row for Incident {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "workload",
        "cluster",
        "namespace",
        "kind",
        "name",
        "state",
        "severity",
        "title",
        "alert_names",
        "alerts",
        "investigations",
        "opened_at",
        "updated_at",
        "resolved_at",
        "last_outcome",
    ];

    fn cursor(&self) -> Cursor {
        Self::cursor(self)
    }

    fn cells(&self) -> Vec<String> {
        let last = self.last_investigation.as_ref().and_then(|last| last.outcome.clone());
        vec![
            cell(self.id),
            self.workload.clone(),
            self.cluster.clone(),
            self.namespace.clone(),
            self.kind.clone(),
            self.name.clone(),
            self.state.clone(),
            self.severity.clone(),
            self.title.clone(),
            self.alert_names.join(" "),
            cell(self.alerts),
            cell(self.investigations),
            export::time(Some(self.opened_at)),
            export::time(Some(self.updated_at)),
            export::time(self.resolved_at),
            last.unwrap_or_default(),
        ]
    }
}
