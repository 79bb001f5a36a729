//! How a plain HTTP source is met: the settings' certificates, token, user and headers in, a client and the headers of
//! a request out. Files that change on disk are read again; what they held before goes on until they are whole. No
//! secret stands in an error.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::settings::HttpSource;

/// A connection that is not done by then is cut.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Files are looked at no more often, and only when something is asked.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What a request is made with.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub http: reqwest::Client,
    pub headers: HeaderMap,
}

#[derive(Debug)]
pub(super) struct Credentials {
    /// For those without certificates of their own.
    shared: reqwest::Client,
    settings: HttpSource,
    files: Vec<PathBuf>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    means: Means,
    stamps: Vec<Stamp>,
    looked_at: Instant,
    /// The last look found files that cannot be used; said once.
    faulty: bool,
}

/// What changes when a file is written or replaced. None: it is not there.
type Stamp = Option<(SystemTime, u64)>;

impl Credentials {
    /// # Errors
    /// A setting that cannot work, by its name.
    pub fn new(shared: reqwest::Client, settings: &HttpSource, now: Instant) -> anyhow::Result<Self> {
        let HttpSource { ca_file, cert_file, key_file, token_file, basic, .. } = settings;
        let password_file = basic.as_ref().and_then(|basic| basic.password_file.clone());
        let files = [ca_file.clone(), cert_file.clone(), key_file.clone(), token_file.clone(), password_file];
        let files: Vec<PathBuf> = files.into_iter().flatten().collect();
        // Before they are read: what is written in between is found by the next look.
        let stamps = stamps(&files);
        let means = means(&shared, settings)?;
        let current = Mutex::new(Current { means, stamps, looked_at: now, faulty: false });
        Ok(Self { shared, settings: settings.clone(), files, current })
    }

    /// Those of the files as they are now, or were a few seconds ago.
    pub fn current(&self, now: Instant) -> Means {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.files.is_empty() && now.duration_since(current.looked_at) >= LOOK_INTERVAL {
            current.looked_at = now;
            let stamps = stamps(&self.files);
            if stamps != current.stamps {
                self.renew(&mut current, stamps);
            }
        }
        current.means.clone()
    }

    /// A certificate and its key are two files: between the two writes they do not fit, and the next look tells.
    fn renew(&self, current: &mut Current, stamps: Vec<Stamp>) {
        let url = self.settings.url.as_deref().unwrap_or_default();
        match means(&self.shared, &self.settings) {
            Ok(means) => {
                tracing::info!(url, "the files of a source's credentials have changed; they are in force");
                (current.means, current.stamps, current.faulty) = (means, stamps, false);
            }
            Err(error) if !current.faulty => {
                let error = format!("{error:#}");
                tracing::warn!(
                    url,
                    error,
                    "the files of a source's credentials have changed and cannot be used"
                );
                current.faulty = true;
            }
            Err(_) => {}
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

fn means(shared: &reqwest::Client, settings: &HttpSource) -> anyhow::Result<Means> {
    let http = own_tls(shared, settings)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let key: HeaderName = name.parse().with_context(|| format!("not a header name: {name}"))?;
        headers.insert(key, secret(value.expose_secret()).with_context(|| format!("header {name}"))?);
    }
    if let Some(authorization) = authorization(settings)? {
        headers.insert(AUTHORIZATION, authorization);
    }
    Ok(Means { http, headers })
}

/// A client of its own where certificates are its own.
fn own_tls(shared: &reqwest::Client, settings: &HttpSource) -> anyhow::Result<reqwest::Client> {
    let HttpSource { ca_file, cert_file, key_file, .. } = settings;
    if ca_file.is_none() && cert_file.is_none() && key_file.is_none() {
        return Ok(shared.clone());
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
    builder.build().context("no HTTP client with ca_file, cert_file and key_file")
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
