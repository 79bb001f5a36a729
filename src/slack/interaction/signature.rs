//! Slack's signature: the app's signing secret, a request's headers and its raw body go in; whether Slack sent it, and
//! lately, comes out. Pure. What is refused is never parsed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// An older request is a replay, one from so far ahead is nobody's.
pub const WINDOW_SECS: i64 = 300;
const VERSION: &str = "v0";

/// Why a request is not taken for Slack's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the request carries no signature")]
    Unsigned,
    #[error("the request is too old")]
    Stale,
    #[error("the signature is not Slack's")]
    Forged,
}

/// `timestamp` and `signature` are the headers `X-Slack-Request-Timestamp` and `X-Slack-Signature`; `now` is in seconds
/// since 1970. Takes the same time at whichever byte a signature is wrong.
///
/// # Errors
/// What speaks against it.
pub fn verify(
    secret: &[u8],
    (timestamp, signature): (Option<&str>, Option<&str>),
    body: &[u8],
    now: i64,
) -> Result<(), Refused> {
    let (Some(timestamp), Some(signature)) = (timestamp, signature) else { return Err(Refused::Unsigned) };
    let sent: i64 = timestamp.parse().map_err(|_| Refused::Unsigned)?;
    if now.checked_sub(sent).is_none_or(|age| age.abs() > WINDOW_SECS) {
        return Err(Refused::Stale);
    }
    let digest = signature.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('=')).and_then(bytes);
    let digest = digest.ok_or(Refused::Forged)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Refused::Forged)?;
    mac.update(format!("{VERSION}:{timestamp}:").as_bytes());
    mac.update(body);
    mac.verify_slice(&digest).map_err(|_| Refused::Forged)
}

/// Of 64 hex digits.
fn bytes(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of Slack's own documentation.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const SENT: i64 = 1_531_420_618;
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                        channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                        response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F\
                        96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn verified(secret: &[u8], signature: &str, body: &str, now: i64) -> Result<(), Refused> {
        verify(secret, (Some(&SENT.to_string()), Some(signature)), body.as_bytes(), now)
    }

    #[test]
    fn slack_s_own_example_is_slack_s() {
        assert_eq!(verified(SECRET, SIGNATURE, BODY, SENT), Ok(()));
        for late in [-WINDOW_SECS, WINDOW_SECS] {
            assert_eq!(verified(SECRET, SIGNATURE, BODY, SENT + late), Ok(()));
        }
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        assert_eq!(verified(SECRET, SIGNATURE, BODY, SENT + WINDOW_SECS + 1), Err(Refused::Stale));
        assert_eq!(verified(SECRET, SIGNATURE, BODY, SENT - WINDOW_SECS - 1), Err(Refused::Stale));
        assert_eq!(verified(SECRET, SIGNATURE, &format!("{BODY} "), SENT), Err(Refused::Forged));
        assert_eq!(verified(b"another", SIGNATURE, BODY, SENT), Err(Refused::Forged));
        for wrong in [
            "v0=",
            "v1=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b50",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b504",
            "v0=é114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ] {
            assert_eq!(verified(SECRET, wrong, BODY, SENT), Err(Refused::Forged), "{wrong}");
        }
        assert_eq!(verify(SECRET, (None, Some(SIGNATURE)), BODY.as_bytes(), SENT), Err(Refused::Unsigned));
        assert_eq!(verify(SECRET, (Some("soon"), Some(SIGNATURE)), b"", SENT), Err(Refused::Unsigned));
        let overflowing = (Some("-9223372036854775808"), Some(SIGNATURE));
        assert_eq!(verify(SECRET, overflowing, b"", SENT), Err(Refused::Stale));
    }
}
