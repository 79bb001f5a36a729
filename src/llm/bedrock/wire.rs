//! Converse's JSON: a conversation in, a request's body out; an answer's bytes in, a turn out. Pure. Blocks of
//! reasoning go back as they came, to the model that wrote them and to no other.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{Message, Stop, ToolCall, ToolChoice, ToolResult, ToolSchema, Turn};
use super::{Fault, Reply, Request, Usage};

/// Families that take cache marks. Elsewhere a mark is an error.
const CACHING: [&str; 2] = ["anthropic.", "amazon.nova"];
/// Families that take them behind messages too. Nova is left with its system prompt: it refuses marks in
/// more places than it documents.
const CACHING_MESSAGES: [&str; 1] = ["anthropic."];
/// The first models of a caching family: marks are refused, or allowed to few accounts only.
const NOT_CACHING: [&str; 6] = [
    "anthropic.claude-v2",
    "anthropic.claude-instant",
    "anthropic.claude-3-haiku",
    "anthropic.claude-3-sonnet",
    "anthropic.claude-3-opus",
    "anthropic.claude-3-5-sonnet",
];
/// Families that refuse `toolChoice.any` and `toolChoice.tool`: they are only offered their tools.
const UNFORCED: [&str; 7] = ["meta.", "cohere.", "ai21.", "deepseek.", "writer.", "qwen.", "openai."];
/// Families that refuse `toolChoice.tool` alone.
const ANY_ONLY: [&str; 1] = ["mistral."];

/// Most characters of a tool call's id.
const MAX_ID_CHARS: usize = 64;
/// Bedrock refuses texts without a visible character.
const EMPTY: &str = "(empty)";

/// The body of a request to `model`.
pub(super) fn body(model: &str, request: &Request) -> Value {
    let mut body = Map::new();
    let mut messages = messages(model, &request.messages);
    if caches(model, &CACHING_MESSAGES)
        && let Some((_, blocks)) = messages.last_mut().filter(|(role, _)| *role == "user")
    {
        blocks.push(cache_point());
    }
    let messages: Vec<Value> =
        messages.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    body.insert("messages".to_owned(), messages.into());
    if !is_blank(&request.system) {
        let mut system = vec![json!({"text": request.system})];
        if caches(model, &CACHING) {
            system.push(cache_point());
        }
        body.insert("system".to_owned(), system.into());
    }
    // Bedrock demands at least one tool here, and the tools wherever a message holds a call.
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request.tools.iter().map(tool).collect();
        let mut config = json!({ "tools": tools });
        if let Some(choice) = choice(model, &request.choice) {
            config["toolChoice"] = choice;
        }
        body.insert("toolConfig".to_owned(), config);
    }
    body.insert("inferenceConfig".to_owned(), json!({"maxTokens": request.max_output_tokens}));
    Value::Object(body)
}

/// Roles must take turns, so neighbours of one role become one message.
fn messages(model: &str, messages: &[Message]) -> Vec<(&'static str, Vec<Value>)> {
    let mut merged: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match message {
            Message::User(text) => ("user", vec![json!({"text": visible(text)})]),
            Message::Assistant(turn) => ("assistant", said(model, turn)),
            Message::Results(results) => ("user", results.iter().map(result).collect()),
        };
        match merged.last_mut() {
            Some((last, content)) if *last == role => content.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => merged.push((role, blocks)),
        }
    }
    merged
}

fn said(model: &str, turn: &Turn) -> Vec<Value> {
    let carried = turn.carried.get("bedrock").filter(|carried| carried["model"] == model);
    if let Some(blocks) = carried.and_then(|carried| carried["content"].as_array()) {
        // A call that the run dropped has no answer, and Bedrock refuses calls without one.
        let answered = |block: &&Value| {
            let id = block.pointer("/toolUse/toolUseId");
            id.is_none_or(|id| turn.calls.iter().any(|call| *id == *call.id))
        };
        let kept: Vec<Value> = blocks.iter().filter(answered).cloned().collect();
        // Reasoning may not be all that a turn says.
        let speaks = kept.iter().any(|block| block.get("reasoningContent").is_none());
        return if speaks { kept } else { Vec::new() };
    }
    let mut blocks = Vec::new();
    if !is_blank(&turn.text) {
        blocks.push(json!({"text": turn.text}));
    }
    blocks.extend(turn.calls.iter().map(call));
    blocks
}

fn call(call: &ToolCall) -> Value {
    // Arguments must be an object here, whatever another model wrote.
    let input = match serde_json::from_str::<Value>(&call.arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => json!({"not_an_object": call.arguments}),
    };
    json!({"toolUse": {"toolUseId": id(&call.id), "name": call.name, "input": input}})
}

fn result(result: &ToolResult) -> Value {
    let status = if result.is_error { "error" } else { "success" };
    let content = [json!({"text": visible(&result.text)})];
    json!({"toolResult": {"toolUseId": id(&result.call_id), "content": content, "status": status}})
}

fn tool(schema: &ToolSchema) -> Value {
    let mut spec = json!({"name": schema.name, "inputSchema": {"json": schema.parameters}});
    if !is_blank(&schema.description) {
        spec["description"] = schema.description.clone().into();
    }
    json!({ "toolSpec": spec })
}

fn choice(model: &str, choice: &ToolChoice) -> Option<Value> {
    match choice {
        // The default, and not every model takes it by name.
        _ if is_of(model, &UNFORCED) => None,
        ToolChoice::Auto => Some(json!({"auto": {}})),
        ToolChoice::Named(name) if !is_of(model, &ANY_ONLY) => Some(json!({"tool": {"name": name}})),
        ToolChoice::Any | ToolChoice::Named(_) => Some(json!({"any": {}})),
    }
}

/// Ids of other providers may be longer than Bedrock takes, or hold other characters.
fn id(id: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    if !id.is_empty() && id.len() <= MAX_ID_CHARS && id.bytes().all(fits) {
        return id.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("call_{:016x}", hasher.finish())
}

/// Whether a model id, an inference profile's id (`eu.anthropic.…`) or an ARN that ends in one names a model
/// of these families. An application's own inference profile names none.
fn is_of(model: &str, families: &[&str]) -> bool {
    let last = model.rsplit('/').next().unwrap_or(model);
    let beyond_region = last.split_once('.').map_or("", |(_, rest)| rest);
    families.iter().any(|family| last.starts_with(family) || beyond_region.starts_with(family))
}

fn caches(model: &str, families: &[&str]) -> bool {
    is_of(model, families) && !is_of(model, &NOT_CACHING)
}

fn cache_point() -> Value {
    json!({"cachePoint": {"type": "default"}})
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn visible(text: &str) -> &str {
    if is_blank(text) { EMPTY } else { text }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    output: Output,
    #[serde(default)]
    stop_reason: String,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
struct Output {
    message: Said,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_write_input_tokens: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse {
    #[serde(default)]
    tool_use_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    input: Value,
}

/// What `model` said, under its `name` in the settings.
pub(super) fn reply(model: &str, name: &str, bytes: &[u8]) -> Result<Reply, Fault> {
    let answer: Answer = serde_json::from_slice(bytes)
        .map_err(|error| Fault::Garbage { detail: format!("no answer of Converse: {error}") })?;
    let stop = match answer.stop_reason.as_str() {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "guardrail_intervened" | "content_filtered" | "refusal" => Stop::Refused,
        _ => Stop::Done,
    };
    let tokens = answer.usage;
    let cached = tokens.cache_read_input_tokens;
    let usage = Usage {
        // Bedrock counts what was read from the cache, or written to it, beside the input.
        input: tokens.input_tokens.saturating_add(cached).saturating_add(tokens.cache_write_input_tokens),
        cached,
        output: tokens.output_tokens,
    };
    Ok(Reply { turn: turn(model, answer.output.message.content), usage, stop, model: name.to_owned() })
}

fn turn(model: &str, mut content: Vec<Value>) -> Turn {
    let mut turn = Turn::default();
    let mut reasons = false;
    for (index, block) in content.iter_mut().enumerate() {
        if let Some(text) = block.get("text").and_then(Value::as_str) {
            let gap = if turn.text.is_empty() { "" } else { "\n" };
            turn.text = format!("{}{gap}{text}", turn.text);
        }
        if let Some(used) = block.get("toolUse") {
            let Ok(mut used) = ToolUse::deserialize(used) else { continue };
            if used.tool_use_id.is_empty() {
                used.tool_use_id = format!("call_{index}");
                block["toolUse"]["toolUseId"] = used.tool_use_id.clone().into();
            }
            let arguments = match used.input {
                Value::String(text) => text,
                Value::Null => "{}".to_owned(),
                input => input.to_string(),
            };
            turn.calls.push(ToolCall { id: used.tool_use_id, name: used.name, arguments });
        }
        reasons |= block.get("reasoningContent").is_some();
    }
    if reasons {
        turn.carried = json!({"bedrock": {"model": model, "content": content}});
    }
    turn
}
