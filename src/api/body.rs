//! The JSON body of a request that changes something: bytes in, a value out, or a problem that names the field. Nothing
//! is read beyond the bound.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;

/// Larger bodies are refused.
pub(crate) const MAX_BYTES: usize = 64 << 10;
const MAX_HINT_CHARS: usize = 300;

pub(super) struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::NotJson);
        }
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > MAX_BYTES) {
            return Err(Problem::TooLarge);
        }
        let bytes = bytes(request.into_body()).await?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|error| fault("body", &error))?;
        // Derived structs would take a list as well.
        if !json.is_object() {
            return Err(Problem::parameter("body", "the body is a JSON object"));
        }
        let value = serde_path_to_error::deserialize(json).map_err(|error| {
            let path = error.path().to_string();
            fault(if path == "." || path == "?" { "body" } else { &path }, error.inner())
        })?;
        Ok(Self(value))
    }
}

fn fault(place: &str, error: &serde_json::Error) -> Problem {
    let hint = error.to_string();
    Problem::parameter(place, crate::redact::redact(&hint).chars().take(MAX_HINT_CHARS).collect::<String>())
}

/// The whole body, within its bound and its deadline.
pub(crate) async fn bytes(body: Body) -> Result<bytes::Bytes, Problem> {
    let deadline = tokio::time::timeout(super::problem::QUERY_DEADLINE, to_bytes(body, MAX_BYTES));
    match deadline.await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::TooLarge),
        Err(_) => Err(Problem::parameter("body", "the body did not arrive in time")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
