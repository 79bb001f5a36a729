//! The tools against the recorded cluster, and against scripted servers for what no recording holds.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::*;
use crate::demo::{Backend, BackendStandIn, Fault, Recording};
use crate::settings::HttpSource;
use crate::tool::request::tests::bounds;
use crate::tool::{Bounds, Found};

fn connect(url: String) -> Loki {
    let settings = HttpSource { url: Some(url), timeout_secs: 2, ..HttpSource::default() };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Loki::new(http, &settings).unwrap().unwrap()
}

async fn client(router: Router) -> Loki {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    connect(url)
}

async fn recorded(fault: Option<Fault>) -> Loki {
    let stand_in = BackendStandIn::new(Recording::embedded().unwrap(), Backend::Loki).unwrap();
    if let Some(fault) = fault {
        stand_in.faults().inject("/", fault);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Arc::new(stand_in).serve(listener, tokio_util::sync::CancellationToken::new()));
    connect(url)
}

async fn ask(client: &Loki, name: &str, arguments: Value, bounds: &Bounds) -> Result<Found, Refusal> {
    let tools = tools(client);
    let tool = tools.iter().find(|tool| tool.schema().name == name).unwrap();
    tool.call(&arguments, bounds).await
}

#[tokio::test]
async fn recorded_logs_read_well() {
    let client = recorded(None).await;
    let found = ask(&client, "loki_query", json!({}), &bounds(&["prod-api"])).await.unwrap();
    insta::assert_snapshot!("all", found.digest);
    assert!(
        found.query.starts_with("GET /loki/api/v1/query_range?query=%7Bnamespace%3D%22prod-api%22%7D&start=")
    );
    let asked = json!({"regex": "(?i)error", "minutes": 10});
    let found = ask(&client, "loki_query", asked, &bounds(&["prod-api"])).await.unwrap();
    insta::assert_snapshot!("errors", found.digest);
    assert_eq!(found.full.lines().count(), 4);
}

#[tokio::test]
async fn labels_are_listed_within_the_scope() {
    let client = recorded(None).await;
    let asked = json!({"label": "pod", "begins": "auth"});
    let found = ask(&client, "loki_labels", asked, &bounds(&["prod-api"])).await.unwrap();
    assert_eq!(
        found.digest,
        "values of pod within {namespace=\"prod-api\"} around the onset: auth-service-869c6d4d5b-sncbd, \
         auth-service-869c6d4d5b-tkw9g\nleft out: 6 that do not begin with `auth`\n"
    );
    // Loki leaves the list out when it is empty.
    let found = ask(&client, "loki_labels", json!({"label": "nope"}), &bounds(&["prod-api"])).await.unwrap();
    assert!(found.digest.ends_with(": none\n"), "{}", found.digest);
}

#[tokio::test]
async fn whatever_is_asked_only_the_own_namespace_is_on_the_wire() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let router = Router::new().fallback(move |request: Request| {
        let url: reqwest::Url = format!("http://localhost{}", request.uri()).parse().unwrap();
        let asked = url.query_pairs().find(|(key, _)| key == "query").unwrap().1.into_owned();
        kept.lock().unwrap().push(asked);
        async { axum::Json(json!({"status": "success", "data": {"resultType": "streams", "result": []}})) }
    });
    let client = client(router).await;
    for asked in [
        json!({}),
        json!({"pod": "x\"} or {namespace=\"other"}),
        json!({"labels": {"app": "a\",namespace=\"other"}}),
        json!({"contains": ["\" or {namespace=\"other\"}"], "regex": "`"}),
    ] {
        ask(&client, "loki_query", asked, &bounds(&["shop"])).await.unwrap();
    }
    assert!(seen.lock().unwrap().iter().all(|query| query.starts_with("{namespace=\"shop\"")), "{seen:?}");
    seen.lock().unwrap().clear();
    for asked in [json!({"namespace": "other"}), json!({"namespace": ".*"})] {
        let refusal = ask(&client, "loki_query", asked, &bounds(&["shop"])).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Scope(_)), "{refusal}");
    }
    for asked in
        [json!({"labels": {"namespace": "other"}}), json!({"query": "{a=\"b\"}"}), json!({"regex": "("})]
    {
        let refusal = ask(&client, "loki_query", asked, &bounds(&["shop"])).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Arguments(_)), "{refusal}");
    }
    assert!(seen.lock().unwrap().is_empty());
}

fn lines(number: usize, bytes: usize) -> Value {
    let at = |n: usize| format!("{}", 1_795_244_400_000_000_000 + n as i64);
    let values: Vec<Value> =
        (0..number).map(|n| json!([at(n), format!("n {n} {}", "x".repeat(bytes))])).collect();
    json!({"status": "success", "data": {"resultType": "streams",
        "result": [{"stream": {"pod": "a", "container": "b"}, "values": values}]}})
}

/// Answers log queries with as many lines as given, and counts with 1,234,567.
async fn full_of(number: usize, bytes: usize) -> Loki {
    let body = lines(number, bytes).to_string();
    let router = Router::new().fallback(move |request: Request| {
        let counted = json!({"status": "success", "data": {"resultType": "vector",
            "result": [{"metric": {}, "value": [1, "1234567"]}]}});
        let is_count = request.uri().path() == "/loki/api/v1/query";
        let answer = if is_count { counted.to_string() } else { body.clone() };
        std::future::ready(answer.into_response())
    });
    client(router).await
}

#[tokio::test]
async fn what_a_limit_leaves_out_is_counted() {
    let client = full_of(20, 1).await;
    let found = ask(&client, "loki_query", json!({"limit": 20}), &bounds(&["shop"])).await.unwrap();
    assert!(found.digest.contains("only the newest 20 of 1234567 lines were read"), "{}", found.digest);
    let found = ask(&client, "loki_query", json!({"limit": 21}), &bounds(&["shop"])).await.unwrap();
    assert!(!found.digest.contains("only the"), "{}", found.digest);
    let refusal =
        ask(&client, "loki_query", json!({"limit": 100_000}), &bounds(&["shop"])).await.unwrap_err();
    assert!(refusal.to_string().starts_with("too much: 100000 lines, at most 2000"), "{refusal}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_with_its_size() {
    let client = full_of(10, 1024 * 1024).await;
    let told = ask(&client, "loki_query", json!({}), &bounds(&["shop"])).await.unwrap_err().to_string();
    assert!(
        told.starts_with("too much: 1234567 lines, and 500 of them are more than 8388608 bytes"),
        "{told}"
    );
}

#[tokio::test]
async fn a_server_that_is_slow_or_broken_is_told_as_such() {
    for (fault, part) in
        [(Fault::Hang, "no answer within 2s"), (Fault::Status(503), "Loki is unavailable: HTTP 503")]
    {
        let client = recorded(Some(fault)).await;
        let told = ask(&client, "loki_query", json!({}), &bounds(&["shop"])).await.unwrap_err().to_string();
        assert!(told.starts_with(part), "{told}");
    }
}

#[tokio::test]
async fn recorded_errors_are_told_in_loki_s_words() {
    for (file, expected) in [
        ("too-long-range", "(400): the query time range exceeds the limit (query length: 9600h0m0s"),
        ("limit-too-big", "(400): max entries limit per query exceeded"),
        (
            "bad-syntax",
            "(400): parse error at line 1, col 22: syntax error: unexpected $end, expecting } or ,",
        ),
        ("404", "Loki refused the query (404): 404 page not found"),
    ] {
        let content = Recording::embedded().unwrap().file(&format!("loki/errors/{file}.json")).unwrap();
        let recorded: Value = serde_json::from_slice(content).unwrap();
        let status = http::StatusCode::from_u16(recorded["status"].as_u64().unwrap() as u16).unwrap();
        let body = recorded["body_text"].as_str().unwrap().to_owned();
        let client = client(Router::new().fallback(move || std::future::ready((status, body)))).await;
        let told = ask(&client, "loki_query", json!({}), &bounds(&["shop"])).await.unwrap_err().to_string();
        assert!(told.contains(expected), "{file}: {told}");
    }
}
