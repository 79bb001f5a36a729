//! The stand-in against Slack's rules: limits, threads, pace, errors.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

use super::*;

fn slack() -> SlackStandIn {
    SlackStandIn::new("xoxb-demo", &["#alerts", "other"])
}

fn post(slack: &SlackStandIn, parameters: Value) -> Value {
    match slack.call("chat.postMessage", &parameters) {
        Ok(answer) => answer,
        Err(error) => error,
    }
}

fn posted(slack: &SlackStandIn, parameters: Value) -> String {
    let answer = post(slack, parameters);
    answer["ts"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn messages_stand_in_order_and_threads_keep_their_replies() {
    let slack = slack();
    let first = posted(&slack, json!({"channel": "#alerts", "text": "one"}));
    let second = posted(&slack, json!({"channel": "C000000001", "text": "two"}));
    posted(&slack, json!({"channel": "alerts", "text": "one, answered", "thread_ts": first}));
    posted(&slack, json!({"channel": "other", "text": "elsewhere"}));
    assert!(first < second && first.len() == "1795244890.000100".len(), "{first} {second}");
    let texts = |messages: Vec<Message>| messages.into_iter().map(|message| message.text).collect::<Vec<_>>();
    assert_eq!(texts(slack.messages()), ["one", "two", "one, answered", "elsewhere"]);
    assert_eq!(texts(slack.thread(&first)), ["one", "one, answered"]);
    assert_eq!(slack.threads().len(), 3);
    assert_eq!(slack.channel_name("C000000001"), "#alerts");
}

#[test]
fn what_slack_refuses_is_refused_in_its_words() {
    let slack = slack();
    let ours = posted(&slack, json!({"channel": "alerts", "text": "x"}));
    let theirs = slack.seed("alerts", &json!({"text": "Robusta says"})).unwrap();
    for (method, parameters, error) in [
        ("chat.postMessage", json!({"channel": "#nope", "text": "x"}), "channel_not_found"),
        ("chat.postMessage", json!({"channel": "alerts"}), "no_text"),
        ("chat.postMessage", json!({"channel": "alerts", "text": "x".repeat(40_001)}), "msg_too_long"),
        ("chat.postMessage", json!({"channel": "alerts", "text": "x", "blocks": [{}]}), "invalid_blocks"),
        (
            "chat.postMessage",
            json!({"channel": "alerts", "text": "x", "thread_ts": "1.000001"}),
            "thread_not_found",
        ),
        (
            "chat.postMessage",
            json!({"channel": "alerts", "text": "x", "metadata": {"a": 1}}),
            "invalid_metadata_format",
        ),
        ("chat.update", json!({"channel": "#alerts", "ts": ours, "text": "y"}), "channel_not_found"),
        ("chat.update", json!({"channel": "C000000001", "ts": "1.000001", "text": "y"}), "message_not_found"),
        ("chat.update", json!({"channel": "C000000001", "ts": theirs, "text": "y"}), "cant_update_message"),
        ("conversations.history", json!({"channel": "alerts"}), "channel_not_found"),
        ("conversations.replies", json!({"channel": "C000000001", "ts": "1.000001"}), "thread_not_found"),
        ("chat.delete", json!({}), "unknown_method"),
    ] {
        let refusal = slack.call(method, &parameters).unwrap_err();
        assert_eq!(refusal["error"], json!(error), "{method} {parameters:.100}");
    }
    assert_eq!((slack.messages().len(), slack.updates().len()), (2, 0));
}

#[test]
fn an_update_changes_what_it_names_and_keeps_the_rest() {
    let slack = slack();
    let metadata = json!({"event_type": "incident", "event_payload": {"id": "1"}});
    let ts = posted(&slack, json!({"channel": "alerts", "text": "firing", "metadata": metadata}));
    slack.call("chat.update", &json!({"channel": "C000000001", "ts": ts, "text": "resolved"})).unwrap();
    let message = slack.messages().remove(0);
    assert_eq!((message.text.as_str(), &message.metadata, message.is_edited), ("resolved", &metadata, true));
    assert_eq!(slack.updates().len(), 1);
    assert_eq!(slack.messages().len(), 1);
}

#[test]
fn history_is_newest_first_within_its_bounds_and_in_pages() {
    let slack = slack();
    let all: Vec<String> = (0..5)
        .map(|n| {
            let metadata = json!({"event_type": "e", "event_payload": {"n": n}});
            posted(&slack, json!({"channel": "alerts", "text": format!("m{n}"), "metadata": metadata}))
        })
        .collect();
    posted(&slack, json!({"channel": "alerts", "text": "reply", "thread_ts": all[1]}));
    let history = |parameters: Value| slack.call("conversations.history", &parameters).unwrap();
    let texts = |answer: &Value| -> Vec<String> {
        let messages = answer["messages"].as_array().unwrap();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    let whole = history(json!({"channel": "C000000001"}));
    assert_eq!(texts(&whole), ["m4", "m3", "m2", "m1", "m0"]);
    assert_eq!(
        (&whole["messages"][3]["reply_count"], &whole["messages"][0]["metadata"]),
        (&json!(1), &Value::Null)
    );
    let with = history(json!({"channel": "C000000001", "include_all_metadata": true, "oldest": all[3]}));
    assert_eq!(with["messages"][0]["metadata"]["event_payload"]["n"], json!(4));
    assert_eq!(texts(&with), ["m4"]);
    let between = json!({"channel": "C000000001", "oldest": all[1], "latest": all[3], "inclusive": "true"});
    assert_eq!(texts(&history(between)), ["m3", "m2", "m1"]);
    let first = history(json!({"channel": "C000000001", "limit": 3}));
    assert_eq!((&first["has_more"], texts(&first).len()), (&json!(true), 3));
    let cursor = first["response_metadata"]["next_cursor"].clone();
    let second = history(json!({"channel": "C000000001", "limit": "3", "cursor": cursor}));
    assert_eq!(
        (&second["has_more"], texts(&second)),
        (&json!(false), vec!["m1".to_owned(), "m0".to_owned()])
    );
    let replies =
        slack.call("conversations.replies", &json!({"channel": "C000000001", "ts": all[1]})).unwrap();
    assert_eq!(texts(&replies), ["m1", "reply"]);
}

#[tokio::test]
async fn over_http_tokens_charsets_and_injected_answers_count() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let slack = Arc::new(slack());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/chat.postMessage", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(Arc::clone(&slack).serve(listener, shutdown.clone()));
    let http = reqwest::Client::builder().timeout(Duration::from_millis(500)).no_proxy().build().unwrap();
    let send = |token: &'static str, content_type: &'static str, body: &'static str| {
        http.post(&url).bearer_auth(token).header(CONTENT_TYPE, content_type).body(body).send()
    };
    let utf8 = "application/json; charset=utf-8";
    let good = r#"{"channel": "alerts", "text": "hello"}"#;

    let answer: Value = send("xoxb-demo", utf8, good).await.unwrap().json().await.unwrap();
    assert_eq!(
        (&answer["ok"], &answer["channel"], &answer["warning"]),
        (&json!(true), &json!("C000000001"), &Value::Null)
    );
    for (token, content_type, body, error) in [
        ("xoxb-wrong", utf8, good, "invalid_auth"),
        ("xoxb-demo", utf8, "{", "invalid_json"),
        ("xoxb-demo", "text/plain", good, "invalid_post_type"),
    ] {
        let answer: Value = send(token, content_type, body).await.unwrap().json().await.unwrap();
        assert_eq!((&answer["ok"], &answer["error"]), (&json!(false), &json!(error)));
    }
    let answer: Value = send("xoxb-demo", "application/json", good).await.unwrap().json().await.unwrap();
    assert_eq!((&answer["ok"], &answer["warning"]), (&json!(true), &json!("missing_charset")));
    assert_eq!(slack.arrivals().last().unwrap().warnings, ["missing_charset"]);
    let form =
        send("xoxb-demo", "application/x-www-form-urlencoded", "channel=alerts&text=by+form").await.unwrap();
    assert_eq!(form.json::<Value>().await.unwrap()["ok"], json!(true));

    let before = slack.messages().len();
    for injected in [
        Injected::RateLimited { retry_after_secs: 30 },
        Injected::Status(500),
        Injected::Error("is_archived".to_owned()),
        Injected::Hang,
        Injected::StoredThenHang,
        Injected::StoredThenStatus(502),
    ] {
        slack.inject("chat.postMessage", injected);
    }
    slack.inject("chat.update", Injected::Status(500));
    let limited = send("xoxb-demo", utf8, good).await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()[RETRY_AFTER]), (429, &"30".parse().unwrap()));
    assert_eq!(send("xoxb-demo", utf8, good).await.unwrap().status(), 500);
    let refused: Value = send("xoxb-demo", utf8, good).await.unwrap().json().await.unwrap();
    assert_eq!((&refused["ok"], &refused["error"]), (&json!(false), &json!("is_archived")));
    assert!(send("xoxb-demo", utf8, good).await.unwrap_err().is_timeout());
    assert_eq!(slack.messages().len(), before);
    assert!(send("xoxb-demo", utf8, good).await.unwrap_err().is_timeout());
    assert_eq!(send("xoxb-demo", utf8, good).await.unwrap().status(), 502);
    assert_eq!(slack.messages().len(), before + 2);
    assert_eq!(send("xoxb-demo", utf8, good).await.unwrap().status(), 200);
    shutdown.cancel();
    server.await.unwrap().unwrap();
}

#[test]
fn a_thread_reads_well_in_a_terminal() {
    let slack = slack();
    let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let parent = json!({"channel": "alerts", "text": "fallback", "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "🔥 KubePodCrashLooping: api-gateway"}},
        {"type": "section", "fields": [
            {"type": "mrkdwn", "text": "*Workload*\nDeployment prod-api/api-gateway"},
            {"type": "mrkdwn", "text": "*Severity*\ncritical"}]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "4 alerts"}, {"type": "mrkdwn", "text": "lab"}]},
    ]});
    let ts = posted(&slack, parent);
    let reply = json!({"channel": "alerts", "text": "fallback", "thread_ts": ts, "blocks": [
        section("*Cause:* the command &lt;wge&gt; is not in the image, so each start ends with exit code 127 &amp; the \
                 kubelet backs off. See <https://example.com/r|the runbook>."),
        section("• first of two points, long enough to need a second line in this narrow terminal of ours\n\
                 • second point\n1. a numbered one that also goes on for longer than a single line of text can hold"),
        section("Run:\n```kubectl -n prod-api get pods\nsecond line```\nthen look <!here>"),
        {"type": "divider"},
        {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Open"}}]},
    ]});
    posted(&slack, reply);
    let text = render_thread("#alerts", &slack.thread(&ts), 72);
    insta::assert_snapshot!(text, @r"
    ╭─ #alerts ─────────────────────────────────────────────────────────────
    │ 🔥 KubePodCrashLooping: api-gateway
    │ ═══════════════════════════════════
    │
    │ *Workload* Deployment prod-api/api-gateway
    │ *Severity* critical
    │ 4 alerts · lab
    ├─ reply ───────────────────────────────────────────────────────────────
    │   *Cause:* the command <wge> is not in the image, so each start ends
    │   with exit code 127 & the kubelet backs off. See the runbook
    │   (https://example.com/r).
    │
    │   • first of two points, long enough to need a second line in this
    │     narrow terminal of ours
    │   • second point
    │   1. a numbered one that also goes on for longer than a single line of
    │      text can hold
    │
    │   Run:
    │       kubectl -n prod-api get pods
    │       second line
    │   then look @here
    │
    │   ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄
    │
    │   [Open]
    ╰───────────────────────────────────────────────────────────────────────
    ");
    assert!(text.lines().all(|line| line.chars().count() <= 72));
}

#[test]
fn no_log_line_moves_the_readers_cursor_or_breaks_the_frame() {
    let slack = slack();
    let long = "x".repeat(300);
    let text = format!("\u{1b}[2Jwiped\u{7}\r {long} < open ```{long}```");
    let ts = posted(&slack, json!({"channel": "alerts", "text": text}));
    let shown = render_thread("#alerts", &slack.thread(&ts), 100);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    assert_eq!(shown.matches('x').count(), 600);
}

#[test]
fn a_token_may_do_what_its_scopes_say() {
    let slack = slack();
    slack.grant(&["chat:write", "channels:read"]);
    posted(&slack, json!({"channel": "alerts", "text": "x"}));
    let refused = slack.call("conversations.history", &json!({"channel": "C000000001"})).unwrap_err();
    assert_eq!(
        (&refused["error"], &refused["needed"]),
        (&json!("missing_scope"), &json!("channels:history"))
    );
    let list = |types: &str| slack.call("conversations.list", &json!({"types": types, "limit": "1"}));
    assert_eq!(list("public_channel,private_channel").unwrap_err()["needed"], "groups:read");
    let page = list("public_channel").unwrap();
    assert_eq!(
        (page["channels"].as_array().unwrap().len(), &page["channels"][0]["id"]),
        (1, &json!("C000000001"))
    );
    assert_eq!(page["response_metadata"]["next_cursor"], "next:1");
    slack.refuse("chat.postMessage", Some("invalid_auth"));
    assert_eq!(post(&slack, json!({"channel": "alerts", "text": "x"}))["error"], "invalid_auth");
    slack.refuse("chat.postMessage", None);
    posted(&slack, json!({"channel": "alerts", "text": "x"}));
}

#[test]
fn history_may_lag_behind() {
    let slack = slack();
    slack.show_after(Duration::from_millis(200));
    posted(&slack, json!({"channel": "alerts", "text": "x"}));
    let shown = || {
        let history = slack.call("conversations.history", &json!({"channel": "C000000001"})).unwrap();
        history["messages"].as_array().unwrap().len()
    };
    assert_eq!(shown(), 0);
    std::thread::sleep(Duration::from_millis(220));
    assert_eq!(shown(), 1);
}
