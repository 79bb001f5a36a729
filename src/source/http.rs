//! What the plain HTTP sources share: one GET with a deadline and a bound on the answer, and the encoding
//! of values that come from labels. It never follows what an answer says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use tokio::sync::Semaphore;

use super::circuit::{Circuit, Standing};
use super::credentials::Credentials;
use super::tls;
use crate::settings::HttpSource;

const BYTES_A_MIB: usize = 1024 * 1024;
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

/// One server: base address, credentials, deadline.
#[derive(Debug, Clone)]
pub(super) struct Server {
    base: String,
    credentials: Arc<Credentials>,
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
        let credentials = Arc::new(Credentials::new(http, settings, Instant::now())?);
        let timeout = Duration::from_secs(settings.timeout_secs.max(1));
        let turns = Arc::new(Semaphore::new(settings.max_in_flight.max(1)));
        let max_answer_bytes = settings.max_answer_mib.max(1).saturating_mul(BYTES_A_MIB);
        let (base, circuit) = (url.trim_end_matches('/').to_owned(), Circuit::default());
        Ok(Some(Self { base, credentials, timeout, turns, max_answer_bytes, circuit }))
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
        let means = self.credentials.current(Instant::now());
        let request = means.http.get(format!("{}{path}", self.base)).headers(means.headers);
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
        let which = match status.as_u16() {
            401 => " (what token, basic, headers or cert_file say of us is not accepted)",
            _ => "",
        };
        Err(Error::Unavailable(format!("HTTP {}{which}: {message}", status.as_u16())))
    }
}

fn unavailable(error: &reqwest::Error) -> Error {
    let mut text = if error.is_connect() { "cannot connect" } else { "no answer" }.to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    if let Some(hint) = tls::hint(error) {
        text = format!("{text} ({hint})");
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
