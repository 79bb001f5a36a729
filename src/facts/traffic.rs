//! Rows about the way of traffic to a workload beyond its Services: routes of Ingresses, network policies,
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
