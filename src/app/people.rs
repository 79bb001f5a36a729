//! How incidents are told to people, and how people reach us in return: settings become an audience, and the doors of
//! `interact`. It speaks to nobody.

use std::sync::Arc;

use axum::Router;
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::build::{WaysBack, language, policies, routes, thread_wait};
use crate::announce::Audience;
use crate::interact::{self, Interact};
use crate::investigator::Investigator;
use crate::settings::Settings;
use crate::slack::{self, words::Words};

/// Whom incidents are told to.
///
/// # Errors
/// A setting of Slack or the report that cannot work.
pub(super) fn audience(settings: &Settings, investigator: &Investigator) -> anyhow::Result<Audience> {
    Ok(Audience {
        routes: Arc::new(routes(&settings.slack)?),
        policies: policies(settings)?,
        runbooks: investigator.runbooks(),
        public_url: settings.server.public_url.clone(),
        thread_wait: thread_wait(&settings.slack),
        words: Words::of(language(&settings.report)?),
        has_buttons: WaysBack::new(&settings.slack)?.is_any(),
    })
}

/// The ways by which people reach us; none without Slack.
pub(super) struct Doors {
    interact: Option<Arc<Interact>>,
    signing_secret: Option<SecretString>,
    app_token: Option<SecretString>,
}

impl Doors {
    /// # Errors
    /// A setting of Slack or the report that cannot work.
    pub(super) fn new(
        settings: &Settings,
        slack: Option<&slack::Client>,
        pool: &PgPool,
        investigator: &Arc<Investigator>,
        wake: &Arc<Notify>,
    ) -> anyhow::Result<Self> {
        let WaysBack { signing_secret, app_token } = WaysBack::new(&settings.slack)?;
        let to = (Words::of(language(&settings.report)?), settings.server.public_url.clone());
        let interact = slack.map(|client| {
            let (means, investigator) = ((pool.clone(), client.clone()), Arc::clone(investigator));
            Arc::new(Interact::new(means, investigator, to, Arc::clone(wake)))
        });
        Ok(Self { interact, signing_secret, app_token })
    }

    /// Over HTTP, where there is a secret to know Slack by.
    pub(super) fn router(&self) -> Router {
        match (&self.interact, &self.signing_secret) {
            (Some(interact), Some(secret)) => interact::router(Arc::clone(interact), secret.clone()),
            _ => Router::new(),
        }
    }

    /// Over Socket Mode, where there is a token for it.
    pub(super) fn socket(self, shutdown: &CancellationToken) -> Option<JoinHandle<()>> {
        let (interact, token) = (self.interact?, self.app_token?);
        Some(tokio::spawn(interact::run_socket(interact, token, shutdown.clone())))
    }
}
