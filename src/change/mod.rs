//! What changed first: changes of any kind come in, an order goes out, each with one line that says why it stands
//! where it does. Time before the onset, nearness to what is in trouble, kind and size decide, nothing else. It is an
//! order and no proof: it names no cause. Pure.

mod onset;
mod rank;

#[cfg(test)]
mod tests;

pub use onset::{Symptom, onset};
pub use rank::rank;

use chrono::{DateTime, TimeDelta, Utc};

use crate::report::{Changed, Changing, Near};

/// A change this much before the onset is looked at, in minutes.
pub const WINDOW_MINUTES: i64 = 90;
/// Onsets are known no better than this, in seconds: what changed so soon after one may have come before it.
pub const TOLERANCE_SECS: i64 = 150;
/// Most that are kept.
pub const MAX_CHANGED: usize = 8;

/// Something that changed, as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub at: DateTime<Utc>,
    pub kind: Changing,
    /// `Kind namespace/name` of what changed.
    pub object: String,
    /// "rollout of revision 7 (image a:1 → a:2)"
    pub what: String,
    pub near: Near,
    /// How large it is for its kind: 0 says little, 1 could not be larger.
    pub size: f64,
    /// How well it fits who is in trouble and who is not: 1 where nothing speaks against it.
    pub fit: f64,
    /// What `fit` was judged by, or "".
    pub why: String,
    pub evidence: String,
}

/// Whether a change at this time can stand in the order at all.
pub fn is_in_time(at: DateTime<Utc>, onset: DateTime<Utc>) -> bool {
    let before = (onset - at).num_seconds();
    (-TOLERANCE_SECS..=WINDOW_MINUTES * 60).contains(&before)
}

/// `rollout of revision 7 (image a:1 → a:2), 3 min before onset, the workload itself`
fn line(changed: &Changed) -> String {
    let when = match changed.seconds_before {
        0 => "at the onset".to_owned(),
        before if before > 0 => format!("{} before onset", span(before)),
        after => format!("{} after onset", span(-after)),
    };
    let why = if changed.why.is_empty() { String::new() } else { format!("; {}", changed.why) };
    format!("{}, {when}, {}{why}", changed.what, near(changed.near))
}

fn span(seconds: i64) -> String {
    let span = TimeDelta::seconds(seconds);
    match (span.num_hours(), span.num_minutes()) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {} min", minutes % 60),
    }
}

/// In English; messages have words of their own for it.
fn near(near: Near) -> &'static str {
    match near {
        Near::Itself => "the workload itself",
        Near::Uses => "what it is configured with",
        Near::Owner => "what owns or scales it",
        Near::Node => "a node it runs on",
        Near::Service => "a Service in front of it",
        Near::Callee => "something it calls",
        Near::Caller => "something that calls it",
        Near::Neighbour => "no relation known",
    }
}
