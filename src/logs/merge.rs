//! Keys become templates: a word becomes a star where enough other words stand in its place while all the rest is
//! equal. All evidence of a round is read before any of it is used, so the order of the keys does not matter.

mod pairs;
mod rare;
mod tails;

use std::collections::BTreeMap;

use super::group::Key;
use super::shape;
use super::words::{AFTER_COLON, KEY, Map, NUMBER, STAR, Words, mix};

/// Words that must stand in one place before it is a star: of the language, of the first place (often the verb),
/// in a short message, and where a name is expected.
const MIN_WORDS: usize = 5;
const MIN_FIRST_WORDS: usize = 8;
const MIN_SHORT_WORDS: usize = 10;
const MIN_INTRODUCED: usize = 2;
const MIN_NAMES: usize = 4;
/// A message with fewer words than these besides the star is short.
const SHORT: usize = 2;
/// Of two places at once.
const MIN_PAIR_WORDS: usize = 3;
const MIN_PAIR_REST: usize = 2;
/// More distinct keys than these are left as they are: the evidence would not fit into memory.
const MAX_MERGED_KEYS: usize = 20_000;
const MAX_ROUNDS: usize = 12;

/// What stands in one place of otherwise equal keys.
#[derive(Default)]
struct Place {
    words: Vec<u32>,
    has_star: bool,
}

/// The template of each key.
pub fn merge(keys: &[Key], words: &Words) -> Vec<Key> {
    let mut merged = keys.to_vec();
    let rounds = if distinct(keys).len() > MAX_MERGED_KEYS { 0 } else { MAX_ROUNDS };
    for _ in 0..rounds {
        if !single(&mut merged, words)
            && !pairs::pairs(&mut merged, words)
            && !rare::rare(&mut merged, words)
            && !tails::tails(&mut merged, words)
            && !rare::fitting(&mut merged)
        {
            break;
        }
    }
    merged
}

fn is_star(token: u32) -> bool {
    token & NUMBER == STAR
}

/// What may become a star.
fn may_vary(token: u32) -> bool {
    !is_star(token) && token & KEY == 0
}

fn starred_of(token: u32) -> u32 {
    // STAR is 0.
    token & AFTER_COLON
}

/// Of each level and length, without repetition.
fn distinct(keys: &[Key]) -> Vec<&Key> {
    let mut distinct: Vec<&Key> = keys.iter().collect();
    distinct.sort_unstable_by(|a, b| (a.level, &a.tokens).cmp(&(b.level, &b.tokens)));
    distinct.dedup();
    distinct
}

fn prefix(key: &Key, seed: u64) -> u64 {
    mix(mix(seed, key.level as u64), key.tokens.len() as u64)
}

/// The hash of a key is the sum over its places, so that a place can be taken out.
fn part(place: usize, word: u32) -> u64 {
    mix(place as u64 + 1, u64::from(word) + 1)
}

fn whole(key: &Key, seed: u64) -> u64 {
    key.tokens
        .iter()
        .enumerate()
        .fold(prefix(key, seed), |sum, (place, word)| sum.wrapping_add(part(place, *word)))
}

fn without(key: &Key, hash: u64, place: usize) -> u64 {
    let word = key.tokens[place];
    mix(hash.wrapping_sub(part(place, word)), place as u64)
}

fn single(keys: &mut [Key], words: &Words) -> bool {
    let seed = words.seed();
    let mut places: Map<Place> = Map::default();
    for key in distinct(keys) {
        let hash = whole(key, seed);
        for (place, word) in key.tokens.iter().enumerate() {
            let seen = places.entry(without(key, hash, place)).or_default();
            if is_star(*word) {
                seen.has_star = true;
            } else {
                seen.words.push(*word);
            }
        }
    }
    let mut changed = false;
    for key in keys {
        let hash = whole(key, seed);
        let stars: Vec<usize> = (0..key.tokens.len())
            .filter(|place| may_vary(key.tokens[*place]))
            .filter(|place| {
                places.get(&without(key, hash, *place)).is_some_and(|seen| varies(seen, key, *place, words))
            })
            .collect();
        for place in stars {
            key.tokens[place] = starred_of(key.tokens[place]);
            changed = true;
        }
    }
    changed
}

fn varies(seen: &Place, key: &Key, place: usize, words: &Words) -> bool {
    let rest = key.tokens.iter().filter(|word| !is_star(**word)).count() - 1;
    let count = seen.words.len();
    if seen.has_star && rest >= SHORT {
        return true;
    }
    if count < MIN_INTRODUCED || rest == 0 {
        return false;
    }
    let names = seen.words.iter().filter(|word| shape::is_name(words.text(**word))).count();
    let before =
        place.checked_sub(1).and_then(|before| key.tokens.get(before)).map_or("", |word| words.text(*word));
    let are_names = names * 2 >= count;
    let needed = if place > 0 && shape::introduces(before) {
        MIN_INTRODUCED
    } else if place > 0 && are_names && rest >= SHORT {
        MIN_NAMES
    } else if rest < SHORT && !are_names {
        MIN_SHORT_WORDS
    } else if place == 0 && !are_names {
        MIN_FIRST_WORDS
    } else {
        MIN_WORDS
    };
    count >= needed
}

fn replace(keys: &mut [Key], known: &BTreeMap<Key, Key>) -> bool {
    let mut changed = false;
    for key in keys {
        if let Some(other) = known.get(key) {
            changed = true;
            key.clone_from(other);
        }
    }
    changed
}

/// Words and stars with blanks between; neighbouring stars are one.
pub fn text(tokens: &[u32], words: &Words) -> String {
    let mut text = String::new();
    let mut after_star = false;
    for token in tokens {
        if is_star(*token) && after_star {
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(words.text(*token));
        after_star = is_star(*token);
    }
    text
}
