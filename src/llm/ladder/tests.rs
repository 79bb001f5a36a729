//! What is decided, as tables; and whole climbs over models that answer as scripted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::Ladder;
use super::decide::{Candidate, Others, Rung, Standing, again, combined, order};
use crate::llm::stand_in::{conversation, question};
use crate::llm::{Fault, Model, Reply, Request, Stop, ToolChoice, Turn, Usage};

const SECOND: Duration = Duration::from_secs(1);
const NOTHING: Usage = Usage { input: 0, cached: 0, output: 0 };

fn transient(retry_after: Option<u64>) -> Fault {
    Fault::Transient { detail: "busy".to_owned(), retry_after: retry_after.map(Duration::from_secs) }
}

fn unusable() -> Fault {
    Fault::Unusable { detail: "no money".to_owned() }
}

fn too_long() -> Fault {
    Fault::TooLong { detail: "too long".to_owned() }
}

fn garbage() -> Fault {
    Fault::Garbage { detail: "no JSON".to_owned() }
}

#[test]
fn only_passing_faults_are_asked_again_and_never_too_late_or_too_often() {
    let millis = |wait: u64| Some(Duration::from_millis(wait));
    let table = [
        // fault, tries so far, others, seconds left, chance, wait in ms
        (transient(None), 1, Others::None, 100, 0.0, millis(500)),
        (transient(None), 1, Others::None, 100, 1.0, millis(1_000)),
        (transient(None), 2, Others::None, 100, 1.0, millis(2_000)),
        (transient(None), 3, Others::None, 100, 0.5, millis(3_000)),
        (transient(None), 4, Others::None, 100, 0.5, None),
        (transient(None), 1, Others::Some, 100, 1.0, millis(1_000)),
        (transient(None), 2, Others::Some, 100, 1.0, None),
        // Retry-After is a floor, not a wish.
        (transient(Some(7)), 1, Others::None, 100, 0.0, millis(7_000)),
        (transient(Some(0)), 1, Others::None, 100, 1.0, millis(1_000)),
        (transient(Some(4)), 1, Others::Some, 100, 0.0, millis(4_000)),
        (transient(Some(6)), 1, Others::Some, 100, 0.0, None),
        (transient(Some(99)), 1, Others::None, 100, 0.0, millis(99_000)),
        (transient(Some(100)), 1, Others::None, 100, 0.0, None),
        (transient(None), 1, Others::None, 0, 0.0, None),
        (unusable(), 1, Others::None, 100, 0.0, None),
        (too_long(), 1, Others::None, 100, 0.0, None),
        (garbage(), 1, Others::None, 100, 0.0, None),
    ];
    for (fault, tries, others, left, chance, expected) in table {
        let wait = again(&fault, tries, others, Duration::from_secs(left), chance);
        assert_eq!(wait, expected, "{fault:?} {tries} {others:?} {left} {chance}");
    }
}

#[test]
fn a_model_is_rested_after_repeated_faults_and_comes_back_with_an_answer() {
    let now = Instant::now();
    let after = |faults: &[Fault]| {
        let mut standing = Standing::default();
        faults.iter().for_each(|fault| standing.failed(fault, now));
        standing
    };
    let rests = |faults: &[Fault]| after(faults).rests_until.map(|until| (until - now).as_secs());
    assert_eq!(rests(&[transient(None), garbage()]), None);
    assert_eq!(rests(&[transient(None), garbage(), transient(None)]), Some(60));
    assert_eq!(rests(&[unusable()]), Some(60));
    assert_eq!(rests(&[too_long(), too_long(), too_long()]), None);
    assert_eq!(after(&[transient(Some(9))]).not_before, Some(now + 9 * SECOND));
    let mut standing = after(&[unusable(), transient(Some(9))]);
    standing.answered(3_500, NOTHING);
    assert_eq!(standing, Standing::default());
}

#[test]
fn the_estimate_follows_what_the_model_told_within_bounds() {
    let mut standing = Standing::default();
    assert_eq!(standing.tokens(3_500), 1_000);
    for (told, expected) in [(1_750, 1_750), (1_000, 1_000), (u64::MAX, 3_500), (1, 584), (0, 584)] {
        standing.answered(3_500, Usage { input: told, ..NOTHING });
        assert_eq!(standing.tokens(3_500), expected, "{told}");
    }
}

#[test]
fn models_are_asked_as_listed_those_at_rest_last_and_small_ones_not_at_all() {
    let now = Instant::now();
    let until = now + 100 * SECOND;
    let standing = |rests: Option<u64>, not_before: Option<u64>| Standing {
        rests_until: rests.map(|seconds| now + Duration::from_secs(seconds)),
        not_before: not_before.map(|seconds| now + Duration::from_secs(seconds)),
        ..Standing::default()
    };
    let plan = |standings: &[(Standing, u64)]| -> Vec<String> {
        let candidates: Vec<Candidate> = standings
            .iter()
            .map(|(standing, needed_tokens)| Candidate {
                standing,
                context_tokens: 1_000,
                needed_tokens: *needed_tokens,
            })
            .collect();
        order(&candidates, now, until)
            .into_iter()
            .map(|rung| match rung {
                Rung::Ask { model, from } => format!("{model} in {} s", (from - now).as_secs()),
                Rung::Skip { model, fault } => format!("{model} not: {fault}"),
            })
            .collect()
    };
    let awake = standing(None, None);
    assert_eq!(plan(&[]), [""; 0]);
    assert_eq!(plan(&[(awake.clone(), 1_000), (awake.clone(), 1)]), ["0 in 0 s", "1 in 0 s"]);
    assert_eq!(
        plan(&[(standing(Some(60), None), 1), (awake.clone(), 1), (standing(Some(0), Some(0)), 1)]),
        ["1 in 0 s", "2 in 0 s", "0 in 0 s"]
    );
    assert_eq!(plan(&[(standing(None, Some(30)), 1)]), ["0 in 30 s"]);
    assert_eq!(
        plan(&[(standing(None, Some(100)), 1), (awake, 1_001)]),
        ["0 not: asked us to wait for another 100 s", "1 not: about 1001 tokens are needed, 1000 fit"]
    );
}

#[test]
fn the_faults_of_all_models_become_what_the_caller_can_do() {
    let fault = |faults: &[Fault]| {
        let named = ["a", "b", "c"].iter().zip(faults);
        combined(named.map(|(name, fault)| ((*name).to_owned(), fault.clone())).collect())
    };
    let detail = |text: &str| text.to_owned();
    assert_eq!(fault(&[]), Fault::Unusable { detail: detail("no model is configured") });
    assert_eq!(fault(&[too_long()]), Fault::TooLong { detail: detail("a: too long") });
    assert_eq!(fault(&[garbage()]), Fault::Garbage { detail: detail("a: no JSON") });
    let mixed = Fault::Unusable { detail: detail("a: too long; b: no money") };
    assert_eq!(fault(&[too_long(), unusable()]), mixed);
    let retry_after = Some(3 * SECOND);
    let mixed = Fault::Transient { detail: detail("a: no money; b: busy; c: busy"), retry_after };
    assert_eq!(fault(&[unusable(), transient(Some(9)), transient(Some(3))]), mixed);
    let named = Fault::Garbage { detail: detail("a: no JSON") };
    assert_eq!(fault(std::slice::from_ref(&named)), named, "a name is said once");
}

/// A model that answers as it was told to; `None` never ends.
struct Scripted {
    name: &'static str,
    context_tokens: u64,
    script: Mutex<VecDeque<Option<Result<Usage, Fault>>>>,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Model for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn ask<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<Reply, Fault>> {
        self.asked.lock().unwrap().push(self.name);
        let next = self.script.lock().unwrap().pop_front().unwrap();
        Box::pin(async move {
            let Some(next) = next else { return std::future::pending().await };
            let turn = Turn { text: "Seven chars: 7".to_owned(), ..Turn::default() };
            next.map(|usage| Reply { turn, usage, stop: Stop::Done, model: self.name.to_owned() })
        })
    }

    fn context_tokens(&self) -> u64 {
        self.context_tokens
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn usd(&self, usage: Usage) -> f64 {
        (usage.input + usage.output) as f64 / 1_000.0
    }
}

const USED: Usage = Usage { input: 40, cached: 10, output: 2 };

/// A ladder of models with these scripts, and who was asked.
fn ladder<const N: usize>(
    scripts: [Vec<Option<Result<Usage, Fault>>>; N],
) -> (Ladder, Arc<Mutex<Vec<&'static str>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let models = ["a", "b", "c"].into_iter().zip(scripts).map(|(name, script)| {
        let script = Mutex::new(VecDeque::from(script));
        let asked = Arc::clone(&asked);
        Box::new(Scripted { name, context_tokens: 10_000, script, asked }) as Box<dyn Model>
    });
    (Ladder::new(models.collect()), asked)
}

fn soon() -> Instant {
    Instant::now() + 30 * SECOND
}

#[tokio::test]
async fn a_passing_fault_is_asked_again_and_the_answer_comes_from_the_same_model() {
    let (ladder, asked) = ladder([vec![Some(Err(transient(None))), Some(Ok(USED))], vec![]]);
    let began = Instant::now();
    let reply = ladder.ask(&question("Why?"), soon()).await.unwrap();
    assert_eq!((reply.model.as_str(), reply.usage), ("a", USED));
    assert_eq!(*asked.lock().unwrap(), ["a", "a"]);
    assert!(began.elapsed() >= SECOND / 2, "it waited");
    assert!((ladder.usd(&reply) - 0.042).abs() < 1e-9);
}

#[tokio::test]
async fn a_lasting_fault_goes_to_the_next_model_at_once_and_stays_there() {
    for fault in [unusable(), garbage(), too_long()] {
        let (ladder, asked) = ladder([vec![Some(Err(fault.clone()))], vec![Some(Ok(USED))]]);
        let began = Instant::now();
        let reply = ladder.ask(&question("Why?"), soon()).await.unwrap();
        assert_eq!(reply.model, "b");
        assert_eq!(*asked.lock().unwrap(), ["a", "b"], "{fault:?}");
        assert!(began.elapsed() < SECOND / 2, "{:?}", began.elapsed());
    }
    let (ladder, asked) = ladder([vec![Some(Err(unusable()))], vec![Some(Ok(USED)), Some(Ok(USED))]]);
    ladder.ask(&question("Why?"), soon()).await.unwrap();
    ladder.ask(&question("Why?"), soon()).await.unwrap();
    assert_eq!(
        *asked.lock().unwrap(),
        ["a", "b", "b"],
        "a model at rest is left alone while another answers"
    );
}

#[tokio::test]
async fn a_model_at_rest_is_asked_when_no_other_is_left() {
    let (ladder, asked) = ladder([vec![Some(Err(unusable())), Some(Ok(USED))]]);
    let fault = ladder.ask(&question("Why?"), soon()).await.unwrap_err();
    assert_eq!(fault, Fault::Unusable { detail: "a: no money".to_owned() });
    ladder.ask(&question("Why?"), soon()).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), ["a", "a"]);
}

#[tokio::test]
async fn nothing_goes_on_beyond_the_deadline() {
    let (hanging, _) = ladder([vec![None], vec![]]);
    let began = Instant::now();
    let fault = hanging.ask(&question("Why?"), began + SECOND / 5).await.unwrap_err();
    assert_eq!(fault.to_string(), "a: no time is left; b: no time is left");
    assert!(matches!(fault, Fault::Transient { .. }));
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());

    // Told to wait beyond the deadline: neither waited for nor asked again before it is due.
    let (limited, asked) = ladder([vec![Some(Err(transient(Some(60))))]]);
    for expected in ["a: busy", "a: asked us to wait for another "] {
        let fault = limited.ask(&question("Why?"), soon()).await.unwrap_err();
        assert!(fault.to_string().starts_with(expected), "{fault}");
    }
    assert_eq!(*asked.lock().unwrap(), ["a"]);
    assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_conversation_that_cannot_fit_is_not_sent() {
    let (ladder, asked) = ladder([vec![]]);
    let fault = ladder.ask(&question(&"x".repeat(40_000)), soon()).await.unwrap_err();
    assert_eq!(fault.to_string(), "a: about 11529 tokens are needed, 10000 fit");
    assert!(matches!(fault, Fault::TooLong { .. }));
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_counts_nothing_is_not_free_of_charge() {
    let (ladder, _) = ladder([vec![Some(Ok(NOTHING))]]);
    let request = conversation(ToolChoice::Auto);
    let reply = ladder.ask(&request, soon()).await.unwrap();
    assert_eq!(reply.usage.output, 4);
    assert_eq!(reply.usage.input, ladder.most(&request).input);
    assert!((80..120).contains(&reply.usage.input), "{:?}", reply.usage);
    assert!(ladder.usd(&reply) > 0.0);
    assert!(ladder.most_usd(ladder.most(&request)) > 0.9, "all output tokens that it may use count");
}

#[tokio::test]
async fn without_models_the_fault_says_so() {
    let ladder = Ladder::new(vec![]);
    assert!(ladder.is_empty());
    let fault = ladder.ask(&question("Why?"), soon()).await.unwrap_err();
    assert_eq!(fault, Fault::Unusable { detail: "no model is configured".to_owned() });
}
