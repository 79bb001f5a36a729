//! What people read in Microsoft Teams: an event goes in, one Adaptive Card within Teams' limits comes out; a whole one for
//! a report, a short one for all else. Pure. It holds text runs only, which know no Markdown; its buttons are links of ours.

mod report;
mod text;

use serde_json::{Value, json};

use self::text::{bold, code, length, line, plain, subtle};
use super::event::{Event, What};
use crate::incident::store::Record;
use crate::report::{Before, Ending, Outcome, Report};
use crate::words::{Words, fill, sentence};

/// Teams documents 28 KB; other senders tell of messages that were refused from 21 KB on.
pub(super) const MAX_MESSAGE_BYTES: usize = 20_000;
/// Of them for what stands around the parts of a report.
const FRAME_BYTES: usize = 3_000;
const MAX_URL: usize = 500;
const MAX_NAME: usize = 160;
const MAX_SENTENCE: usize = 400;
const MAX_PARAGRAPH: usize = 900;
/// Alert names shown; beyond that they are counted.
const MAX_ALERT_NAMES: usize = 5;

/// What Teams' workflow takes for an event; None: it is not told to people.
pub(super) fn message(words: &Words, event: &Event<'_>) -> Option<Value> {
    let mut body = vec![head(words, event)];
    match event.what {
        What::Finished { ending: Ending::Reported { report, previous, reason }, .. } => {
            if let Some(muted) = &report.muted {
                body.extend(about(words, event.incident));
                body.push(report::muted(words, report, muted));
            } else if previous.is_some_and(|previous| report.agrees_with(previous)) {
                body.push(report::unchanged(words, report, reason));
            } else {
                body.extend(about(words, event.incident));
                let room = MAX_MESSAGE_BYTES - FRAME_BYTES - bytes(&body);
                body.extend(report::parts(words, report, event, room));
            }
        }
        What::Finished { ending: Ending::GaveUp(error), .. } => {
            body.extend(about(words, event.incident));
            body.push(labelled(words.gave_up_why, error, MAX_PARAGRAPH));
            body.push(line(&[plain(words.gave_up, MAX_PARAGRAPH)]));
        }
        What::Opened => body.extend(about(words, event.incident)),
        What::Reopened => {
            body.extend(about(words, event.incident));
            body.extend(event.before.iter().flat_map(|before| seen_before(words, before, None)));
        }
        What::Resolved { joined: Some(_), .. } => return None,
        What::Resolved { report, .. } => {
            let (time, span) = (words.moment(event.at), words.span(event.at - event.incident.opened_at));
            let resolved = fill(words.resolved_line, &[("time", &time), ("span", &span)]);
            body.push(labelled(words.resolved, &resolved, MAX_SENTENCE));
            body.extend(report.map(|report| verdict(words, report)));
        }
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": body, "actions": actions(words, event), "msteams": {"width": "Full"},
    });
    Some(json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card,
        }],
    }))
}

/// Severity first while it matters, as a word in brackets that reads the same in every colour.
fn head(words: &Words, event: &Event<'_>) -> Value {
    let word = match event.what {
        What::Opened => words.investigating,
        What::Reopened => words.firing_again,
        What::Finished { ending: Ending::GaveUp(_), .. } => words.could_not,
        What::Finished { ending: Ending::Reported { report, previous, .. }, .. } => {
            let same = previous.is_some_and(|previous| report.agrees_with(previous));
            if same && report.muted.is_none() { words.looked_again } else { words.verdict(report.outcome) }
        }
        What::Resolved { .. } => words.resolved,
    };
    let (severity, workload) = (event.incident.severity.as_str(), event.incident.workload.short());
    let head = match event.what {
        What::Resolved { .. } => {
            format!("{word} ({}): {workload}", fill(words.was_severity, &[("severity", severity)]))
        }
        _ => format!("[{severity}] {word}: {workload}"),
    };
    line(&[text::large(&head, MAX_NAME)])
}

/// Which alerts, since when, where.
fn about(words: &Words, incident: &Record) -> Vec<Value> {
    let mut lines = Vec::new();
    if !incident.title.is_empty() {
        lines.push(line(&[plain(&incident.title, MAX_SENTENCE)]));
    }
    let names = &incident.alert_names;
    let shown = names.iter().take(MAX_ALERT_NAMES).cloned().collect::<Vec<_>>().join(", ");
    let named = words.and_more(shown, names.len().saturating_sub(MAX_ALERT_NAMES));
    let mut facts = vec![format!("{}: {named}", words.alerts)];
    facts.push(format!("{}: {}", words.since, words.moment(incident.opened_at)));
    if !incident.workload.cluster.is_empty() {
        facts.push(format!("{}: {}", words.cluster, incident.workload.cluster));
    }
    lines.push(line(&[subtle(&facts.join(" · "), MAX_SENTENCE)]));
    lines
}

fn verdict(words: &Words, report: &Report) -> Value {
    match (&report.cause, report.outcome) {
        (Some(cause), Outcome::KnownPattern | Outcome::RootCause) => {
            let level = fill(words.with_confidence, &[("level", words.confidence_level(report.confidence))]);
            labelled(&format!("{} ({level})", words.verdict(report.outcome)), &cause.statement, MAX_PARAGRAPH)
        }
        _ => labelled(words.verdict(report.outcome), &report.summary, MAX_PARAGRAPH),
    }
}

/// What was found the last time, how it ended, what was advised and noted. `now` is what was found this time.
fn seen_before(words: &Words, before: &Before, now: Option<&Report>) -> Vec<Value> {
    let time = words.moment(before.at);
    let found = match (&before.report.cause, now.and_then(|report| report.cause.as_ref())) {
        (None, _) => fill(words.last_time_nothing, &[("time", &time)]),
        (Some(then), Some(now)) if then.id == now.id && then.object == now.object => {
            fill(words.last_time_same, &[("time", &time)])
        }
        (Some(then), Some(_)) => {
            let cause = then.statement.trim_end_matches('.');
            fill(words.last_time_other, &[("time", &time), ("cause", cause)])
        }
        (Some(then), None) => format!("{time}: {}", sentence(&then.statement)),
    };
    let over = before.lasted.map(|lasted| fill(words.resolved_after, &[("span", &words.span(lasted))]));
    let said = format!("{found} {}", over.unwrap_or_default());
    let mut lines = vec![text::heading(words.seen_before), line(&[plain(&said, MAX_SENTENCE)])];
    if let Some(step) = before.report.next_steps.first() {
        let advised = fill(words.advised_then, &[("step", &sentence(&step.text))]);
        lines.push(line(&[plain(&advised, MAX_SENTENCE)]));
    }
    if let Some(note) = before.note.as_deref().filter(|note| !note.trim().is_empty()) {
        lines.push(line(&[plain(&fill(words.noted_then, &[("note", note)]), MAX_SENTENCE)]));
    }
    lines
}

/// Links of ours alone.
fn actions(words: &Words, event: &Event<'_>) -> Vec<Value> {
    let open = |title: &str, url: &str| json!({"type": "Action.OpenUrl", "title": title, "url": url});
    let then = event.before.and_then(|before| before.url.as_deref());
    let links = [(words.full_report, event.url), (words.the_report_then, then)];
    let fits = |url: &&str| length(url) <= MAX_URL;
    links.into_iter().filter_map(|(title, url)| Some(open(title, url.filter(fits)?))).collect()
}

/// "Why: it is so", the label in bold.
fn labelled(label: &str, said: &str, max: usize) -> Value {
    line(&[bold(&format!("{label}:"), MAX_NAME), space(), plain(said, max)])
}

/// As `labelled`, about an object.
fn named(label: &str, name: &str, beside: &str) -> Value {
    let label = bold(&format!("{label}:"), MAX_NAME);
    line(&[label, space(), code(name, MAX_NAME), space(), plain(beside, MAX_NAME)])
}

/// A run keeps no white space at its border.
fn space() -> Value {
    json!({"type": "TextRun", "text": " "})
}

/// What values take up in a message, with what stands between them.
fn bytes(values: &[Value]) -> usize {
    values.iter().map(|value| value.to_string().len() + 1).sum()
}
