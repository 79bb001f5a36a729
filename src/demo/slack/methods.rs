//! The methods of Slack's Web API that write: parameters in, Slack's answer or error out. Only `chat.postMessage`
//! takes a channel's name; `chat.update` wants its id, as Slack does.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{Message, SlackStandIn, Update, blocks};

pub(super) const BOT_ID: &str = "B0WHODUNIT";

/// Reads JSON, a form or the query into one object, with Slack's warnings.
pub(super) fn parameters(
    content_type: &str,
    query: &str,
    body: &[u8],
) -> Result<(Value, Vec<String>), Value> {
    let mut found = form(query);
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut warnings = Vec::new();
    match media_type.as_str() {
        "application/json" => {
            let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
                return Err(json!({"error": "invalid_json"}));
            };
            if !content_type.to_ascii_lowercase().contains("charset") {
                warnings.push("missing_charset".to_owned());
            }
            found.extend(fields);
        }
        "application/x-www-form-urlencoded" => found.extend(form(&String::from_utf8_lossy(body))),
        _ if body.is_empty() => {}
        _ => return Err(json!({"error": "invalid_post_type"})),
    }
    Ok((Value::Object(found), warnings))
}

/// In a form, structures come as JSON text.
fn form(text: &str) -> Map<String, Value> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{text}"));
    let pairs: Vec<(String, String)> =
        url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
    let read = |(key, value): (String, String)| match key.as_str() {
        "blocks" | "attachments" | "metadata" => {
            let parsed = serde_json::from_str(&value).unwrap_or(Value::String(value));
            (key, parsed)
        }
        _ => (key, Value::String(value)),
    };
    pairs.into_iter().map(read).collect()
}

pub(super) fn error<T>(code: &str) -> Result<T, Value> {
    Err(json!({"error": code}))
}

pub(super) fn text_of<'a>(parameters: &'a Value, key: &str) -> &'a str {
    parameters[key].as_str().unwrap_or_default()
}

pub(super) fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_default() || matches!(value.as_str(), Some("true" | "1"))
}

pub(super) fn message(channel: &str, ts: String, bot_id: &str, parameters: &Value) -> Message {
    Message {
        channel: channel.to_owned(),
        ts,
        thread_ts: parameters["thread_ts"].as_str().map(str::to_owned),
        bot_id: bot_id.to_owned(),
        text: text_of(parameters, "text").to_owned(),
        blocks: parameters["blocks"].clone(),
        attachments: parameters["attachments"].clone(),
        metadata: parameters["metadata"].clone(),
        arrived: Instant::now(),
        is_edited: false,
    }
}

pub(super) fn as_slack_shows(message: &Message, with_metadata: bool) -> Value {
    let mut shown = json!({"type": "message", "ts": message.ts, "text": message.text});
    if message.bot_id.is_empty() {
        shown["user"] = "U0SOMEBODY".into();
        shown["client_msg_id"] = "0f4b3a1e-5f0f-4b6e-9a54-3c1d6c1b7d10".into();
    } else {
        shown["bot_id"] = message.bot_id.as_str().into();
    }
    for (key, value) in [("blocks", &message.blocks), ("attachments", &message.attachments)] {
        if !value.is_null() {
            shown[key] = value.clone();
        }
    }
    if with_metadata && !message.metadata.is_null() {
        shown["metadata"] = message.metadata.clone();
    }
    if let Some(thread) = &message.thread_ts {
        shown["thread_ts"] = thread.as_str().into();
    }
    if message.is_edited {
        shown["edited"] = json!({"user": message.bot_id, "ts": message.ts});
    }
    shown
}

fn check(parameters: &Value) -> Result<(), Value> {
    let given = |key: &str| parameters.get(key).filter(|value| !value.is_null());
    blocks::check(text_of(parameters, "text"), given("blocks"), given("attachments"))?;
    let is_event =
        |metadata: &Value| metadata["event_type"].is_string() && metadata["event_payload"].is_object();
    match given("metadata") {
        Some(metadata) if !is_event(metadata) => error("invalid_metadata_format"),
        _ => Ok(()),
    }
}

pub(super) fn post_message(slack: &SlackStandIn, parameters: &Value) -> Result<Value, Value> {
    let Some(channel) = slack.channel_id(text_of(parameters, "channel")) else {
        return error("channel_not_found");
    };
    check(parameters)?;
    let mut state = slack.lock();
    if state.is_full() {
        return error("fatal_error");
    }
    if let Some(thread) = parameters["thread_ts"].as_str() {
        let is_parent = |known: &Message| known.ts == thread && known.channel == channel;
        if !state.messages.iter().any(is_parent) {
            return error("thread_not_found");
        }
    }
    let ts = state.next_ts();
    let message = message(channel, ts.clone(), BOT_ID, parameters);
    let shown = as_slack_shows(&message, true);
    state.messages.push(message);
    Ok(json!({"channel": channel, "ts": ts, "message": shown}))
}

/// Slack keeps no such message, so nothing reads it back.
pub(super) fn whisper(slack: &SlackStandIn, parameters: &Value) -> Result<Value, Value> {
    let channel = channel_by_id(slack, parameters)?;
    check(parameters)?;
    let user = text_of(parameters, "user");
    if user.is_empty() {
        return error("user_not_in_channel");
    }
    let mut state = slack.lock();
    if state.is_full() {
        return error("fatal_error");
    }
    let ts = state.next_ts();
    let message = message(channel, ts.clone(), BOT_ID, parameters);
    state.whispers.push((user.to_owned(), message));
    Ok(json!({"message_ts": ts}))
}

pub(super) fn open_view(slack: &SlackStandIn, parameters: &Value) -> Result<Value, Value> {
    if text_of(parameters, "trigger_id").is_empty() {
        return error("invalid_trigger_id");
    }
    let view = &parameters["view"];
    let title = view["title"]["text"].as_str().unwrap_or_default().chars().count();
    if view["type"] != "modal" || !(1..=24).contains(&title) || !view["blocks"].is_array() {
        return error("invalid_arguments");
    }
    let mut state = slack.lock();
    state.views.push(view.clone());
    Ok(json!({"view": view}))
}

pub(super) fn update(slack: &SlackStandIn, parameters: &Value) -> Result<Value, Value> {
    let channel = channel_by_id(slack, parameters)?;
    let ts = text_of(parameters, "ts");
    let mut state = slack.lock();
    if state.is_full() {
        return error("fatal_error");
    }
    let Some(message) = state.messages.iter_mut().find(|known| known.ts == ts && known.channel == channel)
    else {
        return error("message_not_found");
    };
    if message.bot_id != BOT_ID {
        return error("cant_update_message");
    }
    check(parameters)?;
    message.is_edited = true;
    // What an update leaves out stays as it was.
    if let Some(text) = parameters["text"].as_str() {
        text.clone_into(&mut message.text);
    }
    for (key, kept) in [
        ("blocks", &mut message.blocks),
        ("attachments", &mut message.attachments),
        ("metadata", &mut message.metadata),
    ] {
        if !parameters[key].is_null() {
            *kept = parameters[key].clone();
        }
    }
    let text = message.text.clone();
    let update = Update {
        channel: channel.to_owned(),
        ts: ts.to_owned(),
        text: text.clone(),
        blocks: parameters["blocks"].clone(),
        arrived: Instant::now(),
    };
    state.updates.push(update);
    Ok(json!({"channel": channel, "ts": ts, "text": text}))
}

pub(super) fn channel_by_id<'a>(slack: &'a SlackStandIn, parameters: &Value) -> Result<&'a str, Value> {
    let wanted = text_of(parameters, "channel");
    let known = slack.channels.iter().find(|(_, id)| id == wanted);
    known.map_or_else(|| error("channel_not_found"), |(_, id)| Ok(id.as_str()))
}
