//! An outlet of the settings, with its secrets read, becomes one that can be told something, or an error that names it
//! and shows no secret. It speaks to nobody.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::keys::Keys;
use super::{Kind, Outlet, Topic};
use crate::incident::selector::Selector;
use crate::settings::{self, OutletKind};

/// A name stands in metrics and in the database.
const MAX_NAME_BYTES: usize = 40;
/// The longest that one request may take, whatever is configured: a dead process's delivery is free no sooner.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// An outlet that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("outlets[{at}]: {why}")]
pub struct BadOutlet {
    at: usize,
    why: String,
}

impl BadOutlet {
    pub fn new(at: usize, why: String) -> Self {
        Self { at, why }
    }
}

impl Outlet {
    /// `at` is its place in the settings; `url` and `secrets` are what it names, or what the files hold that it names.
    ///
    /// # Errors
    /// What keeps it from working.
    pub fn new(
        at: usize,
        settings: &settings::Outlet,
        url: Option<SecretString>,
        secrets: &[SecretString],
    ) -> Result<Self, BadOutlet> {
        let bad = |why: &str| BadOutlet::new(at, why.to_owned());
        let name = settings.name.as_str();
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(known) {
            return Err(bad("its name is made of a-z, 0-9 and -, 40 at most"));
        }
        let url = url.ok_or_else(|| bad("it has no url and no url_file"))?;
        let parsed = Url::parse(url.expose_secret().trim()).ok();
        let is_web = |url: &Url| matches!(url.scheme(), "https" | "http") && url.has_host();
        let url = parsed.filter(is_web).ok_or_else(|| bad("its url is no http(s) URL"))?;
        let kind = match settings.kind {
            OutletKind::Teams if secrets.is_empty() => Kind::Teams,
            OutletKind::Teams => return Err(bad("Teams knows no secrets; its URL is one")),
            OutletKind::Webhook => {
                Kind::Webhook(Keys::new(secrets).map_err(|why| BadOutlet::new(at, why.to_string()))?)
            }
        };
        let selector = Selector::new(&settings.matches).map_err(|why| BadOutlet::new(at, why))?;
        let timeout = Duration::from_secs(settings.timeout_secs.max(1)).min(MAX_TIMEOUT);
        let topics = topics(settings).map_err(|why| BadOutlet::new(at, why))?;
        Ok(Self { name: name.to_owned(), kind, selector, topics, url: url.to_string().into(), timeout })
    }
}

fn topics(settings: &settings::Outlet) -> Result<Vec<Topic>, String> {
    let all = || Topic::ALL.into_iter();
    if settings.events.is_empty() {
        return Ok(match settings.kind {
            // A card for every alert is what people already have elsewhere.
            OutletKind::Teams => all().filter(|topic| *topic != Topic::Opened).collect(),
            OutletKind::Webhook => all().collect(),
        });
    }
    let of = |name: &String| {
        let found = all().find(|topic| topic.as_str() == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = all().map(Topic::as_str).collect();
            format!("`{name}` is no event; they are {}", known.join(", "))
        })
    };
    settings.events.iter().map(of).collect()
}
