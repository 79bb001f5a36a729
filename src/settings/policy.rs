//! Policies and quotas: what is done about which alerts, and what a namespace may cost. Keys of the settings come in;
//! `policy` reads them, and decides.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is done about the alerts that fit. The first policy that fits holds; what it leaves out is as in the settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// In reports, in the log and for its money.
    pub name: String,
    /// Empty fits everything.
    #[serde(rename = "match", default)]
    pub matches: PolicyMatch,
    #[serde(default)]
    pub investigate: Investigate,
    /// In place of `intake.settle_secs`, for critical alerts too.
    #[serde(default)]
    pub settle_secs: Option<u64>,
    /// In place of `intake.cooldown_secs`.
    #[serde(default)]
    pub cooldown_secs: Option<u64>,
    /// In place of `agent`'s limits of one run; a runbook lowers these too.
    #[serde(default)]
    pub budget: PolicyBudget,
    /// Names of `models`, tried in this order. Empty: all of them, in theirs.
    #[serde(default)]
    pub models: Vec<String>,
    /// In place of what `slack.routes` would choose.
    #[serde(default)]
    pub channel: Option<String>,
    /// Dollars of all runs under this policy within 24 hours.
    #[serde(default)]
    pub usd_per_day: Option<f64>,
}

/// How much is done about an alert; later ones are stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Investigate {
    /// Signatures first, then a model for what they do not explain.
    #[default]
    Always,
    /// No model is asked.
    SignaturesOnly,
    /// Stored, and that is all.
    Never,
}

impl Investigate {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::SignaturesOnly => "signatures-only",
            Self::Never => "never",
        }
    }
}

/// All given keys must hold; lists are alternatives; every text is a glob.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyMatch {
    pub alerts: Vec<String>,
    /// Name and value; they and `alerts` have to hold for one and the same alert.
    pub labels: BTreeMap<String, String>,
    pub namespaces: Vec<String>,
    pub clusters: Vec<String>,
    pub severities: Vec<String>,
    pub times: Vec<Times>,
}

/// A part of the week.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    /// An IANA name, as in Europe/Berlin. Empty: UTC.
    pub zone: String,
    /// `mon`, `tue`, … or ranges as in `mon-fri`. Empty: every day.
    pub days: Vec<String>,
    /// `HH:MM`. Unset: the day's beginning, and its end. Where `from` is after `to` it ends on the next day.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// Limits of one run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyBudget {
    pub steps: Option<u32>,
    pub seconds: Option<u64>,
    pub tokens: Option<u64>,
    pub usd: Option<f64>,
}

/// What each namespace that fits may cost within 24 hours, by itself. The first quota that fits holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Globs. Nodes and other things without a namespace have no quota.
    pub namespaces: Vec<String>,
    /// Globs. Empty: every cluster.
    pub clusters: Vec<String>,
    pub usd_per_day: Option<f64>,
    /// Investigations that ask a model.
    pub investigations_per_day: Option<u32>,
}
