//! A Slack Web API stand-in: posts, updates and history of known channels, with Slack's limits, errors and
//! `ts` form. It keeps what it was sent, in order, and lets a test decide how single calls go wrong.

mod blocks;
mod methods;
mod text;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State as AxumState};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::text::render_thread;
use super::serve::{hang, serve};

/// Largest request body, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Messages, updates and calls kept of each; beyond it posts are refused and calls forgotten.
const MAX_KEPT: usize = 50_000;

/// One message of a channel or thread.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The channel's id.
    pub channel: String,
    pub ts: String,
    /// Of the message that this one replies to.
    pub thread_ts: Option<String>,
    pub bot_id: String,
    pub text: String,
    /// An array, or null.
    pub blocks: Value,
    pub attachments: Value,
    pub metadata: Value,
    pub arrived: Instant,
    pub is_edited: bool,
}

/// A `chat.update`, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub channel: String,
    pub ts: String,
    pub text: String,
    pub blocks: Value,
    pub arrived: Instant,
}

/// Any call, whether it was answered or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub method: String,
    pub arrived: Instant,
    /// Slack's warnings in the answer, such as `missing_charset`.
    pub warnings: Vec<String>,
}

/// How one call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injected {
    /// 429 with `Retry-After`.
    RateLimited {
        retry_after_secs: u64,
    },
    /// Another HTTP status; nothing is stored.
    Status(u16),
    /// No answer; nothing is stored.
    Hang,
    /// `"ok": false` with this error.
    Error(String),
    /// The write happens and the answer is lost: no answer at all, or this status.
    StoredThenHang,
    StoredThenStatus(u16),
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    updates: Vec<Update>,
    arrivals: Vec<Arrival>,
    injected: VecDeque<(String, Injected)>,
    /// Microseconds since 1970 of the last `ts`.
    last_ts: i64,
}

/// The workspace. Build it, keep the `Arc`, spawn `serve`.
pub struct SlackStandIn {
    token: String,
    /// Name and id.
    channels: Vec<(String, String)>,
    state: Mutex<State>,
}

impl SlackStandIn {
    /// A workspace with these channels (`alerts` or `#alerts`); their ids are `C000000001` and so on.
    pub fn new(token: impl Into<String>, channels: &[&str]) -> Self {
        let names = channels.iter().map(|name| name.trim_start_matches('#').to_owned());
        let channels = names.zip(1..).map(|(name, n)| (name, format!("C{n:09}"))).collect();
        Self { token: token.into(), channels, state: Mutex::default() }
    }

    /// Serves `/api/…` on a loopback listener until `shutdown`.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        serve(listener, Router::new().fallback(receive).with_state(self), shutdown).await
    }

    /// The next call of this method (`chat.postMessage`) goes wrong so; several are used up in order.
    pub fn inject(&self, method: &str, injected: Injected) {
        self.lock().injected.push_back((method.to_owned(), injected));
    }

    /// A message of somebody else, such as Robusta's, as Slack would return it. Returns its `ts`.
    pub fn seed(&self, channel: &str, message: &Value) -> Option<String> {
        let channel = self.channel_id(channel)?;
        let mut state = self.lock();
        let ts = state.next_ts();
        state.messages.push(methods::message(channel, ts.clone(), "B0ROBUSTA", message));
        Some(ts)
    }

    /// All messages, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    /// A message and its replies, oldest first.
    pub fn thread(&self, ts: &str) -> Vec<Message> {
        self.lock().thread(ts).cloned().collect()
    }

    /// Every thread, in the order of their first messages.
    pub fn threads(&self) -> Vec<Vec<Message>> {
        let state = self.lock();
        let parents = state.messages.iter().filter(|message| message.thread_ts.is_none());
        parents.map(|parent| state.thread(&parent.ts).cloned().collect()).collect()
    }

    pub fn updates(&self) -> Vec<Update> {
        self.lock().updates.clone()
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    /// `#name` for a channel's id.
    pub fn channel_name(&self, id: &str) -> String {
        let known = self.channels.iter().find(|(_, known)| known == id);
        known.map_or_else(|| id.to_owned(), |(name, _)| format!("#{name}"))
    }

    fn channel_id(&self, name_or_id: &str) -> Option<&str> {
        let name = name_or_id.trim_start_matches('#');
        let found = self.channels.iter().find(|(known, id)| known == name || id == name_or_id);
        found.map(|(_, id)| id.as_str())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Value> {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match header.strip_prefix("Bearer ") {
            None => Err(json!({"error": "not_authed"})),
            Some(token) if token == self.token => Ok(()),
            Some(_) => Err(json!({"error": "invalid_auth"})),
        }
    }

    fn call(&self, method: &str, parameters: &Value) -> Result<Value, Value> {
        match method {
            "auth.test" => Ok(json!({
                "url": "https://demo.slack.com/", "team": "demo", "team_id": "T0DEMO",
                "user": "whodunit", "user_id": "U0WHODUNIT", "bot_id": methods::BOT_ID,
            })),
            "chat.postMessage" => methods::post_message(self, parameters),
            "chat.update" => methods::update(self, parameters),
            "conversations.history" => methods::history(self, parameters),
            "conversations.replies" => methods::replies(self, parameters),
            _ => Err(json!({"error": "unknown_method", "req_method": method})),
        }
    }
}

impl State {
    fn arrive(&mut self, arrival: Arrival) {
        if self.arrivals.len() < MAX_KEPT {
            self.arrivals.push(arrival);
        }
    }

    fn is_full(&self) -> bool {
        self.messages.len().max(self.updates.len()) >= MAX_KEPT
    }

    fn next_ts(&mut self) -> String {
        // Wall-clock time as in Slack, because clients ask for history by their own clock.
        self.last_ts = chrono::Utc::now().timestamp_micros().max(self.last_ts + 100);
        format!("{}.{:06}", self.last_ts / 1_000_000, self.last_ts % 1_000_000)
    }

    fn thread<'a>(&'a self, ts: &'a str) -> impl Iterator<Item = &'a Message> {
        self.messages
            .iter()
            .filter(move |message| message.ts == ts || message.thread_ts.as_deref() == Some(ts))
    }
}

async fn receive(AxumState(slack): AxumState<Arc<SlackStandIn>>, request: Request) -> Response {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let Some(method) = parts.uri.path().strip_prefix("/api/").map(str::to_owned) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let injected = {
        let mut state = slack.lock();
        let at = state.injected.iter().position(|(wanted, _)| *wanted == method);
        at.and_then(|at| state.injected.remove(at)).map(|(_, injected)| injected)
    };
    let content_type =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parameters = methods::parameters(content_type, parts.uri.query().unwrap_or_default(), &body);
    let warnings = match &parameters {
        Ok((_, warnings)) => warnings.clone(),
        Err(_) => Vec::new(),
    };
    slack.lock().arrive(Arrival { method: method.clone(), arrived, warnings: warnings.clone() });
    if let Some(refusal) = refuse(injected.as_ref()).await {
        return refusal;
    }
    let answer = slack
        .authenticate(&parts.headers)
        .and(parameters)
        .and_then(|(parameters, _)| slack.call(&method, &parameters));
    match injected {
        Some(Injected::StoredThenHang) => hang().await,
        Some(Injected::StoredThenStatus(code)) => return status(code),
        _ => {}
    }
    finish(answer, &warnings)
}

/// The answers that are given without looking at the call.
async fn refuse(injected: Option<&Injected>) -> Option<Response> {
    match injected? {
        Injected::RateLimited { retry_after_secs } => {
            let headers = [(RETRY_AFTER, retry_after_secs.to_string())];
            let body = axum::Json(json!({"ok": false, "error": "ratelimited"}));
            Some((StatusCode::TOO_MANY_REQUESTS, headers, body).into_response())
        }
        Injected::Status(code) => Some(status(*code)),
        Injected::Error(error) => Some(finish(Err(json!({"error": error})), &[])),
        Injected::Hang => {
            hang().await;
            Some(status(504))
        }
        Injected::StoredThenHang | Injected::StoredThenStatus(_) => None,
    }
}

fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// Slack answers 200 whether it did it or not.
fn finish(answer: Result<Value, Value>, warnings: &[String]) -> Response {
    let (mut body, ok) = match answer {
        Ok(body) => (body, true),
        Err(body) => (body, false),
    };
    body["ok"] = ok.into();
    if let Some(first) = warnings.first() {
        body["warning"] = first.as_str().into();
        body["response_metadata"]["warnings"] = json!(warnings);
    }
    axum::Json(body).into_response()
}
