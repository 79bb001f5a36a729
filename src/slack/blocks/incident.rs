//! The incident's own message at the head of its thread, and the note under it when the trouble is over.
//! Comes from the conductors' view of an incident, goes to the outbox. Severity and standing are words.

use chrono::{DateTime, Utc};

use super::escape::{code, inline};
use super::{Message, Page, link};
use crate::alert::Severity;
use crate::report::{Outcome, Report};
use crate::slack::words;
use crate::workload::Workload;

/// Alert names shown; beyond that they are counted.
const MAX_ALERT_NAMES: usize = 5;
const MAX_NAME: usize = 120;
const MAX_STATEMENT: usize = 600;

/// What the head of a thread says about its incident.
#[derive(Debug, Clone)]
pub struct IncidentView<'a> {
    pub workload: &'a Workload,
    pub severity: Severity,
    /// One line of the sender's, e.g. the alert's `summary` annotation.
    pub title: &'a str,
    pub alert_names: &'a [String],
    /// Occurrences attached so far.
    pub alerts: i32,
    pub opened_at: DateTime<Utc>,
    /// Of the latest investigation, from `investigation_url`.
    pub url: Option<&'a str>,
}

/// How far the incident has come.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    Investigating,
    /// Resolved before, and back.
    FiringAgain,
    Reported(&'a Report),
    /// The last investigation ended without a report.
    GaveUp,
    /// Its alerts are about this workload, whose incident has a thread of its own.
    Joined(&'a Workload),
    /// One of many at once: they are looked at together, as this.
    Folded(&'a Workload),
    Resolved {
        at: DateTime<Utc>,
        report: Option<&'a Report>,
    },
}

/// The head of the thread, posted once and replaced as the incident moves on.
pub fn parent(incident: &IncidentView<'_>, standing: Standing<'_>) -> Message {
    let mut page = Page::default();
    page.header(&headline(incident, standing));
    let mut lines =
        vec![format!("*{}*", or_dash(&inline(incident.title, MAX_NAME * 2))), said(incident, standing)];
    lines.push(format!("*Alerts:* {}", alert_names(incident.alert_names)));
    lines.push(format!("*Since:* {} ({})", words::moment(incident.opened_at), times(incident.alerts)));
    if !incident.workload.cluster.is_empty() {
        lines.push(format!("*Cluster:* {}", code(&incident.workload.cluster, MAX_NAME)));
    }
    page.section(&lines);
    page.context(&[incident.url.map(|url| link(url, "Full report")).unwrap_or_default()]);
    page.message(&fallback(incident, standing))
}

/// The note in the thread when the last alert has resolved.
pub fn resolved(incident: &IncidentView<'_>, at: DateTime<Utc>) -> Message {
    let took = words::span(at - incident.opened_at);
    let mut page = Page::default();
    page.section(&[
        format!("*Resolved* at {}, after {took}.", words::moment(at)),
        "No alert of this workload fires any more.".to_owned(),
    ]);
    page.message(&format!("Resolved: {}, at {}, after {took}.", incident.workload.short(), words::moment(at)))
}

/// The note in the thread of an incident whose workload was only guessed, and guessed wrong.
pub fn joined(guessed: &Workload, other: &Workload) -> Message {
    let mut page = Page::default();
    page.section(&[
        format!(
            "*Joined another incident:* the cluster did not answer when these alerts came, so their workload was \
             taken from their labels: {}. They are about {}.",
            code(&guessed.short(), MAX_NAME),
            code(&other.short(), MAX_NAME)
        ),
        "They still fire. What is found, and their end, stand in that incident's thread.".to_owned(),
    ]);
    page.message(&format!(
        "Joined another incident: {} turned out to be {}. See its thread.",
        guessed.short(),
        other.short()
    ))
}

/// The note in the thread of the incident that such alerts joined.
pub fn taken_in(guessed: &Workload, alerts: &[String]) -> Message {
    let mut page = Page::default();
    page.section(&[format!(
        "*More alerts belong here:* {}. Their own thread, opened for {}, was opened by mistake and ends.",
        alert_names(alerts),
        code(&guessed.short(), MAX_NAME)
    )]);
    page.message(&format!("More alerts belong here: those of {}.", guessed.short()))
}

/// Severity first while it matters, as a word in brackets that reads the same in every colour.
fn headline(incident: &IncidentView<'_>, standing: Standing<'_>) -> String {
    let (severity, word) = (incident.severity.as_str(), standing_word(standing));
    match standing {
        Standing::Resolved { .. } => format!("{word} (was {severity}): {}", incident.workload.short()),
        _ => format!("[{severity}] {word}: {}", incident.workload.short()),
    }
}

fn standing_word(standing: Standing<'_>) -> &'static str {
    match standing {
        Standing::Investigating => "Investigating",
        Standing::FiringAgain => "Firing again",
        Standing::Reported(report) => words::verdict(report.outcome),
        Standing::GaveUp => "Could not investigate",
        Standing::Joined(_) => "Joined another incident",
        Standing::Folded(_) => "One of many at once",
        Standing::Resolved { .. } => "Resolved",
    }
}

/// The line that changes as the incident moves on.
fn said(incident: &IncidentView<'_>, standing: Standing<'_>) -> String {
    match standing {
        Standing::Investigating => "*Investigating:* the summary will follow in this thread.".to_owned(),
        Standing::FiringAgain => {
            "*Firing again:* it was resolved before; what was found then stands in this thread.".to_owned()
        }
        Standing::Reported(report) => verdict(report),
        Standing::GaveUp => "*Could not investigate:* the reason stands in this thread.".to_owned(),
        Standing::Folded(into) => format!(
            "*One of many at once:* so much is in trouble there that it is looked at together, as {}. What is found \
             stands in that thread.",
            code(&into.short(), MAX_NAME)
        ),
        Standing::Joined(other) => format!(
            "*Joined another incident:* these alerts are about {}. They still fire; what is found stands in its \
             thread.",
            code(&other.short(), MAX_NAME)
        ),
        Standing::Resolved { at, report } => {
            let took = words::span(at - incident.opened_at);
            let resolved = format!("*Resolved* at {}, after {took}.", words::moment(at));
            match report {
                Some(report) => format!("{resolved}\n{}", verdict(report)),
                None => resolved,
            }
        }
    }
}

fn verdict(report: &Report) -> String {
    let word = words::verdict(report.outcome);
    match (&report.cause, report.outcome) {
        (Some(cause), Outcome::KnownPattern | Outcome::RootCause) => format!(
            "*{word}* (confidence {}): {}",
            words::confidence_level(report.confidence),
            inline(&cause.statement, MAX_STATEMENT)
        ),
        _ => format!("*{word}:* {}", or_dash(&inline(&report.summary, MAX_STATEMENT))),
    }
}

fn alert_names(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_ALERT_NAMES).map(|name| code(name, MAX_NAME)).collect();
    match names.len().saturating_sub(MAX_ALERT_NAMES) {
        0 => or_dash(&shown.join(", ")),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn times(alerts: i32) -> String {
    match alerts {
        0 | 1 => "1 alert so far".to_owned(),
        many => format!("{many} alerts so far"),
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.to_owned() }
}

fn fallback(incident: &IncidentView<'_>, standing: Standing<'_>) -> String {
    let head = headline(incident, standing);
    match standing {
        Standing::Reported(Report { cause: Some(cause), .. }) => format!("{head}. {}", cause.statement),
        _ if incident.title.is_empty() => head,
        _ => format!("{head}. {}", incident.title),
    }
}
