//! Slack's requests over HTTP: a raw body comes in, within its limits; only what Slack signed is read; an answer goes
//! out within Slack's three seconds, before anything is done.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Interact;
use crate::slack::interaction::{Asked, payload, verify};

/// Slack's payloads repeat the message that was pressed on; the largest message has about 200 KB.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Slack gives up after three seconds.
const BODY_DEADLINE: Duration = Duration::from_millis(2_500);

#[derive(Clone)]
struct Door {
    interact: Arc<Interact>,
    secret: Arc<SecretString>,
}

/// `/slack/interactions` and `/slack/events`, for whoever knows the app's signing secret.
pub fn router(interact: Arc<Interact>, secret: SecretString) -> Router {
    Router::new()
        .route("/slack/interactions", post(interactions))
        .route("/slack/events", post(events))
        .with_state(Door { interact, secret: Arc::new(secret) })
}

async fn interactions(State(door): State<Door>, request: Request) -> Response {
    match door.admit(request).await {
        Ok(body) => match form(&body) {
            Some(said) => door.take(payload::interaction(&said)).await,
            None => refuse(StatusCode::BAD_REQUEST, "no payload"),
        },
        Err(refusal) => refusal,
    }
}

async fn events(State(door): State<Door>, request: Request) -> Response {
    match door.admit(request).await {
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(said) => door.take(payload::event(&said)).await,
            Err(_) => refuse(StatusCode::BAD_REQUEST, "no JSON"),
        },
        Err(refusal) => refusal,
    }
}

impl Door {
    /// The raw body, if Slack signed it.
    async fn admit(&self, request: Request) -> Result<Bytes, Response> {
        let (parts, body) = request.into_parts();
        let body = whole(body).await?;
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let signed = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        let now = Utc::now().timestamp();
        match verify(self.secret.expose_secret().as_bytes(), signed, &body, now) {
            Ok(()) => Ok(body),
            Err(why) => {
                tracing::warn!(%why, retry = ?retry(&parts.headers), "a request that is not Slack's");
                Err(refuse(StatusCode::UNAUTHORIZED, "not signed by Slack"))
            }
        }
    }

    /// What is none of ours is answered as well: Slack would send it again.
    async fn take(&self, asked: Option<Asked>) -> Response {
        match asked {
            Some(Asked::Challenge(challenge)) => challenge.into_response(),
            Some(asked) => match self.interact.take(asked).await {
                Ok(()) => StatusCode::OK.into_response(),
                Err(error) => {
                    tracing::warn!(%error, "a request of Slack is put off");
                    refuse(StatusCode::SERVICE_UNAVAILABLE, "try again")
                }
            },
            None => StatusCode::OK.into_response(),
        }
    }
}

/// The form's field `payload`, which is JSON.
fn form(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let url = reqwest::Url::parse(&format!("http://localhost/?{text}")).ok()?;
    let payload = url.query_pairs().find(|(key, _)| key == "payload")?.1.into_owned();
    serde_json::from_str(&payload).ok()
}

async fn whole(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY_DEADLINE, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "too long")),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "too slow")),
    }
}

fn retry(headers: &HeaderMap) -> Option<u32> {
    headers.get("x-slack-retry-num")?.to_str().ok()?.parse().ok()
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_carries_its_payload() {
        assert_eq!(form(b"a=b&payload=%7B%22type%22%3A%22x+y%22%7D"), Some(json!({"type": "x y"})));
        for none in [&b"payload=%7B"[..], b"", b"payload", b"\xff", b"a=1#payload={}"] {
            assert_eq!(form(none), None);
        }
    }
}
