//! The toolbox over tools that answer, fail, hang, panic and talk too much.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{TimeZone, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::*;
use crate::workload::Workload;

struct Fake {
    schema: ToolSchema,
    group: &'static str,
    answer: fn(&Value) -> Result<Found, Refusal>,
    wait: Duration,
    running: AtomicUsize,
    most: std::sync::Arc<AtomicUsize>,
}

impl Tool for Fake {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &str {
        self.group
    }

    fn call<'a>(&'a self, arguments: &'a Value, _: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        Box::pin(async move {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            // Later calls answer sooner: order must not depend on speed.
            let waits = arguments["n"].as_u64().unwrap_or(0);
            tokio::time::sleep(self.wait + Duration::from_millis(10_u64.saturating_sub(waits))).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            (self.answer)(arguments)
        })
    }
}

fn fake(name: &str, group: &'static str, answer: fn(&Value) -> Result<Found, Refusal>) -> Fake {
    let parameters = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    Fake {
        schema: ToolSchema { name: name.to_owned(), description: "d".to_owned(), parameters },
        group,
        answer,
        wait: Duration::ZERO,
        running: AtomicUsize::new(0),
        most: std::sync::Arc::default(),
    }
}

fn found(digest: &str, full: &str) -> Result<Found, Refusal> {
    Ok(Found {
        source: "kubernetes".to_owned(),
        query: "GET /x".to_owned(),
        digest: digest.to_owned(),
        full: full.to_owned(),
    })
}

fn bounds() -> Bounds {
    let now = Utc.with_ymd_and_hms(2026, 11, 21, 7, 0, 0).unwrap();
    Bounds {
        workload: Workload::new("lab", "shop", "Deployment", "checkout"),
        namespaces: vec!["shop".to_owned()],
        own_pods_only: false,
        nothing_shared: false,
        onset: now,
        now,
    }
}

fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: "1".to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

const DEADLINE: Duration = Duration::from_millis(200);
const ALL: [&str; 0] = [];

fn toolbox(tools: Vec<Fake>, allowed: &[&str]) -> Toolbox {
    Toolbox::new(tools.into_iter().map(|tool| Box::new(tool) as Box<dyn Tool>).collect(), allowed, DEADLINE)
}

#[tokio::test]
async fn results_come_in_the_order_of_the_calls_a_few_at_a_time() {
    let tool = fake("kubernetes_get", "kubernetes", |arguments| found(&arguments["n"].to_string(), "full"));
    let most = std::sync::Arc::clone(&tool.most);
    let toolbox = toolbox(vec![tool], &ALL);
    let calls: Vec<ToolCall> =
        (0..20).map(|n| call("kubernetes_get", &format!("{{\"n\":\"{n}\"}}"))).collect();
    let outcomes = toolbox.invoke_all(&calls, &bounds()).await;
    let digests: Vec<String> = outcomes.iter().map(|outcome| outcome.digest.clone()).collect();
    assert_eq!(digests, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(
        outcomes.iter().all(|outcome| outcome.status == Status::Ok
            && outcome.full == "0\n\nfull".replace('0', &outcome.digest))
    );
    let most = most.load(Ordering::SeqCst);
    assert!((2..=PARALLEL_CALLS).contains(&most), "{most} at once");
}

#[tokio::test]
async fn what_the_runbook_does_not_list_is_neither_offered_nor_run() {
    let tools = || {
        vec![
            fake("loki_query", "loki", |_| found("a", "a")),
            fake("kubernetes_logs", "kubernetes", |_| found("b", "b")),
            fake("kubernetes_get", "kubernetes", |_| found("c", "c")),
        ]
    };
    let names =
        |toolbox: &Toolbox| toolbox.schemas().into_iter().map(|schema| schema.name).collect::<Vec<_>>();
    assert_eq!(names(&toolbox(tools(), &ALL)), ["kubernetes_get", "kubernetes_logs", "loki_query"]);
    let narrow = toolbox(tools(), &["Kubernetes"]);
    assert_eq!(names(&narrow), ["kubernetes_get", "kubernetes_logs"]);
    let outcome = narrow.invoke(&call("loki_query", "{}"), &bounds()).await;
    assert_eq!(outcome.status, Status::Refused);
    assert_eq!(
        outcome.digest,
        "the runbook does not allow loki_query. Tools of this investigation: kubernetes_get, kubernetes_logs"
    );
    let outcome = narrow.invoke(&call("kubernetes_log", "{}"), &bounds()).await;
    assert_eq!(outcome.status, Status::UnknownTool);
    assert!(
        outcome.digest.contains("Did you mean kubernetes_logs? Tools: kubernetes_get"),
        "{}",
        outcome.digest
    );
    for name in ["functions.kubernetes_logs", "Kubernetes-Logs", " kubernetes_logs "] {
        assert_eq!(narrow.invoke(&call(name, ""), &bounds()).await.status, Status::Ok, "{name}");
    }
    assert_eq!(names(&toolbox(tools(), &["loki_query"])), ["loki_query"]);
    let hostile = call(&"\u{202e}rm -rf".repeat(2_000), &"{".repeat(100_000));
    let outcome = narrow.invoke(&hostile, &bounds()).await;
    assert_eq!(outcome.status, Status::UnknownTool);
    assert!(outcome.query.len() <= QUERY_BYTES && !outcome.query.contains('\u{202e}'));
}

#[tokio::test]
async fn every_bad_end_is_told() {
    let mut slow = fake("slow", "kubernetes", |_| found("late", "late"));
    slow.wait = Duration::from_secs(60);
    let tools = vec![
        slow,
        fake("broken", "kubernetes", |_| panic!("a bug")),
        fake("failing", "kubernetes", |_| Err(Refusal::Failed("503 from the API".to_owned()))),
        fake("wide", "kubernetes", |_| Err(Refusal::TooMuch("412 pods; give a label_selector".to_owned()))),
        fake("outside", "kubernetes", |_| Err(Refusal::Scope("namespace prod-api".to_owned()))),
    ];
    let toolbox = toolbox(tools, &ALL);
    for (name, arguments, status, words) in [
        ("slow", "{}", Status::Timeout, "no answer within 200ms"),
        ("broken", "{}", Status::Failed, "the tool broke"),
        ("failing", "{}", Status::Failed, "503 from the API"),
        ("wide", "{}", Status::Refused, "too much: 412 pods; give a label_selector"),
        ("outside", "{}", Status::Refused, "outside what this investigation may read: namespace prod-api"),
        ("failing", "{\"n\"", Status::BadArguments, "not JSON"),
        ("failing", "7", Status::BadArguments, "an object is needed"),
    ] {
        let outcome = toolbox.invoke(&call(name, arguments), &bounds()).await;
        assert_eq!(outcome.status, status, "{name}");
        assert!(outcome.digest.contains(words), "{name}: {}", outcome.digest);
        assert!(outcome.status.is_error() && !outcome.query.is_empty() && outcome.source == "kubernetes");
    }
}

#[tokio::test]
async fn what_leaves_is_redacted_inert_and_bounded() {
    let answer = |_: &Value| {
        let text = format!(
            "DB_PASSWORD=hunter22secret\n\u{1b}[31mred\u{1b}[0m ig\u{200b}nore \u{e0041}\n{}",
            "a line of a log\n".repeat(40_000)
        );
        found(&text, &text)
    };
    let toolbox = toolbox(vec![fake("kubernetes_logs", "kubernetes", answer)], &ALL);
    let outcome = toolbox.invoke(&call("kubernetes_logs", "{}"), &bounds()).await;
    assert!(outcome.digest.len() <= DIGEST_BYTES && outcome.full.len() <= FULL_BYTES);
    for text in [&outcome.digest, &outcome.full] {
        assert!(text.starts_with("DB_PASSWORD=[redacted"), "{}", &text[..80]);
        assert!(text.contains("\nred ignore \n") && text.contains("[left out here: "), "{}", &text[..80]);
        assert!(!text.contains("hunter22"));
    }
}
