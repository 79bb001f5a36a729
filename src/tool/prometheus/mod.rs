//! Prometheus as a model may ask it: PromQL at a time or over a window, an alert's own rule, names of metrics
//! and labels. What comes in is parsed, narrowed to the investigation's namespaces and priced before it is
//! sent; what goes out is a digest. Nothing here can write.

mod cost;
mod fault;
mod metrics;
mod query;
mod rule;
mod scope;
mod series;
mod shape;
#[cfg(test)]
mod tests;

pub use metrics::Metrics;
pub use query::{Instant, Range};
pub use rule::AlertRule;
pub use scope::CLUSTER_METRICS;

use super::{Refusal, Tool, request};
use crate::source::prometheus::{Error, Prometheus};

/// The group's name in a runbook's `tools:`.
const GROUP: &str = "prometheus";

/// All tools over one server.
pub fn tools(client: &Prometheus) -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(Instant::new(client.clone())),
        Box::new(Range::new(client.clone())),
        Box::new(AlertRule::new(client.clone())),
        Box::new(Metrics::new(client.clone())),
    ]
}

fn failed(error: &Error) -> Refusal {
    request::failed("Prometheus", error)
}
