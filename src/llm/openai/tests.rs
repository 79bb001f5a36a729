//! What goes over the wire and what is made of the answers, against a scripted server.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::Answer;
use crate::llm::sse::{self, Part};
use crate::llm::stand_in::{Scripted, StandIn, conversation, outline, question};
use crate::llm::{Fault, Message, Reply, Stop, ToolChoice, Usage};

const LOCAL: &str =
    "name: local, provider: openai, base_url: '$URL/v1', model: qwen3, api_key: sk-test-key-1";

/// Two calls in parallel, as OpenAI streams them.
const CALLS: &str = r#"data: {"id":"c1","object":"chat.completion.chunk","model":"gpt","choices":[{"index":0,"delta":{"role":"assistant","content":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"choices":[{"index":0,"delta":{"content":"Let me "},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"look — é😀."},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"kubernetes_get","arguments":""}}]},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"name\":"}}]},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"kubernetes_logs","arguments":"{}"}}]},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"checkout\"}"}}]},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":1200,"completion_tokens":50,"total_tokens":1250,"prompt_tokens_details":{"cached_tokens":1024},"completion_tokens_details":{"reasoning_tokens":0}}}

data: [DONE]

"#;

fn stream(events: &[Value]) -> String {
    let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    format!("{events}data: [DONE]\n\n")
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

fn read(parts: &[Part]) -> Result<Reply, Fault> {
    let mut answer = Answer::default();
    for part in parts {
        if answer.take(part)?.is_break() {
            break;
        }
    }
    answer.finish("local")
}

fn read_text(text: &str) -> Result<Reply, Fault> {
    read(&sse::parts([text.as_bytes()]))
}

async fn ask(script: impl IntoIterator<Item = Scripted>, yaml: &str) -> Result<Reply, Fault> {
    let server = StandIn::start(script).await;
    server.model(yaml).ask(&question("Why?")).await
}

fn calls(reply: &Reply) -> Vec<(&str, &str, &str)> {
    let calls = reply.turn.calls.iter();
    calls.map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect()
}

#[tokio::test]
async fn a_whole_conversation_is_sent_as_chat_completions_want_it() {
    let server = StandIn::start([Scripted::whole(200, CALLS)]).await;
    let yaml = format!("{LOCAL}, max_output_tokens: 800, headers: {{X-Team: sre-internal}}");
    server.model(&yaml).ask(&conversation(ToolChoice::Auto)).await.unwrap();
    let asked = server.asked().remove(0);
    assert_eq!(asked.uri, "/v1/chat/completions");
    assert_eq!(asked.headers["authorization"], "Bearer sk-test-key-1");
    assert_eq!(asked.headers["x-team"], "sre-internal");
    assert_eq!(asked.headers["content-type"], "application/json");
    assert_snapshot!(outline(&asked.body), @r#"
    max_tokens: 800
    messages:
      {"content":"You investigate.","role":"system"}
      {"content":"Why does checkout fail?","role":"user"}
      {"content":"I look.","role":"assistant","tool_calls":[{"function":{"arguments":"{\"name\": \"checkout\"}","name":"kubernetes_get"},"id":"call_1","type":"function"},{"function":{"arguments":"{\"malformed\":\"{\\\"name\\\": \"}","name":"kubernetes_get"},"id":"functions.b:1","type":"function"}]}
      {"content":"replicas: 0","role":"tool","tool_call_id":"call_1"}
      {"content":"these arguments are no JSON","role":"tool","tool_call_id":"functions.b:1"}
    model: "qwen3"
    stream: true
    stream_options: {"include_usage":true}
    tool_choice: "auto"
    tools:
      {"function":{"description":"kubernetes_get, read-only.","name":"kubernetes_get","parameters":{"properties":{"name":{"type":"string"}},"type":"object"}},"type":"function"}
      {"function":{"description":"conclude, read-only.","name":"conclude","parameters":{"properties":{"name":{"type":"string"}},"type":"object"}},"type":"function"}
    "#);
}

#[tokio::test]
async fn each_choice_and_each_server_gets_its_own_words() {
    let server = StandIn::start(vec![Scripted::whole(200, CALLS); 5]).await;
    let azure = "name: azure, provider: openai, model: gpt, api_key: azure-key-1, api_version: '2026-01-01', \
                 base_url: '$URL/openai/deployments/gpt'";
    for choice in [ToolChoice::Any, ToolChoice::Named("conclude".to_owned())] {
        server.model(LOCAL).ask(&conversation(choice)).await.unwrap();
    }
    server.model(azure).ask(&question("Why?")).await.unwrap();
    let path = "name: a, provider: openai, base_url: '$URL/', path: /openai/v1/chat/completions, model: m";
    server.model(path).ask(&question("Why?")).await.unwrap();
    let own = "name: a, provider: openai, base_url: $URL, model: m, headers: {Authorization: 'Basic abcdef'}";
    server.model(own).ask(&question("Why?")).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].body["tool_choice"], "required");
    let named = json!({"type": "function", "function": {"name": "conclude"}});
    assert_eq!(asked[1].body["tool_choice"], named);
    assert_eq!(asked[1].body["tools"].as_array().unwrap().len(), 2, "schemas are sent also when forced");
    assert_eq!(asked[2].uri, "/openai/deployments/gpt/chat/completions?api-version=2026-01-01");
    assert_eq!(asked[2].headers["api-key"], "azure-key-1");
    assert!(!asked[2].headers.contains_key("authorization"));
    assert_snapshot!(asked[2].body.to_string(), @r#"{"max_completion_tokens":100,"messages":[{"content":"Why?","role":"user"}],"model":"gpt","stream":true,"stream_options":{"include_usage":true}}"#);
    assert_eq!(asked[3].uri, "/openai/v1/chat/completions");
    assert!(!asked[3].headers.contains_key("authorization"), "no key, no header");
    assert_eq!(asked[4].headers["authorization"], "Basic abcdef");
}

#[test]
fn only_hosts_that_know_the_newer_limit_get_it() {
    for (url, newer) in [
        ("https://api.openai.com/v1", true),
        ("https://eu.api.openai.com/v1", true),
        ("https://shop.openai.azure.com/openai/v1", true),
        ("https://api.openai.com.evil.example/v1", false),
        ("http://vllm.models:8000/v1", false),
        ("http://localhost:11434/v1", false),
    ] {
        assert_eq!(super::knows_newer_limit(&url.parse().unwrap()), newer, "{url}");
    }
}

#[tokio::test]
async fn a_stream_becomes_text_calls_and_usage() {
    let reply = ask([Scripted::whole(200, CALLS)], LOCAL).await.unwrap();
    assert_eq!(reply.turn.text, "Let me look — é😀.");
    let expected =
        [("call_a", "kubernetes_get", r#"{"name":"checkout"}"#), ("call_b", "kubernetes_logs", "{}")];
    assert_eq!(calls(&reply), expected);
    assert_eq!(reply.usage, Usage { input: 1200, cached: 1024, output: 50 });
    assert_eq!((reply.stop, reply.model.as_str()), (Stop::Done, "local"));
    assert_eq!(reply.turn.carried, Value::Null);
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let body = json!({
        "id": "x", "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "",
            "tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}],
        }}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    });
    let script = Scripted::whole(200, body.to_string()).header("content-type", "application/json");
    let reply = ask([script], LOCAL).await.unwrap();
    assert_eq!(reply.turn.calls[0].arguments, r#"{"a":1}"#);
    assert!(reply.turn.calls[0].id.starts_with("call_"), "an id of ours where there is none");
    assert_eq!(reply.usage, Usage { input: 7, cached: 0, output: 3 });
}

#[test]
fn calls_are_told_apart_however_the_server_numbers_them() {
    let part = |index: Value, id: Value, name: Value, arguments: &str| {
        let call = json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}});
        delta(&json!({"tool_calls": [call]}))
    };
    let two = |reply: Reply| -> Vec<(String, String)> {
        assert_ne!(reply.turn.calls[0].id, reply.turn.calls[1].id);
        reply.turn.calls.into_iter().map(|call| (call.name, call.arguments)).collect()
    };
    let expected = [("f".to_owned(), "{}".to_owned()), ("g".to_owned(), "[1]".to_owned())];
    for (what, events) in [
        (
            "each at index 0, as Ollama did",
            [
                part(json!(0), json!("a"), json!("f"), "{}"),
                part(json!(0), json!("b"), json!("g"), "[1"),
                part(json!(0), json!("b"), json!("g"), "]"),
            ],
        ),
        (
            "no index at all",
            [
                part(Value::Null, json!("a"), json!("f"), "{}"),
                part(Value::Null, json!("b"), json!("g"), "["),
                part(Value::Null, Value::Null, Value::Null, "1]"),
            ],
        ),
        (
            "no ids",
            [
                part(json!(0), Value::Null, json!("f"), "{}"),
                part(json!(7_000_000_000_u64), json!(""), json!("g"), "["),
                part(json!(7_000_000_000_u64), Value::Null, json!("g"), "1]"),
            ],
        ),
        (
            "one id for both",
            [
                part(json!(0), json!("a"), json!("f"), "{}"),
                part(json!(1), json!("a"), json!("g"), "["),
                part(json!(1), json!("a"), json!(""), "1]"),
            ],
        ),
    ] {
        assert_eq!(two(read_text(&stream(&events)).unwrap()), expected, "{what}");
    }
}

#[test]
fn what_a_model_does_wrong_is_passed_on() {
    let empty = read_text(&stream(&[delta(&json!({}))])).unwrap();
    assert_eq!((empty.turn.text.as_str(), empty.turn.calls.len()), ("", 0));
    let cut = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function":
        {"name": "nope", "arguments": "{\"a\": "}}]}, "finish_reason": "length"}]});
    let cut = read_text(&stream(&[cut])).unwrap();
    assert_eq!(calls(&cut), [("a", "nope", "{\"a\": ")]);
    assert_eq!(cut.stop, Stop::Length);
    let refused = read_text(&stream(&[
        delta(&json!({"refusal": "I cannot "})),
        delta(&json!({"refusal": "do that."})),
    ]));
    let refused = refused.unwrap();
    assert_eq!((refused.turn.text.as_str(), refused.stop), ("I cannot do that.", Stop::Refused));
    let many: Vec<Value> = (0..1000)
        .map(|n| {
            delta(&json!({"tool_calls": [{"index": n, "id": format!("c{n}"), "function": {"name": "f"}}]}))
        })
        .collect();
    assert_eq!(read_text(&stream(&many)).unwrap().turn.calls.len(), 1000);
}

#[tokio::test]
async fn reasoning_goes_back_to_the_model_it_came_from_and_to_no_other() {
    let events = [
        delta(&json!({"reasoning_content": "First "})),
        delta(&json!({"reasoning_content": "the pods."})),
        delta(&json!({"content": [{"type": "thinking"}, {"type": "text", "text": "Hm."}]})),
        delta(&json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "c2ln"}}}]})),
    ];
    let reply = read_text(&stream(&events)).unwrap();
    assert_snapshot!(reply.turn.carried, @r#"{"blocks":{"extra_content":{"a":{"google":{"thought_signature":"c2ln"}}},"reasoning_content":"First the pods."},"by":"local"}"#);
    let mut request = question("Why?");
    request.messages.push(Message::Assistant(reply.turn));
    let server = StandIn::start(vec![Scripted::whole(200, CALLS); 2]).await;
    server.model(LOCAL).ask(&request).await.unwrap();
    server.model(&LOCAL.replace("name: local", "name: other")).ask(&request).await.unwrap();
    let asked = server.asked();
    assert_snapshot!(asked[0].body["messages"][1], @r#"{"content":"Hm.","reasoning_content":"First the pods.","role":"assistant","tool_calls":[{"extra_content":{"google":{"thought_signature":"c2ln"}},"function":{"arguments":"{}","name":"f"},"id":"a","type":"function"}]}"#);
    assert_snapshot!(asked[1].body["messages"][1], @r#"{"content":"Hm.","role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"a","type":"function"}]}"#);
}

#[tokio::test]
async fn a_stalled_stream_ends() {
    let stalled = Scripted::whole(200, &CALLS[..400]).hanging();
    let fast = format!("{LOCAL}, idle_secs: 1, total_secs: 20");
    let began = Instant::now();
    let fault = ask([stalled], &fast).await.unwrap_err();
    assert_snapshot!(fault, @"local: nothing received for 1 s (idle_secs)");
    assert!(matches!(fault, Fault::Transient { retry_after: None, .. }));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // A server that never begins to answer.
    let silent = Scripted {
        status: 200,
        headers: vec![],
        pieces: vec![(Duration::from_secs(60), vec![])],
        hangs: true,
    };
    assert_snapshot!(ask([silent], &fast).await.unwrap_err(), @"local: nothing received for 1 s (idle_secs)");

    // Something arrives all the time, and no end of it.
    let ping = (Duration::from_millis(200), b": ping\n\n".to_vec());
    let endless = Scripted { status: 200, headers: vec![], pieces: vec![ping; 100], hangs: true };
    let began = Instant::now();
    let fault = ask([endless], &format!("{LOCAL}, idle_secs: 5, total_secs: 1")).await.unwrap_err();
    assert_snapshot!(fault, @"local: no whole answer within 1 s (total_secs)");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_is_whole_at_done_though_the_connection_stays_open() {
    let began = Instant::now();
    ask([Scripted::whole(200, CALLS).hanging()], LOCAL).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn faults_are_told_apart() {
    let limited = Scripted::whole(429, r#"{"error":{"message":"Rate limit reached","type":"tokens"}}"#);
    let fault = ask([limited.clone().header("retry-after", "7")], LOCAL).await.unwrap_err();
    let detail = "local: HTTP 429: Rate limit reached".to_owned();
    assert_eq!(fault, Fault::Transient { detail, retry_after: Some(Duration::from_secs(7)) });
    let date = (chrono::Utc::now() + chrono::TimeDelta::seconds(100)).format("%a, %d %b %Y %H:%M:%S GMT");
    let fault = ask([limited.header("retry-after", &date.to_string())], LOCAL).await.unwrap_err();
    let Fault::Transient { retry_after: Some(wait), .. } = fault else { panic!("{fault}") };
    assert!((95..=100).contains(&wait.as_secs()), "{wait:?}");

    let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
    let fault = ask([Scripted::whole(429, quota)], LOCAL).await.unwrap_err();
    assert!(matches!(fault, Fault::Unusable { .. }), "{fault}");
    let long = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
    let fault = ask([Scripted::whole(400, long)], LOCAL).await.unwrap_err();
    assert!(matches!(fault, Fault::TooLong { .. }), "{fault}");

    for garbage in
        ["<html>It works!</html>", "hello\n", "data: {\"choices\": [\n\n", "data: 7\n\n", "{\"id\": 1}"]
    {
        let fault = ask([Scripted::whole(200, garbage)], LOCAL).await.unwrap_err();
        assert!(matches!(fault, Fault::Garbage { .. }), "{garbage:?}: {fault}");
    }
    let broken = [&CALLS[..500], "", ": ping\n\n"];
    for broken in broken {
        let fault = ask([Scripted::whole(200, broken)], LOCAL).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient { .. }), "{broken:?}: {fault}");
    }
    let inside = "data: {\"error\": {\"message\": \"overloaded\", \"code\": 503}}\n\n";
    let fault = ask([Scripted::whole(200, inside)], LOCAL).await.unwrap_err();
    assert_eq!(fault.to_string(), "local: HTTP 503: overloaded");
    assert!(matches!(fault, Fault::Transient { .. }));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_passing_fault() {
    let yaml = LOCAL.replace("$URL", "http://127.0.0.1:1");
    let fault = StandIn::default().model(&yaml).ask(&question("Why?")).await.unwrap_err();
    assert!(matches!(fault, Fault::Transient { .. }), "{fault}");
    assert!(fault.to_string().starts_with("local: cannot connect: "), "{fault}");
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let line = format!("data: {}\n\n", delta(&json!({"content": "x".repeat(64 * 1024)})));
    let fault = ask([Scripted::whole(200, line.repeat(140))], LOCAL).await.unwrap_err();
    assert_snapshot!(fault, @"local: more than 8388608 bytes of answer");
    assert!(matches!(fault, Fault::Garbage { .. }));
    let fault = ask([Scripted::whole(500, vec![b'x'; 1024 * 1024])], LOCAL).await.unwrap_err();
    assert!(fault.to_string().chars().count() <= 300, "{fault}");
}

#[tokio::test]
async fn no_secret_leaves_in_a_fault() {
    let yaml = "name: local, provider: openai, base_url: $URL, model: m, api_key: hunter2-hunter2, \
                headers: {X-Proxy: 'Basic c2VjcmV0OnNlY3JldA=='}";
    let body = json!({"error": {"message": "key hunter2-hunter2 is\nwrong; got c2VjcmV0OnNlY3JldA== and \
        AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"}});
    let fault = ask([Scripted::whole(401, body.to_string())], yaml).await.unwrap_err();
    let text = format!("{fault} {fault:?}");
    for secret in ["hunter2", "c2VjcmV0", "wJalr"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(fault.to_string().starts_with("local: HTTP 401: key [redacted:key] is wrong"), "{text}");
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
        let finished = text.contains("\"finish_reason\":\"tool_calls\"}]}\n");
        match read_text(text) {
            Ok(_) => prop_assert!(finished, "{}", text),
            Err(fault) => prop_assert!(matches!(fault, Fault::Transient { .. }) && !finished, "{}", fault),
        }
    }
}
