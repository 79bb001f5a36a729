//! For tests: the recorded cluster behind a small HTTP server, with faults where a test wants them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Client;
use crate::settings;

/// When the recording was made, as its API server's Date header.
pub const RECORDED_AT: &str = "Sat, 21 Nov 2026 07:08:05 GMT";

/// What a path that contains the text does instead of answering.
#[derive(Clone, Copy)]
pub enum Fault {
    Status(u16),
    Hang,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recording/kubernetes")
}

/// A client of the recorded cluster with a deadline of one second a request.
pub async fn client(faults: Vec<(&'static str, Fault)>) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let faults = Arc::new(faults);
    let router = Router::new().fallback(move |request: Request| {
        let faults = Arc::clone(&faults);
        async move {
            let uri = request.uri().to_string();
            match faults.iter().find(|(part, _)| uri.contains(part)) {
                Some((_, Fault::Status(code))) => {
                    let body = json!({"kind": "Status", "message": "injected", "code": code});
                    (StatusCode::from_u16(*code).unwrap(), body.to_string()).into_response()
                }
                Some((_, Fault::Hang)) => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    StatusCode::OK.into_response()
                }
                None => answer(&request),
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings =
        settings::Kubernetes { url: Some(url), timeout_secs: 1, ..settings::Kubernetes::default() };
    Client::connect(&settings).await.unwrap()
}

fn answer(request: &Request) -> Response {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    if path == "/version" {
        return ([("date", RECORDED_AT)], read("cluster/version.json").unwrap()).into_response();
    }
    if path == "/readyz" {
        return read("cluster/readyz.txt").unwrap().into_response();
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let rest = if parts[0] == "api" { &parts[2..] } else { &parts[3..] };
    match rest {
        ["namespaces", namespace, "pods", pod, "log"] => log(namespace, pod, query),
        ["namespaces", namespace, plural] => list(&format!("{namespace}/{plural}.json"), query, plural),
        ["namespaces", namespace, plural, name] => object(&format!("{namespace}/{plural}.json"), name),
        ["pods"] => list("cluster/all-pods.json", query, "pods"),
        [plural] => list(&format!("cluster/{plural}.json"), query, plural),
        [plural, name] => object(&format!("cluster/{plural}.json"), name),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(fixtures().join(file)).ok()
}

fn list(file: &str, query: &str, plural: &str) -> Response {
    let mut list: Value = match read(file) {
        Some(text) => serde_json::from_str(&text).unwrap(),
        None => return axum::Json(json!({"kind": plural, "metadata": {}, "items": []})).into_response(),
    };
    for parameter in query.split('&') {
        let items = list["items"].as_array_mut().unwrap();
        if let Some(selector) = parameter.strip_prefix("labelSelector=") {
            for term in selector.replace("%3D", "=").replace("%2F", "/").split("%2C") {
                let (key, value) = term.split_once('=').unwrap();
                items.retain(|item| item["metadata"]["labels"][key] == value);
            }
        }
        if let Some(node) = parameter.strip_prefix("fieldSelector=spec.nodeName%3D") {
            items.retain(|item| item["spec"]["nodeName"] == node);
        }
    }
    axum::Json(list).into_response()
}

fn object(file: &str, name: &str) -> Response {
    let list: Value = read(file).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    let items = list["items"].as_array().cloned().unwrap_or_default();
    match items.into_iter().find(|item| item["metadata"]["name"] == name) {
        Some(item) => axum::Json(item).into_response(),
        None => (StatusCode::NOT_FOUND, r#"{"kind":"Status","code":404}"#).into_response(),
    }
}

fn log(namespace: &str, pod: &str, query: &str) -> Response {
    let container = query.split('&').find_map(|p| p.strip_prefix("container=")).unwrap_or_default();
    let instance = if query.contains("previous=true") { "previous" } else { "current" };
    let stem = format!("{namespace}/logs/{pod}.{container}.{instance}");
    if let Some(text) = read(&format!("{stem}.log")) {
        return text.into_response();
    }
    if let Some(text) = read(&format!("{stem}.error-400.json")) {
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    if read(&format!("{stem}.error-204.json")).is_some() {
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::NOT_FOUND, r#"{"kind":"Status","code":404}"#).into_response()
}
