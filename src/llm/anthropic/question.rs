//! A conversation as the body of a message request: roles alternate, results of one turn stand in one user
//! message, thinking goes back as it came, three cache marks at most. Pure.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::llm::exchange::Terms;
use crate::llm::{Message, Request, ToolCall, ToolChoice, ToolResult, Turn, outgoing};

/// An empty block is refused.
const EMPTY_RESULT: &str = "(empty)";

#[derive(Serialize)]
pub(super) struct Question<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    messages: Vec<Said<'a>>,
    stream: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Mark>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Choice<'a> {
    Auto,
    Any,
    Tool { name: &'a str },
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// "Everything up to here will be sent again."
#[derive(Serialize, Clone, Copy)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Mark {
    Ephemeral,
}

#[derive(Serialize)]
struct Block<'a> {
    #[serde(flatten)]
    body: Body<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Mark>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body<'a> {
    Text {
        text: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Map<String, Value>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
    /// Thinking, exactly as it came.
    #[serde(untagged)]
    Carried(&'a Value),
}

impl<'a> Question<'a> {
    pub fn new(request: &'a Request, terms: &'a Terms) -> Self {
        let mut messages: Vec<Said> = Vec::with_capacity(request.messages.len());
        for message in &request.messages {
            match message {
                Message::User(said) => say(&mut messages, "user", text(said).into_iter().collect()),
                Message::Assistant(turn) => say(&mut messages, "assistant", assistant(turn, &terms.name)),
                Message::Results(results) => {
                    say(&mut messages, "user", results.iter().map(result).collect());
                }
            }
        }
        let mut system: Vec<Block> = text(&request.system).into_iter().collect();
        let mut tools: Vec<Tool> = request
            .tools
            .iter()
            .map(|tool| Tool {
                name: &tool.name,
                description: &tool.description,
                input_schema: &tool.parameters,
                cache_control: None,
            })
            .collect();
        if let Some(tool) = tools.last_mut() {
            tool.cache_control = Some(Mark::Ephemeral);
        }
        if let Some(block) = system.last_mut() {
            block.cache_control = Some(Mark::Ephemeral);
        }
        // A forced answer is the last of its conversation: nobody would read what is cached of it.
        if !matches!(request.choice, ToolChoice::Named(_)) {
            mark_last(&mut messages);
        }
        Self {
            model: &terms.model,
            max_tokens: request.max_output_tokens.min(terms.max_output_tokens),
            system,
            tool_choice: (!tools.is_empty()).then(|| choice(&request.choice)),
            tools,
            messages,
            stream: true,
        }
    }
}

/// Neighbours of one role become one message; an empty one is left out.
fn say<'a>(messages: &mut Vec<Said<'a>>, role: &'static str, content: Vec<Block<'a>>) {
    match messages.last_mut() {
        _ if content.is_empty() => {}
        Some(last) if last.role == role => last.content.extend(content),
        _ => messages.push(Said { role, content }),
    }
}

fn mark_last(messages: &mut [Said]) {
    let last = messages.last_mut().and_then(|message| message.content.last_mut());
    if let Some(block) = last.filter(|block| !matches!(block.body, Body::Carried(_))) {
        block.cache_control = Some(Mark::Ephemeral);
    }
}

fn block(body: Body<'_>) -> Block<'_> {
    Block { body, cache_control: None }
}

fn text(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then(|| block(Body::Text { text }))
}

/// The turn's blocks in the order in which they came, where it is known.
fn assistant<'a>(turn: &'a Turn, model: &str) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    let mut said = false;
    let mut called: Vec<&str> = Vec::new();
    for carried in outgoing::carried(turn, model).and_then(Value::as_array).into_iter().flatten() {
        match carried["type"].as_str() {
            Some("text") => {
                blocks.extend(text(&turn.text).filter(|_| !said));
                said = true;
            }
            Some("tool_use") => {
                let id = carried["id"].as_str().unwrap_or_default();
                if let Some(it) = turn.calls.iter().find(|it| it.id == id && !called.contains(&id)) {
                    blocks.push(call(it));
                    called.push(id);
                }
            }
            _ => blocks.push(block(Body::Carried(carried))),
        }
    }
    blocks.extend(text(&turn.text).filter(|_| !said));
    blocks.extend(turn.calls.iter().filter(|it| !called.contains(&it.id.as_str())).map(call));
    blocks
}

fn call(call: &ToolCall) -> Block<'_> {
    block(Body::ToolUse {
        id: outgoing::plain(&call.id),
        name: outgoing::name(&call.name),
        input: outgoing::arguments(&call.arguments),
    })
}

fn result(result: &ToolResult) -> Block<'_> {
    let content = if result.text.trim().is_empty() { EMPTY_RESULT } else { &result.text };
    let tool_use_id = outgoing::plain(&result.call_id);
    block(Body::ToolResult { tool_use_id, content, is_error: result.is_error })
}

fn choice(choice: &ToolChoice) -> Choice<'_> {
    match choice {
        ToolChoice::Auto => Choice::Auto,
        ToolChoice::Any => Choice::Any,
        ToolChoice::Named(name) => Choice::Tool { name },
    }
}
