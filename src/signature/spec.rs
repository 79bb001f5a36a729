//! A signature as its author writes it, in YAML. Each text keeps its place in the file, so that a fault can
//! be told with line and column. Pure data; nothing is judged here.

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::report::{Category, Risk};

/// Rank of a signature that names none. Higher goes first.
const DEFAULT_RANK: i64 = 50;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Stable kebab-case name: it stands in reports, statistics and other signatures' `explains`.
    pub id: Spanned<String>,
    /// The table of Facts whose rows are judged, or `workload` (one row).
    pub over: Spanned<String>,
    /// CEL, true for a row that shows the failure.
    pub when: Spanned<String>,
    pub category: Category,
    /// What is at fault; unset means the workload.
    pub object: Option<ObjectSpec>,
    /// What broke, where and why, in one or two plain sentences, with `{{CEL}}` in it.
    pub statement: Spanned<String>,
    /// CEL that gives rows (or lists of rows) which prove it.
    #[serde(default)]
    pub evidence: Vec<Spanned<String>>,
    /// Ids of signatures that are consequences of this one.
    #[serde(default)]
    pub explains: Vec<Spanned<String>>,
    #[serde(default = "default_rank")]
    pub rank: i64,
    pub fix: Vec<FixSpec>,
    /// How it differs from its neighbours, for the next author.
    #[serde(default)]
    pub not: String,
    /// It says what can be seen and knows no cause: alone it explains nothing.
    #[serde(default)]
    pub catch_all: bool,
}

fn default_rank() -> i64 {
    DEFAULT_RANK
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectSpec {
    pub kind: Spanned<String>,
    /// "" for cluster-scoped kinds.
    pub namespace: Spanned<String>,
    pub name: Spanned<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixSpec {
    pub text: Spanned<String>,
    /// Values put into a command are quoted for a shell where they need it.
    pub command: Option<Spanned<String>>,
    /// CEL; unset means always. A rollback is only offered where there is something to roll back to.
    pub when: Option<Spanned<String>>,
    pub risk: Risk,
}
