//! Who says what of an investigation, and by which way it came. Names and texts of people come in; they go on redacted
//! and bounded. It stores nothing.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation;

use crate::redact::redact;

/// Longer reasons are cut, in graphemes.
pub const MAX_REASON: usize = 500;
/// Longer names are cut, in graphemes.
pub const MAX_NAME: usize = 100;

/// The way by which an action came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Api,
    Slack,
    Page,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Slack => "slack",
            Self::Page => "page",
        }
    }
}

/// Who acts, as far as the way tells: the name of a token, a user of Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: String,
    via: Via,
}

impl Actor {
    pub fn new(name: &str, via: Via) -> Self {
        let name = bounded(name, MAX_NAME);
        Self { name: if name.is_empty() { "somebody".to_owned() } else { name }, via }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn via(&self) -> Via {
        self.via
    }
}

/// One action of one actor. Where the same may come twice, `id` is what tells.
#[derive(Debug, Clone, Copy)]
pub struct Action<'a> {
    pub by: &'a Actor,
    pub id: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Helpful,
    Unhelpful,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helpful => "helpful",
            Self::Unhelpful => "unhelpful",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Without secrets, NUL and other controls, at most so many graphemes.
pub(super) fn bounded(text: &str, graphemes: usize) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let redacted = redact(spaced.trim());
    let mut bytes = 0;
    // A grapheme has no bound of its own; a bound of bytes keeps one from being a megabyte.
    let kept = redacted.graphemes(true).take(graphemes).take_while(|grapheme| {
        bytes += grapheme.len();
        bytes <= graphemes * 8
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_bounded_and_without_secrets() {
        assert_eq!(bounded(" fine\0\t ", 10), "fine");
        assert_eq!(bounded(&"é".repeat(600), MAX_REASON).chars().count(), MAX_REASON);
        assert!(bounded(&format!("e{}", "\u{301}".repeat(100_000)), MAX_REASON).len() <= MAX_REASON * 8);
        let told = bounded("see postgres://app:hunter2@db/x", MAX_REASON);
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(Actor::new(" \0", Via::Slack).name(), "somebody");
    }
}
