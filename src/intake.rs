//! The conductor before the queue: a webhook's alerts are placed on workloads, committed with their
//! decisions, queued and announced in ONE transaction, and only then acknowledged with 202. It never
//! investigates; what it cannot commit it refuses with 503, which every sender tries again.
//!
//! `desk` places and asks for the commit, `commit` is the transaction, `batch` lets requests share both.

mod batch;
mod commit;
mod desk;
mod rehearse;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};

pub use desk::{Desk, Receipt};

use crate::alert::Source;
use crate::telemetry;
use crate::webhook::{self, Guard};

const RETRY_AFTER_SECS: u64 = 1;

/// Who may post, and everything that follows; built once.
pub struct Intake {
    pub alertmanager: Guard,
    pub robusta: Guard,
    pub grafana: Guard,
    pub desk: Arc<Desk>,
}

/// Routes of the senders. Admission control is the caller's.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/webhooks/alertmanager", post(|state, request| answer(state, Source::Alertmanager, request)))
        .route("/webhooks/robusta", post(|state, request| answer(state, Source::Robusta, request)))
        .route("/webhooks/grafana", post(|state, request| answer(state, Source::Grafana, request)))
        .with_state(intake)
}

async fn answer(State(intake): State<Arc<Intake>>, source: Source, request: Request) -> Response {
    let started = Instant::now();
    let guard = match source {
        Source::Robusta => &intake.robusta,
        Source::Grafana => &intake.grafana,
        Source::Alertmanager | Source::Manual => &intake.alertmanager,
    };
    let response = match webhook::receive(guard, source, request).await {
        Ok(alerts) => match intake.desk.take_in(alerts).await {
            Ok(receipt) => (StatusCode::ACCEPTED, Json(receipt)).into_response(),
            Err(error) => {
                tracing::error!(
                    source = source.as_str(),
                    error = format!("{error:#}"),
                    "webhook not committed"
                );
                unavailable("the alerts could not be committed; send them again")
            }
        },
        Err(rejection) => {
            tracing::warn!(source = source.as_str(), status = %rejection.status(), %rejection, "webhook refused");
            rejection.into_response()
        }
    };
    metrics::histogram!(telemetry::WEBHOOK_SECONDS, "source" => source.as_str())
        .record(started.elapsed().as_secs_f64());
    response
}

/// 503 with Retry-After: Alertmanager retries 5xx and drops every 4xx for good.
pub fn unavailable(detail: &str) -> Response {
    let problem = serde_json::json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": detail,
    });
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, problem.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    response
}
