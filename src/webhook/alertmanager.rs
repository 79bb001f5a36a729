//! Alertmanager's webhook, version 4: a group of alerts. Fields that came later (`notification_reason`,
//! `routeLabels`) and any other are accepted and skipped. One alert's odd field never loses the others.

use chrono::{DateTime, Datelike, Utc};

use super::fingerprint;
use super::rejection::Rejection;
use super::wire::{self, Count, Labels, List, Moment, Text, wire};
use crate::alert::{Alert, Severity, Source, Status};

/// Stands for a start that cannot be read. Fixed, so that a resend is still the same occurrence.
pub(super) const UNKNOWN_START: DateTime<Utc> = DateTime::UNIX_EPOCH;
/// Longest group key kept as it is, in bytes; it has no bound of its own and stands in every alert.
const MAX_GROUP_KEY_BYTES: usize = 1024;
/// Longest receiver name kept, in characters.
const MAX_RECEIVER_CHARS: usize = 256;

wire! {
    /// The message. Grafana sends the same.
    struct Group {
        receiver: Text = "receiver",
        status: Text = "status",
        group_key: Text = "groupKey",
        truncated_alerts: Count = "truncatedAlerts",
        alerts: Option<List<Entry>> = "alerts",
    }
}

wire! {
    /// One alert; the fields after `fingerprint` are Grafana's.
    struct Entry {
        status: Text = "status",
        labels: Labels = "labels",
        annotations: Labels = "annotations",
        starts_at: Moment = "startsAt",
        ends_at: Moment = "endsAt",
        generator_url: Text = "generatorURL",
        fingerprint: Text = "fingerprint",
        value_string: Text = "valueString",
        dashboard_url: Text = "dashboardURL",
        panel_url: Text = "panelURL",
    }
}

pub(super) fn parse(source: Source, text: &str) -> Result<Vec<Alert>, Rejection> {
    alerts(source, text, |entry| entry)
}

/// Reads a group; `complete` may move what only its sender has to where every sender has it.
pub(super) fn alerts(
    source: Source,
    text: &str,
    complete: fn(Entry) -> Entry,
) -> Result<Vec<Alert>, Rejection> {
    let group: Group = wire::read(text)?;
    let entries = group.alerts.ok_or_else(|| Rejection::Malformed("missing field `alerts`".to_owned()))?;
    let shared = Shared {
        source,
        status: group.status.0,
        receiver: unquote(&group.receiver.0).chars().take(MAX_RECEIVER_CHARS).collect(),
        group_key: bounded(group.group_key.0),
        truncated_alerts: group.truncated_alerts.0,
    };
    Ok(entries.0.into_iter().map(|entry| shared.alert(complete(entry))).collect())
}

/// What all alerts of a group have in common.
pub(super) struct Shared {
    source: Source,
    status: String,
    receiver: String,
    group_key: String,
    truncated_alerts: u64,
}

impl Shared {
    /// Of alerts that come in no group.
    pub(super) fn of(source: Source) -> Self {
        let none = String::new;
        Self { source, status: none(), receiver: none(), group_key: none(), truncated_alerts: 0 }
    }

    pub(super) fn alert(&self, entry: Entry) -> Alert {
        let labels = entry.labels.0;
        let status = status(if entry.status.0.is_empty() { &self.status } else { &entry.status.0 });
        Alert {
            source: self.source,
            status,
            fingerprint: fingerprint::given_or_computed(entry.fingerprint.0, &labels),
            starts_at: entry.starts_at.0.unwrap_or(UNKNOWN_START),
            // Go's zero time, in year 1, means that there is none.
            ends_at: entry.ends_at.0.filter(|at| status == Status::Resolved && at.year() > 1),
            severity: Severity::from_word(labels.get("severity").map_or("", String::as_str)),
            labels,
            annotations: entry.annotations.0,
            generator_url: entry.generator_url.0,
            receiver: self.receiver.clone(),
            group_key: self.group_key.clone(),
            subject: None,
            truncated_alerts: self.truncated_alerts,
        }
    }
}

/// "ok" is Grafana's old word. What is neither is firing: better one look too many than none.
fn status(word: &str) -> Status {
    match word.trim().to_ascii_lowercase().as_str() {
        "resolved" | "ok" | "normal" => Status::Resolved,
        _ => Status::Firing,
    }
}

/// Undoes the quoting for regular expressions in which receivers arrive: `team\.data` is `team.data`.
fn unquote(receiver: &str) -> String {
    let mut plain = String::with_capacity(receiver.len());
    let mut chars = receiver.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.peek() {
            Some(next) if char == '\\' && r"\.+*?()|[]{}^$".contains(*next) => plain.extend(chars.next()),
            _ => plain.push(char),
        }
    }
    plain
}

fn bounded(group_key: String) -> String {
    if group_key.len() <= MAX_GROUP_KEY_BYTES {
        group_key
    } else {
        format!("fnv1a:{}", fingerprint::of_text(&group_key))
    }
}
