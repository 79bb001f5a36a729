//! Sessions of people who signed in: a token's secret and a time become a cookie's value, and back. The server keeps
//! nothing: a session holds over restarts and on every replica, and ends with its time or with its token. Pure.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A working day.
pub(super) const LASTING: Duration = Duration::from_secs(12 * 3600);
/// Tells this use of a token's secret from any other.
const PURPOSE: &[u8] = b"whodunit page session 1\n";
/// The time and the mark, with room; a longer value is none of ours.
const MAX_BYTES: usize = 100;

/// The value for a cookie that proves knowledge of `secret` until `LASTING` from now.
pub(super) fn begin(secret: &str, now: DateTime<Utc>) -> Option<String> {
    let until = (now + LASTING).timestamp();
    let mark = seal(secret, until)?.finalize().into_bytes();
    Some(format!("{until}.{}", URL_SAFE_NO_PAD.encode(mark)))
}

/// Was this value made from this secret, and is its time not over?
pub(super) fn holds(value: &str, secret: &str, now: DateTime<Utc>) -> bool {
    let Some((until, mark)) = value.split_once('.').filter(|_| value.len() <= MAX_BYTES) else {
        return false;
    };
    let (Ok(until), Ok(mark)) = (until.parse::<i64>(), URL_SAFE_NO_PAD.decode(mark)) else { return false };
    // Compares in constant time.
    until > now.timestamp() && seal(secret, until).is_some_and(|seal| seal.verify_slice(&mark).is_ok())
}

/// None for an empty secret, which must not open the door to a mark that anybody can make.
fn seal(secret: &str, until: i64) -> Option<Hmac<Sha256>> {
    if secret.is_empty() {
        return None;
    }
    let mut seal = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    seal.update(PURPOSE);
    seal.update(until.to_string().as_bytes());
    Some(seal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_session_holds_for_its_token_and_its_time() {
        let value = begin("secret", now()).unwrap();
        assert!(holds(&value, "secret", now()));
        assert!(holds(&value, "secret", now() + LASTING - Duration::from_secs(1)));
        assert!(!holds(&value, "secret", now() + LASTING));
        assert!(!holds(&value, "another", now()));
        assert!(!value.contains("secret"));
    }

    #[test]
    fn what_was_changed_or_made_up_does_not_hold() {
        let value = begin("secret", now()).unwrap();
        let (until, mark) = value.split_once('.').unwrap();
        let later = until.parse::<i64>().unwrap() + 1;
        let cut = &mark[..mark.len() - 2];
        for wrong in [format!("{later}.{mark}"), format!("{until}.{cut}"), format!("{until}."), String::new()]
        {
            assert!(!holds(&wrong, "secret", now()), "{wrong}");
        }
        assert_eq!(begin("", now()), None, "an empty token makes no session");
        assert!(!holds(&value, "", now()));
    }
}
