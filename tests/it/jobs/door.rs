//! Where Jobs call: strangers, tokens of attempts that are over, and a Job that tells what it was not asked.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use whodunit::settings::Settings;

use super::kubelet::{Fate, Tenant, variable};
use super::{POST, house, of_deployment};
use crate::house::{House, HouseOptions, PATIENCE};

async fn called(house: &House, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
    let mut request = house.http.post(format!("{}{path}", house.base_url)).body(body.to_owned());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

const NEXT: &str = "/job/v1/next";
const FIRST: &str = r#"{"after": 0}"#;

/// A Job that never runs: the test is its process. Its token, once it is created.
async fn posing() -> (std::sync::Arc<Tenant>, House, String) {
    let tenant =
        Tenant::start(vec![Fate::Waits("ContainerCreating"), Fate::Waits("ContainerCreating")]).await;
    let options = HouseOptions { max_attempts: Some(1), ..HouseOptions::default() };
    let house = house(&tenant, options).await;
    assert_eq!(house.post(POST, of_deployment("prod-api", "user-service")).await.0, 202);
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(job) = tenant.jobs().first() {
            let token = variable(job, "WHODUNIT_READER_TOKEN");
            return (tenant, house, token);
        }
        assert!(std::time::Instant::now() < until, "no Job was created");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_of_an_attempt_that_runs_opens_the_door() {
    let (_tenant, house, token) = posing().await;
    for stranger in [None, Some(""), Some("x"), Some("a".repeat(64).as_str())] {
        assert_eq!(called(&house, NEXT, stranger, FIRST).await.0, 401, "{stranger:?}");
        assert_eq!(called(&house, "/job/v1/answers/1", stranger, "{}").await.0, 401, "{stranger:?}");
    }
    let hash: Vec<u8> = Sha256::digest(token.as_bytes()).to_vec();
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("select token_hash from readers").fetch_all(&house.pool).await.unwrap();
    assert_eq!(kept, [hash]);

    let (status, told) = called(&house, NEXT, Some(&token), FIRST).await;
    assert_eq!(status, 200, "{told}");
    let question = &told["questions"][0];
    assert_eq!(
        (&question["number"], &question["question"]["gather"]["workload"]["name"]),
        (&json!(1), &json!("user-service"))
    );
    // Another number, nonsense, too much: nothing is kept.
    let failed = r#"{"failed": "no"}"#;
    assert_eq!(called(&house, "/job/v1/answers/7", Some(&token), failed).await.0, 409);
    assert_eq!(called(&house, "/job/v1/answers/1", Some(&token), "{\"found\": 1}").await.0, 400);
    assert_eq!(called(&house, NEXT, Some(&token), "no JSON").await.0, 400);
    assert_eq!(house.count("select count(*) from questions where answer is not null").await, 0);

    assert_eq!(called(&house, "/job/v1/answers/1", Some(&token), failed).await.0, 204);
    assert_ne!(
        called(&house, "/job/v1/answers/1", Some(&token), failed).await.0,
        204,
        "an answer is given once"
    );
    house.settle().await;
    assert_eq!(called(&house, NEXT, Some(&token), FIRST).await.0, 410, "the attempt is over");
    assert_eq!(called(&house, "/job/v1/answers/1", Some(&token), failed).await.0, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_speaks_for_its_own_workload_alone() {
    let (_tenant, house, token) = posing().await;
    let (_, told) = called(&house, NEXT, Some(&token), FIRST).await;
    let mut workload = told["questions"][0]["question"]["gather"]["workload"].clone();
    workload["namespace"] = json!("monitoring");
    let workload = serde_json::from_value(workload).unwrap();
    let facts = whodunit::facts::Facts::empty(workload, chrono::Utc::now());
    let forged = json!({"facts": facts}).to_string();
    assert_eq!(called(&house, "/job/v1/answers/1", Some(&token), &forged).await.0, 204);
    house.settle().await;
    let error: String =
        sqlx::query_scalar("select error from investigations").fetch_one(&house.pool).await.unwrap();
    assert!(error.contains("another workload"), "{error}");
    assert!(house.rows().await.iter().all(|row| !row.contains("monitoring/")), "nothing of it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_jobs_there_is_no_door() {
    let with = |settings: &mut Settings| settings.job.image = "x".to_owned();
    let house = House::start(HouseOptions { with: Some(Box::new(with)), ..HouseOptions::default() }).await;
    assert_eq!(called(&house, NEXT, Some("x"), FIRST).await.0, 404);
}
