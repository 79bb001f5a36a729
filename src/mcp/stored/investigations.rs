//! `search_investigations` and `get_investigation`: what was found before, and one report with what proves it.

use std::fmt::Write;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::told::{self, count, day, inert_json, line, next_page};
use super::super::{Refused, Said};
use super::{Shape, filters, id, pairs};
use crate::api::{
    ApiState, Caller, Investigation, InvestigationDetail, Observation, investigation_of, investigations_of,
};
use crate::report::Report;
use crate::slack::text;
use crate::workload::Workload;

/// Observations told in one answer, and most bytes of each.
const MAX_OBSERVATIONS: usize = 4;
const MAX_OBSERVATION_BYTES: usize = 10 * 1024;
/// Requests listed in one answer.
const MAX_STEPS: usize = 100;
/// Words of people that are told, the newest.
const MAX_FEEDBACK: usize = 5;

pub fn search_schema() -> Shape {
    let properties = filters(json!({
        "q": {"type": "string", "description": "words in workload, alert, cause and summary: \"a phrase\", -without, this or that"},
        "cause": {"type": "string", "description": "id of a cause, e.g. secret-missing"},
        "outcome": {"type": "string", "enum": ["known_pattern", "root_cause", "inconclusive", "not_an_incident"],
            "description": "known_pattern: a signature named the cause; root_cause: a model proved it"},
        "state": {"type": "string", "enum": ["queued", "running", "done", "dead", "cancelled"]},
        "id": {"type": "string", "description": "the first digits of an id"},
    }));
    let description = "Finds investigations of alerts, newest first: what broke, the cause that was found, when. Ask this \
                       before you look yourself: the same trouble may have been explained. For a part of a workload's \
                       name use q.";
    (description, &[], properties)
}

pub async fn search(api: &ApiState, caller: &Caller, given: Value) -> Said {
    let list = investigations_of(api, caller, &pairs(given, Utc::now())?).await?;
    let mut text = match list.items.len() {
        0 => "No investigation fits that this token sees. Fewer filters find more; q looks for words.\n"
            .to_owned(),
        number => format!("{}, newest first.\n", count(number as i64, "investigation")),
    };
    for one in &list.items {
        text.push_str(&entry(one));
    }
    text.push_str(&next_page(list.next.as_deref(), "get_investigation tells one with its report"));
    let items: Vec<Value> = list.items.iter().map(|one| inert_json(json!(one))).collect();
    Ok(told::answer(text, json!({"items": items, "next": list.next})))
}

/// One investigation in two lines.
pub fn entry(one: &Investigation) -> String {
    let result = match (&one.outcome, &one.cause_id) {
        (Some(outcome), Some(cause)) => format!("{outcome} {cause}"),
        (Some(outcome), None) => outcome.clone(),
        (None, _) => one.state.clone(),
    };
    let mut text =
        format!("- {} · {} · {} · {}\n", one.id, day(one.created_at), line(&one.workload), line(&result));
    if let Some(summary) = one.summary.as_deref().or(one.error.as_deref()) {
        let _ = writeln!(text, "  {}", line(summary));
    }
    text
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct One {
    id: String,
    #[serde(default)]
    steps: bool,
    #[serde(default)]
    evidence: Vec<String>,
}

pub fn one_schema() -> Shape {
    let properties = json!({
        "id": {"type": "string", "description": "its id, or as many of the first digits as make it the only one"},
        "steps": {"type": "boolean", "description": "true lists every request to a source: what was looked at, and what was not"},
        "evidence": {"type": "array", "items": {"type": "string"}, "description": "ids such as E3: what was read there, redacted; at most 4"},
    });
    let description = "One investigation: the report (cause, quotes that prove it, timeline, what was ruled out, next \
                       steps, gaps), what people said of it, and on request its steps and the text behind its evidence.";
    (description, &["id"], properties)
}

pub async fn one(api: &ApiState, caller: &Caller, asked: One) -> Said {
    if asked.evidence.len() > MAX_OBSERVATIONS {
        return Err(Refused(format!(
            "evidence: at most {MAX_OBSERVATIONS} at once; ask again for the others"
        )));
    }
    let id = whole_id(api, caller, &asked.id).await?;
    let detail = investigation_of(api, caller, id).await?;
    let wanted = wanted(&detail.observations, &asked.evidence)?;
    let mut text = head(&detail);
    text.push_str(&report(&detail));
    text.push_str(&said_of_it(&detail));
    if asked.steps {
        text.push_str(&steps(&detail.observations));
    }
    for one in &wanted {
        let read = told::cut(&one.observation, MAX_OBSERVATION_BYTES);
        let _ = writeln!(text, "\n## {} from {}: {}\n{read}", one.evidence, one.source, line(&one.query));
    }
    text.push_str(&more(&detail, &asked));
    Ok(told::answer(text, structured(&detail, &asked, &wanted)))
}

async fn whole_id(api: &ApiState, caller: &Caller, text: &str) -> Result<uuid::Uuid, Refused> {
    if let Ok(id) = id(text) {
        return Ok(id);
    }
    let query = [("id", text.trim()), ("limit", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let found = investigations_of(api, caller, &query.into()).await?;
    match found.items.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Refused("no investigation's id begins so; search_investigations lists them".to_owned())),
        several => {
            let ids: Vec<String> = several.iter().map(|one| one.id.to_string()).collect();
            Err(Refused(format!("several ids begin so: {}", ids.join(", "))))
        }
    }
}

fn wanted<'d>(observations: &'d [Observation], asked: &[String]) -> Result<Vec<&'d Observation>, Refused> {
    let mut wanted = Vec::new();
    for id in asked {
        let found = observations.iter().find(|one| one.evidence.eq_ignore_ascii_case(id.trim()));
        wanted.push(found.ok_or_else(|| {
            let known: Vec<&str> = observations.iter().map(|one| one.evidence.as_str()).collect();
            let known = if known.is_empty() { "none is kept any more".to_owned() } else { known.join(", ") };
            Refused(format!("evidence {:?} is none of this investigation; there is {known}", line(id)))
        })?);
    }
    Ok(wanted)
}

fn head(detail: &InvestigationDetail) -> String {
    let one = &detail.investigation;
    let mut text = format!(
        "Investigation {} of incident {}\nWorkload {}, alert {}, queued {} ({})\n",
        one.id,
        one.incident_id,
        line(&one.workload),
        line(&one.alert_name),
        day(one.created_at),
        line(&one.reason)
    );
    if let Some(thread) = &detail.thread {
        let _ = writeln!(text, "Announced in {} ({})", line(&thread.channel), thread.state);
    }
    text.push('\n');
    text
}

fn report(detail: &InvestigationDetail) -> String {
    let one = &detail.investigation;
    let workload = one.workload.parse().unwrap_or_else(|_| Workload::new("", "", "", one.workload.as_str()));
    match detail.report.clone().map(serde_json::from_value::<Report>) {
        Some(Ok(report)) => text::report(&workload, &report),
        Some(Err(_)) => {
            "Its report is of a shape that is not known here; the structured content has it.\n".to_owned()
        }
        None => {
            let why = one.error.as_deref().map(|error| format!(": {}", line(error))).unwrap_or_default();
            format!("There is no report: it is {}{why}.\n", one.state)
        }
    }
}

fn said_of_it(detail: &InvestigationDetail) -> String {
    let mut text = String::new();
    for said in detail.feedback.iter().take(MAX_FEEDBACK) {
        let reason = if said.reason.is_empty() { String::new() } else { format!(": {}", line(&said.reason)) };
        let _ = writeln!(text, "{} called it {}{reason}", line(&said.author), said.verdict);
    }
    if text.is_empty() { text } else { format!("\nWhat people said\n{text}") }
}

fn steps(observations: &[Observation]) -> String {
    let mut text = format!("\nSteps ({})\n", observations.len());
    for one in observations.iter().take(MAX_STEPS) {
        let _ = writeln!(
            text,
            "- {} {} ({} ms, {} bytes): {}",
            one.evidence,
            one.source,
            one.milliseconds,
            one.observation.len(),
            line(&one.query)
        );
    }
    if let Some(rest) = observations.len().checked_sub(MAX_STEPS).filter(|rest| *rest > 0) {
        let _ = writeln!(text, "[left out: {rest} more steps]");
    }
    text
}

/// What this answer left out, and how to have it.
fn more(detail: &InvestigationDetail, asked: &One) -> String {
    let ids: Vec<&str> = detail.observations.iter().map(|one| one.evidence.as_str()).collect();
    match (ids.first(), ids.last()) {
        (Some(first), Some(last)) if asked.evidence.is_empty() => {
            let steps = if asked.steps { "" } else { "; steps: true lists the requests" };
            format!(
                "\n[left out: what was read, {first} to {last}; evidence: [\"{first}\"] tells it{steps}]\n"
            )
        }
        (None, _) if detail.report.is_some() => {
            "\n[what was read is not kept any more (retention.evidence_days)]\n".to_owned()
        }
        _ => String::new(),
    }
}

fn structured(detail: &InvestigationDetail, asked: &One, wanted: &[&Observation]) -> Value {
    let mut all = json!(detail.investigation);
    all["report"] = json!(detail.report);
    all["thread"] = json!(detail.thread);
    all["feedback"] = json!(detail.feedback.iter().take(MAX_FEEDBACK).collect::<Vec<_>>());
    all["evidence_ids"] = detail.observations.iter().map(|one| Value::from(one.evidence.as_str())).collect();
    if asked.steps {
        let step = |one: &Observation| {
            json!({"evidence": one.evidence, "source": one.source, "query": one.query,
                   "milliseconds": one.milliseconds, "bytes": one.observation.len()})
        };
        all["steps"] = detail.observations.iter().take(MAX_STEPS).map(step).collect();
    }
    if !wanted.is_empty() {
        let read = |one: &&Observation| {
            json!({"evidence": one.evidence, "source": one.source, "query": one.query,
                   "observation": told::cut(&one.observation, MAX_OBSERVATION_BYTES)})
        };
        all["observations"] = wanted.iter().map(read).collect();
    }
    inert_json(all)
}
