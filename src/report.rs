//! The result of an investigation: what the API returns, Slack shows and Postgres keeps.
//! A stable shape; fields are added, never renamed. Pure data.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::timeline::{Changed, Changing, Moment, Near, TimelineEntry};
use crate::workload::ObjectRef;

#[cfg(test)]
pub(crate) mod tests;
mod timeline;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A signature named the cause; no model was asked.
    KnownPattern,
    /// The agent found a cause and its evidence was verified.
    RootCause,
    /// Nothing explains the alert; the report says what was found and what is missing.
    Inconclusive,
    NotAnIncident,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KnownPattern => "known_pattern",
            Self::RootCause => "root_cause",
            Self::Inconclusive => "inconclusive",
            Self::NotAnIncident => "not_an_incident",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Code,
    Configuration,
    Image,
    Resources,
    Dependency,
    Platform,
    External,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    None,
    Low,
    High,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    pub outcome: Outcome,
    pub summary: String,
    pub cause: Option<Cause>,
    pub confidence: Confidence,
    pub affected: Affected,
    pub findings: Vec<Finding>,
    pub timeline: Vec<TimelineEntry>,
    /// When the trouble began: the alert's time, corrected by the first symptom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset_at: Option<DateTime<Utc>>,
    /// What changed at about that time, the likeliest to matter first. An order, no proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_first: Vec<Changed>,
    pub evidence: Vec<Evidence>,
    pub ruled_out: Vec<RuledOut>,
    pub next_steps: Vec<NextStep>,
    pub runbook: RunbookUse,
    pub cost: Cost,
    /// What could not be looked at, and why. Silence about a source would read as "nothing there".
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// What the agent claimed and could not prove: no part of the result, and not hidden either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<Unproven>,
    /// Somebody said that this cause is no problem on this workload: it was not announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<Muted>,
    /// The policy that held for this investigation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyUse>,
    /// A model would have been asked, and was not, or not to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBack>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyUse {
    /// `namespace/name` of one that a team owns.
    pub name: String,
    /// Which one it is in the settings, and why it fits; of a policy that a team owns, why that one does.
    pub reason: String,
}

/// Why no model was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldBack {
    pub why: Held,
    /// The policy by name; "" where it is none's doing.
    #[serde(default)]
    pub policy: String,
    /// The namespace whose quota it is; "" where it is none's.
    #[serde(default)]
    pub namespace: String,
    /// Dollars or investigations within 24 hours.
    #[serde(default)]
    pub limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The policy asks for signatures only.
    Policy,
    /// The policy's dollars of the day are spent.
    PolicyMoney,
    /// The namespace's dollars of the day are spent.
    NamespaceMoney,
    /// The namespace had its investigations of the day.
    NamespaceInvestigations,
}

/// How an investigation ended.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    Reported {
        report: &'a Report,
        /// What was told of the incident already.
        previous: Option<&'a Report>,
        /// Why this look was taken.
        reason: &'a str,
    },
    /// Every attempt failed, with the last error.
    GaveUp(&'a str),
}

/// An earlier investigation of the same workload.
#[derive(Debug, Clone)]
pub struct Before {
    pub at: DateTime<Utc>,
    pub report: Report,
    /// From first alert to last resolve, if it was over.
    pub lasted: Option<TimeDelta>,
    /// What people noted with it.
    pub note: Option<String>,
    /// Its page.
    pub url: Option<String>,
}

/// Why a report was not announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Muted {
    pub mute: Uuid,
    pub until: DateTime<Utc>,
    /// Who said so.
    pub by: String,
    pub reason: String,
}

/// A claim without evidence that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unproven {
    pub statement: String,
    /// What it lacks.
    pub why: String,
}

impl Report {
    /// Does it say the same as an earlier report: the same cause of the same object, or the same findings
    /// without a cause?
    pub fn agrees_with(&self, earlier: &Self) -> bool {
        let cause =
            |report: &Self| report.cause.as_ref().map(|cause| (cause.id.clone(), cause.object.clone()));
        let found = |report: &Self| {
            let findings = report.findings.iter().filter(|finding| finding.role == Role::Primary);
            findings.map(|finding| (finding.signature.clone(), finding.object.clone())).collect::<Vec<_>>()
        };
        self.outcome == earlier.outcome && cause(self) == cause(earlier) && found(self) == found(earlier)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// Stable kebab-case id of the signature, or the agent's category.
    pub id: String,
    pub category: Category,
    pub statement: String,
    pub object: ObjectRef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Primary,
    Secondary,
}

/// A signature that matched. Comes from `signature`, ranked: primary before secondary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    pub signature: String,
    pub role: Role,
    pub category: Category,
    pub object: ObjectRef,
    /// Where a namespace or a node was looked at: the workloads on which it was found, `Kind namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    pub statement: String,
    /// Ids into the report's evidence.
    pub evidence: Vec<String>,
    /// Verbatim quotes that prove it: (evidence id, text that stands in that observation).
    #[serde(skip)]
    pub quotes: Vec<(String, String)>,
    /// Where many workloads were looked at, each finding has steps of its own; else they are the report's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_steps: Vec<NextStep>,
    /// Signature ids that this finding explains when both match.
    #[serde(skip)]
    pub explains: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Radius {
    None,
    Pod,
    Workload,
    Node,
    Namespace,
    Namespaces,
    Cluster,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Affected {
    pub radius: Radius,
    /// `Kind namespace/name` of each affected workload.
    pub workloads: Vec<String>,
    pub pods: PodCount,
    /// What the affected have in common beyond their owner, e.g. "node node-3 (8 of 8)".
    pub shared_factor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PodCount {
    pub unhealthy: u32,
    pub total: u32,
}

impl Default for Affected {
    fn default() -> Self {
        Self {
            radius: Radius::None,
            workloads: Vec::new(),
            pods: PodCount { unhealthy: 0, total: 0 },
            shared_factor: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// `E1`, `E2`, …: the observation it stands in; several quotes may come from one.
    pub id: String,
    /// kubernetes, prometheus, loki, tempo.
    pub source: String,
    /// The request that anyone can repeat, e.g. `GET /api/v1/namespaces/shop/events`.
    pub query: String,
    pub quote: String,
    /// The quote was found, character for character, in the stored observation.
    pub verified: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuledOut {
    pub statement: String,
    pub evidence: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NextStep {
    pub text: String,
    /// "" where there is nothing to run.
    pub command: String,
    pub risk: Risk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// A runbook written for this alert or workload.
    Covered,
    /// Only a general runbook.
    Partial,
    None,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunbookUse {
    /// "" when none matched.
    pub name: String,
    pub revision: String,
    pub coverage: Coverage,
    /// Why this one was chosen, in words.
    #[serde(default)]
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Cost {
    pub steps: u32,
    pub input_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
    pub usd: f64,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// kubernetes, prometheus, loki, tempo, runbook.
    pub source: String,
    /// What was asked for.
    pub what: String,
    /// Why there is no answer: "403 Forbidden", "no answer within 10 s", "not configured".
    pub why: String,
}
