//! `kubernetes_get`: one object, condensed. The whole object, screened, is kept for the ledger.

use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, Words};
use super::reach::Reach;
use super::{condense, found};
use crate::tool::{Found, Refusal};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    pub kind: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub namespace: Option<String>,
}

impl Arguments {
    pub fn asked(&self) -> Result<Asked, Refusal> {
        let words = Words {
            kind: Some(&self.kind),
            name: self.name.as_deref(),
            namespace: self.namespace.as_deref(),
            default_kind: "Pod",
        };
        Asked::understand(&words)?.named()
    }
}

pub async fn answer(reach: &Reach<'_>, arguments: Arguments) -> Result<Found, Refusal> {
    let asked = arguments.asked()?;
    let namespace = reach.one_namespace(&asked)?;
    let answer = reach.object(asked.kind, &namespace, &asked.name).await?;
    let lines = condense::lines(asked.kind, &answer.value, reach.bounds.now);
    Ok(found(answer.query, lines.join("\n"), pretty(&answer.value)))
}

/// JSON with one field a line, as the ledger keeps it.
pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
