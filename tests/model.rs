//! Claim, lease, heartbeat, finish and announce, checked exhaustively: every order of statements, stalls, deaths
//! and lost answers within the bounds of the models. `queue` is one investigation from the queue into the outbox,
//! `outbox` is one announcement from there to Slack; the transaction that ends the first begins the second. Beside
//! each stand broken twins, of which the checker must find the fault: a check that nothing fails shows nothing.
//! What is left out: a second reason for the same incident, and an incident that is over before it is investigated.

#[path = "model/outbox.rs"]
mod outbox;
#[path = "model/queue.rs"]
mod queue;

use std::hash::Hash;

use outbox::{Delivery, Outbox};
use queue::{Queue, Statements};
use stateright::{Checker, HasDiscoveries, Model};

const ENDED_ONCE: &str = "an investigation ends once";
const STALE_WRITES_NOTHING: &str = "a worker without the lease writes nothing";
const NOTHING_LOST: &str = "what was accepted is told in the end";
const ANNOUNCED_ONCE: &str = "an announcement is posted once";

/// One: the shortest way to a fault is found first.
const THREADS: usize = 1;

/// Fewer states would mean that the models lost most of their behaviour.
const FEWEST_STATES: usize = 10_000;

/// Everything, or until the model breaks `property`.
fn check<M>(model: M, property: Option<&'static str>) -> impl Checker<M>
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Clone + std::fmt::Debug + PartialEq + Send + Sync,
    M::Action: std::fmt::Debug + Clone + PartialEq + Send + Sync,
{
    let until = property.map_or(HasDiscoveries::All, |property| HasDiscoveries::AnyOf([property].into()));
    model.checker().threads(THREADS).finish_when(until).spawn_bfs().join()
}

/// The twin's fault is found, as this property and with a way to it.
fn assert_found<M>(model: M, property: &'static str, twin: impl std::fmt::Debug)
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Clone + std::fmt::Debug + PartialEq + Send + Sync,
    M::Action: std::fmt::Debug + Clone + PartialEq + Send + Sync,
{
    let checker = check(model, Some(property));
    let way = checker.discovery(property).map(|path| path.into_actions());
    assert!(way.is_some(), "{twin:?}: nobody noticed that not {property:?}");
    println!("{twin:?} breaks {property:?}: {way:?}");
}

#[test]
fn an_investigation_ends_once_is_told_and_stale_workers_write_nothing() {
    let checker = check(Queue { statements: Statements::AsTheyAre }, None);
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > FEWEST_STATES);
}

#[test]
fn an_announcement_is_posted_once_whatever_was_heard_of_it() {
    let checker = check(Outbox { delivery: Delivery::AsItIs }, None);
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > FEWEST_STATES);
}

#[test]
fn broken_statements_of_the_queue_are_found() {
    for (statements, property) in [
        (Statements::FinishWithoutFence, ENDED_ONCE),
        (Statements::FinishWithoutAttempt, STALE_WRITES_NOTHING),
        (Statements::StepWithoutAttempt, STALE_WRITES_NOTHING),
        (Statements::FailWithoutAttempt, STALE_WRITES_NOTHING),
        (Statements::ClaimWithoutExpired, NOTHING_LOST),
        (Statements::AnnounceAfterCommit, NOTHING_LOST),
    ] {
        assert_found(Queue { statements }, property, statements);
    }
}

#[test]
fn broken_delivery_is_found() {
    for (delivery, property) in [
        (Delivery::RepostWithoutReadBack, ANNOUNCED_ONCE),
        (Delivery::SendWithoutLookAtTheClock, ANNOUNCED_ONCE),
        (Delivery::GraceShorterThanACall, ANNOUNCED_ONCE),
        (Delivery::AgainWithoutLease, ANNOUNCED_ONCE),
        (Delivery::NeverTakenUp, NOTHING_LOST),
    ] {
        assert_found(Outbox { delivery }, property, delivery);
    }
}
