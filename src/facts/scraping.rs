//! What Prometheus cannot scrape. Plain rows like all facts. Pure data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A target of Prometheus that is not up, and that a firing alert is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetFact {
    pub job: String,
    pub instance: String,
    /// Of the Service or pod that it was discovered from; "" for a fixed address.
    pub namespace: String,
    pub service: String,
    pub pod: String,
    /// The address that is asked for metrics.
    pub url: String,
    /// down, or unknown before the first scrape.
    pub health: String,
    /// Prometheus' own words about the last scrape.
    pub error: String,
    pub last_scrape: Option<DateTime<Utc>>,
    pub evidence: String,
    pub quote: String,
}
