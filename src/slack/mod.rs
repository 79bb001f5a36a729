//! Step 7, the alert's thread. Reports and incidents go in; Slack messages come out, each exactly once as far as
//! Slack lets us know, in order, no faster than a channel takes them. It decides nothing about incidents.
//!
//! `blocks` makes the payloads (pure), `outbox` keeps them in Postgres, `post` takes from it what is due, `deliver`
//! posts it and `after` decides what becomes of it (pure), `look` finds what may stand in Slack already,
//! `thread` finds the message of another bot under which an incident goes on, `client` speaks to Slack and `fault` tells what it meant,
//! `access` keeps what the token may not do, `route` names an incident's channel (pure), `interaction` reads what
//! people ask for in return, `text` is the same report for terminals and logs.

pub mod access;
mod after;
pub mod blocks;
pub mod client;
mod deliver;
mod fault;
pub mod interaction;
mod look;
pub mod outbox;
mod post;
pub mod route;
pub mod text;
mod thread;

pub use access::{Access, Lacks};
pub use client::{Client, DEFAULT_PACE};
pub use deliver::{Delivery, deliver_once};
pub use fault::Fault;
pub use post::run;
pub use route::Routes;

use crate::report::Report;
use crate::workload::Workload;

#[cfg(test)]
mod tests;

/// The summary for the log, where no Slack token is configured.
pub fn log_summary(report: &Report, workload: &Workload) {
    tracing::info!(workload = %workload, outcome = report.outcome.as_str(), "\n{}", text::report(workload, report));
}
