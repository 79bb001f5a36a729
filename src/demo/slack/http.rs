//! The Web API over HTTP: a request comes in, the method's answer goes out in Slack's form, or what a test wants
//! instead. It knows no method.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::extract::{Request, State as AxumState};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::serve::hang;
use super::{Arrival, Injected, SlackStandIn, methods};

/// Largest request body, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

pub(super) async fn receive(AxumState(slack): AxumState<Arc<SlackStandIn>>, request: Request) -> Response {
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
    if let Some(refusal) = answer_instead(injected.as_ref()).await {
        return refusal;
    }
    let slow = match &parameters {
        Ok((parameters, _)) => slack.answers_after(parameters),
        Err(_) => Duration::ZERO,
    };
    let answer = slack
        .authenticate(&parts.headers)
        .and(parameters)
        .and_then(|(parameters, _)| slack.call(&method, &parameters));
    tokio::time::sleep(slow).await;
    match injected {
        Some(Injected::StoredThenHang) => hang().await,
        Some(Injected::StoredThenStatus(code)) => return status(code),
        _ => {}
    }
    let mut answer = finish(answer, &warnings);
    if let Ok(scopes) = slack.lock().scopes.to_string().parse() {
        answer.headers_mut().insert("x-oauth-scopes", scopes);
    }
    answer
}

/// The answers that are given without looking at the call.
async fn answer_instead(injected: Option<&Injected>) -> Option<Response> {
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
