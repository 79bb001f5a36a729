//! Request bodies and answers of Converse, byte for byte.

use serde_json::{Value, json};

use super::super::super::{ToolCall, ToolResult, Turn};
use super::super::wire::{body, reply};
use super::*;

const NOVA: &str = "us.amazon.nova-pro-v1:0";
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: "kubernetes_logs".to_owned(), arguments: arguments.to_owned() }
}

fn result(id: &str, text: &str, is_error: bool) -> ToolResult {
    ToolResult { call_id: id.to_owned(), name: "kubernetes_logs".to_owned(), text: text.to_owned(), is_error }
}

fn sent(model: &str, messages: Vec<Message>) -> Value {
    body(model, &Request { messages, ..request() })["messages"].clone()
}

/// A turn of a model that reasons, as Converse answers it.
fn reasoned() -> Value {
    json!({"output": {"message": {"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "Logs first.", "signature": "c2lnbmVk"}}},
        {"text": "I read the logs."},
        {"toolUse": {"toolUseId": "tooluse_1", "name": "kubernetes_logs", "input": {"pod": "a", "tail": 5}}},
        {"reasoningContent": {"redactedContent": "b3BhcXVl"}},
        {"toolUse": {"toolUseId": "tooluse_2", "name": "kubernetes_logs", "input": {"pod": "b"}}},
    ]}}, "stopReason": "tool_use", "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}})
}

#[test]
fn calls_and_their_results_take_turns() {
    let messages = vec![
        Message::User("What broke?".to_owned()),
        Message::Assistant(Turn {
            text: "Looking.".to_owned(),
            calls: vec![call("tooluse_1", r#"{"pod":"a"}"#), call("tooluse_2", "{pod:")],
            carried: Value::Null,
        }),
        Message::Results(vec![result("tooluse_1", "OOM", false), result("tooluse_2", "\n", true)]),
        Message::User("Conclude.".to_owned()),
    ];
    assert_eq!(
        sent(LLAMA, messages),
        json!([
            {"role": "user", "content": [{"text": "What broke?"}]},
            {"role": "assistant", "content": [
                {"text": "Looking."},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "kubernetes_logs", "input": {"pod": "a"}}},
                {"toolUse": {"toolUseId": "tooluse_2", "name": "kubernetes_logs",
                    "input": {"not_an_object": "{pod:"}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "OOM"}], "status": "success"}},
                {"toolResult": {"toolUseId": "tooluse_2", "content": [{"text": "(empty)"}], "status": "error"}},
                {"text": "Conclude."},
            ]},
        ])
    );
}

#[test]
fn an_empty_turn_leaves_no_empty_message() {
    let messages = vec![
        Message::User("What broke?".to_owned()),
        Message::Assistant(Turn { text: " \n".to_owned(), ..Turn::default() }),
        Message::User("You said nothing.".to_owned()),
    ];
    let expected =
        json!([{"role": "user", "content": [{"text": "What broke?"}, {"text": "You said nothing."}]}]);
    assert_eq!(sent(LLAMA, messages), expected);
}

#[test]
fn reasoning_goes_back_unchanged_to_the_model_that_wrote_it() {
    let answer = reasoned();
    let reply = reply(CLAUDE, "sonnet", answer.to_string().as_bytes()).unwrap();
    assert_eq!(reply.turn.text, "I read the logs.");
    let calls: Vec<(&str, &str)> =
        reply.turn.calls.iter().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
    assert_eq!(calls, [("tooluse_1", r#"{"pod":"a","tail":5}"#), ("tooluse_2", r#"{"pod":"b"}"#)]);
    // As it comes back from the database.
    let stored = serde_json::to_string(&reply.turn).unwrap();
    let turn: Turn = serde_json::from_str(&stored).unwrap();
    let content = answer["output"]["message"]["content"].clone();
    let first = |model: &str, turn: Turn| sent(model, vec![Message::Assistant(turn)])[0]["content"].clone();
    assert_eq!(first(CLAUDE, turn.clone()), content);
    // Another model gets what was said, without the reasoning.
    let blocks = content.as_array().unwrap();
    assert_eq!(first(NOVA, turn.clone()), json!([blocks[1], blocks[2], blocks[4]]));
    // A call that the run dropped is not repeated: nothing would answer it.
    let cut = Turn { calls: turn.calls[..1].to_vec(), ..turn };
    assert_eq!(first(CLAUDE, cut), json!([blocks[0], blocks[1], blocks[2], blocks[3]]));
}

#[test]
fn what_another_provider_carried_is_left_alone() {
    let turn = Turn {
        text: "Hm.".to_owned(),
        calls: Vec::new(),
        carried: json!([{"type": "thinking", "thinking": "…", "signature": "x"}]),
    };
    let expected = json!([{"role": "assistant", "content": [{"text": "Hm."}]}]);
    assert_eq!(sent(LLAMA, vec![Message::Assistant(turn)]), expected);
}

#[test]
fn ids_of_other_providers_are_made_to_fit_on_both_sides() {
    let long = "x".repeat(65);
    for id in ["", "call|1", "ü", long.as_str()] {
        let turn = Turn { calls: vec![call(id, "{}")], ..Turn::default() };
        let messages = vec![Message::Assistant(turn), Message::Results(vec![result(id, "x", false)])];
        let sent = sent(LLAMA, messages);
        let used = sent.pointer("/0/content/0/toolUse/toolUseId").unwrap().as_str().unwrap();
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        assert!(!used.is_empty() && used.len() <= 64 && used.chars().all(fits), "{id}: {used}");
        assert_eq!(sent.pointer("/1/content/0/toolResult/toolUseId").unwrap(), used);
    }
}

#[test]
fn each_family_is_asked_as_it_can_be() {
    let choice = |model: &str, choice: ToolChoice| {
        let body = body(model, &Request { choice, ..request() });
        // The schemas are there whatever is chosen.
        assert_eq!(body.pointer("/toolConfig/tools/0/toolSpec/name"), Some(&json!("kubernetes_logs")));
        body.pointer("/toolConfig/toolChoice").cloned()
    };
    let named = || ToolChoice::Named("conclude".to_owned());
    let profile = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc";
    for model in [CLAUDE, NOVA, profile] {
        assert_eq!(choice(model, ToolChoice::Auto), Some(json!({"auto": {}})));
        assert_eq!(choice(model, ToolChoice::Any), Some(json!({"any": {}})));
        assert_eq!(choice(model, named()), Some(json!({"tool": {"name": "conclude"}})));
    }
    assert_eq!(choice("mistral.mistral-large-2402-v1:0", named()), Some(json!({"any": {}})));
    for model in [LLAMA, "openai.gpt-oss-120b-1:0"] {
        assert_eq!(choice(model, ToolChoice::Auto), None);
        assert_eq!(choice(model, named()), None);
    }
}

#[test]
fn marks_for_the_cache_stand_only_where_they_are_taken() {
    let point = json!({"cachePoint": {"type": "default"}});
    let marks = |model: &str| {
        let body = body(model, &request());
        let is_marked = |pointer: &str| body.pointer(pointer).is_some_and(|block| *block == point);
        assert!(!body["toolConfig"].to_string().contains("cachePoint"));
        (is_marked("/system/1"), is_marked("/messages/0/content/1"))
    };
    let arn = format!("arn:aws:bedrock:eu-west-1:1:inference-profile/{CLAUDE}");
    for model in [CLAUDE, "anthropic.claude-3-7-sonnet-20250219-v1:0", &arn] {
        assert_eq!(marks(model), (true, true), "{model}");
    }
    for model in [NOVA, "amazon.nova-lite-v1:0"] {
        assert_eq!(marks(model), (true, false), "{model}");
    }
    for model in [
        LLAMA,
        "us.anthropic.claude-3-haiku-20240307-v1:0",
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc",
        "not-anthropic.claude",
    ] {
        assert_eq!(marks(model), (false, false), "{model}");
    }
}

#[test]
fn without_tools_and_without_a_system_prompt_neither_is_sent() {
    let request = Request { system: String::new(), tools: Vec::new(), ..request() };
    let body = body(LLAMA, &request);
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["inferenceConfig", "messages"]);
}

#[test]
fn every_way_to_stop_has_its_meaning() {
    for (reason, expected) in [
        ("end_turn", Stop::Done),
        ("tool_use", Stop::Done),
        ("stop_sequence", Stop::Done),
        ("malformed_tool_use", Stop::Done),
        ("max_tokens", Stop::Length),
        ("model_context_window_exceeded", Stop::Length),
        ("guardrail_intervened", Stop::Refused),
        ("content_filtered", Stop::Refused),
    ] {
        let answer = json!({"output": {"message": {"content": []}}, "stopReason": reason});
        let reply = reply(CLAUDE, "sonnet", answer.to_string().as_bytes()).unwrap();
        assert_eq!(reply.stop, expected, "{reason}");
        assert_eq!((reply.turn, reply.usage), (Turn::default(), Usage::default()));
    }
}

#[test]
fn odd_answers_are_read_as_far_as_they_go() {
    let answer = json!({"output": {"message": {"content": [
        {"text": "one"}, {"unknownBlock": {}}, 7, {"text": "two"},
        {"toolUse": {"name": "a"}},
        {"toolUse": {"toolUseId": "b", "name": "b", "input": "{broken"}},
        {"toolUse": "nonsense"},
    ]}}});
    let turn = reply(CLAUDE, "sonnet", answer.to_string().as_bytes()).unwrap().turn;
    assert_eq!(turn.text, "one\ntwo");
    assert_eq!(turn.carried, Value::Null);
    let calls: Vec<(&str, &str)> =
        turn.calls.iter().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
    assert_eq!(calls, [("call_4", "{}"), ("b", "{broken")]);
    for garbage in ["", "null", "[]", "{}", r#"{"message":"?"}"#, r#"{"output":{"message":{"content":7}}}"#] {
        assert!(
            matches!(reply(CLAUDE, "sonnet", garbage.as_bytes()), Err(Fault::Garbage { .. })),
            "{garbage}"
        );
    }
}
