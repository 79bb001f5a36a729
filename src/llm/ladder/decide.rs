//! What the ladder does next: whom to ask in which order, whether to ask again after a fault and when, and
//! when a model is left alone for a while. Pure: time and chance are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::llm::{Fault, Usage};

/// Tries of one model for one question: alone, and when another could answer instead.
const MAX_TRIES: u32 = 4;
const MAX_TRIES_BEFORE_ANOTHER: u32 = 2;
/// The first wait; each further one doubles, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The longest wait for a model when another could answer instead.
const LONGEST_WAIT_BEFORE_ANOTHER: Duration = Duration::from_secs(5);
/// Faults in a row after which a model is rested (a refused key or a used-up quota: at once), and for how
/// long; it is still asked when no other is left.
const REST_AFTER_FAULTS: u32 = 3;
const REST: Duration = Duration::from_secs(60);

/// Characters a token, before a model has told.
const CHARS_PER_TOKEN: f64 = 3.5;
/// Nothing that a server tells may push the estimate out of these bounds.
const FEWEST_CHARS_PER_TOKEN: f64 = 1.0;
const MOST_CHARS_PER_TOKEN: f64 = 6.0;

/// What is remembered of one model between questions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standing {
    /// Faults since its last answer.
    pub faults: u32,
    /// Asked only when no other is left.
    pub rests_until: Option<Instant>,
    /// Not asked before: the provider said so.
    pub not_before: Option<Instant>,
    pub chars_per_token: f64,
}

impl Default for Standing {
    fn default() -> Self {
        Self { faults: 0, rests_until: None, not_before: None, chars_per_token: CHARS_PER_TOKEN }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an estimate of a size that is never negative and far below 2^52"
)]
impl Standing {
    /// Tokens of so many characters, by the model's last word on it.
    pub fn tokens(&self, chars: usize) -> u64 {
        (chars as f64 / self.chars_per_token).ceil() as u64
    }

    /// After an answer to a question of so many characters.
    pub fn answered(&mut self, chars: usize, usage: Usage) {
        if usage.input > 0 {
            let told = chars as f64 / usage.input as f64;
            self.chars_per_token = told.clamp(FEWEST_CHARS_PER_TOKEN, MOST_CHARS_PER_TOKEN);
        }
        *self = Self { chars_per_token: self.chars_per_token, ..Self::default() };
    }

    pub fn failed(&mut self, fault: &Fault, now: Instant) {
        if matches!(fault, Fault::TooLong { .. }) {
            // The conversation's fault, not the model's.
            return;
        }
        self.faults = self.faults.saturating_add(1);
        if let Fault::Transient { retry_after: Some(wait), .. } = fault {
            self.not_before = Some(now + *wait);
        }
        if matches!(fault, Fault::Unusable { .. }) || self.faults >= REST_AFTER_FAULTS {
            self.rests_until = Some(now + REST);
        }
    }

    fn is_awake(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|rest| rest <= now) && self.not_before.is_none_or(|floor| floor <= now)
    }
}

/// One rung: a model that will be asked, or why it is not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rung {
    /// Not before `from`.
    Ask {
        model: usize,
        from: Instant,
    },
    Skip {
        model: usize,
        fault: Fault,
    },
}

/// One model, as far as the order is concerned.
pub(super) struct Candidate<'a> {
    pub standing: &'a Standing,
    pub context_tokens: u64,
    /// Input and output of this question.
    pub needed_tokens: u64,
}

/// The models in the order in which they are asked: as listed, those at rest last.
pub(super) fn order(candidates: &[Candidate], now: Instant, until: Instant) -> Vec<Rung> {
    let (mut skipped, mut awake, mut resting) = (Vec::new(), Vec::new(), Vec::new());
    for (model, candidate) in candidates.iter().enumerate() {
        let Candidate { standing, context_tokens, needed_tokens } = *candidate;
        let floor = standing.not_before.unwrap_or(now).max(now);
        if needed_tokens > context_tokens {
            let detail = format!("about {needed_tokens} tokens are needed, {context_tokens} fit");
            skipped.push(Rung::Skip { model, fault: Fault::TooLong { detail } });
        } else if floor > now && floor >= until {
            let wait = floor - now;
            let detail = format!("asked us to wait for another {} s", wait.as_secs());
            skipped.push(Rung::Skip { model, fault: Fault::Transient { detail, retry_after: Some(wait) } });
        } else if standing.is_awake(now) {
            awake.push(Rung::Ask { model, from: now });
        } else {
            resting.push(Rung::Ask { model, from: floor });
        }
    }
    skipped.into_iter().chain(awake).chain(resting).collect()
}

/// Whether another model could answer when this one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    None,
    Some,
}

/// How long to wait before the same model is asked again; none: go on to the next. `chance` is from 0 to 1.
pub(super) fn again(
    fault: &Fault,
    tries: u32,
    others: Others,
    left: Duration,
    chance: f64,
) -> Option<Duration> {
    let Fault::Transient { retry_after, .. } = fault else { return None };
    let (most_tries, longest) = match others {
        Others::Some => (MAX_TRIES_BEFORE_ANOTHER, LONGEST_WAIT_BEFORE_ANOTHER),
        Others::None => (MAX_TRIES, Duration::MAX),
    };
    if tries >= most_tries {
        return None;
    }
    let doubled = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    // Half of it is chance, so that many investigations do not come back at once.
    let wait = doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    let wait = wait.max(retry_after.unwrap_or_default());
    (wait < left && wait <= longest).then_some(wait)
}

/// The fault of a question that no model answered, by what the caller can do: try later if any model may
/// answer then, shorten the conversation if that is all that is in the way.
pub(super) fn combined(faults: Vec<(String, Fault)>) -> Fault {
    let is_transient = |fault: &Fault| matches!(fault, Fault::Transient { .. });
    let all_too_long = faults.iter().all(|(_, fault)| matches!(fault, Fault::TooLong { .. }));
    let any_transient = faults.iter().any(|(_, fault)| is_transient(fault));
    let retry_after = faults
        .iter()
        .filter_map(|(_, fault)| match fault {
            Fault::Transient { retry_after, .. } => *retry_after,
            _ => None,
        })
        .min();
    let texts: Vec<String> = faults
        .iter()
        .map(|(name, fault)| {
            let text = fault.to_string();
            if text.starts_with(&format!("{name}: ")) { text } else { format!("{name}: {text}") }
        })
        .collect();
    let detail = texts.join("; ");
    match faults.first() {
        None => Fault::Unusable { detail: "no model is configured".to_owned() },
        Some(_) if all_too_long => Fault::TooLong { detail },
        Some(_) if any_transient => Fault::Transient { detail, retry_after },
        Some((_, Fault::Garbage { .. })) if faults.len() == 1 => Fault::Garbage { detail },
        Some(_) => Fault::Unusable { detail },
    }
}
