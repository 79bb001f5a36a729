//! Step 7, the alert's thread. Reports and incidents go in; Slack messages come out, each exactly once as far as
//! Slack lets us know, in order, no faster than a channel takes them. It decides nothing about incidents.
//!
//! `blocks` makes the payloads (pure), `outbox` keeps them in Postgres, `deliver` posts them, `client` speaks
//! to Slack, `text` is the same report for terminals and logs.

pub mod blocks;
pub mod client;
mod deliver;
pub mod outbox;
pub mod text;
mod words;

pub use client::{Client, DEFAULT_PACE, Fault};
pub use deliver::{Delivery, deliver_once, run};

use crate::report::Report;
use crate::workload::Workload;

#[cfg(test)]
mod tests;

/// The summary for the log, where no Slack token is configured.
pub fn log_summary(report: &Report, workload: &Workload) {
    tracing::info!(workload = %workload, outcome = report.outcome.as_str(), "\n{}", text::report(workload, report));
}
