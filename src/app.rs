//! The composition root: settings become clients, clients become rooms, rooms become one running service.
//! Nothing else builds a client.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::error_handling::HandleErrorLayer;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::announce::Audience;
use crate::api::{self, ApiState, Ready};
use crate::evidence::Sources;
use crate::incident::decide::Rules;
use crate::incident::resolve::Resolver;
use crate::intake::{self, Intake};
use crate::investigation::store as investigations;
use crate::investigator::{Investigator, Reasoner};
use crate::llm::{self, Ladder};
use crate::postgres::{self, Database};
use crate::runbook::Catalogue;
use crate::settings::{self, Settings};
use crate::slack;
use crate::source::kubernetes;
use crate::source::{loki::Loki, prometheus::Prometheus, tempo::Tempo};
use crate::telemetry;
use crate::tool::mcp;
use crate::tool::memory::PastInvestigations;
use crate::tool::{self, Tool};
use crate::webhook::Guard;
use crate::worker::Worker;

/// A connection that is not done by then is cut: the answer would be for nobody.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Part of the drain that open HTTP requests get.
const HTTP_DRAIN: Duration = Duration::from_secs(5);

/// The running service.
pub struct App {
    pub address: SocketAddr,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    database: Database,
}

impl App {
    /// Opens the database, connects the sources and starts intake, workers, outbox and API on `listener`.
    ///
    /// # Errors
    /// Whatever keeps the service from running, with the way out.
    pub async fn start(
        settings: Settings,
        listener: TcpListener,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        install_tls();
        let http = http_client()?;
        let sources = sources(&settings, &http).await?;
        let resolver = resolver(&settings, &sources);
        let catalogue = Catalogue::load(&settings.runbooks);
        for fault in catalogue.faults() {
            tracing::warn!(%fault, "a runbook is not usable");
        }
        let slack = slack_client(&settings.slack, &http)?;
        let rules = Rules::new(&settings.intake)?;
        let guards =
            [&settings.webhooks.alertmanager, &settings.webhooks.robusta, &settings.webhooks.grafana];
        let [alertmanager, robusta, grafana] = guards.map(Guard::new);
        let tokens = api_tokens(&settings.api)?;
        let database = Database::open(&settings.database).await?;
        let reasoner = reasoner(&settings, &sources, &http, Some(&database.pool))?;
        let mcp = reasoner.as_ref().map(|reasoner| Arc::clone(&reasoner.mcp)).unwrap_or_default();
        let investigator = Arc::new(Investigator::new(sources, catalogue, reasoner));
        let audience = slack.as_ref().map(|_| Audience {
            channel: settings.slack.channel.clone(),
            public_url: settings.server.public_url.clone(),
        });
        let wake = Arc::new(Notify::new());
        let shutdown = CancellationToken::new();
        let intake = Arc::new(Intake {
            pool: database.pool.clone(),
            rules,
            alertmanager: alertmanager?,
            robusta: robusta?,
            grafana: grafana?,
            resolver: resolver.clone(),
            resolve_deadline: Duration::from_millis(settings.intake.resolve_ms),
            audience: audience.clone(),
            wake: Arc::clone(&wake),
        });
        let worker = Arc::new(Worker {
            pool: database.pool.clone(),
            settings: settings.worker.clone(),
            stale_after: Duration::from_secs(settings.intake.stale_after_secs),
            investigator: Arc::clone(&investigator),
            resolver,
            audience,
            wake: Arc::clone(&wake),
            name: worker_name(),
        });
        let state = ApiState {
            pool: database.pool.clone(),
            tokens: tokens.into(),
            ready: ready(&shutdown, &investigator, slack.as_ref()),
            metrics: metrics.clone(),
            wake: Arc::clone(&wake),
        };
        let router =
            admitted(intake::router(intake), settings.server.max_in_flight).merge(api::router(state));
        let address = listener.local_addr()?;
        let drain = Duration::from_secs(settings.server.drain_secs);
        let mut tasks = vec![
            tokio::spawn(serve(listener, router, shutdown.clone())),
            tokio::spawn(postgres::listen(database.pool.clone(), Arc::clone(&wake), shutdown.clone())),
            tokio::spawn(worker.run(shutdown.clone(), drain)),
            tokio::spawn(investigator.keep_runbooks_fresh(shutdown.clone())),
            tokio::spawn(mcp.keep_fresh(shutdown.clone())),
            tokio::spawn(telemetry::upkeep(metrics, shutdown.clone())),
        ];
        if let Some(client) = slack {
            tasks.push(tokio::spawn(slack::run(database.pool.clone(), client, wake, shutdown.clone())));
        }
        Ok(Self { address, shutdown, tasks, database })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops taking in, lets running work end, closes the database.
    pub async fn stop(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the service ended badly");
            }
        }
        self.database.close().await;
    }
}

/// Beyond `max_in_flight` requests at once senders hear 503 at once, instead of waiting in line.
fn admitted(router: Router, max_in_flight: usize) -> Router {
    let overloaded =
        |_: tower::BoxError| async { intake::unavailable("too many requests at once; send it again") };
    router.layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(overloaded))
            .load_shed()
            .concurrency_limit(max_in_flight.max(1)),
    )
}

async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let stop = shutdown.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    let cut = async {
        shutdown.cancelled().await;
        // A half-open connection must not hold the drain.
        tokio::time::sleep(HTTP_DRAIN).await;
    };
    tokio::select! {
        ended = server.into_future() => if let Err(error) = ended {
            tracing::error!(%error, "the HTTP server ended");
        },
        () = cut => {}
    }
}

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

/// Connects what is configured. A cluster that is away now is asked again by each investigation.
///
/// # Errors
/// Settings that cannot work: a file that is missing, an address that is none.
pub async fn sources(settings: &Settings, http: &reqwest::Client) -> anyhow::Result<Sources> {
    let kubernetes = if settings.kubernetes.enabled {
        let client = kubernetes::Client::connect(&settings.kubernetes).await;
        Some(client.context(
            "no way to a Kubernetes cluster; set kubernetes.url, run inside a cluster, or set kubernetes.enabled: false",
        )?)
    } else {
        None
    };
    Ok(Sources {
        kubernetes,
        prometheus: Prometheus::new(http.clone(), &settings.prometheus).context("setting prometheus")?,
        loki: Loki::new(http.clone(), &settings.loki).context("setting loki")?,
        log_tail_lines: settings.kubernetes.log_tail_lines,
    })
}

/// What asks the models, over the tools of everything that is configured; None without a model. `pool` is for
/// what earlier investigations found.
///
/// # Errors
/// A model's setting that cannot work, by its name.
pub fn reasoner(
    settings: &Settings,
    sources: &Sources,
    http: &reqwest::Client,
    pool: Option<&PgPool>,
) -> anyhow::Result<Option<Reasoner>> {
    let ladder = Ladder::new(llm::connect(&settings.models, http)?);
    if ladder.is_empty() {
        tracing::info!("no models: what no signature explains ends inconclusive");
        return Ok(None);
    }
    let tempo = Tempo::new(http.clone(), &settings.tempo).context("setting tempo")?;
    let mut tools: Vec<Box<dyn Tool>> = Vec::new();
    tools.extend(sources.kubernetes.iter().flat_map(tool::kubernetes::tools));
    tools.extend(sources.prometheus.iter().flat_map(tool::prometheus::tools));
    tools.extend(sources.loki.iter().flat_map(tool::loki::tools));
    tools.extend(tempo.iter().flat_map(tool::tempo::tools));
    if let Some(pool) = pool {
        let pool = pool.clone();
        tools.push(Box::new(PastInvestigations::new(Arc::new(move |query| {
            let pool = pool.clone();
            Box::pin(
                async move { investigations::past(&pool, &query).await.map_err(|error| error.to_string()) },
            )
        }))));
    }
    let tools = tools.into_iter().map(Arc::from).collect();
    Ok(Some(Reasoner { ladder, tools, mcp: mcp_servers(settings, http)?, settings: settings.agent.clone() }))
}

/// The servers of `mcp_servers`, not yet spoken to.
///
/// # Errors
/// A setting that cannot work, by server and name.
pub fn mcp_servers(settings: &Settings, http: &reqwest::Client) -> anyhow::Result<Arc<mcp::Servers>> {
    Ok(Arc::new(mcp::Servers::new(&settings.mcp_servers, http)?))
}

/// Builds everything that `serve` would, without speaking to anyone: what is wrong shows before a deploy.
///
/// # Errors
/// The first setting that cannot work.
pub async fn check(settings: &Settings) -> anyhow::Result<()> {
    install_tls();
    let http = http_client()?;
    let mut elsewhere = settings.clone();
    // Whether a cluster is at hand depends on where it runs, which is seldom where settings are checked.
    elsewhere.kubernetes.enabled &= settings.kubernetes.url.is_some();
    let sources = sources(&elsewhere, &http).await?;
    reasoner(settings, &sources, &http, None)?;
    mcp_servers(settings, &http)?;
    slack_client(&settings.slack, &http)?;
    api_tokens(&settings.api)?;
    Rules::new(&settings.intake)?;
    for guard in [&settings.webhooks.alertmanager, &settings.webhooks.robusta, &settings.webhooks.grafana] {
        Guard::new(guard)?;
    }
    let catalogue = Catalogue::load(&settings.runbooks);
    let faults: Vec<String> = catalogue.faults().iter().map(ToString::to_string).collect();
    anyhow::ensure!(faults.is_empty(), "runbooks have faults:\n{}", faults.join("\n"));
    Ok(())
}

pub fn resolver(settings: &Settings, sources: &Sources) -> Resolver {
    Resolver {
        cluster: settings.kubernetes.cluster.clone(),
        kubernetes: sources.kubernetes.clone(),
        prometheus: sources.prometheus.clone(),
    }
}

fn slack_client(settings: &settings::Slack, http: &reqwest::Client) -> anyhow::Result<Option<slack::Client>> {
    let token = match (&settings.token, &settings.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("slack.token_file: cannot read {}", file.display()))?;
            SecretString::from(text.trim().to_owned())
        }
        (None, None) => {
            tracing::info!("no slack.token: summaries go to the log and the API only");
            return Ok(None);
        }
    };
    let timeout = Duration::from_secs(settings.timeout_secs);
    let client = slack::Client::new(http.clone(), &settings.api_url, token, timeout);
    let pace = Duration::from_millis(settings.pace_ms);
    Ok(Some(client.with_pace(pace).with_channel(&settings.channel)))
}

fn api_tokens(settings: &settings::Api) -> anyhow::Result<Vec<SecretString>> {
    let mut tokens = settings.tokens.clone();
    if let Some(file) = &settings.tokens_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("api.tokens_file: cannot read {}", file.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        tokens.extend(lines.map(|line| SecretString::from(line.to_owned())));
    }
    Ok(tokens)
}

fn ready(shutdown: &CancellationToken, investigator: &Investigator, slack: Option<&slack::Client>) -> Ready {
    let access = slack.map(|client| client.access().clone());
    Ready {
        draining: shutdown.clone(),
        runbook_faults: investigator.faults(),
        slack: access.unwrap_or_default(),
    }
}

fn worker_name() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "whodunit".to_owned());
    format!("{host}/{}", std::process::id())
}
