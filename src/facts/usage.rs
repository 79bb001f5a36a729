//! What Prometheus remembers of a container or a claim, and of the rule behind an alert. Plain rows like all
//! facts: absent numbers are -1. Pure data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Measurements of one container or one claim. There is no row for what was not measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageFact {
    /// container or claim.
    pub kind: String,
    pub namespace: String,
    /// "" for a claim.
    pub pod: String,
    /// Of the container or the claim.
    pub name: String,
    /// How memory went before the container was killed for it: leak (steady growth), spike (far below its
    /// limit until shortly before) or "" (neither is clear, or it ended too soon to be seen).
    pub memory_shape: String,
    /// Growth while it leaked, in bytes an hour.
    pub memory_growth_bytes: i64,
    /// Highest working set seen before that end, in bytes.
    pub memory_peak_bytes: i64,
    /// Share of CPU periods in which it was throttled, in percent.
    pub throttled_percent: i64,
    /// Restarts within the last 24 hours.
    pub restarts_24h: i64,
    /// Of a claim's space and inodes, in percent.
    pub used_percent: i64,
    pub inodes_used_percent: i64,
    /// At the growth of the last hours.
    pub full_in_hours: i64,
    pub evidence: String,
    pub quote: String,
}

impl Default for UsageFact {
    fn default() -> Self {
        Self {
            kind: String::new(),
            namespace: String::new(),
            pod: String::new(),
            name: String::new(),
            memory_shape: String::new(),
            memory_growth_bytes: -1,
            memory_peak_bytes: -1,
            throttled_percent: -1,
            restarts_24h: -1,
            used_percent: -1,
            inodes_used_percent: -1,
            full_in_hours: -1,
            evidence: String::new(),
            quote: String::new(),
        }
    }
}

/// The rule of a firing alert, as Prometheus evaluates it now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertRuleFact {
    pub alert: String,
    /// PromQL.
    pub expression: String,
    pub for_seconds: i64,
    /// firing, pending or inactive: for this workload's namespace.
    pub state: String,
    /// What the expression gave when it was last evaluated, as Prometheus writes it; "" while it gives nothing.
    pub value: String,
    pub active_at: Option<DateTime<Utc>>,
    /// Why Prometheus cannot evaluate it, or "".
    pub last_error: String,
    pub evidence: String,
    pub quote: String,
}
