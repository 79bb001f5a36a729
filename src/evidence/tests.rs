//! Facts of the recorded cluster, over HTTP: the decisive row of each failing workload, quotes that stand
//! in their observations, and sources that fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::*;
use crate::alert::{Severity, Source, Status};
use crate::report::{Affected, Radius};
use crate::source::kubernetes::Scope;
use crate::source::kubernetes::replay::{self, Fault};

const WORKLOADS: [(&str, &str, &str); 21] = [
    ("prod-api", "Deployment", "analytics-service"),
    ("prod-api", "Deployment", "api-gateway"),
    ("prod-api", "Deployment", "auth-service"),
    ("prod-api", "Deployment", "notification-service"),
    ("prod-api", "Deployment", "payment-service"),
    ("prod-api", "Deployment", "user-service"),
    ("shop", "Deployment", "catalog"),
    ("shop", "Deployment", "checkout"),
    ("shop", "Deployment", "frontend"),
    ("shop", "Deployment", "inventory"),
    ("shop", "Deployment", "recommendations"),
    ("shop", "Deployment", "search"),
    ("shop", "StatefulSet", "orders-db"),
    ("shop", "DaemonSet", "log-agent"),
    ("shop", "Job", "db-seed"),
    ("shop", "CronJob", "nightly-report"),
    ("shop", "Pod", "ml-trainer"),
    ("shop", "PersistentVolumeClaim", "orders-archive"),
    ("shop", "Service", "recommendations"),
    ("shop", "HorizontalPodAutoscaler", "frontend"),
    ("shop", "ReplicaSet", "checkout-66f478c98f"),
];

fn alert(starts_at: &str) -> Alert {
    Alert {
        source: Source::Alertmanager,
        status: Status::Firing,
        fingerprint: "0".repeat(16),
        starts_at: starts_at.parse().unwrap(),
        ends_at: None,
        severity: Severity::Warning,
        labels: BTreeMap::from([("alertname".to_owned(), "KubePodCrashLooping".to_owned())]),
        annotations: BTreeMap::new(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    }
}

async fn facts_with(faults: Vec<(&'static str, Fault)>, scope: Scope, workload: Workload) -> Facts {
    let sources =
        Sources { kubernetes: Some(replay::client(faults).await), log_tail_lines: 200, ..Sources::default() };
    gather(&sources, scope, &workload, &[alert("2026-11-21T07:01:00Z")]).await
}

async fn facts(namespace: &str, kind: &str, name: &str) -> Facts {
    let scope = Scope::Workload { namespace: namespace.to_owned() };
    facts_with(Vec::new(), scope, Workload::new("lab", namespace, kind, name)).await
}

/// Every row's evidence and quote, whatever its type.
fn quotes(facts: &Facts) -> Vec<(String, String)> {
    let rows = serde_json::to_value(facts).unwrap();
    let mut found = Vec::new();
    for (_, list) in rows.as_object().unwrap() {
        for row in list.as_array().into_iter().flatten() {
            if let (Some(evidence), Some(quote)) = (row["evidence"].as_str(), row["quote"].as_str()) {
                found.push((evidence.to_owned(), quote.to_owned()));
            }
            if let (Some(evidence), Some(line)) = (row["log_evidence"].as_str(), row["log_line"].as_str()) {
                if !evidence.is_empty() {
                    found.push((evidence.to_owned(), line.to_owned()));
                }
            }
            if let (Some(evidence), Some(_)) = (row["evidence"].as_str(), row["what"].as_str()) {
                if !evidence.is_empty() {
                    found.push((evidence.to_owned(), String::new()));
                }
            }
        }
    }
    found
}

fn assert_quotes_stand(facts: &Facts) {
    let found = quotes(facts);
    for (evidence, quote) in &found {
        let observation = facts.observations.iter().find(|o| o.id == *evidence);
        let observation = observation.unwrap_or_else(|| panic!("{}: no {evidence}", facts.workload));
        assert!(observation.text.contains(quote), "{}: {evidence} has no {quote}", facts.workload);
    }
    for (index, observation) in facts.observations.iter().enumerate() {
        assert_eq!(observation.id, format!("E{}", index + 1));
        assert!(!observation.text.is_empty() && observation.query.starts_with("GET /"));
    }
}

#[tokio::test]
async fn every_quote_of_the_recording_stands_in_its_observation() {
    let mut rows = 0;
    for (namespace, kind, name) in WORKLOADS {
        let facts = facts(namespace, kind, name).await;
        assert_quotes_stand(&facts);
        assert_eq!(facts.gaps, [], "{kind} {name}");
        assert_eq!(facts.observed_at.to_rfc3339(), "2026-11-21T07:08:05+00:00");
        assert!(facts.timeline.is_sorted_by_key(|entry| entry.at));
        rows += quotes(&facts).len();
    }
    assert!(rows > 300, "{rows} rows");
}

#[tokio::test]
#[ignore = "prints what an engineer would read"]
async fn show() {
    for (namespace, kind, name) in WORKLOADS {
        let facts = facts(namespace, kind, name).await;
        println!("\n##### {kind} {namespace}/{name}  {:?}", facts.affected);
        for observation in &facts.observations {
            println!(
                "{} {} {}\n{}",
                observation.id, observation.query, observation.milliseconds, observation.text
            );
        }
        for entry in &facts.timeline {
            println!("T {} {} [{}]", entry.at, entry.what, entry.evidence);
        }
        for row in &facts.references {
            println!("R {row:?}");
        }
        for row in &facts.dependencies {
            println!("D {row:?}");
        }
    }
}
