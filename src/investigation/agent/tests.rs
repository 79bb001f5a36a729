//! Runs against scripted models and tools: the ways out, and what a hostile model cannot do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::*;
use crate::llm::{Message, Model, ToolSchema};
use crate::tool::{Found, Refusal, Tool};

/// One answer of the scripted model.
type Say = Arc<dyn Fn(&Request) -> Result<Turn, Fault> + Send + Sync>;

struct Script {
    /// In order; the last one is said for ever.
    says: Mutex<VecDeque<Say>>,
    asked: Arc<Mutex<Vec<Request>>>,
    stalls: Duration,
    output_tokens: u64,
}

impl Model for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, Fault>> {
        async move {
            self.asked.lock().unwrap().push(request.clone());
            tokio::time::sleep(self.stalls).await;
            let say = {
                let mut says = self.says.lock().unwrap();
                let next = if says.len() > 1 { says.pop_front() } else { says.front().cloned() };
                next.unwrap()
            };
            let turn = say(request)?;
            let usage = Usage { input: 1_000, cached: 0, output: self.output_tokens };
            Ok(Reply { turn, usage, stop: Stop::Done, model: "script".to_owned() })
        }
        .boxed()
    }

    fn context_tokens(&self) -> u64 {
        1_000_000
    }

    fn usd(&self, usage: Usage) -> f64 {
        usage.input as f64 * 3e-6 + usage.output as f64 * 15e-6
    }
}

/// `look`, which counts its calls and answers after `takes`.
struct Look {
    schema: ToolSchema,
    calls: Arc<AtomicUsize>,
    takes: Duration,
}

impl Tool for Look {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &'static str {
        "kubernetes"
    }

    fn call<'a>(&'a self, arguments: &'a Value, _: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.takes).await;
            let at = arguments["at"].as_str().unwrap_or("?");
            if at == "slow" {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            let digest = format!("Pod web-1 at {at}: exec: \"/bin/bash\": no such file, exit code 127");
            Ok(Found {
                source: "kubernetes".to_owned(),
                query: format!("GET /{at}"),
                full: digest.clone(),
                digest,
            })
        }
        .boxed()
    }
}

fn calls(named: &[(&str, Value)]) -> Turn {
    let call = |(place, (name, arguments)): (usize, &(&str, Value))| ToolCall {
        id: format!("id{place}"),
        name: (*name).to_owned(),
        arguments: arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned),
    };
    Turn { calls: named.iter().enumerate().map(call).collect(), ..Turn::default() }
}

fn say(turn: Turn) -> Say {
    Arc::new(move |_| Ok(turn.clone()))
}

fn look(at: &str) -> Say {
    say(calls(&[("look", json!({"at": at}))]))
}

fn conclusion(quote: &str) -> Value {
    json!({
        "outcome": "root_cause", "summary": "web cannot start", "root_cause": "The image has no /bin/bash",
        "category": "image", "object": {"kind": "Pod", "name": "web-1"},
        "evidence": [{"id": "E2", "quote": quote}],
    })
}

fn conclude(quote: &str) -> Say {
    say(calls(&[(CONCLUDE, conclusion(quote))]))
}

const TRUE_QUOTE: &str = "\"/bin/bash\":  no such file, exit code 127";

struct Stage {
    limits: Limits,
    stalls: Duration,
    takes: Duration,
    output_tokens: u64,
}

impl Default for Stage {
    fn default() -> Self {
        let limits = Limits { steps: 12, time: Duration::from_secs(60), tokens: 200_000, usd: 5.0 };
        Self { limits, stalls: Duration::ZERO, takes: Duration::ZERO, output_tokens: 50 }
    }
}

struct Played {
    ran: Ran,
    asked: Vec<Request>,
    looks: usize,
    took: Duration,
}

impl Stage {
    async fn play(self, says: Vec<Say>) -> Played {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let looks = Arc::new(AtomicUsize::new(0));
        let script = Script {
            says: Mutex::new(says.into()),
            asked: Arc::clone(&asked),
            stalls: self.stalls,
            output_tokens: self.output_tokens,
        };
        let schema = ToolSchema {
            name: "look".to_owned(),
            description: "looks".to_owned(),
            parameters: json!({"type": "object", "properties": {"at": {"type": "string"}}}),
        };
        let tool = Look { schema, calls: Arc::clone(&looks), takes: self.takes };
        let ladder = Ladder::new(vec![Box::new(script)]);
        let none: [&str; 0] = [];
        let toolbox = Toolbox::new(vec![Box::new(tool)], &none, Duration::from_secs(5));
        let bounds = Bounds {
            workload: Workload::new("lab", "shop", "Deployment", "web"),
            namespaces: vec!["shop".to_owned()],
            own_pods_only: false,
            nothing_shared: false,
            onset: DateTime::UNIX_EPOCH,
            now: DateTime::UNIX_EPOCH,
        };
        let journal = Journal::Nowhere;
        let means = Means {
            ladder: &ladder,
            toolbox: &toolbox,
            bounds: &bounds,
            journal: &journal,
            limits: self.limits,
            purse: &Purse { usd_per_day: 20.0, ..Purse::default() },
        };
        let opening =
            Opening { system: "s".to_owned(), case_file: "case".to_owned(), fence: "f00d".to_owned() };
        let first = Observation {
            id: "E1".to_owned(),
            source: "kubernetes".to_owned(),
            query: "GET /pods".to_owned(),
            text: "pod web-1 waits\n".to_owned(),
            milliseconds: 1,
        };
        let began = Instant::now();
        let ran = run(means, opening, Ledger { observations: vec![first], steps: Vec::new() }).await.unwrap();
        let asked = asked.lock().unwrap().clone();
        Played { ran, asked, looks: looks.load(Ordering::SeqCst), took: began.elapsed() }
    }
}

async fn play(says: Vec<Say>) -> Played {
    Stage::default().play(says).await
}

fn results(request: &Request) -> Vec<String> {
    match request.messages.last() {
        Some(Message::Results(results)) => results.iter().map(|one| one.text.clone()).collect(),
        other => panic!("no results: {other:?}"),
    }
}

#[tokio::test]
async fn a_run_asks_observes_and_concludes() {
    let both = say(calls(&[("look", json!({"at": "slow"})), ("look", json!({"at": "events"}))]));
    let played = play(vec![both, conclude("\"/bin/bash\": no such file")]).await;
    assert_eq!(played.ran.ended, Ended::Concluded);
    assert!(played.ran.draft.unwrap().send_back().is_empty());
    // Results in the order of the calls, however long each took.
    let told = results(&played.asked[1]);
    assert!(told[0].starts_with("E2 (kubernetes)") && told[0].contains("at slow"), "{told:?}");
    assert!(told[1].starts_with("E3") && told[1].ends_with("(turn 1 of 12)"), "{told:?}");
    let names: Vec<&str> = played.asked[1].tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["look", CONCLUDE]);
    assert_eq!(played.ran.ledger.steps.len(), 2);
}

#[tokio::test]
async fn a_model_that_only_calls_tools_is_made_to_conclude_at_its_last_turn() {
    let counter = AtomicUsize::new(0);
    let always: Say = Arc::new(move |_| {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        Ok(calls(&[("look", json!({"at": n.to_string()}))]))
    });
    let played = play(vec![always]).await;
    assert_eq!(played.ran.ended, Ended::StepsSpent);
    assert_eq!((played.asked.len(), played.looks), (12, 11));
    assert!(played.asked[..11].iter().all(|request| request.choice == ToolChoice::Auto));
    let last = &played.asked[11];
    assert_eq!(last.choice, ToolChoice::Named(CONCLUDE.to_owned()));
    assert_eq!(last.tools.len(), 2, "schemas are still sent");
    assert!(played.ran.draft.is_none());
    assert_eq!(played.ran.ledger.observations.len(), 12);
}

#[tokio::test]
async fn a_thousand_calls_in_a_turn_run_four() {
    let many: Vec<(&str, Value)> = (0..1_000).map(|n| ("look", json!({"at": n.to_string()}))).collect();
    let played = play(vec![say(calls(&many)), conclude(TRUE_QUOTE)]).await;
    assert_eq!((played.looks, played.asked.len()), (4, 2));
    let told = results(&played.asked[1]);
    assert_eq!(told.len(), 16);
    assert!(told[4].starts_with("Not run: at most 4 calls a turn"), "{}", told[4]);
    assert!(told[15].ends_with("(turn 1 of 12; 984 more calls were dropped)"), "{}", told[15]);
    assert_eq!(played.ran.ended, Ended::Concluded);
}

#[tokio::test]
async fn nonsense_is_told_and_counts_and_ends() {
    let nonsense: Vec<(Turn, &str)> = vec![
        (Turn::default(), "That was empty."),
        (Turn { text: "It is DNS.".to_owned(), ..Turn::default() }, "Only calls count."),
        (calls(&[("launch_missiles", json!({}))]), "unknown_tool"),
        (calls(&[("look", Value::String("{\"at\": ".to_owned()))]), "bad_arguments"),
        (calls(&[(CONCLUDE, Value::String("{not json".to_owned()))]), "These arguments do not fit"),
        (calls(&[(CONCLUDE, json!({"outcome": "solved"}))]), "unknown variant"),
    ];
    for (turn, told) in nonsense {
        let played = play(vec![say(turn.clone())]).await;
        assert_eq!(played.ran.ended, Ended::Stuck, "{turn:?}");
        // Three turns of it, then two for which only the conclusion is asked.
        assert_eq!((played.asked.len(), played.looks), (5, 0), "{turn:?}");
        assert_eq!(played.asked[4].choice, ToolChoice::Named(CONCLUDE.to_owned()));
        let heard = match played.asked[1].messages.last().unwrap() {
            Message::User(text) => text.clone(),
            Message::Results(results) => results[0].text.clone(),
            other => panic!("{other:?}"),
        };
        assert!(heard.contains(told), "{heard}");
        // And whoever comes to reason is heard.
        let played = play(vec![say(turn), look("x"), conclude(TRUE_QUOTE)]).await;
        assert_eq!(played.ran.ended, Ended::Concluded);
    }
}

#[tokio::test]
async fn the_same_question_is_asked_once_and_circles_end() {
    let played = play(vec![look("a"), look("b"), look("a"), look("b"), look("a"), look("b")]).await;
    assert_eq!(played.looks, 2);
    assert_eq!(played.ran.ended, Ended::Stuck);
    assert_eq!(played.asked.len(), 7);
    assert!(results(&played.asked[3])[0].starts_with("Asked in turn 1 already; E2 stands."));
}

#[tokio::test]
async fn money_tokens_and_time_end_a_run_within_one_call() {
    let counter = Arc::new(AtomicUsize::new(0));
    let always = || -> Say {
        let counter = Arc::clone(&counter);
        Arc::new(move |_| {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            Ok(calls(&[("look", json!({"at": n.to_string()}))]))
        })
    };
    let poor = Limits { usd: 0.3, ..Stage::default().limits };
    let played = Stage { limits: poor, output_tokens: 4_096, ..Stage::default() }.play(vec![always()]).await;
    assert_eq!(played.ran.ended, Ended::MoneySpent);
    let usd = played.ran.ledger.spent().usd;
    assert!(usd > 0.1 && usd <= 0.3 + 4_096.0 * 15e-6, "{usd}");

    let short = Limits { tokens: 30_000, ..Stage::default().limits };
    let played = Stage { limits: short, output_tokens: 4_096, ..Stage::default() }.play(vec![always()]).await;
    assert_eq!(played.ran.ended, Ended::TokensSpent);
    assert!(played.ran.ledger.spent().tokens() <= 30_000 + 4_096);
    let last = played.asked.last().unwrap();
    assert_eq!(last.choice, ToolChoice::Named(CONCLUDE.to_owned()), "the conclusion was asked for in time");

    // The model stalls; the tool stalls.
    let hurried = Limits { time: Duration::from_millis(600), ..Stage::default().limits };
    for (stalls, takes) in
        [(Duration::from_secs(30), Duration::ZERO), (Duration::ZERO, Duration::from_secs(4))]
    {
        let played = Stage { limits: hurried, stalls, takes, ..Stage::default() }.play(vec![always()]).await;
        assert_eq!(played.ran.ended, Ended::TimeSpent);
        assert!(played.took < Duration::from_millis(1_600), "{:?}", played.took);
    }
}

#[tokio::test]
async fn a_model_that_is_down_ends_the_run_with_its_reason() {
    let down: Say = Arc::new(|_| Err(Fault::Unusable { detail: "quota: key=sk-123 is used up".to_owned() }));
    let played = play(vec![look("a"), down]).await;
    let Ended::ModelsDown(why) = &played.ran.ended else { panic!("{:?}", played.ran.ended) };
    assert!(why.contains("quota"), "{why}");
    assert_eq!(played.ran.ledger.steps.len(), 1);
    let garbage: Say = Arc::new(|_| Err(Fault::Garbage { detail: "no JSON".to_owned() }));
    assert!(matches!(play(vec![garbage]).await.ran.ended, Ended::ModelsDown(_)));
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_squeezed_once() {
    let long: Say = Arc::new(|_| Err(Fault::TooLong { detail: "8k".to_owned() }));
    let says = vec![look("a"), look("b"), look("c"), Arc::clone(&long), conclude(TRUE_QUOTE)];
    let played = play(says).await;
    assert_eq!(played.ran.ended, Ended::Concluded);
    let Message::Results(first) = &played.asked[4].messages[2] else { panic!("{:?}", played.asked[4]) };
    assert!(first[0].text.starts_with("E2: left out here"), "{first:?}");
    assert!(played.ran.draft.unwrap().send_back().is_empty(), "what was left out can still be quoted");
    assert!(matches!(play(vec![long]).await.ran.ended, Ended::ModelsDown(_)));
}

#[tokio::test]
async fn a_lie_is_sent_back_once_and_then_struck() {
    let lie = conclude("\"/bin/bash\": no such file, exit code 128");
    let played = play(vec![look("a"), Arc::clone(&lie), lie]).await;
    assert_eq!((played.ran.ended, played.asked.len()), (Ended::Concluded, 3));
    let told = results(&played.asked[2]);
    assert!(
        told[0].starts_with("Not taken yet") && told[0].contains("do not stand in that observation"),
        "{told:?}"
    );
    assert_eq!(
        played.ran.draft.unwrap().send_back().len(),
        1,
        "it is still a lie, and the report strikes it"
    );
    // Who looks again and tells the truth is believed.
    let played = play(vec![look("a"), conclude("exit code 12"), look("b"), conclude(TRUE_QUOTE)]).await;
    assert!(played.ran.draft.unwrap().send_back().is_empty());
}

#[tokio::test]
async fn a_conclusion_beside_other_calls_ends_the_run() {
    let turn = calls(&[("look", json!({"at": "z"})), (CONCLUDE, conclusion(TRUE_QUOTE))]);
    let played = play(vec![look("a"), say(turn)]).await;
    assert_eq!((played.ran.ended, played.looks), (Ended::Concluded, 1));
    assert!(played.ran.draft.is_some());
}

#[tokio::test]
async fn what_a_model_says_is_redacted_before_it_is_kept() {
    let secret = "ghp_a1B2c3D4e5a1B2c3D4e5a1B2c3D4e5a1B2c3";
    let mut turn = calls(&[("look", json!({"at": secret}))]);
    turn.text = format!("token {secret}");
    let played = play(vec![say(turn), conclude(TRUE_QUOTE)]).await;
    let kept = format!("{:?} {:?}", played.ran.ledger, played.asked);
    assert!(!kept.contains("a1B2c3D4e5"), "{kept}");
}
