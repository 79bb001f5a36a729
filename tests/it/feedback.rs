//! What people say about investigations: feedback, mutes and re-runs, each once, each in the audit trail.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;
use whodunit::feedback::{self, Action, Actor, DEFAULT_MUTE, Fault, Verdict, Via};
use whodunit::report::Report;

use crate::house::{self, House, HouseOptions, fixture};

const ALERT: &str = "webhooks/alertmanager/006-firing-KubePodCrashLooping-n1.json";

fn actor() -> Actor {
    Actor::new("kim", Via::Slack)
}

fn once<'a>(by: &'a Actor, id: &'a str) -> Action<'a> {
    Action { by, id: Some(id) }
}

/// A house with one finished investigation, whose cause a signature named.
async fn investigated() -> (House, Uuid) {
    let house = House::start(HouseOptions::default()).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(ALERT)).await.0, 202);
    house.settle().await;
    let id = sqlx::query_scalar("select id from investigations where outcome = 'known_pattern'")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    (house, id)
}

async fn rerun(house: &House, investigation: Uuid) -> (Uuid, Value) {
    let by = actor();
    let action = Action { by: &by, id: None };
    let mut connection = house.pool.acquire().await.unwrap();
    let rerun = feedback::rerun(&mut connection, action, investigation).await.unwrap();
    assert!(!rerun.joined);
    house.settle().await;
    let report: Value = sqlx::query_scalar("select report from investigations where id = $1")
        .bind(rerun.investigation)
        .fetch_one(&house.pool)
        .await
        .unwrap();
    (rerun.investigation, report)
}

fn last_words(house: &House) -> String {
    let mut replies = house.slack.messages().into_iter().filter(|message| message.thread_ts.is_some());
    replies.next_back().map(|message| message.text).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_cause_gets_one_short_line_until_the_mute_is_over() {
    let (house, first) = investigated().await;
    let by = actor();
    let mut connection = house.pool.acquire().await.unwrap();
    let reason = "known, password=hunter2 is rotated on Monday";
    let action = once(&by, "click 1");
    let mute = feedback::mute(&mut connection, action, first, DEFAULT_MUTE, reason).await.unwrap();

    let said = house.slack.messages().len();
    let (_, report) = rerun(&house, first).await;
    assert_eq!(report["muted"]["mute"], json!(mute));
    assert_eq!(report["muted"]["by"], "kim");
    assert!(report["cause"]["id"].is_string(), "the report says what it is all the same");
    assert!(!report.to_string().contains("hunter2"));
    assert_eq!(house.slack.messages().len(), said + 1, "one line");
    assert!(last_words(&house).contains("is muted until"), "{}", last_words(&house));

    // By the database's clock.
    sqlx::query("update mutes set until = now() - interval '1 second'").execute(&house.pool).await.unwrap();
    let (_, report) = rerun(&house, first).await;
    assert_eq!(report["muted"], Value::Null);
    assert!(last_words(&house).contains("Looked again"), "{}", last_words(&house));
    let over = feedback::unmute(&mut connection, once(&by, "click 2"), mute).await;
    assert!(matches!(over, Err(Fault::NoMute)), "{over:?}");

    // Muted again, it is the same mute; lifted, it is none.
    let again = feedback::mute(&mut connection, once(&by, "click 3"), first, DEFAULT_MUTE, "").await.unwrap();
    assert_eq!(again, mute);
    feedback::unmute(&mut connection, once(&by, "click 4"), mute).await.unwrap();
    feedback::unmute(&mut connection, once(&by, "click 4"), mute).await.unwrap();
    assert_eq!(rerun(&house, first).await.1["muted"], Value::Null);
    for row in house.rows().await {
        assert!(!row.contains("hunter2"), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_incident_is_looked_at_again_and_two_who_ask_get_the_same_look() {
    let (mut house, first) = investigated().await;
    house.stop().await;
    sqlx::query("update incidents set state = 'resolved', resolved_at = now()")
        .execute(&house.pool)
        .await
        .unwrap();
    let by = actor();
    let mut connection = house.pool.acquire().await.unwrap();
    let (pool, other) = (house.pool.clone(), actor());
    let clicked_twice = async {
        let mut connection = pool.acquire().await.unwrap();
        feedback::rerun(&mut connection, once(&other, "click"), first).await.unwrap()
    };
    let (one, two) = tokio::join!(feedback::rerun(&mut connection, once(&by, "click"), first), clicked_twice);
    let one = one.unwrap();
    assert_eq!((one, one.joined), (two, false), "done once, told twice");
    sqlx::query("update investigations set run_at = now() + interval '1 hour' where state = 'queued'")
        .execute(&house.pool)
        .await
        .unwrap();
    let third = feedback::rerun(&mut connection, once(&by, "another click"), first).await.unwrap();
    assert_eq!((third.investigation, third.joined), (one.investigation, true));
    assert_eq!(house.count("select count(*) from investigations where reason = 'rerun'").await, 1);
    assert_eq!(house.count("select count(*) from audit where action = 'rerun'").await, 2);
    house.restart().await;
    house.settle().await;
    let done = "select count(*) from investigations where reason = 'rerun' and outcome = 'known_pattern'";
    assert_eq!(house.count(done).await, 1, "the one that was joined waited no longer");
}

/// An investigation that was done, with this report.
async fn done(pool: &PgPool, report: &Value) -> Uuid {
    let (incident, id) = (Uuid::now_v7(), Uuid::now_v7());
    sqlx::query(
        "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names)
         values ($1, 'lab/shop/Deployment/cart', 'lab', 'shop', 'Deployment', 'cart', 'open', 'warning', 't', '{A}')",
    )
    .bind(incident)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into investigations (id, incident_id, state, reason, workload, cluster, namespace, alert_name, report)
         select $1, id, 'done', 'opened', workload, cluster, namespace, 'A', $3 from incidents where id = $2",
    )
    .bind(id)
    .bind(incident)
    .bind(report)
    .execute(pool)
    .await
    .unwrap();
    id
}

fn report(outcome: &str, cause: &str, object: &str) -> Value {
    json!({
        "outcome": outcome, "summary": "s", "confidence": "high",
        "cause": {"id": cause, "category": "configuration", "statement": "s",
                  "object": {"cluster": "lab", "kind": "ConfigMap", "namespace": "shop", "name": object}},
        "affected": {"radius": "none", "workloads": [], "pods": {"unhealthy": 0, "total": 0}, "shared_factor": null},
        "findings": [], "timeline": [], "evidence": [], "ruled_out": [], "next_steps": [],
        "runbook": {"name": "", "revision": "", "coverage": "none"},
        "cost": {"steps": 0, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "usd": 0.0, "seconds": 0.0},
    })
}

#[tokio::test]
async fn a_signature_s_cause_is_muted_on_any_object_and_an_agent_s_on_its_own_only() {
    let read = |value: Value| serde_json::from_value::<Report>(value).unwrap();
    let workload = "lab/shop/Deployment/cart";
    for (outcome, elsewhere) in [("known_pattern", true), ("root_cause", false)] {
        let pool = house::pool().await;
        let id = done(&pool, &report(outcome, "configuration", "a")).await;
        let mut connection = pool.acquire().await.unwrap();
        let by = actor();
        feedback::mute(&mut connection, once(&by, "1"), id, DEFAULT_MUTE, "").await.unwrap();
        for (workload, cause, object, expected) in [
            (workload, "configuration", "a", true),
            (workload, "configuration", "b", elsewhere),
            (workload, "code", "a", false),
            ("lab/shop/Deployment/other", "configuration", "a", false),
        ] {
            let report = read(report(outcome, cause, object));
            let muted = feedback::in_force(&mut connection, workload, &report).await.unwrap();
            assert_eq!(muted.is_some(), expected, "{outcome}: {workload} {cause} {object}");
        }
    }
}

#[tokio::test]
async fn a_later_word_of_the_same_author_replaces_the_one_before() {
    let pool = house::pool().await;
    let id = done(&pool, &report("root_cause", "code", "a")).await;
    let mut connection = pool.acquire().await.unwrap();
    let (kim, lee) = (actor(), Actor::new("lee", Via::Page));
    let said = |by: &Actor, verdict| (by.clone(), verdict);
    for (place, (by, verdict)) in
        [said(&kim, Verdict::Helpful), said(&lee, Verdict::Helpful), said(&kim, Verdict::Unhelpful)]
            .iter()
            .enumerate()
    {
        let action = place.to_string();
        feedback::rate(&mut connection, once(by, &action), id, *verdict, "because").await.unwrap();
    }
    // The first click arrives again: it is old news.
    feedback::rate(&mut connection, once(&kim, "0"), id, Verdict::Helpful, "because").await.unwrap();
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("select author, verdict, via from feedback order by author")
            .fetch_all(&pool)
            .await
            .unwrap();
    let row =
        |author: &str, verdict: &str, via: &str| (author.to_owned(), verdict.to_owned(), via.to_owned());
    assert_eq!(rows, [row("kim", "unhelpful", "slack"), row("lee", "helpful", "page")]);
    let trail: i64 = sqlx::query_scalar("select count(*) from audit").fetch_one(&pool).await.unwrap();
    assert_eq!(trail, 3);
}

#[tokio::test]
async fn what_cannot_be_done_says_why_and_leaves_no_line_in_the_trail() {
    let pool = house::pool().await;
    let mut connection = pool.acquire().await.unwrap();
    let by = actor();
    let mut without_cause = report("inconclusive", "x", "a");
    without_cause["cause"] = Value::Null;
    let id = done(&pool, &without_cause).await;
    let nobody = Uuid::now_v7();
    let mute = feedback::mute(&mut connection, once(&by, "1"), id, DEFAULT_MUTE, "").await;
    assert!(matches!(mute, Err(Fault::NoCause)), "{mute:?}");
    for seconds in [0, 59, 91 * 24 * 3600] {
        let mute =
            feedback::mute(&mut connection, once(&by, "1"), id, Duration::from_secs(seconds), "").await;
        assert!(matches!(mute, Err(Fault::BadDuration)), "{mute:?}");
    }
    let rerun = feedback::rerun(&mut connection, once(&by, "1"), nobody).await;
    assert!(matches!(rerun, Err(Fault::NoInvestigation)), "{rerun:?}");
    for bad in ["", "a\0b", &"x".repeat(201)] {
        let rated = feedback::rate(&mut connection, once(&by, bad), id, Verdict::Helpful, "").await;
        assert!(matches!(rated, Err(Fault::BadActionId)), "{rated:?}");
    }
    let trail: i64 = sqlx::query_scalar("select count(*) from audit").fetch_one(&pool).await.unwrap();
    assert_eq!(trail, 0);
    feedback::rate(&mut connection, once(&by, "1"), id, Verdict::Helpful, "").await.unwrap();
    let other = feedback::rerun(&mut connection, once(&by, "1"), id).await;
    assert!(matches!(other, Err(Fault::OtherAction)), "{other:?}");
    // Another's id is another id.
    let lee = Actor::new("lee", Via::Slack);
    feedback::rerun(&mut connection, once(&lee, "1"), id).await.unwrap();
}

#[tokio::test]
async fn the_trail_and_mutes_that_are_over_are_forgotten_after_a_time() {
    let pool = house::pool().await;
    let mut connection = pool.acquire().await.unwrap();
    let by = actor();
    let id = done(&pool, &report("root_cause", "code", "a")).await;
    feedback::mute(&mut connection, once(&by, "1"), id, DEFAULT_MUTE, "").await.unwrap();
    sqlx::query("update audit set at = now() - interval '3 days'").execute(&pool).await.unwrap();
    assert_eq!(feedback::retention::forget(&pool, 2, 100).await.unwrap(), 1, "the mute holds");
    sqlx::query("update mutes set until = now() - interval '3 days'").execute(&pool).await.unwrap();
    assert_eq!(feedback::retention::forget(&pool, 2, 100).await.unwrap(), 1);
    assert_eq!(feedback::retention::forget(&pool, 2, 100).await.unwrap(), 0);
}
