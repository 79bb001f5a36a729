//! An Alertmanager whose list is compared with what came by webhook. Keys of the settings come in; it decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::{Basic, HttpSource};

/// An Alertmanager to compare with: what an outage lost is taken in, what ended without a word is resolved. The keys of
/// how it is reached stand here again: serde cannot both flatten a block and refuse unknown keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alertmanager {
    pub url: String,
    pub token: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    pub basic: Option<Basic>,
    pub headers: BTreeMap<String, SecretString>,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, PEM.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub timeout_secs: u64,
    /// Alerts routed to one of these receivers are ours. Empty: to those under which webhooks came.
    pub receivers: Vec<String>,
    pub every_secs: u64,
    /// All its alerts belong to this cluster. Unset: by their labels.
    pub cluster: Option<String>,
}

impl Default for Alertmanager {
    fn default() -> Self {
        Self {
            url: String::new(),
            token: None,
            token_file: None,
            basic: None,
            headers: BTreeMap::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            timeout_secs: HttpSource::default().timeout_secs,
            receivers: Vec::new(),
            every_secs: 120,
            cluster: None,
        }
    }
}

impl Alertmanager {
    /// How it is reached.
    pub fn source(&self) -> HttpSource {
        let one = self.clone();
        HttpSource {
            url: Some(one.url),
            token: one.token,
            token_file: one.token_file,
            basic: one.basic,
            headers: one.headers,
            ca_file: one.ca_file,
            cert_file: one.cert_file,
            key_file: one.key_file,
            timeout_secs: one.timeout_secs,
            ..HttpSource::default()
        }
    }
}
