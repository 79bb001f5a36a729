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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::stand_in::{Scripted, StandIn};

    fn answer(message: &Value, usage: &Value) -> Scripted {
        let choice = json!({"message": message, "finish_reason": "stop"});
        Scripted::whole(200, json!({"choices": [choice], "usage": usage}).to_string())
    }

    fn calls(arguments: &str) -> Value {
        json!({"tool_calls": [{"id": "a", "function": {"name": TOOL, "arguments": arguments}}]})
    }

    /// The report without its seconds, and what was asked.
    async fn checked(script: Vec<Scripted>) -> (Checked, String, Vec<Value>) {
        let server = StandIn::start(script).await;
        let model = server.model("name: local, provider: openai, base_url: $URL, model: m");
        let checked = check(&[model]).await.remove(0);
        let text = Checked { took: Duration::from_millis(1_240), ..checked.clone() }.to_string();
        (checked, text, server.asked().into_iter().map(|asked| asked.body).collect())
    }

    #[tokio::test]
    async fn a_model_that_calls_when_forced_works() {
        let usage = json!({"prompt_tokens": 90, "completion_tokens": 12});
        let (checked, text, asked) = checked(vec![answer(&calls(r#"{"word": "ready"}"#), &usage)]).await;
        assert!(checked.works());
        insta::assert_snapshot!(text, @r"
        local: works (1.2 s)
          tools: calls a tool, also when forced to
          usage: 90 tokens in, 12 out
        ");
        assert_eq!(asked[0]["tool_choice"]["function"]["name"], TOOL);
        assert_eq!(asked[0]["messages"][1]["content"], "Say hello.");
    }

    #[tokio::test]
    async fn a_server_that_ignores_the_forced_choice_is_found_out() {
        let hello = answer(&json!({"content": "Hello!"}), &Value::Null);
        let script = vec![hello.clone(), answer(&calls(r#"{"word": "ready"}"#), &Value::Null)];
        let (checked, text, asked) = checked(script).await;
        assert!(checked.works());
        insta::assert_snapshot!(text, @r"
        local: works (1.2 s)
          tools: calls a tool, but its server ignores a forced choice
          usage: not reported; budgets go by an estimate
        ");
        assert_eq!(asked[1]["tool_choice"], "auto");
    }

    #[tokio::test]
    async fn a_model_that_cannot_call_tools_does_not_work() {
        let hello = answer(&json!({"content": "Hello!"}), &Value::Null);
        let (talks, text, _) = checked(vec![hello.clone(), hello]).await;
        assert!(!talks.works());
        insta::assert_snapshot!(text, @r"
        local: does not work (1.2 s)
          tools: calls no tool; is it a model for tools, and its server set up for them?
          usage: not reported; budgets go by an estimate
        ");
        let (misfit, _, _) = checked(vec![answer(&calls("{\"word\": "), &Value::Null)]).await;
        assert!(!misfit.works());
        assert_eq!(misfit.answer.unwrap().tools, Tools::Misfit);
    }

    #[tokio::test]
    async fn a_model_that_does_not_answer_says_why() {
        let body = r#"{"error": {"message": "Incorrect API key provided"}}"#;
        let (checked, text, _) = checked(vec![Scripted::whole(401, body)]).await;
        assert!(!checked.works());
        insta::assert_snapshot!(text, @r"
        local: does not work (1.2 s)
          local: HTTP 401: Incorrect API key provided
        ");
    }
}
