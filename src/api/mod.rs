//! Step 8, the reading side: `GET` requests in, JSON out, over every incident and investigation there ever was.
//! Errors are RFC 9457 problems. It writes nothing and shows only what was redacted before it was stored.

pub mod access;
pub(crate) mod events;
mod filter;
mod health;
mod problem;
mod store;

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::routing::get;
use axum::{Extension, Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;
use uuid::Uuid;

use crate::runbook::Standing;
pub use access::{Caller, Scope, Tokens, Writer, authorize};
use filter::{Incidents, Investigations, Pairs};
use problem::{Problem, read};
use store::{Incident, Investigation, Observation};

use crate::slack::Access;

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    pub pool: PgPool,
    /// Who may read `/api/**`, and act through it.
    pub tokens: Arc<Tokens>,
    pub ready: Ready,
    pub metrics: PrometheusHandle,
    /// Something was queued or finished here or elsewhere: streams of events look at once.
    pub wake: Arc<Notify>,
}

/// What `/readyz` tells beside the database's answer.
#[derive(Clone)]
pub struct Ready {
    /// Cancelled when the drain begins.
    pub draining: CancellationToken,
    /// Which runbooks are in force, as of the last load.
    pub runbooks: watch::Receiver<Standing>,
    /// What the Slack token may not do.
    pub slack: Access,
}

/// One page of a list; `next` is the cursor of the page after it.
#[derive(Serialize)]
struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    investigation: Investigation,
    report: Option<Value>,
    observations: Vec<Observation>,
}

/// The API, the health endpoints and the metrics. It brings the fallback for unknown paths, so a router that
/// is merged with it must not have one.
pub fn router(state: ApiState) -> Router {
    let nosniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let streams = events::Streams::new(state.clone());
    Router::new()
        .route("/api/v1/investigations", get(investigations))
        .route("/api/v1/investigations/{id}", get(investigation))
        .route("/api/v1/investigations/{id}/events", get(events::stream).with_state(streams))
        .route("/api/v1/incidents", get(incidents))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(|| async { Problem::NotFound("There is nothing at this path.") })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .layer(middleware::from_fn_with_state(Arc::clone(&state.tokens), authorize))
        .layer(SetResponseHeaderLayer::overriding(nosniff.0, nosniff.1))
        .layer(SetResponseHeaderLayer::if_not_present(no_store.0, no_store.1))
        .with_state(state)
}

type Parameters = Result<Query<Pairs>, QueryRejection>;

fn pairs(parameters: Parameters) -> Result<Pairs, Problem> {
    let unreadable = |_| Problem::parameter("query", "the query string does not read as key=value&key=value");
    parameters.map(|Query(pairs)| pairs).map_err(unreadable)
}

async fn investigations(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<List<Investigation>>, Problem> {
    let filter = Investigations::parse(&pairs(parameters)?)?;
    let items = read(store::investigations(&state.pool, &filter, caller.reach())).await?;
    Ok(Json(page(items, filter.page.limit, |item| item.cursor().encode())))
}

async fn incidents(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<List<Incident>>, Problem> {
    let filter = Incidents::parse(&pairs(parameters)?)?;
    let items = read(store::incidents(&state.pool, &filter, caller.reach())).await?;
    Ok(Json(page(items, filter.page.limit, |item| item.cursor().encode())))
}

async fn investigation(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    parameters: Parameters,
) -> Result<Json<Detail>, Problem> {
    if let Some((key, _)) = pairs(parameters)?.first() {
        return Err(Problem::parameter(key, "an investigation takes no parameters"));
    }
    let id = investigation_id(id)?;
    let found = read(store::investigation(&state.pool, id, caller.reach())).await?;
    let investigation = found.ok_or(Problem::NotFound("There is no investigation with this id."))?;
    let report = read(store::report(&state.pool, id)).await?;
    let observations = read(store::observations(&state.pool, id)).await?;
    Ok(Json(Detail { investigation, report, observations }))
}

fn investigation_id(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    let hint = "id is a UUID, e.g. 019aa000-0000-7000-8000-000000000001";
    id.map(|Path(id)| id).map_err(|_| Problem::parameter("id", hint))
}

/// `items` holds one row more than `limit` when there is a next page.
fn page<T>(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> List<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(cursor) } else { None };
    List { items, next }
}
