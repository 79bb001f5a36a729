//! The methods of Slack's Web API that read: messages of a channel or thread within a window of time, and the list of
//! channels, a page at a time. They want a channel's id, never its name.

use serde_json::{Value, json};

use super::methods::{as_slack_shows, channel_by_id, error, is_true, text_of};
use super::{Message, SlackStandIn};

/// Objects a page when nothing is said, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 999;

/// The channels; all are public.
pub(super) fn list(slack: &SlackStandIn, parameters: &Value) -> Result<Value, Value> {
    let public =
        matches!(text_of(parameters, "types"), "") || text_of(parameters, "types").contains("public");
    let all: Vec<Value> = slack
        .channels
        .iter()
        .filter(|_| public)
        .map(|(name, id)| json!({"id": id, "name": name, "is_channel": true, "is_private": false}))
        .collect();
    let (shown, next) = cut(&all, parameters)?;
    // Slack sends an empty cursor with the last page.
    let next = next.unwrap_or_default();
    Ok(json!({"channels": shown, "response_metadata": {"next_cursor": next}}))
}

pub(super) fn history(slack: &SlackStandIn, parameters: &Value) -> Result<Value, Value> {
    let channel = channel_by_id(slack, parameters)?;
    let state = slack.lock();
    let top = |message: &&Message| {
        message.channel == channel && message.thread_ts.is_none() && state.shows(message)
    };
    // Newest first. A parent says how many answers it has.
    let with_metadata = is_true(&parameters["include_all_metadata"]);
    page(state.messages.iter().rev().filter(top), parameters, |message| {
        let mut shown = as_slack_shows(message, with_metadata);
        let replies = state.thread(&message.ts).count() - 1;
        if replies > 0 {
            shown["thread_ts"] = message.ts.as_str().into();
            shown["reply_count"] = replies.into();
            let latest = state.thread(&message.ts).map(|one| one.ts.as_str()).max();
            shown["latest_reply"] = latest.into();
        }
        shown
    })
}

pub(super) fn replies(slack: &SlackStandIn, parameters: &Value) -> Result<Value, Value> {
    let channel = channel_by_id(slack, parameters)?;
    let ts = text_of(parameters, "ts");
    let state = slack.lock();
    let thread: Vec<&Message> = state.thread(ts).filter(|message| message.channel == channel).collect();
    if thread.is_empty() {
        return error("thread_not_found");
    }
    let thread = thread.into_iter().filter(|message| state.shows(message));
    let with_metadata = is_true(&parameters["include_all_metadata"]);
    page(thread, parameters, |message| as_slack_shows(message, with_metadata))
}

/// Between `oldest` and `latest`, from the cursor on, at most `limit`: only these are made into what Slack shows.
fn page<'a>(
    messages: impl Iterator<Item = &'a Message>,
    parameters: &Value,
    show: impl Fn(&Message) -> Value,
) -> Result<Value, Value> {
    let bound = |key: &str| micros(text_of(parameters, key));
    let (oldest, latest) = (bound("oldest").unwrap_or(i64::MIN), bound("latest").unwrap_or(i64::MAX));
    let is_inclusive = is_true(&parameters["inclusive"]);
    let is_within = |message: &&Message| {
        let ts = micros(&message.ts).unwrap_or_default();
        if is_inclusive { oldest <= ts && ts <= latest } else { oldest < ts && ts < latest }
    };
    let found: Vec<&Message> = messages.filter(is_within).collect();
    let (shown, next) = cut(&found, parameters)?;
    let shown: Vec<Value> = shown.iter().map(|message| show(message)).collect();
    let mut answer = json!({"messages": shown, "has_more": next.is_some()});
    if let Some(next) = next {
        answer["response_metadata"] = json!({"next_cursor": next});
    }
    Ok(answer)
}

/// One page of anything, and the cursor of the next.
fn cut<'a, T>(found: &'a [T], parameters: &Value) -> Result<(&'a [T], Option<String>), Value> {
    let limit = &parameters["limit"];
    let limit = limit.as_u64().or_else(|| limit.as_str()?.parse().ok());
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let start = match text_of(parameters, "cursor") {
        "" => 0_usize,
        cursor => match cursor.strip_prefix("next:").and_then(|at| at.parse().ok()) {
            Some(start) => start,
            None => return error("invalid_cursor"),
        },
    };
    let end = start.saturating_add(limit).min(found.len());
    let shown = found.get(start..end).unwrap_or_default();
    Ok((shown, (end < found.len()).then(|| format!("next:{end}"))))
}

/// `1795244890.000100` → microseconds; whole seconds are fine too.
fn micros(ts: &str) -> Option<i64> {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, ""));
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)
}
