//! The JSON body of a request that changes something: bytes in, a value out, or a problem that names the field. Nothing
//! is kept beyond the bound.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;

/// Larger bodies are refused.
pub(crate) const MAX_BYTES: usize = 64 << 10;
const MAX_HINT_CHARS: usize = 300;
/// Of a body that is refused, so much is read and dropped: who still sends when the connection is cut never sees the
/// answer.
const MAX_DRAINED_BYTES: usize = 1 << 20;
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);

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
            drain(request.into_body()).await;
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
pub(crate) async fn bytes(mut body: Body) -> Result<bytes::Bytes, Problem> {
    let read = tokio::time::timeout(super::problem::QUERY_DEADLINE, within_bound(&mut body)).await;
    let Ok(read) = read else { return Err(Problem::parameter("body", "the body did not arrive in time")) };
    if matches!(read, Err(Problem::TooLarge)) {
        drain(body).await;
    }
    read
}

async fn within_bound(body: &mut Body) -> Result<bytes::Bytes, Problem> {
    let mut bytes = bytes::BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::parameter("body", "the body broke off"))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(Problem::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads on before a refusal, within bounds of size and time.
pub(crate) async fn drain(mut body: Body) {
    let mut left = MAX_DRAINED_BYTES;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_DEADLINE, reading).await;
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
