//! Slack as it is on a bad day: 429 with Retry-After, `ok: false` of each kind, answers that get lost after the
//! message was taken. Nothing goes out earlier than told, nothing is lost, doubled or out of order; what Slack
//! refuses for good is asked for once and told on `/readyz`.

use std::time::Duration;

use anyhow::Result;

use crate::house::{Ground, House};
use crate::sender::{Alert, Sender};
use crate::stand_ins::{Call, How};
use crate::verdict::{Outcome, Sent, workload};

const POST: &str = "chat.postMessage";
const DRAIN: Duration = Duration::from_secs(1200);
/// The answer takes a moment to arrive, and so does the next call.
const TOLERANCE_MILLIS: u64 = 20;
const TRANSIENT: [&str; 4] = ["internal_error", "service_unavailable", "request_timeout", "fatal_error"];
const PERMANENT: [&str; 5] =
    ["channel_not_found", "not_in_channel", "is_archived", "restricted_action", "msg_too_long"];
const ALERTS: usize = 10;

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let (retry_after, limits) = ground.size.pick((2, 3), (30, 10));
    let mut house = House::build(ground, "slack", &[]).await?;
    house.start_service().await?;
    let sender = house.sender();
    let mut workloads = Vec::new();

    let before = house.slack.calls().await?.len();
    house.slack.go_wrong(POST, How::RateLimited(retry_after), limits).await?;
    fire(&sender, 0, &mut workloads).await?;
    house.drain(DRAIN).await?;
    let calls = house.slack.calls().await?.split_off(before);
    let early = too_early(&calls, retry_after * 1000, limits);
    println!("  slack: {limits} times 429, {early} calls too early");

    for code in TRANSIENT {
        house.slack.go_wrong(POST, How::Error(code.to_owned()), 1).await?;
    }
    for status in [500, 502, 503] {
        house.slack.go_wrong(POST, How::Status(status), 1).await?;
    }
    fire(&sender, 1, &mut workloads).await?;
    house.drain(DRAIN).await?;
    println!("  slack: refused {} times for a while", TRANSIENT.len() + 3);

    let unheard = [
        How::StoredThenHang,
        How::StoredThenStatus(504),
        How::StoredThenStatus(502),
        How::StoredThenStatus(500),
    ];
    let count = unheard.len();
    for how in unheard {
        house.slack.go_wrong(POST, how, 1).await?;
    }
    fire(&sender, 2, &mut workloads).await?;
    house.drain(DRAIN).await?;
    println!("  slack: took {count} messages without an answer");

    resolve(&sender, &workloads).await?;
    house.drain(DRAIN).await?;
    let mut outcome = Outcome::new(format!(
        "{limits} times 429 with {retry_after} s, {} refusals, {count} answers lost, {} threads",
        TRANSIENT.len() + 3 + PERMANENT.len(),
        workloads.len()
    ));
    outcome.demand(early == 0, format!("{early} calls before Retry-After was over"));
    let disorder = disorder(&house).await?;
    outcome.demand(disorder == 0, format!("{disorder} messages overtook an earlier one of their thread"));
    refuse_for_good(&mut house, &sender, &mut outcome).await?;
    let alerts = i64::try_from(2 * workloads.len() + PERMANENT.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 2 }).await?;
    Ok(outcome)
}

async fn fire(sender: &Sender, group: usize, workloads: &mut Vec<String>) -> Result<()> {
    let names: Vec<String> = (0..ALERTS).map(|number| workload(group, number)).collect();
    sender.deliver(&names.iter().map(Alert::firing).collect::<Vec<_>>()).await?;
    workloads.extend(names);
    Ok(())
}

async fn resolve(sender: &Sender, workloads: &[String]) -> Result<()> {
    let over = |name: &String| Alert { is_resolved: true, ..Alert::firing(name) };
    sender.deliver(&workloads.iter().map(over).collect::<Vec<_>>()).await
}

/// Calls within the wait that the first posts were answered with.
fn too_early(calls: &[Call], wait_millis: u64, limits: u32) -> usize {
    let limited: Vec<u64> = calls
        .iter()
        .filter(|call| call.method == POST)
        .take(limits as usize)
        .map(|call| call.at_millis)
        .collect();
    let is_early = |call: &&Call| {
        let since = |at: &u64| call.at_millis.checked_sub(*at).filter(|since| *since > 0);
        limited.iter().filter_map(since).any(|since| since + TOLERANCE_MILLIS < wait_millis)
    };
    calls.iter().filter(|call| call.method.starts_with("chat.")).filter(is_early).count()
}

async fn disorder(house: &House) -> Result<i64> {
    house
        .count(
            "select count(*) from announcements a join announcements b using (incident_id)
             where a.kind <> 'update' and b.kind <> 'update' and a.message_ts > b.message_ts
               and (a.kind <> 'parent', a.created_at, a.id) < (b.kind <> 'parent', b.created_at, b.id)",
        )
        .await
}

/// Each is an incident of its own: its first message is refused, what would follow has no thread.
async fn refuse_for_good(house: &mut House, sender: &Sender, outcome: &mut Outcome) -> Result<()> {
    for (number, code) in PERMANENT.into_iter().enumerate() {
        let before = house.slack.calls().await?.len();
        house.slack.go_wrong(POST, How::Error(code.to_owned()), 1).await?;
        sender.deliver(&[Alert::firing(workload(9, number))]).await?;
        house.drain(DRAIN).await?;
        let calls = house.slack.calls().await?.split_off(before);
        let posts = calls.iter().filter(|call| call.method == POST).count();
        outcome.demand(posts == 1, format!("{code}: {posts} posts instead of one that is refused"));
    }
    let url = format!("http://127.0.0.1:{}/readyz", house.services[0].port);
    let told = house.http.get(url).send().await?.text().await?;
    let untold: Vec<&str> = PERMANENT.into_iter().filter(|code| !told.contains(code)).collect();
    outcome.demand(untold.is_empty(), format!("/readyz does not tell of {untold:?}"));
    Ok(())
}
