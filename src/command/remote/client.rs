//! The REST API of a running whodunit: paths in, JSON out. What goes wrong is told with the way out.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Place;
use super::paint::plain;
use crate::app;

/// Deadline of one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MAX_BYTES: usize = 64 << 20;
const TOKEN: &str = "WHODUNIT_TOKEN";

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<SecretString>,
}

impl Client {
    pub fn new(place: &Place) -> anyhow::Result<Self> {
        app::install_tls();
        let token = match &place.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                Some(text.with_context(|| format!("--token-file: cannot read {}", file.display()))?)
            }
            None => std::env::var(TOKEN).ok(),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let base = place.url.trim_end_matches('/').to_owned();
        Ok(Self { http: app::http_client()?, base, token: token.map(SecretString::from) })
    }

    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.json(self.http.get(self.address(path)).query(query).timeout(TIMEOUT)).await
    }

    pub async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.json(self.http.post(self.address(path)).timeout(TIMEOUT)).await
    }

    /// One message of the Model Context Protocol, and its answer.
    pub async fn exchange(&self, path: &str, message: &Value, version: &str) -> anyhow::Result<Value> {
        let request = self.http.post(self.address(path)).json(message).timeout(TIMEOUT);
        let request = request.header("accept", "application/json, text/event-stream");
        self.json(request.header("mcp-protocol-version", version)).await
    }

    /// A stream of events, after that one. None: there are no more.
    pub async fn events(&self, path: &str, after: Option<&str>) -> anyhow::Result<Option<Response>> {
        let mut request = self.http.get(self.address(path));
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = self.send(request).await?;
        Ok((answer.status() != reqwest::StatusCode::NO_CONTENT).then_some(answer))
    }

    /// The whole id.
    pub async fn id(&self, id: &str) -> anyhow::Result<String> {
        if uuid::Uuid::try_parse(id).is_ok() {
            return Ok(id.to_owned());
        }
        let query = [("id", id.to_owned()), ("limit", "3".to_owned())];
        let found = self.get("/api/v1/investigations", &query).await?;
        let ids: Vec<String> =
            found["items"].as_array().into_iter().flatten().map(|one| plain(&one["id"])).collect();
        match ids.as_slice() {
            [one] => Ok(one.clone()),
            [] => bail!("no investigation's id begins with {id}; `whodunit list` shows the latest"),
            several => bail!("{id} is the beginning of several ids: {}", several.join(", ")),
        }
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn json(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let bytes = body(self.send(request).await?).await?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is no whodunit: it answers no JSON", self.base))
    }

    async fn send(&self, mut request: RequestBuilder) -> anyhow::Result<Response> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.send().await.with_context(|| {
            format!("no answer from {}; say where whodunit listens with --url or WHODUNIT_URL", self.base)
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Value = serde_json::from_slice(&body(answer).await?).unwrap_or_default();
        let detail = plain(&problem["detail"]);
        match status.as_u16() {
            401 => bail!("{detail} Here: --token-file FILE, or the variable {TOKEN}."),
            _ if detail.is_empty() => bail!("{} answered {status}", self.base),
            _ => bail!("{detail}"),
        }
    }
}

async fn body(mut answer: Response) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_BYTES {
            bail!("the answer is larger than {} MiB", MAX_BYTES >> 20);
        }
    }
    Ok(bytes)
}
