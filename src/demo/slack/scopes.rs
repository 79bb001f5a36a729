//! What a token may do: a method and its parameters come in, Slack's refusal goes out where a scope is missing. Pure.

use std::fmt;

use serde_json::{Value, json};

/// What the service asks for.
const ALL: [&str; 5] = ["chat:write", "channels:history", "groups:history", "channels:read", "groups:read"];

pub(super) struct Scopes(Vec<String>);

impl Default for Scopes {
    fn default() -> Self {
        Self::of(&ALL)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Scopes {
    pub(super) fn of(scopes: &[&str]) -> Self {
        Self(scopes.iter().map(|&scope| scope.to_owned()).collect())
    }

    pub(super) fn check(&self, method: &str, parameters: &Value) -> Result<(), Value> {
        let lists = |kind: &str| parameters["types"].as_str().unwrap_or("public_channel").contains(kind);
        let needed: &[&str] = match method {
            "chat.postMessage" | "chat.update" | "chat.postEphemeral" => &["chat:write"],
            // All channels here are public.
            "conversations.history" | "conversations.replies" => &["channels:history"],
            "conversations.list" if lists("private_channel") => &["channels:read", "groups:read"],
            "conversations.list" => &["channels:read"],
            _ => &[],
        };
        match needed.iter().find(|needed| !self.0.iter().any(|scope| scope == *needed)) {
            None => Ok(()),
            Some(needed) => {
                Err(json!({"error": "missing_scope", "needed": needed, "provided": self.to_string()}))
            }
        }
    }
}
