//! `prometheus_query` and `prometheus_range`: PromQL at a time, or over a window, as a digest of series.
//! An answer that is too wide is refused with the number of series, asked for by a second, small query.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::request::{Span, Window, stamp, time, trouble_begins, window};
use super::super::{Bounds, Found, Refusal, Tool};
use super::{GROUP, cost, failed, scope, series};
use crate::llm::ToolSchema;
use crate::source::prometheus::{Answer, Error, Prometheus};

/// Points of a range for which no step was asked.
const USUAL_POINTS: i64 = 120;
/// Shortest step that is chosen, in seconds.
const SHORTEST_STEP_SECS: u32 = 15;

/// `prometheus_query`.
pub struct Instant {
    client: Prometheus,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstantArguments {
    query: String,
    time: Option<String>,
}

impl Instant {
    pub fn new(client: Prometheus) -> Self {
        let schema = ToolSchema {
            name: "prometheus_query".to_owned(),
            description: "PromQL at one time. Highest values first. Other namespaces are not read."
                .to_owned(),
            parameters: json!({"type": "object", "required": ["query"], "properties": {
                "query": {"type": "string"},
                "time": {"type": "string", "description": "RFC 3339, now (default), onset, onset-15m"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: InstantArguments = typed(asked, &self.schema)?;
        let at = asked.time.as_deref().map_or(Ok(bounds.now), |text| time(text, bounds))?.min(bounds.now);
        let scoped = scope::narrow(&asked.query, bounds)?;
        cost::check(&scoped.tree, Duration::ZERO, Duration::ZERO)?;
        let answer = instant(&self.client, &scoped.promql, at).await?;
        Ok(Found {
            source: GROUP.to_owned(),
            digest: format!(
                "{} at {}\n{}{}",
                scoped.promql,
                stamp(at),
                scoped.note(&bounds.namespaces),
                series::instant(&answer.series)
            ),
            full: series::full(&answer.series),
            query: answer.query,
        })
    }
}

impl Tool for Instant {
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

/// `prometheus_range`.
pub struct Range {
    client: Prometheus,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeArguments {
    query: String,
    minutes: Option<u32>,
    start: Option<String>,
    end: Option<String>,
    step_secs: Option<u32>,
}

impl Range {
    pub fn new(client: Prometheus) -> Self {
        let schema = ToolSchema {
            name: "prometheus_range".to_owned(),
            description: "PromQL over a window: per series levels, changes and gaps; the most moved first. \
                          Default: 30 minutes around the onset."
                .to_owned(),
            parameters: json!({"type": "object", "required": ["query"], "properties": {
                "query": {"type": "string"},
                "minutes": {"type": "integer", "description": "before and after the onset"},
                "start": {"type": "string", "description": "instead of minutes: RFC 3339, onset-15m, now-1h"},
                "end": {"type": "string"},
                "step_secs": {"type": "integer"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: RangeArguments = typed(asked, &self.schema)?;
        let span = Span { minutes: asked.minutes, start: asked.start.as_deref(), end: asked.end.as_deref() };
        let window = window(span, bounds)?;
        let scoped = scope::narrow(&asked.query, bounds)?;
        let step = asked.step_secs.unwrap_or_else(|| usual_step(window)).max(1);
        let length = (window.1 - window.0).to_std().unwrap_or_default();
        cost::check(&scoped.tree, length, Duration::from_secs(step.into()))?;
        let answer = range(&self.client, &scoped.promql, window, step).await?;
        Ok(Found {
            source: GROUP.to_owned(),
            digest: format!(
                "{} from {} to {}, every {step} s\n{}{}",
                scoped.promql,
                stamp(window.0),
                stamp(window.1),
                scoped.note(&bounds.namespaces),
                series::range(&answer.series, window, step, trouble_begins(bounds))
            ),
            full: series::full(&answer.series),
            query: answer.query,
        })
    }
}

impl Tool for Range {
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

pub(super) fn usual_step((from, to): Window) -> u32 {
    let even = u32::try_from((to - from).num_seconds() / USUAL_POINTS).unwrap_or(u32::MAX);
    even.next_multiple_of(SHORTEST_STEP_SECS).max(SHORTEST_STEP_SECS)
}

/// Asks at a time; refuses what is too wide.
pub(super) async fn instant(client: &Prometheus, promql: &str, at: DateTime<Utc>) -> Result<Answer, Refusal> {
    bounded(client, promql, at, client.query(promql, at).await).await
}

/// Asks over a window; refuses what is too wide.
pub(super) async fn range(
    client: &Prometheus,
    promql: &str,
    window: Window,
    step_secs: u32,
) -> Result<Answer, Refusal> {
    let answer = client.query_range(promql, window.0, window.1, step_secs).await;
    bounded(client, promql, window.1, answer).await
}

async fn bounded(
    client: &Prometheus,
    promql: &str,
    at: DateTime<Utc>,
    answer: Result<Answer, Error>,
) -> Result<Answer, Refusal> {
    match answer {
        Ok(answer) => series::bound(&answer.series).map(|()| answer),
        Err(Error::TooLarge(bytes)) => {
            // The answer was not read to its end, so its size is asked for. A comment may end the query.
            let counted = client.query(&format!("count({promql}\n)"), at).await.ok();
            let number = counted.and_then(|answer| answer.series.first()?.samples.first().map(|one| one.1));
            let number = number.map_or_else(|| format!("more than {bytes} bytes of"), super::shape::number);
            Err(Refusal::TooMuch(series::too_many(&number, "")))
        }
        Err(error) => Err(failed(&error)),
    }
}
