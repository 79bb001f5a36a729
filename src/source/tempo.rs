//! Tempo's searches and traces. Values only enter a query through `Condition`, which quotes them; a trace
//! comes out as spans by their start, bounded, with what was left out. Nothing is ever pushed.

mod otlp;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::circuit::Standing;
pub use super::http::Error;
use super::http::{Server, encode, quote};
use crate::settings::HttpSource;

/// Most traces of one search.
const MAX_TRACES: usize = 50;
/// Matching spans shown of each trace of a search.
const SPANS_A_TRACE: usize = 3;
/// Hexadecimal digits of a trace's id.
const MAX_ID_DIGITS: usize = 32;

#[derive(Debug, Clone)]
pub struct Tempo(Server);

/// One condition on a span. Names of attributes come from code, values from anywhere.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition<'a> {
    /// `resource.service.name="a"`
    Is(&'a str, &'a str),
    Failed,
    SlowerThan(Duration),
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Search<'a> {
    /// TraceQL as somebody wrote it, or from `selector`.
    TraceQl(&'a str),
    /// Attributes of any scope; for servers before TraceQL.
    Tags(&'a [(&'a str, &'a str)]),
}

#[derive(Debug, Clone)]
pub struct Found {
    /// As Tempo orders them: newest first.
    pub traces: Vec<Summary>,
    pub query: String,
    pub milliseconds: u64,
}

/// One trace of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub id: String,
    pub root_service: String,
    pub root_name: String,
    pub started_at: Option<DateTime<Utc>>,
    pub milliseconds: u64,
    /// The first spans that match, and how many do.
    pub spans: Vec<MatchedSpan>,
    pub matched: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MatchedSpan {
    pub id: String,
    pub name: String,
    pub nanoseconds: u64,
    /// What the query asked about.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Trace {
    /// By their start; parents before children that started with them.
    pub spans: Vec<Span>,
    /// Spans beyond the limit: the latest ones.
    pub omitted: usize,
    /// What Tempo said when it gave a part only.
    pub partial: Option<String>,
    pub query: String,
    pub milliseconds: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub id: String,
    /// None: the root. A parent need not be among the spans.
    pub parent: Option<String>,
    pub service: String,
    /// `k8s.namespace.name` of what sent it.
    pub namespace: Option<String>,
    pub name: String,
    /// server, client, internal, producer, consumer; "" where it was not said.
    pub kind: String,
    pub started_at: DateTime<Utc>,
    pub nanoseconds: u64,
    pub status: Status,
    pub status_message: String,
    /// The span's own, and of its resource those about Kubernetes.
    pub attributes: BTreeMap<String, String>,
    /// `type: message` of each exception that was recorded.
    pub exceptions: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Unset,
    Ok,
    Error,
}

/// `{resource.service.name="a" && status=error}`; no condition finds every span.
pub fn selector(conditions: &[Condition<'_>]) -> String {
    let each = conditions.iter().map(|condition| match condition {
        Condition::Is(name, value) => format!("{name}={}", quote(value)),
        Condition::Failed => "status=error".to_owned(),
        Condition::SlowerThan(least) => format!("duration>{}ms", least.as_millis()),
    });
    format!("{{{}}}", each.collect::<Vec<_>>().join(" && "))
}

impl Tempo {
    /// None when no `url` is set.
    pub fn new(http: reqwest::Client, settings: &HttpSource) -> anyhow::Result<Option<Self>> {
        anyhow::ensure!(
            settings.selector.is_empty(),
            "selector: a trace is read by its id, which no selector bounds; give each cluster its own tenant \
             (headers: X-Scope-OrgID)"
        );
        Ok(Server::new(http, settings)?.map(Self))
    }

    /// Whether it answers, as far as it was asked.
    pub fn standing(&self) -> Standing {
        self.0.standing()
    }

    /// Traces between two times; at most `limit` of them.
    pub async fn search(
        &self,
        search: &Search<'_>,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        limit: usize,
    ) -> Result<Found, Error> {
        let (start, end) = (from.timestamp().to_string(), to.timestamp().to_string());
        let limit = limit.clamp(1, MAX_TRACES).to_string();
        let matched = SPANS_A_TRACE.to_string();
        let what = match search {
            Search::TraceQl(text) => ("q", (*text).to_owned()),
            Search::Tags(tags) => ("tags", logfmt(tags)),
        };
        let mut parameters =
            vec![(what.0, what.1.as_str()), ("limit", &limit), ("start", &start), ("end", &end)];
        if matches!(search, Search::TraceQl(_)) {
            parameters.push(("spss", &matched));
        }
        let body = self.0.get("/api/search", &parameters).await?;
        let encoded = parameters.iter().map(|(key, value)| format!("{key}={}", encode(value)));
        let query = format!("GET /api/search?{}", encoded.collect::<Vec<_>>().join("&"));
        let answer: SearchAnswer = parse(&body.bytes)?;
        let traces = answer.traces.into_iter().map(summary).collect();
        Ok(Found { traces, query, milliseconds: body.milliseconds })
    }

    /// A trace by its id; None when Tempo does not have it.
    pub async fn trace(&self, id: &str) -> Result<Option<Trace>, Error> {
        let is_id = !id.is_empty() && id.len() <= MAX_ID_DIGITS && id.bytes().all(|c| c.is_ascii_hexdigit());
        if !is_id {
            let message = format!("a trace id is 1 to {MAX_ID_DIGITS} hexadecimal digits");
            return Err(Error::BadQuery { status: 400, message });
        }
        let path = format!("/api/v2/traces/{id}");
        match self.0.get(&path, &[]).await {
            Ok(body) => {
                let answer: otlp::V2 = parse(&body.bytes)?;
                let partial = answer.partial();
                Ok(answer.trace.read(partial, format!("GET {path}"), body.milliseconds))
            }
            // Servers before 2.7 know version 1 only, which answers 404 for traces too.
            Err(Error::BadQuery { status: 404, .. }) => self.trace_v1(id).await,
            Err(error) => Err(error),
        }
    }

    async fn trace_v1(&self, id: &str) -> Result<Option<Trace>, Error> {
        let path = format!("/api/traces/{id}");
        match self.0.get(&path, &[]).await {
            Ok(body) => {
                let answer: otlp::Resources = parse(&body.bytes)?;
                Ok(answer.read(None, format!("GET {path}"), body.milliseconds))
            }
            Err(Error::BadQuery { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it takes requests.
    pub async fn ready(&self) -> Result<(), Error> {
        self.0.get("/ready", &[]).await.map(|_body| ())
    }

    /// Tempo's version.
    pub async fn version(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Build {
            version: String,
        }
        let body = self.0.get("/api/status/buildinfo", &[]).await?;
        Ok(parse::<Build>(&body.bytes)?.version)
    }
}

/// `a=b c="d e"`, as the parameter `tags` is read.
fn logfmt(tags: &[(&str, &str)]) -> String {
    let is_bare =
        |value: &str| !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "-._/:".contains(c));
    let each = tags.iter().map(|(name, value)| {
        if is_bare(value) { format!("{name}={value}") } else { format!("{name}={}", quote(value)) }
    });
    each.collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
struct SearchAnswer {
    #[serde(default)]
    traces: Vec<WireSummary>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSummary {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(default)]
    root_service_name: String,
    #[serde(default)]
    root_trace_name: String,
    #[serde(default)]
    start_time_unix_nano: otlp::Number,
    #[serde(default)]
    duration_ms: u64,
    #[serde(default)]
    span_set: SpanSet,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpanSet {
    spans: Vec<WireSpan>,
    matched: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpan {
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    duration_nanos: otlp::Number,
    #[serde(default)]
    attributes: Vec<otlp::Attribute>,
}

fn summary(trace: WireSummary) -> Summary {
    let spans = trace.span_set.spans.into_iter().map(|span| MatchedSpan {
        id: span.span_id,
        name: span.name,
        nanoseconds: span.duration_nanos.value(),
        attributes: otlp::attributes(span.attributes),
    });
    Summary {
        spans: spans.collect(),
        matched: trace.span_set.matched,
        // Tempo leaves out leading zeroes here, and takes ids without them.
        id: trace.trace_id,
        root_service: trace.root_service_name,
        root_name: trace.root_trace_name,
        started_at: trace.start_time_unix_nano.time(),
        milliseconds: trace.duration_ms,
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let wrong = |what: &str| Error::Unavailable(format!("answer is not what was asked for: {what}"));
    // serde would read a list as fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(wrong("no JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))
}
