//! One Prometheus, Loki or Tempo: where it is, how it is authenticated with, what it may take, and whose data of it is
//! read. Keys of the settings come in; it decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

/// Prometheus, Loki or Tempo. No `url` means: not configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSource {
    pub url: Option<String>,
    /// In place of a `url`: the same source as this cluster's, by its name.
    pub shared_with: Option<String>,
    /// Labels that every query is held to, where a source holds the data of several clusters.
    pub selector: BTreeMap<String, String>,
    /// Sent as a bearer token.
    pub token: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    pub basic: Option<Basic>,
    pub headers: BTreeMap<String, SecretString>,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, PEM.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Deadline of one request.
    pub timeout_secs: u64,
    /// Requests at once, over all investigations of this process.
    pub max_in_flight: usize,
    /// Of one answer.
    pub max_answer_mib: usize,
}

/// A user and its password, as HTTP's basic authentication has them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Basic {
    pub username: String,
    pub password: Option<SecretString>,
    pub password_file: Option<PathBuf>,
}

impl Default for HttpSource {
    fn default() -> Self {
        Self {
            url: None,
            shared_with: None,
            selector: BTreeMap::new(),
            token: None,
            token_file: None,
            basic: None,
            headers: BTreeMap::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            timeout_secs: 10,
            max_in_flight: 8,
            max_answer_mib: 8,
        }
    }
}
