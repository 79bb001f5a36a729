//! Every payload that people read in Slack: an incident or a report goes in, Block Kit within Slack's limits
//! comes out. Pure. All untrusted text passes `escape`; the only link is our own, the only colour is none.

mod before;
mod buttons;
mod changed;
mod escape;
mod incident;
mod muted;
mod plain;
mod reply;
mod summary;

pub use buttons::Action;
pub(in crate::slack) use escape::clean;
pub use incident::{IncidentView, Progress, Standing, joined, parent, resolved, taken_in};
pub use muted::muted;
pub(in crate::slack) use plain::plain;
pub use reply::{Answered, REASON_FIELD, REASON_VIEW, answer, evidence, note, reason_view};
pub use summary::{gave_up, summary, unchanged};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::report::Before;
use crate::words::Words;

/// Slack's limits, counted in UTF-16 units, which are never fewer than characters.
pub const MAX_BLOCKS: usize = 50;
pub const MAX_SECTION: usize = 3_000;
pub const MAX_HEADER: usize = 150;
/// Slack takes 40,000; notifications and screen readers need far less.
pub const MAX_TEXT: usize = 3_000;
/// Length of a link of ours; a longer `public_url` is left out.
const MAX_URL: usize = 500;

/// One message: `text` for notifications and screen readers, `blocks` for everybody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub text: String,
    pub blocks: Vec<Value>,
}

/// The address of an investigation's page under `server.public_url`, or nothing where that is no plain http(s) URL.
pub fn investigation_url(public_url: &str, investigation: Uuid) -> Option<String> {
    let base = public_url.trim_end_matches('/');
    let known = base.starts_with("https://") || base.starts_with("http://");
    let plain = base.chars().all(|c| c.is_ascii_graphic() && !"<>|&`\"".contains(c));
    (known && plain && base.len() <= MAX_URL).then(|| format!("{base}/investigations/{investigation}"))
}

/// How something is told, and what stands beside it.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    pub words: &'a Words,
    /// From `investigation_url`.
    pub url: Option<&'a str>,
    /// When that was read which the quotes stand in.
    pub read_at: Option<DateTime<Utc>>,
    /// The last time that this workload was investigated.
    pub before: Option<&'a Before>,
    /// The investigation that buttons are about; none: no buttons.
    pub buttons: Option<Uuid>,
}

impl<'a> Telling<'a> {
    /// Words alone.
    pub fn new(words: &'a Words) -> Self {
        Self { words, url: None, read_at: None, before: None, buttons: None }
    }

    fn link(&self, label: &str) -> String {
        self.url.map(|url| link(url, label)).unwrap_or_default()
    }
}

impl Message {
    /// Its first words only, for a note below somebody else's message.
    pub(in crate::slack) fn in_short(&self) -> Self {
        let text = self.text.clone();
        Self { blocks: vec![json!({"type": "section", "text": mrkdwn(text.clone())})], text }
    }
}

/// Blocks in the making. Text that goes in is already escaped.
#[derive(Default)]
struct Page {
    blocks: Vec<Value>,
}

impl Page {
    fn header(&mut self, text: &str) {
        let text = escape::inline(text, MAX_HEADER);
        self.push(json!({"type": "header", "text": {"type": "plain_text", "text": text, "emoji": false}}));
    }

    fn section(&mut self, lines: &[String]) {
        if let Some(text) = fitting(lines) {
            self.push(json!({"type": "section", "text": mrkdwn(text)}));
        }
    }

    fn context(&mut self, lines: &[String]) {
        if let Some(text) = fitting(lines) {
            self.push(json!({"type": "context", "elements": [mrkdwn(text)]}));
        }
    }

    fn push(&mut self, block: Value) {
        if self.blocks.len() < MAX_BLOCKS {
            self.blocks.push(block);
        }
    }

    /// `text` is raw.
    fn message(self, text: &str) -> Message {
        Message { text: escape::inline(text, MAX_TEXT), blocks: self.blocks }
    }
}

/// Whole lines only: half a line could leave a code block open.
fn fitting(lines: &[String]) -> Option<String> {
    let mut text = String::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let gap = usize::from(!text.is_empty());
        if escape::length(&text) + gap + escape::length(line) > MAX_SECTION {
            break;
        }
        if gap == 1 {
            text.push('\n');
        }
        text.push_str(line);
    }
    (!text.is_empty()).then_some(text)
}

/// `verbatim` keeps Slack from turning names and addresses in the text into mentions and links.
fn mrkdwn(text: String) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// Our own link, made by `investigation_url`.
fn link(url: &str, label: &str) -> String {
    format!("<{url}|{label}>")
}
