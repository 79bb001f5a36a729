//! `whodunit models check`: asks each model for one forced tool call and says what works. Nothing of any
//! cluster is sent.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Fault, Message, Model, Reply, Request, ToolChoice, ToolSchema, Usage};

const TOOL: &str = "report_ready";
const MAX_OUTPUT_TOKENS: u32 = 1_000;

/// What became of one model's check.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    pub model: String,
    /// All its answers together.
    pub took: Duration,
    pub answer: Result<Answer, Fault>,
}

/// How a model that answered understands tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub tools: Tools,
    pub usage: Usage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    /// It calls a tool when forced to.
    Forced,
    /// It calls a tool when asked to; the server ignores a forced choice.
    Asked,
    /// It calls the tool with arguments that do not fit the schema.
    Misfit,
    /// It only talks.
    Unknown,
}

impl Checked {
    /// An investigation can use this model.
    pub fn works(&self) -> bool {
        matches!(self.answer, Ok(Answer { tools: Tools::Forced | Tools::Asked, .. }))
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.works() { "works" } else { "does not work" };
        write!(f, "{}: {word} ({:.1} s)", self.model, self.took.as_secs_f64())?;
        let answer = match &self.answer {
            Ok(answer) => answer,
            Err(fault) => return write!(f, "\n  {fault}"),
        };
        let tools = match answer.tools {
            Tools::Forced => "calls a tool, also when forced to",
            Tools::Asked => "calls a tool, but its server ignores a forced choice",
            Tools::Misfit => "calls the tool with arguments that do not fit",
            Tools::Unknown => "calls no tool; is it a model for tools, and its server set up for them?",
        };
        write!(f, "\n  tools: {tools}")?;
        if answer.usage == Usage::default() {
            write!(f, "\n  usage: not reported; budgets go by an estimate")
        } else {
            write!(f, "\n  usage: {} tokens in, {} out", answer.usage.input, answer.usage.output)
        }
    }
}

/// Checks all models at once. Each ends within its own deadlines.
pub async fn check(models: &[Box<dyn Model>]) -> Vec<Checked> {
    futures::future::join_all(models.iter().map(|model| check_one(model.as_ref()))).await
}

async fn check_one(model: &dyn Model) -> Checked {
    let began = Instant::now();
    let answer = ask(model).await;
    Checked { model: model.name().to_owned(), took: began.elapsed(), answer }
}

async fn ask(model: &dyn Model) -> Result<Answer, Fault> {
    // Nothing in the words asks for the tool: only a forced choice makes the model call it.
    let forced = request("Say hello.", ToolChoice::Named(TOOL.to_owned()));
    let reply = model.ask(&forced).await?;
    let usage = reply.usage;
    if let Some(fits) = called(&reply) {
        return Ok(Answer { tools: if fits { Tools::Forced } else { Tools::Misfit }, usage });
    }
    let asked = request(&format!("Call the tool {TOOL} with the word `ready`."), ToolChoice::Auto);
    let tools = match called(&model.ask(&asked).await?) {
        Some(true) => Tools::Asked,
        Some(false) => Tools::Misfit,
        None => Tools::Unknown,
    };
    Ok(Answer { tools, usage })
}

fn request(text: &str, choice: ToolChoice) -> Request {
    let tool = ToolSchema {
        name: TOOL.to_owned(),
        description: "Says that tools can be called.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {"word": {"type": "string", "enum": ["ready"]}},
            "required": ["word"]
        }),
    };
    Request {
        system: "This is a check of the connection.".to_owned(),
        messages: vec![Message::User(text.to_owned())],
        tools: vec![tool],
        choice,
        max_output_tokens: MAX_OUTPUT_TOKENS,
    }
}

/// Whether the arguments of its call fit; none: it did not call.
fn called(reply: &Reply) -> Option<bool> {
    let call = reply.turn.calls.iter().find(|call| call.name == TOOL)?;
    Some(serde_json::from_str(&call.arguments).is_ok_and(|arguments: Value| arguments["word"].is_string()))
}
