//! The parts of a chat completion become one reply. Pure: chunks of a stream or one plain answer in, what the
//! model said and what it cost out. Fields may be missing, and servers differ in how they number calls.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::llm::sse::Part;
use crate::llm::{Fault, Reply, Stop, ToolCall, Turn, Usage, fault, outgoing};

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    /// In a stream.
    delta: Option<Said>,
    /// In a plain answer.
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    /// A text, or Mistral's list of parts.
    content: Option<Value>,
    refusal: Option<String>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    tool_calls: Option<Vec<CallPart>>,
}

#[derive(Deserialize)]
struct CallPart {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionPart>,
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct FunctionPart {
    name: Option<String>,
    /// A text by the book; some servers give the object itself.
    arguments: Option<Value>,
}

/// What was said so far.
#[derive(Default)]
pub(super) struct Answer {
    text: String,
    refusal: String,
    reasoning_content: String,
    reasoning: String,
    calls: Vec<Call>,
    /// Where a call with this index stands in `calls`: the last one that began with it.
    places: HashMap<u64, usize>,
    usage: Usage,
    finish_reason: Option<String>,
    began: bool,
    ended: bool,
}

#[derive(Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
    extra_content: Option<Value>,
}

impl Answer {
    pub fn take(&mut self, part: &Part) -> Result<ControlFlow<()>, Fault> {
        let chunk: Chunk = match part {
            Part::Event(data) if data.trim() == "[DONE]" => {
                self.ended = true;
                return Ok(ControlFlow::Break(()));
            }
            Part::Event(data) => serde_json::from_str(data).map_err(garbage)?,
            Part::Whole(bytes) => {
                self.ended = true;
                serde_json::from_slice(bytes).map_err(garbage)?
            }
        };
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(fault::classify(None, None, error.to_string().as_bytes()));
        }
        if let Some(told) = chunk.usage.as_ref().and_then(usage) {
            self.usage = told;
        }
        // Only one choice is asked for.
        if let Some(choice) = chunk.choices.into_iter().flatten().next() {
            self.began = true;
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
            for said in choice.delta.into_iter().chain(choice.message) {
                self.hear(said);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn hear(&mut self, said: Said) {
        match said.content {
            Some(Value::String(text)) => self.text.push_str(&text),
            Some(Value::Array(parts)) => {
                self.text.extend(parts.iter().filter_map(|part| part.get("text")?.as_str()));
            }
            _ => {}
        }
        self.refusal.extend(said.refusal);
        self.reasoning_content.push_str(text(said.reasoning_content.as_ref()));
        self.reasoning.push_str(text(said.reasoning.as_ref()));
        for part in said.tool_calls.into_iter().flatten() {
            self.hear_call(part);
        }
    }

    /// A part goes to the call with its index; a new id begins a new call also where the server gives each
    /// call the same index, or none.
    fn hear_call(&mut self, part: CallPart) {
        let id = part.id.unwrap_or_default();
        let known = match part.index {
            Some(index) => self.places.get(&index).copied(),
            None if id.is_empty() => self.calls.len().checked_sub(1),
            None => self.calls.iter().rposition(|call| call.id == id),
        };
        let fits = |place: &usize| {
            let call = &self.calls[*place];
            id.is_empty() || call.id.is_empty() || call.id == id
        };
        let place = known.filter(fits).unwrap_or_else(|| {
            self.calls.push(Call::default());
            self.calls.len() - 1
        });
        self.places.extend(part.index.map(|index| (index, place)));
        let call = &mut self.calls[place];
        if call.id.is_empty() {
            call.id = id;
        }
        call.extra_content = part.extra_content.or(call.extra_content.take());
        let Some(function) = part.function else { return };
        // Some servers repeat the name in each part.
        if call.name.is_empty() {
            call.name = function.name.unwrap_or_default();
        }
        match function.arguments {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => call.arguments.push_str(&text),
            Some(other) => call.arguments.push_str(&other.to_string()),
        }
    }

    /// The reply, as from `model`.
    pub fn finish(mut self, model: &str) -> Result<Reply, Fault> {
        if !self.ended && self.finish_reason.is_none() {
            let detail = "the answer ended before it was whole".to_owned();
            return Err(Fault::Transient { detail, retry_after: None });
        }
        if !self.began {
            return Err(Fault::Garbage { detail: "an answer without a choice".to_owned() });
        }
        let stop = match self.finish_reason.as_deref() {
            Some("length") => Stop::Length,
            Some("content_filter") => Stop::Refused,
            _ if !self.refusal.is_empty() => Stop::Refused,
            _ => Stop::Done,
        };
        if self.text.is_empty() {
            self.text = std::mem::take(&mut self.refusal);
        }
        let calls = with_ids(std::mem::take(&mut self.calls));
        let carried = self.carried(&calls, model);
        let calls = calls
            .into_iter()
            .map(|Call { id, name, arguments, .. }| ToolCall { id, name, arguments })
            .collect();
        let turn = Turn { text: self.text, calls, carried };
        Ok(Reply { turn, usage: self.usage, stop, model: model.to_owned() })
    }

    fn carried(&mut self, calls: &[Call], model: &str) -> Value {
        let mut blocks = Map::new();
        for (key, text) in
            [("reasoning_content", &mut self.reasoning_content), ("reasoning", &mut self.reasoning)]
        {
            if !text.is_empty() {
                blocks.insert(key.to_owned(), Value::String(std::mem::take(text)));
            }
        }
        let extra: Map<String, Value> =
            calls.iter().filter_map(|call| Some((call.id.clone(), call.extra_content.clone()?))).collect();
        if !extra.is_empty() {
            blocks.insert("extra_content".to_owned(), Value::Object(extra));
        }
        if blocks.is_empty() { Value::Null } else { outgoing::carry(model, Value::Object(blocks)) }
    }
}

/// Each call gets an id of its own, which its result will name.
fn with_ids(mut calls: Vec<Call>) -> Vec<Call> {
    let mut seen = std::collections::HashSet::new();
    for call in &mut calls {
        if call.id.is_empty() || !seen.insert(call.id.clone()) {
            call.id = format!("call_{}", Uuid::now_v7().simple());
        }
    }
    calls
}

fn usage(told: &Value) -> Option<Usage> {
    let number = |pointer: &str| told.pointer(pointer).and_then(Value::as_u64);
    let input = number("/prompt_tokens");
    let output = number("/completion_tokens");
    // DeepSeek's own name for it.
    let cached = number("/prompt_tokens_details/cached_tokens").or(number("/prompt_cache_hit_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let input = input.unwrap_or_default();
    Some(Usage { input, cached: cached.unwrap_or_default().min(input), output: output.unwrap_or_default() })
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn garbage(error: serde_json::Error) -> Fault {
    Fault::Garbage { detail: format!("not a chat completion: {error}") }
}
