//! What the plain HTTP sources share: one GET with a deadline and a bound on the answer, and the encoding
//! of values that come from labels. It never follows what an answer says.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use super::circuit::{Circuit, Standing};
use crate::settings::HttpSource;

const BYTES_A_MIB: usize = 1024 * 1024;
/// A connection that is not done by then is cut.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most characters of a server's own words in an error.
const MAX_MESSAGE_CHARS: usize = 300;

/// Why a source gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The query itself is at fault; asking again is pointless.
    #[error("{status} {message}")]
    BadQuery { status: u16, message: String },
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// Reading stopped at this many bytes.
    #[error("answer larger than {0} bytes")]
    TooLarge(usize),
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// One server: base address, headers, deadline.
#[derive(Debug, Clone)]
pub(super) struct Server {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
    timeout: Duration,
    /// A small Prometheus must not be overrun by a storm.
    turns: Arc<Semaphore>,
    max_answer_bytes: usize,
    circuit: Circuit,
}

pub(super) struct Body {
    pub bytes: Vec<u8>,
    pub milliseconds: u64,
}

impl Server {
    /// None when the source is not configured.
    pub fn new(http: reqwest::Client, settings: &HttpSource) -> anyhow::Result<Option<Self>> {
        let Some(url) = &settings.url else { return Ok(None) };
        reqwest::Url::parse(url)
            .with_context(|| format!("url: {url:?} is no address like http://host:9090"))?;
        let http = own_tls(http, settings)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let key: HeaderName = name.parse().with_context(|| format!("not a header name: {name}"))?;
            headers.insert(key, secret(value.expose_secret()).with_context(|| format!("header {name}"))?);
        }
        if let Some(authorization) = authorization(settings)? {
            headers.insert(reqwest::header::AUTHORIZATION, authorization);
        }
        let timeout = Duration::from_secs(settings.timeout_secs.max(1));
        let turns = Arc::new(Semaphore::new(settings.max_in_flight.max(1)));
        let max_answer_bytes = settings.max_answer_mib.max(1).saturating_mul(BYTES_A_MIB);
        let (base, circuit) = (url.trim_end_matches('/').to_owned(), Circuit::default());
        Ok(Some(Self { http, base, headers, timeout, turns, max_answer_bytes, circuit }))
    }

    /// Whether it answers, as far as it was asked.
    pub fn standing(&self) -> Standing {
        self.circuit.standing()
    }

    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Body, Error> {
        let began = Instant::now();
        self.circuit.admit(began).map_err(Error::Unavailable)?;
        // Waiting for a turn counts: an investigation has no time to lose.
        let exchange = async {
            let _turn = self.turns.acquire().await;
            self.exchange(path, parameters).await
        };
        let outcome =
            tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Error::Timeout(self.timeout)));
        let away = match &outcome {
            Err(error @ (Error::Timeout(_) | Error::Unavailable(_))) => Some(error.to_string()),
            _ => None,
        };
        self.circuit.record(away, Instant::now());
        let bytes = outcome?;
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Body { bytes, milliseconds })
    }

    async fn exchange(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        let request = self.http.get(format!("{}{path}", self.base)).headers(self.headers.clone());
        let answer = request.query(parameters).send().await.map_err(|error| unavailable(&error))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| unavailable(&error))?);
            if bytes.len() > self.max_answer_bytes {
                return Err(Error::TooLarge(self.max_answer_bytes));
            }
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let message: String = String::from_utf8_lossy(&bytes).chars().take(MAX_MESSAGE_CHARS).collect();
        if status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 408 | 429) {
            return Err(Error::BadQuery { status: status.as_u16(), message });
        }
        Err(Error::Unavailable(format!("HTTP {}: {message}", status.as_u16())))
    }
}

/// A client of its own where certificates are its own.
fn own_tls(http: reqwest::Client, settings: &HttpSource) -> anyhow::Result<reqwest::Client> {
    let HttpSource { ca_file, cert_file, key_file, .. } = settings;
    if ca_file.is_none() && cert_file.is_none() && key_file.is_none() {
        return Ok(http);
    }
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("whodunit/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = ca_file {
        let trusted = reqwest::Certificate::from_pem_bundle(&read("ca_file", file)?).context("ca_file")?;
        anyhow::ensure!(!trusted.is_empty(), "ca_file: {} holds no certificate", file.display());
        builder = builder.tls_certs_only(trusted);
    }
    match (cert_file, key_file) {
        (Some(cert), Some(key)) => {
            let mut pem = read("cert_file", cert)?;
            pem.push(b'\n');
            pem.extend(read("key_file", key)?);
            let identity = reqwest::Identity::from_pem(&pem).context("cert_file and key_file")?;
            builder = builder.identity(identity);
        }
        (None, None) => {}
        _ => anyhow::bail!("cert_file and key_file: one is of no use without the other"),
    }
    builder.build().context("no HTTP client with these certificates")
}

fn read(name: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{name}: cannot read {}", file.display()))
}

/// The header by which we are known: a token or a user.
fn authorization(settings: &HttpSource) -> anyhow::Result<Option<HeaderValue>> {
    let text = |file: &Path, name: &str| {
        let bytes = read(name, file)?;
        let text = String::from_utf8(bytes).with_context(|| format!("{name}: is no text"))?;
        anyhow::ensure!(!text.trim().is_empty(), "{name}: {} is empty", file.display());
        Ok(text.trim().to_owned())
    };
    let token = match (&settings.token, &settings.token_file) {
        (Some(token), _) => Some(token.expose_secret().to_owned()),
        (None, Some(file)) => Some(text(file, "token_file")?),
        (None, None) => None,
    };
    let Some(basic) = &settings.basic else {
        return token.map(|token| secret(&format!("Bearer {token}")).context("token")).transpose();
    };
    anyhow::ensure!(token.is_none(), "basic and token: one of them");
    anyhow::ensure!(!basic.username.contains(':'), "basic.username: cannot hold a colon");
    let password = match (&basic.password, &basic.password_file) {
        (Some(password), _) => password.expose_secret().to_owned(),
        (None, Some(file)) => text(file, "basic.password_file")?,
        (None, None) => anyhow::bail!("basic: it has no password"),
    };
    let pair = STANDARD.encode(format!("{}:{password}", basic.username));
    secret(&format!("Basic {pair}")).context("basic").map(Some)
}

fn secret(value: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).context("not a header value")?;
    value.set_sensitive(true);
    Ok(value)
}

fn unavailable(error: &reqwest::Error) -> Error {
    let mut text = if error.is_connect() { "cannot connect" } else { "no answer" }.to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::Unavailable(text)
}

/// Percent-encodes everything but unreserved characters, so that requests in reports can be pasted.
pub(super) fn encode(value: &str) -> String {
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

/// A value between double quotes in PromQL or LogQL, quotes included. Both read Go's string escapes.
pub(crate) fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `{namespace="shop",pod="a"}`: equality matchers only, values always quoted here.
pub(super) fn matchers(labels: &[(&str, &str)]) -> String {
    let each = labels.iter().map(|(key, value)| format!("{key}={}", quote(value)));
    format!("{{{}}}", each.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads Go's double-quoted string, as Prometheus and Loki do.
    fn unquote(text: &str) -> Option<String> {
        let mut chars = text.strip_prefix('"')?.chars();
        let mut value = String::new();
        loop {
            match chars.next()? {
                '"' => return chars.next().is_none().then_some(value),
                '\\' => match chars.next()? {
                    'n' => value.push('\n'),
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        value.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    c @ ('"' | '\\') => value.push(c),
                    _ => return None,
                },
                c if c.is_control() => return None,
                c => value.push(c),
            }
        }
    }

    proptest! {
        #[test]
        fn a_quoted_value_reads_back_as_itself(value in any::<String>()) {
            prop_assert_eq!(unquote(&quote(&value)), Some(value));
        }
    }

    #[test]
    fn a_label_value_cannot_leave_its_matcher() {
        let text = matchers(&[("pod", "x\"} or up{a=\"")]);
        assert_eq!(text, r#"{pod="x\"} or up{a=\""}"#);
        assert_eq!(encode("app=a,b c"), "app%3Da%2Cb%20c");
    }
}
