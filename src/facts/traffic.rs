//! Rows about the way of traffic to a workload: Services, routes of Ingresses, network policies,
//! disruption budgets. Comes from `evidence`, goes to `signature`. It judges nothing.

use serde::{Deserialize, Serialize};

/// One backend of one Ingress.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressFact {
    pub name: String,
    pub namespace: String,
    /// "" where it names none.
    pub class: String,
    /// yes, no or unknown; for an Ingress without a class: is there a default one?
    pub class_exists: String,
    /// `shop.example.com/cart`, "" for the default backend.
    pub route: String,
    pub service: String,
    /// Number or name.
    pub port: String,
    /// yes, no or unknown.
    pub service_exists: String,
    pub port_exists: String,
    /// It has been given an address.
    pub has_address: bool,
    pub age_seconds: i64,
    pub evidence: String,
    pub quote: String,
}

/// A NetworkPolicy that selects pods of the workload, beside what all of them together let through.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyFact {
    pub name: String,
    pub namespace: String,
    /// Policies that select these pods admit nobody, or let nothing out.
    pub admits_nobody: bool,
    pub lets_nothing_out: bool,
    /// Nothing that leaves may go to port 53: names do not resolve.
    pub blocks_dns: bool,
    pub age_seconds: i64,
    pub evidence: String,
    pub quote: String,
}

/// A PodDisruptionBudget that selects pods of the workload.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetFact {
    pub name: String,
    pub namespace: String,
    /// `minAvailable 2` or `maxUnavailable 0`.
    pub rule: String,
    pub allowed: i64,
    pub healthy: i64,
    pub desired: i64,
    pub expected: i64,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFact {
    pub name: String,
    pub namespace: String,
    /// `app=catalog,tier=web`, keys sorted.
    pub selector: String,
    pub headless: bool,
    /// Ready and not-ready addresses over its EndpointSlices.
    pub ready_endpoints: i64,
    pub unready_endpoints: i64,
    /// Pods that carry all labels of the selector.
    pub selected_pods: i64,
    /// The selector matches the workload's pod template.
    pub selects_workload: bool,
    /// It selects nothing, yet its name or selector is close to this workload: probably meant for it.
    pub meant_for_workload: bool,
    /// `app: the Service wants "recommendation", the pods have "recommendations"`, joined by "; ".
    pub mismatch: String,
    /// `80→8080/TCP`, joined by ", ".
    pub ports: String,
    /// A number or named targetPort that no container of the selected pods declares, "" when all fit.
    pub missing_target_port: String,
    /// The missing one is a name: the Service gets no address for that port at all.
    pub missing_port_name: bool,
    /// None of its TCP ports leads to one that a container declares or is probed on, and this one answers
    /// readiness probes; "" otherwise.
    pub answering_port: String,
    /// `53/TCP: the containers declare 53/UDP`, "" when protocols fit.
    pub protocol_mismatch: String,
    /// ClusterIP, NodePort, LoadBalancer or ExternalName.
    pub service_type: String,
    pub external_name: String,
    /// The external name means a Service of this namespace, and there is none of that name.
    pub external_missing: bool,
    /// A LoadBalancer without an address.
    pub load_balancer_pending: bool,
    /// internal, external or "": which traffic only goes to pods on the same node.
    pub local_traffic: String,
    /// Ready nodes without a ready address behind a Service with such traffic.
    pub nodes_without_endpoint: Vec<String>,
    pub age_seconds: i64,
    pub evidence: String,
    pub quote: String,
}
