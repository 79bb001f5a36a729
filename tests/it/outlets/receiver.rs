//! A receiver of webhooks and cards: it keeps what came, byte for byte, and answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::HIDDEN;
use crate::house::listen;

#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: Instant,
}

/// How the next request is answered.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Accept,
    /// With `Retry-After`, or `Location` for a redirect; "" for neither.
    Status(u16, &'static str),
    /// Takes it, and answers too late.
    TooLate,
    /// The connection ends without an answer.
    HangUp,
    /// 200, and a body that does not end.
    Endless,
}

#[derive(Clone, Default)]
pub struct Receiver {
    address: String,
    calls: Arc<Mutex<Vec<Call>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
    always: Arc<Mutex<Option<Answer>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let receiver = Self { address, ..Self::default() };
        let router = Router::new().fallback(answer).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    /// As Teams' addresses are: whoever knows it may post.
    pub fn url(&self) -> String {
        format!(
            "{}/workflows/{HIDDEN}/invoke?api-version=1&sp=%2Ftriggers%2Fmanual&sig={HIDDEN}",
            self.address
        )
    }

    pub fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().extend(answers);
    }

    /// Whenever nothing is scripted; None accepts.
    pub fn always(&self, answer: Option<Answer>) {
        *self.always.lock().unwrap() = answer;
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

async fn answer(State(receiver): State<Receiver>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    receiver.calls.lock().unwrap().push(Call { path: uri.to_string(), headers, body, at: Instant::now() });
    let scripted = receiver.script.lock().unwrap().pop_front();
    let otherwise = *receiver.always.lock().unwrap();
    match scripted.or(otherwise).unwrap_or(Answer::Accept) {
        // As Teams' workflows do.
        Answer::Accept => StatusCode::ACCEPTED.into_response(),
        Answer::Status(status, "") => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Status(status, told) => {
            let header = if (300..400).contains(&status) { "location" } else { "retry-after" };
            (StatusCode::from_u16(status).unwrap(), [(header, told)]).into_response()
        }
        Answer::TooLate => {
            tokio::time::sleep(Duration::from_secs(40)).await;
            StatusCode::OK.into_response()
        }
        // The server drops the connection of a handler that unwinds.
        Answer::HangUp => std::panic::resume_unwind(Box::new("hangs up")),
        Answer::Endless => {
            let chunk = || Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 * 1024]));
            Body::from_stream(futures::stream::repeat_with(chunk)).into_response()
        }
    }
}

impl Call {
    /// "" where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn event(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// By the library that the specification's authors publish.
    pub fn verify(&self, secret: &str) -> Result<(), String> {
        let webhook = standardwebhooks::Webhook::new(secret).unwrap();
        webhook.verify(&self.body, &self.headers).map_err(|error| error.to_string())
    }

    /// Every text of a card, a line each.
    pub fn texts(&self) -> String {
        let mut out = Vec::new();
        each(&self.json(), &mut |element| {
            out.extend(element["text"].as_str().map(str::to_owned));
        });
        out.join("\n")
    }

    /// Text runs and links of ours, and nothing that Teams acts on.
    pub fn assert_harmless(&self, ours: &str) {
        let card = self.json()["attachments"][0]["content"].take();
        assert_eq!(card["msteams"], serde_json::json!({"width": "Full"}), "nobody is mentioned");
        each(&card, &mut |element| {
            let kind = element["type"].as_str().unwrap_or("none");
            let known = ["AdaptiveCard", "RichTextBlock", "TextRun", "Container", "Action.OpenUrl", "none"];
            assert!(known.contains(&kind), "{kind}");
            if let Some(url) = element["url"].as_str() {
                assert!(url.starts_with(ours), "{url}");
            }
            if let Some(text) = element["text"].as_str() {
                let lower = text.to_lowercase();
                for active in ["<at>", "</at>", "{{date(", "\u{202e}"] {
                    assert!(!lower.contains(active), "{active} in {text}");
                }
                assert!(element["fontType"] == "Monospace" || !text.contains("://"), "{text}");
            }
        });
    }
}

/// Every object within.
fn each(value: &Value, see: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(fields) => {
            see(value);
            fields.values().for_each(|field| each(field, see));
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, see)),
        _ => {}
    }
}
