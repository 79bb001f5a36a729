//! What a provider says went wrong becomes a `Fault` named by what the caller can do about it. Pure: status,
//! headers and body in, one fault out, still with the provider's own words; `exchange` cleans them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::Fault;

/// A `Retry-After` beyond an hour is taken as an hour.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Most characters that are looked at of a body that is no JSON.
const MAX_RAW_CHARS: usize = 2_000;

/// Phrases of OpenAI, Azure, vLLM, llama.cpp, Ollama, LiteLLM, Groq, Anthropic and Mistral.
const TOO_LONG: &[&str] = &[
    "context_length_exceeded",
    "exceed_context_size",
    "context length",
    "context window",
    "context limit",
    "context size",
    "prompt is too long",
    "input is too long",
    "request too large",
    "request_too_large",
    "too many input tokens",
    "reduce the length",
];
/// Money is gone, not time: waiting does not help. Gemini says "quota" for a limit by the minute too, so that
/// word alone is not enough.
const NO_MONEY: &[&str] = &[
    "insufficient_quota",
    "insufficient balance",
    "insufficient credits",
    "credit balance",
    "billing_error",
    "billing_not_active",
    "billing_hard_limit",
    "budget has been exceeded",
    "budget_exceeded",
];
const PASSING: &[&str] = &["overloaded", "rate_limit", "rate limit", "api_error", "server_error", "timeout"];

/// The fault behind an error answer, or behind an error inside an answer that began well (`status` none).
pub(super) fn classify(status: Option<u16>, retry_after: Option<Duration>, body: &[u8]) -> Fault {
    let error = Said::read(body);
    let status = status.or(error.status);
    let said = error.all.to_lowercase();
    let holds = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
    let detail = match status {
        Some(status) => format!("HTTP {status}: {}", error.message),
        None => error.message,
    };
    let transient = Fault::Transient { detail: detail.clone(), retry_after };
    match status {
        _ if holds(NO_MONEY) => Fault::Unusable { detail },
        Some(429) if holds(&["request too large"]) => Fault::TooLong { detail },
        Some(408 | 409 | 425 | 429 | 529) => transient,
        Some(413) => Fault::TooLong { detail },
        Some(401..=407 | 501) => Fault::Unusable { detail },
        _ if holds(TOO_LONG) => Fault::TooLong { detail },
        Some(500..) => transient,
        Some(_) if !holds(PASSING) => Fault::Unusable { detail },
        _ => transient,
    }
}

/// An error's own words.
struct Said {
    /// For people.
    message: String,
    /// Message, type and code, to be searched.
    all: String,
    /// Some gateways answer 200 and put the status into the body.
    status: Option<u16>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(tree) = serde_json::from_slice::<Value>(body) else {
            let text: String = String::from_utf8_lossy(body).chars().take(MAX_RAW_CHARS).collect();
            return Self { message: text.clone(), all: text, status: None };
        };
        // Gemini wraps its error into a list.
        let tree = tree.get(0).unwrap_or(&tree);
        let error = tree.get("error").filter(|error| !error.is_null()).unwrap_or(tree);
        let texts: Vec<&str> = match error {
            Value::String(text) => vec![text],
            _ => ["message", "detail", "type", "code", "status"]
                .iter()
                .filter_map(|key| error.get(key)?.as_str())
                .collect(),
        };
        let message = match texts.first() {
            Some(text) => (*text).to_owned(),
            None => error.to_string().chars().take(MAX_RAW_CHARS).collect(),
        };
        let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let all = if texts.is_empty() { message.clone() } else { texts.join(" ") };
        Self { message, all, status: code.filter(|code| (400..600).contains(code)) }
    }
}

/// `Retry-After` in seconds or as a date, or OpenAI's `retry-after-ms`.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds =
        |text: &str| text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    let wait = match text("retry-after-ms").and_then(seconds) {
        Some(milliseconds) => milliseconds / 1000.0,
        None => {
            let text = text(RETRY_AFTER.as_str())?;
            match seconds(text) {
                Some(seconds) => seconds,
                None => {
                    let date = DateTime::parse_from_rfc2822(text).ok()?;
                    (date.to_utc() - now).to_std().unwrap_or_default().as_secs_f64()
                }
            }
        }
    };
    Some(Duration::from_secs_f64(wait.min(MAX_RETRY_AFTER.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(fault: &Fault) -> &'static str {
        match fault {
            Fault::Transient { .. } => "transient",
            Fault::Unusable { .. } => "unusable",
            Fault::TooLong { .. } => "too long",
            Fault::Garbage { .. } => "garbage",
        }
    }

    /// As providers and servers write them.
    const ERRORS: &[(u16, &str, &str)] = &[
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-4o","type":"tokens","code":"rate_limit_exceeded"}}"#,
            "transient",
        ),
        (
            429,
            r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41000","type":"tokens","code":"rate_limit_exceeded"}}"#,
            "too long",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            "unusable",
        ),
        (
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED"}}]"#,
            "transient",
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit of 50,000 input tokens per minute"}}"#,
            "transient",
        ),
        (529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "transient"),
        (
            500,
            r#"{"type":"error","error":{"type":"api_error","message":"Internal server error"}}"#,
            "transient",
        ),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>", "transient"),
        (503, "no healthy upstream", "transient"),
        (504, "", "transient"),
        (408, "", "transient"),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, you requested 9000 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            "too long",
        ),
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            "too long",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
            "too long",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            "too long",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"}}"#,
            "too long",
        ),
        (
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
            "too long",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
            "unusable",
        ),
        (402, r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#, "unusable"),
        (
            400,
            r#"{"error":{"message":"Budget has been exceeded! Current cost: 5.1, Max budget: 5.0","type":"budget_exceeded","code":"400"}}"#,
            "unusable",
        ),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            "unusable",
        ),
        (403, r#"{"type":"error","error":{"type":"permission_error","message":"no access"}}"#, "unusable"),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}"#,
            "unusable",
        ),
        (404, r#"{"error":"model \"qwen9\" not found, try pulling it first"}"#, "unusable"),
        (404, r#"{"detail":"Not Found"}"#, "unusable"),
        (
            400,
            r#"{"object":"error","message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set","type":"BadRequestError","code":400}"#,
            "unusable",
        ),
        (302, "", "unusable"),
    ];

    #[test]
    fn providers_errors_become_what_the_caller_can_do() {
        for (status, body, expected) in ERRORS {
            let fault = classify(Some(*status), None, body.as_bytes());
            assert_eq!(kind(&fault), *expected, "{status} {body}");
            assert!(fault.to_string().starts_with(&format!("HTTP {status}: ")), "{fault}");
        }
    }

    #[test]
    fn an_error_inside_an_answer_that_began_well_is_read_alike() {
        for (body, expected) in [
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "transient"),
            (r#"{"error":{"message":"The server had an error","type":"server_error"}}"#, "transient"),
            (r#"{"error":{"message":"Provider returned error","code":401}}"#, "unusable"),
            (r#"{"error":{"message":"Provider returned error","code":502}}"#, "transient"),
            (r#"{"error":{"message":"insufficient_quota"}}"#, "unusable"),
            (r#"{"error":{"message":"maximum context length"}}"#, "too long"),
            (r#"{"error":{}}"#, "transient"),
        ] {
            assert_eq!(kind(&classify(None, None, body.as_bytes())), expected, "{body}");
        }
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now: DateTime<Utc> = "2026-10-21T07:28:00Z".parse().unwrap();
        let read = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", " 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(read("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("retry-after", "Wed, 21 Oct 2026 07:20:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("retry-after", "999999999"), Some(MAX_RETRY_AFTER));
        for nonsense in ["soon", "-1", "NaN", "inf", ""] {
            assert_eq!(read("retry-after", nonsense), None, "{nonsense}");
        }
    }
}
