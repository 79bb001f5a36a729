//! `tempo_search`: traces that have a span of a service, a failure, or a duration, within the namespaces that
//! may be read. What a trace begins with may lie outside of them and is not told then.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::request::{Span, count, stamp, window};
use super::super::{Bounds, Found, Refusal, Tool};
use super::{GROUP, failed};
use crate::llm::ToolSchema;
use crate::source::http::quote;
use crate::source::tempo::{self, Summary, Tempo};

/// Traces asked for when nothing is said, and at most.
const USUAL_TRACES: usize = 10;
const MAX_TRACES: usize = 30;
/// Longest name of a service or span, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// `tempo_search`.
pub struct Search {
    client: Tempo,
    schema: ToolSchema,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    service: Option<String>,
    span: Option<String>,
    #[serde(default)]
    failed: bool,
    slower_than_ms: Option<u64>,
    minutes: Option<u32>,
    start: Option<String>,
    end: Option<String>,
    limit: Option<usize>,
}

impl Search {
    pub fn new(client: Tempo) -> Self {
        let schema = ToolSchema {
            name: "tempo_search".to_owned(),
            description: "Traces by service, failure or duration. Default: 30 minutes around the onset."
                .to_owned(),
            parameters: json!({"type": "object", "properties": {
                "service": {"type": "string", "description": "service.name"},
                "span": {"type": "string", "description": "name of a span"},
                "failed": {"type": "boolean"},
                "slower_than_ms": {"type": "integer"},
                "minutes": {"type": "integer"},
                "start": {"type": "string"},
                "end": {"type": "string"},
                "limit": {"type": "integer"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let span = Span { minutes: asked.minutes, start: asked.start.as_deref(), end: asked.end.as_deref() };
        let window = window(span, bounds)?;
        let limit = asked.limit.unwrap_or(USUAL_TRACES).max(1);
        if limit > MAX_TRACES {
            return Err(Refusal::TooMuch(format!(
                "{limit} traces, at most {MAX_TRACES} are told: use failed, slower_than_ms or fewer minutes"
            )));
        }
        let traceql = traceql(&asked, &bounds.namespaces)?;
        let answer = self.client.search(&tempo::Search::TraceQl(&traceql), window, limit).await;
        let answer = answer.map_err(|error| failed(&error))?;
        let mut text = format!("{traceql} from {} to {}\n", stamp(window.0), stamp(window.1));
        let scoped = !bounds.namespaces.is_empty();
        match answer.traces.len() {
            0 if scoped => {
                text.push_str("no traces; services that do not send k8s.namespace.name are not found\n")
            }
            0 => text.push_str("no traces\n"),
            number if number >= limit => {
                text.push_str(&format!(
                    "the newest {number} traces; there may be more: narrow or raise limit\n"
                ));
            }
            number => text.push_str(&format!("{}\n", count(number, "trace", "traces"))),
        }
        for trace in &answer.traces {
            text.push_str(&line(trace, scoped));
        }
        Ok(Found { source: GROUP.to_owned(), query: answer.query, full: text.clone(), digest: text })
    }
}

fn traceql(asked: &Arguments, namespaces: &[String]) -> Result<String, Refusal> {
    let mut parts: Vec<String> = of_namespaces(namespaces).into_iter().collect();
    for (field, value) in [("resource.service.name", &asked.service), ("name", &asked.span)] {
        let Some(value) = value else { continue };
        if value.is_empty() || value.len() > MAX_NAME_BYTES {
            return Err(Refusal::Arguments(format!("{field} has 1 to {MAX_NAME_BYTES} bytes")));
        }
        parts.push(format!("{field}={}", quote(value)));
    }
    if asked.failed {
        parts.push("status=error".to_owned());
    }
    parts.extend(asked.slower_than_ms.map(|least| format!("duration>{least}ms")));
    Ok(format!("{{{}}}", parts.join(" && ")))
}

/// The condition on a span that holds a search to namespaces; None for all of them.
pub(super) fn of_namespaces(namespaces: &[String]) -> Option<String> {
    let own: Vec<String> =
        namespaces.iter().map(|name| format!("resource.k8s.namespace.name={}", quote(name))).collect();
    match own.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("({})", several.join(" || "))),
    }
}

fn line(trace: &Summary, scoped: bool) -> String {
    let began =
        trace.started_at.map_or_else(|| "unknown time".to_owned(), |at| at.format("%H:%M:%S").to_string());
    let root = if scoped { String::new() } else { format!(" {} {}", trace.root_service, trace.root_name) };
    let spans: Vec<String> = trace
        .spans
        .iter()
        .map(|span| format!("{} {} ms", span.name, span.nanoseconds / 1_000_000).trim().to_owned())
        .collect();
    let more = match trace.matched.saturating_sub(spans.len() as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{} {began} {} ms{root}; spans that match: {}{more}\n",
        trace.id,
        trace.milliseconds,
        spans.join(", ")
    )
}

impl Tool for Search {
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
