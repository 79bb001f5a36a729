//! An alert as every later room sees it: one occurrence, whoever sent it.
//! Comes from `webhook`, goes to `incident`. Pure data; it never reads a clock or the network.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::redact::{redact, redact_pair};

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

/// One occurrence of an alert. Text is sanitised (no NUL); it is redacted from `redact` on, which intake calls
/// before anything is stored.
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
    /// What the sender calls the message's subject: Alertmanager's groupKey, the id of Robusta's finding, or "".
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

    /// Replaces the secrets in everything that people wrote. The identity (source, fingerprint, start, status)
    /// stays, so that a resend and a resolve still meet their occurrence.
    pub fn redact(&mut self) {
        for pairs in [&mut self.labels, &mut self.annotations] {
            for (key, value) in pairs.iter_mut() {
                replace(value, |value| redact_pair(key, value));
            }
            if pairs.keys().any(|key| matches!(redact(key), Cow::Owned(_))) {
                *pairs =
                    std::mem::take(pairs).into_iter().map(|(k, v)| (redact(&k).into_owned(), v)).collect();
            }
        }
        for text in [&mut self.generator_url, &mut self.receiver, &mut self.group_key] {
            replace(text, redact);
        }
        if let Some(subject) = &mut self.subject {
            for text in [&mut subject.kind, &mut subject.namespace, &mut subject.name, &mut subject.node] {
                replace(text, redact);
            }
        }
    }

    pub fn is_firing(&self) -> bool {
        self.status == Status::Firing
    }
}

fn replace(text: &mut String, redact: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(redacted) = redact(text) {
        *text = redacted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        Alert {
            source: Source::Alertmanager,
            status: Status::Firing,
            fingerprint: "d8faa1cc65570792".to_owned(),
            starts_at: DateTime::UNIX_EPOCH,
            ends_at: None,
            severity: Severity::Warning,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            generator_url: String::new(),
            receiver: String::new(),
            group_key: String::new(),
            subject: None,
            truncated_alerts: 0,
        }
    }

    #[test]
    fn secrets_go_from_every_text_and_the_identity_stays() {
        let mut alert = alert();
        let text = "dial postgres://app:hunter2@db/x";
        for key in ["alertname", "namespace", "pod"] {
            alert.labels.insert(key.to_owned(), text.to_owned());
        }
        alert.labels.insert("db_password".to_owned(), "two hunter2 words".to_owned());
        alert.labels.insert("password=hunter2".to_owned(), "x".to_owned());
        alert.annotations.insert("summary".to_owned(), text.to_owned());
        for field in [&mut alert.generator_url, &mut alert.receiver, &mut alert.group_key] {
            text.clone_into(field);
        }
        let part = || text.to_owned();
        alert.subject = Some(Subject { kind: part(), namespace: part(), name: part(), node: part() });
        alert.redact();
        let shown = format!("{alert:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(alert.fingerprint, "d8faa1cc65570792");
        assert_eq!(alert.labels["db_password"], "[redacted:credential]");
        assert_eq!(alert.name(), "dial postgres://app:[redacted:password]@db/x");
    }

    #[test]
    fn ordinary_labels_stay_as_they_are() {
        let mut given = alert();
        for (key, value) in [
            ("alertname", "KubePodCrashLooping"),
            ("pod", "sk-checkout-7987f4985-2z45z"),
            ("secret", "db-credentials"),
            ("token_expires", "soon"),
            ("uid", "5b3e2fb1-cb83-45ea-82ec-318c94718e44"),
        ] {
            given.labels.insert(key.to_owned(), value.to_owned());
        }
        let mut redacted = given.clone();
        redacted.redact();
        assert_eq!(redacted, given);
    }
}
