//! What an Alertmanager lists by itself, beside what its webhooks brought.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use whodunit::settings;

use crate::house::{House, HouseOptions, PATIENCE, listen};

const STARTED: &str = "2026-11-21T07:03:19.889Z";

/// What the stand-in lists, and when it says that it started.
#[derive(Clone)]
struct Peer(Arc<Mutex<(Vec<Value>, String)>>);

impl Peer {
    async fn start() -> (Self, String) {
        let hour_ago = (Utc::now() - TimeDelta::hours(1)).to_rfc3339();
        let peer = Self(Arc::new(Mutex::new((Vec::new(), hour_ago))));
        let router =
            Router::new()
                .route(
                    "/api/v2/alerts",
                    get(|State(peer): State<Self>| async move { Json(peer.0.lock().unwrap().0.clone()) }),
                )
                .route(
                    "/api/v2/status",
                    get(|State(peer): State<Self>| async move {
                        Json(json!({"uptime": peer.0.lock().unwrap().1}))
                    }),
                )
                .with_state(peer.clone());
        let (listener, url) = listen().await;
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (peer, url)
    }

    fn lists(&self, alerts: &[Value]) {
        self.0.lock().unwrap().0 = alerts.to_vec();
    }

    fn started(&self, at: String) {
        self.0.lock().unwrap().1 = at;
    }
}

fn labels(deployment: &str) -> Value {
    json!({"alertname": "KubeDeploymentReplicasMismatch", "namespace": "prod-api", "deployment": deployment,
           "severity": "warning"})
}

fn listed(deployment: &str, receiver: &str, state: &str) -> Value {
    json!({"labels": labels(deployment), "annotations": {}, "startsAt": STARTED, "endsAt": "2030-01-01T00:00:00Z",
           "updatedAt": STARTED, "generatorURL": "", "fingerprint": fingerprint(deployment),
           "receivers": [{"name": receiver}], "status": {"state": state, "silencedBy": [], "inhibitedBy": []}})
}

/// Any 16 hex digits that both sides agree on.
fn fingerprint(deployment: &str) -> String {
    let sum: u64 =
        deployment.bytes().fold(7, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
    format!("{sum:016x}")
}

async fn webhook(house: &House, deployment: &str) {
    let body = json!({"version": "4", "groupKey": "g", "status": "firing", "receiver": "oncall", "alerts": [
        {"status": "firing", "labels": labels(deployment), "annotations": {}, "startsAt": STARTED,
         "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint(deployment)}]});
    assert_eq!(house.post("/webhooks/alertmanager", body.to_string()).await.0, 202);
}

async fn house(url: String) -> House {
    let adjust = move |settings: &mut settings::Settings| {
        settings.alertmanagers = vec![settings::Alertmanager { url, every_secs: 1, ..Default::default() }];
    };
    House::start(HouseOptions { with: Some(Box::new(adjust)), ..HouseOptions::default() }).await
}

async fn states(house: &House) -> Vec<(String, String)> {
    sqlx::query_as("select name, state from incidents order by name").fetch_all(&house.pool).await.unwrap()
}

async fn until(house: &House, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
    let end = Instant::now() + PATIENCE;
    while states(house).await != expected {
        assert!(Instant::now() < end, "{:?}, not {expected:?}", states(house).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_outage_lost_is_taken_in_and_what_ended_without_a_word_is_resolved() {
    let (peer, url) = Peer::start().await;
    let mut house = house(url).await;
    webhook(&house, "known").await;
    let known = listed("known", "oncall", "active");
    peer.lists(&[
        known.clone(),
        listed("lost", "oncall", "active"),
        listed("silenced", "oncall", "suppressed"),
        listed("elsewhere", "other-team", "active"),
    ]);
    until(&house, &[("known", "open"), ("lost", "open")]).await;
    assert_eq!(
        house.count("select sum(repeats) from alerts").await,
        0,
        "what is known is not taken in again"
    );
    house.settle().await;
    assert_eq!(house.count("select count(*) from investigations where state = 'done'").await, 2);

    // Silenced is not over; gone is, also when it went while nobody listened.
    house.stop().await;
    peer.lists(&[listed("lost", "oncall", "suppressed")]);
    house.restart().await;
    until(&house, &[("known", "resolved"), ("lost", "open")]).await;
    house.settle().await;
    let threads = house.slack.threads();
    let known = threads.iter().find(|thread| thread[0].text.contains("known")).unwrap();
    assert!(known[0].text.starts_with("Resolved"), "{:?}", known[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_over_by_the_word_of_one_that_never_listed_it_or_has_just_started() {
    let (peer, url) = Peer::start().await;
    let house = house(url).await;
    webhook(&house, "others").await;
    webhook(&house, "ours").await;
    peer.lists(&[listed("ours", "oncall", "active")]);
    let end = Instant::now() + PATIENCE;
    while house.count("select count(*) from alerts where listed_by is not null").await == 0 {
        assert!(Instant::now() < end, "never compared");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    peer.started(Utc::now().to_rfc3339());
    peer.lists(&[]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    until(&house, &[("others", "open"), ("ours", "open")]).await;
    peer.started((Utc::now() - TimeDelta::hours(1)).to_rfc3339());
    until(&house, &[("others", "open"), ("ours", "resolved")]).await;
}
