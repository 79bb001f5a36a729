//! What is known about a workload: plain rows that runbooks judge with CEL and people read.
//! Comes from `evidence`, goes to `signature` and `investigation`. Pure data, no nulls: absent text is "",
//! absent numbers are -1 where 0 means something, so that conditions in runbooks stay short.
//!
//! Every row names the observation it was read from (`evidence`, an id like `E3`) and carries a `quote`:
//! one line that stands verbatim in that observation's text. A finding quotes rows; code checks the quote.

mod control;
mod placement;
mod traffic;
mod usage;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use usage::{AlertRuleFact, UsageFact};

use crate::report::{Affected, Gap, TimelineEntry};
use crate::workload::Workload;
pub use control::{ApiServiceFact, EditFact, LeaseFact, QuotaFact, WebhookFact};
pub use placement::{ClaimFact, PlacementFact, VolumeFact};
pub use traffic::{BudgetFact, IngressFact, PolicyFact, ServiceFact};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    pub workload: Workload,
    /// The cluster's own time of the observation: event ages are counted from here, not from our clock.
    pub observed_at: DateTime<Utc>,
    /// Names of the firing alerts.
    pub alerts: Vec<String>,
    pub pods: Vec<PodFact>,
    pub containers: Vec<ContainerFact>,
    pub rollouts: Vec<RolloutFact>,
    pub events: Vec<EventFact>,
    pub nodes: Vec<NodeFact>,
    pub claims: Vec<ClaimFact>,
    pub references: Vec<ReferenceFact>,
    pub services: Vec<ServiceFact>,
    pub quotas: Vec<QuotaFact>,
    pub jobs: Vec<JobFact>,
    pub cronjobs: Vec<CronJobFact>,
    pub hpas: Vec<HpaFact>,
    pub dependencies: Vec<DependencyFact>,
    #[serde(default)]
    pub placements: Vec<PlacementFact>,
    #[serde(default)]
    pub volumes: Vec<VolumeFact>,
    #[serde(default)]
    pub usage: Vec<UsageFact>,
    #[serde(default)]
    pub alert_rules: Vec<AlertRuleFact>,
    pub ingresses: Vec<IngressFact>,
    #[serde(default)]
    pub policies: Vec<PolicyFact>,
    #[serde(default)]
    pub budgets: Vec<BudgetFact>,
    #[serde(default)]
    pub leases: Vec<LeaseFact>,
    #[serde(default)]
    pub webhooks: Vec<WebhookFact>,
    #[serde(default)]
    pub api_services: Vec<ApiServiceFact>,
    #[serde(default)]
    pub edits: Vec<EditFact>,
    pub timeline: Vec<TimelineEntry>,
    pub affected: Affected,
    pub gaps: Vec<Gap>,
    /// Of a namespace or a node: the same facts as each workload in it sees them, and what belongs to none.
    /// Their quotes stand in the observations below; they have none of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Facts>,
    /// The ledger: everything that was read, redacted, in order E1, E2, …
    pub observations: Vec<Observation>,
}

impl Facts {
    pub fn empty(workload: Workload, observed_at: DateTime<Utc>) -> Self {
        Self {
            workload,
            observed_at,
            alerts: Vec::new(),
            pods: Vec::new(),
            containers: Vec::new(),
            rollouts: Vec::new(),
            events: Vec::new(),
            nodes: Vec::new(),
            claims: Vec::new(),
            references: Vec::new(),
            services: Vec::new(),
            quotas: Vec::new(),
            jobs: Vec::new(),
            cronjobs: Vec::new(),
            hpas: Vec::new(),
            dependencies: Vec::new(),
            placements: Vec::new(),
            volumes: Vec::new(),
            usage: Vec::new(),
            alert_rules: Vec::new(),
            ingresses: Vec::new(),
            policies: Vec::new(),
            budgets: Vec::new(),
            leases: Vec::new(),
            webhooks: Vec::new(),
            api_services: Vec::new(),
            edits: Vec::new(),
            timeline: Vec::new(),
            affected: Affected::default(),
            gaps: Vec::new(),
            parts: Vec::new(),
            observations: Vec::new(),
        }
    }
}

/// One answer of a source, condensed and redacted, as it is kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// `E1`, `E2`, …
    pub id: String,
    /// kubernetes, prometheus, loki, tempo.
    pub source: String,
    /// The request, repeatable by hand: `GET /api/v1/namespaces/shop/pods?labelSelector=app%3Dcatalog`.
    pub query: String,
    /// Redacted text, a line a row.
    pub text: String,
    /// Wall time of the request in milliseconds.
    pub milliseconds: u64,
}

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

/// A Deployment's (or StatefulSet's, DaemonSet's) newest revision beside the one before it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutFact {
    pub kind: String,
    pub name: String,
    pub namespace: String,
    pub paused: bool,
    pub desired: i64,
    pub updated: i64,
    pub ready: i64,
    pub available: i64,
    pub unavailable: i64,
    /// Reason of the Progressing condition while it is False (ProgressDeadlineExceeded), or "".
    pub stuck_reason: String,
    /// Reason and message of ReplicaFailure=True, or "".
    pub replica_failure: String,
    pub generation_lag: bool,
    pub revision: String,
    pub change_cause: String,
    /// ReplicaSet (or ControllerRevision) of the newest revision, when it was made.
    pub new_set: String,
    pub new_ready: i64,
    pub new_desired: i64,
    pub new_created_at: Option<DateTime<Utc>>,
    /// The last revision before it that is known to have been ready; "" where nothing tells.
    pub good_revision: String,
    /// That one, or else the one just before it; "" when there is none left.
    pub previous_revision: String,
    pub previous_change_cause: String,
    pub old_set: String,
    pub old_ready: i64,
    /// What the pod template changed from the previous revision to this one.
    pub changes: Vec<Change>,
    /// The changes on one line: `containers[checkout].command: "/bin/sh -c …" → "/bin/bash -c …"`.
    pub changes_text: String,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    pub from: String,
    pub to: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFact {
    /// Of the involved object.
    pub kind: String,
    pub name: String,
    pub namespace: String,
    /// The container that the event names, "" where it names none.
    pub container: String,
    /// `type`: Warning or Normal.
    pub level: String,
    pub reason: String,
    pub message: String,
    pub count: i64,
    pub first_at: Option<DateTime<Utc>>,
    pub last_at: Option<DateTime<Utc>>,
    /// Seconds between `last_at` and the observation.
    pub age_seconds: i64,
    pub component: String,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFact {
    pub name: String,
    /// True, False or Unknown.
    pub ready: String,
    pub ready_reason: String,
    pub ready_message: String,
    /// MemoryPressure, DiskPressure, PIDPressure, NetworkUnavailable, as far as True.
    pub pressures: Vec<String>,
    pub cordoned: bool,
    /// `key=value:Effect`.
    pub taints: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub zone: String,
    pub allocatable_cpu_millis: i64,
    pub allocatable_memory_bytes: i64,
    pub allocatable_pods: i64,
    /// Sums over the pods on it that have not finished; -1 when they could not be read.
    pub requested_cpu_millis: i64,
    pub requested_memory_bytes: i64,
    pub pods: i64,
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

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobFact {
    pub name: String,
    pub namespace: String,
    pub failed: bool,
    /// BackoffLimitExceeded, DeadlineExceeded, PodFailurePolicy, … or "".
    pub failed_reason: String,
    pub failed_message: String,
    pub complete: bool,
    pub suspended: bool,
    pub active: i64,
    pub succeeded: i64,
    pub failed_pods: i64,
    pub backoff_limit: i64,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The CronJob that made it, or "".
    pub cronjob: String,
    /// This is the newest job of its CronJob (true for a Job of its own).
    pub newest: bool,
    /// Class and line that say most about the failure, from the logs of its pods that are gone, or "".
    pub log_class: String,
    pub log_line: String,
    pub log_evidence: String,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CronJobFact {
    pub name: String,
    pub namespace: String,
    pub schedule: String,
    pub suspended: bool,
    /// The investigation is about this one, not about many workloads among which it is.
    pub is_subject: bool,
    pub active: i64,
    pub last_scheduled_at: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
    pub evidence: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HpaFact {
    pub name: String,
    pub namespace: String,
    pub target_kind: String,
    pub target_name: String,
    pub current: i64,
    pub desired: i64,
    pub min: i64,
    pub max: i64,
    /// Condition statuses: True, False or "".
    pub able_to_scale: String,
    pub scaling_active: String,
    pub scaling_limited: String,
    /// Reason and message of the first condition that is wrong (AbleToScale or ScalingActive False).
    pub reason: String,
    pub message: String,
    pub limited_reason: String,
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
