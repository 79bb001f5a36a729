//! `loki_query`: lines of a namespace, pod or container over a window, condensed to templates. When there are
//! more lines than asked for, it says how many, and which of them were read.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::request::{Span, Window, stamp, trouble_begins, window};
use super::super::{Bounds, Found, Refusal, Tool};
use super::selector::{Ask, logql};
use super::{GROUP, digest, failed};
use crate::llm::ToolSchema;
use crate::source::loki::{Error, Loki, Order};

/// Lines read when nothing is said, and at most.
const USUAL_LINES: usize = 500;
const MAX_LINES: usize = 2000;

/// `loki_query`.
pub struct Query {
    client: Loki,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: Option<String>,
    pod: Option<String>,
    container: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    regex: Option<String>,
    minutes: Option<u32>,
    start: Option<String>,
    end: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    oldest_first: bool,
}

impl Query {
    pub fn new(client: Loki) -> Self {
        let schema = ToolSchema {
            name: "loki_query".to_owned(),
            description:
                "Log lines, repeated ones collapsed, trouble first. Default: 30 minutes around the onset."
                    .to_owned(),
            parameters: json!({"type": "object", "properties": {
                "namespace": {"type": "string"},
                "pod": {"type": "string", "description": "name, or its beginning: checkout-*"},
                "container": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "contains": {"type": "array", "items": {"type": "string"}, "description": "lines have all of these"},
                "without": {"type": "array", "items": {"type": "string"}},
                "regex": {"type": "string"},
                "minutes": {"type": "integer", "description": "before and after the onset"},
                "start": {"type": "string", "description": "instead of minutes: RFC 3339, onset-15m, now-1h"},
                "end": {"type": "string"},
                "limit": {"type": "integer"},
                "oldest_first": {"type": "boolean"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let span = Span { minutes: asked.minutes, start: asked.start.as_deref(), end: asked.end.as_deref() };
        let window = window(span, bounds)?;
        let limit = asked.limit.unwrap_or(USUAL_LINES).max(1);
        if limit > MAX_LINES {
            return Err(Refusal::TooMuch(format!(
                "{limit} lines, at most {MAX_LINES} are read at once: use contains, without or fewer minutes"
            )));
        }
        let logql = logql(&asked.ask(), bounds)?;
        let order = if asked.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
        let answer = self.client.query(&logql, window, limit, order).await;
        let answer = match answer {
            Err(Error::TooLarge(bytes)) => {
                let lines = self.size(&logql, window).await;
                return Err(Refusal::TooMuch(format!(
                    "{lines} lines, and {limit} of them are more than {bytes} bytes: use contains, without, \
                     fewer minutes or a smaller limit"
                )));
            }
            other => other.map_err(|error| failed(&error))?,
        };
        let mut text = format!("{logql} from {} to {}\n", stamp(window.0), stamp(window.1));
        if answer.lines.is_empty() {
            text.push_str("no lines: check labels with loki_labels, or widen the window\n");
        } else {
            if answer.lines.len() >= limit {
                text.push_str(&self.rest(&logql, window, limit, order).await);
            }
            text.push_str(&digest::digest(&answer, trouble_begins(bounds)));
        }
        Ok(Found { source: GROUP.to_owned(), full: digest::full(&answer), query: answer.query, digest: text })
    }

    /// What the limit left out.
    async fn rest(&self, logql: &str, window: Window, limit: usize, order: Order) -> String {
        let which = if order == Order::NewestFirst { "newest" } else { "oldest" };
        format!("only the {which} {limit} of {} lines were read\n", self.size(logql, window).await)
    }

    /// How many lines there are, in words: the count may fail where the lines came.
    async fn size(&self, logql: &str, (from, to): Window) -> String {
        let seconds = (to - from).num_seconds().max(1);
        let counted = format!("sum(count_over_time({logql} [{seconds}s]))");
        match self.client.number(&counted, to).await {
            Ok(Some(number)) => format!("{number:.0}"),
            Ok(None) | Err(_) => "an unknown number of".to_owned(),
        }
    }
}

impl Arguments {
    fn ask(&self) -> Ask<'_> {
        Ask {
            namespace: self.namespace.as_deref(),
            pod: self.pod.as_deref(),
            container: self.container.as_deref(),
            labels: self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            contains: self.contains.iter().map(String::as_str).collect(),
            without: self.without.iter().map(String::as_str).collect(),
            regex: self.regex.as_deref(),
        }
    }
}

impl Tool for Query {
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
