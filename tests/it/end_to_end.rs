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
        message.is_parent() && message.says("user-service") && message.says(ALERT)
    })
    .await;
    let thread = parent.ts.clone();
    eventually(&house, &monitoring, "a summary that names the missing secret", |message| {
        message.replies_to(&thread) && message.says("db-credentials")
    })
    .await;

    monitoring.set_gauge(0);
    eventually(&house, &monitoring, "the parent marked as resolved", |message| {
        message.ts == thread && message.is_edited && message.says("resolved")
    })
    .await;
    eventually(&house, &monitoring, "a reply that says resolved", |message| {
        message.replies_to(&thread) && message.says("resolved")
    })
    .await;

    let messages = messages(&house);
    let parents = messages.iter().filter(|message| message.is_parent()).count();
    let summaries =
        messages.iter().filter(|message| message.says("db-credentials") && !message.is_parent()).count();
    assert_eq!((parents, summaries), (1, 1), "one alert, one thread, one summary: {messages:#?}");
}

trait Reading {
    fn is_parent(&self) -> bool;
    fn replies_to(&self, parent: &str) -> bool;
    /// Anywhere in text or blocks, in any case.
    fn says(&self, words: &str) -> bool;
}

impl Reading for Message {
    fn is_parent(&self) -> bool {
        self.thread_ts.as_ref().is_none_or(|thread| *thread == self.ts)
    }

    fn replies_to(&self, parent: &str) -> bool {
        !self.is_parent() && self.thread_ts.as_deref() == Some(parent)
    }

    fn says(&self, words: &str) -> bool {
        format!("{} {}", self.text, self.blocks).to_lowercase().contains(&words.to_lowercase())
    }
}

fn messages(house: &House) -> Vec<Message> {
    house.slack.messages()
}

async fn eventually(
    house: &House,
    monitoring: &Monitoring,
    what: &str,
    holds: impl Fn(&Message) -> bool,
) -> Message {
    let deadline = Instant::now() + MESSAGE;
    while Instant::now() < deadline {
        if let Some(found) = messages(house).into_iter().find(|message| holds(message)) {
            return found;
        }
        sleep(POLL).await;
    }
    panic!("no {what} within {MESSAGE:?}; in Slack: {:#?}\n{}", messages(house), monitoring.logs());
}
