//! Rows about where a pod may run and which volume a claim may have: one row for each constraint that stands
//! in the way, with how many candidates it covers. Comes from `evidence`, goes to `signature`. It judges nothing.

use serde::{Deserialize, Serialize};

/// One pod that waits for a node, and one constraint that nodes fail.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PlacementFact {
    pub pod: String,
    pub namespace: String,
    /// node-selector, node-affinity, volume-affinity, taint, cordon, cpu, memory, resource, pod-limit,
    /// host-port, pod-affinity, pod-anti-affinity, topology-spread.
    pub constraint: String,
    /// What exactly: `disktype=ssd`, `dedicated=db:NoSchedule`, `nvidia.com/gpu`, `8080/TCP`.
    pub detail: String,
    /// What the pod asks for and the most that a node has left, where both are quantities: "64", "1930m".
    pub wants: String,
    pub most_free: String,
    /// Even an empty node would be too small: the request exceeds every allocatable.
    pub never_fits: bool,
    /// Nodes that fail it, at most twenty of them by name, and how many in all.
    pub nodes: Vec<String>,
    pub failing: i64,
    /// Nodes that there are, and those that nothing else which is meant to keep the pod away keeps it from.
    pub total: i64,
    pub eligible: i64,
    /// Of the eligible ones, those that fail it.
    pub covers: i64,
    /// It alone covers every otherwise eligible node: without it the pod could run.
    pub decides: bool,
    pub evidence: String,
    pub quote: String,
}

/// One claim that is not bound, and one reason for which PersistentVolumes do not fit it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeFact {
    pub claim: String,
    pub namespace: String,
    /// access-mode, capacity, selector, class, volume-mode, taken, released, failed, name, or none (there
    /// is no PersistentVolume at all).
    pub mismatch: String,
    /// What the claim wants beside what the nearest volume has: `ReadWriteMany`, `ReadWriteOnce`.
    pub wants: String,
    pub has: String,
    /// Volumes that fail it, at most twenty by name, and how many in all.
    pub volumes: Vec<String>,
    pub failing: i64,
    pub total: i64,
    /// Some volume would fit but for this.
    pub decides: bool,
    /// The volume that comes nearest, and the claim that it belongs or belonged to.
    pub nearest: String,
    pub nearest_claim: String,
    /// Pods of the workload that mount the claim.
    pub pods: Vec<String>,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimFact {
    pub name: String,
    pub namespace: String,
    /// Does the claim itself exist?
    pub exists: bool,
    /// Pending, Bound, Lost or "".
    pub phase: String,
    pub storage_class: String,
    /// yes, no or unknown (could not be read).
    pub class_exists: String,
    /// The claim says with an empty class that only volumes made by people will do.
    pub static_only: bool,
    /// The cluster's default class, "" for none or unknown.
    pub default_class: String,
    /// Immediate or WaitForFirstConsumer, "" when the class could not be read.
    pub binding_mode: String,
    /// The scheduler has chosen a node for it.
    pub node_selected: bool,
    pub provisioner: String,
    pub terminating: bool,
    /// Types of its conditions that are True: Resizing, FileSystemResizePending, …
    pub conditions: Vec<String>,
    pub age_seconds: i64,
    pub requested: String,
    pub access_modes: Vec<String>,
    pub volume: String,
    /// Pods of the workload that mount it.
    pub pods: Vec<String>,
    /// Newest fresh Warning about it.
    pub event_reason: String,
    pub event_message: String,
    pub evidence: String,
    pub quote: String,
}
