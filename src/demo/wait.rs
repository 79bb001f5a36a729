//! Waiting for the service, within deadlines and with progress on stderr: for the end of every
//! investigation, then for every summary to reach Slack. It only looks; nothing is changed.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::service::{Investigation, Service};
use super::slack::{Message, SlackStandIn};

/// Between two looks at the service.
const POLL: Duration = Duration::from_millis(250);

/// Characters of a summary by which it is recognised in Slack.
const RECOGNISED_CHARS: usize = 40;

/// How the investigations ended.
pub(super) struct Seen {
    pub(super) investigations: Vec<Investigation>,
    pub(super) incidents: usize,
    /// Investigations that are not final, and open incidents without any.
    pub(super) unfinished: usize,
}

/// Until every open incident has an investigation and each of them ended, or the time is over.
pub(super) async fn wait_for_ends(
    service: &Service,
    running: &JoinHandle<Result<()>>,
    within: Duration,
) -> Result<Seen> {
    let deadline = Instant::now() + within;
    let mut shown = String::new();
    loop {
        ensure!(!running.is_finished(), "the service stopped by itself");
        // In this order: an incident is never seen without the investigation committed with it.
        let incidents = service.incidents().await?;
        let investigations = service.investigations().await?;
        let covered: BTreeSet<&str> = investigations.iter().map(|one| one.incident_id.as_str()).collect();
        let is_waiting = |id: &str, state: &str| state != "resolved" && !covered.contains(id);
        let uncovered: Vec<&str> = incidents
            .iter()
            .filter(|one| is_waiting(&one.id, &one.state))
            .map(|one| one.workload.as_str())
            .collect();
        let ended = investigations.iter().filter(|one| one.is_final()).count();
        let progress =
            format!("investigated {ended}/{} of {} incidents", investigations.len(), incidents.len());
        if progress != shown {
            eprintln!("{progress}");
            shown = progress;
        }
        let unfinished = investigations.len() - ended + uncovered.len();
        if incidents.is_empty() {
            bail!("the service accepted the alerts and opened no incident");
        }
        if unfinished == 0 || Instant::now() >= deadline {
            for one in investigations.iter().filter(|one| !one.is_final()) {
                let alert = one.alert_name.as_deref().unwrap_or_default();
                eprintln!("still {}: {} ({alert})", one.state, one.workload);
            }
            uncovered.iter().for_each(|workload| eprintln!("no investigation: {workload}"));
            return Ok(Seen { incidents: incidents.len(), investigations, unfinished });
        }
        sleep(POLL).await;
    }
}

/// Until every report was said in Slack. Returns how many are missing when the time is over.
pub(super) async fn wait_for_summaries(
    slack: &SlackStandIn,
    done: &[&Investigation],
    within: Duration,
) -> usize {
    let deadline = Instant::now() + within;
    let mut shown = usize::MAX;
    loop {
        let said: Vec<String> = slack.messages().iter().map(said).collect();
        let missing = missing(done, &said);
        if missing.len() != shown {
            eprintln!("announced {}/{}", done.len() - missing.len(), done.len());
            shown = missing.len();
        }
        if missing.is_empty() || Instant::now() >= deadline {
            missing.iter().for_each(|one| eprintln!("not in Slack: {} ({})", one.workload, one.id));
            return missing.len();
        }
        sleep(POLL).await;
    }
}

/// Everything a message says, in a form that comparing does not trip over.
fn said(message: &Message) -> String {
    let mut all = message.text.clone();
    for part in [&message.blocks, &message.attachments, &message.metadata] {
        strings(part, &mut all);
    }
    comparable(&all)
}

fn strings(value: &serde_json::Value, all: &mut String) {
    match value {
        serde_json::Value::String(text) => {
            all.push(' ');
            all.push_str(text);
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, all)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| strings(value, all)),
        _ => {}
    }
}

/// Without mark-up, escapes and spacing, in which Slack's text may differ from the report's.
fn comparable(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    text.chars().filter(|c| !c.is_whitespace() && !"*_`~".contains(*c)).collect()
}

/// Investigations that no message names. Where messages name none at all, their summaries are looked for.
fn missing<'a>(done: &[&'a Investigation], said: &[String]) -> Vec<&'a Investigation> {
    let says = |text: &str| !text.is_empty() && said.iter().any(|message| message.contains(text));
    let is_named = |one: &Investigation| says(&comparable(&one.id));
    let are_named = done.iter().any(|one| is_named(one));
    let is_said = |one: &Investigation| {
        let summary = comparable(one.summary.as_deref().unwrap_or_default());
        says(&summary.chars().take(RECOGNISED_CHARS).collect::<String>())
    };
    done.iter().copied().filter(|one| !if are_named { is_named(one) } else { is_said(one) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(id: &str, summary: &str) -> Investigation {
        let fields = serde_json::json!({"id": id, "incident_id": "i", "workload": "w", "state": "done", "summary": summary});
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn an_investigation_is_announced_by_its_id_or_else_by_its_summary() {
        let (first, second) = (
            done("v-1", "The command wge is missing & more"),
            done("v-2", "The command wge is missing & more"),
        );
        let both = [&first, &second];
        let ids = |said: &[&str]| -> Vec<String> {
            let said: Vec<String> = said.iter().map(|text| comparable(text)).collect();
            missing(&both, &said).iter().map(|one| one.id.clone()).collect()
        };
        assert_eq!(ids(&[]), ["v-1", "v-2"]);
        assert_eq!(ids(&["something else"]), ["v-1", "v-2"]);
        assert_eq!(ids(&["*The command* `wge`\nis missing &amp; more"]), Vec::<String>::new());
        // Once ids are given, the same words about the same workload do not count twice.
        assert_eq!(ids(&["The command wge is missing & more <http://x/investigations/v-1|report>"]), ["v-2"]);
        assert_eq!(ids(&["v-1", "v-2"]), Vec::<String>::new());
    }
}
