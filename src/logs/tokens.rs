//! A message becomes tokens: words that are always the same, and stars where something varies by its form
//! (numbers, ids, addresses, paths, quoted strings, values after `=`, lists). Neighbouring stars are one, so
//! that lists of any length look alike. One pass over the bytes; nothing is copied.

use super::enclosed::{address, closing_bracket, closing_quote};
use super::shape;

/// What of a message decides its template.
const MAX_BYTES: usize = 1_000;
const MAX_TOKENS: usize = 80;
/// Of a count of bytes in a piece, which has at most `MAX_BYTES`.
const COUNT_BITS: u32 = 10;
/// Of what is folded when it stands there twice.
const MAX_REPEATED_TOKENS: usize = 3;

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
    /// Names what stands behind `=`, or that nothing is there: never a value itself.
    pub is_key: bool,
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

impl Token {
    /// What decides beside its word.
    pub fn form(&self) -> u64 {
        (self.kind as u64) << 2 | u64::from(self.after_colon) << 1 | u64::from(self.is_key)
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
    let mut scan = Scan { bytes, out, at: 0, close: usize::MAX };
    while scan.at < bytes.len() && scan.out.len() < MAX_TOKENS {
        let before = scan.out.len();
        scan.step();
        if scan.out.len() > before {
            scan.fold_repeated();
        }
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    out: &'a mut Vec<Token>,
    at: usize,
    /// The end of a quote that the message begins with: what stands in it is the message.
    close: usize,
}

impl Scan<'_> {
    fn step(&mut self) {
        match self.bytes[self.at] {
            _ if self.at == self.close => self.at += 1,
            b'"' | b'`' => self.quoted(),
            b'\'' if !self.after_word() => self.quoted(),
            b'[' if self.after_word() => self.index(),
            b'[' | b'{' => self.list(),
            b'(' if self.byte(self.at + 1) == b')' => self.nothing(),
            b'(' if self.byte(self.at + 1) == b' ' => self.spaced(),
            b'(' if self.follows_star() => self.note(),
            b' ' if self.is_gap() => self.gap(),
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
        let is_key = match self.byte(end) {
            b'=' => !matches!(self.byte(end + 1), b'=' | b'>'),
            b' ' => self.byte(end + 1) == b'=' && !matches!(self.byte(end + 2), b'=' | b'>'),
            _ => false,
        };
        self.out.push(Token { start: start as u32, end: end as u32, kind, after_colon, is_key });
    }

    /// A list of any length says the same: `node-3 0x1f <ok> node-4 0x2f <ok>`.
    fn fold_repeated(&mut self) {
        let len = self.out.len();
        for size in 1..=MAX_REPEATED_TOKENS.min(len / 2) {
            let (before, last) = self.out[len - 2 * size..].split_at(size);
            let is_same = before.iter().zip(last).all(|(one, other)| self.is_same(one, other));
            if is_same && last.iter().any(|token| token.kind != Kind::Word) {
                self.out.truncate(len - size);
                return;
            }
        }
    }

    fn is_same(&self, one: &Token, other: &Token) -> bool {
        let word = |token: &Token| {
            let word = &self.bytes[token.start as usize..token.end as usize];
            let letters = word.iter().take_while(|b| b.is_ascii_alphabetic()).count();
            if token.kind == Kind::Stem { &word[..letters] } else { word }
        };
        one.kind == other.kind && (one.kind == Kind::Star || word(one) == word(other))
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
        let content = &self.bytes[start..close];
        let method = content.iter().position(|byte| *byte == b' ').unwrap_or(0);
        if self.at == 0 && !shape::is_method(&content[..method]) {
            (self.at, self.close) = (1, close);
            return;
        }
        if shape::is_method(&content[..method]) {
            self.push(Kind::Word, start, start + method);
            self.star(start + method + 1, close);
        } else {
            self.star(start, close);
        }
        self.at = close + 1;
    }

    /// `sshd[812]`, `WWEN[enabled]`: what stands in it belongs to the word.
    fn index(&mut self) {
        match closing_bracket(self.bytes, self.at) {
            Some(close) => {
                self.star(self.at, close + 1);
                self.at = close + 1;
            }
            None => self.at += 1,
        }
    }

    /// `from 10.0.0.7 ()`: a value that is not there; behind a word it is a call.
    fn nothing(&mut self) {
        if !self.after_word() {
            self.push(Kind::Word, self.at, self.at + 2);
            self.out.last_mut().into_iter().for_each(|token| token.is_key = true);
        }
        self.at += 2;
    }

    /// A blank behind a star, or nothing.
    fn follows_star(&self) -> bool {
        self.at > 1
            && self.out.last().is_some_and(|last| {
                last.kind == Kind::Star
                    && (last.end as usize == self.at - 1 && self.bytes[self.at - 1] == b' ')
            })
    }

    /// `10.0.0.7 (mail.shop)`, `process 812 (nginx)`: one word that says what the value before it is.
    fn note(&mut self) {
        let start = self.at + 1;
        let end = self.run(start, |b| !shape::divides(b));
        if self.byte(end) == b')' && end > start {
            self.star(start, end);
            self.at = end + 1;
        } else {
            self.at += 1;
        }
    }

    /// `( on on off )`
    fn spaced(&mut self) {
        match closing_bracket(self.bytes, self.at) {
            Some(close) if self.bytes[close - 1] == b' ' => {
                self.star(self.at, close + 1);
                self.at = close + 1;
            }
            _ => self.at += 1,
        }
    }

    /// Two blanks between words: `user  from`.
    fn is_gap(&self) -> bool {
        self.at > 0
            && self.bytes[self.at - 1].is_ascii_alphabetic()
            && self.byte(self.at + 1) == b' '
            && !matches!(self.byte(self.at + 2), b' ' | b'=')
            && self.at + 2 < self.bytes.len()
    }

    /// A value that is empty.
    fn gap(&mut self) {
        self.at += 1;
        self.star(self.at, self.at);
        self.at += 1;
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
        // Counts of all classes in one number, which stays in a register.
        let mut counts = 0_u64;
        let mut end = start;
        for &byte in &self.bytes[start..] {
            let class = shape::CLASS[byte as usize];
            // A line of dots leads to a value.
            if class == shape::DIVIDER || byte == b'.' && self.byte(end + 1) == b'.' {
                break;
            }
            counts += 1 << (u32::from(class) * COUNT_BITS);
            end += 1;
        }
        let count =
            |class: u8| (counts >> (u32::from(class) * COUNT_BITS)) as usize & ((1 << COUNT_BITS) - 1);
        let (digits, letters) = (count(shape::DIGIT), count(shape::LETTER));
        let (slashes, marks) = (count(shape::SLASH), count(shape::AT));
        if self.byte(end) == b':'
            && let Some(end) = address(self.bytes, start)
        {
            self.star(start, end);
            self.at = end;
            return;
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

    fn is_port(&self, start: usize) -> bool {
        let end = self.run(start, |b| b.is_ascii_digit());
        (start + 1..=start + 5).contains(&end) && !self.byte(end).is_ascii_alphanumeric()
    }

    fn with_digits(&mut self, start: usize, end: usize, digits: usize, letters: usize) {
        let end = trimmed(self.bytes, start, end);
        let piece = &self.bytes[start..end];
        let prefix = piece.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(0);
        let is_numbered =
            prefix == letters && digits <= shape::MAX_SUFFIX_DIGITS && piece.len() <= prefix + digits + 1;
        // `attempt_1445_0020_m_000002_0`
        let is_prefixed = piece.get(prefix) == Some(&b'_');
        if prefix >= shape::MIN_PREFIX_CHARS && (is_numbered || is_prefixed) {
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
        let dotted_host =
            self.byte(end) == b':' && self.is_port(end + 1) && word.iter().any(|b| matches!(b, b'.' | b'-'));
        if marks > 0 && word.contains(&b'@')
            || dotted_host
            || self.continues_star(start)
            || shape::is_value(word)
            || word.len() == 1 && !matches!(word, b"a" | b"A" | b"I")
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
