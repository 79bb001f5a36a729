//! The buttons below a summary: an investigation's id goes in, an actions block comes out. What a press brings back is
//! read here too, so that both ends know the same words. Pure.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::words::Words;

/// What a button asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Helpful,
    NotHelpful,
    Rerun,
    /// Mutes the cause for the workload.
    NotAProblem,
    Evidence,
}

impl Action {
    pub const ALL: [Self; 5] =
        [Self::Helpful, Self::NotHelpful, Self::Rerun, Self::NotAProblem, Self::Evidence];

    /// As it stands in a payload.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helpful => "whodunit_helpful",
            Self::NotHelpful => "whodunit_not_helpful",
            Self::Rerun => "whodunit_rerun",
            Self::NotAProblem => "whodunit_not_a_problem",
            Self::Evidence => "whodunit_evidence",
        }
    }

    /// None: no button of ours.
    pub fn from_id(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }

    fn label(self, words: &Words) -> &'static str {
        match self {
            Self::Helpful => words.button_helpful,
            Self::NotHelpful => words.button_not_helpful,
            Self::Rerun => words.button_rerun,
            Self::NotAProblem => words.button_not_a_problem,
            Self::Evidence => words.button_evidence,
        }
    }
}

/// What can be done about an investigation's report.
pub(super) fn buttons(words: &Words, investigation: Uuid, actions: &[Action]) -> Value {
    let elements: Vec<Value> = actions
        .iter()
        .map(|action| {
            json!({
                "type": "button", "action_id": action.as_str(), "value": investigation.to_string(),
                "text": {"type": "plain_text", "text": action.label(words), "emoji": true},
            })
        })
        .collect();
    json!({"type": "actions", "elements": elements})
}
