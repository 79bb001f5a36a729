//! Settings become clients: each is built once, here. A setting that cannot work is an error that names it; nobody
//! is asked for more than a connection needs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use tokio::sync::watch;

use super::clusters::Clusters;
use crate::evidence::{Fleet, Sources};
use crate::investigation::store as investigations;
use crate::investigator::Reasoner;
use crate::llm::{self, Ladder};
use crate::mcp as agents;
use crate::policy::Policies;
use crate::postgres;
use crate::reconcile::Peer;
use crate::runbook::{Catalogue, Pulled, Repository};
use crate::settings::{self, Settings};
use crate::slack;
use crate::source::alertmanager::Alertmanager;
use crate::tool::mcp;
use crate::tool::memory::PastInvestigations;
use crate::tool::{self, Tool};

/// A connection that is not done by then is cut: the answer would be for nobody.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest tags of languages that are in use have about half of it.
const MAX_LANGUAGE_BYTES: usize = 35;

/// One TLS provider for the whole process; a second call finds it installed.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The one HTTP client for everything but Kubernetes. It follows no redirect: a configured address is the
/// only place that is asked.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("whodunit/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("no HTTP client")
}

/// What asks the models, over the tools of everything that is configured; None without a model. `pool` is for
/// what earlier investigations found.
///
/// # Errors
/// A model's setting that cannot work, by its name.
pub fn reasoner(
    settings: &Settings,
    clusters: &Clusters,
    http: &reqwest::Client,
    pool: Option<&PgPool>,
) -> anyhow::Result<Option<Reasoner>> {
    let ladder = Ladder::new(llm::connect(&settings.models, http)?);
    if ladder.is_empty() {
        tracing::info!("no models: what no signature explains ends inconclusive");
        return Ok(None);
    }
    let (mut tools, mut by_cluster): (Vec<Arc<dyn Tool>>, _) = (Vec::new(), BTreeMap::new());
    match &clusters.fleet {
        Fleet::One(sources) => tools.extend(tools_of(sources)),
        Fleet::Many(many) => {
            for (name, sources) in many {
                by_cluster.insert(name.clone(), tools_of(sources));
            }
        }
    }
    if let Some(pool) = pool {
        let pool = pool.clone();
        tools.push(Arc::new(PastInvestigations::new(Arc::new(move |query| {
            let pool = pool.clone();
            Box::pin(
                async move { investigations::past(&pool, &query).await.map_err(|error| error.to_string()) },
            )
        }))));
    }
    let (agent, language) = (settings.agent.clone(), language(&settings.report)?.to_owned());
    let (mcp, policies) = (mcp_servers(settings, http)?, policies(settings)?);
    Ok(Some(Reasoner { ladder, tools, by_cluster, mcp, settings: agent, policies, language }))
}

/// What a model, or an engineer's agent, may ask of one cluster.
pub(super) fn tools_of(sources: &Sources) -> Vec<Arc<dyn Tool>> {
    let kubernetes = sources.kubernetes.iter().flat_map(tool::kubernetes::tools);
    let prometheus = sources.prometheus.iter().flat_map(tool::prometheus::tools);
    let loki = sources.loki.iter().flat_map(tool::loki::tools);
    let tempo = sources.tempo.iter().flat_map(tool::tempo::tools);
    kubernetes.chain(prometheus).chain(loki).chain(tempo).map(Arc::from).collect()
}

/// What engineers' agents may read of the live systems.
pub(super) fn for_agents(settings: &Settings, clusters: &Clusters) -> agents::Clusters {
    let deadline = Duration::from_secs(settings.agent.tool_secs);
    let each = clusters.each().map(|(name, sources)| {
        let tools = tools_of(sources);
        agents::Cluster::new(tools, sources.kubernetes.clone(), name, deadline)
    });
    agents::Clusters::new(each.collect())
}

/// What is done about which alerts.
///
/// # Errors
/// A policy or quota that cannot work, by its place.
pub fn policies(settings: &Settings) -> anyhow::Result<Arc<Policies>> {
    Ok(Arc::new(Policies::new(settings)?))
}

/// The servers of `mcp_servers`, not yet spoken to.
///
/// # Errors
/// A setting that cannot work, by server and name.
pub fn mcp_servers(settings: &Settings, http: &reqwest::Client) -> anyhow::Result<Arc<mcp::Servers>> {
    Ok(Arc::new(mcp::Servers::new(&settings.mcp_servers, http)?))
}

/// The Alertmanagers of `alertmanagers`, not yet spoken to.
///
/// # Errors
/// An address or header that is none.
pub(super) fn peers(settings: &Settings, http: &reqwest::Client) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for one in &settings.alertmanagers {
        let built = Alertmanager::new(http.clone(), &one.source());
        let alertmanager = built.with_context(|| format!("setting alertmanagers: {}", one.url))?;
        let every = Duration::from_secs(one.every_secs.max(1));
        let (receivers, cluster) = (one.receivers.clone(), one.cluster.clone());
        let peer = |alertmanager| Peer { alertmanager, receivers, cluster, every };
        peers.extend(alertmanager.map(peer));
    }
    Ok(peers)
}

pub(super) fn slack_client(
    settings: &settings::Slack,
    policies: &Policies,
    http: &reqwest::Client,
) -> anyhow::Result<Option<slack::Client>> {
    let Some(token) = secret("slack.token", &settings.token, settings.token_file.as_deref())? else {
        tracing::info!("no slack.token: summaries go to the log and the API only");
        return Ok(None);
    };
    let timeout = Duration::from_secs(settings.timeout_secs);
    let client = slack::Client::new(http.clone(), &settings.api_url, token, timeout);
    let pace = Duration::from_millis(settings.pace_ms);
    let mut channels = routes(settings)?.channels();
    channels.extend(policies.channels().map(str::to_owned));
    let client = client.with_pace(pace).with_channels(channels);
    Ok(Some(client.with_thread_match(settings.thread_match)))
}

/// The language that people read: it stands in what a model is told, so it is a tag and nothing else.
///
/// # Errors
/// What is none.
pub fn language(settings: &settings::Report) -> anyhow::Result<&str> {
    let tag = settings.language.as_str();
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_tag = tag.len() <= MAX_LANGUAGE_BYTES && tag.split('-').all(part);
    anyhow::ensure!(is_tag, "report.language: `{tag}` is no language's tag; write one as in en, ko or pt-BR");
    Ok(tag)
}

/// Which channel an incident goes to.
///
/// # Errors
/// A route that cannot work, by its place.
pub(super) fn routes(settings: &settings::Slack) -> anyhow::Result<slack::Routes> {
    Ok(slack::Routes::new(settings)?)
}

/// Slack's way back to us.
pub(super) struct WaysBack {
    pub(super) signing_secret: Option<SecretString>,
    pub(super) app_token: Option<SecretString>,
}

impl WaysBack {
    /// # Errors
    /// A file that cannot be read, a token of another kind.
    pub(super) fn new(settings: &settings::Slack) -> anyhow::Result<Self> {
        let file = settings.signing_secret_file.as_deref();
        let signing_secret = secret("slack.signing_secret", &settings.signing_secret, file)?;
        let app_token = secret("slack.app_token", &settings.app_token, settings.app_token_file.as_deref())?;
        let is_app = |token: &SecretString| token.expose_secret().starts_with("xapp-");
        anyhow::ensure!(
            app_token.as_ref().is_none_or(is_app),
            "slack.app_token: this is no app-level token; they begin with xapp-"
        );
        Ok(Self { signing_secret, app_token })
    }

    pub(super) fn is_any(&self) -> bool {
        self.signing_secret.is_some() || self.app_token.is_some()
    }
}

/// A secret by itself or by its file; the first wins. An empty one is a mistake.
pub(super) fn secret(
    name: &str,
    given: &Option<SecretString>,
    file: Option<&std::path::Path>,
) -> anyhow::Result<Option<SecretString>> {
    let found = match (given, file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{name}_file: cannot read {}", file.display()))?;
            SecretString::from(text.trim().to_owned())
        }
        (None, None) => return Ok(None),
    };
    anyhow::ensure!(!found.expose_secret().is_empty(), "{name}: is empty");
    Ok(Some(found))
}

/// How long a bot's message is waited for before an incident's own is posted.
pub(super) fn thread_wait(settings: &settings::Slack) -> Option<Duration> {
    let wait = Duration::from_secs(settings.thread_wait_secs);
    (settings.thread_match != settings::ThreadMatch::Off).then_some(wait)
}

/// The repository that runbooks are pulled from, with what an earlier process left on disk. None is configured: None.
///
/// # Errors
/// A setting that cannot work, by its name; no usable `git`.
pub async fn repository(settings: &Settings) -> anyhow::Result<Option<Repository>> {
    Repository::open(&settings.runbooks.git, &postgres::data_dir(&settings.database)).await
}

/// All runbooks as `serve` begins with them, where news of the repository arrive, and what brings it.
///
/// # Errors
/// As `repository`.
pub(super) async fn runbooks(
    settings: &Settings,
) -> anyhow::Result<(Catalogue, watch::Receiver<Pulled>, Option<Repository>)> {
    let mut repository = repository(settings).await?;
    if let Some(repository) = repository.as_mut().filter(|one| one.pulled().snapshot.is_none()) {
        // The first start: without it the first investigations would know no runbook of the repository.
        repository.pull().await;
    }
    // Without a repository nobody sends.
    let pulled = repository
        .as_ref()
        .map_or_else(|| watch::channel(Pulled::default()).1, |repository| repository.news());
    let snapshot = pulled.borrow().snapshot.clone();
    Ok((usable(Catalogue::with(&settings.runbooks, snapshot)), pulled, repository))
}

/// All runbooks for one use, those of the repository pulled now. What is wrong with some is in the log.
///
/// # Errors
/// As `repository`.
pub async fn catalogue(settings: &Settings) -> anyhow::Result<Catalogue> {
    let mut repository = repository(settings).await?;
    if let Some(repository) = &mut repository {
        repository.pull().await;
    }
    let snapshot = repository.and_then(|repository| repository.pulled().snapshot);
    Ok(usable(Catalogue::with(&settings.runbooks, snapshot)))
}

fn usable(catalogue: Catalogue) -> Catalogue {
    for fault in catalogue.faults() {
        tracing::warn!(%fault, "a runbook is not usable");
    }
    catalogue
}
