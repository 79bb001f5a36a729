//! Step 8, how programs read and act: HTTP requests in, JSON out, over every incident and investigation there ever was.
//! Errors are RFC 9457 problems, what there is stands in `/openapi.json`. It shows only what was redacted before it was
//! stored, to callers who may see it, and writes nothing itself: actions go through `feedback`.

pub mod access;
mod actions;
mod body;
mod detail;
mod docs;
mod etag;
pub(crate) mod events;
mod export;
mod filter;
mod health;
mod lists;
mod problem;
mod routes;
mod runbooks;
mod stats;
mod trail;

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use access::{Caller, Scope, Tokens, Writer, authorize};
// For the door of agents: the same rows for the same callers.
pub(crate) use body::{MAX_BYTES as MAX_BODY_BYTES, bytes as whole_body, drain};
pub(crate) use detail::store::{Observation, Occurrence};
pub(crate) use detail::{IncidentDetail, InvestigationDetail, incident_of, investigation_of};
pub(crate) use filter::Pairs;
pub(crate) use lists::store::{Incident, Investigation};
pub(crate) use lists::{incidents_of, investigations_of};
pub(crate) use problem::Problem;
pub use routes::router;
pub(crate) use runbooks::{DEFAULT_DAYS, RunbookItem, Runbooks, days, runbook_of, runbooks_of};

use crate::evidence::Fleet;
use crate::runbook::{Catalogue, Standing};
use crate::slack::Access;
use crate::workload::Workload;

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
    /// The runbooks in force.
    pub catalogue: watch::Receiver<Arc<Catalogue>>,
    pub open: Open,
}

/// Opens an incident of a workload because somebody asks (their name), as an alert would, and returns its id.
pub type Open = Arc<dyn Fn(Workload, String) -> Opening + Send + Sync>;
pub type Opening = Pin<Box<dyn Future<Output = anyhow::Result<Uuid>> + Send>>;

/// What `/readyz` tells beside the database's answer.
#[derive(Clone)]
pub struct Ready {
    /// Cancelled when the drain begins.
    pub draining: CancellationToken,
    /// Which runbooks are in force, as of the last load.
    pub runbooks: watch::Receiver<Standing>,
    /// What the Slack token may not do.
    pub slack: Access,
    /// What can be asked of which cluster, and whether it answers.
    pub clusters: Fleet,
}

type Parameters = Result<Query<Pairs>, QueryRejection>;

fn pairs(parameters: Parameters) -> Result<Pairs, Problem> {
    let unreadable = |_| Problem::parameter("query", "the query string does not read as key=value&key=value");
    parameters.map(|Query(pairs)| pairs).map_err(unreadable)
}

fn no_parameters(parameters: Parameters) -> Result<(), Problem> {
    match pairs(parameters)?.first() {
        Some((key, _)) => Err(Problem::parameter(key, "this path takes no parameters")),
        None => Ok(()),
    }
}
