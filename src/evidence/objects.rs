//! What was read from a cluster for one workload, as it came: the input of the pure part. Lists keep the
//! request they came from; what could not be read is a gap, never an empty list that looks like an answer.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ResourceQuota, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use super::calls::Calls;
use super::ledger::clean;
use super::metrics::Measurements;
use crate::report::Gap;
use crate::source::kubernetes::{Answer, Error, Listing, Requested};

/// A list and where it came from.
#[derive(Debug, Clone)]
pub struct Read<K> {
    pub items: Vec<K>,
    pub query: String,
    pub milliseconds: u64,
    /// False: it was not asked for or not to be had, so an empty list says nothing.
    pub known: bool,
}

impl<K> Default for Read<K> {
    fn default() -> Self {
        Self { items: Vec::new(), query: String::new(), milliseconds: 0, known: false }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Objects {
    pub now: DateTime<Utc>,
    /// The namespace that was read, "" for nodes and the cluster.
    pub namespace: String,
    pub pods: Read<Pod>,
    /// Pods of other namespaces, where the scope lets them be seen: only for how far trouble reaches.
    pub elsewhere: Vec<Pod>,
    pub events: Read<Event>,
    /// About the nodes that the pods are on; a node's own stand in `events`.
    pub node_events: Read<Event>,
    pub deployments: Read<Deployment>,
    pub replica_sets: Read<ReplicaSet>,
    pub stateful_sets: Read<StatefulSet>,
    pub daemon_sets: Read<DaemonSet>,
    pub revisions: Read<ControllerRevision>,
    pub jobs: Read<Job>,
    pub cron_jobs: Read<CronJob>,
    pub hpas: Read<HorizontalPodAutoscaler>,
    pub services: Read<Service>,
    pub slices: Read<EndpointSlice>,
    pub claims: Read<PersistentVolumeClaim>,
    pub quotas: Read<ResourceQuota>,
    pub nodes: Read<Node>,
    pub storage_classes: Read<StorageClass>,
    pub volumes: Read<PersistentVolume>,
    /// Sums per node, with the request they were added up from.
    pub requested: Option<(BTreeMap<String, Requested>, String)>,
    pub readyz: Option<(String, String)>,
    pub config_maps: BTreeMap<String, Existence>,
    pub config_map_names: Vec<String>,
    pub service_accounts: BTreeMap<String, Existence>,
    pub logs: Vec<LogRead>,
    /// Of pods that the API no longer has.
    pub gone_logs: Vec<LogRead>,
    pub memory: Vec<MemoryRead>,
    pub measurements: Measurements,
    pub calls: Calls,
    pub more: More,
    pub gaps: Vec<Gap>,
}

impl Objects {
    /// In the namespace that was read, or in any where none is the subject's.
    pub fn namespace_of(&self, pod: &Pod) -> bool {
        self.namespace.is_empty() || pod.metadata.namespace.as_ref().is_none_or(|own| *own == self.namespace)
    }
}

/// What is only asked for in some troubles.
#[derive(Debug, Clone, Default)]
pub struct More {
    pub ingresses: Read<Ingress>,
    pub ingress_classes: Read<IngressClass>,
    pub policies: Read<NetworkPolicy>,
    pub budgets: Read<PodDisruptionBudget>,
    pub api_services: Read<APIService>,
    /// Each with the request that read it.
    pub leases: Vec<(Lease, String)>,
    pub webhooks: Vec<Hook>,
    pub namespace: Option<(Namespace, String)>,
}

/// One admission webhook.
#[derive(Debug, Clone)]
pub struct Hook {
    pub name: String,
    pub configuration: String,
    /// validating or mutating.
    pub kind: &'static str,
    pub failure_policy: String,
    pub timeout_seconds: i64,
    /// Namespace and name; None for a URL.
    pub service: Option<(String, String)>,
    pub backend: Backend,
    pub query: String,
}

/// What stands behind a webhook, with the request that told it.
#[derive(Debug, Clone)]
pub enum Backend {
    Absent(String),
    Ready(i64, String),
    Unknown,
}

/// The answer to a GET of one object; an object that could not be read has none.
#[derive(Debug, Clone, Default)]
pub struct Existence {
    pub query: String,
    pub exists: bool,
    pub metadata: Option<ObjectMeta>,
    pub keys: BTreeSet<String>,
    /// When somebody last changed it after it was made, and who.
    pub changed: Option<(DateTime<Utc>, String)>,
}

/// One container's log of one instance.
#[derive(Debug, Clone)]
pub struct LogRead {
    pub pod: String,
    pub container: String,
    pub previous: bool,
    /// kubernetes or loki.
    pub source: String,
    pub query: String,
    pub milliseconds: u64,
    /// Lines with an RFC 3339 time before the first space.
    pub text: String,
}

/// The highest working set that a container reached, from Prometheus.
#[derive(Debug, Clone)]
pub struct MemoryRead {
    pub pod: String,
    pub container: String,
    pub peak_bytes: f64,
    pub query: String,
    pub milliseconds: u64,
}

/// A list that came, or a gap. A list cut short is both: its rows count, its silence does not.
pub(super) fn kept<K>(answer: Result<Answer<Listing<K>>, Error>, what: &str, gaps: &mut Vec<Gap>) -> Read<K> {
    match answer {
        Ok(answer) => {
            if answer.value.truncated {
                gaps.push(gap("kubernetes", what, "more than could be read; the first are looked at"));
            }
            let (query, milliseconds) = (answer.query, answer.milliseconds);
            Read { items: answer.value.items, query, milliseconds, known: true }
        }
        Err(error) => {
            gaps.push(gap("kubernetes", what, &error.to_string()));
            Read::default()
        }
    }
}

pub(super) fn gap(source: &str, what: &str, why: &str) -> Gap {
    Gap { source: source.to_owned(), what: clean(what), why: clean(why) }
}
