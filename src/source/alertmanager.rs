//! What an Alertmanager lists by itself: alerts that fire now, as bytes, and for how long it has been up. It
//! silences nothing and posts nothing.

use chrono::{DateTime, Utc};
use serde::Deserialize;

pub use super::http::Error;
use super::http::Server;
use crate::settings::HttpSource;

/// One Alertmanager, or the Service before several that gossip.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    server: Server,
    url: String,
}

#[derive(Deserialize)]
struct Status {
    /// When it started, in spite of its name.
    uptime: DateTime<Utc>,
}

impl Alertmanager {
    /// None without a `url`.
    ///
    /// # Errors
    /// An address or header that is none.
    pub fn new(http: reqwest::Client, settings: &HttpSource) -> anyhow::Result<Option<Self>> {
        let url = settings.url.clone().unwrap_or_default();
        Ok(Server::new(http, settings)?.map(|server| Self { server, url }))
    }

    /// The configured address, which tells it from others.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The answer to `GET /api/v2/alerts`: everything that fires, silenced and inhibited alerts too.
    ///
    /// # Errors
    /// No answer, or one that is too large.
    pub async fn alerts(&self) -> Result<Vec<u8>, Error> {
        Ok(self.server.get("/api/v2/alerts", &[]).await?.bytes)
    }

    /// When it started: shortly after, its list is not whole yet.
    ///
    /// # Errors
    /// No answer, or not one of an Alertmanager.
    pub async fn started_at(&self) -> Result<DateTime<Utc>, Error> {
        let body = self.server.get("/api/v2/status", &[]).await?;
        let status: Result<Status, _> = serde_json::from_slice(&body.bytes);
        status
            .map(|status| status.uptime)
            .map_err(|error| Error::Unavailable(format!("not an Alertmanager's status: {error}")))
    }
}
