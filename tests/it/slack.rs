//! The outbox against a Slack stand-in: what is enqueued is said once, in order, at the channel's pace, and
//! what cannot be said is told to somebody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whodunit::slack::blocks::Message;
use whodunit::slack::client::{Form, Mark};
use whodunit::slack::outbox;
use whodunit::slack::outbox::queue::{self, Task, Terms};
use whodunit::slack::{Client, DEFAULT_PACE, Delivery, Fault, deliver_once};

use crate::{house, news};

#[derive(Debug, Clone)]
struct Call {
    method: String,
    token: String,
    body: Value,
    at: Instant,
}

/// What the stand-in does with the next post; `Accept` when nothing is scripted.
#[derive(Debug, Clone)]
enum Answer {
    Accept,
    Refuse(&'static str),
    Status(u16, &'static str),
    /// Takes the message, and answers too late.
    TooLate,
}

#[derive(Clone, Default)]
struct Slack {
    calls: Arc<Mutex<Vec<Call>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl Slack {
    async fn start() -> (Self, Client) {
        let slack = Self::default();
        let router =
            Router::new().route("/api/{method}", post(answer).get(unreadable)).with_state(slack.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (slack, client(&format!("http://{address}/api")))
    }

    fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().extend(answers);
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn texts(&self) -> Vec<String> {
        self.calls().iter().map(|call| call.body["text"].as_str().unwrap_or("").to_owned()).collect()
    }
}

fn client(api_url: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(2)).build().unwrap();
    Client::new(http, api_url, "xoxb-secret".into(), Duration::from_millis(400))
}

async fn answer(
    State(slack): State<Slack>,
    Path(method): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if method == "auth.test" {
        return Json(json!({"ok": true, "team": "T", "user": "whodunit"})).into_response();
    }
    let token = headers["authorization"].to_str().unwrap().to_owned();
    let number = {
        let mut calls = slack.calls.lock().unwrap();
        calls.push(Call { method, token, body, at: Instant::now() });
        calls.len()
    };
    let scripted = slack.script.lock().unwrap().pop_front().unwrap_or(Answer::Accept);
    match scripted {
        Answer::Refuse(error) => Json(json!({"ok": false, "error": error})).into_response(),
        Answer::Status(status, retry_after) => {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", retry_after)]).into_response()
        }
        Answer::TooLate => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            StatusCode::OK.into_response()
        }
        Answer::Accept => {
            Json(json!({"ok": true, "channel": "C024BE91L", "ts": format!("1700000000.{number:06}")}))
                .into_response()
        }
    }
}

/// This token may only write.
async fn unreadable() -> Response {
    Json(json!({"ok": false, "error": "missing_scope"})).into_response()
}

const TERMS: Terms = Terms { pace: DEFAULT_PACE, timeout: Duration::from_millis(400) };

fn message(text: &str) -> Message {
    Message { text: text.to_owned(), blocks: vec![json!({"type": "divider"})] }
}

async fn incident(pool: &PgPool) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names)
         values ($1, $1::text, '', 'shop', 'Deployment', 'checkout', 'open', 'warning', 't', '{A}')",
    )
    .bind(id)
    .execute(pool)
    .await
    .unwrap();
    id
}

async fn investigation(pool: &PgPool, incident: Uuid) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into investigations (id, incident_id, state, reason, workload, cluster, namespace, alert_name)
         values ($1, $2, 'done', 'opened', 'w', '', 'shop', 'A')",
    )
    .bind(id)
    .bind(incident)
    .execute(pool)
    .await
    .unwrap();
    id
}

/// An incident whose head and summary wait.
async fn thread(pool: &PgPool, channel: &str, name: &str) -> Uuid {
    let incident = incident(pool).await;
    let investigation = investigation(pool, incident).await;
    let mut tx = pool.begin().await.unwrap();
    let (head, summary) = (message(&format!("{name} head")), message(&format!("{name} summary")));
    assert!(news::parent(&mut *tx, incident, channel, &head).await.unwrap());
    assert!(news::summary(&mut *tx, (incident, investigation), channel, &summary).await.unwrap());
    tx.commit().await.unwrap();
    incident
}

/// Lets the time of every wait pass: pace, back-off, grace.
async fn time_passes(pool: &PgPool) {
    sqlx::query("update announcement_channels set free_at = now() - interval '1 s'")
        .execute(pool)
        .await
        .unwrap();
    sqlx::query(
        "update announcements set next_at = now() - interval '1 s' where state in ('waiting', 'posting')",
    )
    .execute(pool)
    .await
    .unwrap();
}

async fn deliver(pool: &PgPool, client: &Client) -> Delivery {
    time_passes(pool).await;
    deliver_once(pool, client).await.unwrap()
}

async fn states(pool: &PgPool) -> Vec<(String, String, Option<String>)> {
    sqlx::query_as("select kind, state, error from announcements order by id").fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_thread_grows_under_its_head_in_the_order_it_was_enqueued() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    let incident = thread(&pool, "#alerts", "a").await;
    news::update(&pool, incident, "1", "#alerts", &message("a update")).await.unwrap();
    news::resolved(&pool, incident, "1", "#alerts", &message("a resolved")).await.unwrap();
    for _ in 0..4 {
        assert!(matches!(deliver(&pool, &client).await, Delivery::Posted(_)));
    }
    assert_eq!(deliver(&pool, &client).await, Delivery::Idle);

    let calls = slack.calls();
    assert_eq!(slack.texts(), ["a head", "a summary", "a update", "a resolved"]);
    let head = &calls[0].body;
    assert_eq!((calls[0].method.as_str(), &head["channel"]), ("chat.postMessage", &json!("#alerts")));
    assert_eq!(head["thread_ts"], Value::Null);
    assert_eq!((&head["unfurl_links"], &head["unfurl_media"]), (&json!(false), &json!(false)));
    assert_eq!(head["blocks"], json!([{"type": "divider"}]));
    assert_eq!(calls[0].token, "Bearer xoxb-secret");
    for reply in [&calls[1], &calls[3]] {
        assert_eq!(reply.method, "chat.postMessage");
        assert_eq!(reply.body["thread_ts"], "1700000000.000001");
    }
    assert_eq!(calls[2].method, "chat.update");
    assert_eq!(calls[2].body["ts"], "1700000000.000001");
    assert_eq!(calls[2].body["channel"], "C024BE91L", "an update needs the channel's id");
}

#[tokio::test]
async fn what_is_enqueued_twice_is_said_once() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    let incident = incident(&pool).await;
    let head = message("head");
    assert!(news::parent(&pool, incident, "#alerts", &head).await.unwrap());
    assert!(!news::parent(&pool, incident, "#alerts", &head).await.unwrap());
    assert!(news::resolved(&pool, incident, "1", "#alerts", &head).await.unwrap());
    assert!(!news::resolved(&pool, incident, "1", "#alerts", &head).await.unwrap());
    assert!(news::resolved(&pool, incident, "2", "#alerts", &head).await.unwrap(), "another end");
    while deliver(&pool, &client).await != Delivery::Idle {}
    assert_eq!(slack.calls().len(), 3);
}

#[tokio::test]
async fn the_poster_wakes_up_and_keeps_a_channel_s_pace() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    let shutdown = CancellationToken::new();
    let poster = tokio::spawn(whodunit::slack::run(pool.clone(), client, Arc::default(), shutdown.clone()));
    thread(&pool, "#alerts", "a").await;
    thread(&pool, "#alerts", "b").await;
    let deadline = Instant::now() + Duration::from_secs(15);
    while slack.calls().len() < 4 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), poster).await.expect("ends on shutdown").unwrap();
    let calls = slack.calls();
    assert_eq!(calls.len(), 4);
    for pair in calls.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_millis(995), "{gap:?} between two posts to one channel");
    }
}

#[tokio::test]
async fn a_rate_limit_silences_its_channel_and_no_other() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    thread(&pool, "#busy", "a").await;
    slack.next([Answer::Status(429, "30")]);
    let limited = deliver(&pool, &client).await;
    assert!(
        matches!(limited, Delivery::RateLimited { wait, .. } if wait == Duration::from_secs(30)),
        "{limited:?}"
    );

    thread(&pool, "#busy", "b").await;
    assert_eq!(deliver_once(&pool, &client).await.unwrap(), Delivery::Idle, "the whole channel waits");
    thread(&pool, "#calm", "c").await;
    assert!(matches!(deliver_once(&pool, &client).await.unwrap(), Delivery::Posted(_)));
    assert_eq!(slack.texts(), ["a head", "c head"]);
    let waits: f64 = sqlx::query_scalar(
        "select extract(epoch from free_at - now())::float8 from announcement_channels where channel = '#busy'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!((25.0..=30.0).contains(&waits), "no earlier than told: {waits}");
    let attempts: Vec<i32> = sqlx::query_scalar(
        "select attempts from announcements where channel = '#busy' and error is not null",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(attempts, [0], "being told to wait is no failed attempt");

    while deliver(&pool, &client).await != Delivery::Idle {}
    assert_eq!(slack.calls().len(), 7, "nothing is lost");
}

#[tokio::test]
async fn a_passing_fault_is_retried_and_nothing_of_the_incident_overtakes() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    thread(&pool, "#alerts", "a").await;
    slack.next([Answer::Status(503, ""), Answer::Refuse("service_unavailable")]);
    assert!(matches!(deliver(&pool, &client).await, Delivery::Retried { .. }));
    sqlx::query("update announcement_channels set free_at = now()").execute(&pool).await.unwrap();
    assert_eq!(deliver_once(&pool, &client).await.unwrap(), Delivery::Idle, "the summary waits for its head");
    assert!(matches!(deliver(&pool, &client).await, Delivery::Retried { .. }));
    while deliver(&pool, &client).await != Delivery::Idle {}
    assert_eq!(slack.texts(), ["a head", "a head", "a head", "a summary"]);
    assert!(states(&pool).await.iter().all(|(_, state, error)| state == "posted" && error.is_none()));
}

#[tokio::test]
async fn a_head_whose_words_slack_refuses_fails_its_followers_and_blocks_nobody() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    thread(&pool, "#gone", "a").await;
    slack.next([Answer::Refuse("invalid_blocks"), Answer::Refuse("msg_too_long")]);
    assert!(matches!(deliver(&pool, &client).await, Delivery::Retried { .. }), "its words alone may pass");
    assert!(
        matches!(deliver(&pool, &client).await, Delivery::Failed { reason, .. } if reason == "msg_too_long")
    );
    let follower = deliver(&pool, &client).await;
    assert!(
        matches!(&follower, Delivery::Failed { reason, .. }
            if reason == "the incident's first message was not posted: msg_too_long"),
        "{follower:?}"
    );
    thread(&pool, "#alerts", "b").await;
    assert!(matches!(deliver(&pool, &client).await, Delivery::Posted(_)));
    assert_eq!(slack.texts(), ["a head", "a head", "b head"]);
    let blocks: Vec<_> = slack.calls().iter().map(|call| call.body["blocks"].clone()).collect();
    assert_eq!(blocks[..2], [json!([{"type": "divider"}]), json!([])]);

    let failures = outbox::failed_reasons(&pool).await.unwrap();
    let reasons: Vec<_> = failures.iter().map(|f| (f.channel.as_str(), f.reason.as_str(), f.count)).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.contains(&("#gone", "msg_too_long", 1)), "{reasons:?}");
}

#[tokio::test]
async fn where_nobody_may_look_a_lost_answer_is_posted_again_and_not_for_ever() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    let incident = incident(&pool).await;
    news::parent(&pool, incident, "#alerts", &message("head")).await.unwrap();
    slack.next([Answer::TooLate, Answer::TooLate, Answer::TooLate]);
    assert!(matches!(deliver(&pool, &client).await, Delivery::InDoubt(_)));
    sqlx::query("update announcement_channels set free_at = now()").execute(&pool).await.unwrap();
    assert_eq!(deliver_once(&pool, &client).await.unwrap(), Delivery::Idle, "it may stand in the channel");
    for _ in 0..2 {
        assert!(matches!(deliver(&pool, &client).await, Delivery::Retried { .. }), "nobody may look");
        assert!(matches!(deliver(&pool, &client).await, Delivery::InDoubt(_)), "said again");
    }
    assert!(matches!(deliver(&pool, &client).await, Delivery::Failed { .. }), "three copies are enough");
    assert_eq!(slack.calls().len(), 3);
    let unreadable = client.access().lacks().unreadable;
    assert_eq!(unreadable.get("#alerts").map(String::as_str), Some("missing_scope"));
}

#[tokio::test]
async fn a_poster_that_died_is_replaced_and_its_late_word_does_not_count() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    thread(&pool, "#alerts", "a").await;
    let dead = queue::claim(&pool, TERMS, &[]).await.unwrap().unwrap();
    assert_eq!(dead.task, Task::Post);
    sqlx::query("update announcement_channels set free_at = now()").execute(&pool).await.unwrap();
    assert!(queue::claim(&pool, TERMS, &[]).await.unwrap().is_none(), "its follower waits");
    assert!(matches!(deliver(&pool, &client).await, Delivery::Retried { .. }), "nobody may look");
    assert!(matches!(deliver(&pool, &client).await, Delivery::Posted(_)), "posted after the lease");
    let mark = Mark { id: dead.id, incident: dead.incident, update: None };
    let at = client.post(("#alerts", None), &message("late"), mark, Form::Blocks).await.unwrap();
    assert!(!queue::posted(&pool, &dead, &at, DEFAULT_PACE).await.unwrap(), "the claim had run out");
    queue::fail(&pool, &dead, "late").await.unwrap();
    assert!(matches!(deliver(&pool, &client).await, Delivery::Posted(_)));
    assert_eq!(
        slack.calls()[2].body["thread_ts"],
        "1700000000.000001",
        "the thread is the one that was stored"
    );
}

#[tokio::test]
async fn many_posters_say_everything_once() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    for n in 0..12 {
        thread(&pool, &format!("#c{n}"), &format!("{n}")).await;
    }
    let posters = (0..4).map(|_| {
        let (pool, client) = (pool.clone(), client.clone());
        tokio::spawn(async move { while deliver_once(&pool, &client).await.unwrap() != Delivery::Idle {} })
    });
    for poster in posters.collect::<Vec<_>>() {
        poster.await.unwrap();
    }
    while deliver(&pool, &client).await != Delivery::Idle {}
    let mut texts = slack.texts();
    assert_eq!(texts.len(), 24);
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 24);
}

#[tokio::test]
async fn many_posters_keep_one_channel_s_pace_together() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    for n in 0..8 {
        thread(&pool, "#alerts", &format!("{n}")).await;
    }
    let posters: Vec<_> = (0..8)
        .map(|_| {
            let (pool, client) = (pool.clone(), client.clone());
            tokio::spawn(async move { deliver_once(&pool, &client).await.unwrap() })
        })
        .collect();
    for poster in posters {
        poster.await.unwrap();
    }
    assert_eq!(slack.calls().len(), 1, "one message a second over all replicas");
}

#[tokio::test]
async fn without_a_head_a_summary_stands_alone_and_there_is_nothing_to_update() {
    let (pool, (slack, client)) = (house::pool().await, Slack::start().await);
    let incident = incident(&pool).await;
    let investigation = investigation(&pool, incident).await;
    news::summary(&pool, (incident, investigation), "#alerts", &message("summary")).await.unwrap();
    assert!(!news::update(&pool, incident, "1", "#alerts", &message("update")).await.unwrap());
    assert!(matches!(deliver(&pool, &client).await, Delivery::Posted(_)));
    assert_eq!(deliver(&pool, &client).await, Delivery::Idle);
    assert_eq!(slack.texts(), ["summary"]);
    assert_eq!(slack.calls()[0].body["thread_ts"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_reached_was_not_posted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let fault = client(&format!("http://{address}/api")).auth_test().await.unwrap_err();
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
    assert!(!fault.to_string().contains("xoxb"), "no token in an error");
}
