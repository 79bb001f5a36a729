//! One announcement, the processes that want to post it, and Slack, which knows no idempotency key. A request may
//! be lost on its way, arrive after its sender gave up on it, or arrive and be answered to nobody; a poster may
//! stall anywhere, and die. `queue` is the program's `slack/outbox/queue.rs`.

use stateright::{Model, Property};

const POSTERS: usize = 2;

/// `announcements.state`, without `failed`: what Slack refuses for good is told on `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Row {
    Waiting,
    Posting,
    Posted,
}

/// What a poster is about to do. The number is its claim's `next_at`, which tells its claim from a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Poster {
    Idle,
    /// The last post may have arrived: it looks.
    Reading(u8),
    /// It looked, and nothing stands there.
    Missed(u8),
    Sending(u8),
    /// The request is out.
    Sent(u8),
    /// Slack said, or it read there, where the message stands.
    Standing(u8),
}

impl Poster {
    fn claim(self) -> Option<u8> {
        match self {
            Self::Idle => None,
            Self::Reading(claim)
            | Self::Missed(claim)
            | Self::Sending(claim)
            | Self::Sent(claim)
            | Self::Standing(claim) => Some(claim),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    row: Row,
    claim: u8,
    /// `next_at <= now()`
    is_due: bool,
    posters: [Poster; POSTERS],
    /// Requests under way whose sender still waits, and those whose sender does not.
    flying: [u8; POSTERS],
    /// What stands in the channel.
    messages: u8,
    is_found_by_reading: bool,
    left: Left,
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    /// Requests and answers that the network loses, and time-outs.
    network: u8,
    deaths: u8,
    /// Slack says: later.
    refusals: u8,
    /// A claim's time that passes although its poster lives.
    stalls: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `queue::claim`: of what waits, to post it; of what is `posting` for too long, to look for it
    Claim(usize),
    /// `conversations.history` or `.replies`, for the mark in the metadata
    ReadBack(usize),
    /// `queue::again` after a look: it may be posted again
    Again(usize),
    /// `Claim::may_send`, and `chat.postMessage` leaves; when it is too late, `queue::again`
    Send(usize),
    /// Slack takes it and answers.
    Arrive(usize),
    /// Slack takes it and the answer is lost: `queue::doubt`
    ArriveUnheard(usize),
    /// It never reaches Slack: `queue::doubt`
    Vanish(usize),
    /// The deadline passes while it is under way: `queue::doubt`
    TimeOut(usize),
    /// 429 and the like, before anything was done: `queue::again`
    Refuse(usize),
    /// `queue::posted`
    Store(usize),
    /// The same, but the database is away.
    StoreFails(usize),
    Die(usize),
    /// `next_at` of a row in `posting` passes.
    GraceEnds,
}

/// The statements and limits as they are, or with one of them broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    AsItIs,
    /// What was `posting` for too long is posted again without a look.
    RepostWithoutReadBack,
    /// A poster that slept through its claim's time sends nevertheless.
    SendWithoutLookAtTheClock,
    /// The grace is shorter than a call may take.
    GraceShorterThanACall,
    /// `queue::again` without `next_at = $2`
    AgainWithoutLease,
    /// A row in `posting` is never taken up again.
    NeverTakenUp,
}

pub struct Outbox {
    pub delivery: Delivery,
}

impl Outbox {
    fn may_claim(&self, state: &State) -> bool {
        let is_taken_up = state.is_due && self.delivery != Delivery::NeverTakenUp;
        state.row == Row::Waiting || (state.row == Row::Posting && is_taken_up)
    }

    fn claim(&self, state: &mut State) -> Poster {
        let is_first = state.row == Row::Waiting || self.delivery == Delivery::RepostWithoutReadBack;
        (state.row, state.is_due) = (Row::Posting, false);
        state.claim += 1;
        if is_first { Poster::Sending(state.claim) } else { Poster::Reading(state.claim) }
    }

    /// `update … set state = 'waiting' where id = $1 and state = 'posting' and next_at = $2`.
    fn again(&self, state: &mut State, claim: u8) {
        let is_mine = state.claim == claim || self.delivery == Delivery::AgainWithoutLease;
        if state.row == Row::Posting && is_mine {
            state.row = Row::Waiting;
        }
    }

    /// `Claim::may_send` looks at the poster's clock and the request leaves in one go: that nothing stalls it in
    /// between for the rest of the lease is an assumption.
    fn may_send(&self, state: &State, claim: u8) -> bool {
        let is_in_time = state.claim == claim && !state.is_due;
        is_in_time || self.delivery == Delivery::SendWithoutLookAtTheClock
    }

    /// `Terms::lease` covers `SEND_WITHIN`, the call's deadline and the time until Slack shows what it took: that it
    /// does nothing later is the other assumption.
    fn may_grace_end(&self, state: &State) -> bool {
        let is_call_over = state.flying == [0; POSTERS] || self.delivery == Delivery::GraceShorterThanACall;
        let is_kept = state.posters.iter().any(|poster| poster.claim() == Some(state.claim));
        state.row == Row::Posting && !state.is_due && is_call_over && (!is_kept || state.left.stalls > 0)
    }

    /// One step of one poster, or of its request.
    fn act(&self, state: &mut State, poster: usize, action: Action) {
        let doing = state.posters[poster];
        let waits = matches!(doing, Poster::Sent(_));
        match (action, doing) {
            (Action::Claim(_), _) => state.posters[poster] = self.claim(state),
            (Action::ReadBack(_), Poster::Reading(claim)) => {
                let stands = state.messages > 0;
                state.is_found_by_reading |= stands;
                state.posters[poster] = if stands { Poster::Standing(claim) } else { Poster::Missed(claim) };
            }
            (Action::Again(_), Poster::Missed(claim)) => {
                self.again(state, claim);
                state.posters[poster] = Poster::Idle;
            }
            (Action::Send(_), Poster::Sending(claim)) if self.may_send(state, claim) => {
                state.flying[poster] += 1;
                state.posters[poster] = Poster::Sent(claim);
            }
            (Action::Send(_), Poster::Sending(claim)) => {
                self.again(state, claim);
                state.posters[poster] = Poster::Idle;
            }
            (Action::Store(_), Poster::Standing(claim)) => {
                // `where id = $1 and state = 'posting' and next_at = $2`
                if state.row == Row::Posting && state.claim == claim {
                    state.row = Row::Posted;
                }
                state.posters[poster] = Poster::Idle;
            }
            (Action::Arrive(_) | Action::ArriveUnheard(_), _) => {
                state.flying[poster] -= 1;
                state.messages += 1;
                if let (Action::Arrive(_), Poster::Sent(claim)) = (action, doing) {
                    state.posters[poster] = Poster::Standing(claim);
                } else if waits {
                    state.posters[poster] = Poster::Idle;
                }
            }
            (Action::Vanish(_) | Action::Refuse(_), _) => {
                state.flying[poster] -= 1;
                if let (Action::Refuse(_), Poster::Sent(claim)) = (action, doing) {
                    self.again(state, claim);
                }
                if waits {
                    state.posters[poster] = Poster::Idle;
                }
            }
            _ => state.posters[poster] = Poster::Idle,
        }
        let left = &mut state.left;
        match action {
            Action::ArriveUnheard(_) | Action::Vanish(_) | Action::TimeOut(_) | Action::StoreFails(_) => {
                left.network -= 1;
            }
            Action::Refuse(_) => left.refusals -= 1,
            Action::Die(_) => left.deaths -= 1,
            _ => {}
        }
    }

    fn is_over(&self, state: &State) -> bool {
        self.next_states(state).is_empty()
    }
}

impl Model for Outbox {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            row: Row::Waiting,
            claim: 0,
            is_due: true,
            posters: [Poster::Idle; POSTERS],
            flying: [0; POSTERS],
            messages: 0,
            is_found_by_reading: false,
            left: Left { network: 2, deaths: 2, refusals: 1, stalls: 2 },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for (poster, doing) in state.posters.iter().enumerate() {
            match doing {
                Poster::Idle => actions.extend(self.may_claim(state).then_some(Action::Claim(poster))),
                Poster::Reading(_) => actions.push(Action::ReadBack(poster)),
                Poster::Missed(_) => actions.push(Action::Again(poster)),
                Poster::Sending(_) => actions.push(Action::Send(poster)),
                Poster::Sent(_) => actions.extend((left.network > 0).then_some(Action::TimeOut(poster))),
                Poster::Standing(_) => {
                    actions.push(Action::Store(poster));
                    actions.extend((left.network > 0).then_some(Action::StoreFails(poster)));
                }
            }
            if state.flying[poster] > 0 {
                actions.push(Action::Arrive(poster));
                actions.extend((left.refusals > 0).then_some(Action::Refuse(poster)));
                if left.network > 0 {
                    actions.extend([Action::ArriveUnheard(poster), Action::Vanish(poster)]);
                }
            }
            actions.extend((*doing != Poster::Idle && left.deaths > 0).then_some(Action::Die(poster)));
        }
        actions.extend(self.may_grace_end(state).then_some(Action::GraceEnds));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::GraceEnds => {
                let is_kept = state.posters.iter().any(|poster| *poster != Poster::Idle);
                state.left.stalls = state.left.stalls.saturating_sub(u8::from(is_kept));
                state.is_due = true;
            }
            Action::Claim(poster)
            | Action::ReadBack(poster)
            | Action::Again(poster)
            | Action::Send(poster)
            | Action::Arrive(poster)
            | Action::ArriveUnheard(poster)
            | Action::Vanish(poster)
            | Action::TimeOut(poster)
            | Action::Refuse(poster)
            | Action::Store(poster)
            | Action::StoreFails(poster)
            | Action::Die(poster) => self.act(&mut state, poster, action),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(super::ANNOUNCED_ONCE, |_, state: &State| state.messages <= 1),
            Property::always(super::NOTHING_LOST, |model: &Self, state: &State| {
                (state.row == Row::Posted && state.messages > 0) || !model.is_over(state)
            }),
            Property::always("what is stored as posted stands in the channel", |_, state: &State| {
                state.row != Row::Posted || state.messages > 0
            }),
            Property::sometimes("a message is found by reading", |_, state: &State| {
                state.is_found_by_reading && state.row == Row::Posted
            }),
        ]
    }
}
