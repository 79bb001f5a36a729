//! Lines become records: a stack trace belongs to the line that it stands under. Ranges of lines come out, in the
//! order of the lines; each line is in one of them.

use std::ops::Range;

/// Lines of one record; what is longer begins anew.
const MAX_RECORD_LINES: usize = 200;

/// What the lines so far are in the middle of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    /// Python: up to the line that names the exception.
    Traceback,
    /// Go: as long as frames follow.
    Panic,
}

/// The records of these lines.
pub fn records<S: AsRef<str>>(lines: &[S]) -> Vec<Range<usize>> {
    let mut records: Vec<Range<usize>> = Vec::new();
    let mut open = Open::Nothing;
    for (number, line) in lines.iter().enumerate() {
        let line = line.as_ref();
        let goes_on = continues(line, open);
        open = next(line, open, goes_on);
        match records.last_mut() {
            Some(last) if goes_on && last.len() < MAX_RECORD_LINES => last.end = number + 1,
            _ => records.push(number..number + 1),
        }
    }
    records
}

fn continues(line: &str, open: Open) -> bool {
    let is_indented = line.starts_with([' ', '\t']) && !line.trim().is_empty();
    let is_java = line.starts_with("Caused by: ") || line.starts_with("Suppressed: ");
    let is_python = line.starts_with("Traceback (most recent call last)")
        || line.starts_with("During handling of the above exception")
        || line.starts_with("The above exception was the direct cause");
    let is_open = match open {
        Open::Nothing => false,
        Open::Traceback => !begins(line),
        Open::Panic => is_go_frame(line),
    };
    is_indented || is_java || is_python || is_open || is_exception(line)
}

fn next(line: &str, open: Open, goes_on: bool) -> Open {
    if line.starts_with("Traceback (most recent call last)") {
        return Open::Traceback;
    }
    if line.starts_with("panic: ") || line.starts_with("fatal error: ") || line.starts_with("goroutine ") {
        return Open::Panic;
    }
    match open {
        // The exception's own line ends it.
        Open::Traceback if !line.starts_with([' ', '\t']) && !line.is_empty() => Open::Nothing,
        _ if !goes_on => Open::Nothing,
        same => same,
    }
}

/// What stands under a panic of Go: `goroutine 1 [running]:`, `main.main()`, `[signal SIGSEGV: …]`.
fn is_go_frame(line: &str) -> bool {
    let is_call = line.ends_with(')')
        && line.split('(').next().is_some_and(|call| call.contains('.') && !call.contains(' '));
    let begins = ["goroutine ", "[signal ", "created by ", "panic: ", "exit status ", "runtime stack:", "\t"];
    line.trim().is_empty() || is_call || begins.iter().any(|begin| line.starts_with(begin))
}

/// A time, a level, JSON or a pair at the start: a record of its own.
fn begins(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is_klog =
        bytes.len() > 5 && b"IWEF".contains(&bytes[0]) && bytes[1..5].iter().all(u8::is_ascii_digit);
    let is_time =
        bytes.len() > 9 && bytes[..2].iter().all(u8::is_ascii_digit) && !bytes[0].is_ascii_alphabetic();
    let is_pair = line.starts_with("time=") || line.starts_with("level=") || line.starts_with("ts=");
    is_klog || is_time || is_pair || line.starts_with('{') || line.starts_with('[')
}

/// `java.lang.IllegalStateException: declined` under the line that logged it.
fn is_exception(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or_default();
    let is_named = name.ends_with("Exception") || name.ends_with("Error");
    is_named
        && name.contains('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$'))
}
