//! Slack as it is on a bad day: 429 with Retry-After, `ok: false` of each kind, answers that get lost after the
//! message was taken. Nothing goes out earlier than told, nothing is lost, doubled or out of order. What an operator
//! has to mend waits until it is mended, what Slack refuses for good is tried in words alone and then given up, and
//! `/readyz` tells of both.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::house::{Ground, House};
use crate::sender::{Alert, Sender};
use crate::stand_ins::{Call, How};
use crate::verdict::{Outcome, Sent, workload};

const POST: &str = "chat.postMessage";
const DRAIN: Duration = Duration::from_secs(1200);
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// The answer takes a moment to arrive, and so does the next call.
const TOLERANCE_MILLIS: u64 = 20;
const TRANSIENT: [&str; 5] =
    ["service_unavailable", "internal_error", "fatal_error", "request_timeout", "message_limit_exceeded"];
const FAILED: [u16; 4] = [500, 503, 502, 504];
const TO_MEND: [&str; 5] =
    ["not_in_channel", "channel_not_found", "is_archived", "invalid_auth", "missing_scope"];
const REFUSED: [&str; 3] = ["msg_too_long", "invalid_blocks", "no_text"];
const ALERTS: usize = 10;

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let (retry_after, limits) = ground.size.pick((2, 3), (30, 10));
    let mut house = House::build(ground, "slack", &[]).await?;
    house.start_service().await?;
    let sender = house.sender();
    let mut workloads = Vec::new();
    let mut outcome = Outcome::default();

    let before = house.slack.calls().await?.len();
    house.slack.go_wrong(POST, How::RateLimited(retry_after), limits).await?;
    fire(&house, &sender, &mut workloads).await?;
    let calls = house.slack.calls().await?.split_off(before);
    let early = too_early(&calls, retry_after * 1000, limits);
    outcome.demand(early == 0, format!("{early} calls before Retry-After was over"));
    println!("  slack: {limits} times 429, {early} calls too early");

    let mut refusals: Vec<How> = TRANSIENT.map(|code| How::Error(code.to_owned())).into();
    refusals.extend(FAILED.map(How::Status));
    refusals.truncate(ground.size.pick(2, usize::MAX));
    let mut taken = vec![How::StoredThenHang, How::StoredThenStatus(502)];
    taken.extend(
        ground
            .size
            .pick(vec![], vec![How::StoredThenStatus(500), How::StoredThenStatus(504), How::StoredThenHang]),
    );
    let counts = (refusals.len(), taken.len());
    for how in refusals.into_iter().chain(taken) {
        println!("  slack: {how:?}");
        house.slack.go_wrong(POST, how, 1).await?;
        fire(&house, &sender, &mut workloads).await?;
    }
    for code in &TO_MEND[..ground.size.pick(1, TO_MEND.len())] {
        println!("  slack: {code}, until it is mended");
        house.slack.go_wrong(POST, How::Error((*code).to_owned()), 1).await?;
        let name = workload(0, workloads.len());
        sender.deliver(&[Alert::firing(&name)]).await?;
        workloads.push(name);
        until_told(&house, code).await?;
        house.drain(DRAIN).await?;
    }
    resolve(&sender, &workloads).await?;
    house.drain(DRAIN).await?;
    let disorder = disorder(&house).await?;
    outcome.demand(disorder == 0, format!("{disorder} messages overtook an earlier one of their thread"));
    refuse_for_good(&house, &sender, &mut outcome).await?;
    outcome.size = format!(
        "{limits} times 429 with {retry_after} s, {} refusals, {} answers lost, {} threads",
        counts.0,
        counts.1,
        workloads.len()
    );
    let alerts = i64::try_from(2 * workloads.len() + REFUSED.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 2 }).await?;
    Ok(outcome)
}

/// Some more alerts, until all is said.
async fn fire(house: &House, sender: &Sender, workloads: &mut Vec<String>) -> Result<()> {
    let names: Vec<String> = (0..ALERTS).map(|number| workload(0, workloads.len() + number)).collect();
    sender.deliver(&names.iter().map(Alert::firing).collect::<Vec<_>>()).await?;
    workloads.extend(names);
    house.drain(DRAIN).await
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

/// Waits until `/readyz` tells of it.
async fn until_told(house: &House, code: &str) -> Result<()> {
    let until = Instant::now() + TOLD_WITHIN;
    let url = format!("http://127.0.0.1:{}/readyz", house.services[0].port);
    while !house.http.get(&url).send().await?.text().await?.contains(code) {
        ensure!(Instant::now() < until, "/readyz does not tell of {code}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Each is an incident of its own: its first message is refused with and without blocks, what would follow has no
/// thread.
async fn refuse_for_good(house: &House, sender: &Sender, outcome: &mut Outcome) -> Result<()> {
    for (number, code) in REFUSED.into_iter().enumerate() {
        let before = house.slack.calls().await?.len();
        house.slack.go_wrong(POST, How::Error(code.to_owned()), 2).await?;
        sender.deliver(&[Alert::firing(workload(9, number))]).await?;
        house.drain(DRAIN).await?;
        let calls = house.slack.calls().await?.split_off(before);
        let posts = calls.iter().filter(|call| call.method == POST).count();
        outcome.demand(posts == 2, format!("{code}: {posts} posts instead of two that are refused"));
        until_told(house, code).await?;
    }
    Ok(())
}
