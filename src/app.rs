//! The composition root: settings become clients, clients become rooms, rooms become one running service.
//! Nothing else builds a client.

mod build;
mod check;
mod clusters;
mod http;
mod live;
mod people;
mod reader;
mod rights;
mod teams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::announce::Audience;
use crate::api::{self, ApiState, Ready, Tokens};
use crate::executor::{self, Executor};
use crate::incident::cluster::Belonging;
use crate::incident::decide::Rules;
use crate::incident::resolve::Resolver;
use crate::intake::{self, Desk, Intake};
use crate::investigator::Investigator;
use crate::mcp;
use crate::outlet::{self, Outlets};
use crate::policy::Policies;
use crate::postgres::{self, Database};
use crate::reconcile::Reconciler;
use crate::settings::{self, Settings};
use crate::slack;
use crate::telemetry;
use crate::web;
use crate::webhook::{Bound, Gate, Guard};
use crate::worker::{Crowd, Worker};

pub use build::{catalogue, http_client, install_tls, mcp_servers, reasoner, repository};
use build::{for_agents, peers, runbooks, slack_client};
pub use build::{policies, standing};
pub use check::{check, notes};
pub use clusters::{Clusters, clusters};
pub use live::live;
use people::{Doors, audience, outlets};
pub use reader::reader;
pub use teams::policies_now;

/// The running service.
pub struct App {
    pub address: SocketAddr,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    database: Database,
}

/// What intake, workers and API have in common.
struct Shared {
    database: Database,
    resolver: Resolver,
    /// `None` where nobody is told.
    audience: Option<Audience>,
    policies: watch::Receiver<Arc<Policies>>,
    /// Wakes workers and streams of this process.
    wake: Arc<Notify>,
}

impl App {
    /// Opens the database, connects the sources and starts the parts of the settings' role on `listener`.
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
        let clusters = clusters(&settings, &http).await?;
        clusters.check_rights().await?;
        let resolver = clusters.resolver();
        let (teams, policies) = teams::teams(&settings, &clusters).await?;
        let (catalogue, pulled, repository) = runbooks(&settings).await?;
        let slack = slack_client(&settings.slack, &policies.borrow(), &http)?;
        let outlets = Arc::new(outlets(&settings)?);
        let tokens = Arc::new(Tokens::new(&settings.api)?);
        let peers = peers(&settings, &http)?;
        let database = Database::open(&settings.database).await?;
        let pool = &database.pool;
        let reasoner = reasoner(&settings, &clusters, &http, Some(pool))?
            .map(|reasoner| reasoner.under(policies.clone()));
        let mcp = reasoner.as_ref().map(|reasoner| Arc::clone(&reasoner.mcp)).unwrap_or_default();
        let agents = for_agents(&settings, &clusters);
        let investigator = Arc::new(Investigator::new(clusters.fleet, catalogue, reasoner));
        let audience = audience(&settings, &investigator, slack.as_ref(), &outlets, &policies)?;
        let shared = Shared { database, resolver, audience, policies, wake: Arc::new(Notify::new()) };
        let pool = &shared.database.pool;
        let intake = shared.intake(&settings).await?;
        let (desk, belonging) = (Arc::clone(&intake.desk), Arc::clone(&intake.belonging));
        let reconciler = Reconciler { pool: pool.clone(), desk, belonging, peers };
        let worker = shared.worker(&settings, &investigator)?;
        let shutdown = CancellationToken::new();
        let state = ApiState {
            pool: pool.clone(),
            tokens,
            ready: ready(&shutdown, &investigator, slack.as_ref()),
            metrics: metrics.clone(),
            wake: Arc::clone(&shared.wake),
            catalogue: investigator.catalogues(),
            open: opener(&intake.desk),
        };
        let role = settings.server.role;
        let mut router = api::router(state.clone());
        if role.takes_in() {
            router = admitted(intake::router(intake), settings.server.max_in_flight).merge(router);
        }
        let doors = Doors::new(&settings, slack.as_ref(), pool, &investigator, &shared.wake)?;
        let machines = for_machines(&settings, &state, agents, &shutdown)?;
        router = router.merge(doors.router()).merge(machines);
        router = web::around(router, state, &settings.server.public_url);
        let address = listener.local_addr()?;
        let mut tasks = vec![
            tokio::spawn(http::serve(listener, router, settings.server.max_connections, shutdown.clone())),
            tokio::spawn(postgres::listen(pool.clone(), Arc::clone(&shared.wake), shutdown.clone())),
            tokio::spawn(investigator.keep_runbooks_fresh(pulled, shutdown.clone())),
            tokio::spawn(telemetry::upkeep(metrics, shutdown.clone())),
        ];
        tasks.extend(teams.map(|teams| tokio::spawn(teams.run(pool.clone(), shutdown.clone()))));
        tasks.extend(role.takes_in().then(|| tokio::spawn(reconciler.run(shutdown.clone()))));
        if role.works() {
            let drain = Duration::from_secs(settings.server.drain_secs);
            tasks.push(tokio::spawn(worker.run(shutdown.clone(), drain)));
            tasks.push(tokio::spawn(mcp.keep_fresh(shutdown.clone())));
            tasks.extend(shared.tell(outlets, http, &shutdown));
            tasks.extend(doors.socket(&shutdown));
        }
        tasks.extend(repository.map(|one| tokio::spawn(one.keep_pulling(shutdown.clone()))));
        tasks.extend(slack.filter(|_| role.works()).map(|client| shared.post(client, &shutdown)));
        Ok(Self { address, shutdown, tasks, database: shared.database })
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

impl Shared {
    /// From the outbox to the outlets; None where there are none.
    fn tell(
        &self,
        outlets: Arc<Outlets>,
        http: reqwest::Client,
        shutdown: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        let (means, wake) = ((self.database.pool.clone(), http), Arc::clone(&self.wake));
        let deliver = || tokio::spawn(outlet::run(means, Arc::clone(&outlets), wake, shutdown.clone()));
        (!outlets.is_empty()).then(deliver)
    }

    /// From the outbox to Slack.
    fn post(&self, client: slack::Client, shutdown: &CancellationToken) -> JoinHandle<()> {
        let (pool, wake) = (self.database.pool.clone(), Arc::clone(&self.wake));
        tokio::spawn(slack::run(pool, client, wake, shutdown.clone()))
    }

    async fn intake(&self, settings: &Settings) -> anyhow::Result<Arc<Intake>> {
        let resolve_deadline = Duration::from_millis(settings.intake.resolve_ms);
        // A storm's investigations and messages must not delay the next 202.
        let desk = Desk::start(
            &postgres::apart(&self.database.pool),
            (Rules::new(&settings.intake)?, self.policies.clone()),
            (self.resolver.clone(), resolve_deadline),
            self.audience.clone(),
            Arc::clone(&self.wake),
        )
        .await;
        let bound = Bound::new(&settings.webhooks.clusters)?;
        let gate = |own| Ok::<_, anyhow::Error>(Gate::new(Guard::new(own)?, bound.clone()));
        Ok(Arc::new(Intake {
            alertmanager: gate(&settings.webhooks.alertmanager)?,
            robusta: gate(&settings.webhooks.robusta)?,
            grafana: gate(&settings.webhooks.grafana)?,
            belonging: Arc::new(Belonging::new(settings)?),
            desk: Arc::new(desk),
        }))
    }

    fn worker(&self, settings: &Settings, investigator: &Arc<Investigator>) -> anyhow::Result<Arc<Worker>> {
        let pool = &self.database.pool;
        let executor = Executor::new((&settings.worker, &settings.job), investigator.fleet(), pool)?;
        let clusters = investigator.fleet().iter().count();
        Ok(Arc::new(Worker {
            pool: pool.clone(),
            executor,
            settings: settings.worker.clone(),
            stale_after: Duration::from_secs(settings.intake.stale_after_secs),
            retention: settings.retention.clone(),
            storm_workloads: settings.intake.storm_workloads,
            investigator: Arc::clone(investigator),
            resolver: self.resolver.clone(),
            audience: self.audience.clone(),
            wake: Arc::clone(&self.wake),
            name: worker_name(),
            crowd: Crowd::new(settings.worker.per_cluster, settings.worker.concurrency, clusters),
        }))
    }
}

/// Engineers' agents, and Jobs where there are some.
fn for_machines(
    settings: &Settings,
    state: &ApiState,
    agents: mcp::Clusters,
    shutdown: &CancellationToken,
) -> anyhow::Result<Router> {
    let public_url = &settings.server.public_url;
    let agents = mcp::router(&settings.mcp, public_url, state.clone(), agents, shutdown.clone())?;
    Ok(match settings.worker.executor {
        settings::Executor::InProcess => agents,
        settings::Executor::KubernetesJob => agents.merge(executor::router(state.pool.clone())),
    })
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

fn ready(shutdown: &CancellationToken, investigator: &Investigator, slack: Option<&slack::Client>) -> Ready {
    let access = slack.map(|client| client.access().clone());
    Ready {
        draining: shutdown.clone(),
        runbooks: investigator.standing(),
        slack: access.unwrap_or_default(),
        clusters: investigator.fleet().clone(),
    }
}

/// For the API: who asks about a workload without an open incident opens one at the desk.
fn opener(desk: &Arc<Desk>) -> api::Open {
    let desk = Arc::clone(desk);
    Arc::new(move |workload, by| {
        let desk = Arc::clone(&desk);
        Box::pin(async move { desk.ask(workload, &by).await })
    })
}

fn worker_name() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "whodunit".to_owned());
    format!("{host}/{}", std::process::id())
}
