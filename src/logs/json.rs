//! JSON lines of zap, pino, bunyan, ECS, logrus, slog and their like: level, message and error among the keys of
//! the outermost object. Values inside are skipped, not parsed.

use std::borrow::Cow;

use super::structure::{Level, Parsed};

const MAX_KEYS: usize = 64;

/// None when this is no object that closes.
pub fn parse(line: &str) -> Option<Parsed<'_>> {
    let mut level = None;
    let mut message = None;
    let mut error = None;
    let mut keys = Vec::new();
    each_key(line, &mut |key, value| {
        match key {
            "level" | "lvl" | "severity" | "log.level" | "levelname" | "loglevel" | "severity_text"
            | "@level" | "s" => {
                level = level.or_else(|| Level::parse(&text(value)));
            }
            "msg" | "message" | "@message" | "body" | "event" | "log" | "MESSAGE"
                if value.starts_with('"') && message.is_none() =>
            {
                message = Some(text(value));
            }
            "err" | "error" | "exception" | "error.message" | "exc_info" | "stack_trace"
            | "error.stack_trace"
                if error.is_none() =>
            {
                error = Some(text(value));
            }
            _ => {}
        }
        if keys.len() < MAX_KEYS {
            keys.push(key);
        }
    })?;
    let message = match message.filter(|message| !message.trim().is_empty()) {
        Some(message) => message,
        None => match &error {
            Some(error) => error.clone(),
            // What it consists of is all that it says.
            None => {
                keys.sort_unstable();
                Cow::Owned(keys.join(" "))
            }
        },
    };
    Some(Parsed { level: level.unwrap_or_default(), message, error })
}

/// Calls with each key and raw value of the object.
fn each_key<'a>(line: &'a str, each: &mut impl FnMut(&'a str, &'a str)) -> Option<()> {
    let bytes = line.as_bytes();
    let mut at = blank(bytes, 1);
    if bytes.get(at) == Some(&b'}') {
        return Some(());
    }
    loop {
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let end = string(bytes, at)?;
        let key = line.get(at + 1..end - 1)?;
        at = blank(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at = blank(bytes, at + 1);
        let end = value(bytes, at)?;
        each(key, line.get(at..end)?);
        at = blank(bytes, end);
        match bytes.get(at)? {
            b',' => at = blank(bytes, at + 1),
            b'}' => return Some(()),
            _ => return None,
        }
    }
}

fn blank(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The end of the string that opens here.
fn string(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn value(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' if depth == 0 => return Some(at),
            _ => at += 1,
        }
        if depth == 0 && matches!(bytes.get(at), Some(b',' | b'}')) {
            return Some(at);
        }
    }
}

/// A string without its quotes, escapes undone; other values as they stand.
fn text(value: &str) -> Cow<'_, str> {
    let value = value.trim_end();
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner.contains('\\') => {
            serde_json::from_str(value).map_or(Cow::Borrowed(inner), Cow::Owned)
        }
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(value),
    }
}
