//! When what happened: the moments of a report, and what changed about when the trouble began. Pure data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    pub at: DateTime<Utc>,
    pub what: String,
    /// "" for what the alert itself says.
    pub evidence: String,
    #[serde(default)]
    pub kind: Moment,
    /// It stands first among what changed before the trouble; at most one entry does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub trigger: bool,
    /// Why it is, in one line; "" for all others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(truth: &bool) -> bool {
    !*truth
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    Rollout,
    Config,
    Scaling,
    Node,
    #[default]
    Failure,
    Restart,
    Alert,
    /// What logs, series and events show, where it stands first among what changed.
    Sign,
}

impl Moment {
    /// Somebody or something changed the state of affairs, as opposed to what followed from it.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Rollout | Self::Config | Self::Scaling | Self::Node)
    }
}

/// What kind of change it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Changing {
    Rollout,
    Config,
    Scaling,
    Node,
    Event,
    /// Lines that logs did not have before.
    Log,
    /// A measured level.
    Series,
}

/// How what changed is related to what is in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Near {
    Itself,
    /// What it is configured with.
    Uses,
    /// What owns or scales it.
    Owner,
    /// A node it runs on.
    Node,
    /// A Service in front of it.
    Service,
    Callee,
    Caller,
    /// In the same namespace; no relation is known.
    Neighbour,
}

/// Something that changed about when the trouble began, and what gives it its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    pub at: DateTime<Utc>,
    pub kind: Changing,
    /// `Kind namespace/name` of what changed.
    pub object: String,
    /// "rollout of revision 7 (image a:1 → a:2)"
    pub what: String,
    pub near: Near,
    /// Before the onset, in seconds; negative after it.
    pub seconds_before: i64,
    /// What else speaks for or against it: "only pods of this revision fail"; or "".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Between 0 and 1, from time, nearness, kind and size.
    pub score: f64,
    /// The observation it was read from.
    pub evidence: String,
    /// All of it in one line.
    pub line: String,
}
