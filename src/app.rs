//! The composition root: settings become clients, clients become rooms, rooms become one running service.
//! Nothing else builds a client.

mod build;
mod check;

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::announce::Audience;
use crate::api::{self, ApiState, Ready};
use crate::incident::decide::Rules;
use crate::intake::{self, Intake};
use crate::investigator::Investigator;
use crate::postgres::{self, Database};
use crate::settings::Settings;
use crate::slack;
use crate::telemetry;
use crate::webhook::Guard;
use crate::worker::Worker;

use build::{api_tokens, runbooks, slack_client};
pub use build::{catalogue, http_client, install_tls, mcp_servers, reasoner, repository, resolver, sources};
pub use check::check;

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
        let (catalogue, pulled, repository) = runbooks(&settings).await?;
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
            ready: Ready { draining: shutdown.clone(), runbooks: investigator.standing() },
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
            tokio::spawn(investigator.keep_runbooks_fresh(pulled, shutdown.clone())),
            tokio::spawn(mcp.keep_fresh(shutdown.clone())),
            tokio::spawn(telemetry::upkeep(metrics, shutdown.clone())),
        ];
        if let Some(repository) = repository {
            tasks.push(tokio::spawn(repository.keep_pulling(shutdown.clone())));
        }
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

fn worker_name() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "whodunit".to_owned());
    format!("{host}/{}", std::process::id())
}
