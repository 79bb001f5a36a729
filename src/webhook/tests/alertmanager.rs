//! Alertmanager's bodies: 21 recorded ones, and the corners of the format.

use std::collections::BTreeMap;

use super::*;
use crate::alert::{Severity, Status};

#[test]
fn every_recorded_body_parses_and_our_fingerprints_are_alertmanagers_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/webhooks/alertmanager");
    let (mut bodies, mut total, mut firing) = (0, 0, 0);
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let expected: usize = name.rsplit_once("-n").unwrap().1.parse().unwrap();
        let body = std::fs::read(&path).unwrap();
        let alerts = parse(Source::Alertmanager, &body, now()).unwrap();
        assert_eq!(alerts.len(), expected, "{name}");
        for alert in &alerts {
            assert_eq!(fingerprint::of_labels(&alert.labels), alert.fingerprint, "{name}");
            assert_eq!(alert.ends_at.is_none(), alert.is_firing());
            assert_eq!(alert.receiver, "investigator");
            firing += usize::from(alert.is_firing());
            assert!(alert.starts_at > at("2026-11-21T00:00:00Z"), "{name}");
            assert!(name.contains(alert.name()), "{name}");
            assert!(alert.group_key.contains(alert.name()), "{name}");
            *names.entry(alert.name().to_owned()).or_default() += 1;
        }
        bodies += 1;
        total += alerts.len();
    }
    assert_eq!((bodies, total, firing), (21, 59, 53));
    assert_eq!(names["KubeContainerWaiting"], 25);
    assert_eq!(names["KubePodCrashLooping"], 17);
}

#[test]
fn a_recorded_alert_keeps_all_its_fields() {
    let alert = one(Source::Alertmanager, &fixture("alertmanager/006-firing-KubePodCrashLooping-n1.json"));
    insta::assert_json_snapshot!(alert, @r#"
    {
      "source": "alertmanager",
      "status": "firing",
      "fingerprint": "d8faa1cc65570792",
      "starts_at": "2026-11-21T07:03:19.889Z",
      "ends_at": null,
      "severity": "warning",
      "labels": {
        "alertname": "KubePodCrashLooping",
        "cluster": "lab",
        "container": "inventory",
        "namespace": "shop",
        "pod": "inventory-554c75fb44-cw9sp",
        "reason": "CrashLoopBackOff",
        "severity": "warning"
      },
      "annotations": {
        "description": "Pod shop/inventory-554c75fb44-cw9sp (inventory) is in waiting state (reason: \"CrashLoopBackOff\").",
        "runbook_url": "https://runbooks.example.com/KubePodCrashLooping",
        "summary": "Pod is crash looping."
      },
      "generator_url": "http://vm:9090/graph?g0.expr=max+by+%28namespace%2C+pod%2C+container%2C+reason%29+%28kube_pod_container_status_waiting_reason%7Breason%3D%22CrashLoopBackOff%22%7D%29+%3E%3D+1&g0.tab=1",
      "receiver": "investigator",
      "group_key": "{}:{alertname=\"KubePodCrashLooping\", namespace=\"shop\"}",
      "subject": null,
      "truncated_alerts": 0
    }
    "#);
}

#[test]
fn fields_of_later_versions_are_accepted() {
    let mut body: Value =
        serde_json::from_slice(&fixture("alertmanager/006-firing-KubePodCrashLooping-n1.json")).unwrap();
    let before = alertmanager(&body);
    body["notification_reason"] = json!("repeat interval elapsed");
    body["routeLabels"] = json!({"team": "data"});
    body["alerts"][0]["somethingNew"] = json!([{"a": [1, 2.5, null]}]);
    assert_eq!(alertmanager(&body), before);
}

#[test]
fn times_have_any_offset_and_reach_from_year_1_to_9999() {
    for (given, expected) in [
        ("2026-11-21T07:03:19.889123456Z", "2026-11-21T07:03:19.889123Z"),
        ("2026-11-21T07:03:19.1+05:30", "2026-11-21T01:33:19.1Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999-14:00", "9999-12-31T23:59:59.999999Z"),
        ("not a time", "1970-01-01T00:00:00Z"),
        ("", "1970-01-01T00:00:00Z"),
    ] {
        let alerts = alertmanager(&json!({"alerts": [{"startsAt": given, "labels": {"a": "b"}}]}));
        assert_eq!(alerts[0].starts_at, at(expected), "{given}");
        let text = serde_json::to_string(&alerts[0]).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(&text).unwrap(), alerts[0], "reads back");
    }
}

#[test]
fn one_alerts_odd_fields_do_not_lose_the_others() {
    let alerts = alertmanager(&json!({"status": "firing", "alerts": [
        {"labels": {"alertname": "A"}, "startsAt": {"a": [1]}, "endsAt": 12},
        {"labels": null, "annotations": null, "startsAt": null, "generatorURL": null},
        {"labels": {"alertname": "B", "n": 5, "f": 1.5, "b": true, "z": null}, "status": null},
        {},
    ]}));
    assert_eq!(alerts.len(), 4);
    assert_eq!(alerts[0].starts_at, DateTime::UNIX_EPOCH);
    assert_eq!(alerts[1].name(), "unnamed alert");
    assert_eq!(alerts[1].fingerprint, "cbf29ce484222325");
    let values: Vec<&str> =
        ["n", "f", "b", "z"].iter().map(|name| alerts[2].labels[*name].as_str()).collect();
    assert_eq!(values, ["5", "1.5", "true", ""]);
    assert!(alerts.iter().all(Alert::is_firing));
}

#[test]
fn an_end_counts_only_for_resolved_alerts_and_not_in_year_1() {
    let alerts = alertmanager(&json!({"status": "firing", "alerts": [
        {"status": "resolved", "endsAt": "2026-11-21T08:00:00Z"},
        {"status": "resolved", "endsAt": "0001-01-01T00:00:00Z"},
        {"status": "firing", "endsAt": "2026-11-21T08:00:00Z"},
    ]}));
    let ends: Vec<_> = alerts.iter().map(|alert| (alert.status, alert.ends_at)).collect();
    assert_eq!(
        ends,
        [
            (Status::Resolved, Some(at("2026-11-21T08:00:00Z"))),
            (Status::Resolved, None),
            (Status::Firing, None)
        ]
    );
}

#[test]
fn receivers_lose_their_regexp_quotes_and_severity_is_read_from_its_label() {
    let alerts = alertmanager(&json!({"receiver": r"team\.data\\x\d", "truncatedAlerts": 7, "alerts": [
        {"labels": {"severity": "critical"}}, {"labels": {"severity": "none"}}, {"labels": {}}]}));
    assert_eq!(alerts[0].receiver, r"team.data\x\d");
    assert_eq!(alerts[0].truncated_alerts, 7);
    let severities: Vec<Severity> = alerts.iter().map(|alert| alert.severity).collect();
    assert_eq!(severities, [Severity::Critical, Severity::None, Severity::Warning]);
}

#[test]
fn counts_of_any_kind_are_read() {
    for (given, expected) in
        [(json!("12"), 12), (json!(-3), 0), (json!(2.9), 2), (json!(null), 0), (json!([1]), 0)]
    {
        let alerts = alertmanager(&json!({"truncatedAlerts": given, "alerts": [{}]}));
        assert_eq!(alerts[0].truncated_alerts, expected, "{given}");
    }
}

#[test]
fn what_stands_in_every_alert_is_bounded() {
    let key = format!("{{}}:{{a=\"{}\"}}", "x".repeat(5000));
    let alerts = alertmanager(&json!({"groupKey": key, "receiver": "r".repeat(5000), "alerts": [{}]}));
    assert_eq!(alerts[0].group_key.len(), "fnv1a:".len() + 16);
    assert_eq!(alerts[0].receiver.len(), 256);
    assert_eq!(alertmanager(&json!({"groupKey": "{}:{}", "alerts": [{}]}))[0].group_key, "{}:{}");
}

#[test]
fn a_fault_is_told_with_its_path() {
    let base = r#"{"alerts":[{},{},{},{"labels":"a string"}]}"#;
    insta::assert_snapshot!(fault(Source::Alertmanager, base), @r#"alerts[3].labels: invalid type: string "a string", expected a map at line 1 column 40"#);
    insta::assert_snapshot!(fault(Source::Alertmanager, r#"{"alerts":[{"labels":{"a":{"b":1}}}]}"#), @r#"alerts[0].labels.a: invalid type: map, expected a string at line 1 column 27"#);
    insta::assert_snapshot!(fault(Source::Alertmanager, r#"{"alerts":{}}"#), @r#"alerts: invalid type: map, expected an array at line 1 column 10"#);
    insta::assert_snapshot!(fault(Source::Alertmanager, r#"{"receiver":"x"}"#), @r#"missing field `alerts`"#);
    insta::assert_snapshot!(fault(Source::Alertmanager, "[]"), @r#"invalid type: sequence, expected a map at line 1 column 0"#);
    insta::assert_snapshot!(fault(Source::Alertmanager, ""), @r#"EOF while parsing a value at line 1 column 0"#);
    insta::assert_snapshot!(fault(Source::Alertmanager, r#"{"alerts":[]} {}"#), @r#"trailing characters at line 1 column 15"#);
    insta::assert_snapshot!(fault(Source::Alertmanager, r#"{"alerts":[{"labels":{"a":"b"}}"#), @r#"alerts: EOF while parsing a list at line 1 column 31"#);
}

#[test]
fn a_fault_quotes_neither_secrets_nor_without_end() {
    let body = r#"{"alerts":[{"labels":"password=hunter2 X"}]}"#;
    let detail = fault(Source::Alertmanager, body);
    assert!(detail.contains("password=[redacted:credential]") && !detail.contains("hunter2"), "{detail}");
    assert!(fault(Source::Alertmanager, &body.replace('X', &"x ".repeat(5000))).chars().count() <= 400);
}
