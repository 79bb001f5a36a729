//! Every alert that was received is somewhere, also when what it led to is long deleted.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whodunit::incident::tally::{self, Tally};

use crate::house::{House, HouseOptions, PATIENCE, database};

const ALERTMANAGER: &str = "/webhooks/alertmanager";

fn alert(name: &str, deployment: &str, status: &str) -> Value {
    let ends_at = if status == "resolved" { "2026-11-21T08:03:19.889Z" } else { "0001-01-01T00:00:00Z" };
    json!({
        "status": status, "startsAt": "2026-11-21T07:03:19.889Z", "endsAt": ends_at, "generatorURL": "",
        "labels": {"alertname": name, "namespace": "prod-api", "deployment": deployment, "severity": "warning"},
        "annotations": {},
    })
}

async fn post(house: &House, alerts: &[Value]) {
    let body =
        json!({"version": "4", "groupKey": "g", "status": "firing", "receiver": "r", "alerts": alerts});
    assert_eq!(house.post(ALERTMANAGER, body.to_string()).await.0, 202);
}

async fn tallied(house: &House) -> Tally {
    let tally = tally::read(&house.pool).await.unwrap();
    assert!(tally.adds_up(), "{tally:?}");
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_is_in_one_place_and_stays_counted_when_it_is_forgotten() {
    let house = House::start(HouseOptions {
        with: Some(Box::new(|settings| {
            settings.retention.alerts_days = 10;
            settings.retention.evidence_days = 5;
            settings.retention.incidents_days = 20;
        })),
        ..HouseOptions::default()
    })
    .await;
    let first = [alert("A", "payment-service", "firing"), alert("Watchdog", "w", "firing")];
    post(&house, &first).await;
    post(&house, &first).await;
    house.settle().await;
    post(&house, &[alert("A", "payment-service", "resolved"), alert("B", "auth-service", "firing")]).await;
    house.settle().await;
    let expected = Tally { received: 6, repeated: 2, ignored: 1, attached: 1, queued: 0, done: 2, dead: 0 };
    assert_eq!(tallied(&house).await, expected);

    // Twelve days later: alerts and evidence of what is over are forgotten, its report is not.
    age(&house, 12).await;
    until_forgotten(&house, "select count(*) from alerts", 1).await;
    assert_eq!(house.count("select count(*) from steps").await, 0);
    assert_eq!(house.count("select count(*) from investigations where report is not null").await, 2);
    assert_eq!(tallied(&house).await, expected);
    // Ten more: the incident that is over goes with all that hangs on it, the open one stays.
    age(&house, 10).await;
    until_forgotten(&house, "select count(*) from incidents", 1).await;
    assert_eq!(house.count("select count(*) from incidents where state = 'open'").await, 1);
    assert_eq!(house.count("select count(distinct incident_id) from announcements").await, 1);
    assert_eq!(tallied(&house).await, expected);
}

/// Lets days pass, and makes retention due.
async fn age(house: &House, days: i32) {
    for statement in [
        "update alerts set received_at = received_at - make_interval(days => $1)",
        "update investigations set finished_at = finished_at - make_interval(days => $1)",
        "update incidents set resolved_at = resolved_at - make_interval(days => $1)",
    ] {
        sqlx::query(statement).bind(days).execute(&house.pool).await.unwrap();
    }
    sqlx::query("delete from chores where name = 'retention'").execute(&house.pool).await.unwrap();
}

async fn until_forgotten(house: &House, query: &'static str, left: i64) {
    let end = Instant::now() + PATIENCE;
    while house.count(query).await != left {
        assert!(Instant::now() < end, "{query}: {}", house.count(query).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The round goes on with what hangs on it.
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_prints_the_counts_and_fails_when_they_do_not_add_up() {
    let (pool, url) = database().await;
    let stats = || {
        let mut stats = Command::new(env!("CARGO_BIN_EXE_whodunit"));
        stats.args(["stats", "--output", "json"]).env("WHODUNIT_DATABASE__URL", &url);
        stats.output().unwrap()
    };
    let output = stats();
    assert!(output.status.success(), "{output:?}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&read["alerts"]["received"], &read["adds_up"]), (&json!(0), &json!(true)), "{read}");
    sqlx::query("insert into tallies (name, slot, count) values ('received', 0, 3)")
        .execute(&pool)
        .await
        .unwrap();
    let output = stats();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&read["alerts"]["received"], &read["adds_up"]), (&json!(3), &json!(false)), "{read}");
}
