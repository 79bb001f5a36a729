//! Policies that teams keep in their clusters: whether they are read, how often, and what they may name. `policy` holds
//! what comes of them to what the other settings allow.

use serde::Deserialize;

/// Objects of the kind InvestigationPolicy, in every cluster that is configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyObjects {
    pub enabled: bool,
    /// How often each cluster is asked for them.
    pub every_secs: u64,
    /// Where they count. Empty: everywhere, which needs the right to list them in all namespaces.
    pub namespaces: Vec<String>,
    /// Channels that they may name. Globs; empty: none.
    pub channels: Vec<String>,
}

impl Default for PolicyObjects {
    fn default() -> Self {
        Self { enabled: false, every_secs: 15, namespaces: Vec::new(), channels: Vec::new() }
    }
}
