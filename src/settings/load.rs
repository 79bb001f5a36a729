//! Reads the settings: the file's text and the environment in, `Settings` or one clear error out.
//! Pure but for the reading of the named file.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Settings;

/// `WHODUNIT_SERVER__LISTEN` sets `server.listen`; two underscores go one level down.
const PREFIX: &str = "WHODUNIT_";

impl Settings {
    /// Reads `file` (none: all defaults) and lays the environment's variables over it.
    ///
    /// # Errors
    /// The file cannot be read, or a key or value is not known: with file, line and the key.
    pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the settings in {}", path.display()))?,
            None => String::new(),
        };
        let name = file.map_or_else(|| "settings".to_owned(), |path| path.display().to_string());
        Self::parse(&text, &name, env)
    }

    fn parse(text: &str, name: &str, env: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        // The file alone first: only then does an error know its line.
        let settings: Self = if is_blank(text) {
            Self::default()
        } else {
            serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?
        };
        let overrides: Vec<(String, String)> = env.filter(|(key, _)| is_setting(key)).collect();
        if overrides.is_empty() {
            return Ok(settings);
        }
        let mut tree = if is_blank(text) {
            Value::Object(serde_json::Map::new())
        } else {
            serde_saphyr::from_str(text)?
        };
        for (key, value) in &overrides {
            set(&mut tree, key, value)?;
        }
        serde_path_to_error::deserialize(tree).map_err(|error| {
            anyhow::anyhow!(
                "an environment variable sets {}, which is wrong: {}; variables are {PREFIX}SECTION__KEY, as in \
                 {PREFIX}SERVER__LISTEN",
                error.path(),
                error.inner()
            )
        })
    }
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// `WHODUNIT_CONFIG` and the like belong to the command line, not to the tree.
fn is_setting(key: &str) -> bool {
    key.strip_prefix(PREFIX).is_some_and(|rest| rest.contains("__"))
}

fn set(tree: &mut Value, key: &str, text: &str) -> anyhow::Result<()> {
    let path = key[PREFIX.len()..].to_ascii_lowercase();
    let mut place = tree;
    for part in path.split("__") {
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        let Value::Object(map) = place else { bail!("{key}: what stands before `{part}` is no section") };
        place = map.entry(part).or_insert(Value::Null);
    }
    // Numbers, booleans, lists and maps are written as in YAML; anything else is text. Nobody comments a
    // variable: `#alerts` is a channel.
    let commented = text.starts_with('#') || (text.contains(" #") && !text.starts_with(['[', '{']));
    let value: Option<Value> = if commented { None } else { serde_saphyr::from_str(text).ok() };
    *place = value.unwrap_or_else(|| Value::String(text.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, env: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::parse(text, "a.yaml", env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let settings = parse("# nothing\n", &[]).unwrap();
        assert_eq!(settings.intake.settle_secs, 30);
        assert!(settings.database.url.is_none());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("server:\n  listen: 127.0.0.1:1\n  lisen: 3\n", &[]).unwrap_err().to_string();
        assert!(error.contains("a.yaml") && error.contains("lisen") && error.contains('3'), "{error}");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let env = [
            ("WHODUNIT_SERVER__LISTEN", "0.0.0.0:9"),
            ("WHODUNIT_API__TOKENS", "[a, b]"),
            ("WHODUNIT_SLACK__CHANNEL", "#alerts-lab"),
            ("WHODUNIT_CONFIG", "ignored"),
        ];
        let settings = parse("server: {listen: '127.0.0.1:1', drain_secs: 7}\n", &env).unwrap();
        assert_eq!(settings.server.listen.to_string(), "0.0.0.0:9");
        assert_eq!(settings.server.drain_secs, 7);
        assert_eq!(settings.api.tokens.len(), 2);
        assert_eq!(settings.slack.channel, "#alerts-lab");
        let error = parse("", &[("WHODUNIT_SERVER__LISEN", "1")]).unwrap_err().to_string();
        assert!(error.contains("lisen") && error.contains("WHODUNIT_"), "{error}");
    }
}
