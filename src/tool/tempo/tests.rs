//! The Tempo tools against recorded and made-up answers: what a model reads, what is refused, and what is sent.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use chrono::DateTime;
use serde_json::{Value, json};

use super::*;
use crate::demo::{Backend, BackendStandIn, Fault, Recording};
use crate::settings::HttpSource;
use crate::source::tempo::{Span, Status};
use crate::tool::request::tests::bounds;
use crate::tool::{Bounds, Found};

const FAILED: &str = "4a8a534e239640056a09c6654bbe8103";

fn connect(url: String) -> Tempo {
    let settings = HttpSource { url: Some(url), timeout_secs: 2, ..HttpSource::default() };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Tempo::new(http, &settings).unwrap().unwrap()
}

async fn recorded(fault: Option<Fault>) -> Tempo {
    let stand_in = BackendStandIn::new(Recording::embedded().unwrap(), Backend::Tempo).unwrap();
    if let Some(fault) = fault {
        stand_in.faults().inject("/", fault);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Arc::new(stand_in).serve(listener, tokio_util::sync::CancellationToken::new()));
    connect(url)
}

async fn ask(client: &Tempo, name: &str, arguments: Value, bounds: &Bounds) -> Result<Found, Refusal> {
    let tools = tools(client);
    let tool = tools.iter().find(|tool| tool.schema().name == name).unwrap();
    tool.call(&arguments, bounds).await
}

#[tokio::test]
async fn recorded_traces_read_well() {
    let client = recorded(None).await;
    let found = ask(&client, "tempo_search", json!({"failed": true}), &bounds(&[])).await.unwrap();
    insta::assert_snapshot!("search", found.digest);
    let found = ask(&client, "tempo_trace", json!({"id": FAILED}), &bounds(&["prod-api"])).await.unwrap();
    insta::assert_snapshot!("trace", found.digest);
}

#[tokio::test]
async fn a_trace_of_another_namespace_is_refused() {
    let client = recorded(None).await;
    let refusal = ask(&client, "tempo_trace", json!({"id": FAILED}), &bounds(&["shop"])).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Scope(words) if words.contains("namespace shop")), "{refusal}");
    for id in ["../../ready", "", "zz"] {
        let refusal =
            ask(&client, "tempo_trace", json!({"id": id}), &bounds(&["prod-api"])).await.unwrap_err();
        assert!(refusal.to_string().contains("hexadecimal"), "{refusal}");
    }
    let nowhere = json!({"id": "0123456789abcdef0123456789abcdef"});
    let refusal = ask(&client, "tempo_trace", nowhere, &bounds(&["prod-api"])).await.unwrap_err();
    assert!(refusal.to_string().starts_with("Tempo has no trace 0123"), "{refusal}");
}

#[tokio::test]
async fn searches_are_built_from_quoted_values_in_the_own_namespace() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let router = Router::new().fallback(move |request: Request| {
        let url: reqwest::Url = format!("http://localhost{}", request.uri()).parse().unwrap();
        let asked = url.query_pairs().find(|(key, _)| key == "q").unwrap().1.into_owned();
        kept.lock().unwrap().push(asked);
        async { axum::Json(json!({"traces": []})) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = connect(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async { axum::serve(listener, router).await });
    let asked = json!({"service": "a\"} || {status=\"x", "failed": true, "slower_than_ms": 500});
    ask(&client, "tempo_search", asked, &bounds(&["shop"])).await.unwrap();
    ask(&client, "tempo_search", json!({"span": "GET /"}), &bounds(&["shop", "web"])).await.unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            r#"{resource.k8s.namespace.name="shop" && resource.service.name="a\"} || {status=\"x" && status=error && duration>500ms}"#,
            r#"{(resource.k8s.namespace.name="shop" || resource.k8s.namespace.name="web") && name="GET /"}"#,
        ]
    );
    for (asked, part) in [
        (json!({"limit": 1000}), "at most 30"),
        (json!({"service": ""}), "1 to 200 bytes"),
        (json!({"query": "{}"}), "unknown field `query`"),
    ] {
        let refusal = ask(&client, "tempo_search", asked, &bounds(&["shop"])).await.unwrap_err().to_string();
        assert!(refusal.contains(part), "{refusal}");
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_slow_is_told_as_such() {
    let client = recorded(Some(Fault::Hang)).await;
    let refusal = ask(&client, "tempo_search", json!({}), &bounds(&["shop"])).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Timeout(_)), "{refusal}");
}

fn span(id: usize, parent: Option<usize>, milliseconds: u64, status: Status) -> Span {
    Span {
        id: id.to_string(),
        parent: parent.map(|parent| parent.to_string()),
        service: format!("s{id}"),
        namespace: Some(if id == 1 { "other" } else { "shop" }.to_owned()),
        name: "op".to_owned(),
        kind: String::new(),
        started_at: DateTime::from_timestamp(1_795_244_400, 0).unwrap(),
        nanoseconds: milliseconds * 1_000_000,
        status,
        status_message: String::new(),
        attributes: [("secret".to_owned(), format!("a{id}"))].into_iter().collect(),
        exceptions: Vec::new(),
    }
}

/// A router that serves traces by id, and for any search a list of them.
async fn serving(traces: Vec<(&'static str, Value)>, found: Value) -> (Tempo, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    let router = Router::new().fallback(move |request: Request| {
        let url: reqwest::Url = format!("http://localhost{}", request.uri()).parse().unwrap();
        let query = url.query_pairs().find(|(key, _)| key == "q").map(|(_, value)| value.into_owned());
        let answer = match query {
            Some(query) => {
                kept.lock().unwrap().push(query);
                json!({"traces": found})
            }
            None => {
                let id = url.path().rsplit('/').next().unwrap_or_default().to_owned();
                let known = traces.iter().find(|(own, _)| *own == id);
                known.map_or(json!({}), |(_, trace)| json!({"trace": trace}))
            }
        };
        async { axum::Json(answer) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = connect(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async { axum::serve(listener, router).await });
    (client, asked)
}

/// `(id, parent, service, name, start in ms, duration in ms, failed)` as Tempo writes a trace.
fn otlp(spans: &[(&str, &str, &str, &str, u64, u64, bool)]) -> Value {
    let batch = |(id, parent, service, name, start, length, failed): &(
        &str,
        &str,
        &str,
        &str,
        u64,
        u64,
        bool,
    )| {
        let at = |ms: u64| format!("{}", 1_795_244_400_000_000_000 + ms * 1_000_000);
        let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        json!({"resource": {"attributes": [attribute("service.name", service), attribute("k8s.namespace.name", "shop")]},
            "scopeSpans": [{"spans": [{"spanId": id, "parentSpanId": parent, "name": name,
                "startTimeUnixNano": at(*start), "endTimeUnixNano": at(start + length),
                "status": if *failed { json!({"code": 2, "message": "no answer"}) } else { json!({}) }}]}]})
    };
    json!({"resourceSpans": spans.iter().map(batch).collect::<Vec<_>>()})
}

const SLOW: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const HEALTHY: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

#[tokio::test]
async fn a_trace_is_told_beside_a_healthy_one_of_the_same_operation() {
    let mut slow = vec![
        ("0000000000000001", "", "front", "GET /cart", 0, 1_000, true),
        ("0000000000000002", "0000000000000001", "cart", "Load", 10, 900, true),
        ("0000000000000003", "0000000000000002", "cart", "SELECT prices", 20, 60, false),
    ];
    let many: Vec<String> = (0..8).map(|n| format!("00000000000001{n:02}")).collect();
    for (n, id) in many.iter().enumerate() {
        slow.push((id.as_str(), "0000000000000002", "cart", "SELECT item", 100 + 90 * n as u64, 80, n == 7));
    }
    let healthy = [
        ("0000000000000001", "", "front", "GET /cart", 0, 100, false),
        ("0000000000000002", "0000000000000001", "cart", "Load", 10, 80, false),
        ("0000000000000003", "0000000000000002", "cart", "SELECT prices", 20, 50, false),
        ("0000000000000004", "0000000000000001", "front", "Render", 95, 4, false),
    ];
    let summary = |id: &str| {
        json!({"traceID": id, "rootServiceName": "front", "rootTraceName": "GET /cart",
        "startTimeUnixNano": "1795244000000000000", "durationMs": 100})
    };
    let found = json!([summary(SLOW), summary(HEALTHY)]);
    let (client, asked) = serving(vec![(SLOW, otlp(&slow)), (HEALTHY, otlp(&healthy))], found).await;
    let told = ask(&client, "tempo_trace", json!({"id": SLOW}), &bounds(&["shop"])).await.unwrap();
    insta::assert_snapshot!("beside", told.digest);
    assert_eq!(
        *asked.lock().unwrap(),
        [
            r#"{resource.k8s.namespace.name="shop" && resource.service.name="front" && name="GET /cart" && status!=error}"#
        ]
    );
    // Only itself was found: nothing to compare with, which is said.
    let (client, _) = serving(vec![(SLOW, otlp(&slow))], json!([summary(SLOW)])).await;
    let told = ask(&client, "tempo_trace", json!({"id": SLOW}), &bounds(&["shop"])).await.unwrap();
    let last = told.digest.lines().last().unwrap();
    assert_eq!(last, "no healthy trace of front GET /cart was found within 60 minutes");
}

proptest::proptest! {
    /// Any parents, in circles too, any times: it ends, is bounded, and says what it left out.
    #[test]
    fn any_spans_are_told_within_bounds(
        all in proptest::collection::vec((0..60_usize, proptest::option::of(0..70_usize), 0..5_000_u64, -3_000..3_000_i64, 0..3_u8), 0..120),
        other in proptest::collection::vec((0..60_usize, 0..5_000_u64), 0..20),
    ) {
        let made = |(id, parent, length, start, state): &(usize, Option<usize>, u64, i64, u8)| {
            let status = [Status::Unset, Status::Ok, Status::Error][usize::from(*state)];
            let mut one = span(*id, *parent, *length, status);
            one.started_at += chrono::TimeDelta::milliseconds(*start);
            one.service = format!("s{}", id % 4);
            one
        };
        let spans: Vec<Span> = all.iter().map(made).collect();
        let others: Vec<Span> = other.iter().map(|(id, length)| span(*id, None, *length, Status::Ok)).collect();
        let own = |span: &Span| span.namespace.as_deref() == Some("shop");
        let text = tree::digest(&spans, &own);
        proptest::prop_assert!(text.lines().count() <= 40, "{}", text);
        proptest::prop_assert!(spans.len() <= 30 || text.contains("left out: "), "{}", text);
        proptest::prop_assert_eq!(&text, &tree::digest(&spans, &own));
        let forest = path::Forest::new(&spans);
        proptest::prop_assert!(forest.own.iter().zip(&spans).all(|(own, span)| *own <= span.nanoseconds));
        proptest::prop_assert!(compare::compare(&spans, &others, "1", &own).lines().count() <= 8);
    }
}

#[test]
fn time_that_children_share_counts_once() {
    let ms = |at: i64| chrono::TimeDelta::milliseconds(at);
    let mut spans = vec![
        span(0, None, 100, Status::Ok),
        span(1, Some(0), 40, Status::Ok),
        span(2, Some(0), 40, Status::Ok),
    ];
    spans[1].started_at += ms(10);
    spans[2].started_at += ms(30);
    assert_eq!(path::Forest::new(&spans).own[0], 40_000_000, "they cover 10 to 70");
    // It goes on after its parent has ended, as what is not waited for does.
    spans[2].nanoseconds = 500_000_000;
    assert_eq!(path::Forest::new(&spans).own[0], 10_000_000);
    // All at once, as in a batch.
    spans.extend((3..9).map(|id| span(id, Some(0), 100, Status::Ok)));
    assert_eq!(path::Forest::new(&spans).own[0], 0);
}

#[test]
fn spans_of_other_namespaces_keep_their_place_only() {
    let spans = [
        span(0, None, 100, Status::Ok),
        span(1, Some(0), 90, Status::Error),
        span(2, Some(1), 80, Status::Error),
    ];
    let own = |span: &Span| span.namespace.as_deref() == Some("shop");
    let text = tree::digest(&spans, &own);
    assert_eq!(
        text,
        "began 2026-11-21T07:00:00.000Z\n+0 ms 100 ms (own 10 ms) s0 op (secret=a0)\n  +0 ms 90 ms (own 10 ms) FAILED (of another namespace)\n    \
         +0 ms 80 ms FAILED s2 op (secret=a2)\n"
    );
    assert_eq!(tree::full(&spans, &own), text);
}

#[test]
fn a_large_trace_shows_failures_the_slowest_and_what_leads_to_them() {
    let mut spans: Vec<Span> = (0..500).map(|id| span(id, (id > 0).then_some(0), 1, Status::Ok)).collect();
    spans[0].nanoseconds = 1_000_000_000;
    spans[300].parent = Some("200".to_owned());
    spans[300].status = Status::Error;
    spans[400].nanoseconds = 900_000_000;
    let text = tree::digest(&spans, &|_| true);
    for shown in [
        "+0 ms 1000 ms (own 100 ms) s0",
        "  +0 ms 1 ms (own 0.000 ms) s200",
        "    +0 ms 1 ms FAILED s300",
        "  +0 ms 900 ms s400",
    ] {
        assert!(text.contains(shown), "{text}");
    }
    assert!(text.contains(" of 500 spans, 0 of them failed") && text.lines().count() < 30, "{text}");
    assert_eq!(tree::full(&spans, &|_| true).lines().count(), 501);
}

#[test]
fn parents_in_a_circle_and_deep_traces_end() {
    let mut spans = vec![span(0, Some(1), 1, Status::Error), span(1, Some(0), 1, Status::Error)];
    assert_eq!(tree::full(&spans, &|_| true).lines().count(), 3);
    spans.extend((2..2000).map(|id| span(id, Some(id - 1), 1, Status::Error)));
    assert_eq!(tree::full(&spans, &|_| true).lines().count(), 2001);
    assert!(tree::digest(&spans, &|_| true).contains("left out: "));
}
