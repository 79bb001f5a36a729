//! One POST to a provider: a body goes out, the parts of the answer come back as they arrive. Nothing
//! received for a while, a whole that takes too long or an answer that is too big end it. No secret leaves
//! in a fault: all words of others pass `clean`.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::Utc;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::sse::{Decoder, Part};
use super::{Fault, Usage, fault};
use crate::redact::redact;
use crate::settings;

/// Most bytes of one answer, stream overhead included.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Most bytes read of an error answer.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Most characters of a provider's own words that are redacted, and that are kept.
const MAX_READ_CHARS: usize = 4_000;
const MAX_DETAIL_CHARS: usize = 300;
/// Anything shorter is no credential worth hiding, and hiding it would garble every word.
const MIN_SECRET_CHARS: usize = 6;

/// What a model's settings say about every provider alike.
pub(super) struct Terms {
    pub name: String,
    pub model: String,
    pub context_tokens: u64,
    pub max_output_tokens: u32,
    usd_per_million: settings::UsdPerMillion,
}

impl Terms {
    pub fn new(settings: &settings::Model) -> Self {
        Self {
            name: settings.name.clone(),
            model: settings.model.clone(),
            context_tokens: settings.context_tokens,
            max_output_tokens: settings.max_output_tokens,
            usd_per_million: settings.usd_per_million,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "token counts stay far below 2^52")]
    pub fn usd(&self, usage: Usage) -> f64 {
        let prices = self.usd_per_million;
        let cached = usage.cached.min(usage.input);
        let dollars = (usage.input - cached) as f64 * prices.input
            + cached as f64 * prices.cached.unwrap_or(prices.input)
            + usage.output as f64 * prices.output;
        dollars / 1_000_000.0
    }
}

/// Where and how to ask.
pub(super) struct Endpoint {
    http: reqwest::Client,
    name: String,
    url: Url,
    headers: HeaderMap,
    secrets: Vec<SecretString>,
    idle: Duration,
    total: Duration,
}

impl Endpoint {
    /// `base_url` and `path` are the provider's usual ones.
    pub fn new(
        settings: &settings::Model,
        http: &reqwest::Client,
        base_url: &str,
        path: &str,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            http: http.clone(),
            name: settings.name.clone(),
            url: url(settings, base_url, path)?,
            headers: HeaderMap::new(),
            secrets: Vec::new(),
            idle: Duration::from_secs(settings.idle_secs),
            total: Duration::from_secs(settings.total_secs),
        })
    }

    pub fn url_mut(&mut self) -> &mut Url {
        &mut self.url
    }

    pub fn header(&mut self, name: &'static str, value: &str) -> anyhow::Result<()> {
        self.headers.insert(name, HeaderValue::from_str(value).context("not a header value")?);
        Ok(())
    }

    /// A header whose value appears in no log and no error.
    pub fn secret_header(&mut self, name: &str, value: &SecretString, scheme: &str) -> anyhow::Result<()> {
        let name: HeaderName = name.parse().context("not a header name")?;
        let text = format!("{scheme}{}", value.expose_secret());
        let mut text = HeaderValue::from_str(&text).ok().context("not a header value")?;
        text.set_sensitive(true);
        self.headers.insert(name, text);
        // `Bearer xyz` written out in the settings: providers echo the key without the scheme.
        let key = value.expose_secret().rsplit(' ').next().unwrap_or_default();
        self.secrets.push(SecretString::from(key));
        Ok(())
    }

    /// The settings' own headers, which win over the provider's usual ones.
    pub fn own_headers(&mut self, settings: &settings::Model) -> anyhow::Result<()> {
        for (name, value) in &settings.headers {
            self.secret_header(name, value, "").with_context(|| format!("headers.{name}"))?;
        }
        Ok(())
    }

    /// Asks once. `take` gets each part and says when the answer is whole.
    pub async fn post(
        &self,
        body: &impl Serialize,
        take: impl FnMut(&Part) -> Result<ControlFlow<()>, Fault>,
    ) -> Result<(), Fault> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Fault::Unusable { detail: format!("the request cannot be written: {error}") })?;
        match tokio::time::timeout(self.total, self.exchange(body, take)).await {
            Ok(ended) => ended,
            Err(_elapsed) => {
                Err(transient(format!("no whole answer within {} s (total_secs)", self.total.as_secs())))
            }
        }
    }

    async fn exchange(
        &self,
        body: Vec<u8>,
        mut take: impl FnMut(&Part) -> Result<ControlFlow<()>, Fault>,
    ) -> Result<(), Fault> {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let mut answer = self.patiently(request.send()).await?.map_err(unsent)?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        let mut decoder = Decoder::default();
        let mut received = 0;
        while let Some(piece) = self.patiently(answer.chunk()).await?.map_err(broken)? {
            received += piece.len();
            if received > MAX_ANSWER_BYTES {
                return Err(Fault::Garbage {
                    detail: format!("more than {MAX_ANSWER_BYTES} bytes of answer"),
                });
            }
            for part in decoder.push(&piece) {
                if take(&part)?.is_break() {
                    return Ok(());
                }
            }
        }
        if let Some(part) = decoder.end() {
            let _ = take(&part)?;
        }
        Ok(())
    }

    async fn refusal(&self, mut answer: Response) -> Fault {
        let status = answer.status().as_u16();
        let retry_after = fault::retry_after(answer.headers(), Utc::now());
        let mut body = Vec::new();
        // The status says enough when the body does not come.
        while let Ok(Ok(Some(piece))) = self.patiently(answer.chunk()).await {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ERROR_BYTES {
                body.truncate(MAX_ERROR_BYTES);
                break;
            }
        }
        fault::classify(Some(status), retry_after, &body)
    }

    async fn patiently<T>(&self, received: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::time::timeout(self.idle, received).await.map_err(|_elapsed| {
            transient(format!("nothing received for {} s (idle_secs)", self.idle.as_secs()))
        })
    }

    /// A fault that may be shown: with the model's name, without secrets, one short line.
    pub fn clean(&self, fault: Fault) -> Fault {
        let clean = |detail: String| {
            let mut text = detail;
            for secret in self.secrets.iter().map(ExposeSecret::expose_secret) {
                if secret.chars().count() >= MIN_SECRET_CHARS {
                    text = text.replace(secret, "[redacted:key]");
                }
            }
            let text: String = text.chars().take(MAX_READ_CHARS).collect();
            let text: Vec<String> = redact(&text)
                .split(|c: char| c.is_whitespace() || c.is_control())
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            format!("{}: {}", self.name, text.join(" ")).chars().take(MAX_DETAIL_CHARS).collect()
        };
        match fault {
            Fault::Transient { detail, retry_after } => {
                Fault::Transient { detail: clean(detail), retry_after }
            }
            Fault::Unusable { detail } => Fault::Unusable { detail: clean(detail) },
            Fault::TooLong { detail } => Fault::TooLong { detail: clean(detail) },
            Fault::Garbage { detail } => Fault::Garbage { detail: clean(detail) },
        }
    }
}

fn url(settings: &settings::Model, base_url: &str, path: &str) -> anyhow::Result<Url> {
    let base = settings.base_url.as_deref().unwrap_or(base_url);
    let parsed: Url = base.parse().context("base_url: not an address such as https://host/v1")?;
    ensure!(matches!(parsed.scheme(), "http" | "https"), "base_url: only http and https are spoken");
    let bare = parsed.username().is_empty() && parsed.password().is_none();
    ensure!(bare, "base_url: no user or password in an address; use headers");
    ensure!(parsed.query().is_none() && parsed.fragment().is_none(), "base_url: ends before `?`; use path");
    let path = settings.path.as_deref().unwrap_or(path).trim_start_matches('/');
    // Anthropic's path brings its own /v1, which people write into the address too.
    let base = base.trim_end_matches('/');
    let base = if path.starts_with("v1/") { base.strip_suffix("/v1").unwrap_or(base) } else { base };
    format!("{base}/{path}").parse().context("path: not a path such as /chat/completions")
}

fn transient(detail: String) -> Fault {
    Fault::Transient { detail, retry_after: None }
}

/// A request that got no answer.
fn unsent(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    if error.is_builder() {
        return Fault::Unusable { detail: causes("the request cannot be built", &error) };
    }
    transient(causes(if error.is_connect() { "cannot connect" } else { "no answer" }, &error))
}

fn broken(error: reqwest::Error) -> Fault {
    transient(causes("the connection broke within the answer", &error.without_url()))
}

fn causes(what: &str, error: &reqwest::Error) -> String {
    let mut text = what.to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
