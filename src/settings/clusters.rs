//! More clusters than the one of the top-level blocks. Keys of the settings come in; it decides nothing.

use serde::Deserialize;

use super::{HttpSource, Kubernetes};

/// A cluster with its own sources. What it leaves out is not asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// What alerts call it in `intake.cluster_label`; also in keys of workloads, policies and the API.
    pub name: String,
    /// Other values of that label that mean it. Globs.
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub kubernetes: Option<Kubernetes>,
    #[serde(default)]
    pub prometheus: HttpSource,
    #[serde(default)]
    pub loki: HttpSource,
    #[serde(default)]
    pub tempo: HttpSource,
}
