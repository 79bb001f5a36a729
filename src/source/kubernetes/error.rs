//! Why the Kubernetes API gave no answer, in the classes that callers choose by.
//! Built from HTTP status and Status body; it never holds a request's credentials.

use std::time::Duration;

use serde::Deserialize;

/// Most characters of the API's own words that an error carries.
const MAX_MESSAGE_CHARS: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("404 not found")]
    NotFound,
    #[error("403 forbidden: {0}")]
    Forbidden(String),
    #[error("401 {0} (token, token_file or the kubeconfig's user is not accepted)")]
    Unauthorized(String),
    /// Never sent: it would read a Secret, leave the scope or reach into a container.
    #[error("refused by whodunit: {0}")]
    Refused(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("unavailable: {0}")]
    Unavailable(String),
    #[error("400 bad request: {0}")]
    BadRequest(String),
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

impl Error {
    /// The class of an HTTP answer that is no success.
    pub(super) fn from_answer(status: u16, body: &[u8]) -> Self {
        let message = serde_json::from_slice::<Status>(body)
            .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |status| status.message);
        let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
        match status {
            404 => Self::NotFound,
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            400..=499 if status != 408 && status != 410 && status != 429 => Self::BadRequest(message),
            _ => Self::Unavailable(format!("HTTP {status}: {message}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_refusals_fall_into_their_class() {
        let body = include_bytes!("../../../tests/fixtures/recording/kubernetes/errors/403-list-pods.json");
        assert!(
            matches!(Error::from_answer(403, body), Error::Forbidden(text) if text.contains("cannot list"))
        );
        let body = include_bytes!("../../../tests/fixtures/recording/kubernetes/errors/404-pod.json");
        assert_eq!(Error::from_answer(404, body), Error::NotFound);
        assert!(matches!(Error::from_answer(503, b"no"), Error::Unavailable(_)));
        assert!(matches!(Error::from_answer(429, b"slow"), Error::Unavailable(_)));
        assert!(matches!(Error::from_answer(401, b"{}"), Error::Unauthorized(_)));
    }
}
