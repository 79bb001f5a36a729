//! The recorded cluster on loopback: Kubernetes, Prometheus and Loki answer as they did when it was recorded.

use std::sync::Arc;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use whodunit::demo::{Backend, BackendStandIn, KubernetesStandIn, Recording};

/// Where each is; they end with this.
pub struct Cluster {
    pub kubernetes: String,
    pub prometheus: String,
    pub loki: String,
    _end: DropGuard,
}

impl Cluster {
    pub async fn start() -> Result<Self> {
        let recording = Recording::embedded()?;
        let end = CancellationToken::new();
        let (listener, kubernetes) = listen().await?;
        tokio::spawn(Arc::new(KubernetesStandIn::new(recording)?).serve(listener, end.clone()));
        let mut backends = Vec::new();
        for backend in [Backend::Prometheus, Backend::Loki] {
            let (listener, url) = listen().await?;
            tokio::spawn(Arc::new(BackendStandIn::new(recording, backend)?).serve(listener, end.clone()));
            backends.push(url);
        }
        let loki = backends.pop().unwrap_or_default();
        let prometheus = backends.pop().unwrap_or_default();
        Ok(Self { kubernetes, prometheus, loki, _end: end.drop_guard() })
    }

    /// The settings that point at it.
    pub fn settings(&self) -> String {
        format!(
            "kubernetes: {{url: '{}', cluster: lab}}\nprometheus: {{url: '{}'}}\nloki: {{url: '{}'}}\n",
            self.kubernetes, self.prometheus, self.loki
        )
    }
}

pub async fn listen() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}
