//! Loki as a model may ask it: lines of the pods that may be read, as templates with counts, and the names and
//! values of labels. The selector is built here from quoted values; no LogQL is taken from outside.

mod digest;
mod labels;
mod query;
mod selector;
#[cfg(test)]
mod tests;

pub use labels::Labels;
pub use query::Query;

use super::{Refusal, Tool, request};
use crate::source::loki::{Error, Loki};

/// The group's name in a runbook's `tools:`.
const GROUP: &str = "loki";

/// All tools over one server.
pub fn tools(client: &Loki) -> Vec<Box<dyn Tool>> {
    vec![Box::new(Query::new(client.clone())), Box::new(Labels::new(client.clone()))]
}

fn failed(error: &Error) -> Refusal {
    request::failed("Loki", error)
}
