//! Whether a message stands in Slack already: a claim whose last post had no clear outcome goes in, what was seen
//! comes out. It reads the channel or the thread by the announcement's id in the metadata, within a window of time,
//! a number of pages and a deadline; it writes nothing, in Slack or here.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::client::{Client, EVENT_TYPE, Posted};
use super::fault::Fault;
use super::outbox::queue::{Claim, Doubt, LOOK_DEADLINE};

/// Slack's clock stamps messages, the database's says when we posted: they may differ by so much.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(10);
/// Messages on a page; Slack recommends no more.
const PAGE: &str = "200";
/// 3,000 messages in the window; a channel that is busier is not read to its end.
const MAX_PAGES: usize = 15;
/// Channels on a page of the list, and pages of it.
const LIST_PAGE: &str = "999";
const MAX_LIST_PAGES: usize = 20;

/// What a look came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    There(Posted),
    NotThere,
    /// We may not look, or not far enough.
    Unreadable(String),
    /// What was known of the channel's id does not hold any more.
    StaleId,
    /// Not now.
    Failed(Fault),
}

/// The message to find.
struct Wanted<'a> {
    id: Uuid,
    doubt: &'a Doubt,
    place: Place<'a>,
}

enum Place<'a> {
    Channel(&'a str),
    Thread(&'a Posted),
    /// The message itself, changed.
    Message(&'a Posted),
}

pub(super) async fn look(client: &Client, claim: &Claim, doubt: &Doubt) -> Seen {
    match tokio::time::timeout(LOOK_DEADLINE, search(client, claim, doubt)).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(fault)) if fault.is_about_reading() => Seen::Unreadable(fault.to_string()),
        Ok(Err(fault)) => Seen::Failed(fault),
        Err(_) => Seen::Failed(Fault::Transient("looking took too long".to_owned())),
    }
}

async fn search(client: &Client, claim: &Claim, doubt: &Doubt) -> Result<Seen, Fault> {
    let channel;
    let place = match &claim.parent {
        Some((_, at)) if claim.changes_head() => Place::Message(at),
        Some((_, at)) => Place::Thread(at),
        None => {
            match channel_id(client, &claim.channel, claim.channel_id.as_deref()).await? {
                Some(id) => channel = id,
                None => return Ok(Seen::Unreadable("no channel of this name is listed".to_owned())),
            }
            Place::Channel(&channel)
        }
    };
    let wanted = Wanted { id: claim.id, doubt, place };
    match read(client, &wanted).await {
        Err(Fault::Misconfigured(code)) if code == "channel_not_found" && claim.channel_id.is_some() => {
            Ok(Seen::StaleId)
        }
        // Its thread is gone, and the reply with it.
        Err(Fault::Rejected(code)) if code == "thread_not_found" => Ok(Seen::NotThere),
        other => other,
    }
}

async fn read(client: &Client, wanted: &Wanted<'_>) -> Result<Seen, Fault> {
    let (method, channel, ts) = match wanted.place {
        Place::Channel(id) => ("conversations.history", id, None),
        Place::Thread(at) | Place::Message(at) => {
            ("conversations.replies", at.channel.as_str(), Some(&at.ts))
        }
    };
    let oldest = slack_time(wanted.doubt.since - CLOCK_MARGIN);
    let latest = slack_time(wanted.doubt.until + CLOCK_MARGIN);
    let mut cursor = String::new();
    for _ in 0..MAX_PAGES {
        let mut parameters = vec![("channel", channel), ("include_all_metadata", "true")];
        parameters.extend(ts.map(|ts| ("ts", ts.as_str())));
        match wanted.place {
            // The head of a thread comes first.
            Place::Message(_) => parameters.push(("limit", "1")),
            _ => parameters.extend([
                ("oldest", oldest.as_str()),
                ("latest", latest.as_str()),
                ("inclusive", "true"),
                ("limit", PAGE),
            ]),
        }
        if !cursor.is_empty() {
            parameters.push(("cursor", &cursor));
        }
        let page = client.read(method, &parameters).await?;
        if let Some(ts) = find(&page, wanted) {
            return Ok(Seen::There(Posted { channel: channel.to_owned(), ts }));
        }
        match next_cursor(&page) {
            Some(next) if !matches!(wanted.place, Place::Message(_)) => cursor = next,
            _ => return Ok(Seen::NotThere),
        }
    }
    Ok(Seen::Unreadable(format!("the channel is too busy: {MAX_PAGES} pages were not enough")))
}

/// The `ts` of the message with our mark.
fn find(page: &Value, wanted: &Wanted<'_>) -> Option<String> {
    let key = match wanted.place {
        Place::Message(_) => "update",
        _ => "id",
    };
    let id = wanted.id.to_string();
    let ours = |message: &&Value| {
        let metadata = &message["metadata"];
        metadata["event_type"] == EVENT_TYPE && metadata["event_payload"][key] == id.as_str()
    };
    page["messages"].as_array()?.iter().find(ours)?["ts"].as_str().map(str::to_owned)
}

pub(super) fn next_cursor(page: &Value) -> Option<String> {
    let next = page["response_metadata"]["next_cursor"].as_str()?;
    (!next.is_empty()).then(|| next.to_owned())
}

/// The id of a channel: the setting itself, what earlier posts told, or the list of channels.
pub(super) async fn channel_id(
    client: &Client,
    channel: &str,
    known: Option<&str>,
) -> Result<Option<String>, Fault> {
    if let Some(id) = known {
        return Ok(Some(id.to_owned()));
    }
    if is_id(channel) {
        return Ok(Some(channel.to_owned()));
    }
    match listed(client, channel, "public_channel,private_channel").await {
        // Without `groups:read` the public ones are listed all the same.
        Err(fault) if fault.is_about_reading() => listed(client, channel, "public_channel").await,
        other => other,
    }
}

async fn listed(client: &Client, name: &str, types: &str) -> Result<Option<String>, Fault> {
    let name = name.trim_start_matches('#');
    let mut cursor = String::new();
    for _ in 0..MAX_LIST_PAGES {
        let mut parameters = vec![("types", types), ("exclude_archived", "true"), ("limit", LIST_PAGE)];
        if !cursor.is_empty() {
            parameters.push(("cursor", &cursor));
        }
        let page = client.read("conversations.list", &parameters).await?;
        let mut channels = page["channels"].as_array().into_iter().flatten();
        if let Some(found) = channels.find(|channel| channel["name"] == name) {
            return Ok(found["id"].as_str().map(str::to_owned));
        }
        match next_cursor(&page) {
            Some(next) => cursor = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// `C024BE91L`; names of channels have no capitals.
fn is_id(channel: &str) -> bool {
    let capitals = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    channel.len() >= 9 && channel.starts_with(['C', 'G', 'D']) && channel.chars().all(capitals)
}

/// `1795244890.000100`, as Slack writes times.
pub(super) fn slack_time(at: DateTime<Utc>) -> String {
    format!("{}.{:06}", at.timestamp(), at.timestamp_subsec_micros())
}

/// How long to wait before looking again.
pub(super) fn pause(looks: i32) -> Duration {
    let doublings = u32::try_from(looks.saturating_sub(1)).unwrap_or(0).min(6);
    Duration::from_secs(1 << doublings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_mark_tells_a_message() {
        let (id, other) = (Uuid::now_v7(), Uuid::now_v7());
        let now = Utc::now();
        let doubt = Doubt { since: now, until: now, answered: false, looks: 1 };
        let at = Posted { channel: "C1".to_owned(), ts: "1.1".to_owned() };
        let message = |ts: &str, kind: &str, payload: Value| json!({"ts": ts, "metadata": {"event_type": kind, "event_payload": payload}});
        let page = json!({"messages": [
            {"ts": "9.0", "text": "somebody else's"},
            message("8.0", "theirs", json!({"id": id})),
            message("7.0", EVENT_TYPE, json!({"id": other, "update": id})),
            message("6.0", EVENT_TYPE, json!({"id": id})),
        ]});
        let wanted = Wanted { id, doubt: &doubt, place: Place::Channel("C1") };
        assert_eq!(find(&page, &wanted).as_deref(), Some("6.0"));
        let wanted = Wanted { id, doubt: &doubt, place: Place::Message(&at) };
        assert_eq!(find(&page, &wanted).as_deref(), Some("7.0"));
    }

    #[test]
    fn ids_and_names_of_channels_are_told_apart() {
        for id in ["C024BE91L", "G01234ABCD", "C000000001"] {
            assert!(is_id(id), "{id}");
        }
        for name in ["#alerts", "alerts", "C", "cluster-alerts", "C-ALERTS-1"] {
            assert!(!is_id(name), "{name}");
        }
    }

    #[test]
    fn times_are_written_as_slack_does() {
        let at = DateTime::from_timestamp_micros(1_795_244_890_000_100).unwrap();
        assert_eq!(slack_time(at), "1795244890.000100");
    }

    #[test]
    fn looks_are_a_minute_apart_at_most() {
        assert_eq!([1, 2, 7, 99].map(|looks| pause(looks).as_secs()), [1, 2, 64, 64]);
    }
}
