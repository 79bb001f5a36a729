//! Where incidents are told: the first route that fits names the channel, once; a thread goes on where it began, even
//! when what is known of its incident changes.

use std::path::Path;

use serde_json::{Value, json};
use whodunit::settings::{Route, Settings};

use crate::house::{House, HouseOptions};

const FIRST: &str = "2026-11-21T07:03:19.889Z";
const OVER: &str = "2026-11-21T07:13:19.889Z";

fn routes() -> Vec<Route> {
    serde_json::from_value(json!([
        {"match": {"owners": ["#team-*"]}, "channel": "#data"},
        {"match": {"severities": ["critical"], "namespaces": ["shop"]}, "channel": "#shop-critical"},
    ]))
    .unwrap()
}

async fn house() -> House {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/routes/runbooks");
    let adjust: fn(&mut Settings) = |settings| settings.slack.routes = routes();
    House::start(HouseOptions { adjust: Some(adjust), runbooks: vec![folder], ..HouseOptions::default() })
        .await
}

fn body(status: &str, severity: &str, pod: &str, name: &str) -> String {
    let ends_at = if status == "resolved" { OVER } else { "0001-01-01T00:00:00Z" };
    let labels = json!({"alertname": name, "container": "app", "namespace": "shop", "pod": pod,
                        "severity": severity, "cluster": "lab"});
    let alert: Value = json!({
        "status": status, "startsAt": FIRST, "endsAt": ends_at, "generatorURL": "",
        "labels": labels, "annotations": {"summary": "It is down."},
    });
    json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": status, "receiver": "r",
           "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]})
    .to_string()
}

async fn post(house: &House, body: String) {
    let (status, receipt) = house.post("/webhooks/alertmanager", body).await;
    assert_eq!(status, 202, "{receipt}");
    house.settle().await;
}

async fn told(house: &House) -> Vec<(String, String)> {
    sqlx::query_as("select channel, coalesce(route_reason, '') from announcements order by created_at, id")
        .fetch_all(&house.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_told_in_the_channel_of_its_route_from_first_to_last() {
    let house = house().await;
    post(&house, body("firing", "warning", "a-5d4f6c7b8-abcde", "A")).await;
    assert!(told(&house).await.iter().all(|(channel, _)| channel == "#alerts"), "{:?}", told(&house).await);
    // It becomes critical, which another route takes: the thread stays where it is.
    post(&house, body("firing", "critical", "a-5d4f6c7b8-abcde", "A")).await;
    post(&house, body("resolved", "critical", "a-5d4f6c7b8-abcde", "A")).await;
    post(&house, body("resolved", "warning", "a-5d4f6c7b8-abcde", "A")).await;
    let all = told(&house).await;
    assert!(all.len() >= 4, "{all:?}");
    assert!(all.iter().all(|(channel, _)| channel == "#alerts"), "{all:?}");
    assert_eq!(all[0].1, "slack.channel: no route fits");

    post(&house, body("firing", "critical", "b-5d4f6c7b8-abcde", "A")).await;
    let threads = house.slack.threads();
    let last = threads.last().unwrap();
    assert!(last.len() >= 2, "{last:#?}");
    assert!(
        last.iter().all(|message| house.slack.channel_name(&message.channel) == "#shop-critical"),
        "{last:#?}"
    );
    assert_eq!(threads.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_runbook_that_will_be_chosen_is_known_when_the_head_is_written() {
    let house = house().await;
    post(&house, body("firing", "critical", "click-5d4f6c7b8-abcde", "ClickHouseDown")).await;
    let all = told(&house).await;
    assert!(all.iter().all(|(channel, _)| channel == "#data"), "{all:?}");
    assert_eq!(all[0].1, "slack.routes[0]: runbook owner #team-data fits `#team-*`");
    let used: String =
        sqlx::query_scalar("select runbook from investigations").fetch_one(&house.pool).await.unwrap();
    assert_eq!(used, "clickhouse", "the same runbook is followed");
}
