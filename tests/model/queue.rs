//! One investigation, its lease and the workers that want it. Statements of the program come in as actions;
//! each is one statement or one transaction of PostgreSQL and so one step. What happens between statements is up
//! to the checker: a worker that stalls or is cut off is one that takes no step while the lease runs out.

use stateright::{Model, Property};

/// `worker.max_attempts`.
const MAX_ATTEMPTS: u8 = 3;
const WORKERS: usize = 3;

/// `investigations.state`, without `cancelled`: that one ends the work with nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Row {
    Queued,
    Running,
    Done,
    Dead,
}

/// What a worker believes. The number is its claim's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Worker {
    Idle,
    Working(u8),
    /// It saw an error, be it that the commit's answer never came, and is about to store the failure.
    Failing(u8),
    /// Only in the twin that announces by itself: the report is stored, its announcement is not.
    Announcing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    row: Row,
    attempt: u8,
    failures: u8,
    /// `lease_until >= now()` by the database's clock, which is the only one asked.
    is_leased: bool,
    workers: [Worker; WORKERS],
    /// How often the investigation was brought to an end.
    ends: u8,
    /// How often `summary:<investigation>` was put into the outbox.
    announcements: u8,
    /// A worker wrote although its claim was no longer the row's.
    is_stale_written: bool,
    /// A worker was told that its lease is lost.
    is_refused: bool,
    left: Left,
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    /// Leases that run out although their worker lives.
    stalls: u8,
    deaths: u8,
    /// Statements that were carried out and whose answer did not arrive.
    lost_answers: u8,
    drains: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `queue::claim`
    Claim(usize),
    /// The same, and its answer is lost: nobody works, the lease runs.
    ClaimUnheard,
    /// `queue::heartbeat`
    Heartbeat(usize),
    /// `journal::store::write_step`, `begin_run` and `reserve`
    WriteStep(usize),
    /// The transaction of `Worker::finish`: `store::finish`, then `outbox::enqueue_summary`
    Finish(usize),
    /// The same, and the answer to its COMMIT is lost.
    FinishUnheard(usize),
    /// The twin's second transaction.
    Announce(usize),
    /// A source failed, the deadline ran out, or it panicked.
    Err(usize),
    /// The transaction of `Worker::fail`: `queue::fail`, and `outbox::enqueue_summary` after the last attempt
    Fail(usize),
    /// `queue::release`, on SIGTERM
    Release(usize),
    /// The transaction of `Worker::tidy`: `queue::bury` and `outbox::enqueue_summary`
    Bury,
    /// `kill -9`; the process starts again and knows nothing.
    Die(usize),
    /// `lease_until` passes.
    Expire,
}

/// The statements as they are, or with one of them broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statements {
    AsTheyAre,
    /// `store::finish` with neither `attempt = $2` nor `state = 'running'`
    FinishWithoutFence,
    /// `store::finish` with `state = 'running'` alone
    FinishWithoutAttempt,
    /// `journal::store::write_step` with `state = 'running'` alone
    StepWithoutAttempt,
    /// `queue::fail` without `attempt = $2`
    FailWithoutAttempt,
    /// `queue::claim` without the branch for leases that ran out
    ClaimWithoutExpired,
    /// `store::finish` committed first, the announcement put into the outbox after it
    AnnounceAfterCommit,
}

pub struct Queue {
    pub statements: Statements,
}

impl Queue {
    /// `where id = $1 and attempt = $2 and state = 'running'`; a twin leaves parts of it out.
    fn admits(&self, state: &State, attempt: u8, lax: &[Statements]) -> bool {
        let is_running = state.row == Row::Running;
        if self.statements == Statements::FinishWithoutFence && lax.contains(&self.statements) {
            return true;
        }
        is_running && (state.attempt == attempt || lax.contains(&self.statements))
    }

    fn may_claim(&self, state: &State) -> bool {
        let has_expired = state.row == Row::Running && !state.is_leased && state.failures + 1 < MAX_ATTEMPTS;
        state.row == Row::Queued || (has_expired && self.statements != Statements::ClaimWithoutExpired)
    }

    fn claim(state: &mut State) -> u8 {
        state.failures += u8::from(state.row == Row::Running);
        state.row = Row::Running;
        state.attempt += 1;
        state.is_leased = true;
        state.attempt
    }

    /// False: nothing was written, and the transaction is rolled back.
    fn finish(&self, state: &mut State, attempt: u8) -> bool {
        let lax = [Statements::FinishWithoutFence, Statements::FinishWithoutAttempt];
        if !self.admits(state, attempt, &lax) {
            return false;
        }
        note_stale(state, attempt);
        end(state, Row::Done);
        if self.statements != Statements::AnnounceAfterCommit {
            announce(state);
        }
        true
    }

    fn fail(&self, state: &mut State, attempt: u8) {
        if !self.admits(state, attempt, &[Statements::FailWithoutAttempt]) {
            return;
        }
        note_stale(state, attempt);
        state.failures += 1;
        if state.failures >= MAX_ATTEMPTS {
            end(state, Row::Dead);
            announce(state);
        } else {
            state.row = Row::Queued;
        }
        state.is_leased = false;
    }

    /// One step of one worker.
    fn act(&self, state: &mut State, worker: usize, action: Action) {
        let (next, attempt) = match state.workers[worker] {
            Worker::Idle | Worker::Announcing => (Worker::Idle, 0),
            Worker::Working(attempt) | Worker::Failing(attempt) => (Worker::Idle, attempt),
        };
        state.workers[worker] = next;
        match action {
            Action::Claim(_) => state.workers[worker] = Worker::Working(Self::claim(state)),
            Action::Heartbeat(_) if self.admits(state, attempt, &[]) => {
                state.is_leased = true;
                state.workers[worker] = Worker::Working(attempt);
            }
            Action::WriteStep(_) if self.admits(state, attempt, &[Statements::StepWithoutAttempt]) => {
                note_stale(state, attempt);
                state.workers[worker] = Worker::Working(attempt);
            }
            Action::Heartbeat(_) | Action::WriteStep(_) => state.is_refused = true,
            Action::Finish(_) => {
                let is_stored = self.finish(state, attempt);
                state.is_refused |= !is_stored;
                if is_stored && self.statements == Statements::AnnounceAfterCommit {
                    state.workers[worker] = Worker::Announcing;
                }
            }
            Action::FinishUnheard(_) => {
                self.finish(state, attempt);
                state.left.lost_answers -= 1;
                state.workers[worker] = Worker::Failing(attempt);
            }
            Action::Announce(_) => announce(state),
            Action::Err(_) => state.workers[worker] = Worker::Failing(attempt),
            Action::Fail(_) => self.fail(state, attempt),
            Action::Release(_) => {
                state.left.drains -= 1;
                if self.admits(state, attempt, &[]) {
                    (state.row, state.is_leased) = (Row::Queued, false);
                }
            }
            Action::Die(_) => state.left.deaths -= 1,
            Action::ClaimUnheard | Action::Bury | Action::Expire => {}
        }
    }

    /// Nothing can happen any more.
    fn is_over(&self, state: &State) -> bool {
        self.next_states(state).is_empty()
    }
}

fn end(state: &mut State, row: Row) {
    state.row = row;
    state.is_leased = false;
    state.ends += 1;
}

/// `insert into announcements … on conflict (dedup_key) do nothing`.
fn announce(state: &mut State) {
    state.announcements = 1;
}

fn note_stale(state: &mut State, attempt: u8) {
    state.is_stale_written |= state.row != Row::Running || state.attempt != attempt;
}

impl Model for Queue {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            row: Row::Queued,
            attempt: 0,
            failures: 0,
            is_leased: false,
            workers: [Worker::Idle; WORKERS],
            ends: 0,
            announcements: 0,
            is_stale_written: false,
            is_refused: false,
            left: Left { stalls: 3, deaths: 3, lost_answers: 3, drains: 2 },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for (worker, doing) in state.workers.iter().enumerate() {
            match doing {
                Worker::Idle if self.may_claim(state) => actions.push(Action::Claim(worker)),
                Worker::Idle => {}
                Worker::Working(_) => {
                    actions.extend(
                        [Action::Heartbeat, Action::WriteStep, Action::Finish].map(|make| make(worker)),
                    );
                    actions.push(Action::Err(worker));
                    actions.extend((left.lost_answers > 0).then_some(Action::FinishUnheard(worker)));
                    actions.extend((left.drains > 0).then_some(Action::Release(worker)));
                }
                Worker::Failing(_) => actions.push(Action::Fail(worker)),
                Worker::Announcing => actions.push(Action::Announce(worker)),
            }
            actions.extend((*doing != Worker::Idle && left.deaths > 0).then_some(Action::Die(worker)));
        }
        if left.lost_answers > 0 && self.may_claim(state) {
            actions.push(Action::ClaimUnheard);
        }
        if state.row == Row::Running {
            // Without anybody who could prolong it, a lease always runs out.
            let is_kept = state.workers.contains(&Worker::Working(state.attempt));
            if state.is_leased && (!is_kept || left.stalls > 0) {
                actions.push(Action::Expire);
            }
            if !state.is_leased && state.failures + 1 >= MAX_ATTEMPTS {
                actions.push(Action::Bury);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::ClaimUnheard => {
                Self::claim(&mut state);
                state.left.lost_answers -= 1;
            }
            Action::Bury => {
                state.failures += 1;
                end(&mut state, Row::Dead);
                announce(&mut state);
            }
            Action::Expire => {
                let is_kept = state.workers.contains(&Worker::Working(state.attempt));
                state.left.stalls -= u8::from(is_kept);
                state.is_leased = false;
            }
            Action::Claim(worker)
            | Action::Heartbeat(worker)
            | Action::WriteStep(worker)
            | Action::Finish(worker)
            | Action::FinishUnheard(worker)
            | Action::Announce(worker)
            | Action::Err(worker)
            | Action::Fail(worker)
            | Action::Release(worker)
            | Action::Die(worker) => self.act(&mut state, worker, action),
        }
        // Which worker does it makes no difference.
        state.workers.sort_unstable();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(super::ENDED_ONCE, |_, state: &State| state.ends <= 1),
            Property::always(super::STALE_WRITES_NOTHING, |_, state: &State| !state.is_stale_written),
            // Every action uses something up, so each run has an end: what holds there holds eventually.
            Property::always(super::NOTHING_LOST, |model: &Self, state: &State| {
                let is_told = matches!(state.row, Row::Done | Row::Dead) && state.announcements == 1;
                is_told || !model.is_over(state)
            }),
            Property::sometimes("a lost lease is refused", |_, state: &State| state.is_refused),
            Property::sometimes("a second attempt finishes", |_, state: &State| {
                state.row == Row::Done && state.attempt > 1
            }),
            Property::sometimes("the last attempt fails", |_, state: &State| state.row == Row::Dead),
        ]
    }
}
