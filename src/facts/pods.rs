//! What runs: pods, their containers, what they name and whom they call. Pure data; the same conventions as all facts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodFact {
    pub name: String,
    pub namespace: String,
    /// Pending, Running, Succeeded, Failed, Unknown.
    pub phase: String,
    /// status.reason: Evicted, OutOfcpu, NodeShutdown, …
    pub reason: String,
    pub message: String,
    pub node: String,
    /// yes, no or unknown; unknown too while it has no node.
    pub node_exists: String,
    pub ready: bool,
    /// Ready, or finished as it should; false counts into the blast radius.
    pub healthy: bool,
    pub scheduled: bool,
    /// The PodScheduled condition's reason and message while it is False.
    pub unscheduled_reason: String,
    pub unscheduled_message: String,
    /// Constraints that keep it from every node which is otherwise eligible (names as in `placements`, and
    /// claim, volume-limit, device): by comparison with the nodes, or the only one that the scheduler names.
    pub blocked_by: Vec<String>,
    /// nodes, message or "" where neither decides.
    pub blocked_from: String,
    pub scheduler_name: String,
    /// Names of its scheduling gates.
    pub gates: Vec<String>,
    pub terminating: bool,
    pub finalizers: Vec<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub age_seconds: i64,
    /// Direct controller: ReplicaSet, StatefulSet, DaemonSet, Job, … and its name; "" for a bare pod.
    pub owner_kind: String,
    pub owner_name: String,
    /// Deployment revision this pod belongs to, "" where there is none.
    pub revision: String,
    pub labels: BTreeMap<String, String>,
    pub service_account: String,
    /// Who answers its lookups: cluster, node (dnsPolicy Default, or a pod in the node's network that does not
    /// say ClusterFirstWithHostNet) or own (dnsPolicy None). Only the cluster's knows Services.
    pub resolver: String,
    pub qos: String,
    pub restarts: i64,
    /// Sums over containers as the scheduler counts them; 0 where nothing is requested.
    pub cpu_request_millis: i64,
    pub memory_request_bytes: i64,
    pub node_selector: BTreeMap<String, String>,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerFact {
    pub pod: String,
    pub namespace: String,
    pub name: String,
    /// main, init or sidecar (an init container with restartPolicy Always).
    pub role: String,
    pub image: String,
    /// command and args joined by spaces, as the pod spec has them; "" uses the image's own.
    pub command: String,
    pub ready: bool,
    pub restarts: i64,
    /// waiting, running, terminated or "" (no status yet).
    pub state: String,
    pub waiting_reason: String,
    /// Redacted; for image pulls the registry's own words.
    pub waiting_message: String,
    pub running_since: Option<DateTime<Utc>>,
    /// The end that matters: the current one if terminated, else the last one. -1: never ended, or so long
    /// before it runs as it does now that the end says nothing.
    pub exit_code: i64,
    /// OOMKilled, Error, Completed, StartError, ContainerCannotRun, … or "".
    pub exit_reason: String,
    pub exit_message: String,
    pub exited_at: Option<DateTime<Utc>>,
    /// How long it ran before that end, in seconds; -1 unknown.
    pub ran_seconds: i64,
    /// A `Killing` event says that a liveness or startup probe failed, for this container, still fresh.
    pub killed_by_probe: bool,
    /// The probe's own last failure text per kind (from fresh `Unhealthy` events), or "".
    pub liveness_failure: String,
    pub readiness_failure: String,
    pub startup_failure: String,
    /// One line per probe: "http-get :8080/ready every 5s timeout 1s failure 3 delay 0s", or "".
    pub liveness: String,
    pub readiness: String,
    pub startup: String,
    /// As written in the spec ("200m", "32Mi"), "" when unset.
    pub cpu_request: String,
    pub cpu_limit: String,
    pub memory_request: String,
    pub memory_limit: String,
    /// Bytes, 0 when unset.
    pub memory_limit_bytes: i64,
    /// It has none of its own: the limit is its pod's, and all containers share it.
    pub memory_limit_shared: bool,
    /// Whether this container is part of what is wrong (not ready, waiting for a bad reason, failing).
    pub failing: bool,
    /// Class of the line below: refused, dns, timeout, auth, permission, missing-variable, disk-full,
    /// bind-conflict, panic, certificate, heap, migration, missing-file, missing-relation, error or "".
    pub log_class: String,
    /// The log line that says most about the failure, redacted, verbatim in `log_evidence`; or "".
    pub log_line: String,
    pub log_at: Option<DateTime<Utc>>,
    /// Observation id of the log excerpt, "" when no log was read.
    pub log_evidence: String,
    /// Last lines of the log that was read (redacted, at most 20).
    pub log_tail: Vec<String>,
    pub evidence: String,
    pub quote: String,
}

/// A ConfigMap, Secret or ServiceAccount that a pod names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceFact {
    pub kind: String,
    pub name: String,
    pub namespace: String,
    /// Where it is used: "env DATABASE_URL of container user", "volume config", "envFrom of container a".
    pub used_by: String,
    /// "" when the whole object is used.
    pub key: String,
    pub optional: bool,
    /// yes, no or unknown. Secrets are never read: theirs is "no" only when the kubelet or an event says so.
    pub exists: String,
    /// yes, no or unknown; for ConfigMaps with a `key`.
    pub key_exists: String,
    /// Pods that name it and wait because of it.
    pub waiting_pods: Vec<String>,
    /// Names that look alike in the same namespace.
    pub similar: Vec<String>,
    pub evidence: String,
    pub quote: String,
}

/// A peer that a failing container's log names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DependencyFact {
    /// Container whose log names it.
    pub pod: String,
    pub container: String,
    /// As the log has it: `redis-cart`, `db.prod.svc`, `10.0.0.7`; "" when the line names no host.
    pub host: String,
    /// -1 when the line has none.
    pub port: i64,
    /// As in `ContainerFact::log_class`: refused, dns, timeout, …; waiting where an init container says that
    /// it waits for the peer.
    pub class: String,
    /// Name of the Service that this is, found by name or by its address; "" where there is none.
    pub service: String,
    /// yes, no or unknown: is there a Service of that name in the namespace?
    pub service_exists: String,
    /// Ready addresses behind it, -1 unknown.
    pub ready_endpoints: i64,
    pub evidence: String,
    pub quote: String,
}
