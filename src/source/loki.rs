//! Loki's range queries for log lines, newest first on the wire, oldest first here. Stream selectors are
//! built from quoted values only.

use chrono::{DateTime, Utc};
use serde::Deserialize;

pub use super::http::Error;
use super::http::{Server, encode, matchers};
use crate::settings::HttpSource;

/// Most lines of one query; Loki's own default limit is higher.
const MAX_LINES: usize = 500;

#[derive(Debug, Clone)]
pub struct Loki(Server);

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
    values: Vec<(String, String)>,
}

impl Loki {
    /// None when no `url` is set.
    pub fn new(http: reqwest::Client, settings: &HttpSource) -> anyhow::Result<Option<Self>> {
        Ok(Server::new(http, settings)?.map(Self))
    }

    /// The last lines of the streams with these labels between two times.
    pub async fn lines(
        &self,
        labels: &[(&str, &str)],
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Answer, Error> {
        let logql = matchers(labels);
        let nanos = |at: DateTime<Utc>| at.timestamp_nanos_opt().unwrap_or_default().to_string();
        let (start, end, limit) = (nanos(from), nanos(to), MAX_LINES.to_string());
        let parameters = [
            ("query", logql.as_str()),
            ("start", start.as_str()),
            ("end", end.as_str()),
            ("limit", limit.as_str()),
            ("direction", "backward"),
        ];
        let body = self.0.get("/loki/api/v1/query_range", &parameters).await?;
        let encoded = parameters.iter().map(|(key, value)| format!("{key}={}", encode(value)));
        let query = format!("GET /loki/api/v1/query_range?{}", encoded.collect::<Vec<_>>().join("&"));
        Ok(Answer { lines: parse(&body.bytes)?, query, milliseconds: body.milliseconds })
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Line>, Error> {
    let envelope: Envelope = serde_json::from_slice(bytes)
        .map_err(|error| Error::Unavailable(format!("answer is not what was asked for: {error}")))?;
    let values = envelope.data.result.into_iter().flat_map(|stream| stream.values);
    let mut lines: Vec<Line> = values
        .filter_map(|(nanos, text)| {
            Some(Line { at: DateTime::from_timestamp_nanos(nanos.parse().ok()?), text })
        })
        .collect();
    lines.sort_by_key(|line| line.at);
    Ok(lines)
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
