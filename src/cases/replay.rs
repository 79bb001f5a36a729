//! One case as in life: its cluster is served over HTTP on loopback, the service's own client reads it, and
//! the service's own investigator writes the report. It asks nothing outside this machine.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::case::Case;
use crate::demo::{Backend, BackendStandIn, KubernetesStandIn, Said};
use crate::evidence::Sources;
use crate::investigator::{Attempt, Investigator};
use crate::report::Report;
use crate::runbook::Catalogue;
use crate::settings;
use crate::source::kubernetes::Client;
use crate::source::loki::Loki;
use crate::source::prometheus::Prometheus;

/// Stops what was served when the replay is over, however it ends.
struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

pub(super) async fn replay(
    case: &Case,
    catalogue: &Arc<Catalogue>,
    http: &reqwest::Client,
    deadline: Duration,
) -> anyhow::Result<Report> {
    let stop = Stop(CancellationToken::new());
    let stand_in = Arc::new(KubernetesStandIn::describing(case.cluster.clone()));
    let url = serve(|listener| stand_in.serve(listener, stop.0.clone())).await?;
    let kubernetes = settings::Kubernetes { url: Some(url), ..settings::Kubernetes::default() };
    let prometheus = backend(Backend::Prometheus, case.prometheus.as_ref(), &stop.0).await?;
    let loki = backend(Backend::Loki, case.loki.as_ref(), &stop.0).await?;
    let sources = Sources {
        kubernetes: Some(Client::connect(&kubernetes).await?),
        prometheus: Prometheus::new(http.clone(), &prometheus)?,
        loki: Loki::new(http.clone(), &loki)?,
        tempo: None,
        log_tail_lines: kubernetes.log_tail_lines,
    };
    let investigator = Investigator::new(sources, Arc::clone(catalogue), None);
    let investigated =
        investigator.investigate(&case.workload, &case.alerts, Attempt::only(deadline)).await?;
    Ok(investigated.report)
}

/// A backend that the case describes, or the settings of none.
async fn backend(
    backend: Backend,
    said: Option<&Vec<Said>>,
    stop: &CancellationToken,
) -> anyhow::Result<settings::HttpSource> {
    let Some(said) = said else { return Ok(settings::HttpSource::default()) };
    let stand_in = Arc::new(BackendStandIn::describing(backend, said.clone()));
    let url = serve(|listener| stand_in.serve(listener, stop.clone())).await?;
    Ok(settings::HttpSource { url: Some(url), ..settings::HttpSource::default() })
}

async fn serve<F>(start: impl FnOnce(TcpListener) -> F) -> anyhow::Result<String>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on loopback")?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(start(listener));
    Ok(url)
}
