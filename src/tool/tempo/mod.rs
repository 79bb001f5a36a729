//! Tempo as a model may ask it: traces by service, failure and duration, and one trace as a tree of its failing
//! and slowest spans. TraceQL is built here from quoted values; spans of other namespaces are masked.

mod compare;
mod path;
mod search;
#[cfg(test)]
mod tests;
mod trace;
mod tree;

pub use search::Search;
pub use trace::Trace;

use super::{Refusal, Tool, request};
use crate::source::tempo::{Error, Tempo};

/// The group's name in a runbook's `tools:`.
const GROUP: &str = "tempo";

/// All tools over one server.
pub fn tools(client: &Tempo) -> Vec<Box<dyn Tool>> {
    vec![Box::new(Search::new(client.clone())), Box::new(Trace::new(client.clone()))]
}

fn failed(error: &Error) -> Refusal {
    request::failed("Tempo", error)
}
