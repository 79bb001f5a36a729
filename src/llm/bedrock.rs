//! Amazon Bedrock's Converse: one conversation out, signed or with an API key, one turn back. It streams
//! nothing, retries nothing, and speaks only to Bedrock and to where AWS keeps credentials.

mod credentials;
mod fault;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::Utc;
use futures::StreamExt;
use futures::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};

use self::credentials::{Chain, Endpoints, Lookup};
use self::sign::Unsigned;
use super::{Fault, Model, Reply, Request, Usage};
use crate::settings;

/// Most bytes of one answer.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Where AWS's SDKs look for a Bedrock API key.
const API_KEY_VARIABLE: &str = "AWS_BEARER_TOKEN_BEDROCK";
const JSON: &str = "application/json";

/// One model of Bedrock, by its id or the id or ARN of an inference profile.
pub struct Bedrock {
    name: String,
    model: String,
    url: Url,
    http: reqwest::Client,
    headers: HeaderMap,
    auth: Auth,
    context_tokens: u64,
    prices: settings::UsdPerMillion,
    idle: Duration,
    total: Duration,
}

enum Auth {
    ApiKey(HeaderValue),
    Signature { region: String, chain: Box<Chain> },
}

impl Bedrock {
    /// # Errors
    /// Settings that cannot work, by the name of the setting: no region, a key file that is missing, an
    /// address that is none.
    pub fn new(settings: &settings::Model, http: &reqwest::Client) -> anyhow::Result<Self> {
        Self::within(settings, http, Arc::new(|name| std::env::var(name).ok()), Endpoints::default())
    }

    fn within(
        settings: &settings::Model,
        http: &reqwest::Client,
        lookup: Lookup,
        endpoints: Endpoints,
    ) -> anyhow::Result<Self> {
        let name = &settings.name;
        let region = region(settings, &lookup)?;
        let url = address(settings, region.as_deref()).with_context(|| format!("model {name}"))?;
        let headers = headers(settings).with_context(|| format!("model {name}: `headers`"))?;
        let auth = match api_key(settings, &lookup)? {
            Some(key) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
                    .with_context(|| format!("model {name}: `api_key` is not a header value"))?;
                value.set_sensitive(true);
                Auth::ApiKey(value)
            }
            None => {
                let region = region.with_context(|| {
                    format!("model {name}: `region` is needed to sign requests (or AWS_REGION)")
                })?;
                let chain = Box::new(Chain::new(http.clone(), lookup, &region, endpoints)?);
                Auth::Signature { region, chain }
            }
        };
        Ok(Self {
            name: name.clone(),
            model: settings.model.clone(),
            url,
            http: http.clone(),
            headers,
            auth,
            context_tokens: settings.context_tokens,
            prices: settings.usd_per_million,
            idle: Duration::from_secs(settings.idle_secs.max(1)),
            total: Duration::from_secs(settings.total_secs.max(1)),
        })
    }

    async fn exchange(&self, request: &Request) -> Result<Reply, Fault> {
        let body = wire::body(&self.model, request).to_string().into_bytes();
        let auth = self.authorization(&body).await?;
        let answer = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, JSON)
            .headers(self.headers.clone())
            .headers(auth)
            .body(body)
            .send()
            .await
            .map_err(|error| fault::unsent(&error))?;
        let status = answer.status();
        let kind = header(&answer, "x-amzn-errortype");
        let retry_after = header(&answer, RETRY_AFTER.as_str());
        let bytes = self.read(answer).await?;
        if status.is_success() {
            return wire::reply(&self.model, &self.name, &bytes);
        }
        let refusal = fault::Refusal::new(status.as_u16(), &kind, &retry_after, &bytes);
        if let Auth::Signature { chain, .. } = &self.auth
            && refusal.is_expired_token()
            && chain.forget().await
        {
            return Err(refusal.transient());
        }
        Err(refusal.fault())
    }

    async fn authorization(&self, body: &[u8]) -> Result<HeaderMap, Fault> {
        match &self.auth {
            Auth::ApiKey(value) => Ok(HeaderMap::from_iter([(AUTHORIZATION, value.clone())])),
            Auth::Signature { region, chain } => {
                let now = Utc::now();
                let credentials = chain.credentials(now).await.map_err(|error| error.fault())?;
                let unsigned = Unsigned {
                    method: "POST",
                    url: self.url.as_str(),
                    headers: &[(CONTENT_TYPE, JSON)],
                    body,
                };
                sign::headers(&credentials, (region, "bedrock"), now, &unsigned)
                    .map_err(|error| Fault::Unusable { detail: format!("cannot sign: {error:#}") })
            }
        }
    }

    /// The first byte may take as long as the call may; a pause after it may not.
    async fn read(&self, answer: Response) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let mut chunks = answer.bytes_stream();
        loop {
            let chunk = tokio::time::timeout(self.idle, chunks.next())
                .await
                .map_err(|_elapsed| fault::late(format!("nothing received for {} s", self.idle.as_secs())))?;
            let Some(chunk) = chunk else { return Ok(bytes) };
            bytes.extend_from_slice(&chunk.map_err(|error| fault::unsent(&error))?);
            if bytes.len() > MAX_ANSWER_BYTES {
                let detail = format!("answer larger than {MAX_ANSWER_BYTES} bytes");
                return Err(Fault::Garbage { detail });
            }
        }
    }
}

impl Model for Bedrock {
    fn name(&self) -> &str {
        &self.name
    }

    fn provider(&self) -> &'static str {
        "aws.bedrock"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async {
            tokio::time::timeout(self.total, self.exchange(request)).await.unwrap_or_else(|_elapsed| {
                Err(fault::late(format!("no answer within {} s", self.total.as_secs())))
            })
        })
    }

    fn context_tokens(&self) -> u64 {
        self.context_tokens
    }

    #[expect(clippy::cast_precision_loss, reason = "tokens of a run are far below 2^52")]
    fn usd(&self, usage: Usage) -> f64 {
        let cached = usage.cached.min(usage.input);
        let fresh = (usage.input - cached) as f64 * self.prices.input;
        let cached = cached as f64 * self.prices.cached.unwrap_or(self.prices.input);
        (fresh + cached + usage.output as f64 * self.prices.output) / 1e6
    }
}

fn region(settings: &settings::Model, lookup: &Lookup) -> anyhow::Result<Option<String>> {
    let region =
        settings.region.clone().or_else(|| lookup("AWS_REGION")).or_else(|| lookup("AWS_DEFAULT_REGION"));
    let region = region.filter(|region| !region.is_empty());
    if let Some(region) = &region {
        // It becomes part of a host's name.
        ensure!(
            region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "model {}: `region` {region:?} is no AWS region",
            settings.name
        );
    }
    Ok(region)
}

fn address(settings: &settings::Model, region: Option<&str>) -> anyhow::Result<Url> {
    let base = match (&settings.base_url, region) {
        (Some(base), _) => base.trim_end_matches('/').to_owned(),
        (None, Some(region)) => format!("https://bedrock-runtime.{region}.{}", domain(region)),
        (None, None) => anyhow::bail!("`region` is needed (or AWS_REGION, or `base_url`)"),
    };
    ensure!(!settings.model.is_empty(), "`model` is empty");
    let path = settings.path.as_ref().map_or_else(
        || format!("/model/{}/converse", encode(&settings.model)),
        |path| format!("/{}", path.trim_start_matches('/')),
    );
    let url: Url = format!("{base}{path}").parse().with_context(|| format!("`base_url` {base:?}"))?;
    ensure!(matches!(url.scheme(), "https" | "http"), "`base_url` {base:?} is not http(s)");
    Ok(url)
}

/// AWS's domain in the region's partition.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn headers(settings: &settings::Model) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let key: HeaderName = name.parse().with_context(|| format!("not a header name: {name}"))?;
        let mut value = HeaderValue::from_str(value.expose_secret()).with_context(|| name.clone())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn api_key(settings: &settings::Model, lookup: &Lookup) -> anyhow::Result<Option<SecretString>> {
    if let Some(key) = &settings.api_key {
        return Ok(Some(key.clone()));
    }
    let Some(path) = &settings.api_key_file else {
        return Ok(lookup(API_KEY_VARIABLE).filter(|key| !key.is_empty()).map(SecretString::from));
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("model {}: cannot read `api_key_file` {}", settings.name, path.display()))?;
    ensure!(!text.trim().is_empty(), "model {}: `api_key_file` {} is empty", settings.name, path.display());
    Ok(Some(SecretString::from(text.trim())))
}

/// Percent-encodes everything but unreserved characters: ids hold colons, ARNs slashes.
fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
