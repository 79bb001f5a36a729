//! Who is told of incidents beside Slack. Keys of the settings come in; it decides nothing.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::RouteMatch;

/// One receiver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outlet {
    /// Ours, for the log and metrics; what waits for a name is delivered under that name only.
    pub name: String,
    pub kind: OutletKind,
    /// Where it is sent to. A secret: whoever knows Teams' may post.
    pub url: Option<SecretString>,
    pub url_file: Option<PathBuf>,
    /// Of a webhook: `whsec_…`. Each signs, so that they can be rotated.
    #[serde(default)]
    pub secrets: Vec<SecretString>,
    /// A file with one a line.
    pub secrets_file: Option<PathBuf>,
    /// Incidents that it is told of; empty: all.
    #[serde(default, rename = "match")]
    pub matches: RouteMatch,
    /// Empty: what its kind is told usually.
    #[serde(default)]
    pub events: Vec<String>,
    /// Deadline of one request.
    #[serde(default = "default_timeout_secs")]
    pub timeout_secs: u64,
}

/// What it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutletKind {
    /// Adaptive Cards for a workflow of Microsoft Teams.
    Teams,
    /// JSON, signed as Standard Webhooks says.
    Webhook,
}

fn default_timeout_secs() -> u64 {
    10
}
