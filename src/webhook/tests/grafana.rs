//! Grafana's additions to Alertmanager's message.

use super::*;

#[test]
fn grafanas_message_is_alertmanagers_with_values_and_links_among_the_annotations() {
    let alerts = parse(Source::Grafana, &fixture("grafana/handmade-firing.json"), now()).unwrap();
    assert_eq!(alerts.len(), 3);
    insta::assert_json_snapshot!(alerts[0], @r#"
    {
      "source": "grafana",
      "status": "firing",
      "fingerprint": "57c6d9296de2ad39",
      "starts_at": "2026-11-21T07:04:00Z",
      "ends_at": null,
      "severity": "critical",
      "labels": {
        "alertname": "HighLatency",
        "grafana_folder": "checkout",
        "namespace": "shop",
        "severity": "critical"
      },
      "annotations": {
        "dashboardURL": "https://grafana.example.com/d/abc?orgId=1",
        "summary": "p99 above 2 s",
        "valueString": "kept"
      },
      "generator_url": "https://grafana.example.com/alerting/grafana/abc/view?orgId=1",
      "receiver": "team.data (webhook)",
      "group_key": "{}:{alertname=\"HighLatency\"}",
      "subject": null,
      "truncated_alerts": 2
    }
    "#);
    for alert in &alerts {
        assert_eq!((alert.receiver.as_str(), alert.truncated_alerts), ("team.data (webhook)", 2));
    }
}

#[test]
fn a_rule_that_could_not_be_evaluated_is_named_in_the_summary() {
    let alerts = parse(Source::Grafana, &fixture("grafana/handmade-firing.json"), now()).unwrap();
    assert_eq!(alerts[1].name(), "DatasourceNoData");
    assert_eq!(alerts[1].annotation("summary"), Some("The rule \"Checkout error rate\" returned no data."));
    assert_eq!(alerts[2].annotation("Error"), Some("connection refused"));
    assert!(alerts[2].annotation("summary").unwrap().starts_with("The rule \"Disk\" could not be evaluated"));
    assert_eq!(alerts[2].ends_at, Some(at("2026-11-21T07:05:10Z")));
}
