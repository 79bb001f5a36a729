//! What a model may call: calls as it wrote them come in, outcomes in the same order go out, each redacted,
//! inert and bounded. A call that does not fit is told what would; no call runs longer than its deadline,
//! and none can widen what is allowed.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};

use super::arguments;
use super::bounded::bounded;
use super::nearest::nearest;
use super::{Bounds, Found, Refusal, Tool};
use crate::llm::{ToolCall, ToolSchema};

/// Most bytes of one result that the model reads.
pub const DIGEST_BYTES: usize = 6 * 1024;
/// Most bytes of one result that the ledger keeps.
pub const FULL_BYTES: usize = 256 * 1024;
/// Most bytes of the request that an outcome names.
const QUERY_BYTES: usize = 1_000;
/// Calls of one turn that run at the same time.
const PARALLEL_CALLS: usize = 4;
/// Source of an outcome that no tool had a part in.
const NO_SOURCE: &str = "toolbox";

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    /// Outside the scope, not allowed by the runbook, or too much.
    Refused,
    Failed,
    Timeout,
    UnknownTool,
    BadArguments,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::UnknownTool => "unknown_tool",
            Self::BadArguments => "bad_arguments",
        }
    }

    pub fn is_error(self) -> bool {
        self != Self::Ok
    }
}

/// One call, answered. Everything in it is redacted, inert and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub status: Status,
    pub source: String,
    pub query: String,
    /// For the model.
    pub digest: String,
    /// For the ledger; what the digest says stands in it too, so that quotes of either are found.
    pub full: String,
    pub milliseconds: u64,
}

pub struct Toolbox {
    tools: Vec<Box<dyn Tool>>,
    allowed: Vec<String>,
    deadline: Duration,
}

impl Toolbox {
    /// `allowed`: groups (or names) of the runbook's `tools`, empty for all. `deadline` is that of one call.
    pub fn new(tools: Vec<Box<dyn Tool>>, allowed: &[impl AsRef<str>], deadline: Duration) -> Self {
        let mut tools = tools;
        tools.sort_by(|one, other| one.schema().name.cmp(&other.schema().name));
        let allowed = allowed.iter().map(|name| name.as_ref().to_ascii_lowercase()).collect();
        Self { tools, allowed, deadline }
    }

    /// The tools that may be called, always in the same order, so that providers can cache them.
    pub fn schemas(&self) -> Vec<ToolSchema> {
        self.usable().map(|tool| tool.schema().clone()).collect()
    }

    /// The name of the tool that is meant by what a model wrote, if it may be called.
    pub fn known(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|tool| tool.schema().name.as_str())
    }

    /// Answers one call, whatever it says.
    pub async fn invoke(&self, call: &ToolCall, bounds: &Bounds) -> Outcome {
        let began = Instant::now();
        let mut outcome = match self.find(&call.name) {
            Ok(tool) => self.run(tool, call, bounds).await,
            Err((status, words)) => told(status, NO_SOURCE, call, &words),
        };
        outcome.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        outcome
    }

    /// Answers the calls of one turn, a few at a time, in their order.
    pub async fn invoke_all(&self, calls: &[ToolCall], bounds: &Bounds) -> Vec<Outcome> {
        let each = calls.iter().map(|call| self.invoke(call, bounds));
        futures::stream::iter(each).buffered(PARALLEL_CALLS).collect().await
    }

    async fn run(&self, tool: &dyn Tool, call: &ToolCall, bounds: &Bounds) -> Outcome {
        let source = tool.group();
        let arguments = match arguments::object(&call.arguments, tool.schema()) {
            Ok(arguments) => arguments,
            Err(refusal) => return refused(&refusal, source, call),
        };
        // A tool that panics fails its call, not the run.
        let guarded = AssertUnwindSafe(tool.call(&arguments, bounds)).catch_unwind();
        match tokio::time::timeout(self.deadline, guarded).await {
            Err(_elapsed) => refused(&Refusal::Timeout(self.deadline), source, call),
            Ok(Err(_panic)) => told(Status::Failed, source, call, "the tool broke; ask something else"),
            Ok(Ok(Err(refusal))) => refused(&refusal, source, call),
            Ok(Ok(Ok(found))) => taken(&found),
        }
    }

    fn usable(&self) -> impl Iterator<Item = &dyn Tool> {
        self.tools.iter().map(AsRef::as_ref).filter(|tool| self.allows(*tool))
    }

    fn allows(&self, tool: &dyn Tool) -> bool {
        let is_named = |name: &String| *name == tool.group() || *name == tool.schema().name;
        self.allowed.is_empty() || self.allowed.iter().any(is_named)
    }

    fn find(&self, name: &str) -> Result<&dyn Tool, (Status, String)> {
        let wanted = plain_name(name);
        if let Some(tool) = self.usable().find(|tool| tool.schema().name == wanted) {
            return Ok(tool);
        }
        let names: Vec<&str> = self.usable().map(|tool| tool.schema().name.as_str()).collect();
        let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let shown: String = name.chars().take(80).collect();
        if self.tools.iter().any(|tool| tool.schema().name == wanted) {
            let words = format!("the runbook does not allow {wanted}. Tools of this investigation: {listed}");
            return Err((Status::Refused, words));
        }
        let meant = nearest(&wanted, names.iter().copied())
            .map(|known| format!(" Did you mean {known}?"))
            .unwrap_or_default();
        Err((Status::UnknownTool, format!("there is no tool {shown:?}.{meant} Tools: {listed}")))
    }
}

impl std::fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.usable().map(|tool| tool.schema().name.as_str()).collect();
        f.debug_struct("Toolbox").field("tools", &names).field("deadline", &self.deadline).finish()
    }
}

/// `functions.Kubernetes-Get` is what some models make of `kubernetes_get`.
fn plain_name(name: &str) -> String {
    let name = name.trim().rsplit(['.', ':', '/']).next().unwrap_or_default();
    name.to_ascii_lowercase().replace('-', "_")
}

fn taken(found: &Found) -> Outcome {
    let digest = bounded(&found.digest, DIGEST_BYTES);
    let mut full = Cow::Borrowed(found.full.as_str());
    if !full.contains(found.digest.as_str()) {
        full = Cow::Owned(format!("{digest}\n\n{full}"));
    }
    Outcome {
        status: Status::Ok,
        source: found.source.clone(),
        query: bounded(&found.query, QUERY_BYTES),
        digest,
        full: bounded(&full, FULL_BYTES),
        milliseconds: 0,
    }
}

fn refused(refusal: &Refusal, source: &str, call: &ToolCall) -> Outcome {
    let status = match refusal {
        Refusal::Arguments(_) => Status::BadArguments,
        Refusal::Scope(_) | Refusal::TooMuch(_) => Status::Refused,
        Refusal::Failed(_) => Status::Failed,
        Refusal::Timeout(_) => Status::Timeout,
    };
    told(status, source, call, &refusal.to_string())
}

fn told(status: Status, source: &str, call: &ToolCall, words: &str) -> Outcome {
    let words = bounded(words, DIGEST_BYTES);
    Outcome {
        status,
        source: source.to_owned(),
        query: bounded(&format!("{} {}", call.name, call.arguments), QUERY_BYTES),
        digest: words.clone(),
        full: words,
        milliseconds: 0,
    }
}

#[cfg(test)]
mod tests;
