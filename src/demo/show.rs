//! What the demo prints on stdout: a summary and one line a workload, or one JSON array. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::report::Report;

/// An investigation that ended with a report.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub(super) id: String,
    pub(super) workload: String,
    pub(super) seconds: f64,
    pub(super) report: Report,
    /// The same as the API gave it.
    pub(super) raw: Value,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    pub(super) recorded_webhooks: usize,
    pub(super) hand_made_webhooks: usize,
    pub(super) alerts: usize,
    pub(super) incidents: usize,
    pub(super) investigations: usize,
    /// Final states other than `done`, and those not final in time.
    pub(super) without_report: BTreeMap<String, usize>,
}

/// The last finished investigation of each workload, by workload.
pub(super) fn latest(finished: &[Finished]) -> Vec<&Finished> {
    let mut latest: BTreeMap<&str, &Finished> = BTreeMap::new();
    for one in finished {
        let known = latest.entry(&one.workload).or_insert(one);
        // Ids are UUIDv7: their order is the order of creation.
        if one.id > known.id {
            *known = one;
        }
    }
    latest.into_values().collect()
}

/// `[{"workload": …, "report": …}]`, by workload.
pub(super) fn json(finished: &[Finished]) -> String {
    let rows = latest(finished).into_iter().map(|one| json!({"workload": one.workload, "report": one.raw}));
    format!("{:#}\n", Value::Array(rows.collect()))
}

pub(super) fn totals(totals: &Totals, finished: &[Finished]) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| out.push_str(&format!("{name:<18} {value}\n"));
    let Totals { recorded_webhooks, hand_made_webhooks, alerts, .. } = totals;
    row(
        "Alerts in",
        format!("{alerts}  ({recorded_webhooks} recorded webhooks, {hand_made_webhooks} hand-made)"),
    );
    row("Incidents", totals.incidents.to_string());
    row("Investigations", totals.investigations.to_string());
    let mut by_outcome: BTreeMap<&str, usize> = BTreeMap::new();
    for one in finished {
        *by_outcome.entry(one.report.outcome.as_str()).or_default() += 1;
    }
    by_outcome.extend(totals.without_report.iter().map(|(state, count)| (state.as_str(), *count)));
    for (outcome, count) in by_outcome {
        row(&format!("  {outcome}"), count.to_string());
    }
    let mut seconds: Vec<f64> = finished.iter().map(|one| one.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    if let (Some(p50), Some(max)) = (seconds.get(seconds.len().div_ceil(2).saturating_sub(1)), seconds.last())
    {
        row("Seconds", format!("p50 {p50:.2}, max {max:.2}"));
    }
    let costs = || finished.iter().map(|one| one.report.cost);
    let tokens: u64 = costs().map(|cost| cost.input_tokens + cost.output_tokens).sum();
    let usd: f64 = costs().map(|cost| cost.usd).sum();
    row("Tokens", tokens.to_string());
    row("Dollars", format!("{usd:.4}"));
    out
}

/// Workload, outcome, cause and the object at fault, in columns.
pub(super) fn workloads(finished: &[Finished]) -> String {
    let rows: Vec<[String; 4]> = latest(finished)
        .into_iter()
        .map(|one| {
            let cause = one.report.cause.as_ref();
            [
                one.workload.clone(),
                one.report.outcome.as_str().to_owned(),
                cause.map_or_else(|| "-".to_owned(), |cause| cause.id.clone()),
                cause.map_or_else(|| "-".to_owned(), |cause| cause.object.short()),
            ]
        })
        .collect();
    let head = ["WORKLOAD", "OUTCOME", "CAUSE", "OBJECT"].map(str::to_owned);
    let rows: Vec<&[String; 4]> = std::iter::once(&head).chain(&rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    rows.iter()
        .map(|[workload, outcome, cause, object]| {
            format!("{workload:<first$}  {outcome:<second$}  {cause:<third$}  {object}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(id: &str, workload: &str, outcome: &str, seconds: f64) -> Finished {
        let cause = json!({"id": "secret-missing", "category": "configuration", "statement": "…",
            "object": {"cluster": "lab", "kind": "Secret", "namespace": "prod-api", "name": "db-credentials"}});
        let raw = json!({
            "outcome": outcome, "summary": id, "confidence": "high",
            "cause": if outcome == "known_pattern" { cause } else { Value::Null },
            "affected": {"radius": "workload", "workloads": [], "pods": {"unhealthy": 2, "total": 2}, "shared_factor": null},
            "findings": [], "timeline": [], "evidence": [], "ruled_out": [], "next_steps": [],
            "runbook": {"name": "", "revision": "", "coverage": "none"},
            "cost": {"steps": 0, "input_tokens": 100, "cached_tokens": 0, "output_tokens": 11, "usd": 0.015, "seconds": seconds},
        });
        let report = serde_json::from_value(raw.clone()).unwrap();
        Finished { id: id.to_owned(), workload: workload.to_owned(), seconds, report, raw }
    }

    fn some() -> Vec<Finished> {
        vec![
            finished("3", "lab/shop/Deployment/search", "inconclusive", 2.5),
            finished("1", "lab/prod-api/Deployment/user-service", "inconclusive", 0.25),
            finished("2", "lab/prod-api/Deployment/user-service", "known_pattern", 0.5),
        ]
    }

    #[test]
    fn each_workload_is_shown_once_with_its_last_report() {
        insta::assert_snapshot!(workloads(&some()), @r"
        WORKLOAD                              OUTCOME        CAUSE           OBJECT
        lab/prod-api/Deployment/user-service  known_pattern  secret-missing  Secret prod-api/db-credentials
        lab/shop/Deployment/search            inconclusive   -               -
        ");
        let rows: Value = serde_json::from_str(&json(&some())).unwrap();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["workload"], "lab/prod-api/Deployment/user-service");
        assert_eq!(rows[0]["report"]["summary"], "2");
    }

    #[test]
    fn the_totals_count_every_investigation() {
        let counted = Totals {
            recorded_webhooks: 21,
            hand_made_webhooks: 8,
            alerts: 71,
            incidents: 2,
            investigations: 4,
            without_report: BTreeMap::from([("dead".to_owned(), 1)]),
        };
        insta::assert_snapshot!(totals(&counted, &some()), @r"
        Alerts in          71  (21 recorded webhooks, 8 hand-made)
        Incidents          2
        Investigations     4
          dead             1
          inconclusive     2
          known_pattern    1
        Seconds            p50 0.50, max 2.50
        Tokens             333
        Dollars            0.0450
        ");
        assert!(!totals(&Totals::default(), &[]).contains("p50"));
    }
}
