//! All stand-ins at once, each on a free port of loopback: what the demo and the tests of the whole service
//! put around it. It starts and stops them and hands out their addresses, nothing more.

use std::io;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backends::{Backend, BackendStandIn};
use super::kubernetes::KubernetesStandIn;
use super::recording::Recording;
use super::slack::SlackStandIn;

const CHANNEL: &str = "#alerts";
const SLACK_TOKEN: &str = "xoxb-demo";

/// Where the service finds its world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    pub kubernetes_url: String,
    pub prometheus_url: String,
    pub loki_url: String,
    pub tempo_url: String,
    /// With `/api`, like `https://slack.com/api`.
    pub slack_api_url: String,
    pub slack_token: String,
    pub channel: String,
}

/// The stand-ins that run, to look into and to disturb.
pub struct Stage {
    pub endpoints: Endpoints,
    pub kubernetes: Arc<KubernetesStandIn>,
    pub prometheus: Arc<BackendStandIn>,
    pub loki: Arc<BackendStandIn>,
    pub tempo: Arc<BackendStandIn>,
    pub slack: Arc<SlackStandIn>,
    shutdown: CancellationToken,
    servers: JoinSet<io::Result<()>>,
}

impl Stage {
    pub async fn start(recording: &Recording) -> Result<Self> {
        let kubernetes = Arc::new(KubernetesStandIn::new(recording)?);
        let prometheus = Arc::new(BackendStandIn::new(recording, Backend::Prometheus)?);
        let loki = Arc::new(BackendStandIn::new(recording, Backend::Loki)?);
        let tempo = Arc::new(BackendStandIn::new(recording, Backend::Tempo)?);
        let slack = Arc::new(SlackStandIn::new(SLACK_TOKEN, &[CHANNEL]));
        let shutdown = CancellationToken::new();
        let mut servers = JoinSet::new();

        let (listener, kubernetes_url) = listen().await?;
        servers.spawn(Arc::clone(&kubernetes).serve(listener, shutdown.clone()));
        let mut backend_urls = Vec::new();
        for backend in [&prometheus, &loki, &tempo] {
            let (listener, url) = listen().await?;
            servers.spawn(Arc::clone(backend).serve(listener, shutdown.clone()));
            backend_urls.push(url);
        }
        let [prometheus_url, loki_url, tempo_url] = <[String; 3]>::try_from(backend_urls)
            .map_err(|_| anyhow::anyhow!("three backends have three addresses"))?;
        let (listener, slack_url) = listen().await?;
        servers.spawn(Arc::clone(&slack).serve(listener, shutdown.clone()));

        let endpoints = Endpoints {
            kubernetes_url,
            prometheus_url,
            loki_url,
            tempo_url,
            slack_api_url: format!("{slack_url}/api"),
            slack_token: SLACK_TOKEN.to_owned(),
            channel: CHANNEL.to_owned(),
        };
        Ok(Self { endpoints, kubernetes, prometheus, loki, tempo, slack, shutdown, servers })
    }

    /// Stops all of them; a server that failed meanwhile is the error.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.cancel();
        while let Some(ended) = self.servers.join_next().await {
            ended?.context("a stand-in failed")?;
        }
        Ok(())
    }
}

async fn listen() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening on loopback")?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}
