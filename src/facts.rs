//! What is known about a workload: plain rows that runbooks judge with CEL and people read.
//! Comes from `evidence`, goes to `signature` and `investigation`. Pure data, no nulls: absent text is "",
//! absent numbers are -1 where 0 means something, so that conditions in runbooks stay short.
//!
//! Every row names the observation it was read from (`evidence`, an id like `E3`) and carries a `quote`:
//! one line that stands verbatim in that observation's text. A finding quotes rows; code checks the quote.

mod control;
mod controllers;
mod placement;
mod pods;
mod scraping;
mod traffic;
mod usage;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use usage::{AlertRuleFact, UsageFact};

use crate::report::{Affected, Changed, Gap, TimelineEntry};
use crate::workload::Workload;
pub use control::{ApiServiceFact, EditFact, LeaseFact, QuotaFact, WebhookFact};
pub use controllers::{Change, CronJobFact, HpaFact, JobFact, RolloutFact};
pub use placement::{ClaimFact, PlacementFact, VolumeFact};
pub use pods::{ContainerFact, DependencyFact, PodFact, ReferenceFact};
pub use scraping::TargetFact;
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
    #[serde(default)]
    pub targets: Vec<TargetFact>,
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
    /// When the trouble began, and what changed at about that time, the likeliest to matter first.
    #[serde(default)]
    pub onset_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub changed: Vec<Changed>,
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
            targets: Vec::new(),
            ingresses: Vec::new(),
            policies: Vec::new(),
            budgets: Vec::new(),
            leases: Vec::new(),
            webhooks: Vec::new(),
            api_services: Vec::new(),
            edits: Vec::new(),
            timeline: Vec::new(),
            onset_at: None,
            changed: Vec::new(),
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
