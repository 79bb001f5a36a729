//! What the service asks a Job and what it answers, as JSON. Pure; both ends are of one version, because the Job runs
//! the service's own image.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alert::Alert;
use crate::evidence::Wanted;
use crate::facts::Facts;
use crate::source::kubernetes::Scope;
use crate::tool::{Bounds, Found, Refusal};
use crate::workload::Workload;

/// Most bytes of one answer as it is sent. Facts with all that was read have a few megabytes at most.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// One thing to be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    Gather { workload: Workload, alerts: Vec<Alert>, scope: Scope, wanted: Wanted },
    Call { tool: String, arguments: Value, bounds: Bounds },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Facts(Box<Facts>),
    Found(Found),
    Refused(Refusal),
    /// The question could not be answered at all.
    Failed(String),
}

/// A question under its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Numbered {
    pub number: i32,
    pub question: Question,
}

/// What a Job says when it asks for questions: the highest number that it has seen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Next {
    pub after: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Questions {
    pub questions: Vec<Numbered>,
}
