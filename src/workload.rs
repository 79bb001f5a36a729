//! What an alert is about: the top owner in a cluster, and references to any object there.
//! Pure data with one text form; it never asks a cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::redact::redact;

/// Longer parts are cut. Kubernetes' own names have at most 253 bytes, names of clusters (EKS ARNs) may have more.
const MAX_PART_BYTES: usize = 512;

/// The dedup key: `cluster/namespace/Kind/name`. Cluster-scoped kinds have an empty namespace
/// (`lab//Node/node-1`); what no object could be found for is `cluster//Cluster/cluster-or-job-name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Workload {
    /// The `cluster` label, "" when there is none.
    pub cluster: String,
    /// "" for cluster-scoped kinds.
    pub namespace: String,
    /// Kubernetes kind: Deployment, StatefulSet, DaemonSet, Job, CronJob, Pod, Node, Namespace, …
    pub kind: String,
    pub name: String,
}

impl Workload {
    pub fn new(
        cluster: impl Into<String>,
        namespace: impl Into<String>,
        kind: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            cluster: bounded(cluster.into()),
            namespace: bounded(namespace.into()),
            kind: bounded(kind.into()),
            name: bounded(name.into()),
        }
    }

    /// The same workload without secrets: names may come from labels, which hold anything. Always the same for
    /// the same workload, so it is a key as good as the first.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let part = |text: &str| redact(text).into_owned();
        Self::new(part(&self.cluster), part(&self.namespace), part(&self.kind), part(&self.name))
    }

    /// `cluster/namespace/Kind/name`, the key of dedup and of the API.
    pub fn key(&self) -> String {
        self.to_string()
    }

    /// As it is told to people.
    pub fn short(&self) -> String {
        self.object().short()
    }

    /// The namespace that it is about, which is a Namespace's own name; "" where there is none.
    pub fn tenant(&self) -> &str {
        if self.namespace.is_empty() && self.kind == "Namespace" { &self.name } else { &self.namespace }
    }

    pub fn object(&self) -> ObjectRef {
        ObjectRef {
            cluster: self.cluster.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// Names come from labels, which may hold anything; a key that no index takes would be refused for ever.
fn bounded(mut part: String) -> String {
    part.truncate(part.floor_char_boundary(MAX_PART_BYTES));
    part
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.cluster, self.namespace, self.kind, self.name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a workload is cluster/namespace/Kind/name, this has {parts} parts: {text}")]
pub struct BadWorkload {
    text: String,
    parts: usize,
}

impl FromStr for Workload {
    type Err = BadWorkload;

    /// Cluster names can hold slashes (EKS ARNs do), so the last three parts count from the right.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.rsplitn(4, '/').collect();
        match parts.as_slice() {
            [name, kind, namespace, cluster] if !name.is_empty() && !kind.is_empty() => {
                Ok(Self::new(*cluster, *namespace, *kind, *name))
            }
            _ => Err(BadWorkload { text: text.to_owned(), parts: parts.len() }),
        }
    }
}

/// Any object of a cluster, as reports and findings name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default, ToSchema)]
pub struct ObjectRef {
    pub cluster: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl ObjectRef {
    /// `Kind namespace/name`, or `Kind name` for cluster-scoped objects. What no object was found for, such as a scrape
    /// job, is told by its name and its cluster: it is no cluster itself.
    pub fn short(&self) -> String {
        match (self.kind.as_str(), self.namespace.as_str()) {
            ("Cluster", _) if self.name != self.cluster && !self.cluster.is_empty() => {
                format!("{} (cluster {})", self.name, self.cluster)
            }
            (kind, "") => format!("{kind} {}", self.name),
            (kind, namespace) => format!("{kind} {namespace}/{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_kind_and_name_and_no_scrape_job_is_called_a_cluster() {
        for (workload, expected) in [
            (Workload::new("lab", "shop", "Deployment", "checkout"), "Deployment shop/checkout"),
            (Workload::new("lab", "", "Node", "node-1"), "Node node-1"),
            (Workload::new("lab", "", "Cluster", "lab"), "Cluster lab"),
            (Workload::new("", "", "Cluster", "lab"), "Cluster lab"),
            (Workload::new("lab", "", "Cluster", "legacy-billing"), "legacy-billing (cluster lab)"),
        ] {
            assert_eq!(workload.short(), expected);
        }
    }

    #[test]
    fn a_key_reads_back_as_the_same_workload() {
        for workload in [
            Workload::new("lab", "shop", "Deployment", "checkout"),
            Workload::new("lab", "", "Node", "node-1"),
            Workload::new("arn:aws:eks:eu-west-1:1:cluster/prod", "a", "Job", "b"),
            Workload::new("", "a", "Pod", "b"),
        ] {
            assert_eq!(workload.key().parse::<Workload>(), Ok(workload));
        }
        assert!("shop/Deployment".parse::<Workload>().is_err());
    }
}
