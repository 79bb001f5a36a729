//! Two places of a key that vary at once, as a user and a queue do: all the rest is equal, and enough different
//! words stand in both.

use std::collections::BTreeMap;

use super::{MIN_PAIR_REST, MIN_PAIR_WORDS, distinct, is_star, may_vary, part, replace, starred_of, whole};
use crate::logs::group::Key;
use crate::logs::words::{Map, Words, mix};

/// Keys that must be alike but for the two places.
const MIN_PAIR_KEYS: usize = 5;
/// Pairs are looked at in messages up to this length, and up to this many keys.
const MAX_PAIR_TOKENS: usize = 24;
const MAX_PAIR_KEYS: usize = 2_000;

pub fn pairs(keys: &mut [Key], words: &Words) -> bool {
    let seed = words.seed();
    let distinct = distinct(keys);
    if distinct.len() > MAX_PAIR_KEYS {
        return false;
    }
    let mut places: Map<Vec<(u32, u32)>> = Map::default();
    for key in &distinct {
        let hash = whole(key, seed);
        for_pairs(key, |one, other| {
            places
                .entry(without_both(key, hash, one, other))
                .or_default()
                .push((key.tokens[one], key.tokens[other]));
        });
    }
    let mut known: BTreeMap<Key, Key> = BTreeMap::new();
    for key in distinct.iter().map(|key| (*key).clone()).collect::<Vec<_>>() {
        let hash = whole(&key, seed);
        let mut stars = Vec::new();
        for_pairs(&key, |one, other| {
            if places.get(&without_both(&key, hash, one, other)).is_some_and(|seen| both_vary(seen, &key)) {
                stars.extend([one, other]);
            }
        });
        if !stars.is_empty() {
            let mut starred = key.clone();
            for place in stars {
                starred.tokens[place] = starred_of(starred.tokens[place]);
            }
            known.insert(key, starred);
        }
    }
    replace(keys, &known)
}

fn for_pairs(key: &Key, mut each: impl FnMut(usize, usize)) {
    if key.tokens.len() > MAX_PAIR_TOKENS {
        return;
    }
    for one in 0..key.tokens.len() {
        for other in one + 1..key.tokens.len() {
            if may_vary(key.tokens[one]) && may_vary(key.tokens[other]) {
                each(one, other);
            }
        }
    }
}

fn without_both(key: &Key, hash: u64, one: usize, other: usize) -> u64 {
    let rest = hash.wrapping_sub(part(one, key.tokens[one])).wrapping_sub(part(other, key.tokens[other]));
    mix(rest, (one * MAX_PAIR_TOKENS + other) as u64)
}

fn both_vary(seen: &[(u32, u32)], key: &Key) -> bool {
    let rest = key.tokens.iter().filter(|word| !is_star(**word)).count() - 2;
    if seen.len() < MIN_PAIR_KEYS || rest < MIN_PAIR_REST {
        return false;
    }
    let count = |of: fn(&(u32, u32)) -> u32| {
        let mut all: Vec<u32> = seen.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    };
    count(|pair| pair.0) >= MIN_PAIR_WORDS && count(|pair| pair.1) >= MIN_PAIR_WORDS
}
