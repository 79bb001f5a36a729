//! Why a webhook was not accepted, as an HTTP answer (RFC 9457 problem details). Alertmanager retries only
//! 5xx and drops 4xx for good: a 4xx is for what can never be accepted, 503 for what may go well next time.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body::{BODY_DEADLINE, MAX_BODY_BYTES, MAX_EXPANDED_BYTES};

/// Seconds after which a sender may try again.
const RETRY_AFTER_SECS: u64 = 1;
/// Longest explanation sent back: serde's messages quote what they did not expect.
const MAX_DETAIL_CHARS: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No credential, or none that is valid.
    #[error("missing or wrong credentials")]
    Unauthorised { bearer: Accepted, basic: Accepted },
    #[error("content encoding {0:?} is not supported: send gzip or none")]
    UnsupportedEncoding(String),
    #[error("the body is larger than {MAX_BODY_BYTES} bytes, or {MAX_EXPANDED_BYTES} bytes unpacked")]
    TooLarge,
    /// Can never parse as a message of its sender; says where.
    #[error("{0}")]
    Malformed(String),
    #[error("the body did not arrive within {} seconds", BODY_DEADLINE.as_secs())]
    TooSlow,
    #[error("the connection broke while the body was read")]
    Interrupted,
    /// Too many big bodies at once, or a worker thread that died.
    #[error("no capacity for this body right now")]
    Busy,
}

/// Whether a way to authenticate would be accepted, for `WWW-Authenticate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    Yes,
    No,
}

impl Rejection {
    /// A fault in the body. The detail quotes the body, so it is redacted and cut before anyone sees it.
    pub(super) fn malformed(detail: &str) -> Self {
        let detail = crate::redact::redact(detail);
        Self::Malformed(detail.chars().take(MAX_DETAIL_CHARS).collect())
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorised { .. } => StatusCode::UNAUTHORIZED,
            Self::UnsupportedEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow | Self::Interrupted | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn add_headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unauthorised { bearer, basic } => {
                if *bearer == Accepted::Yes {
                    headers.append(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static(r#"Bearer realm="whodunit""#),
                    );
                }
                if *basic == Accepted::Yes {
                    headers.append(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static(r#"Basic realm="whodunit""#),
                    );
                }
            }
            Self::UnsupportedEncoding(_) => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity"));
            }
            Self::TooSlow | Self::Interrupted | Self::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
            }
            Self::TooLarge | Self::Malformed(_) => {}
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let status = self.status();
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response = (status, problem.to_string()).into_response();
        self.add_headers(&mut response);
        response
    }
}
