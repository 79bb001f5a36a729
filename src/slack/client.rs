//! Slack's Web API, as much of it as is needed: post a message, change one, read a channel back, ask who we are.
//! A request goes in, its answer or a fault named by what the caller can do comes out. It never retries and
//! never logs a token.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Access;
use super::blocks::{self, Message};
use super::fault::{Fault, fault, refused, unsent};
use crate::settings::ThreadMatch;

/// The longest that one call may take, whatever is configured: a dead poster's row is free no sooner.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// A page of history with 200 reports in it; nothing that Slack says is longer.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// A `Retry-After` beyond an hour is taken as an hour.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Slack names the token's scopes in every answer.
const SCOPES: &str = "x-oauth-scopes";

/// Slack takes about one message a second and channel.
pub const DEFAULT_PACE: Duration = Duration::from_secs(1);
/// Marks our messages among all metadata.
pub(super) const EVENT_TYPE: &str = "whodunit_announcement";

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Posted {
    /// The channel's id, also when the message was posted to its name.
    pub channel: String,
    pub ts: String,
}

/// What a message carries unseen, so that it can be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// The announcement that the message is.
    pub id: Uuid,
    pub incident: Uuid,
    /// The announcement that changed it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<Uuid>,
}

/// How the message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Blocks,
    /// Its words only.
    Plain,
}

/// Whom the token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identity {
    #[serde(default)]
    pub team: String,
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub bot_id: String,
    /// None: Slack did not say.
    #[serde(skip)]
    pub scopes: Option<Vec<String>>,
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    api_url: String,
    token: SecretString,
    timeout: Duration,
    pace: Duration,
    /// The configured channels, the default first, for what waits for one that does not work.
    channels: Vec<String>,
    thread_match: ThreadMatch,
    access: Access,
}

#[derive(Serialize)]
struct Body<'a> {
    channel: &'a str,
    text: &'a str,
    /// An empty list takes away what an earlier update showed.
    blocks: &'a [Value],
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    parse: Option<&'static str>,
    #[serde(flatten)]
    place: Place<'a>,
}

#[derive(Serialize)]
struct Metadata {
    event_type: &'static str,
    event_payload: Mark,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Place<'a> {
    Channel { unfurl_links: bool, unfurl_media: bool },
    Thread { thread_ts: &'a str, unfurl_links: bool, unfurl_media: bool },
    Message { ts: &'a str },
}

impl Client {
    /// `api_url` is `https://slack.com/api` or a stand-in's; `timeout` is the deadline of one call.
    pub fn new(http: reqwest::Client, api_url: &str, token: SecretString, timeout: Duration) -> Self {
        let api_url = api_url.trim_end_matches('/').to_owned();
        let timeout = timeout.min(MAX_TIMEOUT);
        let access = Access::default();
        Self {
            http,
            api_url,
            token,
            timeout,
            pace: DEFAULT_PACE,
            channels: Vec::new(),
            thread_match: ThreadMatch::Off,
            access,
        }
    }

    /// The time between two messages to one channel, where Slack's own pace is not wanted.
    #[must_use]
    pub fn with_pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// Where announcements go now; what waits for another channel that does not work goes to the first.
    #[must_use]
    pub fn with_channels(self, channels: Vec<String>) -> Self {
        Self { channels, ..self }
    }

    /// Whose threads incidents may go on in; nobody's when nothing is said.
    #[must_use]
    pub fn with_thread_match(self, thread_match: ThreadMatch) -> Self {
        Self { thread_match, ..self }
    }

    pub fn thread_match(&self) -> ThreadMatch {
        self.thread_match
    }

    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    pub fn pace(&self) -> Duration {
        self.pace
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What the token may not do; shared by all clones.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Posts to a channel (id or name), under `thread_ts` where given.
    pub async fn post(
        &self,
        (channel, thread_ts): (&str, Option<&str>),
        message: &Message,
        mark: Mark,
        form: Form,
    ) -> Result<Posted, Fault> {
        let place = match thread_ts {
            Some(thread_ts) => Place::Thread { thread_ts, unfurl_links: false, unfurl_media: false },
            None => Place::Channel { unfurl_links: false, unfurl_media: false },
        };
        self.write((channel, place), message, mark, form).await
    }

    /// Replaces what stands at `at`; `at.channel` has to be an id.
    pub async fn update(
        &self,
        at: &Posted,
        message: &Message,
        mark: Mark,
        form: Form,
    ) -> Result<Posted, Fault> {
        let place = Place::Message { ts: &at.ts };
        self.write((&at.channel, place), message, mark, form).await
    }

    async fn write(
        &self,
        (channel, place): (&str, Place<'_>),
        message: &Message,
        mark: Mark,
        form: Form,
    ) -> Result<Posted, Fault> {
        let method = match place {
            Place::Message { .. } => "chat.update",
            Place::Channel { .. } | Place::Thread { .. } => "chat.postMessage",
        };
        let metadata = Metadata { event_type: EVENT_TYPE, event_payload: mark };
        let words;
        let (text, blocks, parse) = match form {
            Form::Blocks => (message.text.as_str(), message.blocks.as_slice(), None),
            Form::Plain => {
                words = blocks::plain(message);
                // Names and addresses in it stay words.
                (words.as_str(), [].as_slice(), Some("none"))
            }
        };
        let request = self.http.post(self.address(method));
        let body = Body { channel, text, blocks, metadata, parse, place };
        let (answer, _) = self.call(method, request.json(&body)).await?;
        serde_json::from_value(answer)
            .map_err(|error| Fault::Ambiguous(format!("{method}: the answer lacks a field: {error}")))
    }

    pub async fn auth_test(&self) -> Result<Identity, Fault> {
        let request = self.http.post(self.address("auth.test")).json(&json!({}));
        let (answer, scopes) = self.call("auth.test", request).await?;
        let identity: Identity = serde_json::from_value(answer)
            .map_err(|error| Fault::Transient(format!("auth.test: the answer lacks a field: {error}")))?;
        Ok(Identity { scopes, ..identity })
    }

    /// Shows a message below a thread's first one to one person alone, until they reload.
    pub async fn whisper(
        &self,
        (channel, thread_ts): (&str, &str),
        user: &str,
        message: &Message,
    ) -> Result<(), Fault> {
        let body = json!({
            "channel": channel, "thread_ts": thread_ts, "user": user,
            "text": message.text, "blocks": message.blocks,
        });
        let request = self.http.post(self.address("chat.postEphemeral"));
        self.call("chat.postEphemeral", request.json(&body)).await.map(|_| ())
    }

    /// Opens a dialogue for whoever just pressed a button.
    pub async fn open_view(&self, trigger: &str, view: &Value) -> Result<(), Fault> {
        let request = self.http.post(self.address("views.open"));
        let body = json!({"trigger_id": trigger, "view": view});
        self.call("views.open", request.json(&body)).await.map(|_| ())
    }

    /// The address of a new connection of Socket Mode; `app_token` is the app's own (`xapp-…`).
    pub async fn open_socket(&self, app_token: &SecretString) -> Result<String, Fault> {
        let method = "apps.connections.open";
        let app = Self { token: app_token.clone(), ..self.clone() };
        let (answer, _) = app.call(method, app.http.post(app.address(method)).json(&json!({}))).await?;
        let address = answer["url"].as_str().unwrap_or_default();
        // Without TLS only where Slack itself is spoken to without.
        let plain = self.api_url.starts_with("http://") && address.starts_with("ws://");
        if address.starts_with("wss://") || plain {
            return Ok(address.to_owned());
        }
        Err(Fault::Transient(format!("{method}: the answer lacks an address")))
    }

    /// A method that only reads. Slack takes JSON for writing only, so parameters stand in the address.
    pub(super) async fn read(&self, method: &str, parameters: &[(&str, &str)]) -> Result<Value, Fault> {
        let request = self.http.get(self.address(method)).query(parameters);
        Ok(self.call(method, request).await?.0)
    }

    fn address(&self, method: &str) -> String {
        format!("{}/{method}", self.api_url)
    }

    /// The answer, and the token's scopes.
    async fn call(
        &self,
        method: &str,
        request: RequestBuilder,
    ) -> Result<(Value, Option<Vec<String>>), Fault> {
        let request = request.bearer_auth(self.token.expose_secret()).timeout(self.timeout);
        let answer = request.send().await.map_err(|error| unsent(method, &error))?;
        let (status, retry_after, scopes) = (answer.status(), retry_after(&answer), scopes(&answer));
        if let Some(fault) = refused(method, status, retry_after) {
            return Err(fault);
        }
        let bytes = read(answer).await.map_err(|why| Fault::Ambiguous(format!("{method}: {why}")))?;
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|_| Fault::Ambiguous(format!("{method}: the answer is not JSON")))?;
        if answer["ok"] != Value::Bool(true) {
            return Err(fault(answer["error"].as_str().unwrap_or("no_error_code"), retry_after));
        }
        Ok((answer, scopes))
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn scopes(answer: &Response) -> Option<Vec<String>> {
    let scopes = answer.headers().get(SCOPES)?.to_str().ok()?;
    Some(scopes.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect())
}

async fn read(mut answer: Response) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| "the connection broke within the answer")? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err("the answer is too long");
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
