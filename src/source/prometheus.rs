//! Prometheus' query API: instant queries, range queries, rules and scrape targets. Values of labels only enter a
//! query through `Selector`, which quotes them; the server is only ever asked, never told.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

use super::circuit::Standing;
use super::enforced::Enforced;
pub use super::http::Error;
use super::http::{Server, encode, matchers};
use crate::settings::HttpSource;

#[derive(Debug, Clone)]
pub struct Prometheus {
    server: Server,
    /// Labels of the one cluster whose data is read, where there are others'.
    enforced: Enforced,
}

/// One series with its samples: one for an instant query, several for a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Unix seconds and value; NaN and infinities as Prometheus has them.
    pub samples: Vec<(f64, f64)>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub series: Vec<Series>,
    /// `GET /api/v1/query?query=up`
    pub query: String,
    pub milliseconds: u64,
}

/// A firing or pending alert as Prometheus itself knows it.
#[derive(Debug, Clone, Deserialize)]
pub struct ActiveAlert {
    pub labels: BTreeMap<String, String>,
    pub state: String,
    #[serde(rename = "activeAt")]
    pub active_at: Option<DateTime<Utc>>,
    /// What the expression gave at the last evaluation.
    #[serde(default)]
    pub value: String,
}

/// An alerting rule as Prometheus evaluates it.
#[derive(Debug, Clone, Deserialize)]
pub struct AlertRule {
    pub name: String,
    /// PromQL.
    pub query: String,
    /// How long the condition must hold, in seconds.
    #[serde(default)]
    pub duration: f64,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub health: String,
    #[serde(default, rename = "lastError")]
    pub last_error: String,
    #[serde(default)]
    pub alerts: Vec<ActiveAlert>,
}

/// What is scraped, and what came of it last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Target {
    pub labels: BTreeMap<String, String>,
    pub scrape_url: String,
    /// up, down, or unknown before the first scrape.
    pub health: String,
    /// "" after a good scrape.
    pub last_error: String,
    /// In year 1 before the first scrape.
    pub last_scrape: Option<DateTime<Utc>>,
}

/// What a metric is, by its exporter.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub help: String,
}

/// An answer that is no series, and the request that anyone can repeat.
#[derive(Debug, Clone)]
pub struct Told<T> {
    pub what: T,
    pub query: String,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Point>),
    Matrix(Vec<Range>),
    Scalar((f64, String)),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Point {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Range {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// A metric with equality matchers: `kube_pod_owner{namespace="shop",pod="a"}`.
pub fn selector(metric: &str, labels: &[(&str, &str)]) -> String {
    format!("{metric}{}", matchers(labels))
}

impl Prometheus {
    /// None when no `url` is set.
    pub fn new(http: reqwest::Client, settings: &HttpSource) -> anyhow::Result<Option<Self>> {
        let enforced = Enforced::new(&settings.selector)?;
        Ok(Server::new(http, settings)?.map(|server| Self { server, enforced }))
    }

    /// Whether it answers, as far as it was asked.
    pub fn standing(&self) -> Standing {
        self.server.standing()
    }

    /// An instant query at `at`.
    pub async fn query(&self, promql: &str, at: DateTime<Utc>) -> Result<Answer, Error> {
        let (promql, at) = (self.enforced.promql(promql)?, at.timestamp().to_string());
        self.series("/api/v1/query", &[("query", &promql), ("time", &at)]).await
    }

    /// A range query; `step_secs` is the distance of samples.
    pub async fn query_range(
        &self,
        promql: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        step_secs: u32,
    ) -> Result<Answer, Error> {
        let (from, to) = (from.timestamp().to_string(), to.timestamp().to_string());
        let (promql, step) = (self.enforced.promql(promql)?, step_secs.max(1).to_string());
        let parameters = [("query", promql.as_str()), ("start", &from), ("end", &to), ("step", &step)];
        self.series("/api/v1/query_range", &parameters).await
    }

    /// All alerting rules.
    pub async fn alert_rules(&self) -> Result<Told<Vec<AlertRule>>, Error> {
        #[derive(Deserialize)]
        struct Groups {
            groups: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            rules: Vec<AlertRule>,
        }
        let told: Told<Groups> = self.told("/api/v1/rules", &[("type", "alert")]).await?;
        let all = told.what.groups.into_iter().flat_map(|group| group.rules);
        // A rule may be everybody's, what it found is not.
        let mut what: Vec<AlertRule> = all.filter(|rule| !self.enforced.contradicts(&rule.labels)).collect();
        what.iter_mut().for_each(|rule| rule.alerts.retain(|alert| self.enforced.allows(&alert.labels)));
        Ok(Told { what, query: told.query })
    }

    /// What it scrapes. What only keeps the samples of others (Mimir, Thanos) has no such list.
    pub async fn targets(&self) -> Result<Told<Vec<Target>>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Targets {
            active_targets: Vec<Target>,
        }
        let told: Told<Targets> = self.told("/api/v1/targets", &[("state", "active")]).await?;
        let mut what = told.what.active_targets;
        what.retain(|target| self.enforced.allows(&target.labels));
        Ok(Told { what, query: told.query })
    }

    /// Values of a label over the series that any of these selectors names.
    pub async fn label_values(
        &self,
        label: &str,
        selectors: &[&str],
        window: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Told<Vec<String>>, Error> {
        let (start, end) = (window.0.timestamp().to_string(), window.1.timestamp().to_string());
        let mut held: Vec<String> =
            selectors.iter().map(|one| self.enforced.promql(one)).collect::<Result<_, _>>()?;
        if held.is_empty() && !self.enforced.is_empty() {
            held.push(self.enforced.selector());
        }
        let mut parameters: Vec<(&str, &str)> = held.iter().map(|one| ("match[]", one.as_str())).collect();
        parameters.extend([("start", start.as_str()), ("end", end.as_str())]);
        // A label is part of the path.
        self.told(&format!("/api/v1/label/{}/values", encode(label)), &parameters).await
    }

    /// Labels of the series of a selector.
    pub async fn label_sets(
        &self,
        selector: &str,
        window: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Told<Vec<BTreeMap<String, String>>>, Error> {
        let (start, end) = (window.0.timestamp().to_string(), window.1.timestamp().to_string());
        let selector = self.enforced.promql(selector)?;
        self.told("/api/v1/series", &[("match[]", &selector), ("start", &start), ("end", &end)]).await
    }

    /// Type and help of a metric; several when exporters disagree.
    pub async fn metadata(&self, metric: &str) -> Result<Told<Vec<Metadata>>, Error> {
        let told: Told<BTreeMap<String, Vec<Metadata>>> =
            self.told("/api/v1/metadata", &[("metric", metric)]).await?;
        Ok(Told { what: told.what.into_values().flatten().collect(), query: told.query })
    }

    async fn told<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Told<T>, Error> {
        let body = self.server.get(path, parameters).await?;
        Ok(Told { what: parse(&body.bytes)?, query: request(path, parameters) })
    }

    async fn series(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer, Error> {
        let body = self.server.get(path, parameters).await?;
        let series = match parse::<Data>(&body.bytes)? {
            Data::Vector(points) => points.into_iter().map(|p| one(p.metric, &[p.value])).collect(),
            Data::Matrix(ranges) => ranges.into_iter().map(|r| one(r.metric, &r.values)).collect(),
            Data::Scalar(value) => vec![one(BTreeMap::new(), &[value])],
            Data::String(_) => Vec::new(),
        };
        Ok(Answer { series, query: request(path, parameters), milliseconds: body.milliseconds })
    }
}

fn request(path: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = parameters.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
    format!("GET {path}?{}", encoded.collect::<Vec<_>>().join("&"))
}

fn one(labels: BTreeMap<String, String>, values: &[(f64, String)]) -> Series {
    // "NaN", "+Inf" and "-Inf" are what Rust reads as well.
    let samples = values.iter().filter_map(|(at, text)| Some((*at, text.parse().ok()?))).collect();
    Series { labels, samples }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice::<Envelope<T>>(bytes)
        .map(|envelope| envelope.data)
        .map_err(|error| Error::Unavailable(format!("answer is not what was asked for: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_matrices_scalars_and_odd_numbers_are_read() {
        let vector = br#"{"status":"success","data":{"resultType":"vector","result":
            [{"metric":{"pod":"a"},"value":[1795244845.296,"+Inf"]},{"metric":{},"value":[1,"NaN"]}]}}"#;
        let Data::Vector(points) = parse::<Data>(vector).unwrap() else { panic!("no vector") };
        let series = one(points[0].metric.clone(), std::slice::from_ref(&points[0].value));
        assert!(series.samples[0].1.is_infinite());
        assert_eq!(series.labels["pod"], "a");
        let matrix = br#"{"status":"success","data":{"resultType":"matrix","result":
            [{"metric":{},"values":[[1,"1"],[2,"2"]]}]}}"#;
        assert!(matches!(parse::<Data>(matrix), Ok(Data::Matrix(ranges)) if ranges[0].values.len() == 2));
        let scalar = br#"{"status":"success","data":{"resultType":"scalar","result":[1,"5"]}}"#;
        assert!(matches!(parse::<Data>(scalar), Ok(Data::Scalar((_, text))) if text == "5"));
    }

    #[test]
    fn a_selector_quotes_its_values() {
        assert_eq!(selector("kube_pod_owner", &[("pod", "a\"b")]), r#"kube_pod_owner{pod="a\"b"}"#);
    }
}
