//! An alert as every later room sees it: one occurrence, whoever sent it.
//! Comes from `webhook`, goes to `incident`. Pure data; it never reads a clock or the network.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who posted the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Alertmanager,
    Robusta,
    Grafana,
    /// Started by a person or a program through our own command line or API.
    Manual,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Robusta => "robusta",
            Self::Grafana => "grafana",
            Self::Manual => "manual",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Firing,
    Resolved,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// Ordered: a rise in severity makes an incident worth another look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    None,
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Reads the words that Alertmanager rules, Robusta and Grafana use; what nobody knows is a warning,
    /// because an alert without a severity was still worth a page to someone.
    pub fn from_word(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "info" | "information" | "debug" | "low" | "notice" | "p4" | "p5" => Self::Info,
            "critical" | "crit" | "high" | "error" | "page" | "emergency" | "fatal" | "p1" | "p2" => {
                Self::Critical
            }
            _ => Self::Warning,
        }
    }
}

/// One occurrence of an alert. Text is sanitised (no NUL) but not yet redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub source: Source,
    pub status: Status,
    /// The sender's own identity of the label set (Alertmanager: 16 hex digits, FNV-1a 64).
    pub fingerprint: String,
    pub starts_at: DateTime<Utc>,
    /// Set only when resolved.
    pub ends_at: Option<DateTime<Utc>>,
    pub severity: Severity,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// May be empty or relative; never dereferenced.
    pub generator_url: String,
    pub receiver: String,
    /// Alertmanager's groupKey or "".
    pub group_key: String,
    /// Workload that the sender itself named (Robusta's subject and service), if it named one.
    pub subject: Option<Subject>,
    /// The sender left alerts out of the same message (Alertmanager's `truncatedAlerts`).
    pub truncated_alerts: u64,
}

/// The object that a sender says the alert is about, in the sender's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// Lower-case kind as Robusta sends it ("pod", "deployment", "node", …) or "".
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub node: String,
}

impl Alert {
    /// `alertname`, or a fixed name: label sets without it are legal for API clients.
    pub fn name(&self) -> &str {
        self.label("alertname").unwrap_or("unnamed alert")
    }

    /// A label's value; an empty value counts as absent, as Prometheus has it.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn is_firing(&self) -> bool {
        self.status == Status::Firing
    }
}
