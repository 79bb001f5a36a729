//! The front door: what a sender hears, and that it hears it in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{House, HouseOptions, recorded_webhooks};

const ALERTMANAGER: &str = "/webhooks/alertmanager";

fn body(alerts: &[Value]) -> String {
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "r",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": alerts,
    })
    .to_string()
}

fn alert(number: usize) -> Value {
    json!({
        "status": "firing", "fingerprint": format!("{number:016x}"), "generatorURL": "",
        "startsAt": "2026-11-21T07:03:19.889Z", "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "KubeDeploymentReplicasMismatch", "namespace": "load",
                   "deployment": format!("d-{}", number % 1000), "severity": "warning"},
        "annotations": {"summary": "too few replicas"},
    })
}

async fn quiet() -> House {
    House::start(HouseOptions { settle_secs: 3600, ..HouseOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_alerts_in_one_post_are_all_kept() {
    let house = quiet().await;
    let alerts: Vec<Value> = (0..10_000).map(alert).collect();
    let (status, receipt) = house.post(ALERTMANAGER, body(&alerts)).await;
    assert_eq!((status, &receipt["new"]), (202, &json!(10_000)), "{receipt}");
    assert_eq!(house.count("select count(*) from alerts").await, 10_000);
    assert_eq!(house.count("select count(*) from incidents").await, 1000);
    assert_eq!(house.count("select count(*) from investigations").await, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_labels_are_kept_sanitised_and_acknowledged() {
    let house = quiet().await;
    let text = body(&[alert(1)])
        .replace("\"load\"", r#""lo\u0000ad\ud800""#)
        .replace("\"summary\":\"too few", "\"\":\"\",\"summary\":\"x\",\"summary\":\"too few");
    let mut bytes = text.into_bytes();
    let place = bytes.windows(7).position(|window| window == b"too few").unwrap();
    bytes[place] = 0xff;
    let (status, receipt) = house.post(ALERTMANAGER, bytes).await;
    assert_eq!((status, &receipt["new"]), (202, &json!(1)), "{receipt}");
    let namespace: String = sqlx::query_scalar("select body->'labels'->>'namespace' from alerts")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    assert!(
        namespace.starts_with("lo") && namespace.contains("ad") && !namespace.contains('\0'),
        "{namespace:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_and_the_farthest_year_and_a_nameless_alert_are_kept() {
    let house = quiet().await;
    let mut first = alert(1);
    first["startsAt"] = json!("0001-01-01T00:00:00Z");
    let mut last = alert(2);
    last["startsAt"] = json!("9999-12-31T23:59:59.999999999Z");
    let mut nameless = alert(3);
    nameless["labels"] = json!({});
    let (status, receipt) = house.post(ALERTMANAGER, body(&[first, last, nameless])).await;
    assert_eq!((status, &receipt["new"]), (202, &json!(3)), "{receipt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_either_of_two_right_ones_is_not() {
    let house =
        House::start(HouseOptions { webhook_token: Some("right".to_owned()), ..HouseOptions::default() })
            .await;
    let url = format!("{}{ALERTMANAGER}", house.base_url);
    let post = |token: &'static str| house.http.post(&url).bearer_auth(token).body(body(&[])).send();
    assert_eq!(post("wrong").await.unwrap().status(), 401);
    assert_eq!(post("right").await.unwrap().status(), 202);
    assert_eq!(house.post(ALERTMANAGER, body(&[])).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_parse_is_told_where_it_is_wrong() {
    let house = quiet().await;
    let (status, problem) = house.post(ALERTMANAGER, r#"{"version":"4","alerts":[{"labels":7}]}"#).await;
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().unwrap().contains("alerts[0].labels"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_senders_hear_503_soon_and_nothing_is_lost_when_it_is_back() {
    let house = quiet().await;
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&house.pool).await.unwrap();
    let admin = crate::house::admin().await;
    let away = format!("alter database {name} with allow_connections false");
    sqlx::raw_sql(sqlx::AssertSqlSafe(away)).execute(&admin).await.unwrap();
    let kick = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
    sqlx::query(kick).bind(&name).execute(&admin).await.unwrap();

    let bodies = recorded_webhooks();
    let asked = Instant::now();
    let request = house.http.post(format!("{}{ALERTMANAGER}", house.base_url)).body(bodies[0].clone());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    // The service gives up after 0.8 s (seen: 0.7 s); the rest is room for a busy machine.
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());

    let back = format!("alter database {name} with allow_connections true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(back)).execute(&admin).await.unwrap();
    let until = Instant::now() + crate::house::PATIENCE;
    while house.post(ALERTMANAGER, bodies[0].clone()).await.0 != 202 {
        assert!(Instant::now() < until, "the service did not come back with its database");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(house.count("select count(*) from alerts").await, 1);
}
