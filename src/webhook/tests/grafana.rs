//! Grafana's additions to Alertmanager's message.

use super::*;

#[test]
fn grafanas_message_is_alertmanagers_with_values_and_links_among_the_annotations() {
    let alerts = parse(Source::Grafana, &fixture("grafana/handmade-firing.json"), now()).unwrap();
    insta::assert_json_snapshot!(alerts, @r#"
    [
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
      },
      {
        "source": "grafana",
        "status": "firing",
        "fingerprint": "aa66d9296de2ad39",
        "starts_at": "2026-11-21T07:05:00Z",
        "ends_at": null,
        "severity": "warning",
        "labels": {
          "alertname": "DatasourceNoData",
          "datasource_uid": "prom",
          "grafana_folder": "checkout",
          "ref_id": "A",
          "rulename": "Checkout error rate"
        },
        "annotations": {
          "summary": "The rule \"Checkout error rate\" returned no data."
        },
        "generator_url": "/alerting/grafana/def/view",
        "receiver": "team.data (webhook)",
        "group_key": "{}:{alertname=\"HighLatency\"}",
        "subject": null,
        "truncated_alerts": 2
      },
      {
        "source": "grafana",
        "status": "resolved",
        "fingerprint": "bb66d9296de2ad39",
        "starts_at": "2026-11-21T06:05:00Z",
        "ends_at": "2026-11-21T07:05:10Z",
        "severity": "warning",
        "labels": {
          "alertname": "DatasourceError",
          "rulename": "Disk"
        },
        "annotations": {
          "Error": "connection refused",
          "summary": "The rule \"Disk\" could not be evaluated: its data source answered with an error."
        },
        "generator_url": "",
        "receiver": "team.data (webhook)",
        "group_key": "{}:{alertname=\"HighLatency\"}",
        "subject": null,
        "truncated_alerts": 2
      }
    ]
    "#);
}
