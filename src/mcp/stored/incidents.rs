//! `list_incidents` and `get_incident`: what is in trouble now or was, and one incident with its alerts.

use std::fmt::Write;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Said;
use super::super::told::{self, count, day, inert_json, line, next_page};
use super::investigations::entry;
use super::{Shape, filters, id, pairs};
use crate::api::{ApiState, Caller, Incident, IncidentDetail, Occurrence, incident_of, incidents_of};

/// Alerts and investigations told of one incident, the newest.
const MAX_OCCURRENCES: usize = 20;
const MAX_INVESTIGATIONS: usize = 10;
/// Labels told of an alert.
const MAX_LABELS: usize = 20;

pub fn list_schema() -> Shape {
    let properties = filters(json!({
        "state": {"type": "string", "enum": ["open", "resolved", "all"], "description": "open where it is not given"},
    }));
    let description = "Incidents, newest first; without arguments those that are open now. An incident is the trouble of \
                       one workload, from the first alert to the last resolve.";
    (description, &[], properties)
}

pub async fn list(api: &ApiState, caller: &Caller, mut given: Value) -> Said {
    let state = given["state"].as_str().unwrap_or("open").to_owned();
    if state == "all" {
        given["state"] = Value::Null;
    } else {
        given["state"] = Value::from(state.as_str());
    }
    let list = incidents_of(api, caller, &pairs(given, Utc::now())?).await?;
    let which = if state == "all" { String::new() } else { format!("{} ", line(&state)) };
    let mut text = match list.items.len() {
        0 => format!("No {which}incident fits that this token sees.\n"),
        number => format!("{}, newest first.\n", count(number as i64, &format!("{which}incident"))),
    };
    for one in &list.items {
        text.push_str(&told_short(one));
    }
    text.push_str(&next_page(list.next.as_deref(), "get_incident tells one with its alerts"));
    let items: Vec<Value> = list.items.iter().map(|one| inert_json(json!(one))).collect();
    Ok(told::answer(text, json!({"items": items, "next": list.next})))
}

fn told_short(one: &Incident) -> String {
    let end = one.resolved_at.map(|at| format!(" to {}", day(at))).unwrap_or_default();
    let last = one.last_investigation.as_ref().map(|last| {
        let outcome = last.outcome.as_deref().unwrap_or(&last.state);
        format!("\n  last investigation {}: {outcome}", last.id)
    });
    format!(
        "- {} · {} · {} · {}{end} · {}\n  {} ({}: {}){}\n",
        one.id,
        one.state,
        one.severity,
        day(one.opened_at),
        line(&one.workload),
        line(&one.title),
        count(one.alerts, "alert"),
        line(&one.alert_names.join(", ")),
        last.unwrap_or_default()
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct One {
    id: String,
}

pub fn one_schema() -> Shape {
    let properties = json!({"id": {"type": "string", "description": "its id, as list_incidents tells it"}});
    let description = "One incident: its alerts as they came, with labels and what was decided about each, and its \
                       investigations.";
    (description, &["id"], properties)
}

pub async fn one(api: &ApiState, caller: &Caller, asked: One) -> Said {
    let detail = incident_of(api, caller, id(&asked.id)?).await?;
    let mut text = format!("Incident\n{}", told_short(&detail.incident));
    if let Some(thread) = &detail.thread {
        let _ = writeln!(text, "Announced in {} ({})", line(&thread.channel), thread.state);
    }
    let _ = writeln!(text, "\nAlerts, newest first");
    for alert in detail.occurrences.iter().take(MAX_OCCURRENCES) {
        text.push_str(&told_alert(alert));
    }
    text.push_str(&rest(detail.occurrences.len(), MAX_OCCURRENCES, "alerts"));
    let _ = writeln!(text, "\nInvestigations, newest first");
    for one in detail.recent_investigations.iter().take(MAX_INVESTIGATIONS) {
        text.push_str(&entry(one));
    }
    text.push_str(&rest(detail.recent_investigations.len(), MAX_INVESTIGATIONS, "investigations"));
    text.push_str("\n[get_investigation tells a report; search_investigations with workload tells all]\n");
    Ok(told::answer(text, structured(&detail)))
}

fn rest(number: usize, told: usize, what: &str) -> String {
    match number.saturating_sub(told) {
        0 => String::new(),
        more => format!("[left out: {more} older {what}]\n"),
    }
}

fn told_alert(alert: &Occurrence) -> String {
    let labels = alert.labels.as_object().into_iter().flatten().take(MAX_LABELS);
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{}={}", line(key), line(value.as_str().unwrap_or_default())))
        .collect();
    let repeats = if alert.repeats > 0 { format!(", {} repeats", alert.repeats) } else { String::new() };
    format!(
        "- {} {} {} since {} from {}{repeats}: {} ({})\n  {}\n",
        line(&alert.name),
        alert.status,
        line(&alert.severity),
        day(alert.starts_at),
        line(&alert.source),
        alert.decision,
        line(&alert.reason),
        labels.join(" ")
    )
}

fn structured(detail: &IncidentDetail) -> Value {
    let mut all = json!(detail.incident);
    all["thread"] = json!(detail.thread);
    all["occurrences"] = json!(detail.occurrences.iter().take(MAX_OCCURRENCES).collect::<Vec<_>>());
    let recent: Vec<_> = detail.recent_investigations.iter().take(MAX_INVESTIGATIONS).collect();
    all["recent_investigations"] = json!(recent);
    inert_json(all)
}
