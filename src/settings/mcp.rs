//! Settings of the Model Context Protocol: being a server, and the servers whose tools a model may use. Of those only
//! what is listed here may ever be called.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

/// How engineers' own agents may ask at `/mcp`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mcp {
    pub enabled: bool,
    /// Callers with a token of `api.tokens` may read the cluster too, as far as their token sees.
    pub cluster_tools: bool,
    /// Calls of tools by one token, in this process.
    pub calls_per_minute: u32,
    /// Names under which agents reach us, beside loopback and the host of `server.public_url`.
    pub allowed_hosts: Vec<String>,
}

impl Default for Mcp {
    fn default() -> Self {
        Self { enabled: true, cluster_tools: true, calls_per_minute: 60, allowed_hosts: Vec::new() }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// In front of its tools' names; a runbook's `tools` allows them as `mcp:NAME`.
    pub name: String,
    /// Its streamable HTTP endpoint.
    pub url: String,
    pub token: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    /// Names of tools as the server has them. Empty: none.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Takes listed tools too that the server does not call read-only.
    #[serde(default)]
    pub allow_without_readonly: bool,
    /// Deadline of one call, and of asking for the list, in seconds.
    #[serde(default = "default_timeout_secs")]
    pub timeout_secs: u64,
}

fn default_timeout_secs() -> u64 {
    10
}
