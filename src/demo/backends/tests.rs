//! The backends' stand-in against what real Prometheus, Loki and Tempo answered.

use super::*;

fn ask(backend: Backend, uri: &str) -> (u16, Value) {
    let stand_in = BackendStandIn::new(Recording::embedded().unwrap(), backend).unwrap();
    let url: Url = format!("http://localhost{uri}").parse().unwrap();
    let answer = stand_in.answer(&Asked::new(url.path(), url.query_pairs().into_owned()), "");
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_else(|_| text().into()))
}

/// Every recorded GET, sent again, gets what was recorded.
#[test]
fn each_recorded_request_is_answered_as_recorded() {
    let recording = Recording::embedded().unwrap();
    for backend in [Backend::Prometheus, Backend::Loki, Backend::Tempo] {
        let stand_in = BackendStandIn::new(recording, backend).unwrap();
        assert!(stand_in.recorded.len() > 20);
        for known in &stand_in.recorded {
            let answer = stand_in.answer(&known.asked, known.accept.as_deref().unwrap_or_default());
            assert_eq!(answer, known.answer, "{:?}", known.asked);
        }
    }
}

#[test]
fn the_same_question_at_another_time_gets_the_recorded_answer() {
    for (backend, uri, shape) in [
        (Backend::Prometheus, "/api/v1/query?query=up&time=1795244999", "/data/result/0/metric/job"),
        (Backend::Prometheus, "/api/v1/query?query=%20up%20", "/data/result/0/value/1"),
        (
            Backend::Prometheus,
            "/api/v1/query_range?query=up&start=1&end=2&step=15",
            "/data/result/0/values/0",
        ),
        (
            Backend::Loki,
            "/loki/api/v1/query_range?query=%7Bnamespace%3D%22prod-api%22%7D&limit=100&start=5",
            "/data/result/1/values/0",
        ),
        (Backend::Tempo, "/api/search?q=%7Bstatus%3Derror%7D&limit=5&start=1&end=2", "/traces/0/traceID"),
    ] {
        let (status, body) = ask(backend, uri);
        assert_eq!(status, 200, "{uri}");
        assert!(body.pointer(shape).is_some(), "{uri}: {body}");
    }
}

#[test]
fn what_was_never_recorded_is_empty_in_the_right_shape() {
    for (backend, uri, pointer, expected) in [
        (
            Backend::Prometheus,
            "/api/v1/query?query=nope",
            "/data",
            json!({"resultType": "vector", "result": []}),
        ),
        (
            Backend::Prometheus,
            "/api/v1/query_range?query=nope&start=1&end=2&step=1",
            "/data",
            json!({"resultType": "matrix", "result": []}),
        ),
        (Backend::Prometheus, "/api/v1/label/nope/values", "/data", json!([])),
        (
            Backend::Loki,
            "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D",
            "/data/resultType",
            json!("streams"),
        ),
        (
            Backend::Loki,
            "/loki/api/v1/query_range?query=rate(%7Ba%3D%22b%22%7D%5B1m%5D)",
            "/data/resultType",
            json!("matrix"),
        ),
        (Backend::Tempo, "/api/search?q=%7B%7D&limit=20", "/traces", json!([])),
    ] {
        let (status, body) = ask(backend, uri);
        assert_eq!((status, body.pointer(pointer)), (200, Some(&expected)), "{uri}");
    }
    assert_eq!(ask(Backend::Prometheus, "/nope").0, 404);
    assert_eq!(ask(Backend::Tempo, "/api/traces/00").0, 404);
}

#[test]
fn refusals_answer_what_was_refused_and_nothing_else() {
    assert_eq!(ask(Backend::Prometheus, "/api/v1/query?query=sum%28up").0, 400);
    assert_eq!(ask(Backend::Prometheus, "/api/v1/query?query=sum%28up&time=17").0, 400);
    assert_eq!(ask(Backend::Prometheus, "/api/v1/query").0, 400);
    // Recorded once with a step of zero, which is what was wrong with it.
    assert_eq!(ask(Backend::Prometheus, "/api/v1/query_range?query=up&start=1&end=2&step=9").0, 200);
}

#[test]
fn each_backend_says_that_it_is_well() {
    assert_eq!(ask(Backend::Prometheus, "/-/healthy").1, json!("Prometheus Server is Healthy.\n"));
    assert_eq!(ask(Backend::Loki, "/ready").1, json!("ready\n"));
    assert_eq!(ask(Backend::Tempo, "/ready").0, 200);
}

#[tokio::test]
async fn a_posted_form_is_read_like_a_query() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stand_in =
        Arc::new(BackendStandIn::new(Recording::embedded().unwrap(), Backend::Prometheus).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/query", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(Arc::clone(&stand_in).serve(listener, shutdown.clone()));
    let http =
        reqwest::Client::builder().timeout(std::time::Duration::from_secs(5)).no_proxy().build().unwrap();
    let answer = http.post(url).form(&[("query", "up")]).send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    assert!(body.pointer("/data/result/0/metric/job").is_some(), "{body}");
    assert_eq!(stand_in.requests(), 1);
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
