//! What becomes of an announcement: a fault of Slack's, or what a look brought, and the claim go in, a decision comes out.
//! Pure.

use std::time::Duration;

use super::client::{DEFAULT_PACE, Posted};
use super::fault::Fault;
use super::look::{self, Seen};
use super::outbox::queue::{Claim, Doubt};

/// How often a message is posted again although an earlier post may stand there and nobody may look: to lose an
/// alert is worse than to say it twice, and to say it for ever is worse than to lose it.
const MAX_DOUBTS: i32 = 2;
/// Looks that fail, over about ten minutes; then it is as if we may not look.
const MAX_LOOKS: i32 = 15;
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// With `MAX_BACKOFF` about a day.
const MAX_ATTEMPTS: i32 = 300;
/// A channel that fails is asked again after 1, 2, 4 … 30 s, by one message at a time.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A channel that an operator has to mend is asked again after 10, 20, 40 … 300 s.
const FIRST_HOLD: Duration = Duration::from_secs(10);
const MAX_HOLD: Duration = Duration::from_secs(300);

/// What becomes of an announcement after a fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    Retry(Duration),
    LimitRate(Duration),
    Hold(Duration),
    Doubt { answered: bool },
    Plain,
    Fail,
}

pub(super) fn after(fault: &Fault, claim: &Claim) -> Then {
    match fault {
        Fault::RateLimited { retry_after } => Then::LimitRate((*retry_after).max(DEFAULT_PACE)),
        Fault::Misconfigured(_) => Then::Hold(hold(claim.faults)),
        Fault::Ambiguous(_) => Then::Doubt { answered: false },
        Fault::Broken(_) => Then::Doubt { answered: true },
        Fault::Transient(_) if claim.attempts < MAX_ATTEMPTS => Then::Retry(backoff(claim.attempts)),
        Fault::Rejected(_) if !claim.plain && !claim.message.blocks.is_empty() => Then::Plain,
        Fault::Transient(_) | Fault::Rejected(_) => Then::Fail,
    }
}

/// What becomes of an announcement after it was looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Store(Posted),
    Post { wait: Duration, doubts: i32, why: String },
    Look { wait: Duration, why: String },
    Hold { wait: Duration, why: String },
    Fail(String),
}

pub(super) fn after_look(seen: Seen, claim: &Claim, doubt: &Doubt) -> Next {
    let wait = backoff(claim.attempts);
    match seen {
        Seen::There(at) => Next::Store(at),
        Seen::NotThere if claim.attempts < MAX_ATTEMPTS => {
            Next::Post { wait, doubts: claim.doubts, why: "it does not stand in Slack".to_owned() }
        }
        Seen::NotThere => Next::Fail(format!("{} posts did not arrive", claim.attempts)),
        Seen::StaleId => Next::Look { wait: Duration::ZERO, why: "the channel has another id".to_owned() },
        Seen::Unreadable(why) => blind(why, claim, doubt),
        Seen::Failed(Fault::Misconfigured(why)) => Next::Hold { wait: hold(claim.faults), why },
        Seen::Failed(Fault::RateLimited { retry_after }) => {
            let why = "rate limited while it was looked for".to_owned();
            Next::Look { wait: retry_after.max(look::pause(doubt.looks)), why }
        }
        Seen::Failed(fault) if doubt.looks < MAX_LOOKS => {
            Next::Look { wait: look::pause(doubt.looks), why: format!("it cannot be looked for: {fault}") }
        }
        Seen::Failed(fault) => blind(fault.to_string(), claim, doubt),
    }
}

/// Nobody can look: posted again, a few times. The same update twice is the same as once, and what Slack itself
/// said to have failed hardly stands there.
fn blind(why: String, claim: &Claim, doubt: &Doubt) -> Next {
    let harmless = claim.changes_head() || doubt.answered;
    let doubts = claim.doubts + i32::from(!harmless);
    if doubts > MAX_DOUBTS || claim.attempts >= MAX_ATTEMPTS {
        let posts = claim.attempts;
        return Next::Fail(format!(
            "{posts} posts went without an answer; it may stand in the channel, which cannot be read: {why}"
        ));
    }
    let why = format!("it may stand in the channel, which cannot be read: {why}");
    Next::Post { wait: backoff(claim.attempts), doubts, why }
}

/// 1, 2, 4 … 256, then 300 seconds.
fn backoff(attempts: i32) -> Duration {
    doubled(Duration::from_secs(1), attempts.saturating_sub(1)).min(MAX_BACKOFF)
}

pub(super) fn pause(faults: i32) -> Duration {
    doubled(Duration::from_secs(1), faults).min(MAX_PAUSE)
}

fn hold(faults: i32) -> Duration {
    doubled(FIRST_HOLD, faults).min(MAX_HOLD)
}

fn doubled(first: Duration, times: i32) -> Duration {
    first * (1 << u32::try_from(times).unwrap_or(0).min(9))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::slack::outbox::queue::Kind;

    fn doubt(answered: bool, looks: i32) -> Doubt {
        Doubt { since: Utc::now(), until: Utc::now(), answered, looks }
    }

    #[test]
    fn a_fault_decides_what_becomes_of_an_announcement() {
        let claim = Claim::sample(Kind::Summary);
        let of = |fault: Fault| after(&fault, &claim);
        let code = |code: &str| code.to_owned();
        assert_eq!(of(Fault::Misconfigured(code("invalid_auth"))), Then::Hold(FIRST_HOLD));
        assert_eq!(of(Fault::Transient(code("503"))), Then::Retry(Duration::from_secs(1)));
        assert_eq!(of(Fault::Ambiguous(code("no answer"))), Then::Doubt { answered: false });
        assert_eq!(of(Fault::Broken(code("internal_error"))), Then::Doubt { answered: true });
        assert_eq!(of(Fault::Rejected(code("invalid_blocks"))), Then::Plain);
        let limited = Fault::RateLimited { retry_after: Duration::from_secs(30) };
        assert_eq!(of(limited.clone()), Then::LimitRate(Duration::from_secs(30)));

        let mut tired = claim.clone();
        (tired.attempts, tired.plain, tired.faults) = (MAX_ATTEMPTS, true, 99);
        let of = |fault: Fault| after(&fault, &tired);
        assert_eq!(of(Fault::Transient(code("503"))), Then::Fail);
        assert_eq!(of(Fault::Rejected(code("invalid_blocks"))), Then::Fail, "its words were tried");
        assert_eq!(of(Fault::Misconfigured(code("invalid_auth"))), Then::Hold(MAX_HOLD), "however long");
        assert_eq!(of(limited), Then::LimitRate(Duration::from_secs(30)));
    }

    #[test]
    fn what_was_seen_decides_whether_it_is_posted_again() {
        let claim = Claim::sample(Kind::Parent);
        let at = Posted { channel: "C1".to_owned(), ts: "1.1".to_owned() };
        assert_eq!(after_look(Seen::There(at.clone()), &claim, &doubt(false, 1)), Next::Store(at));
        let absent = after_look(Seen::NotThere, &claim, &doubt(false, 1));
        assert!(matches!(absent, Next::Post { doubts: 0, .. }), "{absent:?}");
        let dead = Seen::Failed(Fault::Misconfigured("invalid_auth".to_owned()));
        let held = after_look(dead, &claim, &doubt(false, 1));
        assert!(matches!(held, Next::Hold { .. }), "a new token may look: {held:?}");
        let slow = || Seen::Failed(Fault::Transient("slow".to_owned()));
        assert!(matches!(after_look(slow(), &claim, &doubt(false, 1)), Next::Look { .. }));
        let given_up = after_look(slow(), &claim, &doubt(false, MAX_LOOKS));
        assert!(matches!(given_up, Next::Post { doubts: 1, .. }), "{given_up:?}");
        let looking: Duration = (1..MAX_LOOKS).map(look::pause).sum();
        assert!((500..700).contains(&looking.as_secs()), "{looking:?}");
    }

    #[test]
    fn where_nobody_may_look_only_harmless_repeats_go_on() {
        let unreadable = || Seen::Unreadable("missing_scope".to_owned());
        let mut doubted = Claim::sample(Kind::Parent);
        doubted.doubts = MAX_DOUBTS;
        let of = |claim: &Claim, answered| after_look(unreadable(), claim, &doubt(answered, 1));
        assert!(matches!(of(&doubted, false), Next::Fail(_)));
        assert!(matches!(of(&doubted, true), Next::Post { .. }), "Slack said that it failed");
        doubted.kind = Kind::Update;
        assert!(
            matches!(of(&doubted, false), Next::Post { .. }),
            "the same update twice is the same as once"
        );
    }

    #[test]
    fn waits_grow_to_their_bounds() {
        assert_eq!(backoff(1), Duration::from_secs(1));
        assert_eq!(backoff(9), Duration::from_secs(256));
        assert_eq!(backoff(10), MAX_BACKOFF);
        let horizon: Duration = (1..MAX_ATTEMPTS).map(backoff).sum();
        assert!((20..30).contains(&(horizon.as_secs() / 3600)), "{horizon:?}");
        assert_eq!([0, 1, 4, 9].map(|faults| pause(faults).as_secs()), [1, 2, 16, 30]);
        assert_eq!([0, 1, 4, 9].map(|faults| hold(faults).as_secs()), [10, 20, 160, 300]);
    }
}
