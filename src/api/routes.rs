//! Every path of the API, each with its handler and its description: state in, one router out. It answers nothing
//! itself but what has no path.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::routing::get;
use axum::{Router, middleware};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{ApiState, access, actions, detail, docs, etag, events, health, lists, runbooks, stats, trail};

/// The API, the health endpoints and the metrics. It brings the fallback for unknown paths, so a router that
/// is merged with it must not have one.
pub fn router(state: ApiState) -> Router {
    let nosniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (described, document) = described(&state).split_for_parts();
    let described = described.layer(middleware::from_fn(etag::tag));
    let tokens = Arc::clone(&state.tokens);
    Router::new()
        .merge(described)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(docs::router(&document))
        .fallback(|| async { Problem::NotFound("There is nothing at this path.") })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .layer(middleware::from_fn_with_state(tokens, access::authorize))
        .layer(SetResponseHeaderLayer::overriding(nosniff.0, nosniff.1))
        .layer(SetResponseHeaderLayer::if_not_present(no_store.0, no_store.1))
        .with_state(state)
}

/// A handler that is not described is not reached: both come from the same line.
fn described(state: &ApiState) -> OpenApiRouter<ApiState> {
    let streams = OpenApiRouter::new().routes(routes!(events::stream));
    OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(lists::incidents))
        .routes(routes!(detail::incident))
        .routes(routes!(lists::investigations, actions::investigate))
        .routes(routes!(detail::investigation))
        .routes(routes!(detail::transcript))
        .routes(routes!(actions::rate))
        .routes(routes!(actions::rerun))
        .routes(routes!(actions::mute))
        .routes(routes!(trail::mutes))
        .routes(routes!(actions::unmute))
        .routes(routes!(runbooks::runbooks))
        .routes(routes!(runbooks::runbook))
        .routes(routes!(stats::stats))
        .routes(routes!(trail::audit))
        .merge(streams.with_state(events::Streams::new(state.clone())))
}
