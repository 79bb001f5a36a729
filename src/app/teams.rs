//! The teams' policies: settings and clusters become what reads them, and writes into each what became of it. It asks
//! nobody until it is told to look.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use super::build::policies;
use super::clusters::{Clusters, all};
use crate::policy::{Allowed, Policies};
use crate::policy_objects::{Cluster, Known, PolicyObjects};
use crate::settings::Settings;
use crate::source::kubernetes::PolicyStatusWriter;

/// What keeps them fresh, None where they are not enabled, and the policies as they are at each moment. They were read
/// once when this returns.
///
/// # Errors
/// A setting that cannot work, by its name.
pub(super) async fn teams(
    settings: &Settings,
    clusters: &Clusters,
) -> anyhow::Result<(Option<PolicyObjects>, watch::Receiver<Arc<Policies>>)> {
    let allowed = Arc::new(Allowed::new(settings)?);
    let (in_force, policies) = watch::channel(policies(settings)?);
    if !settings.policy_objects.enabled {
        return Ok((None, policies));
    }
    let mut each = Vec::new();
    for one in all(settings)? {
        let Some(kubernetes) = one.kubernetes.as_ref().filter(|kubernetes| kubernetes.enabled) else {
            continue;
        };
        let client = clusters.fleet.of(&one.name).and_then(|sources| sources.kubernetes.clone());
        let Some(client) = client else { continue };
        let writer = PolicyStatusWriter::connect(kubernetes).await;
        let writer =
            writer.with_context(|| format!("cluster `{}`: writing what became of policies", one.name))?;
        let name = (!settings.clusters.is_empty()).then_some(one.name);
        let namespaces = settings.policy_objects.namespaces.clone();
        each.push(Cluster { name, client, writer, namespaces, known: Known::default() });
    }
    let every = Duration::from_secs(settings.policy_objects.every_secs.max(1));
    let mut objects = PolicyObjects { clusters: each, allowed, in_force, every };
    objects.first().await;
    Ok((Some(objects), policies))
}

/// The policies as they are now, for one use.
///
/// # Errors
/// A setting that cannot work, by its name.
pub async fn policies_now(
    settings: &Settings,
    clusters: &Clusters,
) -> anyhow::Result<watch::Receiver<Arc<Policies>>> {
    Ok(teams(settings, clusters).await?.1)
}
