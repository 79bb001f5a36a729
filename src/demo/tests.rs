//! The demo around a small service that behaves as the real one does over HTTP: it accepts webhooks, answers
//! the three reads in pages, and posts what it found to Slack.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;

/// What the service in front of the stage gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// The first webhook is answered with 503 once.
    Busy,
    /// One investigation stays in this state.
    Stuck(&'static str),
    /// Nothing is posted to Slack.
    Silent,
    /// The second webhook is refused for good.
    Refuses,
}

struct Small {
    trouble: Trouble,
    endpoints: Endpoints,
    /// Workload and the alert names that opened it, in order of arrival.
    incidents: Mutex<Vec<(String, String)>>,
    bodies: Mutex<Vec<(String, Vec<u8>)>>,
    polls: Mutex<usize>,
    http: reqwest::Client,
}

impl Small {
    fn state_of(&self, at: usize) -> &'static str {
        match self.trouble {
            Trouble::Stuck(state) if at == 0 => state,
            _ if *self.polls.lock().unwrap() < 2 => "queued",
            _ => "done",
        }
    }

    fn report(&self, at: usize) -> Value {
        let (workload, alert) = self.incidents.lock().unwrap()[at].clone();
        let name = workload.rsplit('/').next().unwrap().to_owned();
        json!({
            "outcome": "known_pattern", "summary": summary(&workload, &alert), "confidence": "high",
            "cause": {"id": "some-cause", "category": "configuration", "statement": "…",
                "object": {"cluster": "lab", "kind": "Thing", "namespace": "shop", "name": name}},
            "affected": {"radius": "workload", "workloads": [], "pods": {"unhealthy": 1, "total": 1}, "shared_factor": null},
            "findings": [], "timeline": [], "evidence": [], "ruled_out": [], "next_steps": [],
            "runbook": {"name": "", "revision": "", "coverage": "none"},
            "cost": {"steps": 0, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "usd": 0.0, "seconds": 0.5},
            "a_field_of_tomorrow": at,
        })
    }
}

fn summary(workload: &str, alert: &str) -> String {
    format!("{alert}: <{workload}> & its pods cannot start because of what the cluster says")
}

async fn webhook(State(small): State<Arc<Small>>, headers: HeaderMap, body: axum::body::Bytes) -> StatusCode {
    let mut bodies = small.bodies.lock().unwrap();
    bodies.push((headers["content-type"].to_str().unwrap().to_owned(), body.to_vec()));
    match small.trouble {
        Trouble::Busy if bodies.len() == 1 => return StatusCode::SERVICE_UNAVAILABLE,
        Trouble::Refuses if bodies.len() == 2 => return StatusCode::BAD_REQUEST,
        _ => {}
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut incidents = small.incidents.lock().unwrap();
    for alert in body["alerts"].as_array().unwrap() {
        let label = |key: &str| alert["labels"][key].as_str().unwrap_or_default().to_owned();
        let workload = format!("lab/{}/Alert/{}", label("namespace"), label("alertname"));
        if !incidents.iter().any(|(known, _)| *known == workload) {
            incidents.push((workload, label("alertname")));
        }
    }
    StatusCode::ACCEPTED
}

/// Two pages, the second by cursor.
fn paged(rows: Vec<Value>, query: &BTreeMap<String, String>) -> axum::Json<Value> {
    assert_eq!(query["limit"], "100");
    let half = rows.len() / 2;
    axum::Json(match query.get("cursor").map(String::as_str) {
        None => json!({"items": rows[..half], "next": "second"}),
        Some("second") => json!({"items": rows[half..], "next": null}),
        Some(other) => panic!("{other}"),
    })
}

type Read = Query<BTreeMap<String, String>>;

async fn incidents(State(small): State<Arc<Small>>, Query(query): Read) -> axum::Json<Value> {
    let incidents = small.incidents.lock().unwrap();
    let row = |(at, (workload, _)): (usize, &(String, String))| json!({"id": format!("i{at}"), "workload": workload, "state": "open"});
    paged(incidents.iter().enumerate().map(row).collect(), &query)
}

async fn investigations(State(small): State<Arc<Small>>, Query(query): Read) -> axum::Json<Value> {
    if !query.contains_key("cursor") {
        *small.polls.lock().unwrap() += 1;
        if *small.polls.lock().unwrap() == 2 && small.trouble != Trouble::Silent {
            tokio::spawn(announce(Arc::clone(&small)));
        }
    }
    let incidents = small.incidents.lock().unwrap().clone();
    let rows = incidents.iter().enumerate().map(|(at, (workload, alert))| {
        json!({"id": format!("v{at:03}"), "incident_id": format!("i{at}"), "workload": workload,
            "state": small.state_of(at), "outcome": "known_pattern", "cause_id": "some-cause",
            "summary": summary(workload, alert), "alert_name": alert, "seconds": 0.25})
    });
    paged(rows.collect(), &query)
}

async fn investigation(State(small): State<Arc<Small>>, Path(id): Path<String>) -> axum::Json<Value> {
    let at: usize = id.trim_start_matches('v').parse().unwrap();
    axum::Json(json!({"id": id, "report": small.report(at)}))
}

async fn announce(small: Arc<Small>) {
    let incidents = small.incidents.lock().unwrap().clone();
    let call = |message: Value| {
        let url = format!("{}/chat.postMessage", small.endpoints.slack_api_url);
        let request = small.http.post(url).bearer_auth(&small.endpoints.slack_token);
        request.header("content-type", "application/json; charset=utf-8").body(message.to_string()).send()
    };
    for (workload, alert) in &incidents {
        let parent = json!({"channel": small.endpoints.channel, "text": format!("Firing: {alert}")});
        let answer: Value = call(parent).await.unwrap().json().await.unwrap();
        let text = summary(workload, alert).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let blocks = json!([{"type": "section", "text": {"type": "mrkdwn", "text": format!("*{text}*")}}]);
        let reply = json!({"channel": answer["channel"], "thread_ts": answer["ts"], "text": "found", "blocks": blocks});
        call(reply).await.unwrap();
    }
}

async fn start(endpoints: Endpoints, trouble: Trouble) -> Result<(RunningService, Arc<Small>)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
    let (incidents_seen, bodies, polls) = Default::default();
    let small = Arc::new(Small { trouble, endpoints, incidents: incidents_seen, bodies, polls, http });
    let router = Router::new()
        .route("/webhooks/alertmanager", post(webhook))
        .route("/api/v1/incidents", get(incidents))
        .route("/api/v1/investigations", get(investigations))
        .route("/api/v1/investigations/{id}", get(investigation))
        .with_state(Arc::clone(&small));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let server = tokio::spawn(async move { server.await });
    let stop = async move {
        shutdown.cancel();
        server.await.unwrap().unwrap();
    };
    Ok((RunningService::new(url, stop), small))
}

/// Runs the demo to its end; returns the exit code, stdout and the service.
async fn demo(output: Output, trouble: Trouble) -> (Result<u8>, String, Arc<Small>) {
    let within = Duration::from_millis(1500);
    let options =
        Options { exit: true, output, recording: None, investigate_within: within, announce_within: within };
    let mut stdout = Vec::new();
    let mut small = None;
    let code = run_to(
        options,
        async |endpoints| {
            let (running, service) = start(endpoints, trouble).await?;
            small = Some(service);
            Ok(running)
        },
        &mut stdout,
    )
    .await;
    (code, String::from_utf8(stdout).unwrap(), small.unwrap())
}

#[tokio::test]
async fn every_alert_goes_in_and_one_json_array_comes_out() {
    let (code, stdout, small) = demo(Output::Json, Trouble::Nothing).await;
    assert_eq!(code.unwrap(), 0);
    let bodies = small.bodies.lock().unwrap().clone();
    let recorded = alerts::recorded(Recording::embedded().unwrap()).unwrap();
    let sent: Vec<&Vec<u8>> = bodies.iter().map(|(_, body)| body).collect();
    let hand_made = alerts::hand_made().unwrap();
    let expected: Vec<&Vec<u8>> = recorded.iter().chain(&hand_made).map(|webhook| &webhook.body).collect();
    assert_eq!(sent, expected);
    assert!(bodies.iter().all(|(content_type, _)| content_type == "application/json"));

    let rows: Value = serde_json::from_str(&stdout).unwrap();
    let rows = rows.as_array().unwrap();
    let workloads: Vec<&str> = rows.iter().map(|row| row["workload"].as_str().unwrap()).collect();
    assert_eq!(workloads.len(), small.incidents.lock().unwrap().len());
    assert!(workloads.is_sorted());
    assert!(workloads.contains(&"lab/shop/Alert/KubeHpaReplicasMismatch"));
    // What the API gives goes out whole, also fields that this program does not know.
    assert!(rows.iter().all(|row| row["report"]["a_field_of_tomorrow"].is_u64()));
}

#[tokio::test]
async fn text_shows_each_thread_the_totals_and_each_workload() {
    let (code, stdout, small) = demo(Output::Text, Trouble::Busy).await;
    assert_eq!(code.unwrap(), 0);
    assert_eq!(small.bodies.lock().unwrap().len(), 31, "the refused webhook is posted again");
    let incidents = small.incidents.lock().unwrap().len();
    assert_eq!(stdout.matches("╭─ #alerts ─").count(), incidents);
    assert!(stdout.contains("KubeJobFailed: <lab/shop/Alert/KubeJobFailed> & its pods"), "{stdout}");
    assert!(stdout.contains("(21 recorded webhooks, 9 hand-made)"), "{stdout}");
    assert!(stdout.contains(&format!("  known_pattern    {incidents}\n")), "{stdout}");
    assert!(stdout.contains("Thing shop/KubeJobFailed"), "{stdout}");
    let framed = stdout.lines().filter(|line| line.starts_with(['╭', '│', '├', '╰']));
    assert!(framed.clone().count() > incidents * 4);
    assert!(framed.clone().all(|line| line.chars().count() <= 100));
}

#[tokio::test]
async fn the_exit_code_tells_what_did_not_end_or_was_not_said() {
    for trouble in [Trouble::Stuck("running"), Trouble::Stuck("dead"), Trouble::Silent] {
        let (code, stdout, _) = demo(Output::Text, trouble).await;
        assert_eq!(code.unwrap(), 1, "{trouble:?}");
        assert!(stdout.contains("Investigations"), "{trouble:?}");
    }
}

#[tokio::test]
async fn a_webhook_refused_for_good_ends_the_demo_with_its_name() {
    let (code, stdout, small) = demo(Output::Json, Trouble::Refuses).await;
    let error = code.unwrap_err().to_string();
    assert!(error.contains("002-firing-TargetDown-n1.json was refused with 400"), "{error}");
    assert_eq!(stdout, "");
    assert_eq!(small.bodies.lock().unwrap().len(), 2);
}
