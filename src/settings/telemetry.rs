//! Settings of what is told to an OpenTelemetry collector.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    pub otlp: Otlp,
}

/// Export of spans and log records over OTLP/HTTP with protobuf.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Otlp {
    /// The collector, as in `http://collector:4318`. Unset: OTEL_EXPORTER_OTLP_ENDPOINT; without that nothing is
    /// exported.
    pub endpoint: Option<String>,
    pub headers: BTreeMap<String, SecretString>,
    /// A file with one `name: value` a line.
    pub headers_file: Option<PathBuf>,
    pub service_name: String,
    /// The part of all investigations that is exported, from 0 to 1.
    pub sampling: f64,
    /// Log records as well.
    pub logs: bool,
    /// Deadline of one export, in seconds.
    pub timeout_secs: u64,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: BTreeMap::new(),
            headers_file: None,
            service_name: "whodunit".to_owned(),
            sampling: 1.0,
            logs: false,
            timeout_secs: 5,
        }
    }
}
