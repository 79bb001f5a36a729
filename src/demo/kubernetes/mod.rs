//! A Kubernetes API over the recording: a GET comes in, what the recorded API server would answer goes
//! out, with the cluster's own clock in the `Date` header. It serves no write and no watch, and counts the
//! attempts, so that tests can say: nobody tried.

mod access;
mod described;
mod list;
mod log;
mod objects;
mod selector;
mod status;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::described::Described;
use self::objects::{Cluster, Resource};
use super::recording::Recording;
use super::serve::{Faults, serve};

/// Requests kept for tests to look at; later ones are only counted.
const MAX_ASKED: usize = 100_000;

/// The recording's API server. Build it, keep the `Arc`, spawn `serve`.
pub struct KubernetesStandIn {
    cluster: Cluster,
    token: Option<String>,
    /// None: the clock stands still.
    started: Option<Instant>,
    faults: Faults,
    requests: AtomicU64,
    writes: AtomicU64,
    rights: Vec<String>,
    asked: Mutex<Vec<String>>,
}

/// What goes back, before the headers that every answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, content_type: "application/json".to_owned(), body: value.to_string().into_bytes() }
    }

    fn text(status: u16, body: Vec<u8>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8".to_owned(), body }
    }
}

impl KubernetesStandIn {
    pub fn new(recording: &Recording) -> Result<Self> {
        Ok(Self::of(Cluster::load(recording)?, Some(Instant::now())))
    }

    /// A cluster that is described and not recorded. Its clock stands still, so that it says the same always.
    pub fn describing(described: Described) -> Self {
        Self::of(Cluster::describe(described), None)
    }

    fn of(cluster: Cluster, started: Option<Instant>) -> Self {
        Self {
            cluster,
            token: None,
            started,
            faults: Faults::default(),
            requests: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            rights: Vec::new(),
            asked: Mutex::default(),
        }
    }

    /// Answers 401 to requests without this bearer token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Says of these that the caller may do them, each as `kubectl auth can-i` takes it: `create pods/exec`.
    #[must_use]
    pub fn with_rights(mut self, rights: &[&str]) -> Self {
        self.rights = rights.iter().map(|&right| right.to_owned()).collect();
        self
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Requests received so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Method, path and query of each request so far, the first `MAX_ASKED` of them. What a caller asks about its own
    /// rights is not among them.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests that were neither a GET nor an access review; all of them were refused.
    pub fn writes_refused(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// The cluster's clock: the recorded moment, and the time that passed since this stand-in started.
    pub fn now(&self) -> DateTime<Utc> {
        let passed = self.started.and_then(|started| TimeDelta::from_std(started.elapsed()).ok());
        self.cluster.recorded_at + passed.unwrap_or_default()
    }

    /// Serves on a loopback listener until `shutdown`.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        serve(listener, Router::new().fallback(receive).with_state(self), shutdown).await
    }

    fn answer(&self, method: &Method, uri: &str, headers: &HeaderMap) -> Answer {
        if method != Method::GET {
            self.writes.fetch_add(1, Ordering::Relaxed);
            return status::method_not_allowed();
        }
        if !self.is_authorised(headers) {
            return status::unauthorized();
        }
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(discovery) = self.cluster.discovery(path, accept) {
            return discovery;
        }
        let query = Query::parse(query);
        self.object_answer(path, &query)
            .or_else(|| self.cluster.recorded(uri))
            .unwrap_or_else(status::unknown_path)
    }

    fn is_authorised(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        given.strip_prefix("Bearer ") == Some(token)
    }

    /// Answers that are about objects; None where the path names no known resource.
    fn object_answer(&self, path: &str, query: &Query) -> Option<Answer> {
        let target = objects::Target::parse(path)?;
        let resource = self.cluster.resource(&target.base, &target.plural)?;
        if resource.plural == "secrets" {
            return Some(status::forbidden(resource, &target));
        }
        if query.is_set("watch") {
            return Some(status::bad_request("a recording cannot be watched"));
        }
        match (target.name.as_deref(), target.subresource.as_deref()) {
            (None, None) => Some(list::answer(resource, target.namespace.as_deref(), query)),
            // An object of a namespace has no address without it, and the other way round.
            (Some(_), _) if resource.namespaced != target.namespace.is_some() => None,
            (Some(name), None) => Some(object(resource, target.namespace.as_deref(), name)),
            (Some(pod), Some("log")) if resource.plural == "pods" => {
                let namespace = target.namespace.as_deref().unwrap_or_default();
                Some(log::answer(&self.cluster, namespace, pod, query, self.now()))
            }
            _ => None,
        }
    }
}

/// One object, with the `kind` and `apiVersion` that items of a list do not carry.
fn object(resource: &Resource, namespace: Option<&str>, name: &str) -> Answer {
    let Some(item) = resource.item(namespace.unwrap_or_default(), name) else {
        return status::not_found(resource, name);
    };
    let mut object = item.clone();
    object["kind"] = resource.kind.as_str().into();
    object["apiVersion"] = resource.api_version.as_str().into();
    Answer::json(200, &object)
}

/// The parameters of a request, decoded.
#[derive(Debug, Default)]
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Self {
        let url = reqwest::Url::parse(&format!("http://localhost/?{query}"));
        Self(url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default())
    }

    fn value(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// `?previous=true`, `?watch=1`.
    fn is_set(&self, key: &str) -> bool {
        matches!(self.value(key), Some("true" | "1"))
    }

    /// A whole number that is at least `least`, or the answer that says it is not one.
    fn number(&self, key: &str, least: i64) -> Result<Option<i64>, Answer> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.parse::<i64>() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(status::bad_request(&format!(
                "{key}: Invalid value: \"{value}\": must be at least {least}"
            ))),
        }
    }
}

async fn receive(State(stand_in): State<Arc<KubernetesStandIn>>, request: Request) -> Response {
    stand_in.requests.fetch_add(1, Ordering::Relaxed);
    let uri = request.uri().path_and_query().map_or("/", |uri| uri.as_str());
    let is_review = request.method() == Method::POST && uri == access::PATH;
    if !is_review {
        let mut asked = stand_in.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < MAX_ASKED {
            asked.push(format!("{} {uri}", request.method()));
        }
    }
    let answer = match stand_in.faults.meet(uri).await {
        Some(code) => status::injected(code),
        None if is_review && stand_in.is_authorised(request.headers()) => {
            access::answer(request.into_body(), &stand_in.rights).await
        }
        None => stand_in.answer(request.method(), uri, request.headers()),
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let date = stand_in.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (name, value) in [(CONTENT_TYPE, answer.content_type), (DATE, date)] {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
