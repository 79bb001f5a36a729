//! Robusta's findings in both shapes, whole and cut by its size limit.

use super::*;
use crate::alert::{Severity, Status, Subject};

#[test]
fn a_flat_finding_names_its_subject_and_keeps_the_alerts_labels() {
    insta::assert_json_snapshot!(one(Source::Robusta, &fixture("robusta/handmade-flat-firing.json")), @r#"
    {
      "source": "robusta",
      "status": "firing",
      "fingerprint": "9c2f5d7a1b3e4f60",
      "starts_at": "2026-04-30T08:15:00.123456Z",
      "ends_at": null,
      "severity": "warning",
      "labels": {
        "alertname": "KubePodCrashLooping",
        "app": "checkout",
        "cluster": "prod-eu",
        "container": "app",
        "namespace": "shop",
        "node": "ip-10-0-3-17",
        "pod": "checkout-7d9c5b6f7c-2xk4p",
        "severity": "warning"
      },
      "annotations": {
        "description": "Pod shop/checkout-7d9c5b6f7c-2xk4p (app) is in waiting state (reason: CrashLoopBackOff).",
        "runbook_url": "https://runbooks.example.com/KubePodCrashLooping",
        "summary": "Pod is crash looping."
      },
      "generator_url": "http://prometheus.example.com/graph?g0.expr=up",
      "receiver": "",
      "group_key": "5b3e2fb1-cb83-45ea-82ec-318c94718e44",
      "subject": {
        "kind": "pod",
        "namespace": "shop",
        "name": "checkout-7d9c5b6f7c-2xk4p",
        "node": "ip-10-0-3-17"
      },
      "truncated_alerts": 0
    }
    "#);
}

#[test]
fn a_resolved_finding_cut_before_its_subject_falls_back_to_the_service() {
    let alert = one(Source::Robusta, &fixture("robusta/handmade-flat-resolved-truncated.json"));
    assert_eq!((alert.status, alert.severity), (Status::Resolved, Severity::Critical));
    assert_eq!(alert.ends_at, Some(at("2026-04-30T10:45:00Z")));
    let expected = Subject {
        kind: "deployment".into(),
        namespace: "shop".into(),
        name: "cart".into(),
        node: String::new(),
    };
    assert_eq!(alert.subject, Some(expected));
    let labels: Vec<(&str, &str)> = alert.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        labels,
        [
            ("alertname", "KubeDeploymentReplicasMismatch"),
            ("cluster", "prod-eu"),
            ("deployment", "cart"),
            ("namespace", "shop")
        ]
    );
    assert!(alert.annotations["summary"].starts_with("Deployment has"));
}

#[test]
fn a_finding_dumped_as_a_python_object_is_read_like_a_flat_one() {
    insta::assert_json_snapshot!(one(Source::Robusta, &fixture("robusta/handmade-dict-firing.json")), @r#"
    {
      "source": "robusta",
      "status": "firing",
      "fingerprint": "d2a84f4b8b650937ec8f73cd8be2c74add5a911ba64df27458ed8229da804a26",
      "starts_at": "2026-04-30T10:15:00.500Z",
      "ends_at": null,
      "severity": "critical",
      "labels": {
        "alertname": "CrashLoopBackoff",
        "app": "search",
        "namespace": "shop",
        "node": "node-2",
        "pod": "search-0"
      },
      "annotations": {
        "summary": "Crashing pod search-0 in namespace shop"
      },
      "generator_url": "",
      "receiver": "",
      "group_key": "7c3e2fb1-cb83-45ea-82ec-318c94718e44",
      "subject": {
        "kind": "pod",
        "namespace": "shop",
        "name": "search-0",
        "node": "node-2"
      },
      "truncated_alerts": 0
    }
    "#);
}

#[test]
fn a_finding_of_three_keys_is_still_an_alert() {
    let alert = one(Source::Robusta, &fixture("robusta/handmade-dict-truncated-after-third-key.json"));
    assert_eq!(alert.name(), "Crashing pod search-0 in namespace shop");
    assert_eq!((alert.starts_at, alert.severity), (now(), Severity::Warning));
    assert_eq!(alert.fingerprint, fingerprint::of_labels(&alert.labels));
}

#[test]
fn findings_that_are_no_issues_are_acknowledged_and_dropped() {
    let body = fixture("robusta/handmade-configuration-change.json");
    assert_eq!(parse(Source::Robusta, &body, now()), Ok(Vec::new()));
}

#[test]
fn a_flat_finding_cut_after_any_key_is_still_one_alert() {
    let text = String::from_utf8(fixture("robusta/handmade-flat-firing.json")).unwrap();
    let keys = [
        "description",
        "cluster_name",
        "severity",
        "finding_type",
        "aggregation_key",
        "fingerprint",
        "starts_at",
        "service",
        "service_key",
        "subject",
        "links",
        "enrichments",
    ];
    for key in keys {
        let cut = text.find(&format!(",\"{key}\":")).unwrap();
        let alert = one(Source::Robusta, format!("{}}}", &text[..cut]).as_bytes());
        assert!(alert.is_firing(), "{key}");
        assert_eq!(alert.annotations["summary"], "Pod is crash looping.");
    }
}

#[test]
fn the_service_key_is_the_last_resort_for_a_subject() {
    let body = json!({"title": "t", "finding_type": "ISSUE", "subject": {"name": null, "kind": null},
        "service": null, "service_key": "shop/StatefulSet/db"});
    let alert = one(Source::Robusta, body.to_string().as_bytes());
    assert_eq!(alert.labels["statefulset"], "db");
    assert_eq!(alert.subject.unwrap().kind, "statefulset");
    let job = json!({"title": "t", "subject": {"name": "backup-1", "kind": "job", "namespace": "shop"}});
    let alert = one(Source::Robusta, job.to_string().as_bytes());
    assert_eq!((alert.label("job_name"), alert.label("job")), (Some("backup-1"), None));
}

#[test]
fn a_text_message_of_robusta_is_refused_with_the_way_out() {
    for body in ["Pod is crash looping.\nSource: prod", r#"{"text":"for slack"}"#] {
        let detail = fault(Source::Robusta, body);
        assert!(detail.contains("format: json"), "{detail}");
    }
}
