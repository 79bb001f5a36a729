//! The port to what a model may ask: typed read-only tools behind one toolbox, which checks name, arguments,
//! scope and size before and after each call. Nothing here writes anything anywhere, and nothing that a tool
//! returns can change what is allowed.

pub mod arguments;
pub mod bounded;
pub mod kubernetes;
pub mod loki;
pub mod mcp;
pub mod memory;
mod nearest;
pub mod prometheus;
mod request;
pub mod runbook;
pub mod tempo;
mod toolbox;

use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::llm::ToolSchema;
use crate::workload::Workload;

pub use toolbox::{DIGEST_BYTES, FULL_BYTES, Outcome, Status, Toolbox};

/// What a run may look at. Decided by code from the alert and its runbook, never by a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bounds {
    pub workload: Workload,
    /// Namespaces that may be read; empty: all (scope `cluster`).
    pub namespaces: Vec<String>,
    /// Logs only of this workload's pods (scope `workload`).
    pub own_pods_only: bool,
    /// Beside `namespaces` nothing at all: no node, no other kind without a namespace, no metric about them.
    pub nothing_shared: bool,
    /// When the trouble began, for "around the alert" windows, by the cluster's clock.
    pub onset: chrono::DateTime<chrono::Utc>,
    /// The cluster's clock when the run began.
    pub now: chrono::DateTime<chrono::Utc>,
}

impl Bounds {
    /// In words, for the model: what it may look at, before it is refused something else.
    pub fn readable(&self) -> String {
        let place = match self.namespaces.as_slice() {
            [] => "all namespaces".to_owned(),
            [one] => format!("namespace {one}"),
            several => format!("namespaces {}", several.join(", ")),
        };
        let logs = if self.own_pods_only { "; logs of this workload's pods only" } else { "" };
        format!("{place}{logs}")
    }
}

/// What a tool found. Unredacted: the toolbox redacts and bounds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// kubernetes, prometheus, loki, tempo, runbook, memory.
    pub source: String,
    /// The request that anyone can repeat.
    pub query: String,
    /// For the model: condensed, says what it left out.
    pub digest: String,
    /// For the ledger: everything that was read, within the ledger's limit.
    pub full: String,
}

/// Why a call gave nothing. Told to the model, so that it can ask better.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("these arguments do not fit: {0}")]
    Arguments(String),
    #[error("outside what this investigation may read: {0}")]
    Scope(String),
    /// With the cardinality and a narrower suggestion.
    #[error("too much: {0}")]
    TooMuch(String),
    #[error("{0}")]
    Failed(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// One thing that can be asked.
pub trait Tool: Send + Sync {
    fn schema(&self) -> &ToolSchema;

    /// Name of the group that a runbook's `tools:` list allows: kubernetes, prometheus, loki, tempo, …
    fn group(&self) -> &str;

    /// `arguments` is a JSON object, not yet checked against the schema.
    fn call<'a>(&'a self, arguments: &'a Value, bounds: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>>;
}

/// One tool serves many runs.
impl<T: Tool + ?Sized> Tool for std::sync::Arc<T> {
    fn schema(&self) -> &ToolSchema {
        (**self).schema()
    }

    fn group(&self) -> &str {
        (**self).group()
    }

    fn call<'a>(&'a self, arguments: &'a Value, bounds: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        (**self).call(arguments, bounds)
    }
}
