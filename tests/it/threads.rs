//! The thread that a monitoring bot opened already: we go on below its message, wait for one that is late, take no
//! other alert's, and begin a thread of our own where there is none.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whodunit::demo::slack::{Injected, Message};
use whodunit::settings::{Settings, ThreadMatch};

use crate::house::{CHANNEL, House, HouseOptions, PATIENCE};

const POD: &str = "checkout-7d9c5b6f7c-2xk4p";
const FIRST: &str = "2026-11-21T07:03:19.889Z";
const SECOND: &str = "2026-11-21T07:33:19.889Z";
const OVER: &str = "2026-11-21T07:13:19.889Z";

fn labels(namespace: &str, pod: &str) -> Value {
    json!({"alertname": "KubePodCrashLooping", "container": "app", "namespace": namespace, "pod": pod,
           "severity": "critical", "cluster": "lab"})
}

/// As Robusta posts it without its SaaS.
fn robusta(labels: &Value, cluster: &str) -> Value {
    let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let rows: Vec<String> = labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("● {name} `{}`", value.as_str().unwrap()))
        .collect();
    json!({
        "text": "Pod is crash looping.",
        "blocks": [
            section("🔥 `Prometheus Alert Firing` 🔥 🔴 *High*\nPod is crash looping."),
            section(&format!("*Source:* `{cluster}`")),
        ],
        "attachments": [{"color": "EF311F", "blocks": [section(&format!("*Alert labels* \n{}", rows.join("\n")))]}],
    })
}

async fn house(adjust: fn(&mut Settings)) -> House {
    let any = |settings: &mut Settings| settings.slack.thread_match = ThreadMatch::Any;
    House::start(HouseOptions { adjust: Some(any), with: Some(Box::new(adjust)), ..HouseOptions::default() })
        .await
}

async fn post(house: &House, status: &str, starts_at: &str) {
    let ends_at = if status == "resolved" { OVER } else { "0001-01-01T00:00:00Z" };
    let alert = json!({
        "status": status, "startsAt": starts_at, "endsAt": ends_at, "generatorURL": "",
        "labels": labels("shop", POD), "annotations": {"summary": "Pod is crash looping."},
    });
    let body = json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": status, "receiver": "r",
                      "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
                      "alerts": [alert]});
    let (status, receipt) = house.post("/webhooks/alertmanager", body.to_string()).await;
    assert_eq!(status, 202, "{receipt}");
}

fn ours(house: &House) -> Vec<Message> {
    house.slack.messages().into_iter().filter(|message| message.bot_id == "B0WHODUNIT").collect()
}

async fn verdict(house: &House) -> (Option<String>, Option<i32>, String) {
    sqlx::query_as(
        "select thread, thread_score, coalesce(thread_reason, '') from announcements where kind = 'parent'",
    )
    .fetch_one(&house.pool)
    .await
    .unwrap()
}

/// A thread of our own, and nothing below anybody else's message.
#[track_caller]
fn stands_alone(house: &House) {
    let ours = ours(house);
    let heads: Vec<&Message> = ours.iter().filter(|message| message.thread_ts.is_none()).collect();
    assert_eq!(heads.len(), 1, "{ours:#?}");
    for reply in ours.iter().filter(|message| message.thread_ts.is_some()) {
        assert_eq!(reply.thread_ts.as_deref(), Some(heads[0].ts.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_lives_from_its_summary_to_its_end_below_robusta_s_message() {
    let house = house(|_| {}).await;
    let robusta = house.slack.seed(CHANNEL, &robusta(&labels("shop", POD), "lab")).unwrap();
    post(&house, "firing", FIRST).await;
    house.settle().await;
    let (thread, score, reason) = verdict(&house).await;
    assert_eq!((thread.as_deref(), score), (Some("adopted"), Some(95)), "{reason}");
    let said = ours(&house).len();
    assert_eq!(said, 1, "the summary: {:#?}", ours(&house));
    post(&house, "resolved", FIRST).await;
    house.settle().await;
    assert_eq!(ours(&house).len(), said + 1);
    assert!(ours(&house)[said].text.starts_with("Resolved"), "{:#?}", ours(&house));
    // It fires again: the head is not ours to change, so a reply says it.
    post(&house, "firing", SECOND).await;
    house.settle().await;
    let all = ours(&house);
    assert!(all[said + 1].text.contains("Firing again"), "{all:#?}");
    assert!(all.iter().all(|message| message.thread_ts.as_deref() == Some(robusta.as_str())), "{all:#?}");
    assert!(house.slack.updates().is_empty());
    assert_eq!(house.count("select count(*) from announcements where state <> 'posted'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_after_the_alert_is_waited_for() {
    let house = house(|settings| settings.slack.thread_match = ThreadMatch::Robusta).await;
    post(&house, "firing", FIRST).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(ours(&house).is_empty(), "nothing overtakes the head: {:#?}", ours(&house));
    let robusta = house.slack.seed(CHANNEL, &robusta(&labels("shop", POD), "lab")).unwrap();
    house.settle().await;
    let all = ours(&house);
    assert!(!all.is_empty());
    assert!(all.iter().all(|message| message.thread_ts.as_deref() == Some(robusta.as_str())), "{all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_such_bot_posts_our_own_message_begins_at_once() {
    let house = house(|_| {}).await;
    house.slack.seed(CHANNEL, &json!({"text": "build 7 passed"}));
    let posted = Instant::now();
    post(&house, "firing", FIRST).await;
    while ours(&house).is_empty() {
        assert!(posted.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("without such a bot in the channel the head stood there after {:?}", posted.elapsed());
    assert!(posted.elapsed() < Duration::from_secs(20), "not after the whole wait: {:?}", posted.elapsed());
    house.settle().await;
    stands_alone(&house);
    assert_eq!(verdict(&house).await.0.as_deref(), Some("own"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_alerts_messages_are_never_used() {
    let house = house(|settings| settings.slack.thread_wait_secs = 3).await;
    let mut over = robusta(&labels("shop", POD), "lab");
    over["text"] = "[RESOLVED] Pod is crash looping.".into();
    let mut older = robusta(&labels("shop", POD), "lab");
    // Two days before the alert began.
    older["ts"] = "1795072000.000100".into();
    let mut person = robusta(&labels("shop", POD), "lab");
    person["bot_id"] = Value::Null;
    for wrong in [
        older,
        robusta(&labels("pay", POD), "lab"),
        robusta(&labels("shop", "checkout-7d9c5b6f7c-zzzzz"), "lab"),
        robusta(&labels("shop", POD), "prod"),
        over,
        person,
    ] {
        house.slack.seed(CHANNEL, &wrong).unwrap();
    }
    let posted = Instant::now();
    post(&house, "firing", FIRST).await;
    house.settle().await;
    assert!(posted.elapsed() >= Duration::from_secs(3), "Robusta posts here: its message was waited for");
    stands_alone(&house);
    let (thread, score, reason) = verdict(&house).await;
    assert_eq!(thread.as_deref(), Some("own"), "{reason}");
    assert!(score.unwrap() < 80, "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_scope_or_the_time_to_read_the_thread_is_our_own() {
    let blind = house(|settings| settings.slack.thread_match = ThreadMatch::Any).await;
    blind.slack.grant(&["chat:write"]);
    blind.slack.seed(CHANNEL, &robusta(&labels("shop", POD), "lab"));
    post(&blind, "firing", FIRST).await;
    blind.settle().await;
    stands_alone(&blind);
    let (_, ready) = blind.get("/readyz").await;
    assert_eq!(ready["slack_lacks"]["unreadable"][CHANNEL], "missing_scope", "{ready}");

    let limited = house(|settings| settings.slack.thread_wait_secs = 3).await;
    limited.slack.seed(CHANNEL, &robusta(&labels("shop", POD), "lab"));
    limited.slack.inject("conversations.history", Injected::RateLimited { retry_after_secs: 60 });
    post(&limited, "firing", FIRST).await;
    limited.settle().await;
    stands_alone(&limited);
    assert!(verdict(&limited).await.2.contains("limits"), "{:?}", verdict(&limited).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_gone_loses_no_word() {
    let house = house(|_| {}).await;
    house.slack.seed(CHANNEL, &robusta(&labels("shop", POD), "lab"));
    house.slack.inject("chat.postMessage", Injected::Error("thread_not_found".to_owned()));
    post(&house, "firing", FIRST).await;
    house.settle().await;
    stands_alone(&house);
    assert_eq!(ours(&house).len(), 2, "the head and the summary: {:#?}", ours(&house));
}
