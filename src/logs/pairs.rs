//! logfmt: a line of `key=value` that has a key for its message. Anything else is left alone.

use std::borrow::Cow;

use super::structure::{Level, Parsed};

/// How soon a pair must come for a line to be logfmt.
const MAX_KEY_BYTES: usize = 32;

/// None when the line does not begin with a pair, or has no message among its pairs.
pub fn parse(line: &str) -> Option<Parsed<'_>> {
    let bytes = line.as_bytes();
    let first = bytes.iter().take(MAX_KEY_BYTES).position(|byte| !is_key(*byte))?;
    if first == 0 || bytes[first] != b'=' {
        return None;
    }
    let mut level = None;
    let mut message = None;
    let mut error = None;
    let mut at = 0;
    while at < bytes.len() {
        let start = at + bytes[at..].iter().take_while(|byte| **byte == b' ').count();
        let key_end = start + bytes[start..].iter().take_while(|byte| is_key(**byte)).count();
        if bytes.get(key_end) != Some(&b'=') || key_end == start {
            at = key_end + bytes[key_end..].iter().take_while(|byte| **byte != b' ').count().max(1);
            continue;
        }
        let end = value_end(bytes, key_end + 1);
        let value = line.get(key_end + 1..end)?;
        match line.get(start..key_end)? {
            "level" | "lvl" | "severity" => level = level.or_else(|| Level::parse(value.trim_matches('"'))),
            "msg" | "message" | "event" if message.is_none() => message = Some(unquoted(value)),
            "err" | "error" if error.is_none() => error = Some(unquoted(value)),
            _ => {}
        }
        at = end;
    }
    let message = message.or_else(|| error.clone().filter(|_| level.is_some()))?;
    Some(Parsed { level: level.unwrap_or_default(), message, error })
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/')
}

fn value_end(bytes: &[u8], start: usize) -> usize {
    if bytes.get(start) != Some(&b'"') {
        return start + bytes[start..].iter().take_while(|byte| **byte != b' ').count();
    }
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn unquoted(value: &str) -> Cow<'_, str> {
    match value.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest)) {
        Some(inner) if inner.contains('\\') => Cow::Owned(inner.replace("\\\"", "\"").replace("\\\\", "\\")),
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(value),
    }
}
