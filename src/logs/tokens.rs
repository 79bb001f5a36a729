//! A message becomes tokens: words that are always the same, and stars where something varies by its form
//! (numbers, ids, addresses, paths, quoted strings, values after `=`, lists). Neighbouring stars are one, so
//! that lists of any length look alike. One pass over the bytes; nothing is copied.

use super::shape;

/// What of a message decides its template.
const MAX_BYTES: usize = 1_000;
const MAX_TOKENS: usize = 80;
/// How far a quote or a bracket may reach.
const MAX_ENCLOSED_BYTES: usize = 600;

/// What stays of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Word,
    /// `worker12`: the letters before the number.
    Stem,
    Star,
}

/// A piece of a message, as bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub start: u32,
    pub end: u32,
    pub kind: Kind,
    /// Begins what follows a colon and a blank.
    pub after_colon: bool,
}

impl Token {
    /// What of the message decides: nothing of a star.
    pub fn decides<'a>(&self, message: &'a str) -> &'a str {
        let word = message.get(self.start as usize..self.end as usize).unwrap_or_default();
        match self.kind {
            Kind::Word => word,
            Kind::Stem => &word[..word.bytes().take_while(u8::is_ascii_alphabetic).count()],
            Kind::Star => "",
        }
    }
}

/// Replaces what `out` holds with the tokens of this message.
pub fn scan(text: &str, out: &mut Vec<Token>) {
    out.clear();
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let bytes = &text.as_bytes()[..end];
    let mut scan = Scan { bytes, out, at: 0 };
    while scan.at < bytes.len() && scan.out.len() < MAX_TOKENS {
        scan.step();
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    out: &'a mut Vec<Token>,
    at: usize,
}

impl Scan<'_> {
    fn step(&mut self) {
        match self.bytes[self.at] {
            b'"' | b'`' => self.quoted(),
            b'\'' if !self.after_word() => self.quoted(),
            b'[' | b'{' => self.list(),
            b'=' if self.after_word() => self.value(),
            byte if shape::divides(byte) => self.at += 1,
            _ => self.piece(),
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(b' ')
    }

    fn after_word(&self) -> bool {
        self.at > 0 && !shape::divides(self.bytes[self.at - 1])
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let after_colon = start > 2 && &self.bytes[start - 2..start] == b": ";
        self.out.push(Token { start: start as u32, end: end as u32, kind, after_colon });
    }

    fn star(&mut self, start: usize, end: usize) {
        match self.out.last_mut() {
            Some(last) if last.kind == Kind::Star => last.end = end as u32,
            _ => self.push(Kind::Star, start, end),
        }
    }

    /// Right behind a star and a colon: `10.0.0.1:http`
    fn continues_star(&self, start: usize) -> bool {
        start > 1
            && self.bytes[start - 1] == b':'
            && self.out.last().is_some_and(|last| last.kind == Kind::Star && last.end as usize == start - 1)
    }

    /// `"checkout"`; of a request the method stays.
    fn quoted(&mut self) {
        let start = self.at + 1;
        let Some(close) = closing_quote(self.bytes, self.at) else {
            self.at += 1;
            return;
        };
        if self.at == 0 && close + 1 == self.bytes.len() {
            // All of it is quoted: that says nothing.
            self.at += 1;
            return;
        }
        let content = &self.bytes[start..close];
        let method = content.iter().position(|byte| *byte == b' ').unwrap_or(0);
        if shape::is_method(&content[..method]) {
            self.push(Kind::Word, start, start + method);
            self.star(start + method + 1, close);
        } else {
            self.star(start, close);
        }
        self.at = close + 1;
    }

    /// `[a, b]`, `map[a:b]`, `{"a": 1}`
    fn list(&mut self) {
        let open = self.at;
        let Some(close) = closing_bracket(self.bytes, open) else {
            self.at += 1;
            return;
        };
        let content = &self.bytes[open + 1..close];
        let is_braced = self.bytes[open] == b'{';
        let is_list = content.is_empty()
            || content.contains(&b',')
            || is_braced && content.iter().any(|b| matches!(b, b':' | b' '));
        let is_map = self.after_word() && content.contains(&b':');
        if is_list || is_map {
            self.star(open, close + 1);
            self.at = close + 1;
        } else {
            self.at += 1;
        }
    }

    /// What stands after `key=`, also nothing.
    fn value(&mut self) {
        let start = self.at + 1;
        match self.byte(start) {
            b'=' | b'>' => self.at += 2,
            b'"' | b'\'' | b'`' => {
                let close = closing_quote(self.bytes, start).map_or(start + 1, |close| close + 1);
                self.star(start, close);
                self.at = close;
            }
            b'[' | b'{' | b'(' if closing_bracket(self.bytes, start).is_some() => {
                let close = closing_bracket(self.bytes, start).map_or(start, |close| close + 1);
                self.star(start, close);
                self.at = close;
            }
            _ => {
                let end = self.run(start, |b| {
                    !b.is_ascii_whitespace() && !matches!(b, b',' | b';' | b')' | b']' | b'}')
                });
                self.star(start, end);
                self.at = end;
            }
        }
    }

    fn run(&self, start: usize, goes_on: impl Fn(u8) -> bool) -> usize {
        self.bytes[start..].iter().position(|b| !goes_on(*b)).map_or(self.bytes.len(), |n| start + n)
    }

    fn piece(&mut self) {
        let start = self.at;
        let mut digits = 0;
        let mut letters = 0;
        let mut slashes = 0;
        let mut marks = 0;
        let mut end = start;
        while let Some(&byte) = self.bytes.get(end) {
            match shape::CLASS[byte as usize] {
                shape::DIVIDER => break,
                shape::DIGIT => digits += 1,
                shape::LETTER => letters += 1,
                shape::SLASH => slashes += 1,
                shape::AT => marks += 1,
                _ => {}
            }
            end += 1;
        }
        let is_url = self.byte(end) == b':' && self.byte(end + 1) == b'/' && self.byte(end + 2) == b'/';
        let is_path = slashes > 0
            && (matches!(self.bytes[start], b'/' | b'\\' | b'.' | b'~') && letters + digits > 0
                || slashes > 1);
        if is_url || is_path {
            end = self.run(end, |b| {
                !b.is_ascii_whitespace()
                    && !matches!(b, b'"' | b'\'' | b'`' | b',' | b';' | b')' | b']' | b'}' | b'>' | b'(')
            });
            self.star(start, trimmed(self.bytes, start, end));
        } else if digits > 0 {
            self.with_digits(start, end, digits, letters);
        } else if letters > 0 {
            self.plain(start, end, marks);
        }
        self.at = end.max(start + 1);
    }

    fn with_digits(&mut self, start: usize, end: usize, digits: usize, letters: usize) {
        let end = trimmed(self.bytes, start, end);
        let piece = &self.bytes[start..end];
        let prefix = piece.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(0);
        if prefix == letters
            && prefix >= shape::MIN_PREFIX_CHARS
            && digits <= shape::MAX_SUFFIX_DIGITS
            && piece.len() <= prefix + digits + 1
        {
            self.push(Kind::Stem, start, end);
        } else {
            self.star(start, end);
        }
    }

    fn plain(&mut self, start: usize, end: usize, marks: usize) {
        let first = self.run(start, |b| !b.is_ascii_alphanumeric() && b < 0x80).min(end);
        let last = trimmed(self.bytes, first, end);
        let word = &self.bytes[first..last];
        let after_number = self.out.last().is_some_and(|last| {
            last.kind == Kind::Star && last.end > 0 && self.bytes[last.end as usize - 1].is_ascii_digit()
        });
        let dotted_host = self.byte(end) == b':'
            && self.byte(end + 1).is_ascii_digit()
            && word.iter().any(|b| matches!(b, b'.' | b'-'));
        if marks > 0 && word.contains(&b'@')
            || dotted_host
            || self.continues_star(start)
            || shape::is_value(word)
            || after_number && shape::is_unit(word)
        {
            self.star(first, last);
        } else if !word.is_empty() {
            self.push(Kind::Word, first, last);
        }
    }
}

/// Without the punctuation of the sentence.
fn trimmed(bytes: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && !bytes[end - 1].is_ascii_alphanumeric() && bytes[end - 1] < 0x80 {
        end -= 1;
    }
    end
}

fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let quote = bytes[open];
    let limit = bytes.len().min(open + MAX_ENCLOSED_BYTES);
    let mut at = open + 1;
    while at < limit {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == quote => {
                let next = bytes.get(at + 1).copied().unwrap_or(b' ');
                if quote != b'\'' || !next.is_ascii_alphanumeric() {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn closing_bracket(bytes: &[u8], open: usize) -> Option<usize> {
    let limit = bytes.len().min(open + MAX_ENCLOSED_BYTES);
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate().take(limit).skip(open) {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
