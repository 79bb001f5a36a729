//! From settings to a client: an explicit address first, else a kubeconfig, else the pod's own service
//! account. It reads files and the environment once; tokens from a file are re-read by the transport.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};

use super::Client;
use crate::settings;

/// A cluster that does not even take the connection is given up on sooner than a slow answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Client {
    /// Builds the client; no request is sent yet, so a cluster that is down does not stop the program.
    pub async fn connect(settings: &settings::Kubernetes) -> anyhow::Result<Self> {
        let (inner, timeout) = transport(settings).await?;
        Ok(Self::new(inner, timeout, settings.max_in_flight))
    }
}

/// What carries requests, and how long one may take.
pub(super) async fn transport(settings: &settings::Kubernetes) -> anyhow::Result<(kube::Client, Duration)> {
    let mut config = match &settings.url {
        Some(url) => explicit(url, settings)?,
        None => discovered(settings).await?,
    };
    let timeout = Duration::from_secs(settings.timeout_secs.max(1));
    config.connect_timeout = Some(CONNECT_TIMEOUT.min(timeout));
    let inner = kube::Client::try_from(config).context("building the Kubernetes client")?;
    Ok((inner, timeout))
}

fn explicit(url: &str, settings: &settings::Kubernetes) -> anyhow::Result<kube::Config> {
    let url = url.parse().with_context(|| format!("kubernetes.url is not an address: {url}"))?;
    let mut config = kube::Config::new(url);
    config.root_cert_file.clone_from(&settings.ca_file);
    if config.cluster_url.scheme_str() == Some("http") && settings.ca_file.is_none() {
        // Nothing is encrypted, so nobody is to be trusted; reading the system's roots takes a while.
        config.root_cert = Some(Vec::new());
    }
    config.auth_info = AuthInfo {
        token: settings.token.as_ref().map(|token| SecretString::from(token.expose_secret().to_owned())),
        token_file: settings.token_file.as_deref().map(utf8).transpose()?,
        ..AuthInfo::default()
    };
    Ok(config)
}

async fn discovered(settings: &settings::Kubernetes) -> anyhow::Result<kube::Config> {
    if settings.in_cluster {
        return kube::Config::incluster()
            .context("kubernetes.in_cluster: this is no pod with a service account");
    }
    let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
    if let Some(file) = &settings.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(file)
            .with_context(|| format!("reading kubernetes.kubeconfig {}", file.display()))?;
        return kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .with_context(|| format!("using kubernetes.kubeconfig {}", file.display()));
    }
    if settings.context.is_some() {
        return kube::Config::from_kubeconfig(&options).await.context("using kubernetes.context");
    }
    kube::Config::infer().await.context(
        "no cluster to talk to: set kubernetes.url or kubernetes.kubeconfig, run inside a cluster, \
         or set kubernetes.enabled to false",
    )
}

fn utf8(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}
