//! A conversation as the body of a chat completion. Pure.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::llm::exchange::Terms;
use crate::llm::{Message, Request, ToolCall, ToolChoice, ToolResult, ToolSchema, Turn, outgoing};

#[derive(Serialize)]
pub(super) struct Question<'a> {
    model: &'a str,
    messages: Vec<Said<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Said<'a> {
    System { content: &'a str },
    User { content: &'a str },
    Assistant(Box<Assistant<'a>>),
    Tool { tool_call_id: &'a str, content: &'a str },
}

#[derive(Serialize)]
struct Assistant<'a> {
    /// Null beside calls, where an empty text would be refused by some.
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a Value>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Called<'a>,
    /// Gemini's signature of the thought behind the call; without it the next question is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a Value>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: Cow<'a, str>,
    arguments: Cow<'a, str>,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Schema<'a>,
}

#[derive(Serialize)]
struct Schema<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named { r#type: &'static str, function: Name<'a> },
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

impl<'a> Question<'a> {
    pub fn new(request: &'a Request, terms: &'a Terms, newer_limit: bool) -> Self {
        let mut messages = Vec::with_capacity(request.messages.len() + 1);
        if !request.system.is_empty() {
            messages.push(Said::System { content: &request.system });
        }
        for message in &request.messages {
            match message {
                Message::User(content) => messages.push(Said::User { content }),
                Message::Assistant(turn) => messages.push(assistant(turn, &terms.name)),
                Message::Results(results) => messages.extend(results.iter().map(result)),
            }
        }
        let limit = request.max_output_tokens.min(terms.max_output_tokens);
        Self {
            model: &terms.model,
            messages,
            tools: request.tools.iter().map(tool).collect(),
            tool_choice: (!request.tools.is_empty()).then(|| choice(&request.choice)),
            max_tokens: (!newer_limit).then_some(limit),
            max_completion_tokens: newer_limit.then_some(limit),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
        }
    }
}

fn assistant<'a>(turn: &'a Turn, model: &str) -> Said<'a> {
    let own = outgoing::carried(turn, model);
    let part = |key: &str| own.and_then(|own| own.get(key));
    let extra = part("extra_content");
    Said::Assistant(Box::new(Assistant {
        content: (turn.calls.is_empty() || !turn.text.is_empty()).then_some(&turn.text),
        tool_calls: turn.calls.iter().map(|it| call(it, extra.and_then(|extra| extra.get(&it.id)))).collect(),
        reasoning_content: part("reasoning_content"),
        reasoning: part("reasoning"),
    }))
}

fn call<'a>(call: &'a ToolCall, extra_content: Option<&'a Value>) -> Call<'a> {
    let name = outgoing::name(&call.name);
    let arguments = outgoing::arguments_text(&call.arguments);
    Call { id: &call.id, r#type: "function", function: Called { name, arguments }, extra_content }
}

fn result(result: &ToolResult) -> Said<'_> {
    Said::Tool { tool_call_id: &result.call_id, content: &result.text }
}

fn tool(schema: &ToolSchema) -> Tool<'_> {
    let ToolSchema { name, description, parameters } = schema;
    Tool { r#type: "function", function: Schema { name, description, parameters } }
}

fn choice(choice: &ToolChoice) -> Choice<'_> {
    match choice {
        ToolChoice::Auto => Choice::Word("auto"),
        ToolChoice::Any => Choice::Word("required"),
        ToolChoice::Named(name) => Choice::Named { r#type: "function", function: Name { name } },
    }
}
