//! What an investigation with a model costs beside the model: seven scripted tool calls and a conclusion, one
//! after the other and twenty at once, over backends whose answers are 2 MB each. The model answers at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use axum::extract::State;
use axum::http::Uri;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cluster::{Cluster, listen};
use crate::report::database;
use crate::service::{Folder, Service, client};

const ALONE: usize = 20;
const AT_ONCE: usize = 20;
const ANSWER_BYTES: usize = 2 * 1024 * 1024;
const SERIES: usize = 40;
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);
/// What the program itself reckons with.
const BYTES_PER_TOKEN: f64 = 3.5;

/// Bytes of all questions.
static ASKED_BYTES: AtomicU64 = AtomicU64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// One set of runs.
pub struct Figures {
    pub runs: usize,
    /// From the first webhook to the last report.
    pub wall: Duration,
    /// Of the service's process, without PostgreSQL's.
    pub cpu: Duration,
    pub peak: String,
    pub questions: u64,
    pub tokens: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = self.runs as f64;
        write!(
            f,
            "{:.3} CPU s and {:.0} prompt tokens a run ({:.1} questions), {:.2} s in all, peak {}",
            self.cpu.as_secs_f64() / runs,
            self.tokens / runs,
            self.questions as f64 / runs,
            self.wall.as_secs_f64(),
            self.peak
        )
    }
}

/// Runs one after the other, over the recorded backends and over large ones, then at once over large ones.
pub async fn figures(folder: &Folder, cluster: &Cluster) -> Result<[Figures; 3]> {
    let (loki, prometheus, model) = (serve(loki()).await?, serve(prometheus()).await?, serve(model()).await?);
    let settings = |prometheus: &str, loki: &str| {
        format!(
            "kubernetes: {{url: '{}', cluster: lab}}\nprometheus: {{url: '{prometheus}'}}\nloki: {{url: '{loki}'}}\n\
             runbooks: {{without_builtin: true}}\nworker: {{concurrency: {AT_ONCE}}}\nagent: {{usd_per_day: 1000}}\n\
             models: [{{name: scripted, provider: openai, model: m, base_url: '{model}', usd_per_million: {{input: 3, output: 15}}}}]\n",
            cluster.kubernetes
        )
    };
    let recorded = settings(&cluster.prometheus, &cluster.loki);
    let (service, _) = Service::start(folder, &recorded).await?;
    // The first run compiles and connects what all later ones share.
    runs(&service, &folder.sockets(), "warm", 1, 1).await?;
    let small = runs(&service, &folder.sockets(), "small", ALONE, 1).await?;
    drop(service);
    let (service, _) = Service::start(folder, &settings(&prometheus, &loki)).await?;
    runs(&service, &folder.sockets(), "again", 1, 1).await?;
    let alone = runs(&service, &folder.sockets(), "alone", ALONE, 1).await?;
    let together = runs(&service, &folder.sockets(), "together", AT_ONCE, AT_ONCE).await?;
    Ok([small, alone, together])
}

async fn runs(service: &Service, sockets: &Path, name: &str, runs: usize, at_once: usize) -> Result<Figures> {
    let pool = database(sockets).await?;
    let client = client()?;
    service.forget_peak();
    let (cpu, began) = (service.cpu(), Instant::now());
    let (asked, bytes) = (ASKED.load(Ordering::Relaxed), ASKED_BYTES.load(Ordering::Relaxed));
    for run in 0..runs {
        let body = webhook(&format!("{name}-{run}"));
        let answer = client.post(format!("{}/webhooks/alertmanager", service.url)).json(&body).send().await?;
        ensure!(answer.status().is_success(), "a webhook was answered with {}", answer.status());
        if (run + 1) % at_once != 0 {
            continue;
        }
        loop {
            let (done, dead): (i64, i64) = sqlx::query_as(
                "select count(*) filter (where state = 'done'), count(*) filter (where state = 'dead')
                 from investigations where workload like '%/Deployment/' || $1 || '-%'",
            )
            .bind(name)
            .fetch_one(&pool)
            .await?;
            match usize::try_from(done)? {
                _ if dead > 0 => bail!("an investigation ended without a report"),
                done if done > run => break,
                _ if began.elapsed() > DEADLINE => bail!("no report within {DEADLINE:?}"),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
    let wall = began.elapsed();
    let cpu = service.cpu().saturating_sub(cpu);
    // A run that gave up early would look cheap.
    let summaries: Vec<String> = sqlx::query_scalar(
        "select outcome || ': ' || (report ->> 'summary') from investigations
         where workload like '%/Deployment/' || $1 || '-%' and outcome <> 'root_cause'",
    )
    .bind(name)
    .fetch_all(&pool)
    .await?;
    ensure!(summaries.is_empty(), "{} of {runs} runs did not conclude: {summaries:?}", summaries.len());
    let questions = ASKED.load(Ordering::Relaxed) - asked;
    let tokens = (ASKED_BYTES.load(Ordering::Relaxed) - bytes) as f64 / BYTES_PER_TOKEN;
    pool.close().await;
    Ok(Figures { runs, wall, cpu, peak: service.peak(), questions, tokens })
}

fn webhook(name: &str) -> Value {
    json!({"version": "4", "status": "firing", "receiver": "whodunit", "groupKey": name, "alerts": [{
        "status": "firing", "startsAt": chrono::Utc::now().to_rfc3339(), "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": name, "generatorURL": "", "annotations": {},
        "labels": {"alertname": "Slow", "cluster": "lab", "severity": "critical",
            "namespace": "prod-api", "deployment": name},
    }]})
}

async fn serve(router: Router) -> Result<String> {
    let (listener, url) = listen().await?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// Seven calls, each over something large, then a conclusion that quotes one of the answers.
fn model() -> Router {
    let calls: Arc<[(&str, Value)]> = Arc::new([
        ("kubernetes_list", json!({"kind": "pods"})),
        ("kubernetes_events", json!({})),
        ("kubernetes_logs", json!({"name": "deploy/user-service"})),
        ("prometheus_range", json!({"query": "rate(http_requests_total[5m])"})),
        ("loki_query", json!({"labels": {"app": "user-service"}, "limit": 2000})),
        ("prometheus_query", json!({"query": "up"})),
        ("kubernetes_rollout", json!({"name": "deploy/user-service"})),
    ]);
    Router::new().fallback(post(async move |body: axum::body::Bytes| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        ASKED_BYTES.fetch_add(body.len() as u64, Ordering::Relaxed);
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let turns = messages.iter().filter(|message| message["role"] == "assistant").count();
        let (name, arguments) = match calls.get(turns) {
            Some((name, arguments)) => (*name, arguments.clone()),
            None => ("conclude", conclusion(messages)),
        };
        Json(json!({
            "id": "x", "object": "chat.completion", "model": "m",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
                "tool_calls": [{"id": format!("c{turns}"), "type": "function",
                    "function": {"name": name, "arguments": arguments.to_string()}}]}}],
            "usage": {"prompt_tokens": (body.len() as f64 / BYTES_PER_TOKEN) as u64, "completion_tokens": 60},
        }))
    }))
}

/// Quotes the newest line about a pod that is in sight; answers are `E7 … <data …>` and lines.
fn conclusion(messages: &[Value]) -> Value {
    let whole = |line: &&str| line.contains("user-service-") && !line.contains('…');
    let answers = messages.iter().rev().filter(|message| message["role"] == "tool");
    let answer = answers
        .filter_map(|answer| answer["content"].as_str())
        .find(|text| text.lines().any(|line| whole(&line)))
        .unwrap_or_default();
    let id: String = answer.chars().take_while(char::is_ascii_alphanumeric).collect();
    let quote = answer.lines().find(whole).unwrap_or_default().trim();
    json!({
        "outcome": "root_cause", "summary": "It is slow.", "root_cause": "Its command is not in the image.",
        "category": "image", "evidence": [{"id": id, "quote": quote}],
    })
}

/// Log lines of one service, each a little different, 2 MB of them.
fn loki() -> Router {
    let mut values = Vec::new();
    let mut bytes = 0;
    while bytes < ANSWER_BYTES {
        let number = values.len();
        let line = format!(
            "level=info ts=2026-11-21T07:0{}:00Z caller=server.go:{} msg=\"request served\" path=/api/v1/orders/{number} \
             status={} duration_ms={} trace={:032x}",
            number % 7,
            number % 400,
            if number % 50 == 0 { 500 } else { 200 },
            number % 900,
            number * 7919
        );
        bytes += line.len() + 30;
        values.push(json!([(1_795_244_000_000_000_000_u64 + number as u64 * 40_000_000).to_string(), line]));
    }
    let stream = json!({"stream": {"namespace": "prod-api", "app": "user-service"}, "values": values});
    always(&json!({"status": "success", "data": {"resultType": "streams", "result": [stream]}}))
}

/// Series of numbers with a step in them, 2 MB of them.
fn prometheus() -> Router {
    let points = ANSWER_BYTES / SERIES / 28;
    let series = |number: usize| {
        let values: Vec<Value> = (0..points)
            .map(|at| {
                let value = (at % 17) as f64 + if at > points / 2 { 40.0 } else { 10.0 };
                json!([1_795_240_000 + at * 2, format!("{value:.9}")])
            })
            .collect();
        json!({"metric": {"namespace": "prod-api", "pod": format!("user-service-{number}")}, "values": values})
    };
    let matrix: Vec<Value> = (0..SERIES).map(series).collect();
    let vector: Vec<Value> = (0..SERIES)
        .map(|number| json!({"metric": {"namespace": "prod-api", "pod": format!("p-{number}")}, "value": [1_795_244_000, "1"]}))
        .collect();
    // In Prometheus' own order: the type first.
    let answer = |kind: &str, result: Vec<Value>| {
        let result = Value::from(result);
        format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
    };
    let (matrix, vector) = (answer("matrix", matrix), answer("vector", vector));
    let both = Arc::new((matrix, vector));
    Router::new()
        .fallback(
            async |State(both): State<Arc<(String, String)>>, uri: Uri| {
                if uri.path().ends_with("query_range") { both.0.clone() } else { both.1.clone() }
            },
        )
        .with_state(both)
}

fn always(answer: &Value) -> Router {
    let answer = answer.to_string();
    Router::new().fallback(async move || answer.clone())
}
