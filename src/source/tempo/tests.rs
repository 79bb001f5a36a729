//! Tempo's recorded answers come in through the stand-in; typed spans, refusals and bounds are asserted.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use proptest::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::demo::{Backend, BackendStandIn, Fault, Recording};

const FAILED: &str = "4a8a534e239640056a09c6654bbe8103";
const WELL: &str = "52080ba60b0fb07b0182c52d70162fc9";

fn tempo(url: String) -> Tempo {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let settings = HttpSource { url: Some(url), timeout_secs: 1, ..HttpSource::default() };
    Tempo::new(http, &settings).unwrap().unwrap()
}

/// The recorded Tempo, with faults by parts of paths.
async fn recorded(faults: &[(&'static str, Fault)]) -> Tempo {
    let stand_in = Arc::new(BackendStandIn::new(Recording::embedded().unwrap(), Backend::Tempo).unwrap());
    for (part, fault) in faults {
        stand_in.faults().inject(*part, *fault);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(stand_in.serve(listener, CancellationToken::new()));
    tempo(url)
}

/// A Tempo that answers everything the same.
async fn scripted(status: StatusCode, body: String) -> Tempo {
    let app = Router::new().fallback(move || async move { (status, body).into_response() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    tempo(url)
}

fn window() -> (DateTime<Utc>, DateTime<Utc>) {
    let at = |secs| DateTime::from_timestamp(secs, 0).unwrap();
    (at(1_795_241_245), at(1_795_244_845))
}

#[tokio::test]
async fn failed_traces_are_found_with_the_spans_that_match() {
    let tempo = recorded(&[]).await;
    let traceql = selector(&[Condition::Failed]);
    let found = tempo.search(&Search::TraceQl(&traceql), window(), 5).await.unwrap();
    assert_eq!(
        found.query,
        "GET /api/search?q=%7Bstatus%3Derror%7D&limit=5&start=1795241245&end=1795244845&spss=3"
    );
    assert_eq!(found.traces.len(), 5);
    let first = &found.traces[0];
    assert_eq!((first.id.as_str(), first.root_service.as_str()), (FAILED, "api-gateway"));
    assert_eq!((first.root_name.as_str(), first.milliseconds, first.matched), ("POST /checkout", 950, 2));
    assert_eq!(first.started_at.unwrap().to_rfc3339(), "2026-11-21T07:06:12.067680256+00:00");
    assert_eq!(first.spans[1].nanoseconds, 800_000_000);
    assert_eq!(first.spans[1].attributes["status"], "error");
}

#[tokio::test]
async fn services_durations_and_tags_are_searched() {
    let tempo = recorded(&[]).await;
    let ids = async |search: Search<'_>| {
        let found = tempo.search(&search, window(), 3).await.unwrap();
        found.traces.into_iter().map(|trace| trace.id).collect::<Vec<_>>()
    };
    let service = selector(&[Condition::Is("resource.service.name", "payment-service")]);
    assert_eq!(service, "{resource.service.name=\"payment-service\"}");
    assert_eq!(ids(Search::TraceQl(&service)).await[0], WELL);
    let slow = selector(&[Condition::SlowerThan(Duration::from_millis(500))]);
    assert_eq!(ids(Search::TraceQl(&slow)).await.len(), 3);
    let tags = ids(Search::Tags(&[("service.name", "auth-service")])).await;
    assert_eq!(tags[0], "ad0af3b48c72c355c972cab6ef86666b");
    let nobody = selector(&[Condition::Is("resource.service.name", "nope")]);
    assert!(ids(Search::TraceQl(&nobody)).await.is_empty());
}

#[tokio::test]
async fn a_trace_comes_out_as_spans_with_their_parents_and_errors() {
    let tempo = recorded(&[]).await;
    let trace = tempo.trace(FAILED).await.unwrap().unwrap();
    assert_eq!(trace.query, format!("GET /api/v2/traces/{FAILED}"));
    assert_eq!((trace.spans.len(), trace.omitted, trace.partial.clone()), (2, 0, None));
    let [root, child] = trace.spans.as_slice() else { panic!("two spans") };
    assert_eq!((root.id.as_str(), root.parent.clone()), ("2c018a28dc32675f", None));
    assert_eq!(child.parent.as_deref(), Some("2c018a28dc32675f"));
    assert_eq!((root.service.as_str(), root.namespace.as_deref()), ("api-gateway", Some("prod-api")));
    assert_eq!((root.name.as_str(), root.kind.as_str()), ("POST /checkout", "server"));
    assert_eq!((child.kind.as_str(), child.nanoseconds), ("client", 800_000_000));
    assert_eq!(child.started_at.timestamp_nanos_opt(), Some(1_795_244_772_077_680_256));
    assert_eq!((root.status, root.attributes["http.response.status_code"].as_str()), (Status::Error, "503"));
    assert_eq!(root.attributes["k8s.deployment.name"], "api-gateway");
    assert!(!root.attributes.contains_key("deployment.environment"));
    assert_eq!(child.status_message, "dial tcp 10.96.12.7:80: connect: connection refused");
    assert_eq!(child.exceptions, ["ConnectionError: dial tcp 10.96.12.7:80: connect: connection refused"]);
}

#[tokio::test]
async fn an_older_tempo_is_asked_by_version_1_and_says_the_same() {
    let new = recorded(&[]).await.trace(FAILED).await.unwrap().unwrap();
    let old = recorded(&[("/api/v2/", Fault::Status(404))]).await;
    let trace = old.trace(FAILED).await.unwrap().unwrap();
    assert_eq!(trace.query, format!("GET /api/traces/{FAILED}"));
    assert_eq!(trace.spans, new.spans);
    // Spans of three services, each after its parent.
    let well = old.trace(WELL).await.unwrap().unwrap();
    let names: Vec<(&str, &str)> =
        well.spans.iter().map(|span| (span.service.as_str(), span.name.as_str())).collect();
    assert_eq!(
        names,
        [
            ("api-gateway", "POST /checkout"),
            ("api-gateway", "auth.Verify"),
            ("auth-service", "Verify"),
            ("api-gateway", "payment.Charge"),
            ("payment-service", "Charge"),
        ]
    );
    assert!(well.spans.iter().all(|span| span.status == Status::Ok));
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_is_wrong_is_said() {
    let unknown = "0123456789abcdef0123456789abcdef";
    assert!(recorded(&[]).await.trace(unknown).await.unwrap().is_none());
    let old = recorded(&[("/api/v2/", Fault::Status(404))]).await;
    assert!(old.trace(unknown).await.unwrap().is_none());
    for id in ["", "zzz", "../../ready", "0123456789abcdef0123456789abcdef0"] {
        assert!(matches!(old.trace(id).await, Err(Error::BadQuery { status: 400, .. })), "{id}");
    }
    let tempo = recorded(&[("/api/v2/", Fault::Status(503))]).await;
    assert!(matches!(tempo.trace(FAILED).await, Err(Error::Unavailable(_))));
    let wrong = tempo.search(&Search::TraceQl("{status="), window(), 5).await;
    let Err(Error::BadQuery { status: 400, message }) = wrong else { panic!("{wrong:?}") };
    assert!(message.contains("parse error at line 1"), "{message}");
}

#[tokio::test]
async fn it_says_its_version_and_that_it_is_ready() {
    let tempo = recorded(&[]).await;
    tempo.ready().await.unwrap();
    assert_eq!(tempo.version().await.unwrap(), "main-ad33aa8");
    let starting = scripted(StatusCode::SERVICE_UNAVAILABLE, "Ingester not ready".to_owned()).await;
    assert!(matches!(starting.ready().await, Err(Error::Unavailable(text)) if text.contains("not ready")));
    let settings = HttpSource::default();
    assert!(Tempo::new(reqwest::Client::builder().build().unwrap(), &settings).unwrap().is_none());
}

#[tokio::test]
async fn a_huge_trace_is_bounded_and_says_so() {
    let spans: Vec<serde_json::Value> = (0..2_100u64)
        .rev()
        .map(|number| {
            let attributes: Vec<serde_json::Value> = (0..100)
                .map(|index| json!({"key": format!("a{index:03}"), "value": {"intValue": index}}))
                .collect();
            json!({"spanId": format!("{number:016x}"), "name": "n".repeat(600), "kind": 2,
                "startTimeUnixNano": 1_000 + number, "endTimeUnixNano": "0", "status": {"code": 2},
                "attributes": if number == 0 { attributes } else { Vec::new() }})
        })
        .collect();
    let body = json!({"status": "PARTIAL", "message": "trace exceeds max size",
        "trace": {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}, {}]}});
    let trace = scripted(StatusCode::OK, body.to_string()).await.trace("a1").await.unwrap().unwrap();
    assert_eq!((trace.spans.len(), trace.omitted), (2_000, 100));
    assert_eq!(trace.partial.as_deref(), Some("trace exceeds max size"));
    let first = &trace.spans[0];
    assert_eq!((first.id.as_str(), first.attributes.len()), ("0000000000000000", 32));
    assert_eq!((first.nanoseconds, first.kind.as_str(), first.status), (0, "server", Status::Error));
    assert_eq!((first.name.chars().count(), first.service.as_str()), (513, ""));
}

#[tokio::test]
async fn garbage_is_unavailable_not_a_trace() {
    for body in ["", "[]", "<html>", r#"{"trace":{"resourceSpans":7}}"#] {
        let tempo = scripted(StatusCode::OK, body.to_owned()).await;
        let answer = tempo.trace(FAILED).await;
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{body}: {answer:?}");
    }
}

proptest! {
    #[test]
    fn a_value_cannot_leave_its_condition(value in any::<String>()) {
        let text = selector(&[Condition::Is("span.http.route", &value), Condition::Failed]);
        let inside = text.strip_prefix("{span.http.route=").unwrap().strip_suffix(" && status=error}").unwrap();
        prop_assert_eq!(inside, quote(&value));
    }
}

#[test]
fn queries_are_written_as_tempo_reads_them() {
    assert_eq!(selector(&[]), "{}");
    assert_eq!(
        selector(&[Condition::Is("span.http.route", "/a\"} || {"), Condition::Failed]),
        r#"{span.http.route="/a\"} || {" && status=error}"#
    );
    assert_eq!(
        logfmt(&[("a", "b-c"), ("d", "e f"), ("g", ""), ("h", "x\" i=j")]),
        r#"a=b-c d="e f" g="" h="x\" i=j""#
    );
}
