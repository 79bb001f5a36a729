//! What Prometheus adds to the first responder, over HTTP against hand-made answers: the alert's rule, a full
//! volume, memory before a kill; and one that fails, which is a gap and nothing else.

use std::collections::HashMap;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;
use crate::settings::HttpSource;
use crate::source::prometheus::Prometheus;

/// Answers like a server that knows one full volume and one alert; or fails.
async fn answer(
    State(works): State<bool>,
    query: Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    if !works {
        return (StatusCode::SERVICE_UNAVAILABLE, "overloaded").into_response();
    }
    let asked = query.get("query").cloned().unwrap_or_default();
    let vector =
        |result: Value| json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    let claim = |value: &str| {
        json!([{"metric": {"namespace": "shop", "persistentvolumeclaim": "data-orders-db-0"}, "value": [1, value]},
               {"metric": {"namespace": "shop", "persistentvolumeclaim": "of-another-workload"}, "value": [1, "50"]}])
    };
    let body = match request.uri().path() {
        "/api/v1/rules" => json!({"status": "success", "data": {"groups": [{"rules": [
            {"name": "KubePodCrashLooping", "query": "max_over_time(x[5m]) >= 1", "duration": 900, "type": "alerting", "alerts": [
                {"labels": {"namespace": "other"}, "state": "firing", "activeAt": "2026-11-21T07:00:00Z", "value": "7e+00"},
                {"labels": {"namespace": "shop"}, "state": "pending", "activeAt": "2026-11-21T07:00:00Z", "value": "3e+00"}]},
            {"name": "Another", "query": "up", "alerts": []}]}]}}),
        "/api/v1/targets" => {
            let target = |cluster: &str, instance: &str, error: &str| {
                json!({"labels": {"cluster": cluster, "job": "db", "instance": instance}, "health": "down",
                       "scrapeUrl": format!("http://{instance}/metrics"), "lastError": error,
                       "lastScrape": "0001-01-01T00:00:00Z"})
            };
            json!({"status": "success", "data": {"activeTargets": [
                target("lab", "a:1", "server returned HTTP status 404 Not Found"),
                target("other", "b:1", "of another cluster")]}})
        }
        "/api/v1/query" if asked.contains("inodes") => vector(claim("12.4")),
        "/api/v1/query" if asked.contains("volume_stats_used") => vector(claim("99.2")),
        "/api/v1/query" => vector(json!([])),
        _ => json!({"status": "success", "data": {"resultType": "matrix", "result": []}}),
    };
    Json(body).into_response()
}

async fn with_prometheus(works: bool) -> Facts {
    let workload = Workload::new("lab", "shop", "StatefulSet", "orders-db");
    of_prometheus(works, HttpSource::default(), workload, alert("2026-11-21T07:01:00Z")).await
}

async fn of_prometheus(works: bool, settings: HttpSource, workload: Workload, alert: Alert) -> Facts {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(works);
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let kubernetes = replay::client(Vec::new()).await;
    let settings = HttpSource { url: Some(url), ..settings };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let sources = Sources {
        kubernetes: Some(kubernetes),
        prometheus: Prometheus::new(http, &settings).unwrap(),
        log_tail_lines: 200,
        ..Sources::default()
    };
    let scope = match workload.namespace.as_str() {
        "" => Scope::Cluster,
        namespace => Scope::Namespace(namespace.to_owned()),
    };
    let facts = gather(&sources, scope, &workload, &[alert]).await;
    server.abort();
    facts
}

#[tokio::test]
async fn a_rule_and_a_full_volume_become_rows_of_this_workload_with_quotes() {
    let facts = with_prometheus(true).await;
    assert_quotes_stand(&facts);
    let [rule] = facts.alert_rules.as_slice() else { panic!("{:?}", facts.alert_rules) };
    assert_eq!((rule.state.as_str(), rule.value.as_str(), rule.for_seconds), ("pending", "3e+00", 900));
    let told = facts.timeline.iter().find(|one| one.what.contains("alert KubePodCrashLooping")).unwrap();
    assert!(told.what.contains("; its rule `") && told.what.ends_with("now gives 3"), "{}", told.what);
    assert_eq!(told.evidence, rule.evidence);
    let [volume] = facts.usage.as_slice() else { panic!("{:?}", facts.usage) };
    assert_eq!(
        (volume.name.as_str(), volume.used_percent, volume.inodes_used_percent),
        ("data-orders-db-0", 99, 12)
    );
    assert_eq!((volume.full_in_hours, volume.throttled_percent), (-1, -1));
    assert_eq!(facts.gaps, []);
}

#[tokio::test]
async fn why_a_scrape_fails_is_read_where_an_alert_says_so_and_never_of_another_cluster() {
    let down = |name: &str| {
        let labels =
            [("alertname", name), ("job", "db")].map(|(label, value)| (label.to_owned(), value.to_owned()));
        Alert { labels: BTreeMap::from(labels), ..alert("2026-11-21T07:01:00Z") }
    };
    let shared = || HttpSource {
        selector: BTreeMap::from([("cluster".to_owned(), "lab".to_owned())]),
        ..HttpSource::default()
    };
    let job = || Workload::new("lab", "", "Cluster", "db");
    let facts = of_prometheus(true, shared(), job(), down("TargetDown")).await;
    assert_quotes_stand(&facts);
    let [target] = facts.targets.as_slice() else { panic!("{:?}", facts.targets) };
    assert_eq!(
        (target.instance.as_str(), target.error.as_str(), target.last_scrape),
        ("a:1", "server returned HTTP status 404 Not Found", None)
    );
    let alone = of_prometheus(true, HttpSource::default(), job(), down("TargetDown")).await;
    assert_eq!(alone.targets.len(), 2, "who has a Prometheus of its own reads all of it");
    let other = of_prometheus(true, shared(), job(), down("HighErrorRate")).await;
    assert!(other.targets.is_empty() && other.gaps.is_empty(), "{:?}", other.gaps);
    let away = of_prometheus(false, shared(), job(), down("TargetDown")).await;
    assert!(away.gaps.iter().any(|gap| gap.what == "why its targets are down"), "{:?}", away.gaps);
}

#[tokio::test]
async fn a_prometheus_that_fails_is_a_gap_and_takes_nothing_else_along() {
    let facts = with_prometheus(false).await;
    assert!(facts.usage.is_empty() && facts.alert_rules.is_empty() && !facts.pods.is_empty());
    assert!(
        !facts.gaps.is_empty() && facts.gaps.iter().all(|gap| gap.source == "prometheus"),
        "{:?}",
        facts.gaps
    );
    assert!(facts.gaps.len() <= 9, "one for each query at most");
}
