//! Rows about what runs and limits a cluster and who changed what: quotas, leases, admission webhooks, aggregated APIs, and edits
//! that objects remember. Comes from `evidence`, goes to `signature`. It judges nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A lease that a component renews while it is alive.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseFact {
    /// kube-scheduler, kube-controller-manager, or the name of a node.
    pub name: String,
    pub namespace: String,
    pub holder: String,
    pub renewed_at: Option<DateTime<Utc>>,
    /// Seconds since the last renewal, by the cluster's clock; -1 when it was never renewed.
    pub age_seconds: i64,
    pub duration_seconds: i64,
    /// Not renewed for three times its duration.
    pub stale: bool,
    pub evidence: String,
    pub quote: String,
}

/// An admission webhook that a refusal names, and what stands behind it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookFact {
    /// As the refusal names it: `validate.kyverno.svc-fail`.
    pub name: String,
    /// Its configuration and whether that is validating or mutating.
    pub configuration: String,
    pub kind: String,
    /// Fail or Ignore.
    pub failure_policy: String,
    pub timeout_seconds: i64,
    /// `kyverno/kyverno-svc`, "" for a URL.
    pub service: String,
    pub service_namespace: String,
    pub service_name: String,
    /// yes, no or unknown.
    pub service_exists: String,
    /// Ready addresses behind the Service, -1 unknown.
    pub ready_endpoints: i64,
    /// The refusal's own words about the call.
    pub said: String,
    pub evidence: String,
    pub quote: String,
}

/// An API group that another server answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiServiceFact {
    pub name: String,
    /// True, False or Unknown.
    pub available: String,
    pub reason: String,
    pub message: String,
    /// `kube-system/metrics-server`
    pub service: String,
    pub evidence: String,
    pub quote: String,
}

/// The last change of one part of an object, as its managedFields remember it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EditFact {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// replicas, template, selector, ports, data, scaling or `label KEY`.
    pub part: String,
    /// Field manager: kubectl-edit, helm, argocd-controller, …
    pub manager: String,
    pub at: Option<DateTime<Utc>>,
    pub age_seconds: i64,
    /// What it says now, for labels and replicas; else "".
    pub value: String,
    /// Pods of the workload that were made before and still run.
    pub older_pods: Vec<String>,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaFact {
    pub name: String,
    pub namespace: String,
    pub resource: String,
    pub hard: String,
    pub used: String,
    pub full: bool,
    /// Used above hard: the quota was lowered after its pods were made.
    pub overdrawn: bool,
    /// What a refused object asked for, "" when none was refused.
    pub requested: String,
    pub evidence: String,
    pub quote: String,
}
