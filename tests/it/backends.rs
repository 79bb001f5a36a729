//! Prometheus, Loki and Tempo whose every answer carries texts that a test chose, and that keep each request.
//! Hand-made: the shapes are those of the recording, the content is the test's.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::house;

/// What a backend says to a request (method, path and decoded parameters).
pub type Texts = Arc<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// Within the window around the recorded alerts.
const SECOND: i64 = 1_795_244_700;
pub const NAMESPACE: &str = "shop";

#[derive(Clone)]
pub struct Backend {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
    texts: Texts,
    answer: fn(&str, &[String]) -> Option<Value>,
}

/// All three.
pub struct Backends {
    pub prometheus: Backend,
    pub loki: Backend,
    pub tempo: Backend,
}

impl Backends {
    pub async fn start(texts: Texts) -> Self {
        Self {
            prometheus: Backend::start(Arc::clone(&texts), prometheus).await,
            loki: Backend::start(Arc::clone(&texts), loki).await,
            tempo: Backend::start(texts, tempo).await,
        }
    }

    /// What points a service at them.
    pub fn settings(&self) -> house::Adjust {
        let urls = [&self.prometheus, &self.loki, &self.tempo].map(|one| one.url.clone());
        Box::new(move |settings| {
            let [prometheus, loki, tempo] = urls;
            settings.prometheus.url = Some(prometheus);
            settings.loki.url = Some(loki);
            settings.tempo.url = Some(tempo);
        })
    }

    /// Every request to any of them.
    pub fn asked(&self) -> Vec<String> {
        [&self.prometheus, &self.loki, &self.tempo].into_iter().flat_map(Backend::asked).collect()
    }
}

impl Backend {
    async fn start(texts: Texts, answer: fn(&str, &[String]) -> Option<Value>) -> Self {
        let (listener, url) = house::listen().await;
        let backend = Self { url, asked: Arc::default(), texts, answer };
        let router = Router::new().fallback(receive).with_state(backend.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        backend
    }

    /// `GET /loki/api/v1/query_range query={…}&start=…`, decoded.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn receive(State(backend): State<Backend>, method: Method, uri: Uri, body: Bytes) -> Response {
    let query = format!("{}&{}", uri.query().unwrap_or_default(), String::from_utf8_lossy(&body));
    let url: reqwest::Url = format!("http://x/?{query}").parse().unwrap();
    let pairs: Vec<String> = url.query_pairs().map(|(key, value)| format!("{key}={value}")).collect();
    let asked = format!("{method} {} {}", uri.path(), pairs.join("&"));
    let texts = (backend.texts)(&asked);
    backend.asked.lock().unwrap().push(asked);
    match (backend.answer)(uri.path(), &texts) {
        Some(answer) => axum::Json(answer).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn success(data: &Value) -> Option<Value> {
    Some(json!({"status": "success", "data": data}))
}

/// Each text as the name of a metric, and as a label's value.
fn metric(text: &str) -> Value {
    json!({"__name__": text, "namespace": NAMESPACE, "pod": "planted-0", "message": text})
}

fn prometheus(path: &str, texts: &[String]) -> Option<Value> {
    let each = |one: &dyn Fn(&String) -> Value| Value::from(texts.iter().map(one).collect::<Vec<_>>());
    match path {
        "/api/v1/query" => success(&json!({"resultType": "vector", "result":
            each(&|text| json!({"metric": metric(text), "value": [SECOND, "1"]}))})),
        "/api/v1/query_range" => success(&json!({"resultType": "matrix", "result":
            each(&|text| json!({"metric": metric(text), "values": [[SECOND, "1"], [SECOND + 60, "2"]]}))})),
        "/api/v1/series" => success(&each(&|text| metric(text))),
        "/api/v1/labels" => success(&json!(["__name__", "namespace", "pod", "message"])),
        "/api/v1/metadata" => {
            let help: Vec<Value> =
                texts.iter().map(|text| json!({"type": "gauge", "help": text, "unit": ""})).collect();
            success(&json!({"up": help}))
        }
        "/api/v1/rules" => {
            let labels = |text: &String| json!({"namespace": NAMESPACE, "message": text});
            let alert = |text: &String| {
                json!({"labels": labels(text), "annotations": {}, "state": "firing", "value": "1",
                       "activeAt": "2026-11-21T07:03:19Z"})
            };
            success(&json!({"groups": [{"name": "planted", "file": "f", "rules": [{
                "type": "alerting", "name": "Planted", "query": "up == 0", "duration": 60, "state": "firing",
                "health": "ok", "labels": {"severity": "page"}, "alerts": each(&alert),
                "annotations": {"summary": texts.first(), "description": texts.last()}}]}]}))
        }
        "/api/v1/alerts" => success(&json!({"alerts": []})),
        "/-/ready" => Some(json!("ok")),
        _ => path.ends_with("/values").then(|| success(&each(&|text| json!(text))))?,
    }
}

fn loki(path: &str, texts: &[String]) -> Option<Value> {
    match path {
        "/loki/api/v1/query_range" => {
            let streams: Vec<Value> = texts
                .iter()
                .enumerate()
                .map(|(number, text)| {
                    let nanos = (SECOND * 1_000_000_000 + number as i64).to_string();
                    json!({"stream": {"namespace": NAMESPACE, "pod": "planted-0", "container": "app", "app": text},
                           "values": [[nanos, format!("ERROR: {text}")]]})
                })
                .collect();
            success(&json!({"resultType": "streams", "result": streams, "stats": {}}))
        }
        "/loki/api/v1/query" => success(&json!({"resultType": "vector", "result": []})),
        "/loki/api/v1/labels" => success(&json!(["namespace", "pod", "container", "app"])),
        "/ready" => Some(json!("ready")),
        _ => path.ends_with("/values").then(|| success(&json!(texts)))?,
    }
}

fn tempo(path: &str, texts: &[String]) -> Option<Value> {
    let nanos = (SECOND * 1_000_000_000).to_string();
    let end = (SECOND * 1_000_000_000 + 950_000_000).to_string();
    match path {
        "/api/search" => {
            let spans: Vec<Value> = texts
                .iter()
                .map(|text| json!({"spanID": "2c018a28dc32675f", "name": text, "durationNanos": "950000000"}))
                .collect();
            Some(
                json!({"traces": [{"traceID": "4a8a534e239640056a09c6654bbe8103", "rootServiceName": "planted",
                "rootTraceName": "GET /", "startTimeUnixNano": nanos, "durationMs": 950,
                "spanSet": {"spans": spans, "matched": texts.len()}}], "metrics": {}}),
            )
        }
        _ if path.starts_with("/api/v2/traces/") => {
            let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
            let spans: Vec<Value> = texts
                .iter()
                .enumerate()
                .map(|(number, said)| {
                    json!({"traceId": "SopTTiOWQAVqCcZlS76BAw==", "spanId": format!("LAGKKNw{number:04}="),
                           "name": said, "kind": "SPAN_KIND_SERVER", "startTimeUnixNano": nanos,
                           "endTimeUnixNano": end, "attributes": [text("http.route", said)],
                           "status": {"code": "STATUS_CODE_ERROR", "message": said}})
                })
                .collect();
            let resource = [text("k8s.namespace.name", NAMESPACE), text("service.name", "planted")];
            Some(json!({"trace": {"resourceSpans": [{"resource": {"attributes": resource},
                "scopeSpans": [{"scope": {"name": "lab"}, "spans": spans}]}]}}))
        }
        "/ready" => Some(json!("ready")),
        _ => None,
    }
}
