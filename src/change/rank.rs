//! The order itself. Candidates and an onset come in, the best of them go out, first what most deserves a look. The
//! order of the candidates makes no difference, and an onset that is wrong by two minutes seldom one: no factor jumps
//! at the onset. Pure.

use chrono::{DateTime, Utc};

use super::{Candidate, MAX_CHANGED, is_in_time, line};
use crate::report::{Changed, Changing, Near};

/// Every so many minutes before the onset a change counts half as much. So the order of two changes before it does
/// not depend on when exactly it was.
const HALF_MINUTES: f64 = 20.0;
/// So many minutes after the onset it counts nothing: what people and controllers do about trouble comes then.
const GONE_MINUTES: f64 = 3.5;
/// What the smallest change of a kind counts against the largest.
const SMALLEST: f64 = 0.6;
/// Times of one change that several places tell of differ by this much, in seconds.
const SAME_SECS: i64 = 5;
/// Less is not worth a line.
const MIN_SCORE: f64 = 0.02;
/// Scores are told in so many parts: what lies closer is the same, and the last digits of a float decide nothing.
const PARTS: f64 = 1_000.0;

/// The best of them, in order, with their lines.
pub fn rank(candidates: &[Candidate], onset: DateTime<Utc>) -> Vec<Changed> {
    let judged = candidates.iter().filter(|one| is_in_time(one.at, onset)).map(|one| judged(one, onset));
    let mut all: Vec<Changed> = judged.filter(|one| one.score >= MIN_SCORE).collect();
    all.sort_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| rest(b, onset).cmp(&rest(a, onset)))
    });
    let mut kept: Vec<Changed> = Vec::new();
    for one in all {
        let told = |other: &Changed| {
            other.object == one.object && (other.at - one.at).num_seconds().abs() <= SAME_SECS
        };
        if !kept.iter().any(told) {
            kept.push(one);
        }
    }
    kept.truncate(MAX_CHANGED);
    kept
}

/// Of equals the later comes first: it is nearer to the onset.
fn rest(one: &Changed, onset: DateTime<Utc>) -> (DateTime<Utc>, Changing, &str, &str, &str) {
    (one.at.min(onset), one.kind, &one.object, &one.what, &one.evidence)
}

fn judged(one: &Candidate, onset: DateTime<Utc>) -> Changed {
    let seconds_before = (onset - one.at).num_seconds();
    let size = SMALLEST + (1.0 - SMALLEST) * share(one.size);
    let score = time(seconds_before) * prior(one.kind) * nearness(one.near) * size * share(one.fit);
    let mut changed = Changed {
        at: one.at,
        kind: one.kind,
        object: one.object.clone(),
        what: one.what.clone(),
        near: one.near,
        seconds_before,
        why: one.why.clone(),
        score: (score * PARTS).round() / PARTS,
        evidence: one.evidence.clone(),
        line: String::new(),
    };
    changed.line = line(&changed);
    changed
}

/// Between 0 and 1, NaN for nothing.
fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a window")]
fn time(seconds_before: i64) -> f64 {
    let minutes = seconds_before as f64 / 60.0;
    if minutes >= 0.0 { (-minutes / HALF_MINUTES).exp2() } else { share(1.0 + minutes / GONE_MINUTES) }
}

/// How often a change of this kind comes first. What shows trouble rather than makes it stands low: it always comes
/// at the onset.
fn prior(kind: Changing) -> f64 {
    match kind {
        Changing::Rollout => 1.0,
        Changing::Config => 0.85,
        Changing::Node => 0.75,
        Changing::Scaling => 0.6,
        Changing::Event => 0.55,
        Changing::Log => 0.2,
        Changing::Series => 0.15,
    }
}

/// A change to the thing itself first, then to what it stands on, then to what it calls.
fn nearness(near: Near) -> f64 {
    match near {
        Near::Itself => 1.0,
        Near::Uses => 0.95,
        Near::Owner => 0.9,
        Near::Node => 0.8,
        Near::Service => 0.75,
        Near::Callee => 0.7,
        Near::Caller => 0.4,
        Near::Neighbour => 0.15,
    }
}
