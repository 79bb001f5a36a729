//! Whose Slack messages an incident's thread may begin with. A word of the settings comes in; it decides nothing.

use serde::Deserialize;

/// The senders whose messages are looked for before an incident gets a first message of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThreadMatch {
    /// Always a message of our own.
    #[default]
    Off,
    Robusta,
    Alertmanager,
    Grafana,
    /// Whichever of them posts in the channel.
    Any,
}
