//! The exporter of log records: a collector and the log's filter in, a provider and its layer out. A record says what
//! the line on stderr says, with the trace that it belongs to. What the exporters themselves do is never a record: each
//! export would make the next one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{LogRecord, Severity};
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord,
    SdkLoggerProvider,
};
use reqwest::Url;
use tracing_subscriber::filter::{DynFilterFn, FilterExt};
use tracing_subscriber::{EnvFilter, Layer};

use super::{Collector, EXPORT_INTERVAL, Signal, Tally};
use crate::telemetry::{AnyLayer, LOG_RECORDS_LOST};

pub(super) const SIGNAL: Signal = Signal { path: "/v1/logs", variable: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" };
/// Records that wait for an export; beyond it they are lost. At `info` an investigation has fewer than ten.
const QUEUED_RECORDS: usize = 2_048;
/// Who speaks while an export is made, on threads where nothing tells an export from the program's other requests.
const EXPORTERS: [&str; 5] = ["h2", "hyper", "opentelemetry", "reqwest", "rustls"];
/// Fields of spans that say whose line it is, also where its trace is not exported.
const OF_SPANS: [&str; 3] = ["whodunit.investigation.id", "whodunit.attempt", "whodunit.workload"];

pub(super) fn provider(collector: &Collector, endpoint: &Url) -> anyhow::Result<SdkLoggerProvider> {
    let builder = opentelemetry_otlp::LogExporter::builder().with_http();
    let exporter = collector.reached_by(builder, endpoint).build().context("telemetry.otlp")?;
    let tally = Tally::new("log records", LOG_RECORDS_LOST, QUEUED_RECORDS);
    let exporter = Exporter { exporter, tally: Arc::clone(&tally) };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUED_RECORDS)
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    let queue = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    Ok(SdkLoggerProvider::builder()
        .with_log_processor(Queue { queue, tally })
        .with_resource(collector.resource.clone())
        .build())
}

pub(super) fn layer(provider: &SdkLoggerProvider, filter: EnvFilter) -> AnyLayer {
    // `DynFilterFn` for the same reason as with spans.
    let told = DynFilterFn::new(|metadata, _| !of_an_exporter(metadata.target()));
    let layer = OpenTelemetryTracingBridge::builder(provider)
        .with_tracing_span_attributes(TracingSpanAttributes::allowlist(OF_SPANS))
        .build();
    Box::new(layer.with_filter(filter.and(told)))
}

/// `hyper_util::client` is of `hyper`, as `hyper` itself is; `h2o` would not be of `h2`.
fn of_an_exporter(target: &str) -> bool {
    EXPORTERS.iter().any(|name| {
        target.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
    })
}

#[derive(Debug)]
struct Exporter {
    exporter: opentelemetry_otlp::LogExporter,
    tally: Arc<Tally>,
}

impl LogExporter for Exporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count();
        let result = self.exporter.export(batch).await;
        self.tally.exported(records, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.exporter.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The queue before the exporter; it drops what does not fit.
#[derive(Debug)]
struct Queue {
    queue: BatchLogProcessor,
    tally: Arc<Tally>,
}

impl LogProcessor for Queue {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        // It is where the source stood when the program was built, which the line on stderr does not say.
        record.set_event_name("");
        if self.tally.admits() {
            self.queue.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_exporter_does_is_told_from_what_else_is_logged() {
        for target in
            ["hyper", "hyper_util::client::legacy", "h2::codec", "opentelemetry-otlp", "rustls::conn"]
        {
            assert!(of_an_exporter(target), "{target}");
        }
        for target in ["whodunit::worker", "kube_client", "sqlx::query", "h2o", "reqwesting", ""] {
            assert!(!of_an_exporter(target), "{target}");
        }
    }
}
