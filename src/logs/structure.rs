//! What a record is made of, whatever wrote it: its level and its message, without time, host, thread and other
//! headers. One configuration for all; a record of no known form is its own message. Nothing fails.

use std::borrow::Cow;

use super::header;
use super::json;
use super::pairs;

/// How loud a record is, as it says itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    #[default]
    Unknown,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Unknown => "",
        }
    }

    /// `WARNING`, `err`, bunyan's `50`
    pub fn parse(word: &str) -> Option<Self> {
        if word.len() > 11 || word.is_empty() {
            return None;
        }
        let mut lower = [0; 11];
        let lower = &mut lower[..word.len()];
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"fatal" | b"critical" | b"crit" | b"panic" | b"dpanic" | b"alert" | b"emerg" | b"emergency"
            | b"60" => Self::Fatal,
            b"error" | b"err" | b"eror" | b"severe" | b"50" => Self::Error,
            b"warn" | b"warning" | b"wrn" | b"40" => Self::Warn,
            b"info" | b"inf" | b"information" | b"notice" | b"log" | b"30" => Self::Info,
            b"debug" | b"dbg" | b"debu" | b"trace" | b"trc" | b"fine" | b"verbose" | b"20" | b"10" => {
                Self::Debug
            }
            _ => return None,
        })
    }
}

/// A record taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    pub level: Level,
    pub message: Cow<'a, str>,
    /// What a structured record gives as its error.
    pub error: Option<Cow<'a, str>>,
}

/// Takes a record apart: container prefix, then JSON, logfmt, or a header before text.
pub fn parse(record: &str) -> Parsed<'_> {
    let (head, rest) = record.split_once('\n').unwrap_or((record, ""));
    let line = header::container(head.trim_start());
    let mut parsed = line_of(line);
    if !rest.is_empty() {
        let telling = telling(rest);
        if !telling.is_empty() {
            parsed.message.to_mut().push_str(&telling);
        }
    }
    parsed
}

fn line_of(line: &str) -> Parsed<'_> {
    if line.starts_with('{')
        && let Some(parsed) = json::parse(line)
    {
        return parsed;
    }
    if let Some(parsed) = pairs::parse(line) {
        return parsed;
    }
    let (level, message) = header::strip(line);
    // A header before JSON or pairs: both are taken off.
    if message.len() < line.len()
        && message.starts_with('{')
        && let Some(mut parsed) = json::parse(message)
    {
        if parsed.level == Level::Unknown {
            parsed.level = level;
        }
        return parsed;
    }
    Parsed { level, message: Cow::Borrowed(message), error: None }
}

/// Of the lines after the first those that name a cause.
fn telling(rest: &str) -> String {
    const MOST: usize = 2;
    let is_telling = |line: &&str| {
        line.starts_with(|c: char| !c.is_whitespace() && c.is_ascii_alphabetic())
            && !line.starts_with("Traceback (")
            && !line.starts_with("at ")
            && !line.starts_with("goroutine ")
            && !line.starts_with("During handling")
            && !line.ends_with(')')
    };
    let mut out = String::new();
    for line in rest.lines().filter(is_telling).take(MOST) {
        out.push_str(" | ");
        out.push_str(line);
    }
    out
}
