//! What becomes of a delivery: an answer's status, or that there was none, becomes a `Fault` named by what can be done
//! about it; fault and tries become a decision. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Wait when an outlet says "too many requests" without saying for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(30);
/// Being told to wait longer than an hour is taken as an hour.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// A delivery is tried again after 1, 2, 4 … 256, then 300 s.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(300);
/// An outlet that fails is asked again after 1, 2, 4 … 30 s, whatever waits for it.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// An outlet that an operator has to mend is asked again after 10, 20 … 300 s.
const FIRST_HOLD: Duration = Duration::from_secs(10);
const MAX_HOLD: Duration = Duration::from_secs(300);
/// A message that is refused so often, over about ten minutes, will not be taken.
const MAX_REFUSALS: i32 = 10;

/// Why a delivery did not arrive, or may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("told to wait for {} s", .0.as_secs())]
    Limited(Duration),
    /// Nobody answers, or its own fault.
    #[error("{0}")]
    Down(String),
    /// Address or credentials: every message would be refused until an operator mends it.
    #[error("{0}")]
    Misconfigured(String),
    /// This message; others may pass.
    #[error("{0}")]
    Refused(String),
    /// It wants no more.
    #[error("HTTP 410: its receiver wants no more messages")]
    Gone,
}

/// What becomes of a delivery after a fault.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// Again after `wait`; meanwhile nothing goes to the outlet for `hold`.
    Again {
        wait: Duration,
        hold: Option<Duration>,
    },
    Bury,
}

/// None: it arrived. Redirects are not followed: the address has to be the right one.
pub fn fault(status: u16, retry_after: Option<Duration>) -> Option<Fault> {
    let why = format!("HTTP {status}");
    match (status, retry_after) {
        (200..=299, _) => None,
        (429, told) => Some(Fault::Limited(told.unwrap_or(DEFAULT_RETRY_AFTER))),
        (503, Some(told)) => Some(Fault::Limited(told)),
        (410, _) => Some(Fault::Gone),
        (408 | 500.., _) => Some(Fault::Down(why)),
        (400 | 409 | 413 | 415 | 422, _) => Some(Fault::Refused(why)),
        _ => Some(Fault::Misconfigured(why)),
    }
}

/// `attempts` are tries so far, this one included; `faults` those of the outlet since its last success.
pub fn after(fault: &Fault, attempts: i32, faults: i32) -> Then {
    let wait = doubled(FIRST_WAIT, attempts.saturating_sub(1), MAX_WAIT);
    match fault {
        Fault::Limited(told) => Then::Again { wait: Duration::ZERO, hold: Some(*told) },
        Fault::Down(_) => Then::Again { wait, hold: Some(doubled(FIRST_WAIT, faults, MAX_PAUSE)) },
        // Its place in the line is kept: the outlet's hold is wait enough.
        Fault::Misconfigured(_) => {
            Then::Again { wait: Duration::ZERO, hold: Some(doubled(FIRST_HOLD, faults, MAX_HOLD)) }
        }
        Fault::Refused(_) if attempts < MAX_REFUSALS => Then::Again { wait, hold: None },
        Fault::Refused(_) | Fault::Gone => Then::Bury,
    }
}

/// `Retry-After`, in seconds or as a date.
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let told = header.trim();
    let wait = match told.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(told).ok()?;
            (until.to_utc() - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn doubled(first: Duration, times: i32, most: Duration) -> Duration {
    (first * (1 << u32::try_from(times).unwrap_or(0).min(9))).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_s_status_says_what_can_be_done() {
        let secs = Duration::from_secs;
        for good in [200, 202, 204] {
            assert_eq!(fault(good, None), None);
        }
        assert_eq!(fault(429, Some(secs(7))), Some(Fault::Limited(secs(7))));
        assert_eq!(fault(429, None), Some(Fault::Limited(DEFAULT_RETRY_AFTER)));
        assert_eq!(fault(503, Some(secs(9))), Some(Fault::Limited(secs(9))));
        assert_eq!(fault(410, None), Some(Fault::Gone));
        for down in [408, 500, 502, 503, 504] {
            assert!(matches!(fault(down, None), Some(Fault::Down(_))), "{down}");
        }
        for refused in [400, 413, 422] {
            assert!(matches!(fault(refused, None), Some(Fault::Refused(_))), "{refused}");
        }
        for wrong in [100, 301, 302, 307, 401, 403, 404, 405] {
            assert!(matches!(fault(wrong, None), Some(Fault::Misconfigured(_))), "{wrong}");
        }
    }

    #[test]
    fn waits_grow_to_their_bounds_and_only_a_refused_message_dies_before_its_time() {
        let secs = Duration::from_secs;
        let down = Fault::Down("HTTP 500".to_owned());
        let of = |attempts, faults| after(&down, attempts, faults);
        assert_eq!(of(1, 0), Then::Again { wait: secs(1), hold: Some(secs(1)) });
        assert_eq!(of(4, 3), Then::Again { wait: secs(8), hold: Some(secs(8)) });
        assert_eq!(of(99_999, 99_999), Then::Again { wait: MAX_WAIT, hold: Some(MAX_PAUSE) });
        let wrong = Fault::Misconfigured("HTTP 404".to_owned());
        assert_eq!(after(&wrong, 99, 1), Then::Again { wait: secs(0), hold: Some(secs(20)) });
        assert_eq!(after(&wrong, 99, 99), Then::Again { wait: secs(0), hold: Some(MAX_HOLD) });
        let refused = Fault::Refused("HTTP 400".to_owned());
        assert_eq!(after(&refused, 9, 0), Then::Again { wait: secs(256), hold: None });
        assert_eq!(after(&refused, MAX_REFUSALS, 0), Then::Bury);
        assert_eq!(after(&Fault::Gone, 1, 0), Then::Bury);
        assert_eq!(
            after(&Fault::Limited(secs(40)), 50, 9),
            Then::Again { wait: secs(0), hold: Some(secs(40)) }
        );
    }

    #[test]
    fn being_told_to_wait_is_read_in_both_forms() {
        let now = "2026-11-21T07:00:00Z".parse().unwrap();
        let of = |header| retry_after(header, now).map(|wait| wait.as_secs());
        assert_eq!(of("30"), Some(30));
        assert_eq!(of("Sat, 21 Nov 2026 07:01:00 GMT"), Some(60));
        assert_eq!(of("Sat, 21 Nov 2026 06:00:00 GMT"), Some(0));
        assert_eq!((of("999999"), of("soon"), of("-1")), (Some(3600), None, None));
    }
}
