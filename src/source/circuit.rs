//! Whether a source answers: outcomes come in, and when it gave none several times in a row, it is left alone for a
//! moment, so that what does not answer costs nobody the time of waiting for it. One request after that moment tells.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests without an answer, one after the other, after which it is left alone.
const FAULTS: u32 = 8;
/// For how long.
const REST: Duration = Duration::from_secs(15);

/// Shared by all that ask one source.
#[derive(Debug, Clone, Default)]
pub(super) struct Circuit(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answered: bool,
    faults: u32,
    /// Nobody asks before.
    rests_until: Option<Instant>,
    why: String,
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    NotAsked,
    Answers,
    /// The last request had no answer; why.
    Away(String),
}

impl Circuit {
    /// May it be asked now?
    ///
    /// # Errors
    /// It is left alone, with the words for a gap.
    pub(super) fn admit(&self, now: Instant) -> Result<(), String> {
        let mut state = self.state();
        match state.rests_until {
            Some(until) if now < until => Err(format!(
                "it gave no answer {} times in a row, and is left alone for a moment ({})",
                state.faults, state.why
            )),
            Some(_) => {
                // This one tells; whoever comes meanwhile goes on resting.
                state.rests_until = Some(now + REST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How a request came out; `away`: why there was no answer.
    pub(super) fn record(&self, away: Option<String>, now: Instant) {
        let mut state = self.state();
        match away {
            None => *state = State { answered: true, ..State::default() },
            Some(why) => {
                state.faults = state.faults.saturating_add(1);
                state.why = why;
                if state.faults >= FAULTS {
                    state.rests_until = Some(now + REST);
                }
            }
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.state();
        match (state.faults, state.answered) {
            (0, false) => Standing::NotAsked,
            (0, true) => Standing::Answers,
            _ => Standing::Away(state.why.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_answers_is_left_alone_and_asked_again_by_one() {
        let (circuit, began) = (Circuit::default(), Instant::now());
        assert_eq!(circuit.standing(), Standing::NotAsked);
        for _ in 0..FAULTS {
            assert_eq!(circuit.admit(began), Ok(()));
            circuit.record(Some("refused".to_owned()), began);
        }
        assert!(circuit.admit(began).unwrap_err().contains("8 times in a row"));
        let later = began + REST;
        assert_eq!((circuit.admit(later), circuit.admit(later).is_err()), (Ok(()), true), "one tells");
        assert_eq!(circuit.standing(), Standing::Away("refused".to_owned()));
        circuit.record(None, later);
        assert_eq!((circuit.admit(later), circuit.standing()), (Ok(()), Standing::Answers));
        circuit.record(Some("late".to_owned()), later);
        assert_eq!(circuit.admit(later), Ok(()), "one fault is no outage");
    }
}
