//! `whodunit config check`: everything that `serve` would build, from settings to key files and runbooks.

use super::build::{
    WaysBack, http_client, install_tls, language, mcp_servers, peers, policies, reasoner, repository, routes,
    slack_client,
};
use super::clusters::clusters;
use super::people::outlets;
use crate::api::Tokens;
use crate::executor;
use crate::incident::cluster::Belonging;
use crate::incident::decide::Rules;
use crate::mcp;
use crate::policy::{Allowed, promised};
use crate::runbook::Catalogue;
use crate::settings::{Executor, Kubernetes, Settings};
use crate::webhook::{Bound, Guard};

/// What works and is perhaps not meant so.
pub fn notes(settings: &Settings) -> Vec<String> {
    let (promised, all) = (promised(&settings.quotas), settings.agent.usd_per_day);
    if promised <= all {
        return Vec::new();
    }
    vec![format!(
        "quotas: the namespaces that they name may spend ${promised:.2} a day together, and agent.usd_per_day stops all \
         models at ${all:.2}: who comes late gets signatures only, within its own quota"
    )]
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
    let is_told = |kubernetes: &Kubernetes| kubernetes.url.is_some() || kubernetes.kubeconfig.is_some();
    elsewhere.kubernetes.enabled &= settings.kubernetes.url.is_some();
    for cluster in &mut elsewhere.clusters {
        cluster.kubernetes.iter_mut().for_each(|one| one.enabled &= is_told(one) || !one.in_cluster);
    }
    let clusters = clusters(&elsewhere, &http).await?;
    Belonging::new(settings)?;
    reasoner(settings, &clusters, &http, None)?;
    mcp_servers(settings, &http)?;
    mcp::check(&settings.mcp, &settings.server.public_url)?;
    peers(settings, &http)?;
    language(&settings.report)?;
    routes(&settings.slack)?;
    let policies = policies(settings)?;
    Allowed::new(settings)?;
    slack_client(&settings.slack, &policies, &http)?;
    WaysBack::new(&settings.slack)?;
    outlets(settings)?;
    if settings.worker.executor == Executor::KubernetesJob {
        executor::check(&settings.job)?;
    }
    Tokens::new(&settings.api)?;
    Rules::new(&settings.intake)?;
    for guard in [&settings.webhooks.alertmanager, &settings.webhooks.robusta, &settings.webhooks.grafana] {
        Guard::new(guard)?;
    }
    Bound::new(&settings.webhooks.clusters)?;
    repository(settings).await?;
    let catalogue = Catalogue::load(&settings.runbooks);
    let faults: Vec<String> = catalogue.faults().iter().map(ToString::to_string).collect();
    anyhow::ensure!(faults.is_empty(), "runbooks have faults:\n{}", faults.join("\n"));
    Ok(())
}
