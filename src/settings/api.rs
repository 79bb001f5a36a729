//! Who may read the API and act through it: tokens as they are written in the settings, each a word or a description.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Bearer tokens. Empty: the API is open to everybody who can reach the port, for reading.
    pub tokens: Vec<ApiToken>,
    /// A file with one token a line; they may read.
    pub tokens_file: Option<PathBuf>,
    /// Without any token everybody who can reach the port may act too: give feedback, re-run, mute.
    pub open_writes: bool,
}

/// One token: a word that may read everything, or a description.
#[derive(Debug, Clone)]
pub enum ApiToken {
    Word(SecretString),
    Described(Box<DescribedToken>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedToken {
    /// Whose it is, for the audit trail and beside feedback.
    pub name: String,
    pub token: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    /// Each includes those before it: read, write, admin.
    #[serde(default = "read_only")]
    pub scopes: Vec<Scope>,
    /// Globs of namespaces it sees, with `*` and `?`. Empty: all, and what has no namespace.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Globs of clusters it sees. Empty: all.
    #[serde(default)]
    pub clusters: Vec<String>,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Incidents, investigations, runbooks, figures.
    Read,
    /// Feedback, re-runs, new investigations, mutes.
    Write,
    /// The audit trail.
    Admin,
}

fn read_only() -> Vec<Scope> {
    vec![Scope::Read]
}

impl<'de> Deserialize<'de> for ApiToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand and not `untagged`: an unknown key in a description is named with its line.
        deserializer.deserialize_any(WordOrMap)
    }
}

struct WordOrMap;

impl<'de> Visitor<'de> for WordOrMap {
    type Value = ApiToken;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token, or a map with name, token or token_file, scopes, namespaces, clusters")
    }

    fn visit_str<E>(self, word: &str) -> Result<ApiToken, E> {
        Ok(ApiToken::Word(SecretString::from(word.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ApiToken, A::Error> {
        let described = DescribedToken::deserialize(MapAccessDeserializer::new(map))?;
        Ok(ApiToken::Described(Box::new(described)))
    }
}

impl From<&str> for ApiToken {
    fn from(word: &str) -> Self {
        Self::Word(word.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_word_or_a_description() {
        let text = "tokens:\n  - word\n  - {name: ci, token: t, scopes: [write], namespaces: ['shop-*']}\n";
        let api: Api = serde_saphyr::from_str(text).unwrap();
        assert!(matches!(&api.tokens[0], ApiToken::Word(_)));
        let ApiToken::Described(ci) = &api.tokens[1] else { panic!("{api:?}") };
        assert_eq!((ci.name.as_str(), &ci.scopes[..]), ("ci", &[Scope::Write][..]));
        let wrong = "tokens:\n  - name: ci\n    tokn: t\n";
        let error = serde_saphyr::from_str::<Api>(wrong).unwrap_err().to_string();
        assert!(error.contains("tokn") && error.contains('3'), "{error}");
        let unknown = serde_saphyr::from_str::<Api>("tokens: [{name: a, token: t, scopes: [root]}]");
        assert!(unknown.unwrap_err().to_string().contains("root"));
        // A number that is a token must stay the text it was written as.
        let number: Api = serde_saphyr::from_str("tokens: ['0123']").unwrap();
        assert!(matches!(&number.tokens[0], ApiToken::Word(_)));
    }
}
