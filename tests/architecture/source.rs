//! Reads `src/**/*.rs` as far as the rules need it: comments, literals and tests are blanked, line numbers stay,
//! and paths into the crate are found, nested braces included. It is no parser of Rust.

use std::path::{Path, PathBuf};

/// Something found at a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub line: usize,
    pub what: String,
}

pub struct File {
    /// From the repository's root, with `/`.
    pub path: String,
    /// The top-level module.
    pub room: String,
    pub text: String,
    /// `text` with comments, literals and `#[cfg(test)]` parts blanked.
    code: String,
    /// A file of tests only: exempt from the rules about code.
    tests: bool,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `src/`, in order of path.
pub fn files() -> Vec<File> {
    let mut folders = vec![root().join("src")];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        File::new(&name, &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        let inside = path.strip_prefix("src/").unwrap_or(path);
        let room = inside.split(['/', '.']).next().unwrap_or_default().to_owned();
        let tests = inside.split('/').any(|part| part == "tests" || part == "tests.rs");
        let code = without_tests(&without_comments_and_literals(text));
        Self { path: path.to_owned(), room, text: text.to_owned(), code, tests }
    }

    /// Rooms that this file names: `crate::x`, `crate::{x, y::z}`; in main `whodunit::x`. A way round the
    /// table through `super::` up to the crate's root is reported as the room `super`.
    pub fn imports(&self) -> Vec<Found> {
        let root = if self.room == "main" { "whodunit::" } else { "crate::" };
        // lib.rs is the list of rooms itself.
        if self.tests || self.room == "lib" {
            return Vec::new();
        }
        let mut found = Vec::new();
        for at in starts(&self.code, root) {
            let rest = &self.code[at + root.len()..];
            for (offset, name) in heads(rest) {
                found.push(Found { line: self.line(at + root.len() + offset), what: name.to_owned() });
            }
        }
        for at in starts(&self.code, "super::") {
            let rest = &self.code[at..];
            let steps = (rest.len() - rest.trim_start_matches("super::").len()) / "super::".len();
            if steps >= self.depth() {
                found.push(Found { line: self.line(at), what: "super".to_owned() });
            }
        }
        found
    }

    pub fn find(&self, words: &[&str]) -> Vec<Found> {
        if self.tests {
            return Vec::new();
        }
        let mut found = Vec::new();
        for word in words {
            for (at, _) in self.code.match_indices(word) {
                found.push(Found { line: self.line(at), what: (*word).to_owned() });
            }
        }
        found
    }

    /// Lines of code: without tests, comments, blank lines and the inside of long literals.
    pub fn lines(&self) -> usize {
        if self.tests { 0 } else { self.code.lines().filter(|line| !line.trim().is_empty()).count() }
    }

    /// How many `super::` lead to the crate's root: 2 for `src/incident/decide.rs`.
    fn depth(&self) -> usize {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').filter(|part| *part != "mod.rs").count()
    }

    /// A file of tests only.
    pub fn is_tests(&self) -> bool {
        self.tests
    }

    fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }
}

/// Where `word` starts a path: not in the middle of another name or path.
fn starts(code: &str, word: &str) -> Vec<usize> {
    let begins = |at: &usize| {
        !code[..*at].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | ':' | '$'))
    };
    code.match_indices(word).map(|(at, _)| at).filter(begins).collect()
}

/// The first names of a path or of every branch of `{a::b, c::{d, e}}`, with their offsets.
fn heads(rest: &str) -> Vec<(usize, &str)> {
    let name_at = |start: usize| -> (usize, &str) {
        let end =
            rest[start..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(rest.len(), |n| start + n);
        (start, &rest[start..end])
    };
    if !rest.starts_with('{') {
        return vec![name_at(0)];
    }
    let mut found = Vec::new();
    let (mut depth, mut expect) = (0, false);
    for (at, c) in rest.char_indices() {
        match c {
            '{' => {
                depth += 1;
                expect = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expect = depth == 1,
            c if expect && (c.is_alphanumeric() || c == '_') => {
                found.push(name_at(at));
                expect = false;
            }
            _ => {}
        }
    }
    found
}

/// Blanks comments, strings and characters; every byte that goes becomes a space, line breaks stay.
fn without_comments_and_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let skip = literal(rest, out.chars().next_back());
        if skip > 0 {
            out.extend(rest[..skip].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skip..];
        } else if let Some(c) = rest.chars().next() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Bytes of the comment or literal that `rest` starts with, 0 if it starts with code.
fn literal(rest: &str, before: Option<char>) -> usize {
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'));
    if let Some(raw) = raw.filter(|_| !in_name) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &raw[hashes + 1..];
            let length = body.find(&end).map_or(body.len(), |at| at + end.len());
            return rest.len() - raw.len() + hashes + 1 + length;
        }
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        let mut chars = inside.chars();
        // 'a' and '\n' are characters, 'a without a closing quote is a lifetime.
        return match (chars.next(), chars.next()) {
            (Some('\\'), _) => quoted(rest, '\''),
            (Some(c), Some('\'')) => 2 + c.len_utf8(),
            _ => 0,
        };
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Blanks every item under `#[cfg(test)]`: up to its closing brace, or its semicolon.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let (mut depth, mut end) = (0_usize, rest.len());
        for (offset, c) in rest[at..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                end = at + offset + 1;
                break;
            }
        }
        out.extend(rest[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}
