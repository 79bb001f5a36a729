//! `whodunit investigate` as a person runs it, over the recorded cluster: a whole namespace at once, a node,
//! what is healthy, and its exit codes.

use std::process::{Command, Output};

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use whodunit::demo::Recording;

use crate::house;

/// Runs the program against the stand-in of a recording and waits for its end.
async fn investigate(recording: &Recording, arguments: &[&str]) -> Output {
    let shutdown = CancellationToken::new();
    let (_, url) = house::serve_kubernetes(recording, &shutdown).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    command.arg("investigate").args(arguments);
    command
        .env("NO_COLOR", "1")
        .env("WHODUNIT_KUBERNETES__URL", url)
        .env("WHODUNIT_KUBERNETES__CLUSTER", "lab");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    shutdown.cancel();
    output
}

async fn report(arguments: &[&str]) -> (Option<i32>, Value) {
    let arguments = [arguments, &["--output", "json"]].concat();
    let output = investigate(Recording::embedded().unwrap(), &arguments).await;
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// `workloads: signature blames object` of each cause.
fn causes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let primaries = findings.iter().filter(|one| one["role"] == "primary");
    let mut lines: Vec<String> = primaries
        .map(|one| {
            let on: Vec<&str> =
                one["workloads"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let object = &one["object"];
            let blamed =
                [&object["kind"], &object["namespace"], &object["name"]].map(|part| part.as_str().unwrap());
            format!("{}: {} blames {}", on.join(" + "), one["signature"].as_str().unwrap(), blamed.join("/"))
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_triaged_into_exactly_its_failing_workloads() {
    let (code, report) = report(&["--namespace", "prod-api"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(causes(&report).join("\n"), @r#"
    Deployment prod-api/analytics-service: oom-container-limit blames Deployment/prod-api/analytics-service
    Deployment prod-api/api-gateway: exit-137-by-itself blames Deployment/prod-api/api-gateway
    Deployment prod-api/auth-service: dependency-refused blames Deployment/prod-api/auth-service
    Deployment prod-api/payment-service: image-registry-dns blames Deployment/prod-api/payment-service
    Deployment prod-api/user-service: secret-missing blames Secret/prod-api/db-credentials
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_causes_of_a_namespace_stay_apart_with_their_own_objects() {
    let (code, report) = report(&["--namespace", "shop"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(causes(&report).join("\n"), @r#"
    Deployment shop/catalog: readiness-failing blames Deployment/shop/catalog
    Deployment shop/checkout: command-not-found blames Deployment/shop/checkout
    Deployment shop/frontend: hpa-no-metrics blames HorizontalPodAutoscaler/shop/frontend
    Deployment shop/inventory: liveness-probe-kills blames Deployment/shop/inventory
    Deployment shop/recommendations: service-selects-nothing blames Service/shop/recommendations
    Deployment shop/search: configmap-missing blames ConfigMap/shop/search-config-v2
    Job shop/db-seed: missing-relation blames Job/shop/db-seed
    Pod shop/ml-trainer: unschedulable-cpu blames Pod/shop/ml-trainer
    StatefulSet shop/orders-db + PersistentVolumeClaim shop/orders-archive: storage-class-missing blames StorageClass//fast-ssd
    "#);
    for finding in report["findings"].as_array().unwrap() {
        assert!(!finding["evidence"].as_array().unwrap().is_empty(), "{finding}");
    }
    assert!(report["evidence"].as_array().unwrap().iter().all(|one| one["verified"] == true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_reads_as_one_block_a_cause() {
    let output = investigate(Recording::embedded().unwrap(), &["--namespace", "shop"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    for words in ["1. ", "Next: ", "kubectl -n shop"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(text.lines().count() < 120, "no two-minute reading: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_triaged_with_the_pods_on_it() {
    let (code, node) = report(&["--node", "node-1"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(causes(&node).join("\n"), @r#"
    Deployment prod-api/analytics-service: oom-container-limit blames Deployment/prod-api/analytics-service
    Deployment prod-api/api-gateway: exit-137-by-itself blames Deployment/prod-api/api-gateway
    Deployment prod-api/auth-service: dependency-refused blames Deployment/prod-api/auth-service
    Deployment prod-api/payment-service: image-registry-dns blames Deployment/prod-api/payment-service
    Deployment prod-api/user-service: secret-missing blames Secret/prod-api/db-credentials
    Deployment shop/catalog: readiness-failing blames Deployment/shop/catalog
    Deployment shop/checkout: command-not-found blames Deployment/shop/checkout
    Deployment shop/inventory: liveness-probe-kills blames Deployment/shop/inventory
    Deployment shop/search: configmap-missing blames ConfigMap/shop/search-config-v2
    Job shop/db-seed: missing-relation blames Job/shop/db-seed
    "#);
}

/// A webhook body with one firing alert, in a file that `--alert` reads.
fn alert(labels: &Value) -> tempfile::NamedTempFile {
    let body = serde_json::json!({"version": "4", "status": "firing", "receiver": "whodunit", "groupKey": "{}",
        "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": [{"status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-11-21T07:01:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "00000000000000aa"}]});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body.to_string()).unwrap();
    file
}

async fn about(labels: &Value) -> (Option<i32>, Value) {
    let file = alert(labels);
    report(&["--alert", file.path().to_str().unwrap()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_is_said_to_be_well_with_what_was_checked() {
    for workload in [
        "prod-api/Deployment/notification-service",
        "shop/DaemonSet/log-agent",
        "shop/CronJob/nightly-report",
        "shop/Job/nightly-report-29920743",
    ] {
        let (code, report) = report(&["--workload", workload]).await;
        assert_eq!(
            (code, report["outcome"].as_str()),
            (Some(0), Some("not_an_incident")),
            "{workload}: {report:#}"
        );
        assert_eq!(report["findings"], serde_json::json!([]), "{workload}");
        assert!(!report["ruled_out"].as_array().unwrap().is_empty(), "{workload}: {report:#}");
        let evidence = report["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty() && evidence.iter().all(|one| one["verified"] == true), "{workload}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_no_health_where_something_is_missing_or_the_alert_is_about_traffic() {
    for workload in ["shop/Deployment/nobody", "shop/Rollout/log-agent", "nowhere/Pod/x-0"] {
        let (code, report) = report(&["--workload", workload]).await;
        assert_eq!((code, report["outcome"].as_str()), (Some(3), Some("inconclusive")), "{workload}");
    }
    let labels = |name: &str| serde_json::json!({"alertname": name, "namespace": "prod-api", "deployment": "notification-service", "severity": "warning"});
    assert_eq!(about(&labels("HighErrorRate")).await.1["outcome"], "inconclusive");
    let (code, well) = about(&labels("KubeDeploymentReplicasMismatch")).await;
    assert_eq!((code, well["outcome"].as_str()), (Some(0), Some("not_an_incident")));
    assert!(well["summary"].as_str().unwrap().contains("may lag behind"), "{well}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_fires_by_design_is_no_incident() {
    for name in ["Watchdog", "InfoInhibitor"] {
        let (code, report) = about(&serde_json::json!({"alertname": name, "severity": "none"})).await;
        assert_eq!((code, report["outcome"].as_str()), (Some(0), Some("not_an_incident")), "{report}");
        assert_eq!(report["findings"], serde_json::json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_reads_so_for_people() {
    let workload = ["--workload", "prod-api/Deployment/notification-service"];
    let output = investigate(Recording::embedded().unwrap(), &workload).await;
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    assert!(text.starts_with("Nothing is broken: Deployment prod-api/notification-service"), "{text}");
    assert!(text.contains("What was checked and is well"), "{text}");
    let slack =
        investigate(Recording::embedded().unwrap(), &[&workload[..], &["--output", "slack"]].concat()).await;
    let slack = String::from_utf8(slack.stdout).unwrap();
    assert!(
        slack.contains("Nothing is broken") && slack.contains("*What was checked and is well*"),
        "{slack}"
    );
}
