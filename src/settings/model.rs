//! The models that may be asked, in order, and what may go to them. Keys of the settings come in; it decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

/// How a model is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Chat completions with tools: OpenAI, Azure, vLLM, Ollama, LiteLLM, KubeAI.
    #[serde(rename = "openai")]
    OpenAi,
    Anthropic,
    Bedrock,
}

/// One model; switching is one block of YAML.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Ours, for reports and metrics.
    pub name: String,
    pub provider: Provider,
    /// The provider's name of the model (Bedrock: model or inference profile id).
    pub model: String,
    /// Unset: the provider's own address.
    pub base_url: Option<String>,
    /// Path of the endpoint below `base_url`, where it is not the provider's usual one.
    pub path: Option<String>,
    /// Azure's `api-version` query parameter, Anthropic's `anthropic-version` header.
    pub api_version: Option<String>,
    pub api_key: Option<SecretString>,
    pub api_key_file: Option<PathBuf>,
    #[serde(default)]
    pub headers: BTreeMap<String, SecretString>,
    /// Bedrock's region; unset: AWS_REGION.
    pub region: Option<String>,
    #[serde(default = "default_context_tokens")]
    pub context_tokens: u64,
    #[serde(default = "default_max_output_tokens")]
    pub max_output_tokens: u32,
    #[serde(default)]
    pub usd_per_million: UsdPerMillion,
    /// Nothing received for this long ends a call, in seconds.
    #[serde(default = "default_idle_secs")]
    pub idle_secs: u64,
    /// A call ends after this, in seconds.
    #[serde(default = "default_total_secs")]
    pub total_secs: u64,
}

fn default_context_tokens() -> u64 {
    128_000
}

fn default_max_output_tokens() -> u32 {
    4_096
}

fn default_idle_secs() -> u64 {
    30
}

fn default_total_secs() -> u64 {
    120
}

/// Dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsdPerMillion {
    pub input: f64,
    pub output: f64,
    /// Input read from the provider's cache; unset costs as input does.
    pub cached: Option<f64>,
}

/// Limits of what goes to a model. A runbook's `budget` can only lower those of a run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    pub steps: u32,
    pub seconds: u64,
    /// Input and output over all steps of a run.
    pub tokens: u64,
    pub usd: f64,
    /// Dollars of all runs within 24 hours; beyond it the model is not asked.
    pub usd_per_day: f64,
    /// Deadline of one tool call, in seconds.
    pub tool_secs: u64,
}

impl Default for Agent {
    fn default() -> Self {
        Self { steps: 12, seconds: 180, tokens: 120_000, usd: 0.5, usd_per_day: 20.0, tool_secs: 10 }
    }
}
