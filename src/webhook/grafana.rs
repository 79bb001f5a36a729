//! Grafana's own alerting: Alertmanager's message with `version` "1" and more fields per alert. What helps
//! an investigator (the measured values, the links) moves to the annotations; names stay Grafana's.

use super::alertmanager::{self, Entry};
use super::rejection::Rejection;
use crate::alert::{Alert, Source};

pub(super) fn parse(text: &str) -> Result<Vec<Alert>, Rejection> {
    alertmanager::alerts(Source::Grafana, text, complete)
}

fn complete(mut entry: Entry) -> Entry {
    let annotations = &mut entry.annotations.0;
    for (name, value) in [
        ("valueString", &mut entry.value_string.0),
        ("dashboardURL", &mut entry.dashboard_url.0),
        ("panelURL", &mut entry.panel_url.0),
    ] {
        if !value.is_empty() {
            annotations.entry(name.to_owned()).or_insert(std::mem::take(value));
        }
    }
    // These two say that a rule could not be evaluated, and name the rule in another label.
    let labels = &entry.labels.0;
    let trouble = match labels.get("alertname").map(String::as_str) {
        Some("DatasourceError") => "could not be evaluated: its data source answered with an error",
        Some("DatasourceNoData") => "returned no data",
        _ => return entry,
    };
    if let Some(rule) = labels.get("rulename").filter(|rule| !rule.is_empty()) {
        annotations.entry("summary".to_owned()).or_insert_with(|| format!("The rule \"{rule}\" {trouble}."));
    }
    entry
}
