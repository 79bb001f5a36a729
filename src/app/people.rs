//! How incidents are told to people, and how people reach us in return: settings become an audience, and the doors of
//! `interact`. It speaks to nobody.

use std::sync::Arc;

use axum::Router;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::build::{WaysBack, language, routes, secret, thread_wait};
use crate::announce::{Audience, Common, Receivers, Thread};
use crate::interact::{self, Interact};
use crate::investigator::Investigator;
use crate::outlet::{Outlet, Outlets};
use crate::policy::Policies;
use crate::settings::Settings;
use crate::slack;
use crate::words::Words;

/// Whom incidents are told to; None: nobody.
///
/// # Errors
/// A setting of Slack or the report that cannot work.
pub(super) fn audience(
    settings: &Settings,
    investigator: &Investigator,
    slack: Option<&slack::Client>,
    outlets: &Arc<Outlets>,
    policies: &watch::Receiver<Arc<Policies>>,
) -> anyhow::Result<Option<Audience>> {
    let common = Common {
        runbooks: investigator.catalogues(),
        public_url: settings.server.public_url.clone(),
        words: Words::of(language(&settings.report)?),
    };
    let thread = || -> anyhow::Result<Thread> {
        Ok(Thread {
            routes: Arc::new(routes(&settings.slack)?),
            policies: policies.clone(),
            thread_wait: thread_wait(&settings.slack),
            has_buttons: WaysBack::new(&settings.slack)?.is_any(),
            common: common.clone(),
        })
    };
    let thread = slack.map(|_| thread()).transpose()?;
    let receivers =
        (!outlets.is_empty()).then(|| Receivers { outlets: Arc::clone(outlets), common: common.clone() });
    let anybody = thread.is_some() || receivers.is_some();
    Ok(anybody.then_some(Audience { thread, receivers }))
}

/// Who is told beside Slack.
///
/// # Errors
/// One that cannot work, by its place, or a file that cannot be read.
pub(super) fn outlets(settings: &Settings) -> anyhow::Result<Outlets> {
    let mut all = Vec::new();
    for (at, one) in settings.outlets.iter().enumerate() {
        let name = format!("outlets[{at}]");
        let url = secret(&format!("{name}.url"), &one.url, one.url_file.as_deref())?;
        let mut secrets = one.secrets.clone();
        if let Some(lines) = secret(&format!("{name}.secrets"), &None, one.secrets_file.as_deref())? {
            let lines = lines.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
            secrets.extend(lines.map(SecretString::from));
        }
        all.push(Outlet::new(at, one, url, &secrets)?);
    }
    Ok(Outlets::new(all)?)
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
