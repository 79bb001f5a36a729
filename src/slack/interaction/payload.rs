//! What Slack says that somebody did: its JSON goes in, over HTTP or in an envelope of Socket Mode; what is asked for
//! comes out, or nothing where it is none of ours. Pure. Every field is a stranger's word.

use serde_json::Value;
use uuid::Uuid;

use crate::slack::blocks::{Action, REASON_FIELD, REASON_VIEW};

/// Longest part of an id that is kept.
const MAX_ID_BYTES: usize = 100;
/// Longest name of an action; real ones have about 90 bytes.
const MAX_NAME_BYTES: usize = 200;
/// Longest question and reason that are read.
const MAX_TEXT_CHARS: usize = 1_000;

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Press(Press),
    Reason(Reason),
    Mention(Mention),
    /// The handshake of a new request URL.
    Challenge(String),
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: String,
    pub name: String,
}

impl User {
    /// For the audit trail: ids stay, names are for people.
    pub fn label(&self) -> String {
        if self.name.is_empty() { self.id.clone() } else { format!("{} ({})", self.name, self.id) }
    }
}

/// A thread that is answered in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub channel: String,
    /// Of the thread's first message.
    pub thread: String,
}

/// A button below a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// The same for each delivery of the same press.
    pub id: String,
    pub action: Action,
    pub investigation: Uuid,
    pub user: User,
    pub place: Place,
    /// Opens a dialogue, within three seconds.
    pub trigger: String,
}

/// The dialogue after 👎, sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub id: String,
    pub investigation: Uuid,
    pub user: User,
    pub reason: String,
}

/// A question in a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    pub id: String,
    pub user: User,
    pub place: Place,
    pub question: String,
}

impl Asked {
    /// What tells it from all others.
    pub fn id(&self) -> &str {
        match self {
            Self::Press(press) => &press.id,
            Self::Reason(reason) => &reason.id,
            Self::Mention(mention) => &mention.id,
            Self::Challenge(_) => "",
        }
    }
}

/// The payload of an interaction.
pub fn interaction(payload: &Value) -> Option<Asked> {
    match payload["type"].as_str()? {
        "block_actions" => press(payload).map(Asked::Press),
        "view_submission" => reason(payload).map(Asked::Reason),
        _ => None,
    }
}

/// The body of an event.
pub fn event(body: &Value) -> Option<Asked> {
    match body["type"].as_str()? {
        "url_verification" => Some(Asked::Challenge(body["challenge"].as_str()?.chars().take(200).collect())),
        "event_callback" if body["event"]["type"] == "app_mention" => mention(body).map(Asked::Mention),
        _ => None,
    }
}

fn press(payload: &Value) -> Option<Press> {
    let pressed = payload["actions"].as_array()?.first()?;
    let action = Action::from_id(pressed["action_id"].as_str()?)?;
    let message = id(&payload["container"]["message_ts"])?;
    let thread = id(&payload["message"]["thread_ts"])
        .or_else(|| id(&payload["container"]["thread_ts"]))
        .unwrap_or_else(|| message.clone());
    let channel = id(&payload["container"]["channel_id"]).or_else(|| id(&payload["channel"]["id"]))?;
    let user = user(&payload["user"])?;
    let at = id(&pressed["action_ts"])?;
    let name = format!("{channel}:{message}:{at}:{}:{}", user.id, action.as_str());
    Some(Press {
        id: Some(name).filter(|name| name.len() <= MAX_NAME_BYTES)?,
        action,
        investigation: pressed["value"].as_str()?.parse().ok()?,
        user,
        place: Place { channel, thread },
        trigger: payload["trigger_id"].as_str().unwrap_or_default().chars().take(MAX_ID_BYTES).collect(),
    })
}

fn reason(payload: &Value) -> Option<Reason> {
    let view = &payload["view"];
    if view["callback_id"] != REASON_VIEW {
        return None;
    }
    let said = view["state"]["values"][REASON_FIELD][REASON_FIELD]["value"].as_str().unwrap_or_default();
    Some(Reason {
        id: format!("view:{}", id(&view["id"])?),
        investigation: view["private_metadata"].as_str()?.parse().ok()?,
        user: user(&payload["user"])?,
        reason: said.chars().take(MAX_TEXT_CHARS).collect(),
    })
}

fn mention(body: &Value) -> Option<Mention> {
    let event = &body["event"];
    // A bot that answers bots never ends.
    if !event["bot_id"].is_null() {
        return None;
    }
    let place = Place { channel: id(&event["channel"])?, thread: id(&event["thread_ts"])? };
    let question = without_mentions(event["text"].as_str()?);
    if question.is_empty() {
        return None;
    }
    let user = User { id: id(&event["user"])?, name: String::new() };
    Some(Mention { id: format!("event:{}", id(&body["event_id"])?), user, place, question })
}

/// Slack's markup of people and links is left out, its escapes are undone.
fn without_mentions(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('<') {
        out.push_str(before);
        let Some((inside, after)) = tail.split_once('>') else {
            rest = tail;
            continue;
        };
        if !inside.starts_with(['@', '!', '#']) {
            out.push_str(inside.split('|').next_back().unwrap_or_default());
        }
        rest = after;
    }
    out.push_str(rest);
    let plain = out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    plain.trim().chars().take(MAX_TEXT_CHARS).collect()
}

fn user(value: &Value) -> Option<User> {
    let name = value["username"].as_str().or_else(|| value["name"].as_str()).unwrap_or_default();
    Some(User { id: id(&value["id"])?, name: name.chars().take(MAX_ID_BYTES).collect() })
}

/// Ids and times are short and plain.
fn id(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (!text.is_empty() && text.len() <= MAX_ID_BYTES && text.chars().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pressed(action: &str, value: &str) -> Value {
        json!({
            "type": "block_actions", "trigger_id": "13345224609.738474920.8088930838d88f008e0",
            "user": {"id": "U1", "username": "ada", "team_id": "T1"}, "team": {"id": "T1"},
            "container": {"type": "message", "message_ts": "1795244890.000200", "channel_id": "C1", "is_ephemeral": false},
            "channel": {"id": "C1", "name": "alerts"},
            "message": {"ts": "1795244890.000200", "thread_ts": "1795244880.000100"},
            "response_url": "https://evil.example/",
            "actions": [{"action_id": action, "value": value, "type": "button", "action_ts": "1795244899.123456"}],
        })
    }

    #[test]
    fn a_press_names_its_report_and_thread() {
        let report = Uuid::now_v7();
        let Some(Asked::Press(press)) = interaction(&pressed("whodunit_rerun", &report.to_string())) else {
            panic!()
        };
        assert_eq!((press.action, press.investigation), (Action::Rerun, report));
        assert_eq!(press.place, Place { channel: "C1".to_owned(), thread: "1795244880.000100".to_owned() });
        assert_eq!(press.user.label(), "ada (U1)");
        assert_eq!(press.id, "C1:1795244890.000200:1795244899.123456:U1:whodunit_rerun");
        for (action, value) in [("other_app", report.to_string()), ("whodunit_rerun", "1".to_owned())] {
            assert_eq!(interaction(&pressed(action, &value)), None);
        }
        let mut hostile = pressed("whodunit_rerun", &report.to_string());
        hostile["channel"]["id"] = "C1/../x".into();
        hostile["container"]["channel_id"] = "C1&x=y".into();
        assert_eq!(interaction(&hostile), None);
    }

    #[test]
    fn a_dialogue_carries_its_reason() {
        let report = Uuid::now_v7();
        let mut view = json!({
            "type": "view_submission", "user": {"id": "U1", "name": "ada"},
            "view": {"id": "V1", "callback_id": "whodunit_reason", "private_metadata": report.to_string(),
                     "state": {"values": {"whodunit_reason": {"whodunit_reason": {"value": "wrong pod"}}}}},
        });
        let Some(Asked::Reason(reason)) = interaction(&view) else { panic!() };
        assert_eq!(
            (reason.investigation, reason.reason.as_str(), reason.id.as_str()),
            (report, "wrong pod", "view:V1")
        );
        view["view"]["callback_id"] = "other".into();
        assert_eq!(interaction(&view), None);
    }

    #[test]
    fn only_a_person_s_question_in_a_thread_is_one() {
        let mut body = json!({
            "type": "event_callback", "event_id": "Ev1",
            "event": {"type": "app_mention", "user": "U1", "channel": "C1", "ts": "2.1", "thread_ts": "1.1",
                      "text": "<@U0BOT> why &lt;now&gt;, and what of <https://x.example|this>?"},
        });
        let Some(Asked::Mention(mention)) = event(&body) else { panic!() };
        assert_eq!(mention.question, "why <now>, and what of this?");
        body["event"]["bot_id"] = "B1".into();
        assert_eq!(event(&body), None, "bots are not answered");
        body["event"]["bot_id"] = Value::Null;
        body["event"]["thread_ts"] = Value::Null;
        assert_eq!(event(&body), None, "no thread, no incident");
        let handshake = json!({"type": "url_verification", "challenge": "abc"});
        assert_eq!(event(&handshake), Some(Asked::Challenge("abc".to_owned())));
    }
}
