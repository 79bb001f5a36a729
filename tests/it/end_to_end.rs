//! The whole line with nothing of ours in front of it: a metric turns bad, Prometheus sees it, Alertmanager
//! posts it, the thread in Slack says what broke; the metric recovers and the thread says so.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use whodunit::demo::slack::Message;

use crate::house::{House, HouseOptions};
use crate::prometheus::{ALERT, Monitoring};

/// From a turn of the gauge to the message: scrape, evaluation, group_wait, investigation, outbox.
const MESSAGE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const TOKEN: &str = "end-to-end-token";

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_a_real_prometheus_is_investigated_in_its_thread_and_resolved_there() {
    let house =
        House::start(HouseOptions { webhook_token: Some(TOKEN.to_owned()), ..HouseOptions::default() }).await;
    let webhook = format!("{}/webhooks/alertmanager", house.base_url);
    let monitoring = Monitoring::start(&webhook, TOKEN).await;

    monitoring.set_gauge(1);
    let parent = eventually(&house, &monitoring, "a parent that names the workload", |message| {
        message.thread_ts.is_none() && says(message, "user-service") && says(message, ALERT)
    })
    .await;
    let thread = Some(parent.ts.clone());
    eventually(&house, &monitoring, "a summary that names the missing secret", |message| {
        message.thread_ts == thread && says(message, "db-credentials")
    })
    .await;

    monitoring.set_gauge(0);
    eventually(&house, &monitoring, "the parent marked as resolved", |message| {
        message.ts == parent.ts && message.is_edited && says(message, "resolved")
    })
    .await;
    eventually(&house, &monitoring, "a reply that says resolved", |message| {
        message.thread_ts == thread && says(message, "resolved")
    })
    .await;

    let messages = house.slack.messages();
    let replies = messages.iter().filter(|message| message.thread_ts == thread);
    let summaries = replies.filter(|message| says(message, "db-credentials")).count();
    let parents = messages.iter().filter(|message| message.thread_ts.is_none()).count();
    assert_eq!((parents, summaries), (1, 1), "one alert, one thread, one summary: {messages:#?}");
}

/// Anywhere in text or blocks, in any case.
fn says(message: &Message, words: &str) -> bool {
    let all = format!("{} {}", message.text, message.blocks).to_lowercase();
    all.contains(&words.to_lowercase())
}

async fn eventually(
    house: &House,
    monitoring: &Monitoring,
    what: &str,
    holds: impl Fn(&Message) -> bool,
) -> Message {
    let deadline = Instant::now() + MESSAGE;
    while Instant::now() < deadline {
        if let Some(found) = house.slack.messages().into_iter().find(|message| holds(message)) {
            return found;
        }
        sleep(POLL).await;
    }
    panic!("no {what} within {MESSAGE:?}; in Slack: {:#?}\n{}", house.slack.messages(), monitoring.logs());
}
