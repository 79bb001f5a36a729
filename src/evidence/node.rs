//! A node as the subject: its pods and events come in, then the namespaces whose pods are unhealthy on it
//! are read as well, since a pod on a node usually fails for a reason of its own. Read-only, bounded.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::fetch::{both_rounds, first_round};
use super::inquiry::last_round;
use super::objects::{Objects, gap};
use super::{Sources, facts_from, metrics, pods, survey};
use crate::alert::Alert;
use crate::facts::Facts;
use crate::source::kubernetes::Scoped;
use crate::workload::Workload;

/// Namespaces that are read for the pods on a node, those with most unhealthy pods first.
const MAX_NAMESPACES: usize = 6;

pub(super) async fn gather(
    sources: &Sources,
    scoped: &Scoped<'_>,
    node: &Workload,
    alerts: &[Alert],
) -> Facts {
    let mut objects = first_round(scoped, node).await;
    let mut struck: BTreeMap<String, usize> = BTreeMap::new();
    for pod in objects.pods.items.iter().filter(|pod| !pods::is_healthy(&objects, pod)) {
        *struck.entry(pod.metadata.namespace.clone().unwrap_or_default()).or_default() += 1;
    }
    let mut struck: Vec<(usize, String)> = struck.into_iter().map(|(name, count)| (count, name)).collect();
    struck.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    if struck.len() > MAX_NAMESPACES {
        let why = format!("{} namespaces have unhealthy pods here, {MAX_NAMESPACES} were read", struck.len());
        objects.gaps.push(gap("kubernetes", "pods on the node", &why));
        struck.truncate(MAX_NAMESPACES);
    }
    let namespaces = struck.iter().map(|(_, name)| {
        let namespace = Workload::new(&node.cluster, "", "Namespace", name);
        let scoped = scoped.clone();
        async move { both_rounds(sources, scoped, &namespace, alerts).await }
    });
    let namespaces: Vec<Objects> = join_all(namespaces).await;
    // Owners above owners, so that a pod whose controller made good for it is no trouble.
    for own in &namespaces {
        objects.replica_sets.items.extend(own.replica_sets.items.iter().cloned());
        objects.jobs.items.extend(own.jobs.items.iter().cloned());
        objects.readyz = objects.readyz.or_else(|| own.readyz.clone());
    }
    let draft = facts_from(&objects, node, alerts);
    let ((measurements, gaps), _) = tokio::join!(
        metrics::ask(sources, node, &draft, alerts),
        last_round(scoped, node, &draft, &mut objects)
    );
    objects.measurements = measurements;
    objects.gaps.extend(gaps);
    survey::node_facts(&objects, &namespaces, node, alerts)
}
