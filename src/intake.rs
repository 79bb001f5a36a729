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

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};

pub use desk::{Desk, Receipt};

use crate::alert::{Alert, Source};
use crate::incident::cluster::Belonging;
use crate::telemetry;
use crate::webhook::{self, Gate, Rejection};

const RETRY_AFTER_SECS: u64 = 1;
/// Longest name of a cluster in a path.
const MAX_CLUSTER_BYTES: usize = 253;

/// Who may post, and everything that follows; built once.
pub struct Intake {
    pub alertmanager: Gate,
    pub robusta: Gate,
    pub grafana: Gate,
    /// Which cluster an alert belongs to.
    pub belonging: Arc<Belonging>,
    pub desk: Arc<Desk>,
}

/// Routes of the senders, each by itself and for a cluster that is named. Admission control is the caller's.
pub fn router(intake: Arc<Intake>) -> Router {
    let mut router = Router::new();
    for source in [Source::Alertmanager, Source::Robusta, Source::Grafana] {
        let take =
            move |intake, cluster: Option<Path<String>>, request| answer(intake, source, cluster, request);
        let path = format!("/webhooks/{}", source.as_str());
        router = router.route(&path, post(take)).route(&format!("{path}/{{cluster}}"), post(take));
    }
    // Prometheus and vmalert post here by themselves, as to an Alertmanager.
    router
        .route("/api/v2/alerts", post(posted))
        .route("/webhooks/alertmanager/{cluster}/api/v2/alerts", post(posted))
        .with_state(intake)
}

async fn posted(
    State(intake): State<Arc<Intake>>,
    cluster: Option<Path<String>>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let admitted = intake.alertmanager.admit(request.headers());
    let received = match admitted.and_then(|bound| belongs(bound, cluster)) {
        Ok(bound) => {
            webhook::receive_posted(request).await.map(|alerts| intake.settled(alerts, bound.as_deref()))
        }
        Err(rejection) => Err(rejection),
    };
    conclude(&intake, Source::Alertmanager, received, started).await
}

async fn answer(
    State(intake): State<Arc<Intake>>,
    source: Source,
    cluster: Option<Path<String>>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let gate = match source {
        Source::Robusta => &intake.robusta,
        Source::Grafana => &intake.grafana,
        Source::Alertmanager | Source::Manual => &intake.alertmanager,
    };
    let admitted = gate.admit(request.headers());
    let received = match admitted.and_then(|bound| belongs(bound, cluster)) {
        Ok(bound) => {
            let received = webhook::receive_admitted(source, request).await;
            received.map(|alerts| intake.settled(alerts, bound.as_deref()))
        }
        Err(rejection) => Err(rejection),
    };
    conclude(&intake, source, received, started).await
}

/// The cluster that a message came for: by its credential, else by its path, which may hold anything.
fn belongs(bound: Option<&str>, path: Option<Path<String>>) -> Result<Option<String>, Rejection> {
    if let Some(bound) = bound {
        return Ok(Some(bound.to_owned()));
    }
    match path {
        Some(Path(name)) if name.len() > MAX_CLUSTER_BYTES || name.chars().any(char::is_control) => {
            Err(Rejection::Malformed("the path names no cluster".to_owned()))
        }
        path => Ok(path.map(|Path(name)| name)),
    }
}

impl Intake {
    fn settled(&self, mut alerts: Vec<Alert>, bound: Option<&str>) -> Vec<Alert> {
        alerts.iter_mut().for_each(|alert| self.belonging.settle(alert, bound));
        alerts
    }
}

async fn conclude(
    intake: &Intake,
    source: Source,
    received: Result<Vec<Alert>, Rejection>,
    started: Instant,
) -> Response {
    let response = match received {
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
