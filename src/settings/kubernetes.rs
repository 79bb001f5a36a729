//! A cluster's API server: where it is, how it is authenticated with, what it may take. Keys of the settings come in; it
//! decides nothing.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// Off: no facts from a cluster, names resolve by their shape.
    pub enabled: bool,
    /// API server; unset uses the kubeconfig or the pod's own service account.
    pub url: Option<String>,
    pub token: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// The pod's own service account and nothing else.
    pub in_cluster: bool,
    /// Value of the `cluster` label for alerts that carry none.
    pub cluster: String,
    /// Deadline of one request, in seconds.
    pub timeout_secs: u64,
    /// Requests at once, over all investigations of this process.
    pub max_in_flight: usize,
    /// Lines read of one container log.
    pub log_tail_lines: i64,
    /// What `serve` does when it is allowed to write in the cluster or to read Secrets.
    pub excess_rights: ExcessRights,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExcessRights {
    /// It does not start.
    #[default]
    Refuse,
    /// It says so and starts: nothing uses those rights.
    Warn,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            enabled: true,
            url: None,
            token: None,
            token_file: None,
            ca_file: None,
            kubeconfig: None,
            context: None,
            in_cluster: false,
            cluster: String::new(),
            timeout_secs: 10,
            max_in_flight: 32,
            log_tail_lines: 200,
            excess_rights: ExcessRights::default(),
        }
    }
}
