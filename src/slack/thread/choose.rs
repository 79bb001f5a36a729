//! Which message of a channel is an incident's, and what follows: its thread is taken, another look is worth while, or
//! a thread of our own begins. Candidates and alerts come in, a choice with its score and reason goes out. Pure.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::message::{Candidate, Sender};
use super::score::{self, Fit, THRESHOLD};
use crate::alert::Alert;
use crate::settings::ThreadMatch;

/// A message stands at most so long before the alert's own start: clocks differ.
const BEFORE_START: TimeDelta = TimeDelta::seconds(60);
/// However long an alert has been firing, older messages than this before the incident are another day's.
const MAX_AGE: TimeDelta = TimeDelta::hours(6);

/// What is known of an incident whose thread is looked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// "" where nobody knows.
    pub cluster: String,
    pub opened_at: DateTime<Utc>,
    /// Firing ones.
    pub alerts: Vec<Alert>,
}

/// The best message for an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Match {
        ts: String,
        root: String,
        score: i32,
        reason: String,
    },
    /// The best score, and why it is not enough.
    Nothing {
        score: i32,
        reason: String,
    },
}

impl Choice {
    pub fn score(&self) -> i32 {
        match self {
            Self::Match { score, .. } | Self::Nothing { score, .. } => *score,
        }
    }
}

impl Wanted {
    /// No older message is the incident's.
    pub fn oldest(&self) -> DateTime<Utc> {
        let first = self.alerts.iter().map(|alert| alert.starts_at).min().unwrap_or(self.opened_at);
        (first - BEFORE_START).max(self.opened_at - MAX_AGE)
    }
}

/// Whether the channel has messages of a sender that is looked for, whatever they are about.
pub fn posts_here(candidates: &[Candidate], senders: ThreadMatch) -> bool {
    candidates.iter().any(|one| (one.sender != Sender::Unknown || one.is_summary) && wants(senders, one))
}

/// `taken` are messages of other incidents.
pub fn choose(
    candidates: &[Candidate],
    wanted: &Wanted,
    senders: ThreadMatch,
    taken: &HashSet<String>,
) -> Choice {
    let mut fits: Vec<(Fit, &Candidate)> = candidates
        .iter()
        .filter(|one| !one.resolved && !one.is_summary && wants(senders, one) && !taken.contains(&one.ts))
        .filter_map(|one| Some((of(one, wanted)?, one)))
        .collect();
    // Among equals the one that came when the alert came to us: repeats are later, quotes too.
    let distance = |one: &Candidate| (one.at - wanted.opened_at).abs();
    fits.sort_by(|(a, one), (b, other)| b.score.cmp(&a.score).then(distance(one).cmp(&distance(other))));
    let Some((fit, best)) = fits.first() else {
        return Choice::Nothing { score: 0, reason: "no message of a bot is about its alerts".to_owned() };
    };
    let (score, reason) = (fit.score, format!("{}: {}", best.sender.as_str(), fit.reason));
    if score < THRESHOLD {
        return Choice::Nothing { score, reason };
    }
    // Words alone do not tell two different messages apart.
    let rival = |(fit, other): &(Fit, &Candidate)| fit.score >= THRESHOLD && other.text != best.text;
    if score <= score::MOST_FOR_WORDS && fits.iter().skip(1).any(rival) {
        return Choice::Nothing { score, reason: format!("{reason}, and another message has them too") };
    }
    Choice::Match { ts: best.ts.clone(), root: best.root.clone(), score, reason }
}

fn wants(senders: ThreadMatch, candidate: &Candidate) -> bool {
    match (senders, candidate.sender) {
        (ThreadMatch::Off, _) => false,
        (ThreadMatch::Any, _) | (_, Sender::Unknown) => true,
        (ThreadMatch::Robusta, sender) => sender == Sender::Robusta,
        (ThreadMatch::Alertmanager, sender) => sender == Sender::Alertmanager,
        (ThreadMatch::Grafana, sender) => sender == Sender::Grafana,
    }
}

/// The best fit over the incident's alerts. A message that counts several alerts has to be about no other incident.
fn of(candidate: &Candidate, wanted: &Wanted) -> Option<Fit> {
    let several = candidate.tables.len() > 1
        || candidate.alerts.as_ref().is_some_and(|count| count.firing != 1 || count.mixed);
    if several {
        return all_ours(candidate, wanted);
    }
    let recent = wanted.alerts.iter().filter(|alert| is_recent(candidate, alert, wanted));
    recent.filter_map(|alert| score::fit(candidate, alert, &wanted.cluster)).max_by_key(|fit| fit.score)
}

fn is_recent(candidate: &Candidate, alert: &Alert, wanted: &Wanted) -> bool {
    candidate.at >= (alert.starts_at - BEFORE_START).max(wanted.opened_at - MAX_AGE)
}

/// Each alert that the message lists is one of the incident's, and it lists all that it counts.
fn all_ours(candidate: &Candidate, wanted: &Wanted) -> Option<Fit> {
    let counted = candidate.alerts.as_ref()?;
    let complete = !counted.mixed && usize::try_from(counted.firing) == Ok(candidate.tables.len());
    if !complete || candidate.sender == Sender::Unknown {
        return None;
    }
    let labelled = wanted.alerts.iter().filter_map(|alert| alert.label("cluster"));
    if candidate.is_elsewhere(&labelled.chain([wanted.cluster.as_str()]).collect::<Vec<_>>()) {
        return None;
    }
    let fits = |table| {
        let recent = wanted.alerts.iter().filter(|alert| is_recent(candidate, alert, wanted));
        recent.filter_map(|alert| score::table(table, alert)).any(|fit| fit.score >= THRESHOLD)
    };
    let ours = candidate.tables.iter().all(fits);
    ours.then_some(Fit { score: score::GROUPED, reason: "each alert that it lists is the incident's" })
}
