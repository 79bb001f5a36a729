//! What people do through the API, from the request to Slack: feedback, mutes, re-runs, questions, and alerts that
//! Prometheus posts by itself.

use serde_json::{Value, json};

use crate::house::{House, HouseOptions, fixture};

const ALERT: &str = "webhooks/alertmanager/006-firing-KubePodCrashLooping-n1.json";

async fn open_house() -> House {
    House::start(HouseOptions {
        adjust: Some(|settings| settings.api.open_writes = true),
        ..HouseOptions::default()
    })
    .await
}

async fn send(house: &House, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let request = house.http.request(method.parse().unwrap(), format!("{}{path}", house.base_url));
    let answer = request.header("idempotency-key", key).json(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_investigation_is_rated_muted_and_run_again_over_the_api_and_the_trail_tells_of_it() {
    let house = open_house().await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(ALERT)).await.0, 202);
    house.settle().await;
    let list = house.get("/api/v1/investigations?outcome=known_pattern").await.1;
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/investigations/{id}");

    let said = json!({"verdict": "unhelpful", "reason": "password=hunter2 is the cause"});
    assert_eq!(send(&house, "POST", &format!("{path}/feedback"), "1", &said).await, (204, Value::Null));
    let feedback = house.get(&path).await.1["feedback"].clone();
    assert_eq!((&feedback[0]["verdict"], &feedback[0]["author"]), (&json!("unhelpful"), &json!("anybody")));
    assert!(!feedback.to_string().contains("hunter2"), "{feedback}");

    let (status, muted) = send(&house, "POST", &format!("{path}/mute"), "2", &json!({"seconds": 3600})).await;
    assert_eq!(status, 201);
    assert_eq!(
        send(&house, "POST", &format!("{path}/mute"), "2", &json!({"seconds": 60})).await,
        (201, muted.clone())
    );
    let mutes = house.get("/api/v1/mutes").await.1;
    assert_eq!(mutes["items"][0]["id"], muted["mute"]);
    let (status, queued) = send(&house, "POST", &format!("{path}/rerun"), "3", &Value::Null).await;
    assert_eq!((status, &queued["joined"]), (202, &json!(false)));
    assert_eq!(
        send(&house, "POST", &format!("{path}/rerun"), "3", &Value::Null).await,
        (202, queued.clone())
    );
    assert_eq!(send(&house, "POST", &format!("{path}/feedback"), "3", &said).await.0, 409, "another's key");
    house.settle().await;
    let again = format!("/api/v1/investigations/{}", queued["investigation"].as_str().unwrap());
    assert_eq!(house.get(&again).await.1["report"]["muted"]["mute"], muted["mute"]);

    let unmute = format!("/api/v1/mutes/{}", muted["mute"].as_str().unwrap());
    assert_eq!(send(&house, "DELETE", &unmute, "4", &Value::Null).await.0, 204);
    assert_eq!(send(&house, "DELETE", &unmute, "4", &Value::Null).await.0, 204, "the same once more");
    assert_eq!(send(&house, "DELETE", &unmute, "5", &Value::Null).await.0, 404);
    let trail = house.get("/api/v1/audit").await.1;
    let actions: Vec<&Value> =
        trail["items"].as_array().unwrap().iter().map(|line| &line["action"]).collect();
    assert_eq!(actions, ["unmute", "rerun", "mute", "rate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_is_investigated_because_somebody_asks_and_its_thread_says_who() {
    let house = open_house().await;
    let body =
        json!({"cluster": "lab", "namespace": "prod-api", "kind": "Deployment", "name": "user-service"});
    let (status, queued) = send(&house, "POST", "/api/v1/investigations", "1", &body).await;
    assert_eq!((status, &queued["joined"]), (202, &json!(false)), "{queued}");
    house.settle().await;
    let path = format!("/api/v1/investigations/{}", queued["investigation"].as_str().unwrap());
    let found = house.get(&path).await.1;
    assert_eq!((&found["state"], &found["outcome"]), (&json!("done"), &json!("known_pattern")), "{found}");
    assert_eq!(found["workload"], "lab/prod-api/Deployment/user-service");
    let messages = house.slack.messages();
    assert!(messages.iter().any(|message| message.thread_ts.is_none() && message.blocks.to_string().contains("anybody asks")), "{messages:#?}");

    // The same request again, after the incident is over: nothing is opened.
    sqlx::query("update incidents set state = 'resolved', resolved_at = now()")
        .execute(&house.pool)
        .await
        .unwrap();
    assert_eq!(send(&house, "POST", "/api/v1/investigations", "1", &body).await, (202, queued.clone()));
    assert_eq!(house.count("select count(*) from investigations").await, 1);
    assert_eq!(house.count("select count(*) from incidents where state = 'open'").await, 0);
    let other = json!({"cluster": "lab", "namespace": "prod-api", "kind": "Deployment", "name": "other"});
    assert_eq!(send(&house, "POST", "/api/v1/investigations", "1", &other).await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_prometheus_posts_by_itself_open_and_resolve_an_incident() {
    let token = "webhook-token";
    let options = HouseOptions { webhook_token: Some(token.to_owned()), ..HouseOptions::default() };
    let house = House::start(options).await;
    let alert = |ends_at: &str| {
        json!([{"labels": {"alertname": "KubePodCrashLooping", "namespace": "prod-api", "deployment": "user-service",
            "severity": "critical"}, "annotations": {"summary": "s"}, "startsAt": "2026-11-21T07:00:00Z",
            "endsAt": ends_at, "generatorURL": "http://prometheus/graph"}])
    };
    let post = async |token: &str, body: Value| {
        let request = house.http.post(format!("{}/api/v2/alerts", house.base_url)).bearer_auth(token);
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("another", alert("2100-01-01T00:00:00Z")).await, 401);
    assert_eq!(post(token, json!({"alerts": []})).await, 400);
    assert_eq!(post(token, alert("2100-01-01T00:00:00Z")).await, 202);
    assert_eq!(post(token, alert("2100-01-01T00:04:00Z")).await, 202, "again, with a later end");
    house.settle().await;
    assert_eq!(house.count("select count(*) from incidents where state = 'open'").await, 1);
    assert_eq!(house.count("select count(*) from investigations where outcome = 'known_pattern'").await, 1);
    assert_eq!(post(token, alert("2026-11-21T07:05:00Z")).await, 202);
    assert_eq!(house.count("select count(*) from incidents where state = 'resolved'").await, 1);
}
