//! How much one caller may ask: a name and the time come in, a turn or the time to wait goes out. What is counted is
//! this process's alone, and no caller's calls take another's turns. It waits for nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Calls of one caller at the same time.
const AT_ONCE: usize = 4;
/// Callers that are remembered; there are at most as many tokens, and one for everybody where there is none.
const MAX_CALLERS: usize = 2_000;

pub struct Pace {
    per_minute: u32,
    callers: Mutex<HashMap<Arc<str>, Turns>>,
}

/// What is left to one caller.
struct Turns {
    /// Calls that may be made now; it fills up evenly.
    left: f64,
    counted_at: Instant,
    running: Arc<Semaphore>,
}

/// Why a call has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    #[error("{calls} calls a minute are allowed for one token; the next one is in {} s", wait.as_secs() + 1)]
    TooMany { calls: u32, wait: Duration },
    #[error(
        "{AT_ONCE} calls of this token are under way, which is as many as may be at once; wait for one of them"
    )]
    AtOnce,
}

impl Pace {
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, callers: Mutex::default() }
    }

    /// One call of this caller. It lasts as long as what is returned.
    ///
    /// # Errors
    /// The caller asks too much.
    pub fn admit(&self, caller: &Arc<str>, now: Instant) -> Result<OwnedSemaphorePermit, Busy> {
        let full = f64::from(self.per_minute);
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MAX_CALLERS && !callers.contains_key(caller) {
            callers.retain(|_, turns| turns.running.available_permits() < AT_ONCE);
        }
        let turns = callers.entry(Arc::clone(caller)).or_insert_with(|| Turns {
            left: full,
            counted_at: now,
            running: Arc::new(Semaphore::new(AT_ONCE)),
        });
        let passed = now.saturating_duration_since(turns.counted_at);
        turns.left = (turns.left + passed.as_secs_f64() * full / 60.0).min(full);
        turns.counted_at = now;
        if turns.left < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - turns.left) * 60.0 / full);
            return Err(Busy::TooMany { calls: self.per_minute, wait });
        }
        let turn = Arc::clone(&turns.running).try_acquire_owned().map_err(|_full| Busy::AtOnce)?;
        turns.left -= 1.0;
        Ok(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_s_calls_are_used_up_and_come_back_evenly() {
        let (pace, kim, lee) = (Pace::new(6), Arc::from("kim"), Arc::from("lee"));
        let start = Instant::now();
        for _ in 0..6 {
            drop(pace.admit(&kim, start).unwrap());
        }
        let refused = pace.admit(&kim, start + Duration::from_secs(4)).unwrap_err();
        assert_eq!(refused, Busy::TooMany { calls: 6, wait: Duration::from_secs(6) });
        assert!(refused.to_string().contains("in 7 s"), "{refused}");
        drop(pace.admit(&lee, start).unwrap());
        drop(pace.admit(&kim, start + Duration::from_secs(10)).unwrap());
        assert!(pace.admit(&kim, start + Duration::from_secs(10)).is_err());
        // An hour of silence gives no more than a minute's calls.
        let later = start + Duration::from_secs(3_600);
        assert_eq!((0..10).filter(|_| pace.admit(&kim, later).is_ok()).count(), 6);
    }

    #[test]
    fn few_calls_run_at_once_and_refused_ones_cost_nothing() {
        let (pace, kim) = (Pace::new(5), Arc::from("kim"));
        let now = Instant::now();
        let turns: Vec<_> = (0..AT_ONCE).map(|_| pace.admit(&kim, now).unwrap()).collect();
        assert_eq!(pace.admit(&kim, now).unwrap_err(), Busy::AtOnce);
        assert_eq!(pace.admit(&kim, now).unwrap_err(), Busy::AtOnce);
        drop(turns);
        drop(pace.admit(&kim, now).unwrap());
        assert!(matches!(pace.admit(&kim, now), Err(Busy::TooMany { .. })));
    }
}
