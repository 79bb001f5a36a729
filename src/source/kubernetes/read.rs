//! The reading verbs: get, list with paging, a pod's log, readiness, version and the cluster's clock.
//! Every one is a GET with its own deadline and a bound on the answer's size.

use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use http::header::{ACCEPT, DATE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::tls;
use super::{Client, Error, path};

/// Objects asked for in one page of a list.
const PAGE: usize = 500;
/// Most objects that one list returns, over all pages.
const MAX_ITEMS: usize = 5_000;
/// Most requests of one list, for servers that give smaller pages than asked for.
const MAX_PAGES: usize = 20;
/// Most bytes of one answer; a page of 500 large objects stays well below.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of one container's log.
const MAX_LOG_BYTES: i64 = 256 * 1024;

const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.8";
pub(super) const METADATA_LIST_ONLY: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;q=0.8";
pub(super) const JSON: &str = "application/json";

/// An answer beside the request that anyone can repeat and the time it took.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    pub value: T,
    /// The cluster's clock when it answered, where it said.
    pub date: Option<DateTime<Utc>>,
    /// `GET /api/v1/namespaces/shop/pods?labelSelector=app%3Dcatalog`
    pub query: String,
    pub milliseconds: u64,
}

impl<T> Answer<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: f(self.value), date: self.date, query: self.query, milliseconds: self.milliseconds }
    }
}

#[derive(Debug, Clone)]
pub struct Listing<K> {
    pub items: Vec<K>,
    /// There were more objects than the cap, or a later page was no longer to be had.
    pub truncated: bool,
}

/// Which objects of a kind; empty selectors select all.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    pub labels: String,
    pub fields: String,
}

impl ListQuery {
    pub fn labels(selector: impl Into<String>) -> Self {
        Self { labels: selector.into(), fields: String::new() }
    }

    pub fn fields(selector: impl Into<String>) -> Self {
        Self { labels: String::new(), fields: selector.into() }
    }
}

#[derive(Debug, Clone)]
pub struct LogQuery {
    pub container: String,
    /// The instance before the current one.
    pub previous: bool,
    /// 0 or less: from `since` on, as much as `limit_bytes` holds.
    pub tail_lines: i64,
    pub since: Option<DateTime<Utc>>,
    /// Reading stops here, even within a line.
    pub limit_bytes: i64,
}

impl LogQuery {
    /// The last lines of a log.
    pub fn tail(container: impl Into<String>, previous: bool, tail_lines: i64) -> Self {
        let (container, since) = (container.into(), None);
        Self { container, previous, tail_lines: tail_lines.max(1), since, limit_bytes: MAX_LOG_BYTES }
    }
}

pub(super) struct Raw {
    body: Vec<u8>,
    date: Option<DateTime<Utc>>,
    pub(super) query: String,
    pub(super) milliseconds: u64,
}

impl Raw {
    pub(super) fn answer<T>(self, value: T) -> Answer<T> {
        Answer { value, date: self.date, query: self.query, milliseconds: self.milliseconds }
    }
}

#[derive(Deserialize)]
struct List<K> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

#[derive(Deserialize, Default)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Partial {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl Client {
    /// One object. `namespace` is "" for cluster-scoped kinds.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<Answer<K>, Error>
    where
        K: Resource + DeserializeOwned,
    {
        let path = path::of::<K>(namespace, path::segment(name)?)?;
        let raw = self.send(&path, &[], JSON).await?;
        let value = parse(&raw)?;
        Ok(raw.answer(value))
    }

    /// Objects of a kind, page by page up to a hard cap. `namespace` "" lists the whole cluster.
    pub async fn list<K>(&self, namespace: &str, query: &ListQuery) -> Result<Answer<Listing<K>>, Error>
    where
        K: Resource + DeserializeOwned,
    {
        self.pages(&path::of::<K>(namespace, "")?, query, JSON).await
    }

    /// Names of a kind's objects without their content: ConfigMaps can be large and private.
    pub async fn names<K>(&self, namespace: &str) -> Result<Answer<Vec<String>>, Error>
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        let path = path::of::<K>(namespace, "")?;
        let answer = self.pages::<Partial>(&path, &ListQuery::default(), METADATA_LIST_ONLY).await?;
        Ok(answer.map(|list| list.items.into_iter().filter_map(|item| item.metadata.name).collect()))
    }

    pub(super) async fn object_metadata(&self, path: &str) -> Result<ObjectMeta, Error> {
        let raw = self.send(path, &[], METADATA_ONLY).await?;
        Ok(parse::<Partial>(&raw)?.metadata)
    }

    /// A container's log with the kubelet's timestamps; empty where the container never wrote.
    pub async fn log(&self, namespace: &str, pod: &str, query: &LogQuery) -> Result<Answer<String>, Error> {
        let path = path::of::<k8s_openapi::api::core::v1::Pod>(namespace, path::segment(pod)?)? + "/log";
        let (tail, limit) = (query.tail_lines.to_string(), query.limit_bytes.max(1).to_string());
        let since = query.since.map(|since| since.to_rfc3339_opts(SecondsFormat::Secs, true));
        let mut parameters = vec![("container", path::segment(&query.container)?)];
        if query.tail_lines > 0 {
            parameters.push(("tailLines", tail.as_str()));
        }
        if let Some(since) = &since {
            parameters.push(("sinceTime", since.as_str()));
        }
        parameters.extend([("limitBytes", limit.as_str()), ("timestamps", "true")]);
        if query.previous {
            parameters.push(("previous", "true"));
        }
        let raw = self.send(&path, &parameters, "*/*").await?;
        let mut value = String::from_utf8_lossy(&raw.body).into_owned();
        // The limit falls anywhere: half a line may hold half a secret, which nobody would know for one.
        if i64::try_from(raw.body.len()).is_ok_and(|length| length >= MAX_LOG_BYTES)
            && let Some(last) = value.rfind('\n')
        {
            value.truncate(last + 1);
        }
        Ok(raw.answer(value))
    }

    /// The API server's own checks, one `[+]name ok` or `[-]name failed` a line. Failing checks answer
    /// with 500, which is an answer here.
    pub async fn readyz(&self) -> Result<Answer<String>, Error> {
        match self.send("/readyz", &[("verbose", "true")], "*/*").await {
            Ok(raw) => {
                let value = String::from_utf8_lossy(&raw.body).into_owned();
                Ok(raw.answer(value))
            }
            Err(Error::Unavailable(text)) if text.contains("[-]") => {
                let query = "GET /readyz?verbose=true".to_owned();
                Ok(Answer { value: text, date: None, query, milliseconds: 0 })
            }
            Err(error) => Err(error),
        }
    }

    /// The server's version, e.g. `v1.36.2`.
    pub async fn version(&self) -> Result<Answer<String>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let raw = self.send("/version", &[], JSON).await?;
        let version: Version = parse(&raw)?;
        Ok(raw.answer(version.git_version))
    }

    /// The cluster's own clock, which event ages are judged by; ours where it does not say. Answers to other
    /// questions tell it as well.
    pub async fn cluster_time(&self) -> DateTime<Utc> {
        let answered = self.send("/version", &[], JSON).await.ok().and_then(|raw| raw.date);
        answered.unwrap_or_else(Utc::now)
    }

    async fn pages<K: DeserializeOwned>(
        &self,
        path: &str,
        query: &ListQuery,
        accept: &str,
    ) -> Result<Answer<Listing<K>>, Error> {
        let page = PAGE.to_string();
        let (mut items, mut next) = (Vec::new(), None::<String>);
        let (mut first_query, mut milliseconds, mut date) = (String::new(), 0, None);
        for _page in 0..MAX_PAGES {
            let mut parameters = Vec::new();
            if !query.labels.is_empty() {
                parameters.push(("labelSelector", query.labels.as_str()));
            }
            if !query.fields.is_empty() {
                parameters.push(("fieldSelector", query.fields.as_str()));
            }
            parameters.push(("limit", page.as_str()));
            if let Some(token) = &next {
                parameters.push(("continue", token.as_str()));
            }
            let raw = match self.send(path, &parameters, accept).await {
                Ok(raw) => raw,
                // A later page that fails (an expired token, a slow server) leaves what was read.
                Err(_) if !items.is_empty() => break,
                Err(error) => return Err(error),
            };
            milliseconds += raw.milliseconds;
            date = raw.date.or(date);
            let list: List<K> = parse(&raw)?;
            if first_query.is_empty() {
                first_query = raw.query;
            }
            items.extend(list.items);
            next = list.metadata.next.filter(|token| !token.is_empty());
            if next.is_none() || items.len() >= MAX_ITEMS {
                break;
            }
        }
        items.truncate(MAX_ITEMS);
        let value = Listing { items, truncated: next.is_some() };
        Ok(Answer { value, date, query: first_query, milliseconds })
    }

    /// The one place where a request leaves: checked, GET, bounded in time and size.
    pub(super) async fn send(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        accept: &str,
    ) -> Result<Raw, Error> {
        path::check(path)?;
        let uri = with_query(path, parameters);
        let query = format!("GET {uri}");
        let request = http::Request::get(&uri)
            .header(ACCEPT, accept)
            .body(kube::client::Body::empty())
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        self.exchange(request, query).await
    }

    /// Sends what a caller has checked; `query` is how people repeat it.
    pub(super) async fn exchange(
        &self,
        request: http::Request<kube::client::Body>,
        query: String,
    ) -> Result<Raw, Error> {
        let began = Instant::now();
        self.circuit.admit(began).map_err(Error::Unavailable)?;
        let exchange = async {
            // Waiting for a turn counts: an investigation has no time to lose.
            let _turn = self.turns.acquire().await;
            let answer = self.inner.send(request).await.map_err(|error| unavailable(&error))?;
            let status = answer.status().as_u16();
            let date = answer.headers().get(DATE).and_then(|value| value.to_str().ok()).and_then(parse_date);
            let body = match Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
                    return Err(Error::Unavailable(format!("answer larger than {MAX_ANSWER_BYTES} bytes")));
                }
                Err(error) => return Err(Error::Unavailable(format!("answer broke off: {error}"))),
            };
            Ok((status, date, body))
        };
        let outcome =
            tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Error::Timeout(self.timeout)));
        self.circuit.record(outcome.as_ref().err().map(ToString::to_string), Instant::now());
        let (status, date, body) = outcome?;
        if !(200..300).contains(&status) {
            return Err(Error::from_answer(status, &body));
        }
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Raw { body, date, query, milliseconds })
    }
}

pub(super) fn parse<T: DeserializeOwned>(raw: &Raw) -> Result<T, Error> {
    serde_json::from_slice(&raw.body)
        .map_err(|error| Error::Unavailable(format!("answer is not what was asked for: {error}")))
}

fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc))
}

fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    let encoded =
        parameters.iter().map(|(key, value)| format!("{key}={}", super::super::http::encode(value)));
    format!("{path}?{}", encoded.collect::<Vec<_>>().join("&"))
}

/// kube's errors name the address at most; the chain below says why (refused, TLS, DNS).
pub(super) fn unavailable(error: &kube::Error) -> Error {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    if let Some(hint) = tls::hint(error) {
        text = format!("{text} ({hint})");
    }
    Error::Unavailable(text)
}
