//! The port to language models: a provider-neutral conversation goes out, one turn of the model comes back
//! with what it cost. It knows nothing of incidents, and no answer is trusted here.

mod anthropic;
mod bedrock;
pub mod check;
mod connect;
mod exchange;
mod fault;
pub mod ladder;
mod openai;
mod outgoing;
mod sse;
#[cfg(test)]
mod stand_in;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use check::check;
pub use connect::connect;
pub use ladder::Ladder;

/// One question to a model: the whole conversation so far, and what it may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Instructions; stable over a run, so that providers can cache them.
    pub system: String,
    pub messages: Vec<Message>,
    /// Always sent, also when the answer is forced: some providers refuse a conversation with tool calls
    /// whose schemas are missing.
    pub tools: Vec<ToolSchema>,
    pub choice: ToolChoice,
    pub max_output_tokens: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    User(String),
    Assistant(Turn),
    /// Answers to the calls of the turn before, in the order of the calls.
    Results(Vec<ToolResult>),
}

/// What the model said: text, calls, or both; either may be empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub text: String,
    pub calls: Vec<ToolCall>,
    /// The provider's own blocks of this turn (reasoning, signatures), sent back unchanged where the provider
    /// demands it; null where there are none.
    #[serde(default)]
    pub carried: Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's id, or one of ours where it gives none.
    pub id: String,
    pub name: String,
    /// As the model wrote them; they need not be JSON.
    pub arguments: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    pub call_id: String,
    pub name: String,
    pub text: String,
    pub is_error: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolSchema {
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments, `{"type": "object", …}`.
    pub parameters: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// Some tool must be called.
    Any,
    /// This tool must be called.
    Named(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub turn: Turn,
    pub usage: Usage,
    pub stop: Stop,
    /// Name of the model in the settings that answered.
    pub model: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It said all it wanted, or called tools.
    Done,
    /// `max_output_tokens` was reached; arguments may be cut off.
    Length,
    /// The provider refused to answer (content filter).
    Refused,
}

/// Tokens of one call. `input` counts everything that was sent; `cached` is the part of it read from a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input: u64,
    pub cached: u64,
    pub output: u64,
}

/// Why a model did not answer, by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// 429, 529, 5xx, a connection that broke, a deadline: the same model may answer later.
    #[error("{detail}")]
    Transient { detail: String, retry_after: Option<std::time::Duration> },
    /// Quota, authentication, unknown model: only another model helps.
    #[error("{detail}")]
    Unusable { detail: String },
    /// The conversation does not fit this model.
    #[error("{detail}")]
    TooLong { detail: String },
    /// An answer that is no answer of this provider.
    #[error("{detail}")]
    Garbage { detail: String },
}

/// One configured model.
pub trait Model: Send + Sync {
    /// Its name in the settings.
    fn name(&self) -> &str;

    /// The provider, as OpenTelemetry's conventions call it.
    fn provider(&self) -> &'static str {
        "unknown"
    }

    /// The provider's name of the model.
    fn model(&self) -> &str {
        self.name()
    }

    /// Asks once; no retries. Ends within the model's deadlines whatever the provider does.
    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, Fault>>;

    /// Tokens that fit, input and output together.
    fn context_tokens(&self) -> u64;

    /// What `usage` costs in dollars.
    fn usd(&self, usage: Usage) -> f64;
}
