//! Prometheus, Loki and Tempo over the recording: a recorded request gets its recorded answer, times and
//! limits aside; any other valid one gets an empty result of the right shape. Nothing is computed here.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::recording::Recording;
use super::serve::{Faults, serve};

/// Largest form that a query may be posted in, in bytes.
const MAX_FORM_BYTES: usize = 1024 * 1024;

/// Parameters that say what is asked; the others (times, steps, limits) say how much of it.
const WHAT: [&str; 7] = ["query", "q", "match[]", "tags", "metric", "type", "state"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Prometheus,
    Loki,
    Tempo,
}

impl Backend {
    fn folder(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus/",
            Self::Loki => "loki/",
            Self::Tempo => "tempo/",
        }
    }
}

/// What a backend that is described says to queries that contain a text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    pub contains: String,
    /// The answer's `data`.
    pub result: Value,
}

/// One recorded backend. Build it, keep the `Arc`, spawn `serve`.
pub struct BackendStandIn {
    backend: Backend,
    recorded: Vec<Recorded>,
    said: Vec<Said>,
    faults: Faults,
    requests: AtomicU64,
}

#[derive(Debug, Deserialize)]
struct File {
    request: FileRequest,
    status: u16,
    content_type: Option<String>,
    body: Option<Value>,
    body_text: Option<String>,
    /// A sibling file with the bytes, where they are not text.
    body_file: Option<String>,
}

#[derive(Debug, Deserialize)]
struct FileRequest {
    method: String,
    url: String,
    accept: Option<String>,
}

struct Recorded {
    asked: Asked,
    accept: Option<String>,
    answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(value: &Value) -> Self {
        Self {
            status: 200,
            content_type: "application/json".to_owned(),
            body: value.to_string().into_bytes(),
        }
    }
}

/// A request reduced to what decides its answer.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    path: String,
    parameters: BTreeSet<(String, String)>,
}

impl Asked {
    fn new(path: &str, pairs: impl Iterator<Item = (String, String)>) -> Self {
        // Spacing means nothing in PromQL, LogQL and TraceQL.
        let normal = |value: String| value.split_whitespace().collect::<Vec<_>>().join(" ");
        let parameters = pairs.map(|(key, value)| (key, normal(value))).collect();
        Self { path: path.to_owned(), parameters }
    }

    fn what(&self) -> BTreeSet<&(String, String)> {
        self.parameters.iter().filter(|(key, _)| WHAT.contains(&key.as_str())).collect()
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl BackendStandIn {
    pub fn new(recording: &Recording, backend: Backend) -> Result<Self> {
        let mut recorded = Vec::new();
        for (name, content) in recording.under(backend.folder()).filter(|(name, _)| name.ends_with(".json")) {
            let file: File = serde_json::from_slice(content).with_context(|| format!("reading {name}"))?;
            // What was posted was not recorded, so nothing can be matched to it.
            if file.request.method == "GET" {
                recorded.push(load(recording, backend, file).with_context(|| format!("reading {name}"))?);
            }
        }
        Ok(Self::of(backend, recorded, Vec::new()))
    }

    /// A backend that is described: the first text that a query contains decides, or the path of what is no query; others
    /// get an empty result.
    pub fn describing(backend: Backend, said: Vec<Said>) -> Self {
        Self::of(backend, Vec::new(), said)
    }

    fn of(backend: Backend, recorded: Vec<Recorded>, said: Vec<Said>) -> Self {
        Self { backend, recorded, said, faults: Faults::default(), requests: AtomicU64::new(0) }
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Requests received so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Serves on a loopback listener until `shutdown`.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        serve(listener, Router::new().fallback(receive).with_state(self), shutdown).await
    }

    fn answer(&self, asked: &Asked, accept: &str) -> Answer {
        // What is no query is known by its path.
        let query = asked.value("query").unwrap_or(&asked.path);
        let said = self.said.iter().find(|said| query.contains(&said.contains));
        if let Some(said) = said {
            return Answer::json(&json!({"status": "success", "data": said.result}));
        }
        self.find(asked, accept).cloned().unwrap_or_else(|| nothing(self.backend, asked))
    }

    /// The same request; else one that asks the same of another time. A refusal answers only what was
    /// refused, unless nothing but the question can have been its reason.
    fn find(&self, asked: &Asked, accept: &str) -> Option<&Answer> {
        let same_path = || {
            let all = self.recorded.iter().filter(|known| known.asked.path == asked.path);
            all.filter(|known| known.accept.as_deref().is_none_or(|wanted| accept.contains(wanted)))
        };
        let exact = same_path().filter(|known| known.asked == *asked);
        if let Some(known) = exact.max_by_key(|known| known.accept.is_some()) {
            return Some(&known.answer);
        }
        let what = asked.what();
        let similar = same_path().filter(|known| known.asked.what() == what);
        let usable = similar.filter(|known| {
            known.answer.status < 400 || known.asked.parameters.len() == known.asked.what().len()
        });
        let shared = |known: &Recorded| known.asked.parameters.intersection(&asked.parameters).count();
        let best =
            usable.max_by_key(|known| (known.answer.status < 400, shared(known), known.answer.body.len()));
        best.map(|known| &known.answer)
    }
}

fn load(recording: &Recording, backend: Backend, file: File) -> Result<Recorded> {
    let url: Url = file.request.url.parse()?;
    let body = match (file.body, file.body_text, file.body_file) {
        (Some(body), _, _) => body.to_string().into_bytes(),
        (_, Some(text), _) => text.into_bytes(),
        (_, _, Some(name)) => {
            let name = format!("{}{name}", backend.folder());
            recording.file(&name).with_context(|| format!("the recording has no {name}"))?.to_vec()
        }
        _ => Vec::new(),
    };
    let content_type = file.content_type.unwrap_or_default();
    let asked = Asked::new(url.path(), url.query_pairs().into_owned());
    Ok(Recorded {
        asked,
        accept: file.request.accept,
        answer: Answer { status: file.status, content_type, body },
    })
}

/// A valid answer that holds nothing.
fn nothing(backend: Backend, asked: &Asked) -> Answer {
    let path = asked.path.as_str();
    let result = |kind: &str| json!({"status": "success", "data": {"resultType": kind, "result": []}});
    let value = match backend {
        Backend::Prometheus => match path {
            "/api/v1/query" => result("vector"),
            "/api/v1/query_range" => result("matrix"),
            "/api/v1/series" | "/api/v1/labels" => json!({"status": "success", "data": []}),
            "/api/v1/alerts" => json!({"status": "success", "data": {"alerts": []}}),
            "/api/v1/rules" => json!({"status": "success", "data": {"groups": []}}),
            "/api/v1/targets" => json!({"status": "success", "data": {"activeTargets": []}}),
            "/api/v1/metadata" => json!({"status": "success", "data": {}}),
            _ if is_label_values(path, "/api/v1/label/") => json!({"status": "success", "data": []}),
            _ => return not_found(),
        },
        Backend::Loki => match path {
            "/loki/api/v1/query_range"
                if asked.value("query").is_some_and(|query| query.starts_with('{')) =>
            {
                json!({"status": "success", "data": {"resultType": "streams", "result": [], "stats": {}}})
            }
            "/loki/api/v1/query_range" => result("matrix"),
            "/loki/api/v1/query" => result("vector"),
            "/loki/api/v1/series" => json!({"status": "success", "data": []}),
            // Loki leaves `data` out when there is none.
            "/loki/api/v1/labels" => json!({"status": "success"}),
            "/loki/api/v1/index/stats" => json!({"streams": 0, "chunks": 0, "bytes": 0, "entries": 0}),
            _ if is_label_values(path, "/loki/api/v1/label/") => json!({"status": "success"}),
            _ => return not_found(),
        },
        Backend::Tempo => match path {
            "/api/search" => {
                json!({"traces": [], "metrics": {"inspectedBytes": "0", "completedJobs": 1, "totalJobs": 1}})
            }
            "/api/search/tags" => json!({"tagNames": []}),
            "/api/v2/search/tags" => json!({"scopes": []}),
            "/api/metrics/query" | "/api/metrics/query_range" => json!({"series": [], "metrics": {}}),
            _ if is_label_values(path, "/api/search/tag/") => json!({"tagValues": []}),
            _ if is_label_values(path, "/api/v2/search/tag/") => json!({"tagValues": []}),
            _ if path.starts_with("/api/v2/traces/") => json!({"trace": {}, "metrics": {}}),
            _ if path.starts_with("/api/traces/") => {
                return Answer { status: 404, content_type: String::new(), body: Vec::new() };
            }
            _ => return not_found(),
        },
    };
    Answer::json(&value)
}

fn is_label_values(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix("/values"))
        .is_some_and(|name| !name.contains('/'))
}

fn not_found() -> Answer {
    let content_type = "text/plain; charset=utf-8".to_owned();
    Answer { status: 404, content_type, body: b"404 page not found\n".to_vec() }
}

async fn receive(State(stand_in): State<Arc<BackendStandIn>>, request: Request) -> Response {
    stand_in.requests.fetch_add(1, Ordering::Relaxed);
    let uri = request.uri().clone();
    let path_and_query = uri.path_and_query().map_or("/", |uri| uri.as_str());
    if let Some(code) = stand_in.faults.meet(path_and_query).await {
        return StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
    }
    let headers = request.headers();
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut query = uri.query().unwrap_or_default().to_owned();
    // Long queries are posted as a form; it adds to what the address says.
    if request.method() == Method::POST {
        let Ok(form) = to_bytes(request.into_body(), MAX_FORM_BYTES).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        query = format!("{query}&{}", String::from_utf8_lossy(&form));
    }
    let Ok(url) = format!("http://localhost{}?{query}", uri.path()).parse::<Url>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let answer = stand_in.answer(&Asked::new(url.path(), url.query_pairs().into_owned()), &accept);
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = answer.content_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}
