//! The spans of the program as a collector receives them: names, attributes and parents, no word of what was
//! said, and no harm from a collector that is dead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use whodunit::demo::Recording;
use whodunit::settings::Log;

use crate::collector::{self, Collector};
use crate::house::{self, PATIENCE, fixture};
use crate::model::{ModelServer, Said, call};
use crate::program::{Program, command};

pub const WEBHOOK: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
pub const SECRETS: &[&str] =
    &["t00lNamePw77", "argumentPw77", "workloadPw77", "annotationPw77", "headerPw77", "said-by-the-model"];

/// The program over the recorded cluster, with these models and without signatures.
pub struct Traced {
    pub program: Program,
    pool: PgPool,
    _folder: tempfile::TempDir,
}

impl Traced {
    pub async fn start(models: &[Value], otlp: Value, log: &str) -> Self {
        let (_, kubernetes_url) =
            house::serve_kubernetes(Recording::embedded().unwrap(), &CancellationToken::new()).await;
        let (pool, database) = house::database().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("whodunit.yaml");
        let settings = json!({
            "kubernetes": {"url": kubernetes_url, "cluster": "lab"}, "intake": {"settle_secs": 0},
            "runbooks": {"without_builtin": true}, "models": models, "telemetry": {"otlp": otlp},
            "log": {"filter": log},
        });
        std::fs::write(&file, settings.to_string()).unwrap();
        let mut command = command(folder.path());
        command.arg("--config").arg(&file);
        command.env("WHODUNIT_KUBERNETES__ENABLED", "true").env("WHODUNIT_DATABASE__URL", database);
        let program = tokio::task::spawn_blocking(move || Program::run(command)).await.unwrap();
        Self { program, pool, _folder: folder }
    }

    /// Waits until so many investigations are done.
    pub async fn done(&self, count: i64) {
        let until = Instant::now() + PATIENCE;
        let query = "select count(*) from investigations where state = 'done'";
        while sqlx::query_scalar::<_, i64>(query).fetch_one(&self.pool).await.unwrap() < count {
            assert!(Instant::now() < until, "the investigations do not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub fn model(name: &str, server: &ModelServer) -> Value {
    json!({"name": name, "provider": "openai", "model": format!("{name}-model"), "base_url": server.url})
}

fn attributes(span: &Span) -> Value {
    collector::attributes(&span.attributes)
}

fn children<'s>(spans: &'s [Span], parent: &Span) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.parent_span_id == parent.span_id).collect()
}

fn names(spans: &[&Span]) -> Vec<String> {
    let mut names: Vec<String> = spans.iter().map(|span| span.name.clone()).collect();
    names.sort();
    names
}

fn named<'s>(spans: &[&'s Span], name: &str) -> &'s Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {:?}", names(spans)))
}

fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
}

/// Lists, looks at events, invents a tool, and gives up.
pub fn scripted(_: usize, request: &Value) -> Said {
    let answered = request["messages"].as_array().unwrap().iter().any(|one| one["role"] == "tool");
    Said::Calls(if answered {
        let said = "said-by-the-model";
        vec![call("conclude", &json!({"outcome": "inconclusive", "summary": said, "evidence": []}))]
    } else {
        vec![
            call("kubernetes_list", &json!({"kind": "pods", "name": "password=argumentPw77"})),
            call("kubernetes_events", &json!({})),
            call("password=t00lNamePw77", &json!({"password": "argumentPw77"})),
        ]
    })
}

/// An alert of a workload that nobody knows.
pub fn nowhere() -> Vec<u8> {
    let alert = json!({
        "status": "firing", "startsAt": "2026-11-21T07:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "A", "severity": "critical", "namespace": "prod-api",
                   "deployment": "password=workloadPw77"},
        "annotations": {"summary": "password=annotationPw77"},
    });
    let body =
        json!({"version": "4", "status": "firing", "receiver": "r", "groupKey": "g", "alerts": [alert]});
    body.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_receives_the_spans_of_each_investigation_and_no_word_of_it() {
    let refusing = ModelServer::start(Arc::new(|_, _| Said::Status(401))).await;
    let scripted = ModelServer::start(Arc::new(scripted)).await;
    let (collector, url) = Collector::start();
    let headers = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(headers.path(), "authorization: Bearer headerPw77\n").unwrap();
    let otlp = json!({"endpoint": url, "headers_file": headers.path(), "service_name": "detective"});
    let models = [model("first", &refusing), model("second", &scripted)];
    let mut traced = Traced::start(&models, otlp, &Log::default().filter).await;
    assert_eq!(traced.program.post(fixture(WEBHOOK)).await, 202);
    assert_eq!(traced.program.post(nowhere()).await, 202);
    traced.done(2).await;
    // The last spans may be younger than the interval of exports: they are flushed.
    assert!(traced.program.terminate().await.success());

    let spans = collector.spans();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(names(&roots), ["investigation", "investigation"]);
    let payment = "lab/prod-api/Deployment/payment-service";
    let root = roots.iter().find(|span| attributes(span)["whodunit.workload"] == payment).unwrap();
    let query = "select id::text from investigations where workload = $1";
    let stored: String = sqlx::query_scalar(query).bind(payment).fetch_one(&traced.pool).await.unwrap();
    assert_eq!(
        attributes(root),
        json!({
            "whodunit.investigation.id": stored, "whodunit.attempt": 1, "whodunit.workload": payment,
            "whodunit.outcome": "inconclusive",
        })
    );
    let parts = children(&spans, root);
    assert_eq!(names(&parts), ["gather_facts", "invoke_agent whodunit"]);
    agent_is_as_scripted(&spans, named(&parts, "invoke_agent whodunit"));
    // Whichever of the two investigations asked it first.
    let all: Vec<&Span> = spans.iter().collect();
    let refused = named(&all, "chat first-model");
    assert!(failed(refused) && attributes(refused)["error.type"] == "unusable");
    assert!(spans.iter().all(|span| span.trace_id.len() == 16 && span.events.is_empty()));

    for (path, headers, body) in collector.sent() {
        assert_eq!(path, "/v1/traces", "the log is exported on request only");
        assert_eq!(headers["authorization"], "Bearer headerPw77");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("detective") && text.contains("service.version"), "{text}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} was exported");
        }
    }
}

fn agent_is_as_scripted(spans: &[Span], agent: &Span) {
    assert_eq!(
        attributes(agent),
        json!({
            "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "whodunit", "whodunit.steps": 2,
            "gen_ai.usage.input_tokens": 6_000, "gen_ai.usage.output_tokens": 200, "whodunit.ended": "concluded",
        })
    );
    let asked = children(spans, agent);
    let chat = named(&asked, "chat second-model");
    assert_eq!(asked.iter().filter(|span| span.name == chat.name).count(), 2);
    assert!(chat.kind() == SpanKind::Client && !failed(chat) && chat.trace_id == agent.trace_id);
    assert_eq!(
        attributes(chat),
        json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "second-model", "gen_ai.request.max_tokens": 4_096,
            "gen_ai.usage.input_tokens": 3_000, "gen_ai.usage.cache_read.input_tokens": 0,
            "gen_ai.usage.output_tokens": 100,
        })
    );
    let tool = named(&asked, "execute_tool kubernetes_events");
    assert_eq!(
        attributes(tool),
        json!({
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "kubernetes_events",
            "gen_ai.tool.type": "function",
        })
    );
    let unknown = named(&asked, "execute_tool unknown");
    assert!(failed(unknown) && attributes(unknown)["error.type"] == "unknown_tool");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_costs_a_count_and_no_time() {
    let server = ModelServer::start(Arc::new(|_, _| Said::Status(401))).await;
    // It takes connections and never answers.
    let (_listener, url) = house::listen().await;
    // What the log leaves out is exported all the same.
    let (otlp, log) =
        (json!({"endpoint": url, "timeout_secs": 1, "logs": true}), "error,whodunit::command=info");
    let mut traced = Traced::start(&[model("m", &server)], otlp, log).await;
    let began = Instant::now();
    assert_eq!(traced.program.post(fixture(WEBHOOK)).await, 202);
    traced.done(1).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let metrics = format!("{}/metrics", traced.program.url);
    let until = Instant::now() + PATIENCE;
    loop {
        let page = house::http().get(&metrics).send().await.unwrap().text().await.unwrap();
        let lost = |what: &str| {
            let name = format!("whodunit_{what}_lost_total ");
            page.lines().find_map(|line| line.strip_prefix(&name)).is_some_and(|lost| lost != "0")
        };
        if lost("spans") && lost("log_records") {
            break;
        }
        assert!(Instant::now() < until, "nothing is counted: {page}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let began = Instant::now();
    assert!(traced.program.terminate().await.success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_of_0_exports_nothing() {
    let server = ModelServer::start(Arc::new(|_, _| Said::Status(401))).await;
    let (collector, url) = Collector::start();
    let otlp = json!({"endpoint": url, "sampling": 0.0});
    let mut traced = Traced::start(&[model("m", &server)], otlp, &Log::default().filter).await;
    assert_eq!(traced.program.post(fixture(WEBHOOK)).await, 202);
    traced.done(1).await;
    assert!(traced.program.terminate().await.success());
    assert!(collector.spans().is_empty());
}
