//! The service as its users meet it: webhooks go in over HTTP, incidents and investigations are read back
//! over its API. It reads what the demo shows and nothing else.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::alerts::Webhook;

/// Deadline of one request, in seconds.
const REQUEST_SECS: u64 = 10;

/// Tries of one POST; like Alertmanager, only a 5xx or a broken connection is tried again.
const POST_TRIES: u32 = 5;

/// Wait after the first failed try; it doubles.
const BACK_OFF: Duration = Duration::from_millis(200);

/// Rows of one page, and pages read at most.
const PAGE_ROWS: usize = 100;
const MAX_PAGES: usize = 100;

pub(super) struct Service {
    http: Client,
    pub(super) url: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) workload: String,
    #[serde(default)]
    pub(super) state: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Investigation {
    pub(super) id: String,
    pub(super) incident_id: String,
    pub(super) workload: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) summary: Option<String>,
    #[serde(default)]
    pub(super) alert_name: Option<String>,
    #[serde(default)]
    pub(super) seconds: Option<f64>,
}

impl Investigation {
    pub(super) fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "done" | "dead" | "cancelled")
    }
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    #[serde(default)]
    next: Option<String>,
}

impl Service {
    pub(super) fn new(url: &str) -> Result<Self> {
        // An error means that a provider is installed already, which is all that is needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(Duration::from_secs(REQUEST_SECS)).no_proxy().build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned() })
    }

    /// Posts until the service has accepted it.
    pub(super) async fn post(&self, webhook: &Webhook) -> Result<StatusCode> {
        let mut wait = BACK_OFF;
        let mut tries = 1;
        loop {
            let mut request = self.http.post(format!("{}/webhooks/alertmanager", self.url));
            for (name, value) in &webhook.headers {
                request = request.header(name, value);
            }
            let answer = request.body(webhook.body.clone()).send().await;
            match answer {
                Ok(answer) if answer.status().is_success() => return Ok(answer.status()),
                Ok(answer) if !answer.status().is_server_error() => {
                    let status = answer.status();
                    bail!("{} was refused with {status}: {}", webhook.name, answer.text().await?)
                }
                Ok(answer) if tries == POST_TRIES => {
                    bail!("{} was refused with {}", webhook.name, answer.status())
                }
                Err(error) if tries == POST_TRIES => return Err(error).context("posting a webhook"),
                _ => {}
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
            tries += 1;
        }
    }

    pub(super) async fn incidents(&self) -> Result<Vec<Incident>> {
        self.all("/api/v1/incidents").await
    }

    pub(super) async fn investigations(&self) -> Result<Vec<Investigation>> {
        self.all("/api/v1/investigations").await
    }

    /// The report of one investigation, as the API gives it.
    pub(super) async fn report(&self, id: &str) -> Result<Value> {
        let mut detail: Value = self.read(&format!("/api/v1/investigations/{id}"), &[]).await?;
        ensure!(detail["report"].is_object(), "investigation {id} is done and has no report");
        Ok(detail["report"].take())
    }

    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        for _ in 0..MAX_PAGES {
            let mut query = vec![("limit", PAGE_ROWS.to_string())];
            if !cursor.is_empty() {
                query.push(("cursor", cursor));
            }
            let page: Page<T> = self.read(path, &query).await?;
            rows.extend(page.items);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(rows),
            }
        }
        bail!("{path} has more than {MAX_PAGES} pages")
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T> {
        let request = self.http.get(format!("{}{path}", self.url)).query(query);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let answer = answer.with_context(|| format!("reading {path}"))?;
        answer.json().await.with_context(|| format!("reading the answer of {path}"))
    }
}
