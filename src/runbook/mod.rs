//! The runbook that fits: markdown with a YAML header, from the binary, a git repository and folders. Text comes in,
//! runbooks, the chosen one and every fault with its place go out. A chosen runbook's header is law for what
//! follows; this room only reads it and never acts on it.

mod builtin;
mod catalogue;
mod check;
mod choose;
mod folder;
mod header;
mod parse;
mod repository;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use builtin::FOLDER as BUILTIN_FOLDER;
pub use catalogue::Catalogue;
pub use check::check;
pub use choose::{Choice, choose, explain};
pub use folder::{CASES_FOLDER, Snapshot};
pub use header::{Budget, Scope, Tool};
pub use parse::parse;
pub use repository::{Pulled, Repository};
pub use schema::schema;

use crate::signature::Signature;
use header::Match;

/// A runbook, ready to be followed.
#[derive(Debug, Clone)]
pub struct Runbook {
    pub name: String,
    /// Where it was read: a path as the folder was given, `git:team/disk.md`, or `builtin/kubernetes/image.md`.
    pub path: String,
    pub builtin: bool,
    pub matches: Match,
    pub scope: Scope,
    /// The sources and tools that may be asked; empty in the header means all.
    pub tools: Vec<Tool>,
    pub cautions: Vec<String>,
    pub budget: Budget,
    pub signatures: Vec<Signature>,
    pub owner: String,
    /// The guidance, without the header.
    pub text: String,
    /// Names this state of it in reports: the repository's commit, or a hash of the file's content.
    pub revision: String,
}

/// Something wrong in a runbook, where a person can find it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub path: String,
    /// 1-based; 1:1 for what concerns the whole file.
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)
    }
}

/// Runbooks are shared between the catalogue and the investigations that follow them.
pub type Shared = Arc<Runbook>;

/// What is in force and what is not, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// One line each. What a file said before may still be in force.
    pub faults: Vec<String>,
    /// The repository's commit, where runbooks are pulled from one.
    pub commit: Option<String>,
}
