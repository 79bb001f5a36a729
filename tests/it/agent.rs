//! The agent inside the service, on real Postgres: what no signature explains, hostile models, restarts, the
//! day's money, and incidents that are resolved meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use whodunit::app;
use whodunit::demo::{KubernetesStandIn, Recording};
use whodunit::investigation::journal::{self, Journal};
use whodunit::investigation::queue::{self, Claim};
use whodunit::investigation::store;
use whodunit::investigator::{Attempt, Investigated, Investigator, Reasoner};
use whodunit::llm::{Ladder, Message, Request, ToolSchema};
use whodunit::report::Outcome;
use whodunit::runbook::Catalogue;
use whodunit::settings::{self, Settings};
use whodunit::tool::{Bounds, Found, Refusal, Tool};
use whodunit::workload::Workload;

use crate::house::{self, House, HouseOptions, fixture};
use crate::model::{ModelServer, Said, Scripted, call, case_file, conclusion, only_investigation, quotable};
use crate::queue::{fill, make_due};

const LEASE: Duration = Duration::from_secs(60);
const WEBHOOK: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";

/// A service that knows no signature, with one model.
async fn house_with(server: &ModelServer, seconds: u64) -> House {
    house_without_signatures(server.settings(), seconds).await
}

async fn house_without_signatures(model: settings::Model, seconds: u64) -> House {
    let options = HouseOptions {
        models: vec![model],
        adjust: Some(|settings: &mut Settings| {
            settings.runbooks.without_builtin = true;
            settings.agent.tool_secs = 2;
        }),
        agent_seconds: Some(seconds),
        ..HouseOptions::default()
    };
    House::start(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_signature_explains_is_found_by_the_model_and_posted() {
    let server = ModelServer::start(Arc::new(|number, request| {
        if number == 0 {
            return Said::Calls(vec![
                call("kubernetes_events", &json!({})),
                call("kubernetes_list", &json!({"kind": "pods"})),
            ]);
        }
        let (id, quote) = quotable(case_file(request));
        Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
    }))
    .await;
    let house = house_with(&server, 60).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(WEBHOOK)).await.0, 202);
    house.settle().await;
    let investigation = only_investigation(&house).await;
    let report = &investigation["report"];
    assert_eq!(report["outcome"], "root_cause", "{report}");
    assert_eq!(report["cause"]["id"], "image");
    assert_eq!(report["cause"]["statement"], "Its command is not in the image.");
    assert_eq!((&report["cost"]["steps"], &report["cost"]["input_tokens"]), (&json!(2), &json!(6_000)));
    assert!(report["evidence"][0]["verified"].as_bool().unwrap());
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let names: Vec<&str> = asked[0]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["function"]["name"].as_str().unwrap())
        .collect();
    for name in [
        "conclude",
        "kubernetes_logs",
        "prometheus_query",
        "loki_query",
        "runbook_read",
        "past_investigations",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let sent = case_file(&asked[0]).len() + asked[0]["tools"].to_string().len();
    assert!(sent as f64 / 3.5 <= 4_000.0 * 1.05, "{} tokens of case file and schemas", sent as f64 / 3.5);
    // Each call of the first turn is answered, in order, and both are observations of the ledger.
    let told: Vec<&Value> =
        asked[1]["messages"].as_array().unwrap().iter().filter(|one| one["role"] == "tool").collect();
    assert_eq!(told.iter().map(|one| &one["tool_call_id"]).collect::<Vec<_>>(), ["c0_0", "c0_1"]);
    for one in told {
        let text = one["content"].as_str().unwrap();
        assert!(text.starts_with('E') && text.contains("<data "), "{text}");
    }
    assert_eq!(house.count("select count(*) from turns").await, 2);
    assert_eq!(house.count("select count(*) from announcements where kind = 'summary'").await, 1);
}

type Script = crate::model::Script;

/// Every one of them keeps the service from a conclusion.
fn hostile() -> Vec<(&'static str, Script)> {
    let always = |number: usize| call("kubernetes_list", &json!({"kind": "pods", "limit": number + 1}));
    vec![
        ("only tools", Arc::new(move |number, _| Said::Calls(vec![always(number)]))),
        (
            "a thousand calls",
            Arc::new(move |number, _| Said::Calls((0..1_000).map(|n| always(number * 1_000 + n)).collect())),
        ),
        ("unknown tools", Arc::new(|_, _| Said::Calls(vec![call("kubectl_delete", &json!({"all": true}))]))),
        ("no JSON", Arc::new(|_, _| Said::Calls(vec![("conclude".to_owned(), "{\"outcome\": ".to_owned())]))),
        ("empty", Arc::new(|_, _| Said::Text(""))),
        ("only text", Arc::new(|_, _| Said::Text("It is DNS. It is always DNS."))),
        ("overloaded", Arc::new(|_, _| Said::Status(529))),
        ("no completion", Arc::new(|_, _| Said::Garbage)),
        ("silent", Arc::new(|_, _| Said::Silence)),
        (
            "lies",
            Arc::new(|_, _| Said::Calls(vec![call("conclude", &conclusion("E1", "the kernel ate it"))])),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_of_a_hostile_model_ends_stored_announced_and_within_its_limits() {
    // Three houses at a time: the server of a test run has connections for so many.
    let all = hostile().into_iter().map(|(what, script)| survives(what, script));
    futures::stream::iter(all).buffer_unordered(3).collect::<Vec<()>>().await;
}

async fn survives(what: &str, script: Script) {
    const SECONDS: u64 = 5;
    let server = ModelServer::start(script).await;
    let mut house = house_with(&server, SECONDS).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(WEBHOOK)).await.0, 202, "{what}");
    house.settle().await;
    let investigation = only_investigation(&house).await;
    let report = &investigation["report"];
    assert_eq!(
        (&investigation["state"], &report["outcome"]),
        (&json!("done"), &json!("inconclusive")),
        "{what}"
    );
    assert!(report["cause"].is_null() && report["confidence"] == "low", "{what}: {report}");
    assert!(server.asked().len() <= 12, "{what}: {} questions", server.asked().len());
    let runs =
        house.count("select count(*) from steps where source = 'kubernetes' and query like '%pods%'").await;
    assert!(runs <= 12 * 4 + 10, "{what}: {runs} calls were run");
    let cost = report["cost"]["usd"].as_f64().unwrap();
    assert!(cost <= 0.5 + 4_096.0 * 15e-6, "{what}: {cost} dollars");
    let took = investigation["seconds"].as_f64().unwrap();
    // The facts take their part before the agent begins.
    assert!(took <= SECONDS as f64 + 3.0, "{what}: {took} s");
    assert_eq!(house.count("select count(*) from announcements where kind = 'summary'").await, 1, "{what}");
    let summary = report["summary"].as_str().unwrap();
    let says_why = summary.contains("gave no conclusion: ") || summary.contains("No cause could be proven.");
    assert!(says_why, "{what}: {summary}");
    assert_eq!(house.count("select count(*) from investigations where usd_reserved <> 0").await, 0, "{what}");
    // Its connections go back before the next one opens its own.
    house.stop().await;
    house.pool.close().await;
}

/// Answers after a count.
struct Look {
    schema: ToolSchema,
    calls: Arc<AtomicUsize>,
}

impl Tool for Look {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &str {
        "kubernetes"
    }

    fn call<'a>(&'a self, arguments: &'a Value, _: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let text = format!("at {}: exec: no such file", arguments["at"].as_str().unwrap_or("?"));
            Ok(Found {
                source: "kubernetes".to_owned(),
                query: "GET /x".to_owned(),
                digest: text.clone(),
                full: text,
            })
        }
        .boxed()
    }
}

fn look(at: &str) -> Vec<(String, String)> {
    vec![call("look", &json!({"at": at}))]
}

/// An investigator of the recorded cluster that knows no signature.
struct Bench {
    settings: Settings,
    kubernetes: Arc<KubernetesStandIn>,
    looks: Arc<AtomicUsize>,
}

impl Bench {
    async fn new() -> Self {
        app::install_tls();
        let (kubernetes, url) =
            house::serve_kubernetes(Recording::embedded().unwrap(), &CancellationToken::new()).await;
        let mut settings = Settings::default();
        settings.kubernetes.url = Some(url);
        settings.runbooks.without_builtin = true;
        Self { settings, kubernetes, looks: Arc::default() }
    }

    async fn investigator(&self, model: Scripted) -> (Investigator, Arc<Mutex<Vec<Request>>>) {
        let sources = app::clusters(&self.settings, &house::http()).await.unwrap().fleet;
        let asked = Arc::clone(&model.asked);
        let schema = ToolSchema {
            name: "look".to_owned(),
            description: String::new(),
            parameters: json!({"type": "object", "properties": {"at": {"type": "string"}}}),
        };
        let reasoner = Reasoner {
            ladder: Ladder::new(vec![Box::new(model)]),
            tools: vec![Arc::new(Look { schema, calls: Arc::clone(&self.looks) })],
            by_cluster: Default::default(),
            mcp: Arc::default(),
            settings: self.settings.agent.clone(),
            policies: app::standing(app::policies(&self.settings).unwrap()),
            language: "en".to_owned(),
        };
        let catalogue = Catalogue::load(&self.settings.runbooks);
        (Investigator::new(sources, catalogue, Some(reasoner)), asked)
    }

    async fn investigate(&self, model: Scripted, journal: &Journal) -> anyhow::Result<Investigated> {
        let (investigator, _) = self.investigator(model).await;
        investigate(&investigator, journal).await
    }

    fn requests(&self) -> u64 {
        self.kubernetes.requests()
    }
}

async fn investigate(investigator: &Investigator, journal: &Journal) -> anyhow::Result<Investigated> {
    let workload = Workload::new("", "prod-api", "Deployment", "payment-service");
    let attempt = Attempt { journal, session: None, deadline: Duration::from_secs(120) };
    investigator.investigate(&workload, &[], attempt).await
}

async fn claim(pool: &PgPool) -> Claim {
    let terms = queue::Terms {
        worker: "w".to_owned(),
        lease: LEASE,
        max_attempts: 3,
        per_namespace: 10,
        full: Vec::new(),
    };
    queue::claim(pool, &terms).await.unwrap().unwrap()
}

fn postgres(pool: &PgPool, claim: &Claim) -> Journal {
    Journal::Postgres { pool: pool.clone(), claim: claim.clone() }
}

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_cut_off_after_its_third_step_goes_on_at_the_fourth_and_asks_nothing_twice() {
    let pool = house::pool().await;
    fill(&pool, 1).await;
    let bench = Bench::new().await;
    let first = claim(&pool).await;
    let mut model = Scripted::new(vec![look("a"), look("b"), look("c")]);
    model.hangs_at = 3;
    let (investigator, asked) = bench.investigator(model).await;
    let task = {
        let journal = postgres(&pool, &first);
        tokio::spawn(async move { investigate(&investigator, &journal).await })
    };
    let until = tokio::time::Instant::now() + house::PATIENCE;
    while asked.lock().unwrap().len() < 4 {
        assert!(tokio::time::Instant::now() < until, "the fourth question never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    let cut_off = asked.lock().unwrap()[3].clone();
    let (looks, requests) = (bench.looks.load(Ordering::SeqCst), bench.requests());
    assert_eq!(looks, 3);

    make_due(&pool).await;
    let second = claim(&pool).await;
    assert_eq!(second.attempt, 2);
    let mut quote = conclusion("E1", "at c: exec: no such file");
    let Message::Results(results) = cut_off.messages.last().unwrap() else { panic!("{cut_off:?}") };
    quote["evidence"][0]["id"] = json!(results[0].text.split(' ').next().unwrap());
    let (investigator, asked) = bench.investigator(Scripted::new(vec![vec![call("conclude", &quote)]])).await;
    let investigated = investigate(&investigator, &postgres(&pool, &second)).await.unwrap();
    // The very same question, to the last character: case file, fence, turns, answers.
    assert_eq!(*asked.lock().unwrap(), [cut_off]);
    assert_eq!(
        (bench.looks.load(Ordering::SeqCst), bench.requests()),
        (looks, requests),
        "nothing is asked twice"
    );
    assert_eq!((investigated.report.outcome, investigated.report.cost.steps), (Outcome::RootCause, 4));
    assert_eq!(investigated.report.cost.input_tokens, 4_000);

    let mut transaction = pool.begin().await.unwrap();
    let Investigated { report, observations } = &investigated;
    assert!(
        !store::finish(&mut transaction, &first, report, observations).await.unwrap(),
        "the old attempt is fenced"
    );
    assert!(store::finish(&mut transaction, &second, report, observations).await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(count(&pool, "select count(*) from turns").await, 4);
    assert_eq!(count(&pool, "select count(*) from steps where attempt <> 2").await, 0);
    let stored = count(&pool, "select count(*) from steps").await;
    assert_eq!(usize::try_from(stored).unwrap(), observations.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conclusion_that_was_taken_but_not_reported_is_not_asked_for_again() {
    let pool = house::pool().await;
    fill(&pool, 1).await;
    let bench = Bench::new().await;
    let first = claim(&pool).await;
    let turns = || {
        vec![
            look("a"),
            vec![call("conclude", &json!({"outcome": "inconclusive", "summary": "s", "evidence": []}))],
        ]
    };
    bench.investigate(Scripted::new(turns()), &postgres(&pool, &first)).await.unwrap();
    make_due(&pool).await;
    let second = claim(&pool).await;
    let (investigator, asked) = bench.investigator(Scripted::new(turns())).await;
    let report = investigate(&investigator, &postgres(&pool, &second)).await.unwrap().report;
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!((report.outcome, report.cost.steps), (Outcome::Inconclusive, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_writes_no_step() {
    let pool = house::pool().await;
    fill(&pool, 1).await;
    let bench = Bench::new().await;
    let first = claim(&pool).await;
    let mut model = Scripted::new(vec![look("a"), look("b")]);
    let other = pool.clone();
    model.before = Box::new(move |number| {
        let pool = other.clone();
        async move {
            if number == 1 {
                make_due(&pool).await;
                claim(&pool).await;
            }
        }
        .boxed()
    });
    let error = bench.investigate(model, &postgres(&pool, &first)).await.err().unwrap();
    assert!(format!("{error:#}").contains("the lease was lost"), "{error:#}");
    assert_eq!(count(&pool, "select count(*) from turns").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_at_the_next_step_when_its_incident_is_resolved() {
    let pool = house::pool().await;
    fill(&pool, 1).await;
    let bench = Bench::new().await;
    let claim = claim(&pool).await;
    let mut model = Scripted::new(vec![look("a"), look("b"), look("c")]);
    let other = pool.clone();
    model.before = Box::new(move |number| {
        let pool = other.clone();
        async move {
            if number == 1 {
                sqlx::query("update incidents set state = 'resolved', resolved_at = now()")
                    .execute(&pool)
                    .await
                    .unwrap();
            }
        }
        .boxed()
    });
    let report = bench.investigate(model, &postgres(&pool, &claim)).await.unwrap().report;
    assert_eq!((report.outcome, report.cost.steps), (Outcome::Inconclusive, 2));
    assert!(report.summary.contains("the incident was resolved meanwhile"), "{}", report.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_days_money_holds_over_all_runs_at_once() {
    let pool = house::pool().await;
    fill(&pool, 6).await;
    let mut bench = Bench::new().await;
    // A question of this run costs at most about ten cents by estimate, and 0.45 cents in truth.
    bench.settings.agent.usd_per_day = 0.2;
    let bench = Arc::new(bench);
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let claim = claim(&pool).await;
        let (pool, bench) = (pool.clone(), Arc::clone(&bench));
        tasks.push(tokio::spawn(async move {
            let turns = (0..12).map(|n| look(&n.to_string())).collect();
            bench.investigate(Scripted::new(turns), &postgres(&pool, &claim)).await.unwrap().report
        }));
    }
    let mut stopped = 0;
    for task in tasks {
        let report = task.await.unwrap();
        stopped += usize::from(report.summary.contains("its money was used up"));
    }
    assert!(stopped >= 1, "nobody was stopped");
    let spent = journal::usd_of_the_day(&pool).await.unwrap();
    assert!(spent > 0.05 && spent <= 0.2, "{spent} dollars");
}
