//! Spans and log records for an OpenTelemetry collector: settings in, layers of the tracing subscriber out. Spans are
//! our own only; records are what the log says, under the log's own filter. An exporter's trouble is counted and
//! logged, never exported, and nobody waits for it.

mod logs;
mod spans;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::AnyLayer;
use crate::redact::redact;
use crate::settings::{Log, Otlp};

const EXPORT_INTERVAL: Duration = Duration::from_secs(2);
/// The last export may take so long when the service stops.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);
const MAX_ERROR_CHARS: usize = 300;

/// What is exported, if anything is. Dropped, it is not flushed.
#[derive(Default)]
pub struct Exports {
    spans: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Exports {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// A setting that cannot work, by its name.
    pub fn new(settings: &Otlp) -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let spans = endpoint(settings, spans::SIGNAL, variable)?;
        let logs = if settings.logs { endpoint(settings, logs::SIGNAL, variable)? } else { None };
        ensure!(
            logs.is_some() || !settings.logs,
            "telemetry.otlp.logs: there is no collector to send them to; set telemetry.otlp.endpoint"
        );
        if spans.is_none() && logs.is_none() {
            return Ok(Self::default());
        }
        let collector = Collector::new(settings)?;
        Ok(Self {
            spans: spans.map(|endpoint| spans::provider(settings, &collector, &endpoint)).transpose()?,
            logs: logs.map(|endpoint| logs::provider(&collector, &endpoint)).transpose()?,
        })
    }

    /// The layers of a subscriber, each with a filter of its own.
    ///
    /// # Errors
    /// A filter of the log that does not parse.
    pub fn layers(&self, log: &Log) -> anyhow::Result<Vec<AnyLayer>> {
        let mut layers = Vec::new();
        // Before the records, which ask it for the trace that they belong to.
        layers.extend(self.spans.as_ref().map(spans::layer));
        if let Some(provider) = &self.logs {
            layers.push(logs::layer(provider, super::filter(log)?));
        }
        Ok(layers)
    }

    /// Exports what waits, within a bound.
    pub async fn stop(self) {
        let spans = self
            .spans
            .map(|spans| tokio::task::spawn_blocking(move || spans.shutdown_with_timeout(FLUSH_DEADLINE)));
        let logs = self
            .logs
            .map(|logs| tokio::task::spawn_blocking(move || logs.shutdown_with_timeout(FLUSH_DEADLINE)));
        for (flushing, what) in [(spans, "spans"), (logs, "log records")] {
            let Some(flushing) = flushing else { continue };
            if !matches!(flushing.await, Ok(Ok(()))) {
                tracing::warn!("the last {what} could not be exported");
            }
        }
    }
}

/// How one kind of telemetry is named where exporters are configured.
#[derive(Clone, Copy)]
struct Signal {
    path: &'static str,
    variable: &'static str,
}

/// What the exporters share.
struct Collector {
    client: reqwest::blocking::Client,
    timeout: Duration,
    headers: HashMap<String, String>,
    resource: Resource,
}

impl Collector {
    fn new(settings: &Otlp) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(settings.timeout_secs.max(1));
        // A blocking client can only be built outside of the async runtime, and only such a client works on the
        // threads that export.
        let building = std::thread::spawn(move || {
            reqwest::blocking::Client::builder()
                .timeout(timeout)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("whodunit/", env!("CARGO_PKG_VERSION")))
                .build()
        });
        let client = building.join().map_err(|_| anyhow!("the client's thread broke"))?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.context("no HTTP client for telemetry")?;
        Ok(Self { client, timeout, headers: headers(settings)?, resource })
    }

    /// An exporter's builder, told how it reaches the collector.
    fn reached_by<B: WithExportConfig + WithHttpConfig>(&self, builder: B, endpoint: &Url) -> B {
        builder
            .with_http_client(self.client.clone())
            .with_endpoint(endpoint.as_str())
            .with_timeout(self.timeout)
            .with_headers(self.headers.clone())
    }
}

/// The full address for a signal, from the settings or the standard variables.
fn endpoint(
    settings: &Otlp,
    signal: Signal,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<Url>> {
    let set = |name: &'static str| Some((name, variable(name).filter(|text| !text.is_empty())?));
    let configured = settings.endpoint.clone().map(|text| ("telemetry.otlp.endpoint", text));
    let found = configured.or_else(|| set(signal.variable)).or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let Some((name, text)) = found else { return Ok(None) };
    let fault = || format!("{name}: is no address like http://collector:4318");
    let mut url = Url::parse(text.trim()).with_context(fault)?;
    ensure!(matches!(url.scheme(), "http" | "https") && url.has_host(), fault());
    if name != signal.variable {
        let path = url.path().trim_end_matches('/');
        let base = path.strip_suffix(spans::SIGNAL.path).unwrap_or(path).to_owned();
        url.set_path(&format!("{base}{}", signal.path));
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

/// The queue before an exporter, seen from both ends: what does not fit or cannot be exported is lost and counted. It
/// says once that the loss began, and once that it is over.
#[derive(Debug)]
struct Tally {
    what: &'static str,
    /// The counter's name.
    lost: &'static str,
    /// How many may wait.
    bound: usize,
    waiting: AtomicUsize,
    failing: AtomicBool,
}

impl Tally {
    fn new(what: &'static str, lost: &'static str, bound: usize) -> Arc<Self> {
        Arc::new(Self { what, lost, bound, waiting: AtomicUsize::new(0), failing: AtomicBool::new(false) })
    }

    /// Whether one more may wait.
    fn admits(&self) -> bool {
        let fits = self.waiting.fetch_add(1, Ordering::Relaxed) < self.bound;
        if !fits {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!(self.lost).increment(1);
        }
        fits
    }

    fn exported(&self, count: usize, result: &OTelSdkResult) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let what = self.what;
        match result {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("{what} are exported again");
                }
            }
            Err(error) => {
                metrics::counter!(self.lost).increment(count as u64);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let error: String = redact(&error.to_string()).chars().take(MAX_ERROR_CHARS).collect();
                    tracing::warn!(error, "{what} cannot be exported and are lost; the work goes on");
                }
            }
        }
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
            endpoint(settings, spans::SIGNAL, variable).unwrap().map(|url| url.to_string())
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
        let records =
            |text: &str| endpoint(&with(text), logs::SIGNAL, |_| None).unwrap().unwrap().to_string();
        assert_eq!(records("http://c:4318/otlp"), "http://c:4318/otlp/v1/logs");
        assert_eq!(records("http://c:4318/v1/traces"), "http://c:4318/v1/logs");
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
            (Otlp { logs: true, ..Otlp::default() }, "telemetry.otlp.logs: there is no collector"),
            (Otlp { headers_file: Some(file.clone()), ..with("http://c") }, "headers_file: line 1"),
            (Otlp { headers_file: Some("/nowhere".into()), ..with("http://c") }, "cannot read /nowhere"),
        ] {
            let error = format!("{:#}", Exports::new(&settings).err().unwrap());
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
        std::fs::write(&file, "authorization: Bearer a:b\n\n x-scope: 1\n").unwrap();
        let read = super::headers(&Otlp { headers_file: Some(file), ..Otlp::default() }).unwrap();
        assert_eq!(read["authorization"], "Bearer a:b");
        assert_eq!(read["x-scope"], "1");
    }
}
