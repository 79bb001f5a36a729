//! Where and how incidents are told in Slack. Keys of the settings come in; it decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::ThreadMatch;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slack {
    /// Bot token (`xoxb-…`). Unset, and no outlets: summaries go to the log and the API only.
    pub token: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    /// Where incidents go that no route takes.
    pub channel: String,
    /// The first that fits an incident names its channel.
    pub routes: Vec<Route>,
    pub api_url: String,
    pub timeout_secs: u64,
    /// Time between two messages to one channel, in milliseconds; Slack takes about one a second.
    pub pace_ms: u64,
    /// Whose messages an incident's thread may begin with.
    pub thread_match: ThreadMatch,
    /// How long their message is waited for before we post our own.
    pub thread_wait_secs: u64,
    /// Of the app: what Slack signs its requests with. Set: buttons, served at `/slack/interactions` and `/slack/events`.
    pub signing_secret: Option<SecretString>,
    pub signing_secret_file: Option<PathBuf>,
    /// Of the app (`xapp-…`). Set: buttons without an address of ours, over Socket Mode.
    pub app_token: Option<SecretString>,
    pub app_token_file: Option<PathBuf>,
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            token: None,
            token_file: None,
            channel: "#alerts".to_owned(),
            routes: Vec::new(),
            api_url: "https://slack.com/api".to_owned(),
            timeout_secs: 10,
            pace_ms: 1000,
            thread_match: ThreadMatch::Off,
            thread_wait_secs: 30,
            signing_secret: None,
            signing_secret_file: None,
            app_token: None,
            app_token_file: None,
        }
    }
}

/// Incidents that fit go to this channel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    #[serde(rename = "match")]
    pub matches: RouteMatch,
    pub channel: String,
}

/// All given keys must hold; lists are alternatives; every text is a glob.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteMatch {
    pub alerts: Vec<String>,
    /// Name and value; they and `alerts` have to hold for one and the same alert.
    pub labels: BTreeMap<String, String>,
    pub namespaces: Vec<String>,
    pub clusters: Vec<String>,
    pub severities: Vec<String>,
    /// Of the runbook that is chosen for the incident.
    pub owners: Vec<String>,
}
