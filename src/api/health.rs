//! What orchestrators and Prometheus ask: is the process alive, may it be sent work, what does it count.
//! Open to everybody who reaches the port; answers hold no names of workloads.

mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sqlx::PgPool;

use super::ApiState;
use crate::evidence::Sources;
use crate::outlet::store as outlets;
use crate::runbook::Standing as RunbooksStanding;
use crate::slack::Lacks;
use crate::slack::outbox::{self, Failure, Held};
use crate::source::loki::Loki;
use crate::source::prometheus::Prometheus;
use crate::source::{Standing, kubernetes};

/// A database that takes longer is not ready.
const READY_DEADLINE: Duration = Duration::from_secs(1);
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    database: &'static str,
    draining: bool,
    /// Not reasons to be unready: alerts are still accepted, with the last good revision of a runbook.
    runbook_faults: Vec<String>,
    /// The commit in force, where runbooks are pulled from a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    runbook_commit: Option<String>,
    /// Announcements of the last day that will never be posted, grouped by reason.
    slack_failures: Vec<Failure>,
    /// Channels to which nothing can be posted now, and why; what waits for them is posted when that is mended.
    slack_held: Vec<Held>,
    /// What the Slack token may not do.
    slack_lacks: Lacks,
    /// Outlets to which nothing can be delivered now, and why; what waits for them is delivered when that is mended.
    outlets_held: Vec<outlets::Held>,
    /// Deliveries of the last day that will never arrive, grouped by outlet and reason.
    outlet_failures: Vec<outlets::Failure>,
    /// Whether each source of each cluster answered when it was last asked. One that does not is its own
    /// investigations' matter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    clusters: BTreeMap<String, BTreeMap<&'static str, &'static str>>,
}

/// What the database knows of those who are told.
#[derive(Default)]
struct Told {
    slack_failures: Vec<Failure>,
    slack_held: Vec<Held>,
    outlets_held: Vec<outlets::Held>,
    outlet_failures: Vec<outlets::Failure>,
}

async fn told(db: &PgPool) -> sqlx::Result<Told> {
    Ok(Told {
        slack_failures: outbox::failed_reasons(db).await?,
        slack_held: outbox::held(db).await?,
        outlets_held: outlets::held(db).await?,
        outlet_failures: outlets::failed_reasons(db).await?,
    })
}

/// Alive as long as it can answer at all; never asks the database, which a restart would not heal.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({"alive": true}))
}

pub(super) async fn ready(State(state): State<ApiState>) -> Response {
    let asked = async {
        store::ping(&state.pool).await?;
        told(&state.pool).await
    };
    let (database, told) = match tokio::time::timeout(READY_DEADLINE, asked).await {
        Ok(Ok(told)) => ("ok", told),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database");
            ("failed", Default::default())
        }
        Err(_) => ("no answer within 1 s", Default::default()),
    };
    let draining = state.ready.draining.is_cancelled();
    let ready = database == "ok" && !draining;
    let RunbooksStanding { faults, commit } = state.ready.runbooks.borrow().clone();
    let slack_lacks = state.ready.slack.lacks();
    let body = Json(Readiness {
        ready,
        database,
        draining,
        runbook_faults: faults,
        runbook_commit: commit,
        slack_failures: told.slack_failures,
        slack_held: told.slack_held,
        slack_lacks,
        clusters: state.ready.clusters.iter().map(|(name, of)| (name.to_owned(), standings(of))).collect(),
        outlets_held: told.outlets_held,
        outlet_failures: told.outlet_failures,
    });
    if ready {
        body.into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], body).into_response()
    }
}

/// Without addresses and faults: everybody who reaches the port reads this.
fn standings(of: &Sources) -> BTreeMap<&'static str, &'static str> {
    let each = [
        ("kubernetes", of.kubernetes.as_ref().map(kubernetes::Client::standing)),
        ("prometheus", of.prometheus.as_ref().map(Prometheus::standing)),
        ("loki", of.loki.as_ref().map(Loki::standing)),
    ];
    let said = |standing| match standing {
        Standing::NotAsked => "not asked yet",
        Standing::Answers => "answers",
        Standing::Away(_) => "gives no answer",
    };
    each.into_iter().filter_map(|(name, standing)| Some((name, said(standing?)))).collect()
}

pub(super) async fn metrics(State(state): State<ApiState>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], state.metrics.render()).into_response()
}
