//! AWS credentials where none are in the settings: the places that AWS's own clients look in, in their order.
//! The first place that is configured decides; a refusal there never falls back to the rights of a later one.
//! Kept until shortly before they end; never written, shown or logged.

mod answer;
mod container;
mod instance;
mod profile;
mod web_identity;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_credential_types::Credentials;
use chrono::{DateTime, Utc};
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use super::Fault;

/// The environment, as a function.
pub(super) type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// New credentials are fetched this long before the old ones end.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long credentials are kept that came over HTTP without saying when they end.
const UNDATED_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Deadline of one place.
const STEP_DEADLINE: Duration = Duration::from_secs(5);
/// How long it may take to find out whether a metadata service is there: it is on the same host.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest file with credentials or a token, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Where the services are that hand out credentials.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    /// Unset: the region's own.
    pub sts: Option<String>,
    /// Base of a container's relative addresses.
    pub container: String,
    pub instance: String,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            sts: None,
            container: "http://169.254.170.2".to_owned(),
            instance: "http://169.254.169.254".to_owned(),
        }
    }
}

/// The chain with what it last found.
pub(super) struct Chain {
    /// For the open network.
    http: reqwest::Client,
    /// For metadata services: past any proxy.
    local: reqwest::Client,
    lookup: Lookup,
    region: String,
    endpoints: Endpoints,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    credentials: Credentials,
    ends: SystemTime,
}

/// What one place said.
enum Step {
    Found(Credentials),
    /// Nothing is configured there: why, in a few words.
    Absent(String),
}

/// Why a place that is configured gave nothing.
#[derive(Debug)]
struct Failed {
    reason: String,
    /// It may do so later.
    transient: bool,
}

impl Failed {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: false }
    }

    fn transient(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: true }
    }
}

/// No credentials, with each place that was looked in.
#[derive(Debug)]
pub(super) struct Missing {
    tried: Vec<(&'static str, String)>,
    transient: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.tried.iter().map(|(place, reason)| format!("{place}: {reason}"));
        write!(f, "no AWS credentials; tried {}", each.collect::<Vec<_>>().join("; "))
    }
}

impl Missing {
    pub fn fault(&self) -> Fault {
        let detail = self.to_string();
        if self.transient {
            Fault::Transient { detail, retry_after: None }
        } else {
            Fault::Unusable { detail }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Environment,
    Profile,
    WebIdentity,
    Container,
    Instance,
}

impl Place {
    const ALL: [Self; 5] =
        [Self::Environment, Self::Profile, Self::WebIdentity, Self::Container, Self::Instance];

    fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Profile => "profile files",
            Self::WebIdentity => "web identity",
            Self::Container => "container",
            Self::Instance => "instance metadata",
        }
    }
}

impl Chain {
    pub fn new(
        http: reqwest::Client,
        lookup: Lookup,
        region: &str,
        endpoints: Endpoints,
    ) -> anyhow::Result<Self> {
        let local = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(LOCAL_TIMEOUT)
            .timeout(STEP_DEADLINE)
            .build()
            .context("no HTTP client for credentials")?;
        let kept = Mutex::new(None);
        Ok(Self { http, local, lookup, region: region.to_owned(), endpoints, kept })
    }

    /// Credentials that are good at `now`. One caller fetches, the others wait for it.
    pub async fn credentials(&self, now: DateTime<Utc>) -> Result<Credentials, Missing> {
        let now = SystemTime::from(now);
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.ends > now + REFRESH_BEFORE) {
            return Ok(kept.credentials.clone());
        }
        match self.fetch().await {
            Ok((credentials, place)) => {
                *kept = match (credentials.expiry(), place) {
                    (Some(ends), _) => Some(Kept { credentials: credentials.clone(), ends }),
                    // Read anew each time, so that they can be rotated.
                    (None, Place::Environment | Place::Profile) => None,
                    (None, _) => {
                        let ends = now + UNDATED_LIFETIME + REFRESH_BEFORE;
                        Some(Kept { credentials: credentials.clone(), ends })
                    }
                };
                Ok(credentials)
            }
            // What is about to end is still good.
            Err(missing) => match kept.as_ref().filter(|kept| kept.ends > now) {
                Some(kept) => Ok(kept.credentials.clone()),
                None => Err(missing),
            },
        }
    }

    /// Drops what is kept, which AWS calls expired. False when there was nothing that could be fetched anew.
    pub async fn forget(&self) -> bool {
        self.kept.lock().await.take().is_some()
    }

    async fn fetch(&self) -> Result<(Credentials, Place), Missing> {
        let mut tried = Vec::new();
        for place in Place::ALL {
            let step = tokio::time::timeout(STEP_DEADLINE, self.ask(place)).await;
            let late =
                |_elapsed| Failed::transient(format!("no answer within {} s", STEP_DEADLINE.as_secs()));
            match step.map_err(late).and_then(|step| step) {
                Ok(Step::Found(credentials)) => return Ok((credentials, place)),
                Ok(Step::Absent(reason)) => tried.push((place.name(), reason)),
                Err(Failed { reason, transient }) => {
                    tried.push((place.name(), reason));
                    return Err(Missing { tried, transient });
                }
            }
        }
        Err(Missing { tried, transient: false })
    }

    async fn ask(&self, place: Place) -> Result<Step, Failed> {
        match place {
            Place::Environment => self.environment(),
            Place::Profile => profile::credentials(self).await,
            Place::WebIdentity => web_identity::credentials(self).await,
            Place::Container => container::credentials(self).await,
            Place::Instance => instance::credentials(self).await,
        }
    }

    fn environment(&self) -> Result<Step, Failed> {
        match (self.variable("AWS_ACCESS_KEY_ID"), self.variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let token = self.variable("AWS_SESSION_TOKEN");
                Ok(Step::Found(Credentials::new(id, secret, token, None, "environment")))
            }
            (None, None) => Ok(Step::Absent("AWS_ACCESS_KEY_ID is not set".to_owned())),
            (Some(_), None) => Err(Failed::new("AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => Err(Failed::new("AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID")),
        }
    }

    /// An empty variable is none.
    fn variable(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }
}

/// A file's text; None when there is no such file.
async fn read(path: &str) -> Result<Option<String>, Failed> {
    let fault = |error: std::io::Error| Failed::new(format!("cannot read {path}: {error}"));
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    let mut text = String::new();
    let length = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).await.map_err(fault)?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(Failed::new(format!("{path} is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(Some(text))
}
