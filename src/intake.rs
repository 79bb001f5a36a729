//! The conductor before the queue: a webhook's alerts are placed on workloads, committed with their
//! decisions, queued and announced in ONE transaction, and only then acknowledged with 202. It never
//! investigates; what it cannot commit it refuses with 503, which every sender tries again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt;
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::alert::{Alert, Source};
use crate::announce::Audience;
use crate::incident::book::{Book, Change, Placed};
use crate::incident::decide::{Occurrence, Rules, occurrence};
use crate::incident::{resolve, store};
use crate::investigation::queue;
use crate::postgres;
use crate::telemetry;
use crate::webhook::{self, Guard};
use crate::workload::Workload;

/// Asking the database what it knows also tells whether it is there: a sender hears of an outage at once.
const KNOWN_TIMEOUT: Duration = Duration::from_millis(800);
/// Alertmanager gives up after 10 s; an answer after that would be for nobody.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);
/// Questions to the cluster at once for one webhook.
const RESOLVE_CONCURRENCY: usize = 16;
const RETRY_AFTER_SECS: u64 = 1;

/// Everything a webhook needs, built once.
pub struct Intake {
    pub pool: PgPool,
    pub rules: Rules,
    pub alertmanager: Guard,
    pub robusta: Guard,
    pub grafana: Guard,
    pub resolver: resolve::Resolver,
    /// Deadline for asking the cluster before the answer.
    pub resolve_deadline: Duration,
    /// `None` without Slack.
    pub audience: Option<Audience>,
    /// Wakes this process's workers.
    pub wake: Arc<Notify>,
}

/// What a sender hears.
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// Incidents that the alerts belong to, oldest first.
    pub incidents: Vec<Uuid>,
    pub alerts: usize,
    /// Occurrences that were not known before.
    pub new: usize,
    pub repeats: usize,
    pub ignored: usize,
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
        Ok(alerts) => match intake.take_in(alerts).await {
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

impl Intake {
    /// Commits alerts with everything that follows from them.
    ///
    /// # Errors
    /// Nothing was committed, or nobody knows: the sender must send again, which is harmless.
    pub async fn take_in(&self, mut alerts: Vec<Alert>) -> anyhow::Result<Receipt> {
        alerts.iter_mut().for_each(store::normalise);
        let truncated = alerts.first().map_or(0, |alert| alert.truncated_alerts);
        if truncated > 0 {
            tracing::warn!(
                truncated,
                "the sender left alerts out of this message; raise its limit (max_alerts)"
            );
        }
        let count = alerts.len();
        for source in [Source::Alertmanager, Source::Robusta, Source::Grafana, Source::Manual] {
            let of_source = alerts.iter().filter(|alert| alert.source == source).count();
            if of_source > 0 {
                metrics::counter!(telemetry::ALERTS_RECEIVED, "source" => source.as_str())
                    .increment(of_source as u64);
            }
        }
        let known = tokio::time::timeout(KNOWN_TIMEOUT, store::known(&self.pool, &alerts)).await??;
        let placed = self.place(alerts, known).await;
        let book = tokio::time::timeout(COMMIT_TIMEOUT, self.commit(placed)).await??;
        let ignored = book.lines.iter().filter(|line| line.incident.is_none()).count();
        Ok(Receipt {
            incidents: book.incidents().into_iter().collect(),
            alerts: count,
            new: book.lines.len(),
            repeats: count - book.lines.len(),
            ignored,
        })
    }

    /// Finds each alert's workload: from the book where it is known, else from the cluster within the
    /// deadline, else from the labels.
    async fn place(&self, alerts: Vec<Alert>, known: HashMap<Occurrence, Workload>) -> Vec<Placed> {
        let until = Instant::now() + self.resolve_deadline;
        let known = &known;
        futures::stream::iter(alerts)
            .map(|alert| async move {
                if let Some(workload) = known.get(&occurrence(&alert)) {
                    return Placed { workload: workload.clone(), alert, confident: true };
                }
                let left = until.saturating_duration_since(Instant::now());
                let resolved = self.resolver.resolve(&alert, left).await;
                Placed { workload: resolved.workload, alert, confident: resolved.confident }
            })
            .buffered(RESOLVE_CONCURRENCY)
            // Labels found the workload as they are; from here on nothing of them is needed but what is kept.
            .map(without_secrets)
            .collect()
            .await
    }

    async fn commit(&self, placed: Vec<Placed>) -> anyhow::Result<Book> {
        let mut transaction = self.pool.begin().await?;
        let book = store::receive(&mut transaction, placed, &self.rules).await?;
        let queued = queue::enqueue(&mut *transaction, &waiting(&book)).await?;
        let over: Vec<Uuid> = changed(&book, Change::Resolved);
        queue::cancel(&mut *transaction, &over).await?;
        if let Some(audience) = &self.audience {
            audience.opened(&mut transaction, &changed(&book, Change::Opened)).await?;
            audience.reopened(&mut transaction, &changed(&book, Change::Reopened)).await?;
            audience.resolved(&mut transaction, &over).await?;
        }
        transaction.commit().await?;
        for change in [Change::Opened, Change::Reopened] {
            let word = if change == Change::Opened { "open" } else { "reopen" };
            metrics::counter!(telemetry::INCIDENTS, "decision" => word)
                .increment(changed(&book, change).len() as u64);
        }
        if queued > 0 || !over.is_empty() {
            self.wake.notify_waiters();
            let pool = self.pool.clone();
            // The sender need not wait for it.
            tokio::spawn(async move { postgres::wake(&pool).await });
        }
        Ok(book)
    }
}

fn without_secrets(mut placed: Placed) -> Placed {
    placed.alert.redact();
    placed.workload = placed.workload.redacted();
    placed
}

fn changed(book: &Book, change: Change) -> Vec<Uuid> {
    book.entries.values().filter(|entry| entry.change == change).map(|entry| entry.id).collect()
}

fn waiting(book: &Book) -> Vec<queue::Waiting> {
    let queued = book.entries.values().filter_map(|entry| Some((entry, entry.enqueue.as_ref()?)));
    queued
        .map(|(entry, (enqueue, alert_name, severity))| queue::Waiting {
            incident_id: entry.id,
            workload: entry.workload.clone(),
            alert_name: alert_name.clone(),
            reason: enqueue.why.as_str().to_owned(),
            priority: *severity as i32,
            after: enqueue.after,
        })
        .collect()
}
