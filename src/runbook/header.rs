//! The header's fields, as authors write them. An unknown key is an error, because a misspelt `scope`
//! would otherwise be a rule that nobody enforces. Pure data.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use crate::signature::Spec;

/// In front of an MCP server's name in `tools`: a misspelt name of our own stays a fault.
pub(super) const MCP: &str = "mcp:";

/// How far a tool call may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Workload,
    #[default]
    Namespace,
    Cluster,
}

/// A group of tools that a model may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Tool {
    Kubernetes,
    Prometheus,
    Loki,
    Tempo,
    /// The tools of one of `mcp_servers`, by the server's name. What they read is not held to the scope, so
    /// they are there only where a header names them.
    Mcp(String),
}

impl Tool {
    /// What a header without `tools` allows.
    pub const ALL: [Self; 4] = [Self::Kubernetes, Self::Prometheus, Self::Loki, Self::Tempo];
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes => f.write_str("kubernetes"),
            Self::Prometheus => f.write_str("prometheus"),
            Self::Loki => f.write_str("loki"),
            Self::Tempo => f.write_str("tempo"),
            Self::Mcp(server) => write!(f, "{MCP}{server}"),
        }
    }
}

impl TryFrom<String> for Tool {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if let Some(server) = name.strip_prefix(MCP).filter(|server| !server.is_empty()) {
            return Ok(Self::Mcp(server.to_owned()));
        }
        Self::ALL.into_iter().find(|tool| tool.to_string() == name).ok_or_else(|| {
            format!("unknown tool `{name}`; there are kubernetes, prometheus, loki, tempo and {MCP}NAME of mcp_servers")
        })
    }
}

impl From<Tool> for String {
    fn from(tool: Tool) -> Self {
        tool.to_string()
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
