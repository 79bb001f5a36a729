//! Spans for an OpenTelemetry collector: settings in, a layer of the tracing subscriber out. Only our own spans
//! are exported, never events, so that no log line gets there; an exporter's trouble is counted and logged, and
//! nobody waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::DynFilterFn;
use tracing_subscriber::{Layer, Registry};

use super::SPANS_LOST;
use crate::redact::redact;
use crate::settings::Otlp;

/// Spans that wait for an export; beyond it they are lost. An investigation has some dozens.
const QUEUED_SPANS: usize = 2_048;
const EXPORT_INTERVAL: Duration = Duration::from_secs(2);
/// The last export may take so long when the service stops.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);
const MAX_ERROR_CHARS: usize = 300;
const PATH: &str = "/v1/traces";

/// The export of spans, if there is one. Dropped, it is not flushed.
#[derive(Default)]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// A setting that cannot work, by its name.
    pub(super) fn new(settings: &Otlp) -> anyhow::Result<Self> {
        let Some(endpoint) = endpoint(settings, |name| std::env::var(name).ok())? else {
            return Ok(Self::default());
        };
        ensure!(
            (0.0..=1.0).contains(&settings.sampling),
            "telemetry.otlp.sampling: {} is not a part of 1",
            settings.sampling
        );
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter = Exporter {
            exporter: exporter(settings, &endpoint)?,
            waiting: Arc::clone(&waiting),
            failing: AtomicBool::new(false),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUED_SPANS)
            .with_scheduled_delay(EXPORT_INTERVAL)
            .build();
        let processor = Queue { queue: BatchSpanProcessor::new(exporter, config), waiting };
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sampling)));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(resource)
            .with_sampler(sampler)
            .build();
        Ok(Self { provider: Some(provider) })
    }

    pub(super) fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let provider = self.provider.as_ref()?;
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
            .with_context_activation(false)
            .with_filter(ours.with_max_level_hint(LevelFilter::INFO));
        Some(Box::new(layer))
    }

    /// Exports what waits, within a bound.
    pub async fn stop(self) {
        let Some(provider) = self.provider else { return };
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_DEADLINE)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported");
        }
    }
}

/// The full address, from the settings or the standard variables.
fn endpoint(settings: &Otlp, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Url>> {
    let set = |name: &'static str| Some((name, variable(name).filter(|text| !text.is_empty())?));
    let configured = settings.endpoint.clone().map(|text| ("telemetry.otlp.endpoint", text));
    let found = configured
        .or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let Some((name, text)) = found else { return Ok(None) };
    let fault = || format!("{name}: is no address like http://collector:4318");
    let mut url = Url::parse(text.trim()).with_context(fault)?;
    ensure!(matches!(url.scheme(), "http" | "https") && url.has_host(), fault());
    if name != "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" && !url.path().ends_with(PATH) {
        url.set_path(&format!("{}{PATH}", url.path().trim_end_matches('/')));
    }
    Ok(Some(url))
}

fn headers(settings: &Otlp) -> anyhow::Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    let mut add = |setting: &str, name: &str, value: &str| {
        // Neither the value nor the parser's words about it: it is a secret.
        let fits = HeaderName::try_from(name).is_ok() && HeaderValue::from_str(value).is_ok();
        ensure!(fits, "{setting}: `{name}` and its value are no HTTP header");
        headers.insert(name.to_owned(), value.to_owned());
        Ok(())
    };
    for (name, value) in &settings.headers {
        add("telemetry.otlp.headers", name, value.expose_secret())?;
    }
    if let Some(file) = &settings.headers_file {
        let setting = "telemetry.otlp.headers_file";
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{setting}: cannot read {}", file.display()))?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("{setting}: line {} is not `name: value`", number + 1))?;
            add(setting, name.trim(), value.trim())?;
        }
    }
    Ok(headers)
}

fn exporter(settings: &Otlp, endpoint: &Url) -> anyhow::Result<opentelemetry_otlp::SpanExporter> {
    let timeout = Duration::from_secs(settings.timeout_secs.max(1));
    // A blocking client can only be built outside of the async runtime, and only such a client works on the
    // thread that exports.
    let building = std::thread::spawn(move || {
        reqwest::blocking::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("whodunit/", env!("CARGO_PKG_VERSION")))
            .build()
    });
    let client = building.join().map_err(|_| anyhow!("the client's thread broke"))?;
    opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client.context("no HTTP client for spans")?)
        .with_endpoint(endpoint.as_str())
        .with_timeout(timeout)
        .with_headers(headers(settings)?)
        .build()
        .context("telemetry.otlp")
}

/// Counts what is lost, and says once that it began and once that it is over.
#[derive(Debug)]
struct Exporter {
    exporter: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        match &result {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("spans are exported again");
                }
            }
            Err(error) => {
                metrics::counter!(SPANS_LOST).increment(spans as u64);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let error: String = redact(&error.to_string()).chars().take(MAX_ERROR_CHARS).collect();
                    tracing::warn!(error, "spans cannot be exported and are lost; the work goes on");
                }
            }
        }
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

/// The queue before the exporter; it drops what does not fit, and counts it.
#[derive(Debug)]
struct Queue {
    queue: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUED_SPANS {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!(SPANS_LOST).increment(1);
            return;
        }
        self.queue.on_end(span);
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

    fn with(endpoint: &str) -> Otlp {
        Otlp { endpoint: Some(endpoint.to_owned()), ..Otlp::default() }
    }

    #[test]
    fn the_address_is_completed_and_the_settings_win_over_variables() {
        let address = |settings: &Otlp, name: &'static str| {
            let variable = move |asked: &str| (asked == name).then(|| "http://env:4318/x".to_owned());
            endpoint(settings, variable).unwrap().map(|url| url.to_string())
        };
        let unset = Otlp::default();
        assert_eq!(address(&unset, "none"), None);
        for (text, expected) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("https://c/otlp/", "https://c/otlp/v1/traces"),
            ("http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        ] {
            assert_eq!(address(&with(text), "OTEL_EXPORTER_OTLP_ENDPOINT").as_deref(), Some(expected));
        }
        let from_env = address(&unset, "OTEL_EXPORTER_OTLP_ENDPOINT");
        assert_eq!(from_env.as_deref(), Some("http://env:4318/x/v1/traces"));
        let full = address(&unset, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        assert_eq!(full.as_deref(), Some("http://env:4318/x"));
    }

    #[test]
    fn a_setting_that_cannot_work_is_named_and_its_secret_is_not_shown() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        std::fs::write(&file, "authorization Bearer hunter2\n").unwrap();
        let headers = [("a b".to_owned(), "hunter2".into())].into();
        for (settings, expected) in [
            (with("collector:4318"), "telemetry.otlp.endpoint"),
            (Otlp { sampling: 1.5, ..with("http://c") }, "telemetry.otlp.sampling"),
            (Otlp { headers, ..with("http://c") }, "telemetry.otlp.headers"),
            (Otlp { headers_file: Some(file.clone()), ..with("http://c") }, "headers_file: line 1"),
            (Otlp { headers_file: Some("/nowhere".into()), ..with("http://c") }, "cannot read /nowhere"),
        ] {
            let error = format!("{:#}", Traces::new(&settings).err().unwrap());
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
        std::fs::write(&file, "authorization: Bearer a:b\n\n x-scope: 1\n").unwrap();
        let read = super::headers(&Otlp { headers_file: Some(file), ..Otlp::default() }).unwrap();
        assert_eq!(read["authorization"], "Bearer a:b");
        assert_eq!(read["x-scope"], "1");
    }
}
