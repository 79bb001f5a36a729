//! `list_runbooks` and `get_runbook`: how to look at an alert as the team wrote it down, how often that helped, and
//! which alerts have nothing of their own.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::told::{self, count, day, inert_json, line};
use super::super::{Refused, Said};
use super::{Shape, plain};
use crate::api::{ApiState, Caller, DEFAULT_DAYS, RunbookItem, Runbooks, days, runbook_of, runbooks_of};

/// Alerts without a runbook of their own that are told.
const MAX_UNCOVERED: usize = 20;

pub fn list_schema() -> Shape {
    let properties = json!({
        "days": {"type": "integer", "minimum": 1, "maximum": 365, "description": "over how many days is counted; 30 where it is not given"},
    });
    let description = "The runbooks in force with what came of them among what this token sees, and the alerts that had \
                       no runbook of their own: what is worth writing next.";
    (description, &[], properties)
}

pub async fn list(api: &ApiState, caller: &Caller, given: Value) -> Said {
    let Value::Object(given) = given else { return Err(Refused("arguments are an object".to_owned())) };
    let runbooks = runbooks_of(api, caller, days(&plain(given)?)?).await?;
    let mut text = format!(
        "{}; counts are of the last {}.\n",
        count(runbooks.items.len() as i64, "runbook"),
        count(runbooks.days, "day")
    );
    for one in &runbooks.items {
        text.push_str(&entry(one));
    }
    text.push_str(&uncovered(&runbooks));
    text.push_str("\n[get_runbook tells one with its text]\n");
    Ok(told::answer(text, inert_json(json!(runbooks))))
}

fn entry(one: &RunbookItem) -> String {
    let usage = &one.usage;
    let owner = if one.owner.is_empty() { String::new() } else { format!(", of {}", line(&one.owner)) };
    let builtin = if one.builtin { ", built in" } else { "" };
    let mut came = match one.hit_rate {
        None => "not followed".to_owned(),
        Some(rate) => {
            let followed = count(usage.investigations, "investigation");
            format!("followed by {followed}, {:.0} % of them explained or well", rate * 100.0)
        }
    };
    if usage.helpful + usage.unhelpful > 0 {
        let _ = write!(came, ", called helpful {} and unhelpful {} times", usage.helpful, usage.unhelpful);
    }
    format!("- {}: scope {}{owner}{builtin}; {came}\n", line(&one.name), one.scope)
}

fn uncovered(runbooks: &Runbooks) -> String {
    let all = &runbooks.uncovered;
    if all.is_empty() {
        return "\nEvery alert that was investigated had a runbook of its own.\n".to_owned();
    }
    let mut text = "\nAlerts without a runbook of their own\n".to_owned();
    for one in all.iter().take(MAX_UNCOVERED) {
        let _ = writeln!(
            text,
            "- {}: {}, {} without a cause, last {}",
            line(&one.alert),
            count(one.investigations, "investigation"),
            one.unexplained,
            day(one.last_at)
        );
    }
    if let Some(rest) = all.len().checked_sub(MAX_UNCOVERED).filter(|rest| *rest > 0) {
        let _ = writeln!(text, "[left out: {rest} more alerts, less frequent ones]");
    }
    text
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct One {
    name: String,
}

pub fn one_schema() -> Shape {
    let properties = json!({"name": {"type": "string", "description": "as list_runbooks tells it"}});
    let description = "One runbook: its guidance, how far it allows to look, what it warns of, the causes that it knows \
                       by signature, and what came of it.";
    (description, &["name"], properties)
}

pub async fn one(api: &ApiState, caller: &Caller, asked: One) -> Said {
    let found = runbook_of(api, caller, asked.name.trim(), DEFAULT_DAYS).await;
    let detail = found
        .map_err(|problem| Refused(format!("{} list_runbooks tells which there are.", problem.detail())))?;
    let one = &detail.runbook;
    let mut text = format!(
        "Runbook {} ({}, revision {})\n{}",
        line(&one.name),
        line(&one.path),
        one.revision,
        entry(one)
    );
    let _ = writeln!(text, "It may ask: {}", detail.tools.join(", "));
    for caution in &detail.cautions {
        let _ = writeln!(text, "CAUTION: {}", line(caution));
    }
    if !one.signatures.is_empty() {
        let _ = writeln!(text, "Causes that it knows: {}", one.signatures.join(", "));
    }
    let _ = writeln!(text, "\n{}", detail.text.trim());
    Ok(told::answer(text, inert_json(json!(detail))))
}
