//! What stands before a message in a line of text: the container runtime's prefix, times in their many forms,
//! host and program of syslog, klog's letter, level, thread and logger. Takes only what it is sure of.

use super::shape;
use super::structure::Level;

/// Parts of a header after its time.
const MAX_PARTS: usize = 8;
const MAX_LOGGER_CHARS: usize = 100;
/// Of a time and the blank behind it.
const MAX_STAMP_BYTES: usize = 48;

/// Without `2026-11-21T07:00:00.1Z stderr F ` of a container's log.
pub fn container(line: &str) -> &str {
    let bytes = line.as_bytes();
    if bytes.len() < 30 || bytes[4] != b'-' || bytes[10] != b'T' {
        return line;
    }
    let Some(blank) = bytes.iter().take(MAX_STAMP_BYTES).position(|byte| *byte == b' ') else { return line };
    let rest = line.get(blank + 1..).unwrap_or_default();
    if let Some(rest) = rest.strip_prefix("stdout ").or_else(|| rest.strip_prefix("stderr ")) {
        return rest.strip_prefix("F ").or_else(|| rest.strip_prefix("P ")).unwrap_or(rest);
    }
    line
}

/// The level and what follows the header.
pub fn strip(line: &str) -> (Level, &str) {
    if let Some(found) = klog(line).or_else(|| access(line)).or_else(|| python(line)) {
        return found;
    }
    let after_time = time(line);
    let mut rest = after_time.unwrap_or(line);
    let mut level = None;
    let is_syslog = after_time.is_some() && line.as_bytes()[0].is_ascii_uppercase() || line.starts_with('<');
    if is_syslog && let Some(message) = syslog(rest) {
        return (Level::Unknown, message);
    }
    for _ in 0..MAX_PARTS {
        let next = rest.trim_start_matches([' ', '\t', '-', '|', ':', '*']);
        if let Some((found, after)) = leveled(next, after_time.is_some()).filter(|_| level.is_none()) {
            (level, rest) = (Some(found), after);
        } else if after_time.is_none() && level.is_none() {
            return (Level::Unknown, line);
        } else if let Some(after) = time(next)
            .or_else(|| bracketed(next))
            .or_else(|| number(next))
            .or_else(|| logger(next, level.is_some()).or_else(|| named(next)))
        {
            rest = after;
        } else {
            rest = next;
            break;
        }
    }
    let message = rest.trim_start_matches([' ', '\t', '-', '|', ':']);
    (level.unwrap_or_default(), if message.is_empty() { line } else { message })
}

/// `E1121 07:00:00.123456       1 controller.go:114] "Failed to sync" err="…"`
fn klog(line: &str) -> Option<(Level, &str)> {
    let bytes = line.as_bytes();
    let level = match bytes.first()? {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        _ => return None,
    };
    if bytes.len() < 22 || !bytes[1..5].iter().all(u8::is_ascii_digit) || bytes[5] != b' ' || bytes[8] != b':'
    {
        return None;
    }
    let close = line.find("] ")?;
    Some((level, line.get(close + 2..)?))
}

/// `10.0.0.1 - - [21/Nov/2026:07:00:00 +0000] "GET / HTTP/1.1" 200 12`: from the request on.
fn access(line: &str) -> Option<(Level, &str)> {
    let open = line.as_bytes().iter().take(120).position(|byte| *byte == b'[')?;
    let before = line.get(..open)?;
    if open < 6 || before.split(' ').count() < 4 || !before.contains(" - ") {
        return None;
    }
    let (time, rest) = line.get(open + 1..)?.split_once("] ")?;
    let is_time = time.as_bytes().get(2) == Some(&b'/') && time.as_bytes().get(6) == Some(&b'/');
    (is_time && rest.starts_with('"')).then_some((Level::Unknown, rest))
}

/// `ERROR:app.db:could not connect`
fn python(line: &str) -> Option<(Level, &str)> {
    let (word, rest) = line.get(..line.len().min(400)).unwrap_or(line).split_once(':')?;
    if !word.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let level = Level::parse(word)?;
    let (logger, _) = rest.split_once(':')?;
    let is_logger = !logger.is_empty()
        && logger.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
    is_logger.then(|| (level, &line[word.len() + logger.len() + 2..]))
}

/// What follows a time, of any of the usual forms.
fn time(line: &str) -> Option<&str> {
    let bytes = line.as_bytes();
    let open = usize::from(bytes.first() == Some(&b'['));
    let first = bytes.get(open)?;
    let mut at = open;
    if first.is_ascii_digit() {
        // A date, then perhaps the time of day; or the time of day alone.
        at = run(bytes, at, |b| {
            b.is_ascii_digit() || matches!(b, b'-' | b'/' | b':' | b'.' | b',' | b'T' | b'Z' | b'+')
        });
        let taken = &bytes[open..at];
        let marks = taken.iter().filter(|b| matches!(b, b'-' | b'/' | b':')).count();
        if marks < 2 || taken.len() < 8 || taken.len() > 40 {
            return None;
        }
        let has_day = taken.iter().filter(|b| **b == b':').count() == 0;
        if has_day {
            let clock = run(bytes, at + 1, |b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b','));
            if bytes.get(at) == Some(&b' ') && clock >= at + 9 {
                at = clock;
            } else if taken.len() != 10 {
                return None;
            }
        } else if taken.iter().filter(|b| **b == b':').count() < 2 {
            return None;
        }
    } else if shape::is_month(bytes.get(open..open + 3)?) {
        // `Nov 21 07:00:00`
        at = run(bytes, open + 3, |b| b.is_ascii_digit() || matches!(b, b' ' | b':' | b'.'));
        at = open + bytes[open..at].trim_ascii_end().len();
        if bytes[open..at].iter().filter(|b| **b == b':').count() != 2 {
            return None;
        }
    } else {
        return None;
    }
    for zone in [" UTC", " GMT", "Z", " +0000"] {
        if bytes[at..].starts_with(zone.as_bytes()) {
            at += zone.len();
        }
    }
    if open == 1 {
        at += bytes[at..].iter().take(12).position(|b| *b == b']')? + 1;
    }
    matches!(bytes.get(at), None | Some(b' ' | b'\t' | b'|' | b']' | b':')).then(|| line.get(at..)).flatten()
}

fn run(bytes: &[u8], start: usize, goes_on: impl Fn(u8) -> bool) -> usize {
    let start = start.min(bytes.len());
    start + bytes[start..].iter().take_while(|b| goes_on(**b)).count()
}

/// ` node-1 kubelet[812]: message`
fn syslog(rest: &str) -> Option<&str> {
    let rest = rest.trim_start();
    let (_host, after) = rest.split_once(' ')?;
    let (program, message) = after.split_once(": ")?;
    (!program.contains(' ') && program.len() < MAX_LOGGER_CHARS).then_some(message)
}

/// A level as the next part: `ERROR`, `[error]`, `[ERROR]:`, `WARN:`, `level=info `
fn leveled(next: &str, sure: bool) -> Option<(Level, &str)> {
    let bytes = next.as_bytes();
    let open = usize::from(matches!(bytes.first(), Some(b'[' | b'<')));
    let end = run(bytes, open, |b| b.is_ascii_alphabetic());
    let word = next.get(open..end)?;
    if word.len() < 3 {
        return None;
    }
    let level = Level::parse(word)?;
    let rest = next.get(end..)?;
    if open == 1 {
        return rest.trim_start().strip_prefix([']', '>']).map(|rest| (level, rest));
    }
    // In a sentence a level is a word like others: only capitals before a blank, or a colon, make it one.
    let is_upper = word.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_part = match rest.as_bytes().first() {
        Some(b':') => is_upper || sure,
        Some(b' ' | b'\t' | b'|') => is_upper || sure,
        _ => false,
    };
    is_part.then_some((level, rest))
}

/// `[http-nio-8080-exec-1]`, `[main]`, `[12]`, `(worker)`
fn bracketed(next: &str) -> Option<&str> {
    let close = match next.as_bytes().first()? {
        b'[' => ']',
        b'(' => ')',
        _ => return None,
    };
    let end = next.get(..next.len().min(80)).and_then(|start| start.find(close))?;
    next.get(end + 1..).filter(|rest| !rest.is_empty())
}

/// A process id: `4711 `, `29#29: `, `1:M`
fn number(next: &str) -> Option<&str> {
    let end = run(next.as_bytes(), 0, |b| b.is_ascii_digit() || b == b'#');
    let rest = next.get(end..)?;
    (end > 0 && end < 12 && rest.starts_with([' ', ':'])).then_some(rest)
}

/// A logger before its level: `app.views - ERROR - `
fn named(next: &str) -> Option<&str> {
    let (logger, rest) =
        next.get(..next.len().min(MAX_LOGGER_CHARS)).unwrap_or_default().split_once(" - ")?;
    let after = next.get(logger.len() + 3..)?;
    (!logger.contains(' ') && !rest.is_empty() && leveled(after, true).is_some()).then_some(after)
}

/// `com.shop.Checkout - `, `app.db: `, `o.s.b.w.Tomcat   : `
fn logger(next: &str, has_level: bool) -> Option<&str> {
    let bytes = next.as_bytes();
    let end =
        run(bytes, 0, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$' | b'-' | b'/' | b'@'))
            .min(MAX_LOGGER_CHARS);
    if !has_level || end == 0 {
        return None;
    }
    let rest = next.get(end..)?;
    let blank = rest.trim_start();
    let is_dotted = next[..end].contains('.');
    if blank.starts_with("- ")
        || rest.starts_with(" :")
        || blank.starts_with(": ") && blank.len() < rest.len()
        || is_dotted && rest.starts_with(": ")
    {
        return Some(blank);
    }
    // zap's console: `INFO<tab>controller/file.go:12<tab>message`
    let line_end = run(bytes, end, |b| b == b':' || b.is_ascii_digit());
    (line_end > end && bytes.get(line_end) == Some(&b'\t')).then(|| next.get(line_end..)).flatten()
}
