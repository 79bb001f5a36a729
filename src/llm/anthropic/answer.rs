//! The parts of a message become one reply. Pure: the events of a stream or one plain message in, what the
//! model said and what it cost out. Blocks of unknown types are carried, unknown events are passed over.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::llm::sse::Part;
use crate::llm::{Fault, Reply, Stop, ToolCall, Turn, Usage, fault, outgoing};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        index: u64,
        content_block: Value,
    },
    ContentBlockDelta {
        index: u64,
        delta: Value,
    },
    MessageDelta {
        delta: Option<Ending>,
        usage: Option<Counts>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// A plain answer.
    Message(Message),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Vec<Value>>,
    usage: Option<Counts>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Ending {
    stop_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Counts {
    /// Later events tell of the whole message again, or of the part that changed.
    fn update(&mut self, later: &Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
    }

    /// Anthropic counts three kinds of input apart.
    fn usage(&self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or_default();
        let written = self.cache_creation_input_tokens.unwrap_or_default();
        let input = self.input_tokens.unwrap_or_default().saturating_add(cached).saturating_add(written);
        Usage { input, cached, output: self.output_tokens.unwrap_or_default() }
    }
}

/// What was said so far.
#[derive(Default)]
pub(super) struct Answer {
    blocks: Vec<Block>,
    /// Where the block with this index stands in `blocks`.
    places: HashMap<u64, usize>,
    counts: Counts,
    stop_reason: Option<String>,
    ended: bool,
}

struct Block {
    /// As it began; what deltas add to its texts is in place.
    value: Value,
    /// Arguments as they came.
    json: String,
}

impl Answer {
    pub fn take(&mut self, part: &Part) -> Result<ControlFlow<()>, Fault> {
        let event = match part {
            Part::Event(data) => serde_json::from_str(data),
            Part::Whole(bytes) => serde_json::from_slice(bytes),
        };
        match event.map_err(|error| Fault::Garbage { detail: format!("not a message: {error}") })? {
            Event::MessageStart { message } => self.begin(message),
            Event::ContentBlockStart { index, content_block } => self.open(index, content_block),
            Event::ContentBlockDelta { index, delta } => self.add(index, &delta),
            Event::MessageDelta { delta, usage } => {
                self.counts.update(&usage.unwrap_or_default());
                self.stop_reason = delta.and_then(|delta| delta.stop_reason).or(self.stop_reason.take());
            }
            Event::Message(message) => {
                self.begin(message);
                self.ended = true;
            }
            Event::MessageStop => {
                self.ended = true;
                return Ok(ControlFlow::Break(()));
            }
            Event::Error { error } => {
                return Err(fault::classify(None, None, json!({ "error": error }).to_string().as_bytes()));
            }
            Event::Other => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn begin(&mut self, message: Message) {
        self.counts.update(&message.usage.unwrap_or_default());
        self.stop_reason = message.stop_reason;
        for (index, block) in (0..).zip(message.content.into_iter().flatten()) {
            self.open(index, block);
        }
    }

    fn open(&mut self, index: u64, value: Value) {
        self.places.insert(index, self.blocks.len());
        self.blocks.push(Block { value, json: String::new() });
    }

    fn add(&mut self, index: u64, delta: &Value) {
        let Some(block) = self.places.get(&index).and_then(|place| self.blocks.get_mut(*place)) else {
            return;
        };
        if let Some(json) = delta["partial_json"].as_str() {
            block.json.push_str(json);
        }
        for key in ["text", "thinking", "signature"] {
            let Some(more) = delta[key].as_str() else { continue };
            match block.value.get_mut(key) {
                Some(Value::String(text)) => text.push_str(more),
                _ => {
                    if let Value::Object(value) = &mut block.value {
                        value.insert(key.to_owned(), more.into());
                    }
                }
            }
        }
    }

    /// The reply, as from `model`.
    pub fn finish(self, model: &str) -> Result<Reply, Fault> {
        if !self.ended && self.stop_reason.is_none() {
            let detail = "the answer ended before it was whole".to_owned();
            return Err(Fault::Transient { detail, retry_after: None });
        }
        let stop = match self.stop_reason.as_deref() {
            Some("max_tokens" | "model_context_window_exceeded") => Stop::Length,
            Some("refusal") => Stop::Refused,
            _ => Stop::Done,
        };
        let usage = self.counts.usage();
        let turn = turn(self.blocks, model);
        Ok(Reply { turn, usage, stop, model: model.to_owned() })
    }
}

fn turn(blocks: Vec<Block>, model: &str) -> Turn {
    let mut turn = Turn::default();
    let mut own = Vec::with_capacity(blocks.len());
    let mut thought = false;
    for block in blocks {
        match block.value["type"].as_str() {
            Some("text") => {
                let text = block.value["text"].as_str().unwrap_or_default();
                if !turn.text.is_empty() && !text.is_empty() {
                    turn.text.push('\n');
                }
                turn.text.push_str(text);
                own.push(json!({ "type": "text" }));
            }
            Some("tool_use") => {
                let call = call(&block);
                own.push(json!({ "type": "tool_use", "id": call.id }));
                turn.calls.push(call);
            }
            Some(_) => {
                thought = true;
                own.push(block.value);
            }
            None => {}
        }
    }
    // Without thinking, text and calls tell it all.
    if thought {
        turn.carried = outgoing::carry(model, Value::Array(own));
    }
    turn
}

fn call(block: &Block) -> ToolCall {
    let text = |key: &str| block.value[key].as_str().unwrap_or_default().to_owned();
    let id = match text("id") {
        id if id.is_empty() => format!("toolu_{}", Uuid::now_v7().simple()),
        id => id,
    };
    let arguments = match &block.value["input"] {
        _ if !block.json.is_empty() => block.json.clone(),
        Value::Null => "{}".to_owned(),
        Value::String(text) => text.clone(),
        input => input.to_string(),
    };
    ToolCall { id, name: text("name"), arguments }
}
