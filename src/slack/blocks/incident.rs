//! The incident's own message at the head of its thread, and the note under it when the trouble is over.
//! Comes from the conductors' view of an incident, goes to the outbox. Severity and standing are words.

use chrono::{DateTime, TimeDelta, Utc};

use super::escape::{code, inline};
use super::{Message, Page, Telling, before};
use crate::alert::Severity;
use crate::report::{Before, Outcome, Report};
use crate::words::{Words, fill};
use crate::workload::Workload;

/// Alert names shown; beyond that they are counted.
const MAX_ALERT_NAMES: usize = 5;
const MAX_NAME: usize = 120;
const MAX_TOOLS: usize = 4;
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
}

/// How far the incident has come.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    Investigating,
    /// The model has been asked so often; replaced while it works.
    AtWork(Progress<'a>),
    /// Resolved before, and back. What was found then.
    FiringAgain(Option<&'a Before>),
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

/// How far the model has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Questions answered, the one under way included.
    pub step: i32,
    /// Names of tools that were called last; ours, or of a configured server.
    pub tools: &'a [String],
    pub since: TimeDelta,
}

/// The head of the thread, posted once and replaced as the incident moves on.
pub fn parent(telling: Telling<'_>, incident: &IncidentView<'_>, standing: Standing<'_>) -> Message {
    let words = telling.words;
    let mut page = Page::default();
    page.header(&headline(words, incident, standing));
    let title = format!("*{}*", or_dash(&inline(incident.title, MAX_NAME * 2)));
    let mut lines = vec![title, said(words, incident, standing)];
    lines.push(format!("*{}:* {}", words.alerts, alert_names(words, incident.alert_names)));
    let since = words.moment(incident.opened_at);
    lines.push(format!("*{}:* {since} ({})", words.since, times(words, incident.alerts)));
    if !incident.workload.cluster.is_empty() {
        lines.push(format!("*{}:* {}", words.cluster, code(&incident.workload.cluster, MAX_NAME)));
    }
    page.section(&lines);
    if let Standing::FiringAgain(Some(last)) = standing {
        page.section(&before::lines(words, last, None));
    }
    page.context(&[telling.link(words.full_report)]);
    page.message(&fallback(words, incident, standing))
}

/// The note in the thread when the last alert has resolved.
pub fn resolved(words: &Words, incident: &IncidentView<'_>, at: DateTime<Utc>) -> Message {
    let line = resolved_line(words, incident, at);
    let mut page = Page::default();
    page.section(&[format!("*{}* {line}", words.resolved), words.nothing_fires.to_owned()]);
    page.message(&format!("{}: {}, {line}", words.resolved, incident.workload.short()))
}

/// The note in the thread of an incident whose workload was only guessed, and guessed wrong.
pub fn joined(words: &Words, guessed: &Workload, other: &Workload) -> Message {
    let (from, to) = (guessed.short(), other.short());
    let mut page = Page::default();
    let (guessed, workload) = (code(&from, MAX_NAME), code(&to, MAX_NAME));
    let note = fill(words.joined_note, &[("guessed", &guessed), ("workload", &workload)]);
    page.section(&[format!("*{}:* {note}", words.joined), words.joined_note_end.to_owned()]);
    page.message(&format!("{}: {from} → {to}. {}", words.joined, words.joined_note_end))
}

/// The note in the thread of the incident that such alerts joined.
pub fn taken_in(words: &Words, guessed: &Workload, alerts: &[String]) -> Message {
    let mut page = Page::default();
    let (names, from) = (alert_names(words, alerts), code(&guessed.short(), MAX_NAME));
    let line = fill(words.taken_in_line, &[("alerts", &names), ("guessed", &from)]);
    page.section(&[format!("*{}:* {line}", words.taken_in)]);
    page.message(&format!("{}: {}.", words.taken_in, guessed.short()))
}

/// Severity first while it matters, as a word in brackets that reads the same in every colour.
fn headline(words: &Words, incident: &IncidentView<'_>, standing: Standing<'_>) -> String {
    let (severity, word) = (incident.severity.as_str(), standing_word(words, standing));
    let workload = incident.workload.short();
    match standing {
        Standing::Resolved { .. } => {
            format!("{word} ({}): {workload}", fill(words.was_severity, &[("severity", severity)]))
        }
        _ => format!("[{severity}] {word}: {workload}"),
    }
}

fn standing_word(words: &Words, standing: Standing<'_>) -> &'static str {
    match standing {
        Standing::Investigating | Standing::AtWork(_) => words.investigating,
        Standing::FiringAgain(_) => words.firing_again,
        Standing::Reported(report) => words.verdict(report.outcome),
        Standing::GaveUp => words.could_not,
        Standing::Joined(_) => words.joined,
        Standing::Folded(_) => words.folded,
        Standing::Resolved { .. } => words.resolved,
    }
}

/// The line that changes as the incident moves on.
fn said(words: &Words, incident: &IncidentView<'_>, standing: Standing<'_>) -> String {
    let word = standing_word(words, standing);
    let about = |template: &str, workload: &Workload| {
        let workload = code(&workload.short(), MAX_NAME);
        format!("*{word}:* {}", fill(template, &[("workload", &workload)]))
    };
    match standing {
        Standing::Investigating => format!("*{word}:* {}", words.investigating_line),
        Standing::AtWork(progress) => format!("*{word}:* {}", at_work(words, progress)),
        Standing::FiringAgain(_) => format!("*{word}:* {}", words.firing_again_line),
        Standing::Reported(report) => verdict(words, report),
        Standing::GaveUp => format!("*{word}:* {}", words.could_not_line),
        Standing::Folded(into) => about(words.folded_line, into),
        Standing::Joined(other) => about(words.joined_line, other),
        Standing::Resolved { at, report } => {
            let resolved = format!("*{word}* {}", resolved_line(words, incident, at));
            match report {
                Some(report) => format!("{resolved}\n{}", verdict(words, report)),
                None => resolved,
            }
        }
    }
}

fn at_work(words: &Words, progress: Progress<'_>) -> String {
    let (step, span) = (progress.step.to_string(), words.span(progress.since));
    let tools: Vec<String> = progress.tools.iter().take(MAX_TOOLS).map(|tool| code(tool, MAX_NAME)).collect();
    let values = [("step", step.as_str()), ("span", &span), ("tools", &tools.join(", "))];
    fill(if tools.is_empty() { words.at_work } else { words.at_work_reading }, &values)
}

fn resolved_line(words: &Words, incident: &IncidentView<'_>, at: DateTime<Utc>) -> String {
    let (time, span) = (words.moment(at), words.span(at - incident.opened_at));
    fill(words.resolved_line, &[("time", &time), ("span", &span)])
}

fn verdict(words: &Words, report: &Report) -> String {
    let word = words.verdict(report.outcome);
    match (&report.cause, report.outcome) {
        (Some(cause), Outcome::KnownPattern | Outcome::RootCause) => {
            let level = words.confidence_level(report.confidence);
            format!(
                "*{word}* ({}): {}",
                fill(words.with_confidence, &[("level", level)]),
                inline(&cause.statement, MAX_STATEMENT)
            )
        }
        _ => format!("*{word}:* {}", or_dash(&inline(&report.summary, MAX_STATEMENT))),
    }
}

fn alert_names(words: &Words, names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_ALERT_NAMES).map(|name| code(name, MAX_NAME)).collect();
    words.and_more(or_dash(&shown.join(", ")), names.len().saturating_sub(MAX_ALERT_NAMES))
}

fn times(words: &Words, alerts: i32) -> String {
    match alerts {
        0 | 1 => words.one_alert.to_owned(),
        many => fill(words.many_alerts, &[("count", &many.to_string())]),
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.to_owned() }
}

fn fallback(words: &Words, incident: &IncidentView<'_>, standing: Standing<'_>) -> String {
    let head = headline(words, incident, standing);
    match standing {
        Standing::Reported(Report { cause: Some(cause), .. }) => format!("{head}. {}", cause.statement),
        _ if incident.title.is_empty() => head,
        _ => format!("{head}. {}", incident.title),
    }
}
