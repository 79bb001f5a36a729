//! Settings of one server of the Model Context Protocol. Only what is listed here may ever be called.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

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
