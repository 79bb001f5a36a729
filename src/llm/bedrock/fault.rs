//! What Bedrock's refusals mean: a status, an error's name and its words in, a `Fault` out. Pure; nothing is
//! asked again here.

use std::time::Duration;

use serde_json::Value;

use super::Fault;

/// Most characters of Bedrock's own words in a fault.
const MAX_MESSAGE_CHARS: usize = 300;
/// A longer `Retry-After` is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Ways in which models say that the conversation is too long, in lower case.
const TOO_LONG: [&str; 6] = [
    "input is too long",
    "prompt is too long",
    "exceed context limit",
    "too many total text bytes",
    "too many input tokens",
    "maximum context length",
];
/// Throttling that will not pass while anybody waits, in lower case.
const USED_UP: [&str; 2] = ["tokens per day", "requests per day"];
/// Credentials that were good and are not any more.
const EXPIRED: [&str; 3] = ["ExpiredTokenException", "ExpiredToken", "RequestExpired"];

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    /// `ThrottlingException`; "" where nobody said.
    kind: String,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// `kind` is the header `x-amzn-errortype`.
    pub fn new(status: u16, kind: &str, retry_after: &str, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let kind = if kind.is_empty() { text("__type").unwrap_or_default() } else { kind.to_owned() };
        // `com.amazon.coral.service#ThrottlingException` and `ThrottlingException:http://…` are both sent.
        let kind = kind.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
        let message = text("message").or_else(|| text("Message"));
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let retry_after = retry_after.trim().parse().ok().map(Duration::from_secs);
        Self {
            status,
            kind: kind.to_owned(),
            message: message.chars().take(MAX_MESSAGE_CHARS).collect(),
            retry_after: retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)),
        }
    }

    pub fn is_expired_token(&self) -> bool {
        EXPIRED.contains(&self.kind.as_str())
    }

    pub fn transient(&self) -> Fault {
        Fault::Transient { detail: self.detail(), retry_after: self.retry_after }
    }

    pub fn fault(&self) -> Fault {
        let message = self.message.to_lowercase();
        let says = |known: &[&str]| known.iter().any(|words| message.contains(words));
        if self.status == 413 || (self.status < 500 && says(&TOO_LONG)) {
            return Fault::TooLong { detail: self.detail() };
        }
        match self.kind.as_str() {
            "ServiceQuotaExceededException" => Fault::Unusable { detail: self.detail() },
            "ThrottlingException" if says(&USED_UP) => Fault::Unusable { detail: self.detail() },
            "ThrottlingException"
            | "ModelNotReadyException"
            | "ModelTimeoutException"
            | "ModelErrorException"
            | "ServiceUnavailableException"
            | "InternalServerException" => self.transient(),
            _ if matches!(self.status, 408 | 424 | 429 | 500..) => self.transient(),
            // Access, authentication, an unknown model, a request that this model does not take.
            _ => Fault::Unusable { detail: self.detail() },
        }
    }

    fn detail(&self) -> String {
        let kind = if self.kind.is_empty() { String::new() } else { format!(" {}", self.kind) };
        format!("HTTP {}{kind}: {}", self.status, self.message)
    }
}

/// A deadline that passed.
pub(super) fn late(detail: String) -> Fault {
    Fault::Transient { detail, retry_after: None }
}

/// A connection that did not come about, or broke.
pub(super) fn unsent(error: &reqwest::Error) -> Fault {
    Fault::Transient { detail: causes(error), retry_after: None }
}

/// reqwest's error with its causes; without the address, which may hold a secret path.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() { "cannot connect" } else { "no answer" }.to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, kind: &str, message: &str) -> Fault {
        let body = serde_json::json!({ "message": message }).to_string();
        Refusal::new(status, kind, "", body.as_bytes()).fault()
    }

    #[test]
    fn refusals_are_told_apart_by_what_can_be_done() {
        for (status, kind, message) in [
            (429, "ThrottlingException", "Too many requests, please wait before trying again."),
            (429, "ThrottlingException", "Too many tokens, please wait before trying again."),
            (429, "ModelNotReadyException", "not ready"),
            (408, "ModelTimeoutException", "took too long"),
            (424, "ModelErrorException", "an error"),
            (500, "InternalServerException", "oops"),
            (503, "ServiceUnavailableException", "busy"),
            (502, "", "<html>bad gateway</html>"),
        ] {
            assert!(matches!(fault(status, kind, message), Fault::Transient { .. }), "{status} {kind}");
        }
        for (status, kind, message) in [
            (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
            (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
            (403, "InvalidSignatureException", "The request signature we calculated does not match"),
            (403, "ExpiredTokenException", "The security token included in the request is expired"),
            (404, "ResourceNotFoundException", "Could not resolve the foundation model"),
            (400, "ValidationException", "The provided model identifier is invalid."),
            (400, "ServiceQuotaExceededException", "Your request exceeds the service quota."),
            (429, "ThrottlingException", "Too many tokens per day, please wait before trying again."),
            (302, "", ""),
        ] {
            assert!(matches!(fault(status, kind, message), Fault::Unusable { .. }), "{status} {kind}");
        }
        for message in [
            "Input is too long for requested model.",
            "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        ] {
            assert!(matches!(fault(400, "ValidationException", message), Fault::TooLong { .. }), "{message}");
        }
    }

    #[test]
    fn names_waits_and_words_are_read_from_where_they_stand() {
        let body = br#"{"__type":"com.amazon.coral.service#ThrottlingException","Message":"slow down"}"#;
        let Fault::Transient { detail, retry_after } = Refusal::new(429, "", "7", body).fault() else {
            panic!("not transient")
        };
        assert_eq!(
            (detail.as_str(), retry_after.unwrap().as_secs()),
            ("HTTP 429 ThrottlingException: slow down", 7)
        );
        let refusal = Refusal::new(503, "ServiceUnavailableException:http://aws/", "999999", b"x");
        let Fault::Transient { detail, retry_after } = refusal.fault() else { panic!("not transient") };
        assert_eq!(detail, "HTTP 503 ServiceUnavailableException: x");
        assert_eq!(retry_after, Some(MAX_RETRY_AFTER));
        let long = Refusal::new(500, "", "", "é".repeat(5000).as_bytes());
        assert_eq!(long.message.chars().count(), MAX_MESSAGE_CHARS);
    }
}
