//! While a model is at work, the head of the thread says how far it has come, edited and not repeated; what the
//! investigation ends with has the last word. A workload that comes back is told with what was found the last time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use whodunit::settings::Settings;

use crate::house::{House, HouseOptions, fixture};
use crate::model::{ModelServer, Said, call, case_file, conclusion, quotable};

const UNEXPLAINED: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
const EXPLAINED: &str = "webhooks/alertmanager/006-firing-KubePodCrashLooping-n1.json";
/// Of one turn: longer than two changes of a head are apart.
const THINKING: Duration = Duration::from_secs(11);

#[tokio::test(flavor = "multi_thread")]
async fn the_head_says_at_which_step_the_model_is() {
    let model = ModelServer::start(Arc::new(|number, request| {
        if number > 2 {
            let (id, quote) = quotable(case_file(request));
            return Said::Calls(vec![call("conclude", &conclusion(&id, &quote))]);
        }
        tokio::task::block_in_place(|| std::thread::sleep(THINKING));
        Said::Calls(vec![call("kubernetes_events", &json!({"n": number}))])
    }))
    .await;
    let adjust: fn(&mut Settings) = |settings| {
        settings.report.language = "ko".to_owned();
        // No signature explains anything: the model is asked.
        settings.runbooks.without_builtin = true;
    };
    let options =
        HouseOptions { models: vec![model.settings()], adjust: Some(adjust), ..HouseOptions::default() };
    let house = House::start(options).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(UNEXPLAINED)).await.0, 202);
    house.settle().await;
    let told: Vec<String> = house.slack.updates().iter().map(|update| update.blocks.to_string()).collect();
    let progress: Vec<&String> = told.iter().filter(|text| text.contains("단계, ")).collect();
    println!("{} of {} changes of the head told of progress", progress.len(), told.len());
    assert!(!progress.is_empty() && progress[0].contains("kubernetes_events"), "{told:#?}");
    assert!(!told.last().unwrap().contains("단계, "), "the verdict has the last word: {told:#?}");
    assert_eq!(house.slack.messages().len(), 2, "edited, not repeated");
    assert_eq!(house.count("select count(*) from announcements where state <> 'posted'").await, 0);
    let system = model.asked()[0]["messages"][0]["content"].to_string();
    assert!(system.contains("`ko`"), "the model is told to write in it: {system}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_the_last_time_stands_with_what_is_found_now() {
    let linked: fn(&mut Settings) = |settings| {
        settings.server.public_url = "https://whodunit.example".to_owned();
        // The second incident is one of its own.
        settings.intake.reopen_within_secs = 0;
    };
    let house = House::start(HouseOptions { adjust: Some(linked), ..HouseOptions::default() }).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(EXPLAINED)).await.0, 202);
    house.settle().await;
    let first: uuid::Uuid =
        sqlx::query_scalar("select id from investigations").fetch_one(&house.pool).await.unwrap();
    assert!(!house.slack.messages()[1].blocks.to_string().contains("Seen before"));
    sqlx::query(
        "insert into feedback (id, investigation_id, verdict, reason, author, via)
         values ($1, $1, 'helpful', 'We rolled it back.', 'kim', 'api')",
    )
    .bind(first)
    .execute(&house.pool)
    .await
    .unwrap();
    sqlx::query(
        "update incidents set state = 'resolved', firing = 0, opened_at = opened_at - interval '60 minutes',
             resolved_at = opened_at - interval '42 minutes'",
    )
    .execute(&house.pool)
    .await
    .unwrap();
    let again = String::from_utf8(fixture(EXPLAINED)).unwrap().replace("2026-11-21T0", "2026-11-21T1");
    assert_eq!(house.post("/webhooks/alertmanager", again).await.0, 202);
    house.settle().await;
    assert_eq!(house.slack.threads().len(), 2);
    let summary = house.slack.threads()[1][1].blocks.to_string();
    for told in ["Seen before", "the same cause", "over after 18 min", "Advised then", "We rolled it back."] {
        assert!(summary.contains(told), "{told}: {summary}");
    }
    assert!(summary.contains(&format!("https://whodunit.example/investigations/{first}")), "{summary}");
}
