//! An API server that knows the kind InvestigationPolicy, in front of the recorded cluster: it lists what a test puts
//! there, takes patches of a status as the real one does, and writes down every request about the kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, DATE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use whodunit::settings::Settings;

use crate::house::{PATIENCE, http, listen};

const PREFIX: &str = "/apis/whodunit.dev/v1alpha1";

#[derive(Default)]
struct Held {
    objects: BTreeMap<(String, String), Value>,
    version: u64,
    /// Method, address and, of what is no GET, content type and body.
    requests: Vec<(String, Value)>,
}

/// How it answers instead.
#[derive(Default, Clone, Copy)]
pub struct Trouble {
    pub list: Option<u16>,
    /// Of lists of all namespaces only.
    pub wide_list: Option<u16>,
    pub patch: Option<u16>,
}

#[derive(Default)]
pub struct Api {
    held: Mutex<Held>,
    trouble: Mutex<Trouble>,
    inner: Mutex<String>,
    url: String,
}

impl Api {
    pub async fn start() -> Arc<Self> {
        let (listener, url) = listen().await;
        let api = Arc::new(Self { url, ..Self::default() });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&api));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        api
    }

    /// Puts it before the cluster of these settings.
    pub fn stand_before(&self, settings: &mut Settings) {
        let inner = settings.kubernetes.url.replace(self.url.clone()).unwrap();
        *self.inner.lock().unwrap() = inner;
    }

    pub fn stand_before_url(&self, inner: &str) {
        *self.inner.lock().unwrap() = inner.to_owned();
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn put(&self, namespace: &str, name: &str, spec: Value) {
        let mut held = self.held.lock().unwrap();
        held.version += 1;
        let version = held.version.to_string();
        let object = held.objects.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| {
            json!({"apiVersion": "whodunit.dev/v1alpha1", "kind": "InvestigationPolicy", "metadata": {
                "namespace": namespace, "name": name, "uid": format!("uid-{version}"), "generation": 0,
            }})
        });
        let generation = object["metadata"]["generation"].as_i64().unwrap() + 1;
        object["metadata"]["generation"] = generation.into();
        object["metadata"]["resourceVersion"] = version.into();
        object["spec"] = spec;
    }

    pub fn delete(&self, namespace: &str, name: &str) {
        self.held.lock().unwrap().objects.remove(&(namespace.to_owned(), name.to_owned())).unwrap();
    }

    pub fn trouble(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    pub fn conditions(&self, namespace: &str, name: &str) -> Vec<Value> {
        let held = self.held.lock().unwrap();
        let object = &held.objects[&(namespace.to_owned(), name.to_owned())];
        object["status"]["conditions"].as_array().cloned().unwrap_or_default()
    }

    /// `Accepted=True/Accepted@1 Reached=True/Reached@1`; "" where nothing was written yet.
    pub fn told(&self, namespace: &str, name: &str) -> String {
        let word = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            format!("{}={}/{}@{}", text("type"), text("status"), text("reason"), one["observedGeneration"])
        };
        self.conditions(namespace, name).iter().map(word).collect::<Vec<_>>().join(" ")
    }

    pub async fn told_of(&self, namespace: &str, name: &str, words: &str) {
        self.wait(|| self.told(namespace, name).contains(words), || self.told(namespace, name)).await;
    }

    pub fn requests(&self) -> Vec<(String, Value)> {
        self.held.lock().unwrap().requests.clone()
    }

    /// Everything about the kind that was no GET.
    pub fn writes(&self) -> Vec<(String, Value)> {
        self.requests().into_iter().filter(|(request, _)| !request.starts_with("GET ")).collect()
    }

    /// Waits until so many more lists were answered, and what came of all but the last was acted on.
    pub async fn looked(&self, times: usize) {
        let count = || self.requests().iter().filter(|(request, _)| request.starts_with("GET ")).count();
        let wanted = count() + times + 1;
        self.wait(|| count() >= wanted, || format!("{} of {wanted} lists", count())).await;
    }

    async fn wait(&self, done: impl Fn() -> bool, shown: impl Fn() -> String) {
        let until = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < until, "{}", shown());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn list(&self, namespace: Option<&str>, query: &str) -> (u16, Value) {
        let trouble = *self.trouble.lock().unwrap();
        if let Some(status) = trouble.list.or(trouble.wide_list.filter(|_| namespace.is_none())) {
            return (status, json!({"message": "trouble"}));
        }
        let number = |key: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| *name == key).find_map(|(_, value)| value.parse::<usize>().ok())
        };
        let (limit, start) = (number("limit").unwrap(), number("continue").unwrap_or_default());
        let held = self.held.lock().unwrap();
        let of = |key: &&(String, String)| namespace.is_none_or(|namespace| key.0 == namespace);
        let all: Vec<&Value> = held.objects.keys().filter(of).map(|key| &held.objects[key]).collect();
        let end = (start + limit).min(all.len());
        let next = if end < all.len() { end.to_string() } else { String::new() };
        (200, json!({"metadata": {"continue": next}, "items": all[start..end]}))
    }

    fn patch(&self, namespace: &str, name: &str, body: &Value) -> (u16, Value) {
        if let Some(status) = self.trouble.lock().unwrap().patch {
            return (status, json!({"message": "trouble"}));
        }
        let mut held = self.held.lock().unwrap();
        let version = (held.version + 1).to_string();
        let Some(object) = held.objects.get_mut(&(namespace.to_owned(), name.to_owned())) else {
            return (404, json!({}));
        };
        if object["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
            return (409, json!({"message": "the object has been modified"}));
        }
        object["status"] = body["status"].clone();
        object["metadata"]["resourceVersion"] = version.into();
        let object = object.clone();
        held.version += 1;
        (200, object)
    }
}

async fn receive(State(api): State<Arc<Api>>, request: Request) -> Response {
    let uri = request.uri().path_and_query().unwrap().as_str().to_owned();
    let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
    let Some(rest) = path.strip_prefix(PREFIX) else { return forward(&api, request, &uri).await };
    let method = request.method().clone();
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let written = json!({"content_type": content_type, "body": body});
    let parts: Vec<&str> = rest.trim_start_matches('/').split('/').collect();
    let (status, answer) = match (method.clone(), parts.as_slice()) {
        (Method::GET, ["investigationpolicies"]) => api.list(None, query),
        (Method::GET, ["namespaces", namespace, "investigationpolicies"]) => api.list(Some(namespace), query),
        (Method::PATCH, ["namespaces", namespace, "investigationpolicies", name, "status"]) => {
            api.patch(namespace, name, &body)
        }
        _ => (405, json!({"message": "nobody may do that"})),
    };
    api.held.lock().unwrap().requests.push((format!("{method} {uri}"), written));
    (StatusCode::from_u16(status).unwrap(), axum::Json(answer)).into_response()
}

/// To the recorded cluster, whose clock the answers carry.
async fn forward(api: &Api, request: Request, uri: &str) -> Response {
    let inner = api.inner.lock().unwrap().clone();
    let mut forwarded = http().request(request.method().clone(), format!("{inner}{uri}"));
    if let Some(accept) = request.headers().get(ACCEPT) {
        forwarded = forwarded.header(ACCEPT, accept);
    }
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let answer = forwarded.body(body).send().await.unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    for name in [CONTENT_TYPE, DATE] {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}
