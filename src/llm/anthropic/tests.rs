//! What goes over the wire and what is made of the answers, against a scripted server.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::Answer;
use crate::llm::sse::{self, Part};
use crate::llm::stand_in::{Scripted, StandIn, conversation, outline, question};
use crate::llm::{Fault, Message, Reply, Stop, ToolChoice, ToolResult, Turn, Usage};

const CLAUDE: &str =
    "name: claude, provider: anthropic, base_url: $URL, model: claude-x, api_key: sk-ant-test-key-1";

/// Thinking, text and two calls, as Anthropic streams them.
const CALLS: &str = r#"event: message_start
data: {"type":"message_start","message":{"model":"claude-x","id":"msg_1","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":21,"cache_creation_input_tokens":400,"cache_read_input_tokens":3000,"cache_creation":{"ephemeral_5m_input_tokens":400},"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"The pods "}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"first."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAh=="}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Let me look — é😀."}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"kubernetes_get","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"name\": \"che"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"ckout\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"kubernetes_events","input":{}}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#;

fn read(parts: &[Part]) -> Result<Reply, Fault> {
    let mut answer = Answer::default();
    for part in parts {
        if answer.take(part)?.is_break() {
            break;
        }
    }
    answer.finish("claude")
}

fn read_text(text: &str) -> Result<Reply, Fault> {
    read(&sse::parts([text.as_bytes()]))
}

fn stream(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

async fn ask(script: impl IntoIterator<Item = Scripted>, yaml: &str) -> Result<Reply, Fault> {
    let server = StandIn::start(script).await;
    server.model(yaml).ask(&question("Why?")).await
}

#[tokio::test]
async fn a_whole_conversation_is_sent_with_three_cache_marks() {
    let server = StandIn::start([Scripted::whole(200, CALLS)]).await;
    server.model(CLAUDE).ask(&conversation(ToolChoice::Auto)).await.unwrap();
    let asked = server.asked().remove(0);
    assert_eq!(asked.uri, "/v1/messages");
    assert_eq!(asked.headers["x-api-key"], "sk-ant-test-key-1");
    assert_eq!(asked.headers["anthropic-version"], "2023-06-01");
    assert!(!asked.headers.contains_key("authorization"));
    assert_eq!(asked.body.to_string().matches("cache_control").count(), 3);
    assert_snapshot!(outline(&asked.body), @r#"
    max_tokens: 900
    messages:
      {"content":[{"text":"Why does checkout fail?","type":"text"}],"role":"user"}
      {"content":[{"text":"I look.","type":"text"},{"id":"call_1","input":{"name":"checkout"},"name":"kubernetes_get","type":"tool_use"},{"id":"functions_b_1","input":{"malformed":"{\"name\": "},"name":"kubernetes_get","type":"tool_use"}],"role":"assistant"}
      {"content":[{"content":"replicas: 0","tool_use_id":"call_1","type":"tool_result"},{"cache_control":{"type":"ephemeral"},"content":"these arguments are no JSON","is_error":true,"tool_use_id":"functions_b_1","type":"tool_result"}],"role":"user"}
    model: "claude-x"
    stream: true
    system:
      {"cache_control":{"type":"ephemeral"},"text":"You investigate.","type":"text"}
    tool_choice: {"type":"auto"}
    tools:
      {"description":"kubernetes_get, read-only.","input_schema":{"properties":{"name":{"type":"string"}},"type":"object"},"name":"kubernetes_get"}
      {"cache_control":{"type":"ephemeral"},"description":"conclude, read-only.","input_schema":{"properties":{"name":{"type":"string"}},"type":"object"},"name":"conclude"}
    "#);
}

#[tokio::test]
async fn each_choice_has_its_word_and_a_forced_end_no_mark_on_its_messages() {
    let server = StandIn::start(vec![Scripted::whole(200, CALLS); 3]).await;
    let other = "name: a, provider: anthropic, base_url: '$URL/v1', model: m, api_version: '2027-01-01', \
                 headers: {authorization: 'Bearer abcdefg', anthropic-beta: some-feature}";
    server.model(CLAUDE).ask(&conversation(ToolChoice::Any)).await.unwrap();
    server.model(CLAUDE).ask(&conversation(ToolChoice::Named("conclude".to_owned()))).await.unwrap();
    server.model(other).ask(&question("Why?")).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].body["tool_choice"], json!({"type": "any"}));
    assert_eq!(asked[1].body["tool_choice"], json!({"type": "tool", "name": "conclude"}));
    assert_eq!(asked[1].body["tools"], asked[0].body["tools"], "schemas are sent also when forced");
    assert!(!asked[1].body["messages"].to_string().contains("cache_control"));
    assert_eq!(asked[2].uri, "/v1/messages", "a /v1 too many does no harm");
    assert_eq!(asked[2].headers["anthropic-version"], "2027-01-01");
    assert_eq!(asked[2].headers["anthropic-beta"], "some-feature");
    assert_eq!(asked[2].headers["authorization"], "Bearer abcdefg");
    assert_snapshot!(asked[2].body, @r#"{"max_tokens":100,"messages":[{"content":[{"cache_control":{"type":"ephemeral"},"text":"Why?","type":"text"}],"role":"user"}],"model":"m","stream":true}"#);
}

#[tokio::test]
async fn a_stream_becomes_text_calls_and_all_that_was_sent() {
    let reply = ask([Scripted::whole(200, CALLS)], CLAUDE).await.unwrap();
    assert_eq!(reply.turn.text, "Let me look — é😀.");
    let calls: Vec<_> = reply.turn.calls.iter().map(|it| (&*it.id, &*it.name, &*it.arguments)).collect();
    let expected =
        [("toolu_1", "kubernetes_get", r#"{"name": "checkout"}"#), ("toolu_2", "kubernetes_events", "{}")];
    assert_eq!(calls, expected);
    assert_eq!(reply.usage, Usage { input: 3421, cached: 3000, output: 89 });
    assert_eq!((reply.stop, reply.model.as_str()), (Stop::Done, "claude"));
}

#[tokio::test]
async fn thinking_goes_back_unchanged_to_the_model_it_came_from_and_to_no_other() {
    let mut turn = read_text(CALLS).unwrap().turn;
    let mut request = question("Why?");
    let results = turn.calls.iter().map(|call| ToolResult {
        call_id: call.id.clone(),
        name: call.name.clone(),
        text: " ".to_owned(),
        is_error: true,
    });
    let results = Message::Results(results.collect());
    request.messages.extend([Message::Assistant(turn.clone()), results]);
    let server = StandIn::start(vec![Scripted::whole(200, CALLS); 3]).await;
    server.model(CLAUDE).ask(&request).await.unwrap();
    server.model(&CLAUDE.replace("name: claude", "name: other")).ask(&request).await.unwrap();
    // A loop that took only the first call: what stands for the second is not sent.
    turn.calls.truncate(1);
    request.messages[1] = Message::Assistant(turn);
    server.model(CLAUDE).ask(&request).await.unwrap();
    let asked = server.asked();
    assert_snapshot!(outline(&json!({"messages": asked[0].body["messages"]})), @r#"
    messages:
      {"content":[{"text":"Why?","type":"text"}],"role":"user"}
      {"content":[{"signature":"EqQBCgIYAh==","thinking":"The pods first.","type":"thinking"},{"text":"Let me look — é😀.","type":"text"},{"id":"toolu_1","input":{"name":"checkout"},"name":"kubernetes_get","type":"tool_use"},{"id":"toolu_2","input":{},"name":"kubernetes_events","type":"tool_use"}],"role":"assistant"}
      {"content":[{"content":"(empty)","is_error":true,"tool_use_id":"toolu_1","type":"tool_result"},{"cache_control":{"type":"ephemeral"},"content":"(empty)","is_error":true,"tool_use_id":"toolu_2","type":"tool_result"}],"role":"user"}
    "#);
    let types = |body: &Value| -> Vec<String> {
        let blocks = body["messages"][1]["content"].as_array().unwrap();
        blocks.iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&asked[1].body), ["text", "tool_use", "tool_use"]);
    assert_eq!(types(&asked[2].body), ["thinking", "text", "tool_use"]);
}

#[tokio::test]
async fn roles_alternate_and_no_block_is_empty() {
    let mut request = question("Why?");
    request.messages.extend([
        Message::Assistant(Turn::default()),
        Message::User("Say something, or call a tool.".to_owned()),
        Message::User(String::new()),
    ]);
    let server = StandIn::start([Scripted::whole(200, CALLS)]).await;
    server.model(CLAUDE).ask(&request).await.unwrap();
    assert_snapshot!(server.asked()[0].body["messages"], @r#"[{"content":[{"text":"Why?","type":"text"},{"cache_control":{"type":"ephemeral"},"text":"Say something, or call a tool.","type":"text"}],"role":"user"}]"#);
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "max_tokens",
        "content": [
            {"type": "text", "text": "One."},
            {"type": "redacted_thinking", "data": "EmwKAhgB"},
            {"type": "text", "text": "Two."},
            {"type": "tool_use", "id": "", "name": "f", "input": {"a": 1}},
            "no block",
        ],
        "usage": {"input_tokens": 7, "output_tokens": 3},
    });
    let reply = ask([Scripted::whole(200, body.to_string())], CLAUDE).await.unwrap();
    assert_eq!(reply.turn.text, "One.\nTwo.");
    assert_eq!(reply.turn.calls[0].arguments, r#"{"a":1}"#);
    assert!(reply.turn.calls[0].id.starts_with("toolu_"), "an id of ours where there is none");
    assert_eq!(reply.usage, Usage { input: 7, cached: 0, output: 3 });
    assert_eq!(reply.stop, Stop::Length);
    let blocks = reply.turn.carried["blocks"].as_array().unwrap();
    assert_eq!(blocks[1], json!({"type": "redacted_thinking", "data": "EmwKAhgB"}));
}

#[test]
fn what_a_model_does_wrong_is_passed_on() {
    let end = |reason: &str| json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 2}});
    let stop = json!({"type": "message_stop"});
    let empty = read_text(&stream(&[end("end_turn"), stop.clone()])).unwrap();
    assert_eq!(empty.turn, Turn::default());
    assert_eq!(read_text(&stream(&[end("refusal"), stop.clone()])).unwrap().stop, Stop::Refused);
    let cut = read_text(&stream(&[
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 9, "delta": {"text": "of no block"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"a"}}),
        json!({"type": "an_event_of_the_future"}),
        end("max_tokens"),
        stop,
    ]));
    let cut = cut.unwrap();
    assert_eq!((cut.turn.calls[0].arguments.as_str(), cut.stop), ("{\"a", Stop::Length));
}

#[tokio::test]
async fn a_stalled_stream_ends() {
    let began = Instant::now();
    let stalled = Scripted::whole(200, &CALLS[..700]).hanging();
    let fault = ask([stalled], &format!("{CLAUDE}, idle_secs: 1")).await.unwrap_err();
    assert_eq!(fault.to_string(), "claude: nothing received for 1 s (idle_secs)");
    let ping = (Duration::from_millis(200), b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec());
    let endless = Scripted { status: 200, headers: vec![], pieces: vec![ping; 100], hangs: true };
    let fault = ask([endless], &format!("{CLAUDE}, total_secs: 1")).await.unwrap_err();
    assert_eq!(fault.to_string(), "claude: no whole answer within 1 s (total_secs)");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn faults_are_told_apart() {
    let error = |kind: &str, message: &str| {
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
            .to_string()
    };
    let overloaded = Scripted::whole(529, error("overloaded_error", "Overloaded"));
    let fault = ask([overloaded.header("retry-after", "3")], CLAUDE).await.unwrap_err();
    let detail = "claude: HTTP 529: Overloaded".to_owned();
    assert_eq!(fault, Fault::Transient { detail, retry_after: Some(Duration::from_secs(3)) });
    let long = error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum");
    let fault = ask([Scripted::whole(400, long)], CLAUDE).await.unwrap_err();
    assert!(matches!(fault, Fault::TooLong { .. }), "{fault}");
    for (status, kind, message) in [
        (401, "authentication_error", "invalid x-api-key"),
        (404, "not_found_error", "model: claude-x"),
        (400, "invalid_request_error", "Your credit balance is too low"),
    ] {
        let fault = ask([Scripted::whole(status, error(kind, message))], CLAUDE).await.unwrap_err();
        assert!(matches!(fault, Fault::Unusable { .. }), "{fault}");
    }
    let begun = format!(
        "{}event: error\ndata: {}\n\n",
        &CALLS[..CALLS.find("event: ping").unwrap()],
        error("overloaded_error", "Overloaded")
    );
    let fault = ask([Scripted::whole(200, begun)], CLAUDE).await.unwrap_err();
    assert_eq!(fault, Fault::Transient { detail: "claude: Overloaded".to_owned(), retry_after: None });
    for garbage in ["<html>", "{}", "data: {}\n\n", "data: nothing\n\n", "[]"] {
        let fault = ask([Scripted::whole(200, garbage)], CLAUDE).await.unwrap_err();
        assert!(matches!(fault, Fault::Garbage { .. }), "{garbage}: {fault}");
    }
}

proptest! {
    #[test]
    fn the_answer_is_the_same_wherever_its_bytes_are_cut(
        cuts in prop::collection::vec(0..CALLS.len(), 0..12),
    ) {
        let mut cuts = cuts;
        cuts.push(CALLS.len());
        cuts.sort_unstable();
        let mut from = 0;
        let pieces: Vec<&[u8]> = cuts.into_iter().map(|cut| {
            let piece = &CALLS.as_bytes()[from..cut];
            from = cut;
            piece
        }).collect();
        prop_assert_eq!(read(&sse::parts(pieces)), read_text(CALLS));
    }

    #[test]
    fn an_answer_that_breaks_off_anywhere_is_never_taken_for_a_whole_one(end in 0..CALLS.len()) {
        let Some(text) = CALLS.get(..end) else { return Ok(()) };
        let finished = text.contains("{\"output_tokens\":89}}\n");
        match read_text(text) {
            Ok(_) => prop_assert!(finished, "{}", text),
            Err(fault) => prop_assert!(matches!(fault, Fault::Transient { .. }) && !finished, "{}", fault),
        }
    }
}
