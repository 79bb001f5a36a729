//! What people do in Slack: buttons, reasons and questions, over HTTP with Slack's signature and over Socket Mode; each
//! is acted on once, and nothing that Slack did not send is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message as Frame;
use uuid::Uuid;
use whodunit::demo::slack::{APP_TOKEN, Message};
use whodunit::settings::Settings;

use crate::house::{self, House, HouseOptions, PATIENCE, fixture};
use crate::model::{ModelServer, Said, call};

const ALERT: &str = "webhooks/alertmanager/006-firing-KubePodCrashLooping-n1.json";
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

fn signed_by(settings: &mut Settings) {
    settings.slack.signing_secret = Some(SECRET.into());
    settings.server.public_url = "https://whodunit.example".to_owned();
}

/// A house with one finished investigation of a known cause, its id and its summary.
async fn investigated(options: HouseOptions) -> (House, Uuid, Message) {
    let house = House::start(options).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(ALERT)).await.0, 202);
    house.settle().await;
    let id = sqlx::query_scalar("select id from investigations where outcome = 'known_pattern'")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    let summary = house.slack.messages().into_iter().find(|message| message.thread_ts.is_some()).unwrap();
    (house, id, summary)
}

fn press(action: &str, summary: &Message, report: Uuid, at: u32) -> Value {
    json!({
        "type": "block_actions", "trigger_id": "1.2.3", "user": {"id": "U1", "username": "ada"},
        "container": {"type": "message", "message_ts": summary.ts, "channel_id": summary.channel},
        "message": {"ts": summary.ts, "thread_ts": summary.thread_ts},
        "actions": [{"type": "button", "action_id": action, "value": report.to_string(),
                     "action_ts": format!("1795244899.{at:06}")}],
    })
}

fn form(payload: &Value) -> String {
    let mut url = reqwest::Url::parse("http://localhost/").unwrap();
    url.query_pairs_mut().append_pair("payload", &payload.to_string());
    url.query().unwrap().to_owned()
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

fn signature(secret: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{at}:{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    format!("v0={}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

async fn send(house: &House, path: &str, body: String, (at, signature): (i64, String)) -> (u16, String) {
    let request = house.http.post(format!("{}{path}", house.base_url)).body(body);
    let request =
        request.header("x-slack-request-timestamp", at.to_string()).header("x-slack-signature", signature);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// As Slack sends it.
async fn slack_sends(house: &House, path: &str, body: String) -> (u16, String) {
    let at = now();
    let signature = signature(SECRET, at, &body);
    send(house, path, body, (at, signature)).await
}

async fn pressed(house: &House, payload: &Value) {
    let asked = Instant::now();
    let (status, body) = slack_sends(house, "/slack/interactions", form(payload)).await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

/// Waits for the n-th word to somebody alone.
async fn whispered(house: &House, n: usize) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some((user, message)) = house.slack.whispers().get(n - 1) {
            assert_eq!(user, "U1");
            return format!("{} {}", message.text, message.blocks);
        }
        assert!(Instant::now() < until, "no {n} whispers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_button_does_what_it_says_and_tells_whoever_pressed_it() {
    let options = HouseOptions { adjust: Some(signed_by), ..HouseOptions::default() };
    let (house, report, summary) = investigated(options).await;
    let blocks = summary.blocks.to_string();
    for action in ["helpful", "not_helpful", "rerun", "not_a_problem", "evidence"] {
        assert!(blocks.contains(&format!("whodunit_{action}")), "{blocks}");
    }
    assert!(blocks.contains(&format!("https://whodunit.example/investigations/{report}")), "{blocks}");

    pressed(&house, &press("whodunit_helpful", &summary, report, 1)).await;
    assert!(whispered(&house, 1).await.contains("Thank you"));
    let said = "select author || ' ' || verdict || ' ' || reason from feedback";
    let feedback: String = sqlx::query_scalar(said).fetch_one(&house.pool).await.unwrap();
    assert_eq!(feedback, "ada (U1) helpful ");

    pressed(&house, &press("whodunit_not_helpful", &summary, report, 2)).await;
    whispered(&house, 2).await;
    let views = house.slack.views();
    assert_eq!(views.len(), 1);
    assert_eq!(views[0]["private_metadata"], report.to_string());
    let dialogue = json!({
        "type": "view_submission", "user": {"id": "U1", "username": "ada"},
        "view": {"id": "V1", "callback_id": views[0]["callback_id"], "private_metadata": report.to_string(),
                 "state": {"values": {"whodunit_reason": {"whodunit_reason": {"value": "It was the node."}}}}},
    });
    pressed(&house, &dialogue).await;
    let until = Instant::now() + PATIENCE;
    while house
        .count("select count(*) from feedback where verdict = 'unhelpful' and reason = 'It was the node.'")
        .await
        == 0
    {
        assert!(Instant::now() < until, "the reason never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    pressed(&house, &press("whodunit_evidence", &summary, report, 3)).await;
    let evidence = whispered(&house, 3).await;
    assert!(evidence.contains("What the report is based on") && evidence.contains("/api/v1/"), "{evidence}");

    pressed(&house, &press("whodunit_not_a_problem", &summary, report, 4)).await;
    let muted = whispered(&house, 4).await;
    assert!(muted.contains("Muted for 7 d 0 h"), "{muted}");
    assert_eq!(house.count("select count(*) from mutes where lifted_at is null").await, 1);

    pressed(&house, &press("whodunit_rerun", &summary, report, 5)).await;
    assert!(whispered(&house, 5).await.contains("Another look is queued"));
    house.settle().await;
    assert_eq!(house.count("select count(*) from investigations where state = 'done'").await, 2);

    pressed(&house, &press("whodunit_evidence", &summary, Uuid::nil(), 6)).await;
    assert!(whispered(&house, 6).await.contains("is gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slack_did_not_send_or_sent_before_changes_nothing() {
    let options = HouseOptions { adjust: Some(signed_by), ..HouseOptions::default() };
    let (house, report, summary) = investigated(options).await;
    let body = form(&press("whodunit_rerun", &summary, report, 1));
    let path = "/slack/interactions";
    let good = |at: i64| (at, signature(SECRET, at, &body));
    for (at, sent) in [
        (now(), "v0=00".to_owned()),
        (now(), signature("another secret", now(), &body)),
        (now() + 1, signature(SECRET, now(), &body)),
        good(now() - 301),
        good(now() + 330),
    ] {
        assert_eq!(send(&house, path, body.clone(), (at, sent)).await.0, 401);
    }
    let changed = body.replace("rerun", "helpful");
    assert_eq!(send(&house, path, changed, good(now())).await.0, 401);
    let unsigned =
        house.http.post(format!("{}{path}", house.base_url)).body(body.clone()).send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 401);
    let long = "x".repeat((1 << 20) + 1);
    assert_eq!(slack_sends(&house, path, long).await.0, 413);
    for broken in ["", "payload=%7B", "payload={}"] {
        let status = slack_sends(&house, path, broken.to_owned()).await.0;
        assert!([200, 400].contains(&status), "{broken}: {status}");
    }
    assert_eq!(house.count("select count(*) from audit").await, 0);

    // The same request five times at once, and again.
    let once = good(now());
    let sends = (0..5).map(|_| send(&house, path, body.clone(), once.clone()));
    assert!(futures::future::join_all(sends).await.iter().all(|(status, _)| *status == 200));
    whispered(&house, 1).await;
    assert_eq!(send(&house, path, body.clone(), good(now())).await.0, 200);
    house.settle().await;
    assert_eq!(house.slack.whispers().len(), 1, "acted on once");
    assert_eq!(house.count("select count(*) from audit where action = 'rerun'").await, 1);
    assert_eq!(house.count("select count(*) from investigations").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_there_are_no_buttons_and_no_door() {
    let (house, _, summary) = investigated(HouseOptions::default()).await;
    assert!(!summary.blocks.to_string().contains("\"actions\""), "{}", summary.blocks);
    assert_eq!(slack_sends(&house, "/slack/interactions", String::new()).await.0, 404);
    assert_eq!(slack_sends(&house, "/slack/events", String::new()).await.0, 404);
}

fn mention(summary: &Message, id: &str, text: &str) -> Value {
    json!({
        "type": "event_callback", "event_id": id,
        "event": {"type": "app_mention", "user": "U1", "channel": summary.channel, "ts": "1795244999.000001",
                  "thread_ts": summary.thread_ts, "text": format!("<@U0WHODUNIT> {text}")},
    })
}

/// A line of what was read that can be quoted, with its id.
fn quotable(request: &Value) -> (String, String) {
    let text = request["messages"][1]["content"].as_str().unwrap();
    let (head, rest) = text.split_once("\nE").unwrap();
    assert!(head.contains("Report:"));
    let id = format!("E{}", rest.split_whitespace().next().unwrap());
    let line = rest.lines().skip(4).find(|line| line.len() > 20 && !line.starts_with('<')).unwrap();
    (id, line.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_from_what_was_read_or_not_at_all() {
    let model = ModelServer::start(Arc::new(|number, request| {
        let (id, quote) = quotable(request);
        let quote = if number == 0 { quote } else { "words that stand nowhere".to_owned() };
        let answer = "Because <!channel> of *that*, see https://evil.example.";
        Said::Calls(vec![call("answer", &json!({"answer": answer, "quotes": [{"id": id, "quote": quote}]}))])
    }))
    .await;
    let options =
        HouseOptions { adjust: Some(signed_by), models: vec![model.settings()], ..HouseOptions::default() };
    let (house, _, summary) = investigated(options).await;
    assert!(model.asked().is_empty(), "a signature named the cause");
    let said = house.slack.messages().len();
    let handshake = json!({"type": "url_verification", "challenge": "abc"}).to_string();
    assert_eq!(slack_sends(&house, "/slack/events", handshake).await, (200, "abc".to_owned()));

    let asked = mention(&summary, "Ev1", "why does it restart? password=hunter2").to_string();
    for _ in 0..3 {
        assert_eq!(slack_sends(&house, "/slack/events", asked.clone()).await.0, 200);
    }
    let until = Instant::now() + PATIENCE;
    while house.slack.messages().len() == said {
        assert!(Instant::now() < until, "no answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    house.settle().await;
    assert_eq!(model.asked().len(), 1, "asked once, however often Slack says so");
    assert!(!model.asked()[0].to_string().contains("hunter2"));
    let answer = house.slack.messages().last().unwrap().clone();
    assert_eq!(answer.thread_ts, summary.thread_ts);
    let shown = answer.blocks.to_string();
    assert!(shown.contains("Because") && shown.contains("why does it restart?"), "{shown}");
    assert!(!shown.contains("<!channel>") && !shown.contains("https://evil"), "{shown}");
    let tools = &model.asked()[0]["tools"];
    assert_eq!(tools.as_array().unwrap().len(), 1, "nothing to read with: {tools}");

    // A quote that stands nowhere: no answer.
    let again = mention(&summary, "Ev2", "and what is the password?").to_string();
    assert_eq!(slack_sends(&house, "/slack/events", again).await.0, 200);
    assert!(whispered(&house, 1).await.contains("does not say"));
    assert_eq!(house.slack.messages().len(), said + 1);
    let spent: f64 = sqlx::query_scalar("select sum(usd) from answers").fetch_one(&house.pool).await.unwrap();
    assert!(spent > 0.0);
    // Elsewhere it says nothing.
    let mut elsewhere = mention(&summary, "Ev3", "hello?");
    elsewhere["event"]["thread_ts"] = "1.1".into();
    assert_eq!(slack_sends(&house, "/slack/events", elsewhere.to_string()).await.0, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((house.slack.messages().len(), model.asked().len()), (said + 1, 2));
}

/// Slack's side of Socket Mode: sends what comes through the channel, and hands back what it is told.
async fn socket(
    mut envelopes: mpsc::Receiver<Value>,
    connections: Arc<AtomicUsize>,
) -> (String, mpsc::Receiver<Value>) {
    let (listener, url) = house::listen().await;
    let (told, heard) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            connections.fetch_add(1, Ordering::SeqCst);
            socket.send(Frame::text(json!({"type": "hello"}).to_string())).await.unwrap();
            loop {
                tokio::select! {
                    Some(envelope) = envelopes.recv() => {
                        let last = envelope["type"] == "disconnect";
                        if socket.send(Frame::text(envelope.to_string())).await.is_err() || last {
                            break;
                        }
                    }
                    frame = socket.next() => match frame {
                        Some(Ok(Frame::Text(text))) => told.send(serde_json::from_str(text.as_str()).unwrap()).await.unwrap(),
                        Some(Ok(_)) => {}
                        _ => break,
                    }
                }
            }
        }
    });
    (url.replace("http://", "ws://"), heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn socket_mode_takes_the_same_presses_and_comes_back_when_it_is_sent_away() {
    let (say, envelopes) = mpsc::channel(16);
    let connections = Arc::new(AtomicUsize::new(0));
    let (address, mut heard) = socket(envelopes, Arc::clone(&connections)).await;
    let adjust: fn(&mut Settings) = |settings| settings.slack.app_token = Some(APP_TOKEN.into());
    let (house, report, summary) =
        investigated(HouseOptions { adjust: Some(adjust), ..HouseOptions::default() }).await;
    assert!(summary.blocks.to_string().contains("whodunit_rerun"), "{}", summary.blocks);
    // Until now Slack refused: it is asked again and again.
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    house.slack.socket_at(&address);
    let envelope = |id: &str, at: u32| {
        let payload = press("whodunit_helpful", &summary, report, at);
        json!({"type": "interactive", "envelope_id": id, "payload": payload, "accepts_response_payload": true})
    };
    say.send(envelope("e1", 1)).await.unwrap();
    let acknowledged = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(acknowledged, json!({"envelope_id": "e1"}));
    whispered(&house, 1).await;
    // The same press in another envelope: acknowledged, and not done again.
    say.send(envelope("e2", 1)).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), json!({"envelope_id": "e2"}));
    say.send(json!({"type": "disconnect", "reason": "refresh_requested"})).await.unwrap();
    say.send(envelope("e3", 2)).await.unwrap();
    let acknowledged = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(acknowledged, json!({"envelope_id": "e3"}));
    whispered(&house, 2).await;
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    assert_eq!(house.slack.whispers().len(), 2);
    assert_eq!(house.count("select count(*) from audit").await, 2);
}
