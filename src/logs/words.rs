//! Words become small numbers, and keys of words become hashes. The seed differs from run to run, so that nobody
//! who writes a log can aim at a collision; nothing that is shown depends on it.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// The number of what varies.
pub const STAR: u32 = 0;

/// Set in the number of a word that stands after a colon.
pub const AFTER_COLON: u32 = 1 << 31;

/// Set in the number of a word that names what stands behind `=`.
pub const KEY: u32 = 1 << 30;

/// A number without what is set in it.
pub const NUMBER: u32 = !(AFTER_COLON | KEY);

/// Takes the hash as it is.
#[derive(Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Keyed by a hash.
pub type Map<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;

/// Words by number.
pub struct Words {
    seed: u64,
    known: Map<u32>,
    all: Vec<Box<str>>,
}

impl Default for Words {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0), known: Map::default(), all: vec!["<*>".into()] }
    }
}

impl Words {
    pub fn hash(&self, word: &[u8]) -> u64 {
        let (eights, rest) = word.as_chunks::<8>();
        let mut hash = self.seed ^ word.len() as u64;
        for eight in eights {
            hash = mix(hash, u64::from_le_bytes(*eight));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        mix(hash, u64::from_le_bytes(last))
    }

    pub fn number(&mut self, word: &str) -> u32 {
        let hash = self.hash(word.as_bytes());
        let next = self.all.len() as u32;
        let number = *self.known.entry(hash).or_insert(next);
        if number == next {
            self.all.push(word.into());
        }
        number
    }

    pub fn text(&self, number: u32) -> &str {
        self.all.get((number & NUMBER) as usize).map_or("", |word| word)
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }
}

/// Folds one more part into a hash.
pub fn mix(hash: u64, part: u64) -> u64 {
    let product = u128::from(hash ^ 0x9e37_79b9_7f4a_7c15) * u128::from(part ^ 0xe703_7ed1_a0b4_28db);
    (product as u64) ^ ((product >> 64) as u64)
}
