//! What a Job reads with: the sources of a tenant's Secret, and the Job's own service account. Settings come in, a reader
//! that knows nothing else of the service goes out.

use std::path::Path;

use anyhow::{Context, ensure};
use secrecy::SecretString;

use super::build::{http_client, install_tls, tools_of};
use super::clusters::clusters;
use crate::executor::Reader;
use crate::settings::Settings;

/// Builds the reader of one attempt. `sources` may be missing: then Kubernetes alone is read.
///
/// # Errors
/// A setting that cannot work, no service account, or one that may do more than read.
pub async fn reader(service: &str, token: SecretString, sources: Option<&Path>) -> anyhow::Result<Reader> {
    install_tls();
    let env = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let mut settings = Settings::load(sources.filter(|path| path.exists()), env)?;
    ensure!(settings.clusters.is_empty(), "clusters: a Job reads the cluster that it runs in, and no other");
    let kubernetes = &mut settings.kubernetes;
    // What would be found by itself might be somebody's kubeconfig.
    kubernetes.in_cluster |= kubernetes.url.is_none() && kubernetes.kubeconfig.is_none();
    let http = http_client()?;
    let clusters = clusters(&settings, &http).await?;
    clusters.check_rights().await?;
    let sources = clusters.fleet.of("").cloned().unwrap_or_default();
    let tools = tools_of(&sources);
    let service = service.parse().with_context(|| format!("`{service}` is no address of the service"))?;
    Ok(Reader { http, service, token, sources, tools })
}
