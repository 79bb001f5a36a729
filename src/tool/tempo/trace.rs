//! `tempo_trace`: one trace by its id, as a tree. A trace without any span of the namespaces that may be read
//! is refused; of spans outside of them only duration and failure are told.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::{Bounds, Found, Refusal, Tool};
use super::{GROUP, failed, tree};
use crate::llm::ToolSchema;
use crate::source::tempo::{Span, Tempo};

/// `tempo_trace`.
pub struct Trace {
    client: Tempo,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    id: String,
}

impl Trace {
    pub fn new(client: Tempo) -> Self {
        let schema = ToolSchema {
            name: "tempo_trace".to_owned(),
            description: "One trace as a tree of its failing and slowest spans.".to_owned(),
            parameters: json!({"type": "object", "required": ["id"], "properties": {
                "id": {"type": "string"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let id = asked.id.trim().to_ascii_lowercase();
        let trace = self.client.trace(&id).await.map_err(|error| failed(&error))?;
        let Some(trace) = trace else {
            return Err(Refusal::Failed(format!("Tempo has no trace {id}")));
        };
        let may_be_told = |span: &Span| {
            bounds.namespaces.is_empty()
                || span.namespace.as_ref().is_some_and(|name| bounds.namespaces.contains(name))
        };
        if !trace.spans.iter().any(may_be_told) {
            return Err(Refusal::Scope(format!(
                "trace {id} has no span that says it is of namespace {}",
                bounds.namespaces.join(", ")
            )));
        }
        let mut head = format!("trace {id}\n");
        if trace.omitted > 0 {
            head.push_str(&format!("left out: the latest {} spans\n", trace.omitted));
        }
        if let Some(why) = &trace.partial {
            head.push_str(&format!("Tempo gave a part only: {why}\n"));
        }
        Ok(Found {
            source: GROUP.to_owned(),
            digest: format!("{head}{}", tree::digest(&trace.spans, &may_be_told)),
            full: format!("{head}{}", tree::full(&trace.spans, &may_be_told)),
            query: trace.query,
        })
    }
}

impl Tool for Trace {
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
