//! Any number of places that vary at once, in two ways: words that are rare beside the commonest of their key, and
//! keys that fit a template already found.

use std::collections::BTreeMap;

use super::{
    MIN_PAIR_REST, MIN_PAIR_WORDS, SHORT, distinct, is_star, may_vary, part, prefix, replace, starred_of,
};
use crate::logs::group::Key;
use crate::logs::structure::Level;
use crate::logs::words::{Map, Words};

/// A word is rare in its place when the commonest word of its key is seen so many times as often.
const RARE: u32 = 3;
const MIN_RARE_KEYS: usize = 4;
/// Keys of one level and length that are compared with each other.
const MAX_FITTING_KEYS: usize = 500;

/// Words that are rare in their place beside the commonest of their key, in keys that are equal without them.
pub fn rare(keys: &mut [Key], words: &Words) -> bool {
    let seed = words.seed();
    let distinct = distinct(keys);
    let mut counts: Map<u32> = Map::default();
    for key in &distinct {
        for (place, word) in key.tokens.iter().enumerate() {
            *counts.entry(prefix(key, seed).wrapping_add(part(place, *word))).or_default() += 1;
        }
    }
    let mut alike: BTreeMap<Key, Vec<&Key>> = BTreeMap::new();
    for key in &distinct {
        let count = |place: usize| {
            counts.get(&prefix(key, seed).wrapping_add(part(place, key.tokens[place]))).copied().unwrap_or(1)
        };
        let is_word = |place: &usize| !is_star(key.tokens[*place]);
        let most = (0..key.tokens.len()).filter(is_word).map(count).max().unwrap_or(0);
        let mut general = (*key).clone();
        let mut starred = 0;
        let may_vary = |place: &usize| may_vary(key.tokens[*place]);
        for place in (0..key.tokens.len()).filter(may_vary).filter(|place| count(*place) * RARE <= most) {
            general.tokens[place] = starred_of(general.tokens[place]);
            starred += 1;
        }
        // One place alone is judged where all the rest is equal.
        if starred > 1 {
            alike.entry(general).or_default().push(key);
        }
    }
    let mut known: BTreeMap<Key, Key> = BTreeMap::new();
    for (general, own) in &alike {
        let rest = general.tokens.iter().filter(|word| !is_star(**word)).count();
        let all_vary =
            (0..general.tokens.len()).filter(|place| is_star(general.tokens[*place])).all(|place| {
                let mut seen: Vec<u32> = own.iter().map(|key| key.tokens[place]).collect();
                seen.sort_unstable();
                seen.dedup();
                seen.len() >= MIN_PAIR_WORDS || seen.iter().all(|word| is_star(*word))
            });
        if own.len() >= MIN_RARE_KEYS && rest > MIN_PAIR_REST && all_vary {
            known.extend(own.iter().map(|key| ((*key).clone(), general.clone())));
        }
    }
    replace(keys, &known)
}

/// Keys that differ from a template only where it has stars, in more places than one.
pub fn fitting(keys: &mut [Key]) -> bool {
    let distinct = distinct(keys);
    let mut known: BTreeMap<Key, Key> = BTreeMap::new();
    // Sorted by level; within it a template can only take keys of its own length.
    let mut alike: BTreeMap<(Level, usize), Vec<&Key>> = BTreeMap::new();
    for key in distinct {
        alike.entry((key.level, key.tokens.len())).or_default().push(key);
    }
    for own in alike.values().filter(|own| own.len() <= MAX_FITTING_KEYS) {
        for key in own {
            let said = key.tokens.iter().filter(|word| !is_star(**word)).count();
            let fits =
                |other: &&&Key| {
                    other.tokens.iter().zip(&key.tokens).all(|(own, word)| {
                        is_star(*own) && (is_star(*word) || may_vary(*word)) || own == word
                    })
                };
            let rest = |other: &Key| other.tokens.iter().filter(|word| !is_star(**word)).count();
            let best = own
                .iter()
                .filter(fits)
                .filter(|other| (SHORT + 1..said).contains(&rest(other)))
                .max_by_key(|other| rest(other));
            if let Some(best) = best {
                known.insert((*key).clone(), (**best).clone());
            }
        }
    }
    replace(keys, &known)
}
