//! The header's fields, as authors write them. An unknown key is an error, because a misspelt `scope`
//! would otherwise be a rule that nobody enforces. Pure data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use crate::signature::Spec;

/// How far a tool call may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Workload,
    #[default]
    Namespace,
    Cluster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    Kubernetes,
    Prometheus,
    Loki,
    Tempo,
}

impl Tool {
    pub const ALL: [Self; 4] = [Self::Kubernetes, Self::Prometheus, Self::Loki, Self::Tempo];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Prometheus => "prometheus",
            Self::Loki => "loki",
            Self::Tempo => "tempo",
        }
    }
}

/// Limits of one investigation under this runbook; unset ones are the service's own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    pub steps: Option<u32>,
    pub seconds: Option<u64>,
    pub tokens: Option<u64>,
    pub usd: Option<f64>,
}

/// All given keys must hold; lists are alternatives; every text is a glob.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    pub alerts: Vec<String>,
    pub namespaces: Vec<String>,
    pub workload: MatchWorkload,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchWorkload {
    pub kind: Option<String>,
    pub name: Option<String>,
}

impl Match {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every glob in it.
    pub fn globs(&self) -> impl Iterator<Item = &str> {
        let lists = self.alerts.iter().chain(&self.namespaces);
        let workload = self.workload.kind.iter().chain(&self.workload.name);
        lists.chain(workload).chain(self.labels.values()).map(String::as_str)
    }
}

/// The whole header.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Header {
    pub name: Option<Spanned<String>>,
    #[serde(rename = "match")]
    pub matches: Option<Spanned<Match>>,
    pub scope: Scope,
    pub tools: Vec<Tool>,
    pub cautions: Vec<String>,
    pub budget: Budget,
    pub signatures: Vec<Spec>,
    pub owner: String,
}
