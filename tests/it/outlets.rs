//! Outlets beside Slack, against a receiver that can fail in every way: what is committed arrives, signed, in order and
//! under one id; what cannot arrive is told to somebody; a secret address stands nowhere.

mod receiver;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use whodunit::outlet::{queue, retention};
use whodunit::settings::Outlet;

use crate::canary;
use crate::copy::Copy;
use crate::house::{House, HouseOptions, PATIENCE, http};
use crate::program::{Program, command};
use receiver::{Answer, Call, Receiver};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const FIRST: &str = "2026-11-21T07:03:19.889Z";
const OVER: &str = "2026-11-21T07:13:19.889Z";
/// Part of every address: whoever knows it may post.
const HIDDEN: &str = "sig-Zt7hQ0xVbN3kLw9s";

fn outlets(list: Value) -> Vec<Outlet> {
    serde_json::from_value(list).unwrap()
}

fn webhook(receiver: &Receiver) -> Value {
    json!({"name": "machine", "kind": "webhook", "url": receiver.url(), "secrets": [SECRET], "timeout_secs": 1})
}

fn teams(receiver: &Receiver) -> Value {
    json!({"name": "people", "kind": "teams", "url": receiver.url(), "timeout_secs": 1})
}

async fn house(list: Value) -> House {
    let list = outlets(list);
    let with = move |settings: &mut whodunit::settings::Settings| {
        settings.outlets = list;
        settings.server.public_url = "https://whodunit.example".to_owned();
    };
    House::start(HouseOptions { with: Some(Box::new(with)), ..HouseOptions::default() }).await
}

fn body(status: &str, severity: &str, namespace: &str, pod: &str) -> String {
    let ends_at = if status == "resolved" { OVER } else { "0001-01-01T00:00:00Z" };
    let labels = json!({"alertname": "A", "container": "app", "namespace": namespace, "pod": pod,
                        "severity": severity, "cluster": "lab"});
    with_labels(status, ends_at, &labels, "It is down.")
}

fn with_labels(status: &str, ends_at: &str, labels: &Value, summary: &str) -> String {
    let alert = json!({
        "status": status, "startsAt": FIRST, "endsAt": ends_at, "generatorURL": "",
        "labels": labels, "annotations": {"summary": summary},
    });
    json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": status, "receiver": "r",
           "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]})
    .to_string()
}

async fn post(house: &House, body: String) {
    let (status, receipt) = house.post("/webhooks/alertmanager", body).await;
    assert_eq!(status, 202, "{receipt}");
    house.idle().await;
}

const POD: &str = "a-5d4f6c7b8-abcde";

async fn fire(house: &House, severity: &str) {
    post(house, body("firing", severity, "shop", POD)).await;
}

async fn resolve(house: &House, severity: &str) {
    post(house, body("resolved", severity, "shop", POD)).await;
}

/// Lets the time of every wait pass.
async fn time_passes(pool: &PgPool) {
    for statement in [
        "update delivery_outlets set free_at = now() where free_at > now()",
        "update deliveries set next_at = now() where state = 'waiting' and next_at > now()",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
}

async fn states(house: &House) -> Vec<(String, String, String, Option<String>)> {
    sqlx::query_as("select outlet, event, state, error from deliveries order by number")
        .fetch_all(&house.pool)
        .await
        .unwrap()
}

/// Waits until nothing is left to be delivered, without waiting for waits.
async fn delivered(house: &House) {
    let until = Instant::now() + PATIENCE;
    while house.count("select count(*) from deliveries where state = 'waiting'").await > 0 {
        assert!(Instant::now() < until, "{:?}", states(house).await);
        time_passes(&house.pool).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what} never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_arrives_once_in_order_and_signed_with_what_the_api_says() {
    let (machine, people) = (Receiver::start().await, Receiver::start().await);
    let mut signed = webhook(&machine);
    signed["secrets"] = json!([SECRET, OTHER_SECRET]);
    let house = house(json!([signed, teams(&people)])).await;
    fire(&house, "critical").await;
    resolve(&house, "critical").await;
    delivered(&house).await;

    let calls = machine.calls();
    let types: Vec<String> = calls.iter().map(Call::event).collect();
    assert_eq!(types, ["incident.opened", "investigation.finished", "incident.resolved"]);
    for call in &calls {
        // Either secret is enough while one replaces the other.
        call.verify(SECRET).unwrap();
        call.verify(OTHER_SECRET).unwrap();
        assert!(call.verify("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").is_err());
        assert_eq!(call.header("content-type"), "application/json; charset=utf-8");
    }
    let ids: std::collections::BTreeSet<&str> = calls.iter().map(|call| call.header("webhook-id")).collect();
    assert_eq!(ids.len(), 3);

    // The same fields with the same words as over the API.
    let told = &calls[1].json()["data"]["investigation"];
    let (_, read) = house.get(&format!("/api/v1/investigations/{}", told["id"].as_str().unwrap())).await;
    assert!(read["report"]["outcome"].is_string(), "{read}");
    for (key, value) in told.as_object().unwrap().iter().filter(|(key, _)| *key != "report_omitted") {
        assert_eq!(value, &read[key], "{key}");
    }
    let told = &calls[2].json()["data"]["incident"];
    let (_, read) = house.get(&format!("/api/v1/incidents/{}", told["id"].as_str().unwrap())).await;
    for (key, value) in told.as_object().unwrap() {
        assert_eq!(value, &read[key], "{key}");
    }
    assert_eq!(
        calls[2].json()["timestamp"].as_str().unwrap()[..19],
        read["resolved_at"].as_str().unwrap()[..19]
    );

    let cards = people.calls();
    assert_eq!(cards.len(), 2, "a report and an end");
    let first = cards[0].texts();
    assert!(first.contains("Pod shop/a-5d4f6c7b8-abcde") && first.contains("[critical]"), "{first}");
    assert!(
        cards[1].texts().contains("Resolved (was critical): Pod shop/a-5d4f6c7b8-abcde"),
        "{}",
        cards[1].texts()
    );
    let button = &cards[0].json()["attachments"][0]["content"]["actions"][0]["url"];
    assert!(button.as_str().unwrap().starts_with("https://whodunit.example/investigations/"), "{button}");
    assert!(cards[0].header("webhook-signature").is_empty(), "Teams knows its address alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_hears_the_same_again_under_the_same_id_and_nothing_overtakes() {
    let machine = Receiver::start().await;
    machine.next([
        Answer::Status(500, ""),
        Answer::TooLate,
        Answer::Status(503, ""),
        Answer::Status(400, ""),
        Answer::Status(404, ""),
        Answer::HangUp,
        Answer::Status(302, "http://127.0.0.1:9/elsewhere"),
    ]);
    let house = house(json!([webhook(&machine)])).await;
    fire(&house, "critical").await;
    resolve(&house, "critical").await;
    delivered(&house).await;
    let calls = machine.calls();
    let types: Vec<String> = calls.iter().map(Call::event).collect();
    assert_eq!(types[..8], vec!["incident.opened".to_owned(); 8], "{types:?}");
    assert_eq!(types[8..], ["investigation.finished", "incident.resolved"]);
    for again in &calls[1..8] {
        assert_eq!(again.header("webhook-id"), calls[0].header("webhook-id"));
        assert_eq!(again.body, calls[0].body);
        again.verify(SECRET).unwrap();
    }
    let attempts: Vec<i32> = sqlx::query_scalar("select attempts from deliveries order by number")
        .fetch_all(&house.pool)
        .await
        .unwrap();
    assert_eq!(attempts, [8, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn being_told_to_wait_is_obeyed_and_teams_keeps_its_pace() {
    let (machine, people) = (Receiver::start().await, Receiver::start().await);
    machine.next([Answer::Status(429, "2")]);
    let house = house(json!([webhook(&machine), teams(&people)])).await;
    fire(&house, "critical").await;
    resolve(&house, "critical").await;
    until("both", async || machine.calls().len() == 4 && people.calls().len() == 2).await;
    let (calls, cards) = (machine.calls(), people.calls());
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert!(calls[1].at - calls[0].at >= Duration::from_millis(1_990), "{:?}", calls[1].at - calls[0].at);
    assert!(calls[0].at < cards[0].at + Duration::from_secs(2));
    assert!(cards[1].at - cards[0].at >= Duration::from_millis(990), "{:?}", cards[1].at - cards[0].at);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_before_a_stop_is_delivered_after_it() {
    let machine = Receiver::start().await;
    machine.always(Some(Answer::Status(500, "")));
    let mut house = house(json!([webhook(&machine)])).await;
    fire(&house, "critical").await;
    until("a try", async || !machine.calls().is_empty()).await;
    house.stop().await;
    let before = machine.calls().len();
    assert_eq!(house.count("select count(*) from deliveries where state = 'waiting'").await, 2);
    machine.always(None);
    house.restart().await;
    delivered(&house).await;
    let types: Vec<String> = machine.calls()[before..].iter().map(Call::event).collect();
    assert_eq!(types, ["incident.opened", "investigation.finished"]);
    assert_eq!(machine.calls()[before].header("webhook-id"), machine.calls()[0].header("webhook-id"));
}

/// The program, killed while the receiver has the request and has not answered.
#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_in_the_middle_of_a_request_it_is_sent_again_under_its_id() {
    let machine = Receiver::start().await;
    machine.always(Some(Answer::TooLate));
    let (pool, url) = crate::house::database().await;
    let folder = tempfile::tempdir().unwrap();
    let mut outlet = webhook(&machine);
    outlet["timeout_secs"] = json!(30);
    let settings = json!({"database": {"url": url}, "outlets": [outlet], "intake": {"settle_secs": 3600}});
    std::fs::write(folder.path().join("whodunit.yaml"), settings.to_string()).unwrap();
    let start = || {
        let mut command = command(folder.path());
        command.arg("--config").arg(folder.path().join("whodunit.yaml"));
        Program::run(command)
    };
    let mut program = start();
    assert_eq!(program.post(body("firing", "warning", "shop", POD).into_bytes()).await, 202);
    until("the request", async || machine.calls().len() == 1).await;
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    machine.always(None);
    let _again = start();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(machine.calls().len(), 1, "the dead process's claim is not over");
    time_passes(&pool).await;
    until("the second request", async || machine.calls().len() == 2).await;
    let calls = machine.calls();
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert_eq!(calls[0].body, calls[1].body);
    until("its outcome", async || {
        let state: String =
            sqlx::query_scalar("select state from deliveries").fetch_one(&pool).await.unwrap();
        state == "delivered"
    })
    .await;
    let mut stats = std::process::Command::new(env!("CARGO_BIN_EXE_whodunit"));
    let output = stats.args(["stats", "--config"]).arg(folder.path().join("whodunit.yaml")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Outlet machine\n  waiting 0, delivered 1, dead 0\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_ran_out_can_store_nothing() {
    let machine = Receiver::start().await;
    machine.always(Some(Answer::Status(500, "")));
    let mut house = house(json!([webhook(&machine)])).await;
    fire(&house, "critical").await;
    house.stop().await;
    let terms = [queue::Terms {
        outlet: "machine".to_owned(),
        pace: Duration::ZERO,
        timeout: Duration::from_secs(1),
    }];
    time_passes(&house.pool).await;
    let dead = queue::claim(&house.pool, &terms).await.unwrap().unwrap();
    assert!(queue::claim(&house.pool, &terms).await.unwrap().is_none(), "its follower waits");
    time_passes(&house.pool).await;
    let next = queue::claim(&house.pool, &terms).await.unwrap().unwrap();
    assert_eq!((next.id, next.attempts), (dead.id, dead.attempts + 1));
    assert!(!queue::delivered(&house.pool, &dead, Duration::ZERO).await.unwrap(), "late");
    queue::bury(&house.pool, &dead, "late").await.unwrap();
    queue::again(&house.pool, &dead, Duration::ZERO, None, "late").await.unwrap();
    assert!(queue::delivered(&house.pool, &next, Duration::ZERO).await.unwrap());
    let unknown = [queue::Terms { outlet: "other".to_owned(), ..terms[0].clone() }];
    assert!(queue::claim(&house.pool, &unknown).await.unwrap().is_none(), "of its own name only");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_dies_in_its_time_and_is_shown() {
    let (refusing, gone, old) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    refusing.always(Some(Answer::Status(422, "")));
    gone.always(Some(Answer::Status(410, "")));
    old.always(Some(Answer::Status(500, "")));
    let named = |name: &str, receiver: &Receiver| {
        let mut one = webhook(receiver);
        one["name"] = json!(name);
        one["events"] = json!(["incident.opened"]);
        one
    };
    let list = json!([named("refusing", &refusing), named("gone", &gone), named("old", &old)]);
    let house = house(list).await;
    fire(&house, "critical").await;
    until("nine refusals", async || {
        time_passes(&house.pool).await;
        refusing.calls().len() >= 9 && !old.calls().is_empty()
    })
    .await;
    let (_, ready) = house.get("/readyz").await;
    let held: Vec<&Value> = ready["outlets_held"].as_array().unwrap().iter().collect();
    assert_eq!((held.len(), &held[0]["outlet"], &held[0]["reason"]), (1, &json!("old"), &json!("HTTP 500")));
    sqlx::query("update deliveries set created_at = now() - interval '25 hours' where outlet = 'old'")
        .execute(&house.pool)
        .await
        .unwrap();
    delivered(&house).await;
    assert_eq!(refusing.calls().len(), 10, "ten refusals are enough");
    assert_eq!(gone.calls().len(), 1, "it wants no more");
    let mut all = states(&house).await;
    all.sort();
    let dead = |name: &str, why: &str| {
        (name.to_owned(), "incident.opened".to_owned(), "dead".to_owned(), Some(why.to_owned()))
    };
    let wanted = [
        dead("gone", "HTTP 410: its receiver wants no more messages"),
        dead("old", "not delivered within a day: HTTP 500"),
        dead("refusing", "HTTP 422"),
    ];
    assert_eq!(all, wanted);
    let (status, ready) = house.get("/readyz").await;
    assert_eq!(status, 200, "alerts are still taken");
    let mut failed: Vec<&str> = ready["outlet_failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outlet"].as_str().unwrap())
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, ["gone", "old", "refusing"]);
    assert!(house.kubernetes.asked().len() > 1, "and investigated");

    // Dead is over: an incident's later events are told.
    gone.always(None);
    let deleted = retention::forget(&house.pool, 0, 100).await.unwrap();
    assert_eq!(deleted, 0, "of an open incident nothing is forgotten");
    resolve(&house, "critical").await;
    assert_eq!(retention::forget(&house.pool, 0, 2).await.unwrap(), 2, "so many at a time");
    assert_eq!(retention::forget(&house.pool, 0, 2).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_no_answer_is_read() {
    let (machine, elsewhere) = (Receiver::start().await, Receiver::start().await);
    machine.next([Answer::Status(307, elsewhere.url().leak())]);
    machine.next([Answer::Endless]);
    let house = house(json!([webhook(&machine)])).await;
    let started = Instant::now();
    fire(&house, "critical").await;
    delivered(&house).await;
    assert!(elsewhere.calls().is_empty());
    assert_eq!(machine.calls().len(), 3, "the endless answer was an acceptance");
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_outlet_holds_up_neither_slack_nor_another_outlet() {
    let (broken, well) = (Receiver::start().await, Receiver::start().await);
    broken.always(Some(Answer::TooLate));
    let mut second = webhook(&well);
    second["name"] = json!("well");
    let house = house(json!([webhook(&broken), second])).await;
    fire(&house, "critical").await;
    house.settle().await;
    until("the other outlet", async || well.calls().len() == 2).await;
    let threads = house.slack.threads();
    assert_eq!((threads.len(), threads[0].len()), (1, 2), "head and summary: {threads:#?}");
    assert_eq!(
        house.count("select count(*) from deliveries where outlet = 'machine' and state = 'waiting'").await,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_slack_holds_up_no_outlet_and_none_is_needed() {
    for without_slack in [false, true] {
        let (machine, people) = (Receiver::start().await, Receiver::start().await);
        let list = outlets(json!([webhook(&machine), teams(&people)]));
        let with = move |settings: &mut whodunit::settings::Settings| {
            settings.outlets = list;
            settings.slack.api_url = "http://127.0.0.1:9/api".to_owned();
        };
        let options = HouseOptions { with: Some(Box::new(with)), without_slack, ..HouseOptions::default() };
        let house = House::start(options).await;
        fire(&house, "critical").await;
        delivered(&house).await;
        assert_eq!((machine.calls().len(), people.calls().len()), (2, 1));
        assert!(house.slack.messages().is_empty());
        let unsaid = house.count("select count(*) from announcements where state = 'posted'").await;
        assert_eq!(unsaid, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outlet_is_told_of_the_incidents_that_fit_it_from_first_to_last() {
    let (data, critical, labels) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let matching = |name: &str, receiver: &Receiver, keys: Value| {
        let mut one = webhook(receiver);
        (one["name"], one["match"]) = (json!(name), keys);
        one
    };
    let house = house(json!([
        matching("data", &data, json!({"namespaces": ["db-*"]})),
        matching("critical", &critical, json!({"severities": ["critical"], "namespaces": ["shop"]})),
        matching("labels", &labels, json!({"labels": {"container": "a*"}, "alerts": ["A"]})),
    ]))
    .await;
    fire(&house, "critical").await;
    post(&house, body("firing", "warning", "db-1", "b-5d4f6c7b8-abcde")).await;
    resolve(&house, "critical").await;
    delivered(&house).await;
    let workloads = |receiver: &Receiver| -> Vec<String> {
        let of = |call: &Call| {
            let event = call.json();
            format!("{} {}", call.event(), event["data"]["incident"]["workload"].as_str().unwrap())
        };
        let mut all: Vec<String> = receiver.calls().iter().map(of).collect();
        all.sort();
        all
    };
    assert_eq!(
        workloads(&data),
        [
            "incident.opened lab/db-1/Pod/b-5d4f6c7b8-abcde",
            "investigation.finished lab/db-1/Pod/b-5d4f6c7b8-abcde"
        ]
    );
    assert_eq!(workloads(&critical).len(), 3);
    assert!(workloads(&critical).iter().all(|one| one.contains("lab/shop/Pod/a-")));
    assert_eq!(workloads(&labels).len(), 5, "{:?}", workloads(&labels));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_hear_no_end_of_what_they_were_told_no_beginning_of() {
    let (people, machine) = (Receiver::start().await, Receiver::start().await);
    let list = outlets(json!([teams(&people), webhook(&machine)]));
    let with = move |settings: &mut whodunit::settings::Settings| {
        settings.outlets = list;
        // It is over before anybody looks.
        settings.intake.settle_secs = 3600;
    };
    let house = House::start(HouseOptions { with: Some(Box::new(with)), ..HouseOptions::default() }).await;
    fire(&house, "warning").await;
    resolve(&house, "warning").await;
    delivered(&house).await;
    let types: Vec<String> = machine.calls().iter().map(Call::event).collect();
    assert_eq!(types, ["incident.opened", "incident.resolved"]);
    assert!(people.calls().is_empty());
    // And back: a machine is told.
    let again = body("firing", "warning", "shop", POD).replace(FIRST, "2026-11-21T07:20:00.000Z");
    post(&house, again).await;
    delivered(&house).await;
    assert_eq!(machine.calls().last().unwrap().event(), "incident.reopened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_address_and_a_key_stand_nowhere() {
    canary::log();
    let (people, machine) = (Receiver::start().await, Receiver::start().await);
    people.next([Answer::Status(404, ""), Answer::TooLate, Answer::HangUp, Answer::Status(500, "")]);
    let mut unreachable = teams(&people);
    (unreachable["name"], unreachable["url"]) =
        (json!("unreachable"), json!(format!("http://127.0.0.1:9/{HIDDEN}?sig={HIDDEN}")));
    let mut no_name = teams(&people);
    (no_name["name"], no_name["url"]) = (json!("no-name"), json!(format!("http://no.invalid/{HIDDEN}")));
    let house = house(json!([teams(&people), webhook(&machine), unreachable, no_name])).await;
    fire(&house, "critical").await;
    until("all four ways to fail", async || {
        time_passes(&house.pool).await;
        let failed = house.count("select count(*) from delivery_outlets where fault is not null").await;
        people.calls().len() > 4 && failed >= 2
    })
    .await;
    let (_, ready) = house.get("/readyz").await;
    assert!(ready["outlets_held"].as_array().unwrap().len() >= 2, "{ready}");
    let metrics =
        http().get(format!("{}/metrics", house.base_url)).send().await.unwrap().text().await.unwrap();
    let mut shown = house.rows().await;
    shown.extend([ready.to_string(), metrics, canary::log()]);
    for text in &shown {
        for secret in [HIDDEN, &SECRET[6..]] {
            let at = text.find(secret);
            assert!(at.is_none(), "{}", &text[at.unwrap_or_default().saturating_sub(200)..]);
        }
    }
    assert!(people.calls().iter().all(|call| call.path.contains(HIDDEN)), "it is a part of the address");
}

/// Ten megabytes of text that means no good, as the log of what is investigated.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_over_a_hostile_log_of_ten_megabytes_is_small_and_harmless() {
    let attack = "ERROR: <at>Everyone</at> [click](https://evil.example/x) {{DATE(2026-11-21T07:00:00Z)}} **now** \u{202e}";
    let copy = Copy::new();
    let lines: Vec<String> = (0..10 * 1024 * 1024 / attack.len()).map(|n| format!("{attack} {n}")).collect();
    for which in ["current", "previous"] {
        copy.log(&format!("shop/logs/inventory-554c75fb44-cw9sp.inventory.{which}.log"), &lines);
    }
    let people = Receiver::start().await;
    let list = outlets(json!([teams(&people)]));
    let with = move |settings: &mut whodunit::settings::Settings| {
        settings.outlets = list;
        settings.server.public_url = "https://whodunit.example".to_owned();
        settings.kubernetes.log_tail_lines = 1_000_000;
    };
    let options = HouseOptions {
        recording: Some(copy.recording()),
        with: Some(Box::new(with)),
        ..HouseOptions::default()
    };
    let house = House::start(options).await;
    let hostile = "</at><at>Everyone</at> [x](https://evil.example) http://evil.example";
    let labels = json!({"alertname": format!("A{hostile}"), "namespace": "shop", "severity": "critical",
        "pod": "inventory-554c75fb44-cw9sp", "container": hostile, "cluster": "lab"});
    post(&house, with_labels("firing", "0001-01-01T00:00:00Z", &labels, hostile)).await;
    let odd = json!({"alertname": "B", "namespace": hostile, "deployment": hostile, "severity": "critical"});
    post(&house, with_labels("firing", "0001-01-01T00:00:00Z", &odd, hostile)).await;
    delivered(&house).await;
    let calls = people.calls();
    assert!(calls.len() >= 2, "{}", calls.len());
    let mut largest = 0;
    for call in &calls {
        largest = largest.max(call.body.len());
        assert!(call.body.len() < 28 * 1024, "{}", call.body.len());
        call.assert_harmless("https://whodunit.example/investigations/");
    }
    println!("outlets: {} cards over 10 MB of hostile log, the largest has {largest} bytes", calls.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_as_before_is_one_line_only_for_whom_there_was_a_before() {
    let (all, critical) = (Receiver::start().await, Receiver::start().await);
    let mut second = teams(&critical);
    (second["name"], second["match"]) = (json!("critical"), json!({"severities": ["critical"]}));
    let house = house(json!([teams(&all), second])).await;
    fire(&house, "warning").await;
    delivered(&house).await;
    assert_eq!((all.calls().len(), critical.calls().len()), (1, 0));
    // It becomes critical: it is looked at again, with the same result.
    fire(&house, "critical").await;
    delivered(&house).await;
    let (again, first) = (all.calls()[1].texts(), critical.calls()[0].texts());
    assert!(again.contains("Looked again") && !again.contains("Runbook"), "{again}");
    assert!(!first.contains("Looked again") && first.contains("Runbook"), "{first}");
}

#[test]
fn config_check_reads_the_files_of_an_outlet_and_names_what_cannot_work_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let url = write("url", &format!("https://x.example/{HIDDEN}\n"));
    let keys = write("keys", &format!("{SECRET}\n\n{OTHER_SECRET}\n"));
    let check = |outlet: Value| {
        let file = write("whodunit.yaml", &json!({"outlets": [outlet]}).to_string());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_whodunit"));
        let output = command.args(["config", "check", "--config", &file]).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains(HIDDEN) && !said.contains(&SECRET[6..]), "{said}");
        (output.status.success(), said)
    };
    let good = json!({"name": "a", "kind": "webhook", "url_file": url, "secrets_file": keys});
    let (works, said) = check(good.clone());
    assert!(works, "{said}");
    for (key, value, why) in [
        ("secrets_file", json!(url), "outlets[0]: a secret is whsec_ and 24 to 64 random bytes"),
        ("url_file", json!("/nowhere/url"), "outlets[0].url_file: cannot read /nowhere/url"),
        ("kind", json!("teams"), "outlets[0]: Teams knows no secrets"),
        ("match", json!({"namespaces": ["[a"]}), "outlets[0]: `[a` is not a glob"),
        ("retries", json!(3), "retries"),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        let (works, said) = check(bad);
        assert!(!works && said.contains(why), "{key}: {said}");
    }
}
