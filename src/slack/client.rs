//! Slack's Web API, as much of it as is needed: post a message, change one, ask who we are. A message goes
//! in, its timestamp or a fault named by what the caller can do comes out. It never retries and never logs
//! a token.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::blocks::Message;

/// No request may outlive the grace after which a row is posted again (`outbox::POSTING_GRACE`).
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Slack echoes the message in its answer; nothing it says is longer than this.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Wait when Slack says "rate limited" without saying for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// A `Retry-After` beyond an hour is taken as an hour.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Slack takes about one message a second and channel.
pub const DEFAULT_PACE: Duration = Duration::from_secs(1);

/// Why a call did not succeed, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was posted; the whole channel waits.
    #[error("rate limited for {} s", retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    /// Nothing was posted; try again later.
    #[error("{0}")]
    Transient(String),
    /// The request was sent and its answer never came: the message may stand in the channel.
    #[error("{0}")]
    Ambiguous(String),
    /// Slack refused, with its error code; a retry would be refused again.
    #[error("{0}")]
    Permanent(String),
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Posted {
    /// The channel's id, also when the message was posted to its name.
    pub channel: String,
    pub ts: String,
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
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    api_url: String,
    token: SecretString,
    timeout: Duration,
    pace: Duration,
}

#[derive(Serialize)]
struct Body<'a> {
    channel: &'a str,
    text: &'a str,
    blocks: &'a [Value],
    #[serde(flatten)]
    place: Place<'a>,
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
        Self { http, api_url, token, timeout: timeout.min(MAX_TIMEOUT), pace: DEFAULT_PACE }
    }

    /// The time between two messages to one channel, where Slack's own pace is not wanted.
    #[must_use]
    pub fn with_pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    pub fn pace(&self) -> Duration {
        self.pace
    }

    /// Posts to a channel (id or name), under `thread_ts` where given.
    pub async fn post(
        &self,
        channel: &str,
        thread_ts: Option<&str>,
        message: &Message,
    ) -> Result<Posted, Fault> {
        let place = match thread_ts {
            Some(thread_ts) => Place::Thread { thread_ts, unfurl_links: false, unfurl_media: false },
            None => Place::Channel { unfurl_links: false, unfurl_media: false },
        };
        let body = Body { channel, text: &message.text, blocks: &message.blocks, place };
        self.call("chat.postMessage", &body).await
    }

    /// Replaces what stands at `at`; `at.channel` has to be an id.
    pub async fn update(&self, at: &Posted, message: &Message) -> Result<Posted, Fault> {
        let place = Place::Message { ts: &at.ts };
        let body = Body { channel: &at.channel, text: &message.text, blocks: &message.blocks, place };
        self.call("chat.update", &body).await
    }

    pub async fn auth_test(&self) -> Result<Identity, Fault> {
        self.call("auth.test", &json!({})).await
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        method: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let answer = self
            .http
            .post(format!("{}/{method}", self.api_url))
            .bearer_auth(self.token.expose_secret())
            .timeout(self.timeout)
            .json(body)
            .send()
            .await
            .map_err(|error| unsent(method, &error))?;
        let (status, retry_after) = (answer.status(), retry_after(&answer));
        if let Some(fault) = refused(method, status, retry_after) {
            return Err(fault);
        }
        let bytes = read(answer).await.map_err(|why| Fault::Ambiguous(format!("{method}: {why}")))?;
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|_| Fault::Ambiguous(format!("{method}: the answer is not JSON")))?;
        if answer["ok"] != Value::Bool(true) {
            return Err(fault(answer["error"].as_str().unwrap_or("no_error_code"), retry_after));
        }
        serde_json::from_value(answer)
            .map_err(|error| Fault::Ambiguous(format!("{method}: the answer lacks a field: {error}")))
    }
}

/// A request that got no answer: only one that never left is certain not to have been acted on.
fn unsent(method: &str, error: &reqwest::Error) -> Fault {
    if error.is_builder() {
        Fault::Permanent(format!(
            "{method}: the request could not be built; are slack.api_url and the token right?"
        ))
    } else if error.is_connect() {
        Fault::Transient(format!("{method}: could not connect"))
    } else if error.is_timeout() {
        Fault::Ambiguous(format!("{method}: no answer in time"))
    } else {
        Fault::Ambiguous(format!("{method}: the connection broke before the answer"))
    }
}

fn refused(method: &str, status: StatusCode, retry_after: Option<Duration>) -> Option<Fault> {
    let why = format!("{method}: HTTP {}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            Some(Fault::RateLimited { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) })
        }
        // A gateway that gave up waiting does not know what became of the request behind it.
        StatusCode::GATEWAY_TIMEOUT => Some(Fault::Ambiguous(why)),
        StatusCode::REQUEST_TIMEOUT => Some(Fault::Transient(why)),
        _ if status.is_server_error() => Some(Fault::Transient(why)),
        _ if status.is_success() => None,
        _ => Some(Fault::Permanent(why)),
    }
}

/// Slack's error code as a fault. Unknown codes are permanent: most are about the request itself, and a
/// message that is refused for ever must not hide behind retries.
fn fault(code: &str, retry_after: Option<Duration>) -> Fault {
    match code {
        "ratelimited" | "rate_limited" => {
            Fault::RateLimited { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) }
        }
        "internal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "message_limit_exceeded" => Fault::Transient(code.to_owned()),
        // Slack: "It's possible some aspect of the operation succeeded before the error was raised."
        "fatal_error" => Fault::Ambiguous(code.to_owned()),
        _ => Fault::Permanent(code.chars().take(100).collect()),
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_error_codes_become_what_the_caller_can_do() {
        for code in ["channel_not_found", "invalid_auth", "not_in_channel", "msg_too_long", "invalid_blocks"]
        {
            assert_eq!(fault(code, None), Fault::Permanent(code.to_owned()));
        }
        for code in ["internal_error", "service_unavailable"] {
            assert_eq!(fault(code, None), Fault::Transient(code.to_owned()));
        }
        assert_eq!(fault("fatal_error", None), Fault::Ambiguous("fatal_error".to_owned()));
        assert_eq!(fault("ratelimited", None), Fault::RateLimited { retry_after: DEFAULT_RETRY_AFTER });
        let told = Duration::from_secs(7);
        assert_eq!(fault("ratelimited", Some(told)), Fault::RateLimited { retry_after: told });
    }

    #[test]
    fn http_statuses_become_what_the_caller_can_do() {
        let told = Duration::from_secs(9);
        let limited = refused("m", StatusCode::TOO_MANY_REQUESTS, Some(told));
        assert_eq!(limited, Some(Fault::RateLimited { retry_after: told }));
        assert_eq!(refused("m", StatusCode::OK, None), None);
        assert!(matches!(refused("m", StatusCode::BAD_GATEWAY, None), Some(Fault::Transient(_))));
        assert!(matches!(refused("m", StatusCode::GATEWAY_TIMEOUT, None), Some(Fault::Ambiguous(_))));
        assert!(matches!(refused("m", StatusCode::FORBIDDEN, None), Some(Fault::Permanent(_))));
    }
}
