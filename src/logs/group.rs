//! Records go in one by one; what differs by form only is one key. At the end keys become templates (`merge`).
//! Holds the distinct keys of a window, never the records; beyond its bounds records are counted, not kept.

use super::merge;
use super::structure::{self, Level, Parsed};
use super::tokens::{self, Kind, Token};
use super::words::{AFTER_COLON, KEY, Map, STAR, Words, mix};

/// Records of a window.
pub const MAX_RECORDS: usize = 100_000;

/// A masked message: words by number, `STAR` where something varies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub level: Level,
    pub tokens: Vec<u32>,
}

/// Groups the records of one window.
#[derive(Default)]
pub struct Grouper {
    words: Words,
    known: Map<u32>,
    keys: Vec<Key>,
    of_record: Vec<u32>,
    scratch: Vec<Token>,
    left_out: usize,
}

/// What records say, each kind once.
pub struct Grouping {
    pub templates: Vec<Template>,
    /// The template of each record, in the order in which they came.
    pub of_record: Vec<usize>,
    /// Records beyond `MAX_RECORDS`.
    pub left_out: usize,
}

/// What many records say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Of its level and text: the same in every run.
    pub id: String,
    pub level: Level,
    /// `dial tcp <*> connect connection refused`
    pub text: String,
}

impl Grouper {
    pub fn new() -> Self {
        Self::default()
    }

    /// False when the window is full: then the record is only counted.
    pub fn add(&mut self, record: &str) -> bool {
        if self.of_record.len() >= MAX_RECORDS {
            self.left_out += 1;
            return false;
        }
        let parsed = structure::parse(record);
        tokens::scan(&parsed.message, &mut self.scratch);
        let hash = self.hash(&parsed);
        let number = match self.known.get(&hash) {
            Some(number) => *number,
            None => {
                let number = self.keys.len() as u32;
                let key = self.key(&parsed);
                self.keys.push(key);
                self.known.insert(hash, number);
                number
            }
        };
        self.of_record.push(number);
        true
    }

    fn hash(&self, parsed: &Parsed<'_>) -> u64 {
        let mut hash = mix(self.words.seed(), parsed.level as u64);
        for token in &self.scratch {
            let word = self.words.hash(token.decides(&parsed.message).as_bytes());
            hash = mix(hash, word ^ token.form());
        }
        hash
    }

    fn key(&mut self, parsed: &Parsed<'_>) -> Key {
        let words = &mut self.words;
        let number = |token: &Token| {
            let word = token.decides(&parsed.message);
            let number = match token.kind {
                Kind::Star => STAR,
                Kind::Word => words.number(word),
                Kind::Stem => words.number(&format!("{word}<*>")),
            };
            let number = if token.after_colon { number | AFTER_COLON } else { number };
            if token.is_key && token.kind != Kind::Star { number | KEY } else { number }
        };
        Key { level: parsed.level, tokens: self.scratch.iter().map(number).collect() }
    }

    pub fn finish(self) -> Grouping {
        let merged = merge::merge(&self.keys, &self.words);
        let mut numbers = std::collections::BTreeMap::new();
        let texts: Vec<(Level, String)> =
            merged.iter().map(|key| (key.level, merge::text(&key.tokens, &self.words))).collect();
        for text in &texts {
            numbers.insert(text, 0);
        }
        for (number, place) in numbers.values_mut().enumerate() {
            *place = number;
        }
        let of_key: Vec<usize> =
            texts.iter().map(|text| numbers.get(text).copied().unwrap_or_default()).collect();
        let templates = numbers
            .keys()
            .map(|(level, text)| Template { id: id(*level, text), level: *level, text: text.clone() })
            .collect();
        let of_record =
            self.of_record.iter().map(|key| of_key.get(*key as usize).copied().unwrap_or_default()).collect();
        Grouping { templates, of_record, left_out: self.left_out }
    }
}

/// What one text says without its numbers, ids and names: the same for texts that differ in these only.
pub fn masked(text: &str) -> String {
    let mut tokens = Vec::new();
    tokens::scan(text, &mut tokens);
    let shown = tokens.iter().map(|token| if token.kind == Kind::Star { "<*>" } else { token.decides(text) });
    shown.collect::<Vec<_>>().join(" ")
}

/// FNV-1a: fixed for ever, short enough to be said.
fn id(level: Level, text: &str) -> String {
    let bytes = level.name().bytes().chain([0]).chain(text.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{:012x}", hash >> 16)
}
