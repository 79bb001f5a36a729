//! What makes and scales pods: rollouts, jobs and autoscalers. Pure data; the same conventions as all facts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
