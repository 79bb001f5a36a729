//! Facts of the recorded cluster, over HTTP: the decisive row of each failing workload, quotes that stand
//! in their observations, and sources that fail.

use std::collections::BTreeMap;

mod changed;
mod measured;
mod placement;
mod reach;
mod shared;
mod startup;
mod surroundings;
mod synthetic;
mod volumes;

use super::*;
use crate::alert::{Severity, Source, Status};
use crate::report::Radius;
use crate::source::kubernetes::Scope;
use crate::source::kubernetes::tests::replay::{self, Fault};

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

pub(super) fn alert(starts_at: &str) -> Alert {
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
            let log = row["log_evidence"].as_str().filter(|evidence| !evidence.is_empty());
            if let (Some(evidence), Some(line)) = (log, row["log_line"].as_str()) {
                found.push((evidence.to_owned(), line.to_owned()));
            }
            let entry = row["evidence"].as_str().filter(|evidence| !evidence.is_empty());
            if let (Some(evidence), Some(_)) = (entry, row["what"].as_str()) {
                found.push((evidence.to_owned(), String::new()));
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
        // By the cluster's clock, which the recording stopped; ours says something else.
        assert_eq!(facts.observed_at.format("%FT%H:%M").to_string(), "2026-11-21T07:08");
        assert!(facts.timeline.is_sorted_by_key(|entry| entry.at));
        rows += quotes(&facts).len();
    }
    assert!(rows > 300, "{rows} rows");
}

#[tokio::test]
async fn crash_loops_show_how_they_ended_and_what_they_said() {
    let oom = facts("prod-api", "Deployment", "analytics-service").await;
    let row = &oom.containers[0];
    assert_eq!(
        (row.exit_code, row.exit_reason.as_str(), row.memory_limit.as_str()),
        (137, "OOMKilled", "32Mi")
    );
    assert!(row.failing && !row.killed_by_probe && row.log_class.is_empty());

    let exits = facts("prod-api", "Deployment", "api-gateway").await;
    assert_eq!(exits.containers.len(), 3);
    for row in &exits.containers {
        assert_eq!((row.exit_code, row.exit_reason.as_str(), row.ran_seconds), (137, "Error", 2));
        assert!(row.failing && !row.killed_by_probe && row.command.contains("exit 137"));
    }

    let init = facts("prod-api", "Deployment", "auth-service").await;
    let failing: Vec<_> = init.containers.iter().filter(|row| row.failing).collect();
    assert_eq!(failing.len(), 2);
    for row in failing {
        assert_eq!((row.name.as_str(), row.role.as_str(), row.exit_code), ("migrate-db", "init", 1));
        assert_eq!(row.log_class, "refused");
        assert_eq!(row.log_line, "ERROR: Connection refused - database unreachable");
    }
    assert!(
        init.dependencies.iter().all(|row| row.host.is_empty() && row.class == "refused" && row.port == -1)
    );
    assert!(!init.dependencies.is_empty());

    let probe = facts("shop", "Deployment", "inventory").await;
    let row = &probe.containers[0];
    assert!(row.failing && row.killed_by_probe);
    assert_eq!(row.liveness_failure, "cat: can't open '/tmp/healthy': No such file or directory");
    assert_eq!(row.liveness, "exec cat /tmp/healthy every 5s timeout 1s failure 2 delay 5s");
    assert_eq!(
        (row.log_class.as_str(), row.log_line.as_str()),
        ("error", "inventory: worker pool deadlocked")
    );
}

#[tokio::test]
async fn pods_that_never_start_show_what_is_missing() {
    let image = facts("prod-api", "Deployment", "payment-service").await;
    assert!(image.containers.iter().all(|row| row.failing && row.waiting_reason == "ImagePullBackOff"));
    assert!(image.containers[0].waiting_message.contains("lookup company-registry.io"));
    assert!(image.containers[0].quote.contains("no such host"));

    let secret = facts("prod-api", "Deployment", "user-service").await;
    let row = &secret.references[0];
    assert_eq!(
        (row.kind.as_str(), row.name.as_str(), row.exists.as_str()),
        ("Secret", "db-credentials", "no")
    );
    assert_eq!((row.key.as_str(), row.waiting_pods.len()), ("url", 2));
    assert!(row.quote.contains("secret \"db-credentials\" not found"));

    let config = facts("shop", "Deployment", "search").await;
    let row = &config.references[0];
    assert_eq!(
        (row.kind.as_str(), row.name.as_str(), row.exists.as_str()),
        ("ConfigMap", "search-config-v2", "no")
    );
    assert_eq!(
        (row.similar.as_slice(), row.used_by.as_str()),
        (&["search-config".to_owned()][..], "volume config")
    );

    let claim = facts("shop", "StatefulSet", "orders-db").await;
    let row = &claim.claims[0];
    assert_eq!(
        (row.phase.as_str(), row.storage_class.as_str(), row.class_exists.as_str()),
        ("Pending", "fast-ssd", "no")
    );
    assert_eq!(row.event_reason, "ProvisioningFailed");
    assert_eq!(claim.affected.shared_factor.as_deref(), Some("storage class fast-ssd is missing (2 claims)"));

    let pending = facts("shop", "Pod", "ml-trainer").await;
    assert_eq!(pending.pods[0].unscheduled_reason, "Unschedulable");
    assert_eq!(pending.pods[0].cpu_request_millis, 64_000);
    let node = &pending.nodes[0];
    assert_eq!((node.allocatable_cpu_millis, node.requested_cpu_millis), (2_000, 70));
    assert_eq!(pending.affected.radius, Radius::Pod);
}

#[tokio::test]
async fn rollouts_services_jobs_and_autoscalers_show_their_fault() {
    let checkout = facts("shop", "Deployment", "checkout").await;
    let row = &checkout.rollouts[0];
    assert_eq!((row.revision.as_str(), row.previous_revision.as_str(), row.old_ready), ("2", "1", 2));
    assert_eq!(
        (row.change_cause.as_str(), row.stuck_reason.as_str()),
        ("release 1.5.0", "ProgressDeadlineExceeded")
    );
    assert_eq!(row.changes[0].path, "containers[checkout].command");
    assert!(row.changes[0].from.starts_with("/bin/sh -c") && row.changes[0].to.starts_with("/bin/bash -c"));
    let failing: Vec<_> = checkout.containers.iter().filter(|row| row.failing).collect();
    assert_eq!(failing.len(), 1);
    assert_eq!(
        (failing[0].exit_reason.as_str(), failing[0].exit_code, failing[0].ran_seconds),
        ("StartError", 128, -1)
    );
    assert_eq!(checkout.affected.pods, crate::report::PodCount { unhealthy: 1, total: 3 });

    let catalog = facts("shop", "Deployment", "catalog").await;
    let row = &catalog.containers[0];
    assert_eq!(row.readiness_failure, "HTTP probe failed with statuscode: 503");
    assert_eq!((catalog.services[0].ready_endpoints, catalog.services[0].unready_endpoints), (0, 2));
    let row = &catalog.dependencies[0];
    assert_eq!((row.host.as_str(), row.port, row.service_exists.as_str()), ("redis-cart", 6379, "no"));
    // The refused connection of the first second is noise.
    assert!(catalog.events.iter().all(|row| !row.message.contains("connection refused")));

    for kind in ["Deployment", "Service"] {
        let row = facts("shop", kind, "recommendations").await.services.remove(0);
        assert!(row.meant_for_workload && !row.selects_workload, "{kind}");
        let words = "app: the Service wants \"recommendation\", the pods have \"recommendations\"";
        assert_eq!((row.selected_pods, row.mismatch.as_str()), (0, words));
    }

    let job = facts("shop", "Job", "db-seed").await;
    assert!(job.jobs[0].failed && job.jobs[0].failed_reason == "BackoffLimitExceeded" && job.jobs[0].newest);
    assert!(job.containers.iter().all(|row| row.exit_code == 3 && row.log_class == "missing-relation"));

    let hpa = facts("shop", "HorizontalPodAutoscaler", "frontend").await;
    assert_eq!(
        (hpa.hpas[0].scaling_active.as_str(), hpa.hpas[0].reason.as_str()),
        ("False", "FailedGetResourceMetric")
    );

    for (kind, name) in [("CronJob", "nightly-report"), ("DaemonSet", "log-agent")] {
        let healthy = facts("shop", kind, name).await;
        assert_eq!(healthy.affected.radius, Radius::None);
        assert!(
            healthy.pods.iter().all(|row| row.healthy) && healthy.containers.iter().all(|row| !row.failing)
        );
    }
}

#[tokio::test]
async fn nodes_namespaces_and_the_cluster_have_facts_too() {
    let node = facts_with(Vec::new(), Scope::Cluster, Workload::new("lab", "", "Node", "node-1")).await;
    assert_eq!(node.nodes[0].name, "node-1");
    assert!(node.pods.len() > 20 && node.affected.radius == Radius::Node);
    assert_quotes_stand(&node);

    let scope = Scope::Namespace("prod-api".to_owned());
    let namespace = facts_with(Vec::new(), scope, Workload::new("lab", "", "Namespace", "prod-api")).await;
    assert_eq!((namespace.pods.len(), namespace.rollouts.len()), (12, 6));
    assert_eq!(namespace.affected.radius, Radius::Namespace);
    assert_eq!(namespace.affected.workloads.len(), 5);
    assert_quotes_stand(&namespace);

    let cluster =
        facts_with(Vec::new(), Scope::Cluster, Workload::new("lab", "", "Cluster", "legacy-billing")).await;
    assert!(cluster.pods.is_empty() && cluster.nodes.len() == 1);
    assert!(cluster.observations.iter().any(|o| o.text.contains("[+]ping ok")));
    assert_quotes_stand(&cluster);
}

#[tokio::test]
async fn a_source_that_fails_is_a_gap_and_the_rest_works() {
    let workload = Workload::new("lab", "prod-api", "Deployment", "auth-service");
    let scope = || Scope::Workload { namespace: "prod-api".to_owned() };
    let faults = vec![
        ("/nodes", Fault::Status(403)),
        ("/events", Fault::Hang),
        ("/replicasets", Fault::Status(500)),
        ("/log?", Fault::Status(403)),
    ];
    let began = std::time::Instant::now();
    let facts = facts_with(faults, scope(), workload.clone()).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
    let gap =
        |what: &str| facts.gaps.iter().find(|gap| gap.what.starts_with(what)).map(|gap| gap.why.as_str());
    let starts = |what: &str, why: &str| gap(what).is_some_and(|told| told.starts_with(why));
    assert!(starts("nodes", "403 forbidden"), "{:?}", facts.gaps);
    assert_eq!(gap("events"), Some("no answer within 1 s"));
    assert!(starts("replicasets", "unavailable: HTTP 500"), "{:?}", facts.gaps);
    assert!(starts("log of container migrate-db", "403 forbidden"), "{:?}", facts.gaps);
    // Without ReplicaSets the pods are still found, by the hash that they carry.
    assert_eq!(facts.pods.len(), 2);
    assert!(facts.containers.iter().any(|row| row.failing && row.exit_code == 1));
    assert_quotes_stand(&facts);

    let search = Workload::new("lab", "shop", "Deployment", "search");
    let faults = vec![("/configmaps", Fault::Status(403))];
    let facts = facts_with(faults, Scope::Workload { namespace: "shop".to_owned() }, search).await;
    assert_eq!(facts.gaps.len(), 1);
    assert_eq!(facts.gaps[0].what, "ConfigMap search-config-v2");
    // The kubelet has said it, whatever we may read ourselves.
    assert_eq!(facts.references[0].exists, "no");

    let down = facts_with(vec![("/", Fault::Status(503))], scope(), workload.clone()).await;
    assert!(down.gaps.len() >= 7 && down.pods.is_empty());
    let outside = facts_with(Vec::new(), Scope::Namespace("shop".to_owned()), workload.clone()).await;
    assert!(outside.pods.is_empty() && outside.gaps.iter().any(|gap| gap.why.contains("outside the scope")));
    let none = gather(&Sources::default(), scope(), &workload, &[]).await;
    assert_eq!(none.gaps[0].why, "not configured");
}
