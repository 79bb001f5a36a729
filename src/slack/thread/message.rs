//! A message of a channel's history, as far as it tells which alert it is about. Slack's JSON goes in; sender, words,
//! label tables and identities come out, or nothing where no bot wrote it. It decides nothing. Pure.
//!
//! Shapes are those of Robusta 0.30 to 0.47, of Alertmanager's and Grafana's own templates, and of templates that list
//! labels line by line.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::words::{pair, percent_decoded, readable};
use crate::slack::client::EVENT_TYPE;

/// Characters of one message that are read; Slack takes 40,000 of text.
const MAX_TEXT: usize = 60_000;
/// Levels of blocks within blocks.
const MAX_DEPTH: usize = 8;
/// Lines that open a table of labels, and that end one.
const TABLE_HEADS: [&str; 3] = ["labels", "alert labels", "details"];
const TABLE_ENDS: [&str; 4] = ["annotations", "source", "silence", "value"];

/// Whose form a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    Robusta,
    Alertmanager,
    Grafana,
    /// Some bot's: only an exact identity tells what it is about.
    Unknown,
}

impl Sender {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Robusta => "Robusta",
            Self::Alertmanager => "Alertmanager",
            Self::Grafana => "Grafana",
            Self::Unknown => "a bot",
        }
    }
}

/// One message of a bot.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub ts: String,
    /// Where replies to it go: its own `ts`, or its thread's.
    pub root: String,
    pub at: DateTime<Utc>,
    pub sender: Sender,
    /// The trouble it tells of is over.
    pub resolved: bool,
    /// It gathers alerts of many incidents as replies under it.
    pub is_summary: bool,
    /// Everything it says, one line each, without markup.
    pub text: String,
    /// Alerts that its headline counts.
    pub alerts: Option<Count>,
    /// Labels, one table an alert.
    pub tables: Vec<BTreeMap<String, String>>,
    /// `fp:…` tokens.
    pub fingerprints: Vec<String>,
    /// Query parameters of its links.
    pub links: Vec<(String, String)>,
}

/// `[FIRING:2] …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub firing: u32,
    /// Some are over already.
    pub mixed: bool,
    /// What follows the bracket.
    pub rest: String,
}

impl Candidate {
    /// A message of `conversations.history` or `.replies`; nothing where it is a person's, ours, or no plain message.
    pub fn of(message: &Value) -> Option<Self> {
        let is_bots = message["bot_id"].as_str().is_some_and(|id| !id.is_empty());
        let subtype = message["subtype"].as_str();
        if !is_bots
            || !message["client_msg_id"].is_null()
            || !matches!(subtype, None | Some("bot_message"))
            || message["metadata"]["event_type"] == EVENT_TYPE
        {
            return None;
        }
        let ts = message["ts"].as_str()?;
        let root = message["thread_ts"].as_str().unwrap_or(ts);
        let mut words = Words::default();
        words.message(message);
        let text = words.text;
        let alerts = text.lines().find_map(count);
        let resolved = is_resolved(&text);
        let sender = sender(message, &text, alerts.is_some());
        Some(Self {
            at: moment(ts)?,
            ts: ts.to_owned(),
            root: root.to_owned(),
            sender,
            resolved,
            is_summary: text.lines().take(4).any(is_summary),
            alerts,
            tables: tables(&text),
            fingerprints: fingerprints(&text),
            links: words.urls.iter().flat_map(|url| parameters(url)).collect(),
            text,
        })
    }

    /// Values of a parameter of its links; `names=["A","B"]` are two.
    pub fn linked<'a>(&'a self, key: &'a str) -> impl Iterator<Item = String> + 'a {
        self.links.iter().filter(move |(name, _)| name == key).flat_map(|(_, value)| listed(value))
    }

    /// The clusters that it names.
    pub fn clusters(&self) -> Vec<String> {
        let sources = self.text.lines().filter_map(pair).filter(|(name, _)| name == "Source");
        let said = sources.filter(|_| self.sender == Sender::Robusta).map(|(_, value)| value);
        let labelled = self.tables.iter().filter_map(|table| table.get("cluster").cloned());
        self.linked("clusters").chain(said).chain(labelled).filter(|name| !name.is_empty()).collect()
    }

    /// Whether it is about another cluster than all of `known`, of which empty ones count for nothing.
    pub fn is_elsewhere(&self, known: &[&str]) -> bool {
        let known: Vec<&str> = known.iter().copied().filter(|name| !name.is_empty()).collect();
        !known.is_empty() && self.clusters().iter().any(|said| !known.contains(&said.as_str()))
    }
}

/// What stands in a message, in reading order.
#[derive(Default)]
struct Words {
    text: String,
    urls: Vec<String>,
}

impl Words {
    fn message(&mut self, message: &Value) {
        self.line(&message["text"]);
        self.blocks(&message["blocks"], 0);
        for attachment in message["attachments"].as_array().into_iter().flatten() {
            let titled = attachment["title"].is_string() || attachment["text"].is_string();
            if !titled && attachment["blocks"].is_null() {
                self.line(&attachment["fallback"]);
            }
            for key in ["pretext", "title", "text"] {
                self.line(&attachment[key]);
            }
            self.url(&attachment["title_link"]);
            for field in attachment["fields"].as_array().into_iter().flatten() {
                let of = |key: &str| field[key].as_str().unwrap_or_default();
                self.add(&format!("{}: {}", of("title").trim_end_matches(':'), of("value")));
            }
            self.blocks(&attachment["blocks"], 0);
        }
    }

    fn blocks(&mut self, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.blocks(value, depth + 1)),
            Value::Object(block) => {
                self.url(&value["url"]);
                match &value["text"] {
                    text @ Value::String(_) => self.line(text),
                    Value::Object(text) => self.line(text.get("text").unwrap_or(&Value::Null)),
                    _ => {}
                }
                for key in ["fields", "elements", "accessory"] {
                    if let Some(inner) = block.get(key) {
                        self.blocks(inner, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }

    fn line(&mut self, text: &Value) {
        self.add(text.as_str().unwrap_or_default());
    }

    fn add(&mut self, text: &str) {
        if text.is_empty() || self.text.len() >= MAX_TEXT {
            return;
        }
        let text: String = text.chars().take(MAX_TEXT).collect();
        let (words, urls) = readable(&text);
        self.urls.extend(urls);
        self.text.push_str(&words);
        self.text.push('\n');
    }

    fn url(&mut self, url: &Value) {
        self.urls.extend(url.as_str().map(str::to_owned));
    }
}

fn sender(message: &Value, text: &str, counts: bool) -> Sender {
    let attachments = || message["attachments"].as_array().into_iter().flatten();
    let has = |what: &str| text.contains(what);
    if attachments().any(|one| one["footer"].as_str().is_some_and(|footer| footer.starts_with("Grafana"))) {
        Sender::Grafana
    } else if has("Prometheus Alert Firing") || has("Prometheus resolved") || has("K8s event detected") {
        Sender::Robusta
    } else if counts {
        Sender::Alertmanager
    } else {
        Sender::Unknown
    }
}

fn is_resolved(text: &str) -> bool {
    let resolved = |line: &str| {
        let line = line.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '[');
        line.starts_with("[RESOLVED") || line.starts_with("Prometheus resolved")
    };
    text.lines().take(4).any(resolved)
}

fn is_summary(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| !c.is_alphanumeric());
    line.starts_with("Summary for:") || line.starts_with("Alerts Summary - ")
}

/// `[FIRING:2, RESOLVED:1] rest`.
fn count(line: &str) -> Option<Count> {
    let (_, after) = line.split_once("[FIRING:")?;
    let (inside, rest) = after.split_once(']')?;
    let digits: String = inside.chars().take_while(char::is_ascii_digit).collect();
    let mixed = digits.len() < inside.len();
    Some(Count { firing: digits.parse().ok()?, mixed, rest: rest.trim().to_owned() })
}

/// Lines of `name = value` under a heading; a name that comes again begins the next alert's.
fn tables(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut tables: Vec<BTreeMap<String, String>> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let heading = line.trim().trim_matches(['*', '_', ':', ' ']).to_ascii_lowercase();
        if TABLE_HEADS.contains(&heading.as_str()) {
            open = true;
            tables.push(BTreeMap::new());
            continue;
        }
        match pair(line).filter(|_| open) {
            Some((name, _)) if TABLE_ENDS.contains(&name.to_ascii_lowercase().as_str()) => open = false,
            Some((name, value)) => match tables.last_mut() {
                Some(table) if !table.contains_key(&name) => {
                    table.insert(name, value);
                }
                _ => tables.push(BTreeMap::from([(name, value)])),
            },
            None if line.trim().is_empty() => {}
            None => open = false,
        }
    }
    tables.retain(|table| table.contains_key("alertname"));
    tables
}

/// `fp:9c2f5d7a1b3e4f60`, as a template prints it that was told to.
fn fingerprints(text: &str) -> Vec<String> {
    let tokens = text.split(|c: char| c.is_whitespace() || "`*_()[],;".contains(c));
    let of = |token: &str| token.strip_prefix("fp:").map(str::to_ascii_lowercase);
    let hex = |print: &String| print.len() >= 16 && print.chars().all(|c| c.is_ascii_hexdigit());
    tokens.filter_map(of).filter(hex).collect()
}

fn parameters(url: &str) -> Vec<(String, String)> {
    let Some((_, query)) = url.split_once('?') else { return Vec::new() };
    let query = query.split('#').next().unwrap_or_default();
    let pairs = query.split('&').filter_map(|part| part.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), percent_decoded(value))).collect()
}

/// `["a","b"]` or `a`.
fn listed(value: &str) -> Vec<String> {
    serde_json::from_str::<Vec<String>>(value).unwrap_or_else(|_| vec![value.to_owned()])
}

/// `1795244890.000100`.
pub(super) fn moment(ts: &str) -> Option<DateTime<Utc>> {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, "0"));
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)?;
    DateTime::from_timestamp_micros(micros)
}
