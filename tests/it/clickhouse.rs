//! What a runbook is worth: the same scripted model on the same alert, once with the built-in runbooks alone and
//! once with one that knows where to look; and what becomes of a model that disobeys it. The cluster is hand-made
//! (`tests/fixtures/clickhouse`), laid over the recorded one.

use std::sync::Arc;

use serde_json::{Value, json};
use whodunit::settings::Settings;

use crate::backends::Backends;
use crate::copy::Copy;
use crate::house::{House, HouseOptions, fixture};
use crate::model::{
    ModelServer, Said, Script, call, case_file, only_investigation, tokens, told, tool_names,
};

const NAMESPACE: &str = "db-analytics";
const CAUTION: &str = "container `proxy` is excluded from log collection; read its logs with kubernetes_logs";

fn cluster() -> Copy {
    let copy = Copy::new();
    let text = |file: &str| String::from_utf8(fixture(&format!("clickhouse/{file}"))).unwrap();
    for (file, group) in [
        ("pods.json", "/api/v1"),
        ("services.json", "/api/v1"),
        ("events.json", "/api/v1"),
        ("statefulsets.json", "/apis/apps/v1"),
    ] {
        let kind = file.trim_end_matches(".json");
        let path = format!("{group}/namespaces/{NAMESPACE}/{kind}");
        copy.add(&format!("{NAMESPACE}/{file}"), &path, &text(file));
    }
    for pod in ["clickhouse-0", "clickhouse-1"] {
        for container in ["clickhouse", "proxy"] {
            let log = format!("{pod}.{container}.current");
            copy.add_log(NAMESPACE, &log, &text(&format!("logs/{log}.log")));
        }
    }
    copy
}

/// What an engineer would do who knows no more than what stands in the request: follow a caution that names a
/// container and a tool, else look where logs usually are, and ask the pods themselves last.
fn engineer(_: usize, request: &Value) -> Said {
    let heard = told(request);
    for (id, text) in &heard {
        let line = text.lines().find(|line| line.contains("server certificate expired"));
        if let Some(quote) = line.and_then(|line| line.find("handshake failed").map(|at| &line[at..])) {
            return Said::Calls(vec![call(
                "conclude",
                &json!({
                    "outcome": "root_cause", "category": "configuration",
                    "summary": "Clients of ClickHouse fail because the proxy's certificate expired.",
                    "root_cause": "The TLS certificate of the proxy container expired and was not renewed.",
                    "evidence": [{"id": id, "quote": quote}],
                }),
            )]);
        }
    }
    let case = case_file(request);
    if case.contains("read its logs with kubernetes_logs") {
        let container = case.split("container `").nth(1).unwrap().split('`').next().unwrap();
        let logs = json!({"object": "statefulset/clickhouse", "container": container});
        return Said::Calls(vec![call("kubernetes_logs", &logs)]);
    }
    let habits = [
        call("loki_query", &json!({"pod": "clickhouse-*", "container": "proxy"})),
        call("loki_labels", &json!({"label": "container"})),
        call("loki_query", &json!({"pod": "clickhouse-*", "contains": ["handshake"]})),
        call("tempo_search", &json!({"service": "clickhouse", "failed": true})),
        call("prometheus_query", &json!({"query": "rate(ClickHouseProfileEvents_NetworkErrors[5m])"})),
        call("kubernetes_describe", &json!({"kind": "sts", "name": "clickhouse"})),
        call("kubernetes_logs", &json!({"object": "clickhouse-0", "container": "clickhouse"})),
        call("kubernetes_logs", &json!({"object": "clickhouse-0", "container": "proxy"})),
    ];
    let mine: Vec<&(String, String)> =
        habits.iter().filter(|(name, _)| tool_names(request).contains(&name.as_str())).collect();
    match mine.get(heard.len()) {
        Some(next) => Said::Calls(vec![(*next).clone()]),
        None => Said::Calls(vec![call(
            "conclude",
            &json!({"outcome": "inconclusive", "summary": "Nothing was found.", "evidence": []}),
        )]),
    }
}

/// One run of a model over the case.
struct Case {
    house: House,
    model: ModelServer,
    backends: Backends,
    investigation: Value,
}

impl Case {
    async fn run(script: Script, with_runbook: bool) -> Self {
        let model = ModelServer::start(script).await;
        // Its backends answer, and hold nothing of it.
        let backends = Backends::start(Arc::new(|_| Vec::new())).await;
        let point = backends.settings();
        let house = House::start(HouseOptions {
            recording: Some(cluster().recording()),
            models: vec![model.settings()],
            with: Some(Box::new(move |settings: &mut Settings| {
                point(settings);
                if with_runbook {
                    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clickhouse/runbooks");
                    settings.runbooks.folders = vec![folder.into()];
                }
            })),
            ..HouseOptions::default()
        })
        .await;
        assert_eq!(house.post("/webhooks/alertmanager", fixture("clickhouse/webhook.json")).await.0, 202);
        house.settle().await;
        let investigation = only_investigation(&house).await;
        assert_eq!(investigation["state"], "done", "{investigation}");
        Self { house, model, backends, investigation }
    }

    fn report(&self) -> &Value {
        &self.investigation["report"]
    }

    fn calls(&self) -> Vec<String> {
        let asked = self.model.asked();
        let last = asked.last().unwrap()["messages"].as_array().unwrap().clone();
        let made = last.iter().flat_map(|message| message["tool_calls"].as_array().into_iter().flatten());
        made.map(|call| call["function"]["name"].as_str().unwrap().to_owned()).collect()
    }

    fn print(&self, what: &str) {
        let asked = self.model.asked();
        let sent: u64 = asked.iter().map(tokens).sum();
        let tools = tool_names(&asked[0]);
        let report = self.report();
        println!(
            "{what:16} | {:5} | {:9} | {:5} | {sent:11} | {:13} | {}",
            tools.len(),
            asked.len(),
            self.calls().len(),
            self.backends.loki.asked().len() + self.backends.tempo.asked().len(),
            report["outcome"].as_str().unwrap()
        );
        println!("{what:16} | tools: {}", tools.join(" "));
        println!("{what:16} | calls: {}", self.calls().join(" "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_model_needs_a_fraction_with_the_runbook() {
    let without = Case::run(Arc::new(engineer), false).await;
    let with = Case::run(Arc::new(engineer), true).await;
    println!("clickhouse       | tools | questions | calls | tokens sent | Loki and Tempo | outcome");
    without.print("without");
    with.print("with the runbook");

    for case in [&without, &with] {
        assert_eq!(case.report()["outcome"], "root_cause", "{}", case.report());
        let evidence = case.report()["evidence"].as_array().unwrap();
        let proof = |one: &Value| one["quote"].as_str().unwrap().contains("certificate expired");
        assert!(evidence.iter().any(|one| proof(one) && one["verified"] == true), "{evidence:#?}");
    }
    let (first, second) = (&without.model.asked()[0], &with.model.asked()[0]);
    let ours = |name: &&str| name.starts_with("loki_") || name.starts_with("tempo_");
    assert_eq!(tool_names(first).iter().filter(|name| ours(name)).count(), 4, "{:?}", tool_names(first));
    assert_eq!(tool_names(second).iter().filter(|name| ours(name)).count(), 0, "{:?}", tool_names(second));
    // The words of its author, and what they narrow.
    let case = case_file(second);
    assert!(case.contains("## Cautions of the runbook") && case.contains(CAUTION), "{case}");
    assert!(case.contains("## Runbook clickhouse-handshake") && case.contains("The proxy's does."), "{case}");
    assert!(case.contains(&format!("readable: namespace {NAMESPACE}")), "the scope is told: {case}");
    assert!(!case_file(first).contains(CAUTION));
    assert!(second["messages"][0]["content"].as_str().unwrap().contains("At most 6 turns"));
    assert!(first["messages"][0]["content"].as_str().unwrap().contains("At most 12 turns"));

    let sent = |case: &Case| case.model.asked().iter().map(tokens).sum::<u64>();
    assert_eq!(with.calls(), ["kubernetes_logs"], "and its conclusion");
    assert!(without.calls().len() >= 7, "{:?}", without.calls());
    assert!(sent(&with) * 3 < sent(&without), "{} and {}", sent(&with), sent(&without));
    assert!(with.backends.loki.asked().is_empty() && with.backends.tempo.asked().is_empty());
    assert!(!without.backends.loki.asked().is_empty());
    assert_eq!(with.report()["runbook"]["name"], "clickhouse-handshake");
}

/// Everything that the runbook does not allow; the second of each pair is what the refusal must say.
fn disobedience() -> Vec<((String, String), &'static str)> {
    let elsewhere = json!({"object": "deploy/coredns", "namespace": "kube-system"});
    vec![
        (call("loki_query", &json!({"pod": "clickhouse-*"})), "the runbook does not allow loki_query"),
        (call("loki_labels", &json!({})), "the runbook does not allow loki_labels"),
        (call("tempo_search", &json!({})), "the runbook does not allow tempo_search"),
        (call("functions.Loki-Query", &json!({"pod": "x"})), "the runbook does not allow loki_query"),
        (call("kubernetes_logs", &elsewhere), "outside what this investigation may read"),
        (call("kubernetes_list", &json!({"kind": "pods -A"})), "outside what this investigation may read"),
        (
            call("kubernetes_events", &json!({"namespace": "shop"})),
            "outside what this investigation may read",
        ),
        (
            call("kubernetes_get", &json!({"kind": "secret", "name": "clickhouse-tls"})),
            "outside what this investigation may read",
        ),
        (
            call("prometheus_query", &json!({"query": "up{namespace=\"kube-system\"}"})),
            "outside what this investigation may read",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_disobeys_the_runbook_is_refused_before_anything_is_asked() {
    let script: Script = Arc::new(|number, _| {
        let orders = disobedience();
        // One thing that is allowed in each turn, so that it is not stuck.
        let allowed = call("kubernetes_list", &json!({"kind": "pods", "limit": number + 1}));
        let mut calls: Vec<(String, String)> =
            orders.chunks(3).nth(number).unwrap_or_default().iter().map(|(call, _)| call.clone()).collect();
        if calls.is_empty() {
            let nothing = json!({"outcome": "inconclusive", "summary": "Refused.", "evidence": []});
            return Said::Calls(vec![call("conclude", &nothing)]);
        }
        calls.push(allowed);
        Said::Calls(calls)
    });
    let case = Case::run(script, true).await;
    let asked = case.model.asked();
    let answers: Vec<&str> = asked.last().unwrap()["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    let refused: Vec<&&str> =
        answers.iter().enumerate().filter(|(at, _)| at % 4 != 3).map(|(_, a)| a).collect();
    assert_eq!(refused.len(), disobedience().len(), "{answers:#?}");
    for ((call, words), answer) in disobedience().iter().zip(refused) {
        assert!(
            answer.starts_with("refused: no observation.") && answer.contains(words),
            "{call:?}: {answer}"
        );
    }
    assert!(case.backends.loki.asked().is_empty() && case.backends.tempo.asked().is_empty());
    let elsewhere = |asked: &&String| {
        asked.contains("kube-system") || asked.contains("/namespaces/shop") || asked.contains("secrets")
    };
    let beyond: Vec<String> = case.house.kubernetes.asked().iter().filter(elsewhere).cloned().collect();
    assert!(beyond.is_empty(), "{beyond:#?}");
    let queries = case.backends.prometheus.asked();
    assert!(!queries.iter().any(|query| query.contains("kube-system")), "{queries:#?}");
    // Every question of the run is asked with the same tools, whatever it tried.
    for request in &asked {
        assert_eq!(tool_names(request), tool_names(&asked[0]));
    }
}
