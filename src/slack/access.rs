//! What the token may not do, for people: the scopes that `auth.test` shows to be missing, and why a channel could
//! not be read back. It asks nobody and holds back no message.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Channels whose reason is kept.
const MAX_CHANNELS: usize = 100;

/// What is posted needs the first. Reading a channel back after an unclear outcome needs one of the second, and
/// one of the third where the channel is configured by its name and nothing was posted there yet.
const NEEDED: [&[&str]; 3] =
    [&["chat:write"], &["channels:history", "groups:history"], &["channels:read", "groups:read"]];

/// As `/readyz` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lacks {
    /// Scopes of the token; where one of two is enough, both with "or" between them.
    pub scopes: Vec<String>,
    /// Channels that cannot be read back, and why: after an unclear outcome a message may stand there twice.
    pub unreadable: BTreeMap<String, String>,
}

/// Shared by the poster and `/readyz`.
#[derive(Clone, Default)]
pub struct Access(Arc<Mutex<Lacks>>);

impl Access {
    pub fn lacks(&self) -> Lacks {
        self.lock().clone()
    }

    /// Takes note of the token's scopes; returns those that are missing.
    pub fn granted(&self, scopes: &[String]) -> Vec<String> {
        let missing = missing(scopes);
        self.lock().scopes.clone_from(&missing);
        missing
    }

    pub(super) fn readable(&self, channel: &str) {
        self.lock().unreadable.remove(channel);
    }

    /// True when that is news.
    pub(super) fn unreadable(&self, channel: &str, why: &str) -> bool {
        let mut lacks = self.lock();
        if lacks.unreadable.len() >= MAX_CHANNELS && !lacks.unreadable.contains_key(channel) {
            return false;
        }
        lacks.unreadable.insert(channel.to_owned(), why.to_owned()).as_deref() != Some(why)
    }

    fn lock(&self) -> MutexGuard<'_, Lacks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(scopes: &[String]) -> Vec<String> {
    let lacks = |any: &&&[&str]| !any.iter().any(|wanted| scopes.iter().any(|scope| scope == wanted));
    NEEDED.iter().filter(lacks).map(|any| any.join(" or ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_scopes_is_enough() {
        let of = |scopes: &[&str]| missing(&scopes.iter().map(|&scope| scope.to_owned()).collect::<Vec<_>>());
        assert!(of(&["chat:write", "groups:history", "channels:read"]).is_empty());
        assert_eq!(
            of(&["chat:write"]),
            ["channels:history or groups:history", "channels:read or groups:read"]
        );
        assert_eq!(of(&["channels:history", "channels:read"]), ["chat:write"]);
    }

    #[test]
    fn a_channel_that_cannot_be_read_is_news_once() {
        let access = Access::default();
        assert!(access.unreadable("#alerts", "missing_scope"));
        assert!(!access.unreadable("#alerts", "missing_scope"));
        assert!(access.unreadable("#alerts", "not_in_channel"), "another reason is news");
        access.readable("#alerts");
        assert!(access.lacks().unreadable.is_empty());
        assert!(access.unreadable("#alerts", "not_in_channel"));
    }
}
