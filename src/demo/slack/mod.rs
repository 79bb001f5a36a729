//! A Slack Web API stand-in: posts, updates and history of known channels, with Slack's limits, errors and
//! `ts` form. It keeps what it was sent, in order, and lets a test decide how single calls go wrong.

mod blocks;
mod history;
mod http;
mod methods;
mod scopes;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::text::render_thread;
use super::serve::serve;

/// Messages, updates and calls kept of each; beyond it posts are refused and calls forgotten.
const MAX_KEPT: usize = 50_000;

/// The app's own token, for Socket Mode.
pub const APP_TOKEN: &str = "xapp-of-the-stand-in";

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
    /// Methods that are refused until further notice, with Slack's error.
    refused: HashMap<String, String>,
    /// How long answers about a channel take, by its id.
    slow: HashMap<String, Duration>,
    /// A message stands in no history before this has passed.
    shown_after: Duration,
    scopes: scopes::Scopes,
    /// Shown to one person alone: whom, and what.
    whispers: Vec<(String, Message)>,
    views: Vec<Value>,
    /// Where Socket Mode is served.
    socket: Option<String>,
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
        serve(listener, Router::new().fallback(http::receive).with_state(self), shutdown).await
    }

    /// The next call of this method (`chat.postMessage`) goes wrong so; several are used up in order.
    pub fn inject(&self, method: &str, injected: Injected) {
        self.lock().injected.push_back((method.to_owned(), injected));
    }

    /// From now on this method is refused with Slack's `error`, or no more.
    pub fn refuse(&self, method: &str, error: Option<&str>) {
        let mut state = self.lock();
        match error {
            Some(error) => state.refused.insert(method.to_owned(), error.to_owned()),
            None => state.refused.remove(method),
        };
    }

    /// Answers about this channel take so long from now on.
    pub fn slow_down(&self, channel: &str, answer_after: Duration) {
        if let Some(id) = self.channel_id(channel) {
            self.lock().slow.insert(id.to_owned(), answer_after);
        }
    }

    /// Messages that arrive are shown in history only after so long, as Slack's are at times.
    pub fn show_after(&self, delay: Duration) {
        self.lock().shown_after = delay;
    }

    /// The token's scopes; all that it may need when nothing is said.
    pub fn grant(&self, scopes: &[&str]) {
        self.lock().scopes = scopes::Scopes::of(scopes);
    }

    /// A message of somebody else, such as Robusta's, as Slack would return it: a bot's, unless its `bot_id` is null,
    /// and now, unless it has a `ts`. Returns its `ts`.
    pub fn seed(&self, channel: &str, message: &Value) -> Option<String> {
        let channel = self.channel_id(channel)?;
        let bot = match message.get("bot_id") {
            None => "B0ROBUSTA",
            Some(bot) => bot.as_str().unwrap_or_default(),
        };
        let mut state = self.lock();
        let ts = message["ts"].as_str().map_or_else(|| state.next_ts(), str::to_owned);
        state.messages.push(methods::message(channel, ts.clone(), bot, message));
        Some(ts)
    }

    /// Socket Mode is served at this address.
    pub fn socket_at(&self, address: &str) {
        self.lock().socket = Some(address.to_owned());
    }

    /// What single people were shown, each with the user's id.
    pub fn whispers(&self) -> Vec<(String, Message)> {
        self.lock().whispers.clone()
    }

    /// The dialogues that were opened.
    pub fn views(&self) -> Vec<Value> {
        self.lock().views.clone()
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
            Some(token) if token == self.token || token == APP_TOKEN => Ok(()),
            Some(_) => Err(json!({"error": "invalid_auth"})),
        }
    }

    fn answers_after(&self, parameters: &Value) -> Duration {
        let channel = self.channel_id(parameters["channel"].as_str().unwrap_or_default());
        let state = self.lock();
        channel.and_then(|id| state.slow.get(id)).copied().unwrap_or_default()
    }

    fn call(&self, method: &str, parameters: &Value) -> Result<Value, Value> {
        {
            let state = self.lock();
            if let Some(error) = state.refused.get(method) {
                return Err(json!({"error": error}));
            }
            state.scopes.check(method, parameters)?;
        }
        match method {
            "auth.test" => Ok(json!({
                "url": "https://demo.slack.com/", "team": "demo", "team_id": "T0DEMO",
                "user": "whodunit", "user_id": "U0WHODUNIT", "bot_id": methods::BOT_ID,
            })),
            "chat.postMessage" => methods::post_message(self, parameters),
            "chat.update" => methods::update(self, parameters),
            "chat.postEphemeral" => methods::whisper(self, parameters),
            "views.open" => methods::open_view(self, parameters),
            "apps.connections.open" => match &self.lock().socket {
                Some(address) => Ok(json!({"url": address})),
                None => Err(json!({"error": "not_allowed_token_type"})),
            },
            "conversations.history" => history::history(self, parameters),
            "conversations.replies" => history::replies(self, parameters),
            "conversations.list" => history::list(self, parameters),
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

    fn shows(&self, message: &Message) -> bool {
        message.arrived.elapsed() >= self.shown_after
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
