//! Loki's range queries for log lines, newest first on the wire, oldest first here. Stream selectors are
//! built from quoted values only.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::circuit::Standing;
use super::enforced::Enforced;
pub use super::http::Error;
use super::http::{Server, encode, matchers};
use crate::settings::HttpSource;

/// Most lines of one query; Loki's own default limit is higher.
const MAX_LINES: usize = 500;

#[derive(Debug, Clone)]
pub struct Loki {
    server: Server,
    /// Labels of the one cluster whose streams are read, where there are others'.
    enforced: Enforced,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: DateTime<Utc>,
    pub text: String,
}

#[derive(Debug, Clone)]
pub struct Answer {
    /// Oldest first.
    pub lines: Vec<Line>,
    pub query: String,
    pub milliseconds: u64,
}

/// A line with the labels of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLine {
    pub at: DateTime<Utc>,
    pub text: String,
    /// Index into the answer's streams.
    pub stream: usize,
}

/// Lines of several streams, oldest first.
#[derive(Debug, Clone)]
pub struct Found {
    pub lines: Vec<StreamLine>,
    pub streams: Vec<BTreeMap<String, String>>,
    pub query: String,
    pub milliseconds: u64,
}

/// Names of labels or values of one, and the request that anyone can repeat.
#[derive(Debug, Clone)]
pub struct Names {
    pub names: Vec<String>,
    pub query: String,
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    stream: BTreeMap<String, String>,
    values: Vec<(String, String)>,
}

impl Loki {
    /// None when no `url` is set.
    pub fn new(http: reqwest::Client, settings: &HttpSource) -> anyhow::Result<Option<Self>> {
        let enforced = Enforced::new(&settings.selector)?;
        Ok(Server::new(http, settings)?.map(|server| Self { server, enforced }))
    }

    /// Whether it answers, as far as it was asked.
    pub fn standing(&self) -> Standing {
        self.server.standing()
    }

    /// The last lines of the streams with these labels between two times.
    pub async fn lines(
        &self,
        labels: &[(&str, &str)],
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Answer, Error> {
        let (bytes, query, milliseconds) =
            self.range(&matchers(labels), (from, to), MAX_LINES, Order::NewestFirst).await?;
        Ok(Answer { lines: parse(&bytes)?, query, milliseconds })
    }

    /// Lines of a log query between two times: the newest or the oldest `limit` of them.
    pub async fn query(
        &self,
        logql: &str,
        window: (DateTime<Utc>, DateTime<Utc>),
        limit: usize,
        order: Order,
    ) -> Result<Found, Error> {
        let (bytes, query, milliseconds) = self.range(logql, window, limit, order).await?;
        let (lines, streams) = parse_streams(&bytes)?;
        Ok(Found { lines, streams, query, milliseconds })
    }

    async fn range(
        &self,
        logql: &str,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        limit: usize,
        order: Order,
    ) -> Result<(Vec<u8>, String, u64), Error> {
        let logql = self.enforced.logql(logql)?;
        let (start, end, limit) = (nanos(from), nanos(to), limit.to_string());
        let parameters = [
            ("query", logql.as_str()),
            ("start", start.as_str()),
            ("end", end.as_str()),
            ("limit", limit.as_str()),
            ("direction", order.direction()),
        ];
        let path = "/loki/api/v1/query_range";
        let body = self.server.get(path, &parameters).await?;
        Ok((body.bytes, request(path, &parameters), body.milliseconds))
    }

    /// One number at a time: a metric query that gives a single series, such as `sum(count_over_time(…))`.
    /// None when nothing was counted.
    pub async fn number(&self, logql: &str, at: DateTime<Utc>) -> Result<Option<f64>, Error> {
        let (logql, at) = (self.enforced.logql(logql)?, nanos(at));
        let body = self.server.get("/loki/api/v1/query", &[("query", &logql), ("time", &at)]).await?;
        let answer: serde_json::Value = serde_json::from_slice(&body.bytes).map_err(|error| odd(&error))?;
        let value = answer.pointer("/data/result/0/value/1").and_then(serde_json::Value::as_str);
        Ok(value.and_then(|text| text.parse().ok()))
    }

    /// Names of the labels of the streams that a selector names.
    pub async fn labels(
        &self,
        selector: &str,
        window: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Names, Error> {
        self.names("/loki/api/v1/labels", selector, window).await
    }

    /// Values of one label of the streams that a selector names.
    pub async fn label_values(
        &self,
        label: &str,
        selector: &str,
        window: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Names, Error> {
        self.names(&format!("/loki/api/v1/label/{}/values", encode(label)), selector, window).await
    }

    async fn names(
        &self,
        path: &str,
        selector: &str,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Names, Error> {
        #[derive(Deserialize)]
        struct Told {
            /// Left out when there is none.
            #[serde(default)]
            data: Vec<String>,
        }
        // Without one it would be all streams.
        let selector = match selector.trim() {
            "" if !self.enforced.is_empty() => self.enforced.selector(),
            selector => self.enforced.logql(selector)?,
        };
        let (start, end) = (nanos(from), nanos(to));
        let parameters = [("query", selector.as_str()), ("start", start.as_str()), ("end", end.as_str())];
        let body = self.server.get(path, &parameters).await?;
        let told: Told = serde_json::from_slice(&body.bytes).map_err(|error| odd(&error))?;
        Ok(Names { names: told.data, query: request(path, &parameters) })
    }
}

/// Which lines are kept when there are more than asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    fn direction(self) -> &'static str {
        match self {
            Self::NewestFirst => "backward",
            Self::OldestFirst => "forward",
        }
    }
}

fn nanos(at: DateTime<Utc>) -> String {
    at.timestamp_nanos_opt().unwrap_or_default().to_string()
}

fn request(path: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = parameters.iter().map(|(key, value)| format!("{key}={}", encode(value)));
    format!("GET {path}?{}", encoded.collect::<Vec<_>>().join("&"))
}

fn odd(error: &serde_json::Error) -> Error {
    Error::Unavailable(format!("answer is not what was asked for: {error}"))
}

type Lines = (Vec<StreamLine>, Vec<BTreeMap<String, String>>);

fn parse_streams(bytes: &[u8]) -> Result<Lines, Error> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| odd(&error))?;
    let (mut lines, mut streams) = (Vec::new(), Vec::new());
    for (index, stream) in envelope.data.result.into_iter().enumerate() {
        let read = stream.values.into_iter().filter_map(|(nanos, text)| {
            Some(StreamLine { at: DateTime::from_timestamp_nanos(nanos.parse().ok()?), text, stream: index })
        });
        lines.extend(read);
        streams.push(stream.stream);
    }
    lines.sort_by_key(|line: &StreamLine| line.at);
    Ok((lines, streams))
}

fn parse(bytes: &[u8]) -> Result<Vec<Line>, Error> {
    let (lines, _) = parse_streams(bytes)?;
    Ok(lines.into_iter().map(|line| Line { at: line.at, text: line.text }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_streams_come_out_in_order_of_time() {
        let body = br#"{"status":"success","data":{"resultType":"streams","result":[
            {"stream":{"pod":"a"},"values":[["1795244687152269530","second"],["1795244687152253585","first"]]},
            {"stream":{"pod":"b"},"values":[["1795244687152269531","third"]]}]}}"#;
        let texts: Vec<String> = parse(body).unwrap().into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["first", "second", "third"]);
    }
}
