//! The arguments of `conclude`: the schema that is sent, and what a model made of it. Nothing here is believed.

use serde::Deserialize;
use serde_json::json;

use crate::investigation::verify::Quoted;
use crate::llm::ToolSchema;
use crate::report::Category;

/// The tool that ends a run.
pub const CONCLUDE: &str = "conclude";

/// What the tool takes.
pub fn schema() -> ToolSchema {
    let text = |about: &str| json!({"type": "string", "description": about});
    let plain = json!({"type": "string"});
    let quotes = json!({"type": "array", "items": {"type": "object",
        "properties": {"id": text("E7"), "quote": plain}, "required": ["id", "quote"]}});
    ToolSchema {
        name: CONCLUDE.to_owned(),
        description:
            "End the investigation. Each quote must stand verbatim in the observation it names; a cause \
                      without one is struck."
                .to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "outcome": {"type": "string", "enum": ["root_cause", "inconclusive", "not_an_incident"]},
                "summary": text("what broke, why, how far it reaches; 3 sentences"),
                "root_cause": text("one sentence: mechanism, not symptom"),
                "category": {"type": "string", "enum":
                    ["code", "configuration", "image", "resources", "dependency", "platform", "external"]},
                "object": {"type": "object", "properties":
                    {"kind": plain, "namespace": plain, "name": plain}, "required": ["kind", "name"]},
                "evidence": quotes,
                "ruled_out": {"type": "array", "items": {"type": "object",
                    "properties": {"statement": plain, "evidence": quotes}, "required": ["statement", "evidence"]}},
                "impact": text("who notices what"),
                "next_steps": {"type": "array", "items": {"type": "object", "properties":
                    {"text": plain, "command": text("one kubectl command"),
                     "risk": {"type": "string", "enum": ["none", "low", "high"]}}, "required": ["text"]}}
            },
            "required": ["outcome", "summary", "evidence"]
        }),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Claimed {
    RootCause,
    Inconclusive,
    NotAnIncident,
}

/// The arguments as a model wrote them.
#[derive(Debug, Clone, Deserialize)]
pub struct Conclusion {
    pub(super) outcome: Claimed,
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) root_cause: String,
    #[serde(default)]
    pub(super) category: Option<Category>,
    #[serde(default)]
    pub(super) object: Named,
    #[serde(default)]
    pub(super) evidence: Vec<Quoted>,
    #[serde(default)]
    pub(super) ruled_out: Vec<Excluded>,
    #[serde(default)]
    pub(super) impact: String,
    #[serde(default)]
    pub(super) next_steps: Vec<Advice>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Excluded {
    pub(super) statement: String,
    pub(super) evidence: Vec<Quoted>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Advice {
    pub(super) text: String,
    pub(super) command: String,
    pub(super) risk: String,
}

/// Reads the arguments, or says what is wrong with them, for the model.
pub fn read(arguments: &str) -> Result<Conclusion, String> {
    let conclusion: Conclusion = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    match conclusion.outcome {
        Claimed::RootCause if conclusion.root_cause.trim().is_empty() => {
            Err("outcome is root_cause, and root_cause is empty".to_owned())
        }
        Claimed::RootCause if conclusion.category.is_none() => {
            Err("outcome is root_cause, and category is missing".to_owned())
        }
        _ => Ok(conclusion),
    }
}
