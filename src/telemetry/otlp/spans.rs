//! The exporter of spans: settings and a collector in, a provider and its layer out. Only our own spans are exported,
//! never events, so that no log line gets there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use reqwest::Url;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::DynFilterFn;

use super::{Collector, EXPORT_INTERVAL, Signal, Tally};
use crate::settings::Otlp;
use crate::telemetry::{AnyLayer, SPANS_LOST};

pub(super) const SIGNAL: Signal =
    Signal { path: "/v1/traces", variable: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" };
/// Spans that wait for an export; beyond it they are lost. An investigation has some dozens.
const QUEUED_SPANS: usize = 2_048;

pub(super) fn provider(
    settings: &Otlp,
    collector: &Collector,
    endpoint: &Url,
) -> anyhow::Result<SdkTracerProvider> {
    ensure!(
        (0.0..=1.0).contains(&settings.sampling),
        "telemetry.otlp.sampling: {} is not a part of 1",
        settings.sampling
    );
    let builder = opentelemetry_otlp::SpanExporter::builder().with_http();
    let exporter = collector.reached_by(builder, endpoint).build().context("telemetry.otlp")?;
    let tally = Tally::new("spans", SPANS_LOST, QUEUED_SPANS);
    let exporter = Exporter { exporter, tally: Arc::clone(&tally) };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUED_SPANS)
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    let processor = Queue { queue: BatchSpanProcessor::new(exporter, config), tally };
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sampling)));
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(collector.resource.clone())
        .with_sampler(sampler)
        .build())
}

pub(super) fn layer(provider: &SdkTracerProvider) -> AnyLayer {
    // Not `FilterFn`: where all layers want a callsite for good, tracing does not ask them again, and goes by
    // what they said of another one if somebody (such as sqlx) only asked whether that one is wanted.
    let ours =
        DynFilterFn::new(|metadata, _| metadata.is_span() && metadata.target().starts_with("whodunit"));
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("whodunit"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // Log records are told the trace that they belong to by what is active.
        .with_context_activation(true)
        .with_filter(ours.with_max_level_hint(LevelFilter::INFO));
    Box::new(layer)
}

#[derive(Debug)]
struct Exporter {
    exporter: opentelemetry_otlp::SpanExporter,
    tally: Arc<Tally>,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.tally.exported(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The queue before the exporter; it drops what does not fit.
#[derive(Debug)]
struct Queue {
    queue: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.tally.admits() {
            self.queue.on_end(span);
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
