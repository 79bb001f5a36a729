//! `whodunit config check`: everything that `serve` would build, from settings to key files and runbooks.

use super::build::{
    WaysBack, http_client, install_tls, language, mcp_servers, peers, reasoner, repository, routes,
    slack_client, sources,
};
use crate::api::Tokens;
use crate::incident::decide::Rules;
use crate::mcp;
use crate::runbook::Catalogue;
use crate::settings::Settings;
use crate::webhook::Guard;

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
    mcp::check(&settings.mcp, &settings.server.public_url)?;
    peers(settings, &http)?;
    language(&settings.report)?;
    routes(&settings.slack)?;
    slack_client(&settings.slack, &http)?;
    WaysBack::new(&settings.slack)?;
    Tokens::new(&settings.api)?;
    Rules::new(&settings.intake)?;
    for guard in [&settings.webhooks.alertmanager, &settings.webhooks.robusta, &settings.webhooks.grafana] {
        Guard::new(guard)?;
    }
    repository(settings).await?;
    let catalogue = Catalogue::load(&settings.runbooks);
    let faults: Vec<String> = catalogue.faults().iter().map(ToString::to_string).collect();
    anyhow::ensure!(faults.is_empty(), "runbooks have faults:\n{}", faults.join("\n"));
    Ok(())
}
