//! The whole way from request to alerts, with bodies that mean no good.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use proptest::prelude::*;

use super::*;
use crate::alert::Status;

#[tokio::test]
async fn an_unauthenticated_body_is_never_polled() {
    for authorization in [None, Some("Bearer bad"), Some("Basic Z29vZDpnb29k")] {
        let (body, polled) = counted(Bytes::from_static(b"{}"), 3);
        let mut request = request(body);
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        let rejection = receive(&guarded(), Source::Alertmanager, request).await.unwrap_err();
        let response = rejection.into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="whodunit""#);
        assert_eq!(polled.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn an_authenticated_body_is_read() {
    let mut request = request(group_of(2));
    request.headers_mut().insert(header::AUTHORIZATION, "Bearer good".parse().unwrap());
    assert_eq!(receive(&guarded(), Source::Alertmanager, request).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_rejection_is_a_problem_document() {
    let response = post(r#"{"alerts":[{"labels":"x"}]}"#).await.unwrap_err().into_response();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
    insta::assert_json_snapshot!(serde_json::from_slice::<Value>(&body).unwrap(), @r#"
    {
      "detail": "alerts[0].labels: invalid type: string \"x\", expected a map at line 1 column 24",
      "status": 400,
      "title": "Bad Request",
      "type": "about:blank"
    }
    "#);
}

#[tokio::test]
async fn a_100_megabyte_stream_is_left_at_the_limit() {
    let (body, polled) = counted(Bytes::from(vec![b' '; 1 << 20]), 100);
    assert_eq!(post(body).await, Err(Rejection::TooLarge));
    assert_eq!(polled.load(Ordering::Relaxed), 17);

    let (body, polled) = counted(Bytes::from_static(b"{}"), 1);
    let mut request = request(body);
    request.headers_mut().insert(header::CONTENT_LENGTH, (100 << 20).into());
    assert_eq!(receive(&open(), Source::Alertmanager, request).await, Err(Rejection::TooLarge));
    assert_eq!(polled.load(Ordering::Relaxed), 0, "the announced length is enough");
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_accepted() {
    let mut body = br#"{"alerts":[{}]}"#.to_vec();
    body.resize(MAX_BODY_BYTES, b' ');
    assert_eq!(post(body).await.unwrap().len(), 1);
}

#[tokio::test]
async fn gzip_is_unpacked_up_to_a_limit_and_other_encodings_are_refused() {
    let send = |body: Vec<u8>, encoding: &str| {
        let mut request = request(body);
        request.headers_mut().insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        async move { receive(&open(), Source::Alertmanager, request).await }
    };
    let plain = group_of(3).into_bytes();
    assert_eq!(send(gzip(&plain), "gzip").await.unwrap().len(), 3);
    assert_eq!(send(plain.clone(), "identity").await.unwrap().len(), 3);
    assert!(matches!(send(plain.clone(), "gzip").await, Err(Rejection::Malformed(_))));
    let packed = gzip(&plain);
    assert!(matches!(send(packed[..packed.len() / 2].to_vec(), "gzip").await, Err(Rejection::Malformed(_))));
    assert_eq!(send(plain, "br").await, Err(Rejection::UnsupportedEncoding("br".to_owned())));
    let refused = send(Vec::new(), "gzip, gzip").await.unwrap_err().into_response();
    assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let member = gzip(&vec![0; 16 << 20]);
    let bomb = member.repeat(64);
    assert!(bomb.len() < 6 << 20, "{}", bomb.len());
    let started = Instant::now();
    assert_eq!(send(bomb, "gzip").await, Err(Rejection::TooLarge));
    assert!(started.elapsed() < Duration::from_secs(5), "it stopped at the limit, not after 1 GiB");
}

#[tokio::test]
async fn a_slow_or_broken_body_can_be_sent_again() {
    let soon = tokio::time::Instant::now() + Duration::from_millis(30);
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
    let slow = body::read(&HeaderMap::new(), never, soon).await.err().unwrap();
    assert_eq!(slow, Rejection::TooSlow);
    let response = slow.into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");

    let chunks = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))];
    assert_eq!(post(Body::from_stream(futures::stream::iter(chunks))).await, Err(Rejection::Interrupted));
}

#[tokio::test]
async fn ten_thousand_alerts_in_one_body_are_all_read() {
    let alerts = post(group_of(10_000)).await.unwrap();
    assert_eq!(alerts.len(), 10_000);
    let distinct: std::collections::BTreeSet<&str> =
        alerts.iter().map(|alert| alert.fingerprint.as_str()).collect();
    assert_eq!(distinct.len(), 10_000);
    assert_eq!(alerts[9_999].labels["pod"], "p9999");
}

#[test]
fn more_alerts_than_memory_allows_are_refused() {
    let body = |alerts: usize| format!(r#"{{"alerts":[{}]}}"#, vec!["{}"; alerts].join(","));
    assert_eq!(parse(Source::Alertmanager, body(MAX_ALERTS).as_bytes(), now()).unwrap().len(), MAX_ALERTS);
    assert!(
        fault(Source::Alertmanager, &body(MAX_ALERTS + 1)).starts_with("alerts: more than 50000 entries")
    );
}

#[test]
fn json_a_hundred_thousand_levels_deep_is_a_clean_400() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let body = format!(r#"{{"alerts":[],"x":{}1{}}}"#, open.repeat(100_000), close.repeat(100_000));
        assert_eq!(fault(Source::Alertmanager, &body), "nested deeper than 64 levels");
    }
}

#[test]
fn text_that_postgres_cannot_hold_is_replaced_and_the_rest_kept() {
    let body = b"{\"alerts\":[{\"labels\":{\"a\\u0000b\":\"x\\u0000\\ud800y\",\"raw\":\"p\0q\xff\",\"path\":\"C:\\\\u0000\"}}]}";
    let alert = one(Source::Alertmanager, body);
    let labels: Vec<(&str, &str)> = alert.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        labels,
        [("a\u{fffd}b", "x\u{fffd}\u{fffd}y"), ("path", "C:\\u0000"), ("raw", "p\u{fffd}q\u{fffd}")]
    );
}

#[test]
fn the_last_of_equal_keys_wins_at_every_level() {
    let alert = one(
        Source::Alertmanager,
        br#"{"status":"resolved","alerts":[],"alerts":[{"labels":{"x":"1"},"labels":{"a":"1","a":"2"},
            "status":"resolved","status":"firing"}],"receiver":"one","receiver":"two"}"#,
    );
    assert_eq!(alert.labels, BTreeMap::from([("a".to_owned(), "2".to_owned())]));
    assert_eq!((alert.status, alert.receiver.as_str()), (Status::Firing, "two"));
}

#[test]
fn absurd_numbers_are_no_reason_to_refuse() {
    let body = r#"{"alerts":[{"labels":{"n":1e999999},"values":{"B":-1e999999}}],"orgId":1e999999,
        "truncatedAlerts":1e999999}"#;
    let alert = one(Source::Grafana, body.as_bytes());
    assert_eq!((alert.label("n"), alert.truncated_alerts), (None, 0));
}

#[test]
fn four_megabytes_of_hostile_json_are_judged_within_seconds() {
    for piece in ["[],", "1e9,", r#""\u0000","#, "{},", "\\", "\"", "9"] {
        let body = format!(r#"{{"alerts":[{{}}],"x":[{}1]}}"#, piece.repeat((4 << 20) / piece.len()));
        let started = Instant::now();
        let _ = parse(Source::Alertmanager, body.as_bytes(), now());
        assert!(started.elapsed() < Duration::from_secs(5), "{piece}: {:?}", started.elapsed());
    }
}

fn holds_no_nul(alert: &Alert) -> bool {
    !serde_json::to_string(alert).unwrap().contains("\\u0000")
}

/// A recorded body with some bytes changed: close enough to parse often, wrong enough to hurt.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let bodies: Vec<Vec<u8>> = [
        "alertmanager/008-firing-KubeContainerWaiting-n4.json",
        "robusta/handmade-flat-firing.json",
        "robusta/handmade-dict-firing.json",
        "grafana/handmade-firing.json",
    ]
    .map(fixture)
    .into();
    let edit = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4));
    (prop::sample::select(bodies), prop::collection::vec(edit, 0..6)).prop_map(|(mut body, edits)| {
        for (index, bytes) in edits {
            let start = index.index(body.len());
            body.splice(start..(start + 1).min(body.len()), bytes);
        }
        body
    })
}

proptest! {
    #[test]
    fn no_body_makes_a_parser_panic_or_lets_nul_through(
        bytes in prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..200)],
        source in prop::sample::select(vec![Source::Alertmanager, Source::Robusta, Source::Grafana]),
    ) {
        if let Ok(alerts) = parse(source, &bytes, now()) {
            for alert in &alerts {
                prop_assert!(holds_no_nul(alert));
                prop_assert!(!alert.fingerprint.is_empty() && alert.fingerprint.len() <= 128);
                let text = serde_json::to_string(alert).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Alert>(&text).unwrap(), alert);
            }
        }
    }

    #[test]
    fn any_labels_come_through_as_they_were_sent(
        labels in prop::collection::btree_map("[^\0]{0,12}", "[^\0]{0,40}", 0..8),
    ) {
        let alerts = alertmanager(&json!({"alerts": [{"labels": labels}]}));
        prop_assert_eq!(&alerts[0].labels, &labels);
        prop_assert_eq!(&alerts[0].fingerprint, &fingerprint::of_labels(&labels));
    }
}
