//! A scripted model server on loopback for tests: keeps what it is asked, answers what it was told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use futures::StreamExt;
use serde_json::Value;

use super::{Message, Model, Request, ToolCall, ToolChoice, ToolResult, ToolSchema, Turn};
use crate::settings;

/// One answer of the script.
#[derive(Clone)]
pub(super) struct Scripted {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// Each piece after its wait.
    pub pieces: Vec<(Duration, Vec<u8>)>,
    /// The connection stays open after the last piece.
    pub hangs: bool,
}

impl Scripted {
    pub fn whole(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![], pieces: vec![(Duration::ZERO, body.into())], hangs: false }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn hanging(mut self) -> Self {
        self.hangs = true;
        self
    }
}

/// What was asked.
pub(super) struct Asked {
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Value,
}

#[derive(Clone, Default)]
pub(super) struct StandIn {
    pub url: String,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl StandIn {
    pub async fn start(script: impl IntoIterator<Item = Scripted>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let this = Self { url, script, ..Self::default() };
        let router = Router::new().fallback(answer).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        this
    }

    /// The only model of these settings; `$URL` is this server.
    pub fn model(&self, yaml: &str) -> Box<dyn Model> {
        let settings = settings(&format!("[{{{}}}]", yaml.replace("$URL", &self.url)));
        super::connect(&settings, &http()).unwrap().remove(0)
    }

    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn answer(State(server): State<StandIn>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let body = serde_json::from_slice(&body).unwrap();
    server.asked.lock().unwrap().push(Asked { uri: uri.to_string(), headers, body });
    let scripted = server.script.lock().unwrap().pop_front();
    let Some(scripted) = scripted else {
        return Response::builder().status(599).body(Body::from("the script is at its end")).unwrap();
    };
    let mut response = Response::builder().status(scripted.status);
    for (name, value) in &scripted.headers {
        response = response.header(*name, value);
    }
    let pieces = futures::stream::iter(scripted.pieces).then(|(wait, piece)| async move {
        tokio::time::sleep(wait).await;
        Ok::<_, std::io::Error>(piece)
    });
    let body = if scripted.hangs {
        Body::from_stream(pieces.chain(futures::stream::pending()))
    } else {
        Body::from_stream(pieces)
    };
    response.body(body).unwrap()
}

pub(super) fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(super) fn settings(yaml: &str) -> Vec<settings::Model> {
    serde_saphyr::from_str(yaml).unwrap()
}

/// A conversation with everything in it: a turn with two calls, one of them malformed, and their results.
pub(super) fn conversation(choice: ToolChoice) -> Request {
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    let result = |call_id: &str, text: &str, is_error| ToolResult {
        call_id: call_id.to_owned(),
        name: "kubernetes_get".to_owned(),
        text: text.to_owned(),
        is_error,
    };
    let schema = |name: &str| ToolSchema {
        name: name.to_owned(),
        description: format!("{name}, read-only."),
        parameters: serde_json::json!({"type": "object", "properties": {"name": {"type": "string"}}}),
    };
    Request {
        system: "You investigate.".to_owned(),
        messages: vec![
            Message::User("Why does checkout fail?".to_owned()),
            Message::Assistant(Turn {
                text: "I look.".to_owned(),
                calls: vec![
                    call("call_1", "kubernetes_get", r#"{"name": "checkout"}"#),
                    call("functions.b:1", "kubernetes get", "{\"name\": "),
                ],
                carried: Value::Null,
            }),
            Message::Results(vec![
                result("call_1", "replicas: 0", false),
                result("functions.b:1", "these arguments are no JSON", true),
            ]),
        ],
        tools: vec![schema("kubernetes_get"), schema("conclude")],
        choice,
        max_output_tokens: 900,
    }
}

pub(super) fn question(text: &str) -> Request {
    Request {
        system: String::new(),
        messages: vec![Message::User(text.to_owned())],
        tools: vec![],
        choice: ToolChoice::Auto,
        max_output_tokens: 100,
    }
}

/// A whole body, one message or tool a line.
pub(super) fn outline(body: &Value) -> String {
    let mut lines = Vec::new();
    for (key, value) in body.as_object().unwrap() {
        match value.as_array() {
            Some(items) => {
                lines.push(format!("{key}:"));
                lines.extend(items.iter().map(|item| format!("  {item}")));
            }
            None => lines.push(format!("{key}: {value}")),
        }
    }
    lines.join("\n")
}
