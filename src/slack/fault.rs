//! What Slack's refusals and silences mean: a status, an error code or a broken request goes in, a `Fault` named by
//! what the caller can do comes out. It decides nothing about announcements.

use std::time::Duration;

use reqwest::StatusCode;

/// Wait when Slack says "rate limited" without saying for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// Longest error code of Slack's that is kept, in characters.
const MAX_CODE_CHARS: usize = 100;

/// Why a call did not succeed, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was done; the whole channel waits.
    #[error("rate limited for {} s", retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    /// Nothing was done; try again later.
    #[error("{0}")]
    Transient(String),
    /// The request was sent and its answer never came: it may have been acted on.
    #[error("{0}")]
    Ambiguous(String),
    /// Slack failed and said so: hardly acted on, though Slack does not rule it out.
    #[error("{0}")]
    Broken(String),
    /// The token, its scopes or the channel: every message would be refused until an operator mends it.
    #[error("{0}")]
    Misconfigured(String),
    /// Slack refused this request, with its error code; others may pass.
    #[error("{0}")]
    Rejected(String),
}

/// Error codes that say something about the workspace, the token or the channel, not about the message.
const MISCONFIGURED: &[&str] = &[
    "access_denied",
    "accesslimited",
    "account_inactive",
    "channel_not_found",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "is_archived",
    "is_inactive",
    "messages_tab_disabled",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "team_access_not_granted",
    "team_not_found",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
    "user_is_restricted",
];

/// Codes of `Misconfigured` that keep us from reading a channel but not, by themselves, from posting to it.
const UNREADABLE: &[&str] = &[
    "access_denied",
    "channel_not_found",
    "is_archived",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_in_channel",
    "team_access_not_granted",
    "user_is_restricted",
];

impl Fault {
    /// Posting may go well although this kept us from reading.
    pub(super) fn is_about_reading(&self) -> bool {
        match self {
            Self::Misconfigured(code) => UNREADABLE.contains(&code.as_str()),
            Self::Rejected(_) => true,
            _ => false,
        }
    }
}

/// A request that got no answer: only one that never left is certain not to have been acted on.
pub(super) fn unsent(method: &str, error: &reqwest::Error) -> Fault {
    if error.is_builder() {
        Fault::Misconfigured(format!(
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

pub(super) fn refused(method: &str, status: StatusCode, retry_after: Option<Duration>) -> Option<Fault> {
    let why = format!("{method}: HTTP {}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            Some(Fault::RateLimited { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) })
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => Some(Fault::Transient(why)),
        // A gateway that gave up waiting does not know what became of the request behind it.
        StatusCode::GATEWAY_TIMEOUT => Some(Fault::Ambiguous(why)),
        _ if status.is_server_error() => Some(Fault::Broken(why)),
        _ if status.is_success() => None,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::BAD_REQUEST => Some(Fault::Rejected(why)),
        // A redirect, 401, 403, 404: the address is wrong, or something between us and Slack.
        _ => Some(Fault::Misconfigured(why)),
    }
}

/// Slack's error code as a fault. An unknown code is about the message: a message that is refused for ever
/// must not hold its channel.
pub(super) fn fault(code: &str, retry_after: Option<Duration>) -> Fault {
    match code {
        "ratelimited" | "rate_limited" => {
            Fault::RateLimited { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) }
        }
        "service_unavailable" | "request_timeout" | "team_added_to_org" | "message_limit_exceeded" => {
            Fault::Transient(code.to_owned())
        }
        // Slack of both: "It's possible some aspect of the operation succeeded before the error was raised."
        "fatal_error" => Fault::Ambiguous(code.to_owned()),
        "internal_error" => Fault::Broken(code.to_owned()),
        _ if MISCONFIGURED.contains(&code) => Fault::Misconfigured(code.to_owned()),
        _ => Fault::Rejected(code.chars().take(MAX_CODE_CHARS).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_error_codes_become_what_the_caller_can_do() {
        for code in ["channel_not_found", "invalid_auth", "not_in_channel", "missing_scope", "token_revoked"]
        {
            assert_eq!(fault(code, None), Fault::Misconfigured(code.to_owned()));
        }
        for code in ["msg_too_long", "invalid_blocks", "thread_not_found", "a_code_of_tomorrow"] {
            assert_eq!(fault(code, None), Fault::Rejected(code.to_owned()));
        }
        assert_eq!(fault("service_unavailable", None), Fault::Transient("service_unavailable".to_owned()));
        assert_eq!(fault("internal_error", None), Fault::Broken("internal_error".to_owned()));
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
        let of = |code| refused("m", StatusCode::from_u16(code).unwrap(), None).unwrap();
        assert!(matches!(of(503), Fault::Transient(_)));
        assert!(matches!(of(502), Fault::Broken(_)), "the request may have passed the gateway");
        assert!(matches!(of(504), Fault::Ambiguous(_)));
        assert!(matches!(of(403), Fault::Misconfigured(_)));
        assert!(matches!(of(302), Fault::Misconfigured(_)));
        assert!(matches!(of(413), Fault::Rejected(_)));
    }

    #[test]
    fn a_dead_token_is_no_reason_to_post_blindly() {
        assert!(fault("missing_scope", None).is_about_reading());
        assert!(!fault("invalid_auth", None).is_about_reading());
        for code in UNREADABLE {
            assert!(MISCONFIGURED.contains(code), "{code}");
        }
    }
}
