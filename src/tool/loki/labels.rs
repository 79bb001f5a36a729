//! `loki_labels`: names of labels, or values of one, among the streams that may be read.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::request::{Span, window};
use super::super::{Bounds, Found, Refusal, Tool};
use super::selector::own;
use super::{GROUP, failed};
use crate::llm::ToolSchema;
use crate::source::loki::Loki;

/// Most values in an answer.
const MAX_VALUES: usize = 100;

/// `loki_labels`.
pub struct Labels {
    client: Loki,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    label: Option<String>,
    begins: Option<String>,
}

impl Labels {
    pub fn new(client: Loki) -> Self {
        let schema = ToolSchema {
            name: "loki_labels".to_owned(),
            description: "Labels of log streams; with label, its values.".to_owned(),
            parameters: json!({"type": "object", "properties": {
                "label": {"type": "string"},
                "begins": {"type": "string", "description": "only values that begin so"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let window = window(Span::default(), bounds)?;
        let selector = own(bounds)?;
        let answer = match &asked.label {
            None => self.client.labels(&selector, window).await,
            Some(label) => self.client.label_values(label, &selector, window).await,
        };
        let answer = answer.map_err(|error| failed(&error))?;
        let what = asked.label.map_or_else(|| "labels".to_owned(), |label| format!("values of {label}"));
        let begins = asked.begins.unwrap_or_default();
        let names: Vec<&str> =
            answer.names.iter().map(String::as_str).filter(|name| name.starts_with(&begins)).collect();
        if names.len() > MAX_VALUES {
            return Err(Refusal::TooMuch(format!(
                "{} {what} within {selector}, at most {MAX_VALUES} are told: say how they begin, as {} does",
                names.len(),
                names.first().copied().unwrap_or_default()
            )));
        }
        let told = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let left_out = match answer.names.len() - names.len() {
            0 => String::new(),
            others => format!("left out: {others} that do not begin with `{begins}`\n"),
        };
        let digest = format!("{what} within {selector} around the onset: {told}\n{left_out}");
        Ok(Found { source: GROUP.to_owned(), query: answer.query, full: answer.names.join("\n"), digest })
    }
}

impl Tool for Labels {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &str {
        GROUP
    }

    fn call<'a>(&'a self, arguments: &'a Value, bounds: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        Box::pin(self.ask(arguments, bounds))
    }
}
