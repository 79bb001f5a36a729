//! How reports are worded. Keys of the settings come in; it decides nothing.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// A language's tag, as in `en`, `ko` or `pt-BR`.
    pub language: String,
}

impl Default for Report {
    fn default() -> Self {
        Self { language: "en".to_owned() }
    }
}
