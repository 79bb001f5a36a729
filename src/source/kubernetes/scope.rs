//! A runbook's scope, enforced: a view of the client that refuses other namespaces, and in the narrowest
//! scope the logs of other pods. What every scope may read beyond its namespace is listed here and has no
//! content of other workloads in it: nodes, classes, volumes, webhook configurations and aggregated APIs,
//! component leases, what befell nodes, sums of requests per node, and counts of addresses behind a Service that those name.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::{NamespaceResourceScope, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Answer, Client, Error, ListQuery, Listing, LogQuery};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One workload: its namespace, and logs only of its own pods (see `Scoped::with_pods`).
    Workload {
        namespace: String,
    },
    Namespace(String),
    Namespaces(Vec<String>),
    Cluster,
}

impl Scope {
    /// Whether objects of this namespace may be read; "" means all namespaces at once.
    pub fn allows(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(names) => names.iter().any(|own| !namespace.is_empty() && own == namespace),
            Self::Namespace(own) | Self::Workload { namespace: own } => {
                !namespace.is_empty() && own == namespace
            }
        }
    }
}

/// What the pods on a node ask for in sum, over pods that have not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requested {
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    /// Every other resource in thousandths: devices, hugepages, ephemeral-storage.
    pub other_millis: BTreeMap<String, i64>,
    /// `8080/TCP`, with the address before it where it is bound to one: `10.0.0.1:8080/TCP`.
    pub host_ports: BTreeSet<String>,
    pub pods: i64,
}

/// Kinds without a namespace that facts of any workload need.
pub(super) const SHARED_KINDS: [&str; 7] = [
    "nodes",
    "storageclasses",
    "persistentvolumes",
    "ingressclasses",
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "apiservices",
];

/// Leases that tell whether a cluster's own components are alive.
const COMPONENT_LEASES: [&str; 2] = ["kube-scheduler", "kube-controller-manager"];
const SYSTEM_NAMESPACE: &str = "kube-system";
const NODE_LEASE_NAMESPACE: &str = "kube-node-lease";

/// Namespace in which the kubelet and the node controller file events about nodes.
const NODE_EVENTS_NAMESPACE: &str = "default";
/// Reasons of events about nodes that every scope may see: of others they name a process at most.
const NODE_EVENT_REASONS: [&str; 4] = ["SystemOOM", "OOMKilling", "Rebooted", "NodeNotReady"];

#[derive(Debug, Clone)]
pub struct Scoped<'a> {
    client: &'a Client,
    scope: Scope,
    pods: BTreeSet<String>,
    own_pods_only: bool,
    nothing_shared: bool,
}

impl<'a> Scoped<'a> {
    pub(super) fn new(client: &'a Client, scope: Scope) -> Self {
        let own_pods_only = matches!(scope, Scope::Workload { .. });
        Self { client, scope, pods: BTreeSet::new(), own_pods_only, nothing_shared: false }
    }

    /// Names the workload's pods, whose logs the scope `Workload` allows.
    #[must_use]
    pub fn with_pods(mut self, pods: impl IntoIterator<Item = String>) -> Self {
        self.pods.extend(pods);
        self
    }

    /// Lets logs through only of these pods, as the scope `Workload` does.
    #[must_use]
    pub fn only_pods(mut self, pods: impl IntoIterator<Item = String>) -> Self {
        self.own_pods_only = true;
        self.with_pods(pods)
    }

    /// Refuses what every scope may read beyond its namespaces as well.
    #[must_use]
    pub fn without_shared(mut self) -> Self {
        self.nothing_shared = true;
        self
    }

    pub(super) fn client(&self) -> &Client {
        self.client
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// An object in a namespace of the scope.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<Answer<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned,
    {
        self.admit(namespace, K::KIND)?;
        self.client.get(namespace, name).await
    }

    /// Objects in a namespace of the scope; "" (all namespaces) needs the scope `Cluster`.
    pub async fn list<K>(&self, namespace: &str, query: &ListQuery) -> Result<Answer<Listing<K>>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned,
    {
        self.admit(namespace, K::KIND)?;
        self.client.list(namespace, query).await
    }

    /// Objects without a namespace: the shared kinds in every scope, the rest in the scope `Cluster`.
    pub async fn list_shared<K>(&self) -> Result<Answer<Listing<K>>, Error>
    where
        K: Resource<Scope = k8s_openapi::ClusterResourceScope> + DeserializeOwned,
    {
        if !SHARED_KINDS.contains(&K::URL_PATH_SEGMENT) && self.scope != Scope::Cluster {
            return Err(Error::Refused(format!("{} lie outside the scope {:?}", K::KIND, self.scope)));
        }
        self.admit_shared(K::KIND)?;
        self.client.list("", &ListQuery::default()).await
    }

    /// The lease of the scheduler or the controller manager, or of a node: a time and a holder, in every scope.
    pub async fn lease(&self, name: &str, of_node: bool) -> Result<Answer<Lease>, Error> {
        self.admit_shared("Lease")?;
        if !of_node && !COMPONENT_LEASES.contains(&name) {
            return Err(Error::Refused(format!("lease {name} is not one of a component")));
        }
        self.client.get(if of_node { NODE_LEASE_NAMESPACE } else { SYSTEM_NAMESPACE }, name).await
    }

    /// What befell these nodes, in every scope: events of a few reasons, and of no other node.
    pub async fn node_events(&self, nodes: &BTreeSet<String>) -> Result<Answer<Listing<Event>>, Error> {
        self.admit_shared("Event")?;
        let query = ListQuery::fields("involvedObject.kind=Node");
        let mut answer = self.client.list::<Event>(NODE_EVENTS_NAMESPACE, &query).await?;
        answer.value.items.retain(|event| {
            let object = &event.involved_object;
            object.kind.as_deref() == Some("Node")
                && object.name.as_ref().is_some_and(|name| nodes.contains(name))
                && event.reason.as_deref().is_some_and(|reason| NODE_EVENT_REASONS.contains(&reason))
        });
        Ok(answer)
    }

    /// The namespace itself, where the scope allows what is in it.
    pub async fn namespace(&self, name: &str) -> Result<Answer<Namespace>, Error> {
        self.admit(name, "Namespace")?;
        self.client.get("", name).await
    }

    /// How many ready addresses stand behind a Service that a webhook or an API names, wherever it is; None
    /// when there is no such Service. Gives out the number only.
    pub async fn ready_behind(&self, namespace: &str, service: &str) -> Result<Answer<Option<i64>>, Error> {
        self.admit_shared("Service")?;
        let known = self.client.get::<Service>(namespace, service).await;
        if let Err(Error::NotFound) = known {
            let query = format!("GET /api/v1/namespaces/{namespace}/services/{service}");
            return Ok(Answer { value: None, date: None, query, milliseconds: 0 });
        }
        known?;
        let query = ListQuery::labels(format!("kubernetes.io/service-name={service}"));
        let slices = self.client.list::<EndpointSlice>(namespace, &query).await?;
        let endpoints = slices.value.items.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let ready: BTreeSet<&str> = endpoints
            .filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true))
            .flat_map(|endpoint| endpoint.addresses.iter().map(String::as_str))
            .collect();
        let count = i64::try_from(ready.len()).unwrap_or(i64::MAX);
        Ok(Answer {
            value: Some(count),
            date: slices.date,
            query: slices.query,
            milliseconds: slices.milliseconds,
        })
    }

    pub async fn names<K>(&self, namespace: &str) -> Result<Answer<Vec<String>>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope>
            + k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
    {
        self.admit(namespace, K::KIND)?;
        self.client.names::<K>(namespace).await
    }

    pub async fn log(&self, namespace: &str, pod: &str, query: &LogQuery) -> Result<Answer<String>, Error> {
        self.admit(namespace, "log")?;
        if self.own_pods_only && !self.pods.contains(pod) {
            return Err(Error::Refused(format!("pod {pod} is not one of the workload's")));
        }
        self.client.log(namespace, pod, query).await
    }

    pub async fn readyz(&self) -> Result<Answer<String>, Error> {
        self.client.readyz().await
    }

    pub async fn cluster_time(&self) -> chrono::DateTime<chrono::Utc> {
        self.client.cluster_time().await
    }

    /// Sums of requests per node. Reads pods of all namespaces, gives out sums only.
    pub async fn requested_per_node(
        &self,
        sum: impl Fn(&Pod) -> Requested,
    ) -> Result<Answer<BTreeMap<String, Requested>>, Error> {
        self.admit_shared("Pod")?;
        let answer = self.client.list::<Pod>("", &ListQuery::default()).await?;
        if answer.value.truncated {
            return Err(Error::Unavailable("too many pods to add up".to_owned()));
        }
        let mut sums: BTreeMap<String, Requested> = BTreeMap::new();
        for pod in &answer.value.items {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            let (Some(node), false) = (node, matches!(phase, Some("Succeeded" | "Failed"))) else { continue };
            let (one, total) = (sum(pod), sums.entry(node.to_owned()).or_default());
            total.cpu_millis += one.cpu_millis;
            total.memory_bytes += one.memory_bytes;
            for (resource, millis) in one.other_millis {
                *total.other_millis.entry(resource).or_default() += millis;
            }
            total.host_ports.extend(one.host_ports);
            total.pods += 1;
        }
        Ok(Answer { value: sums, date: answer.date, query: answer.query, milliseconds: answer.milliseconds })
    }

    /// What belongs to no namespace of the scope.
    pub(super) fn admit_shared(&self, what: &str) -> Result<(), Error> {
        if self.nothing_shared {
            return Err(Error::Refused(format!(
                "{what} that belongs to no namespace; only namespaces are readable"
            )));
        }
        Ok(())
    }

    pub(super) fn admit(&self, namespace: &str, what: &str) -> Result<(), Error> {
        if self.scope.allows(namespace) {
            return Ok(());
        }
        let place = if namespace.is_empty() { "all namespaces" } else { namespace };
        Err(Error::Refused(format!("{what} of {place} lies outside the scope {:?}", self.scope)))
    }
}
