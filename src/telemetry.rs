//! Logs and metrics: `settings::Log` becomes the process's tracing subscriber, and the names of all metrics
//! become one Prometheus recorder with fixed histogram buckets. It never opens a port, and sends nothing out but
//! spans and log records to the collector that is configured.

mod otlp;

use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

pub use otlp::Exports;

use crate::settings::{Log, Otlp};

/// Counter, label `source`: alerts that were committed, repeats included.
pub const ALERTS_RECEIVED: &str = "whodunit_alerts_received_total";
/// Gauge, label `state` (received, repeated, ignored, attached, queued, done, dead): where all alerts that were ever
/// received are, over all replicas; `received` is the sum of the others.
pub const ALERTS: &str = "whodunit_alerts";
/// Counter, label `what` (taken_in, ended): alerts that an Alertmanager knew better.
pub const RECONCILED: &str = "whodunit_reconciled_alerts_total";
/// Counter, label `decision` (open, reopen): incidents that began.
pub const INCIDENTS: &str = "whodunit_incidents_total";
/// Counter, label `outcome` (the report's outcome, or `dead`): investigations that ended.
pub const INVESTIGATIONS: &str = "whodunit_investigations_total";
/// Counter, label `state` (posted, found, retried, rate_limited, held, ambiguous, failed): what became of a try to
/// post.
pub const ANNOUNCEMENTS: &str = "whodunit_announcements_total";
/// Gauge: announcements that are still to be said.
pub const ANNOUNCEMENTS_WAITING: &str = "whodunit_announcements_waiting";
/// Gauge: channels to which nothing can be posted until a fault is mended.
pub const SLACK_CHANNELS_HELD: &str = "whodunit_slack_channels_held";
/// Gauge: scopes that the Slack token lacks.
pub const SLACK_SCOPES_MISSING: &str = "whodunit_slack_scopes_missing";
/// Counter, labels `outlet` and `state` (delivered, retried, dead): what became of a try to tell an outlet.
pub const DELIVERIES: &str = "whodunit_deliveries_total";
/// Gauge, label `outlet`: deliveries that are still to be made.
pub const DELIVERIES_WAITING: &str = "whodunit_deliveries_waiting";
/// Gauge: outlets to which nothing can be delivered until a fault is mended, while something waits.
pub const OUTLETS_HELD: &str = "whodunit_outlets_held";
/// Counter, labels `model` and `outcome` (answered, transient, unusable, too_long, garbage): questions to models.
pub const MODEL_CALLS: &str = "whodunit_model_calls_total";
/// Counter, labels `model` and `kind` (input without what a cache held, cached, output): tokens of answers.
pub const MODEL_TOKENS: &str = "whodunit_model_tokens_total";
/// Counter, labels `tool` and `outcome` (answered, refused): calls of tools by engineers' agents.
pub const MCP_CALLS: &str = "whodunit_mcp_calls_total";
/// Histogram, label `tool`: from such a call to its answer.
pub const MCP_SECONDS: &str = "whodunit_mcp_call_seconds";
/// Counter, label `outcome` (created, refused, lost): Jobs that read a tenant's cluster.
pub const JOBS: &str = "whodunit_jobs_total";
/// Counter: spans that could not be exported.
pub const SPANS_LOST: &str = "whodunit_spans_lost_total";
/// Counter: log records that could not be exported.
pub const LOG_RECORDS_LOST: &str = "whodunit_log_records_lost_total";
/// Histogram: from the start of an investigation to its report.
pub const INVESTIGATION_SECONDS: &str = "whodunit_investigation_seconds";
/// Histogram, label `source`: from a webhook's arrival to its answer.
pub const WEBHOOK_SECONDS: &str = "whodunit_webhook_seconds";
/// Gauge: investigations that wait.
pub const QUEUE_DEPTH: &str = "whodunit_queue_depth";
/// Gauge: faults that keep runbook files, or a repository's newest commit, out of force.
pub const RUNBOOK_FAULTS: &str = "whodunit_runbook_faults";
/// Counter, label `outcome` (new, unchanged, refused, busy, failed): looks at the repository of runbooks.
pub const RUNBOOK_PULLS: &str = "whodunit_runbook_pulls_total";
/// Gauge: when the repository of runbooks last answered, in seconds since 1970.
pub const RUNBOOKS_PULLED_AT: &str = "whodunit_runbooks_pulled_timestamp_seconds";

/// Gauge, labels `cluster` and `state` (accepted, refused): policies of teams.
pub const POLICY_OBJECTS: &str = "whodunit_policy_objects";

/// A report is due within minutes; the first responder answers in about a second.
const INVESTIGATION_BUCKETS_SECONDS: &[f64] =
    &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 240.0, 300.0, 600.0];
/// The answer to a webhook is due within 50 ms; Alertmanager gives up after 10 s.
const WEBHOOK_BUCKETS_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// A look into the store takes milliseconds, one at the cluster up to `agent.tool_secs`.
const MCP_BUCKETS_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Samples wait in memory until upkeep folds them into buckets, also when nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A layer of the process's subscriber.
pub type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sends the process's log lines to stderr. Fails on a filter that does not parse and when called twice.
pub fn start_log(log: &Log) -> anyhow::Result<()> {
    subscribe(log, Vec::new())
}

/// As `start_log`, and exports the spans of investigations, and log records, where that is configured.
///
/// # Errors
/// A setting that cannot work, by its name.
pub fn start(log: &Log, otlp: &Otlp) -> anyhow::Result<Exports> {
    let exports = Exports::new(otlp)?;
    subscribe(log, exports.layers(log)?)?;
    Ok(exports)
}

/// With exports each layer has a filter of its own: what the log leaves out is a span all the same.
fn subscribe(log: &Log, mut layers: Vec<AnyLayer>) -> anyhow::Result<()> {
    let filter = filter(log)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: AnyLayer = if log.json { Box::new(lines.json()) } else { Box::new(lines) };
    if layers.is_empty() {
        tracing_subscriber::registry().with(lines).with(filter).try_init()
    } else {
        layers.push(Box::new(lines.with_filter(filter)));
        tracing_subscriber::registry().with(layers).try_init()
    }
    .context("the log was already started")
}

fn filter(log: &Log) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder()
        .parse(&log.filter)
        .with_context(|| format!("log.filter `{}` is not a filter like `info,whodunit=debug`", log.filter))
}

/// A recorder with our buckets, not yet installed: tests render one of their own.
pub fn recorder() -> anyhow::Result<PrometheusRecorder> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full(INVESTIGATION_SECONDS.to_owned()),
            INVESTIGATION_BUCKETS_SECONDS,
        )?
        .set_buckets_for_metric(Matcher::Full(WEBHOOK_SECONDS.to_owned()), WEBHOOK_BUCKETS_SECONDS)?
        .set_buckets_for_metric(Matcher::Full(MCP_SECONDS.to_owned()), MCP_BUCKETS_SECONDS)?
        .build_recorder())
}

/// Installs the recorder for the whole process and describes every metric. `/metrics` renders the handle.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|error| anyhow::anyhow!("the metrics were already started: {error}"))?;
    describe();
    Ok(handle)
}

/// Keeps the memory of unscraped histograms bounded until `shutdown`.
pub async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(UPKEEP_INTERVAL)).await.is_some() {
        handle.run_upkeep();
    }
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(ALERTS_RECEIVED, "Alerts committed, repeats included, by source.");
    describe_gauge!(ALERTS, "Where all alerts ever received are; received is the sum of the others.");
    describe_counter!(RECONCILED, "Alerts taken in or ended because an Alertmanager knew better.");
    describe_counter!(INCIDENTS, "Incidents opened or reopened, by decision.");
    describe_counter!(INVESTIGATIONS, "Investigations that ended, by outcome (dead: gave up).");
    describe_counter!(ANNOUNCEMENTS, "Tries to post to Slack, by what became of them.");
    describe_gauge!(ANNOUNCEMENTS_WAITING, "Announcements that are still to be said.");
    describe_gauge!(
        SLACK_CHANNELS_HELD,
        "Slack channels to which nothing can be posted until a fault is mended."
    );
    describe_gauge!(SLACK_SCOPES_MISSING, "Scopes that the Slack token lacks.");
    describe_counter!(DELIVERIES, "Tries to tell an outlet, by what became of them.");
    describe_gauge!(DELIVERIES_WAITING, "Deliveries that are still to be made, by outlet.");
    describe_gauge!(OUTLETS_HELD, "Outlets to which nothing can be delivered until a fault is mended.");
    describe_counter!(MODEL_CALLS, "Questions to models, by model and outcome.");
    describe_counter!(MODEL_TOKENS, "Tokens of answered questions, by model and kind.");
    describe_counter!(MCP_CALLS, "Calls of tools by engineers' agents, by tool and outcome.");
    describe_histogram!(MCP_SECONDS, Unit::Seconds, "From an agent's call of a tool to its answer, by tool.");
    describe_counter!(SPANS_LOST, "Spans that could not be exported.");
    describe_counter!(LOG_RECORDS_LOST, "Log records that could not be exported.");
    describe_histogram!(
        INVESTIGATION_SECONDS,
        Unit::Seconds,
        "From the start of an investigation to its report."
    );
    describe_histogram!(WEBHOOK_SECONDS, Unit::Seconds, "From a webhook's arrival to its answer, by source.");
    describe_gauge!(QUEUE_DEPTH, "Investigations that wait.");
    describe_gauge!(
        RUNBOOK_FAULTS,
        "Faults that keep runbook files, or a repository's newest commit, out of force."
    );
    describe_counter!(RUNBOOK_PULLS, "Looks at the repository of runbooks, by outcome.");
    describe_gauge!(RUNBOOKS_PULLED_AT, Unit::Seconds, "When the repository of runbooks last answered.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rendered_as_buckets_not_as_summaries() {
        let recorder = recorder().unwrap();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::histogram!(INVESTIGATION_SECONDS).record(0.8);
            metrics::histogram!(WEBHOOK_SECONDS, "source" => "alertmanager").record(0.004);
            metrics::counter!(ANNOUNCEMENTS, "state" => "posted").increment(2);
        });
        let page = handle.render();
        assert!(page.contains("whodunit_investigation_seconds_bucket{le=\"1\"} 1"), "{page}");
        assert!(page.contains("whodunit_investigation_seconds_bucket{le=\"0.5\"} 0"), "{page}");
        assert!(
            page.contains("whodunit_webhook_seconds_bucket{source=\"alertmanager\",le=\"0.005\"} 1"),
            "{page}"
        );
        assert!(page.contains("whodunit_announcements_total{state=\"posted\"} 2"), "{page}");
        assert!(!page.contains("quantile="), "{page}");
    }

    #[test]
    fn a_bad_filter_is_named() {
        let log = Log { filter: "info,whodunit=loud".to_owned(), json: false };
        assert!(start_log(&log).unwrap_err().to_string().contains("info,whodunit=loud"));
    }
}
