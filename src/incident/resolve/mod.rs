//! From an alert to the workload it is about: labels first (`hint`), then owners from the live API, then
//! Prometheus' memory of a gone pod, then the shape of its name (`shape`). Always answers within its
//! deadline; `confident` says whether the cluster had its say.

mod hint;
mod shape;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use hint::{Hint, cluster_of, from_labels};
pub use shape::owner_of_pod;

use crate::alert::Alert;
use crate::redact::redact;
use crate::source::kubernetes::{Client, controller};
use crate::source::prometheus::Prometheus;
use crate::workload::Workload;

/// The workload of an alert, and whether the cluster confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub workload: Workload,
    /// False: derived from labels and names only, to be corrected when the cluster answers.
    pub confident: bool,
}

/// What is asked about an alert's objects. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    /// Stands in for a missing `cluster` label.
    pub cluster: String,
    /// Of the only cluster there is.
    only: Reached,
    /// Where there are several: by name.
    many: Option<Arc<BTreeMap<String, Reached>>>,
}

/// What can be asked of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    pub kubernetes: Option<Client>,
    pub prometheus: Option<Prometheus>,
}

impl Resolver {
    /// Asks the only cluster there is, whatever alerts call it.
    pub fn of(cluster: String, only: Reached) -> Self {
        Self { cluster, only, many: None }
    }

    /// Asks each alert's own cluster; what belongs to none of them is guessed.
    pub fn of_many(cluster: String, many: Arc<BTreeMap<String, Reached>>) -> Self {
        Self { cluster, only: Reached::default(), many: Some(many) }
    }

    /// What asks one of the clusters alone.
    #[must_use]
    pub fn at(&self, cluster: &str) -> Self {
        Self::of(cluster.to_owned(), self.reached(cluster).clone())
    }

    /// The client of the only cluster there is.
    pub fn client(&self) -> Option<&Client> {
        self.only.kubernetes.as_ref()
    }

    fn reached(&self, cluster: &str) -> &Reached {
        match &self.many {
            None => &self.only,
            // Nothing can be asked of what nobody knows.
            Some(many) => many.get(cluster).unwrap_or(&self.only),
        }
    }

    /// Never fails: without an answer from the cluster within `deadline` the labels decide, and `confident`
    /// is false.
    pub async fn resolve(&self, alert: &Alert, deadline: Duration) -> Resolved {
        let hint = from_labels(alert, &self.cluster);
        let cluster = cluster_of(alert, &self.cluster);
        if let Hint::Component { name } = &hint {
            // Nothing to ask for: the cluster could not say more.
            return Resolved { workload: Workload::new(cluster, "", "Cluster", name), confident: true };
        }
        let Reached { kubernetes, prometheus } = self.reached(cluster);
        if let Some(client) = kubernetes {
            let walk = walk::Walk { client, prometheus: prometheus.as_ref(), cluster, now: Utc::now() };
            match tokio::time::timeout(deadline, walk.follow(&hint)).await {
                Ok(Ok(resolved)) => return resolved,
                Ok(Err(error)) => {
                    tracing::debug!(error = %shown(&error), hint = %shown(&hint), "workload not confirmed by the cluster")
                }
                Err(_elapsed) => tracing::debug!(hint = %shown(&hint), "workload not confirmed in time"),
            }
        }
        Resolved { workload: unasked(&hint, cluster), confident: false }
    }

    /// Of the only cluster there is (`at`): kind and name of what is on top of a pod's owners; `None` when the cluster does not say.
    pub async fn top_owner(&self, namespace: &str, pod: &ObjectMeta) -> Option<(String, String)> {
        let client = self.client()?;
        let walk = walk::Walk { client, prometheus: None, cluster: &self.cluster, now: Utc::now() };
        let Some(owner) = controller(pod) else { return Some(("Pod".to_owned(), pod.name.clone()?)) };
        let resolved = walk.top(namespace, &owner.kind, &owner.name).await.ok()?;
        Some((resolved.workload.kind, resolved.workload.name))
    }

    /// The workload as the labels alone have it; asks nobody.
    pub fn guess(&self, alert: &Alert) -> Workload {
        unasked(&from_labels(alert, &self.cluster), cluster_of(alert, &self.cluster))
    }
}

/// For the log: labels and answers may hold anything.
fn shown(what: &impl std::fmt::Debug) -> String {
    redact(&format!("{what:?}")).into_owned()
}

/// The workload as labels and names alone have it.
fn unasked(hint: &Hint, cluster: &str) -> Workload {
    match hint {
        Hint::Object { kind: "Job", namespace, name } => match shape::cronjob_of_job(name) {
            Some(cronjob) => Workload::new(cluster, namespace, "CronJob", cronjob),
            None => Workload::new(cluster, namespace, "Job", name),
        },
        Hint::Object { kind: "ReplicaSet", namespace, name } => match shape::deployment_of_set(name) {
            Some(deployment) => Workload::new(cluster, namespace, "Deployment", deployment),
            None => Workload::new(cluster, namespace, "ReplicaSet", name),
        },
        Hint::Object { kind, namespace, name } => Workload::new(cluster, namespace, *kind, name),
        Hint::Pod { namespace, name } => match owner_of_pod(name) {
            Some((kind, owner)) => Workload::new(cluster, namespace, kind, owner),
            None => Workload::new(cluster, namespace, "Pod", name),
        },
        Hint::Application { otherwise: Some(name), .. } => {
            Workload::new(cluster, "", "Cluster", name.replace('/', "-"))
        }
        Hint::Application { namespace, name, otherwise: None } => {
            Workload::new(cluster, namespace, "Service", name)
        }
        Hint::Volume { name } => Workload::new(cluster, "", "PersistentVolume", name),
        Hint::Node { name } | Hint::NodeAddress { address: name } => Workload::new(cluster, "", "Node", name),
        Hint::Namespace { name } => Workload::new(cluster, "", "Namespace", name),
        Hint::Component { name } => Workload::new(cluster, "", "Cluster", name),
    }
}

#[cfg(test)]
mod tests;
