//! `tempo_trace`: one trace by its id, as a tree, beside a healthy one of the same operation where a search gives one. A
//! trace without any span of the namespaces that may be read is refused; of spans outside of them only duration and
//! failure are told.

use chrono::Duration;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::{Bounds, Found, Refusal, Tool};
use super::search::of_namespaces;
use super::{GROUP, compare, failed, tree};
use crate::llm::ToolSchema;
use crate::source::http::quote;
use crate::source::tempo::{self, Span, Tempo};

/// How far from the trace a healthy one is looked for, in minutes; traces that are found, and looked at.
const AROUND_MINUTES: i64 = 60;
const MAX_FOUND: usize = 10;
const MAX_LOOKED_AT: usize = 2;
/// Longer names are not searched for, in bytes.
const MAX_NAME_BYTES: usize = 200;

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
            description:
                "One trace as a tree: failing and slowest path, time of its own, what differs from a healthy \
                          one."
                    .to_owned(),
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
        let may_be_told = |span: &Span| -> bool {
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
        let beside = self.beside(&id, &trace.spans, bounds, &may_be_told).await;
        Ok(Found {
            source: GROUP.to_owned(),
            digest: format!("{head}{}{beside}", tree::digest(&trace.spans, &may_be_told)),
            full: format!("{head}{}", tree::full(&trace.spans, &may_be_told)),
            query: trace.query,
        })
    }

    /// What differs from a healthy trace that begins with the same operation. A search that gives none is told of, one
    /// that fails as well: the trace itself is worth reading without it.
    async fn beside(
        &self,
        id: &str,
        spans: &[Span],
        bounds: &Bounds,
        may_be_told: &(dyn Fn(&Span) -> bool + Sync),
    ) -> String {
        let root = spans.iter().find(|span| span.parent.is_none()).or_else(|| spans.first());
        let fits = |text: &str| !text.is_empty() && text.len() <= MAX_NAME_BYTES;
        let Some(root) = root.filter(|root| may_be_told(root) && fits(&root.name) && fits(&root.service))
        else {
            return String::new();
        };
        let mut conditions: Vec<String> = of_namespaces(&bounds.namespaces).into_iter().collect();
        conditions.push(format!("resource.service.name={}", quote(&root.service)));
        conditions.push(format!("name={}", quote(&root.name)));
        conditions.push("status!=error".to_owned());
        let traceql = format!("{{{}}}", conditions.join(" && "));
        let around = Duration::minutes(AROUND_MINUTES);
        let window = (root.started_at - around, (root.started_at + around).min(bounds.now));
        let search = tempo::Search::TraceQl(&traceql);
        let Ok(found) = self.client.search(&search, window, MAX_FOUND).await else {
            return "no healthy trace to compare with: the search for one failed\n".to_owned();
        };
        let same = |one: &&tempo::Summary| {
            one.root_service == root.service
                && one.root_name == root.name
                && one.id.trim_start_matches('0') != id.trim_start_matches('0')
        };
        for one in found.traces.iter().filter(same).take(MAX_LOOKED_AT) {
            if let Ok(Some(healthy)) = self.client.trace(&one.id).await
                && compare::is_healthy(&healthy.spans)
            {
                return compare::compare(spans, &healthy.spans, &one.id, may_be_told);
            }
        }
        format!(
            "no healthy trace of {} {} was found within {AROUND_MINUTES} minutes\n",
            root.service, root.name
        )
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
