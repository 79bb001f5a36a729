//! The settings' list of models becomes clients, in the same order. What cannot work is an error that names
//! the setting, as in `models[1].api_key_file: …`; nothing is asked over the network.

use std::collections::HashSet;

use anyhow::{Context, bail, ensure};
use secrecy::{ExposeSecret, SecretString};

use super::Model;
use super::anthropic::Anthropic;
use super::openai::OpenAi;
use crate::settings::{self, Provider};

/// A case file, the tools' schemas and a few observations need this much.
const MIN_CONTEXT_TOKENS: u64 = 8_000;
/// Headers that carry a credential of their own.
const CREDENTIALS: &[&str] = &["authorization", "x-api-key", "api-key"];

/// Clients for all models, in the order of the settings.
///
/// # Errors
/// The first setting that cannot work.
pub fn connect(models: &[settings::Model], http: &reqwest::Client) -> anyhow::Result<Vec<Box<dyn Model>>> {
    let mut names = HashSet::new();
    let mut connected = Vec::with_capacity(models.len());
    for (place, model) in models.iter().enumerate() {
        let path = || format!("models[{place}]");
        check(model).map_err(|error| anyhow::anyhow!("{}.{error:#}", path()))?;
        ensure!(names.insert(&model.name), "{}.name: `{}` is there already", path(), model.name);
        connected.push(client(model, http).map_err(|error| anyhow::anyhow!("{}.{error:#}", path()))?);
    }
    Ok(connected)
}

fn check(model: &settings::Model) -> anyhow::Result<()> {
    ensure!(!model.name.trim().is_empty(), "name: is empty");
    ensure!(!model.model.trim().is_empty(), "model: is empty");
    let prices = model.usd_per_million;
    let named = [("input", Some(prices.input)), ("output", Some(prices.output)), ("cached", prices.cached)];
    for (key, price) in named {
        let fits = price.is_none_or(|price| price.is_finite() && price >= 0.0);
        ensure!(fits, "usd_per_million.{key}: a price is a number from 0 up");
    }
    ensure!(
        model.context_tokens >= MIN_CONTEXT_TOKENS,
        "context_tokens: {} is too small for an investigation; {MIN_CONTEXT_TOKENS} is the least",
        model.context_tokens
    );
    ensure!(model.max_output_tokens > 0, "max_output_tokens: 0 leaves no room for an answer");
    ensure!(
        u64::from(model.max_output_tokens) <= model.context_tokens / 2,
        "max_output_tokens: {} leaves less than half of context_tokens ({}) for the question",
        model.max_output_tokens,
        model.context_tokens
    );
    ensure!(model.idle_secs > 0, "idle_secs: 0 leaves no time for an answer");
    ensure!(model.total_secs > 0, "total_secs: 0 leaves no time for an answer");
    Ok(())
}

fn client(model: &settings::Model, http: &reqwest::Client) -> anyhow::Result<Box<dyn Model>> {
    Ok(match model.provider {
        Provider::OpenAi => Box::new(OpenAi::new(model, key(model)?.as_ref(), http)?),
        Provider::Anthropic => Box::new(Anthropic::new(model, key(model)?.as_ref(), http)?),
        Provider::Bedrock => bail!("provider: bedrock is not built in yet"),
    })
}

/// The key; none only where a server of one's own, or a header, makes do without.
fn key(model: &settings::Model) -> anyhow::Result<Option<SecretString>> {
    let key = match (&model.api_key, &model.api_key_file) {
        (Some(_), Some(_)) => bail!("api_key: set either this or api_key_file, not both"),
        (Some(key), None) => Some(("api_key", key.expose_secret().trim().to_owned())),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("api_key_file: cannot read {}", file.display()))?;
            Some(("api_key_file", text.trim().to_owned()))
        }
        (None, None) => None,
    };
    if let Some((setting, key)) = key {
        ensure!(!key.is_empty(), "{setting}: is empty");
        return Ok(Some(SecretString::from(key)));
    }
    let in_header = model.headers.keys().any(|name| CREDENTIALS.contains(&name.to_lowercase().as_str()));
    ensure!(in_header || model.base_url.is_some(), "api_key_file: the provider's own address needs a key");
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::stand_in::{http, settings};

    fn error(yaml: &str) -> String {
        let models: Vec<settings::Model> = settings(yaml);
        connect(&models, &http()).err().unwrap().to_string()
    }

    #[test]
    fn what_cannot_work_is_named_by_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("key");
        std::fs::write(&empty, " \n").unwrap();
        let ours = "provider: openai, base_url: 'http://x', model: m";
        let file = format!("[{{name: a, provider: anthropic, model: m, api_key_file: {}}}]", empty.display());
        for (yaml, expected) in [
            (format!("[{{name: '', {ours}}}]"), "models[0].name: is empty"),
            (format!("[{{name: a, {ours}}}, {{name: a, {ours}}}]"), "models[1].name: `a` is there already"),
            (
                "[{name: a, provider: openai, base_url: 'http://x', model: ' '}]".to_owned(),
                "models[0].model: is empty",
            ),
            (
                "[{name: a, provider: openai, model: m}]".to_owned(),
                "models[0].api_key_file: the provider's own",
            ),
            (
                "[{name: a, provider: anthropic, model: m, api_key_file: /nowhere/key}]".to_owned(),
                "models[0].api_key_file: cannot read /nowhere/key",
            ),
            (file, "models[0].api_key_file: is empty"),
            (format!("[{{name: a, api_key: x, api_key_file: y, {ours}}}]"), "models[0].api_key: set either"),
            (
                "[{name: a, provider: openai, base_url: 'nowhere', model: m}]".to_owned(),
                "models[0].base_url: not an address",
            ),
            (
                "[{name: a, provider: openai, base_url: 'ftp://x', model: m}]".to_owned(),
                "models[0].base_url: only http",
            ),
            (
                "[{name: a, provider: openai, base_url: 'http://u:hunter2@x', model: m}]".to_owned(),
                "models[0].base_url: no user",
            ),
            (
                "[{name: a, provider: openai, base_url: 'http://x?k=v', model: m}]".to_owned(),
                "models[0].base_url: ends",
            ),
            (
                format!("[{{name: a, {ours}, usd_per_million: {{output: -1}}}}]"),
                "models[0].usd_per_million.output: a price",
            ),
            (
                format!("[{{name: a, {ours}, usd_per_million: {{cached: .nan}}}}]"),
                "models[0].usd_per_million.cached: a price",
            ),
            (
                format!("[{{name: a, {ours}, context_tokens: 4096}}]"),
                "models[0].context_tokens: 4096 is too small",
            ),
            (
                format!("[{{name: a, {ours}, context_tokens: 8000, max_output_tokens: 5000}}]"),
                "models[0].max_output_tokens: 5000 leaves",
            ),
            (format!("[{{name: a, {ours}, max_output_tokens: 0}}]"), "models[0].max_output_tokens: 0"),
            (format!("[{{name: a, {ours}, idle_secs: 0}}]"), "models[0].idle_secs: 0"),
            (format!("[{{name: a, {ours}, total_secs: 0}}]"), "models[0].total_secs: 0"),
            (
                format!("[{{name: a, {ours}, headers: {{'not a name': x}}}}]"),
                "models[0].headers.not a name: not a header name",
            ),
            (format!("[{{name: a, {ours}, api_key: \"a\\nb\"}}]"), "models[0].api_key: not a header value"),
        ] {
            let error = error(&yaml);
            assert!(error.starts_with(expected), "{yaml}\n  {error}\n  {expected}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn models_keep_their_order_names_windows_and_prices() {
        let models = connect(
            &settings(
                "
                - name: claude
                  provider: anthropic
                  model: claude-x
                  api_key: secret-key
                  context_tokens: 200000
                  usd_per_million: {input: 3, output: 15, cached: 0.3}
                - {name: local, provider: openai, base_url: 'http://vllm:8000/v1', model: qwen}
                ",
            ),
            &http(),
        )
        .unwrap();
        let known: Vec<_> = models.iter().map(|model| (model.name(), model.context_tokens())).collect();
        assert_eq!(known, [("claude", 200_000), ("local", 128_000)]);
        let usage = crate::llm::Usage { input: 100_000, cached: 90_000, output: 1_000 };
        assert!((models[0].usd(usage) - (0.03 + 0.027 + 0.015)).abs() < 1e-12);
        assert!(models[1].usd(usage).abs() < 1e-12, "no price, no cost");
        assert!(connect(&[], &http()).unwrap().is_empty());
    }
}
