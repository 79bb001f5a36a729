//! The recorded webhooks, replayed: what Alertmanager really sent during one hour of a broken cluster.

use serde_json::Value;

use crate::house::{House, HouseOptions, recorded_webhooks};

/// Long enough that no investigation begins while the bodies are posted: the numbers are exact.
const LATER: u64 = 3600;

async fn post_all(house: &House, bodies: &[Vec<u8>]) -> Vec<Value> {
    let mut receipts = Vec::new();
    for body in bodies {
        let (status, receipt) = house.post("/webhooks/alertmanager", body.clone()).await;
        assert_eq!(status, 202, "{receipt}");
        receipts.push(receipt);
    }
    receipts
}

/// Everything that a replay must not change.
async fn rows(house: &House) -> Vec<(String, String, String, String)> {
    sqlx::query_as(
        "select a.source || ' ' || a.fingerprint || ' ' || a.starts_at || ' ' || a.status, a.decision,
                coalesce(i.workload, '-'), coalesce(i.state, '-')
         from alerts a left join incidents i on i.id = a.incident_id order by 1",
    )
    .fetch_all(&house.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_hour_becomes_exactly_these_incidents() {
    let house = House::start(HouseOptions { settle_secs: LATER, ..HouseOptions::default() }).await;
    let mut receipts = Vec::new();
    for body in recorded_webhooks() {
        receipts.extend(post_all(&house, &[body]).await);
        // Critical alerts do not wait: each is done before the next body comes, so that the numbers are exact.
        house.idle().await;
    }
    let sum = |key: &str| receipts.iter().map(|receipt| receipt[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("alerts"), sum("new"), sum("repeats"), sum("ignored")), (59, 33, 26, 0));
    let incidents: Vec<(String, String, i32, i64, i64)> = sqlx::query_as(
        "select i.workload, i.state, i.alerts,
                (select count(*) from investigations v where v.incident_id = i.id),
                (select count(*) from investigations v where v.incident_id = i.id and v.state = 'cancelled')
         from incidents i order by 1",
    )
    .fetch_all(&house.pool)
    .await
    .unwrap();
    let lines: Vec<String> = incidents
        .into_iter()
        .map(|(workload, state, alerts, investigations, cancelled)| {
            format!(
                "{workload}: {state}, {alerts} alerts, {investigations} investigations, {cancelled} cancelled"
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    lab//Cluster/legacy-billing: open, 1 alerts, 1 investigations, 0 cancelled
    lab/prod-api/Deployment/analytics-service: open, 3 alerts, 1 investigations, 0 cancelled
    lab/prod-api/Deployment/api-gateway: open, 5 alerts, 2 investigations, 0 cancelled
    lab/prod-api/Deployment/auth-service: open, 3 alerts, 1 investigations, 0 cancelled
    lab/prod-api/Deployment/payment-service: open, 5 alerts, 2 investigations, 0 cancelled
    lab/prod-api/Deployment/user-service: open, 3 alerts, 1 investigations, 0 cancelled
    lab/shop/Deployment/catalog: open, 1 alerts, 1 investigations, 0 cancelled
    lab/shop/Deployment/checkout: resolved, 4 alerts, 2 investigations, 2 cancelled
    lab/shop/Deployment/inventory: open, 5 alerts, 2 investigations, 1 cancelled
    lab/shop/Deployment/search: open, 2 alerts, 1 investigations, 0 cancelled
    lab/shop/Job/db-seed: open, 1 alerts, 1 investigations, 0 cancelled
    ");
    let decisions: Vec<(String, i64)> =
        sqlx::query_as("select decision, count(*) from alerts group by 1 order by 1")
            .fetch_all(&house.pool)
            .await
            .unwrap();
    let decisions: Vec<String> =
        decisions.into_iter().map(|(word, count)| format!("{word}: {count}")).collect();
    insta::assert_snapshot!(decisions.join("\n"), @r"
    attach: 14
    open: 11
    reopen: 2
    resolve: 6
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_everything_five_times_and_shuffled_changes_no_row() {
    let house = House::start(HouseOptions { settle_secs: LATER, ..HouseOptions::default() }).await;
    let bodies = recorded_webhooks();
    post_all(&house, &bodies).await;
    let before = rows(&house).await;
    let investigations = house.count("select count(*) from investigations").await;
    let mut shuffled: Vec<Vec<u8>> = (0..5).flat_map(|_| bodies.clone()).collect();
    shuffle(&mut shuffled);
    let receipts = post_all(&house, &shuffled).await;
    assert!(receipts.iter().all(|receipt| receipt["new"] == 0), "{receipts:?}");
    assert_eq!(rows(&house).await, before);
    assert_eq!(house.count("select count(*) from investigations").await, investigations);
    let alerts = house.count("select count(*) from alerts").await;
    let repeats = house.count("select sum(repeats)::int8 from alerts").await;
    let sent = 6 * bodies.iter().map(|body| alerts_in(body)).sum::<i64>();
    assert_eq!(alerts + repeats, sent, "every alert that was sent is a row or a counted repeat");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_any_order_and_at_once_no_workload_has_two_open_incidents_and_no_alert_two_rows() {
    let house = House::start(HouseOptions { settle_secs: LATER, ..HouseOptions::default() }).await;
    let mut bodies: Vec<Vec<u8>> = (0..3).flat_map(|_| recorded_webhooks()).collect();
    shuffle(&mut bodies);
    let posts = bodies.iter().map(|body| house.post("/webhooks/alertmanager", body.clone()));
    let answers = futures::future::join_all(posts).await;
    assert!(answers.iter().all(|(status, _)| *status == 202), "{answers:?}");
    let doubles = "select count(*) from (select 1 from incidents where state = 'open'
                   group by workload having count(*) > 1) as doubled";
    assert_eq!(house.count(doubles).await, 0);
    let alerts = house.count("select count(*) from alerts").await;
    let repeats = house.count("select sum(repeats)::int8 from alerts").await;
    assert_eq!(alerts + repeats, bodies.iter().map(|body| alerts_in(body)).sum::<i64>());
}

fn alerts_in(body: &[u8]) -> i64 {
    let body: Value = serde_json::from_slice(body).unwrap();
    i64::try_from(body["alerts"].as_array().unwrap().len()).unwrap()
}

/// Fisher-Yates with a fixed linear congruence: shuffled, and the same in every run.
fn shuffle<T>(items: &mut [T]) {
    let mut state: u64 = 42;
    for last in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(state >> 33).unwrap() % (last + 1);
        items.swap(last, pick);
    }
}
