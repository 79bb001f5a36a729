//! The tools against the recorded cluster, and against scripted servers for what no recording holds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::*;
use crate::demo::{Backend, BackendStandIn, Fault, Recording};
use crate::settings::HttpSource;
use crate::tool::request::tests::bounds;
use crate::tool::{Bounds, Found};

async fn client(router: Router) -> Prometheus {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Some(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async { axum::serve(listener, router).await });
    connect(url)
}

fn connect(url: Option<String>) -> Prometheus {
    let settings = HttpSource { url, timeout_secs: 2, ..HttpSource::default() };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Prometheus::new(http, &settings).unwrap().unwrap()
}

async fn recorded(fault: Option<Fault>) -> Prometheus {
    let stand_in = BackendStandIn::new(Recording::embedded().unwrap(), Backend::Prometheus).unwrap();
    if let Some(fault) = fault {
        stand_in.faults().inject("/", fault);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Arc::new(stand_in).serve(listener, tokio_util::sync::CancellationToken::new()));
    connect(Some(url))
}

async fn ask(client: &Prometheus, name: &str, arguments: Value, bounds: &Bounds) -> Result<Found, Refusal> {
    let tools = tools(client);
    let tool = tools.iter().find(|tool| tool.schema().name == name).unwrap();
    tool.call(&arguments, bounds).await
}

#[tokio::test]
async fn an_instant_query_reads_well() {
    let client = recorded(None).await;
    let asked = json!({"query": "kube_pod_container_status_waiting_reason"});
    let found = ask(&client, "prometheus_query", asked, &bounds(&[])).await.unwrap();
    insta::assert_snapshot!(found.digest);
    assert!(
        found.query.starts_with("GET /api/v1/query?query=kube_pod_container_status_waiting_reason&time=")
    );
    assert_eq!(found.full.lines().count(), 17);
}

#[tokio::test]
async fn a_range_query_reads_well() {
    let client = recorded(None).await;
    let window = |query: &str| json!({"query": query, "start": "1795244245", "end": "now", "step_secs": 30});
    let restarts =
        window("sum by (namespace,pod) (kube_pod_container_status_restarts_total{namespace=\"prod-api\"})");
    let found = ask(&client, "prometheus_range", restarts, &bounds(&[])).await.unwrap();
    insta::assert_snapshot!("restarts", found.digest);
    let gappy = window("kube_pod_container_status_waiting_reason");
    let found = ask(&client, "prometheus_range", gappy, &bounds(&["prod-api"])).await.unwrap();
    insta::assert_snapshot!("gappy", found.digest);
    let cpu = window("sum by (pod) (rate(container_cpu_usage_seconds_total{namespace=\"shop\"}[2m]))");
    let found = ask(&client, "prometheus_range", cpu, &bounds(&[])).await.unwrap();
    insta::assert_snapshot!("cpu", found.digest);
}

#[tokio::test]
async fn an_alert_s_rule_is_told_without_other_namespaces() {
    let client = recorded(None).await;
    let asked = json!({"alert": "KubePodCrashLooping"});
    let found = ask(&client, "prometheus_alert_rule", asked, &bounds(&["prod-api"])).await.unwrap();
    insta::assert_snapshot!(found.digest);
    assert!(!found.digest.contains("shop") && !found.full.contains("shop"), "{}", found.full);
    let nope = json!({"alert": "Nope"});
    let refusal = ask(&client, "prometheus_alert_rule", nope, &bounds(&["prod-api"])).await;
    let refusal = refusal.unwrap_err().to_string();
    assert!(refusal.starts_with("Prometheus has no alerting rule `Nope`; it has "), "{refusal}");
}

#[tokio::test]
async fn a_metric_s_labels_are_told_with_examples() {
    let client = recorded(None).await;
    let asked = json!({"metric": "kube_pod_info"});
    let found = ask(&client, "prometheus_metrics", asked, &bounds(&["prod-api"])).await.unwrap();
    insta::assert_snapshot!(found.digest);
    let wrong =
        [json!({}), json!({"metric": "a + b"}), json!({"match": "a", "metric": "b"}), json!({"match": "("})];
    for wrong in wrong {
        let refusal = ask(&client, "prometheus_metrics", wrong.clone(), &bounds(&["prod-api"])).await;
        assert!(matches!(refusal, Err(Refusal::Arguments(_))), "{wrong}");
    }
}

/// A server that answers everything with nothing and keeps what it was asked.
async fn listening() -> (Prometheus, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let router = Router::new().fallback(move |request: Request| {
        let url: reqwest::Url = format!("http://localhost{}", request.uri()).parse().unwrap();
        let asked = url.query_pairs().filter(|(key, _)| key == "query" || key == "match[]");
        kept.lock().unwrap().extend(asked.map(|(_, value)| value.into_owned()));
        let path = url.path().to_owned();
        async move {
            let data = match path.as_str() {
                "/api/v1/query" => json!({"resultType": "vector", "result": []}),
                "/api/v1/query_range" => json!({"resultType": "matrix", "result": []}),
                "/api/v1/rules" => json!({"groups": [{"name": "g", "rules": [
                    {"name": "A", "query": "sum(x{namespace=~\".+\"}) > 5", "duration": 60},
                    {"name": "B", "query": "x{namespace=\"kube-system\"} > 5"}]}]}),
                "/api/v1/metadata" => json!({}),
                _ => json!([]),
            };
            axum::Json(json!({"status": "success", "data": data}))
        }
    });
    (client(router).await, seen)
}

#[tokio::test]
async fn whatever_is_asked_only_the_own_namespace_is_on_the_wire() {
    let (client, seen) = listening().await;
    for (name, asked) in [
        ("prometheus_query", json!({"query": "sum(rate(x[5m])) by (namespace)"})),
        (
            "prometheus_query",
            json!({"query": "x or {__name__=~\".+\",namespace=~\".*\"} # {namespace=\"o\"}"}),
        ),
        ("prometheus_range", json!({"query": "label_replace(x,\"namespace\",\"other\",\"\",\"\")"})),
        ("prometheus_range", json!({"query": "max_over_time(x[1h:1m] @ end() offset 1h)", "minutes": 5})),
        ("prometheus_alert_rule", json!({"alert": "A"})),
        ("prometheus_metrics", json!({"metric": "x{pod=\"a\"}"})),
        ("prometheus_metrics", json!({"metric": "x", "label": "../../../../admin"})),
    ] {
        let found = ask(&client, name, asked.clone(), &bounds(&["shop"])).await;
        assert!(found.is_ok(), "{asked}: {found:?}");
    }
    let sent = seen.lock().unwrap().drain(..).collect::<Vec<_>>();
    assert_eq!(sent.len(), 7);
    assert!(sent.iter().all(|query| query.contains("namespace=\"shop\"")), "{sent:?}");
    // A rule that names another namespace is told, its value is not read.
    let found =
        ask(&client, "prometheus_alert_rule", json!({"alert": "B"}), &bounds(&["shop"])).await.unwrap();
    assert!(found.digest.contains("its value could not be read: outside"), "{}", found.digest);
    for (name, asked) in [
        ("prometheus_query", json!({"query": "x{namespace=\"other\"}"})),
        ("prometheus_range", json!({"query": "x{namespace!=\"shop\"}"})),
        ("prometheus_metrics", json!({"metric": "x{namespace=\"other\"}"})),
    ] {
        let refusal = ask(&client, name, asked.clone(), &bounds(&["shop"])).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Scope(_)), "{asked}: {refusal}");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn names_are_asked_for_by_pattern_in_the_own_namespace_and_the_cluster_s() {
    let (client, seen) = listening().await;
    for pattern in ["memory", "a\"} or b"] {
        ask(&client, "prometheus_metrics", json!({"match": pattern}), &bounds(&["shop"])).await.unwrap();
    }
    let sent = seen.lock().unwrap().clone();
    assert_eq!(sent.len(), 4);
    assert_eq!(sent[0], r#"{__name__=~".*memory.*",namespace="shop"}"#);
    assert!(sent[1].starts_with(r#"{__name__=~".*memory.*",__name__=~"(?:node_|"#), "{}", sent[1]);
    // A pattern cannot leave its quotes.
    assert_eq!(sent[2], r#"{__name__=~".*(?:a\"} or b).*",namespace="shop"}"#);
}

fn vector(series: &[Value]) -> Value {
    json!({"status": "success", "data": {"resultType": "vector", "result": series}})
}

#[tokio::test]
async fn a_million_series_are_refused_while_they_stream() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let router = Router::new().fallback(move |request: Request| {
        let counter = counter.clone();
        async move {
            if request.uri().to_string().contains("count") {
                return axum::Json(vector(&[json!({"metric": {}, "value": [1, "1000000"]})])).into_response();
            }
            let head = Bytes::from_static(br#"{"status":"success","data":{"resultType":"vector","result":["#);
            let row = |n: u32| format!(r#"{{"metric":{{"pod":"pod-{n:070}"}},"value":[1,"1"]}},"#);
            let rows =
                (0..1000).map(move |page| (page * 1000..page * 1000 + 1000).map(row).collect::<String>());
            let chunks = std::iter::once(head).chain(rows.map(Bytes::from)).map(move |chunk| {
                counter.fetch_add(chunk.len(), Ordering::Relaxed);
                Ok::<_, std::io::Error>(chunk)
            });
            Body::from_stream(futures::stream::iter(chunks)).into_response()
        }
    });
    let client = client(router).await;
    let refusal =
        ask(&client, "prometheus_query", json!({"query": "x"}), &bounds(&["shop"])).await.unwrap_err();
    let told = refusal.to_string();
    assert!(told.starts_with("too much: 1000000 series, at most 1000 are read: add matchers"), "{told}");
    // Reading stopped at the bound, so no more than that and what the sockets hold was made.
    assert!(sent.load(Ordering::Relaxed) < 24 * 1024 * 1024, "{sent:?}");
}

#[tokio::test]
async fn more_series_than_are_read_are_refused_with_what_makes_them_many() {
    let series: Vec<Value> = (0..1500)
        .map(|n| json!({"metric": {"pod": format!("p{n}"), "code": format!("{}", n % 7)}, "value": [1, "1"]}))
        .collect();
    let router = Router::new().fallback(move || std::future::ready(axum::Json(vector(&series))));
    let client = client(router).await;
    let refusal =
        ask(&client, "prometheus_query", json!({"query": "x"}), &bounds(&["shop"])).await.unwrap_err();
    let told = refusal.to_string();
    assert!(
        told.contains("1500 series") && told.contains("(pod has 1500 values, code has 7 values)"),
        "{told}"
    );
}

#[tokio::test]
async fn dear_queries_are_never_sent() {
    let (client, seen) = listening().await;
    for asked in [
        json!({"query": "max_over_time(x[7d:1s])"}),
        json!({"query": "rate(x[90d])"}),
        json!({"query": "x", "start": "now-6d", "step_secs": 1}),
    ] {
        let refusal = ask(&client, "prometheus_range", asked, &bounds(&["shop"])).await.unwrap_err();
        assert!(matches!(refusal, Refusal::TooMuch(_)), "{refusal}");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_slow_or_broken_is_told_as_such() {
    for (fault, part) in
        [(Fault::Hang, "no answer within 2s"), (Fault::Status(503), "Prometheus is unavailable: HTTP 503")]
    {
        let client = recorded(Some(fault)).await;
        let refusal = ask(&client, "prometheus_query", json!({"query": "up"}), &bounds(&["shop"])).await;
        let told = refusal.unwrap_err().to_string();
        assert!(told.starts_with(part), "{told}");
    }
}

/// Prometheus' own words reach the model, without the JSON around them.
#[tokio::test]
async fn recorded_errors_are_told_in_prometheus_words() {
    for (file, expected) in [
        ("bad-function", "Prometheus refused the query (400): invalid parameter \"query\": 1:1: parse error"),
        ("many-to-many-422", "Prometheus refused the query (422): "),
        ("dup-labelset-422", "(422): vector cannot contain metrics with the same labelset"),
        ("timeout", "Prometheus is unavailable: query timed out in expression evaluation"),
        ("too-many-points", "exceeded maximum resolution of 11,000 points per timeseries"),
        ("404", "Prometheus refused the query (404): 404 page not found"),
    ] {
        let content = Recording::embedded().unwrap().file(&format!("prometheus/errors/{file}.json")).unwrap();
        let recorded: Value = serde_json::from_slice(content).unwrap();
        let status = http::StatusCode::from_u16(recorded["status"].as_u64().unwrap() as u16).unwrap();
        let body = recorded["body_text"].as_str().map_or_else(|| recorded["body"].to_string(), str::to_owned);
        let router = Router::new().fallback(move || std::future::ready((status, body)));
        let client = client(router).await;
        let refusal = ask(&client, "prometheus_query", json!({"query": "up"}), &bounds(&["shop"])).await;
        let told = refusal.unwrap_err().to_string();
        assert!(told.contains(expected), "{file}: {told}");
    }
}

#[tokio::test]
async fn schemas_are_small_and_name_what_they_take() {
    let tools = tools(&connect(Some("http://127.0.0.1:1".to_owned())));
    let size: usize = tools
        .iter()
        .map(|tool| {
            let schema = tool.schema();
            assert!(schema.parameters["properties"].is_object());
            schema.name.len() + schema.description.len() + schema.parameters.to_string().len()
        })
        .sum();
    assert!(size < 2200, "{size} bytes");
}
