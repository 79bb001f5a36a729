//! What follows the colon of a failure, `failed to charge <*>: connection refused`, is free text of any length:
//! where enough different causes follow the same words, the cause is a parameter.

use std::collections::BTreeMap;

use super::{distinct, is_star, replace};
use crate::logs::group::Key;
use crate::logs::shape;
use crate::logs::words::{AFTER_COLON, Words};

/// So many different causes of one failure are its parameter.
const MIN_TAILS: usize = 4;

/// `failed to charge <*>: connection refused`: what follows the colon of a failure varies freely.
pub fn tails(keys: &mut [Key], words: &Words) -> bool {
    let distinct = distinct(keys);
    let mut heads: BTreeMap<(Key, usize), Vec<u32>> = BTreeMap::new();
    let mut of_key: Vec<(&Key, Key)> = Vec::new();
    for key in &distinct {
        let Some(place) = tail(key, words) else { continue };
        let mut head = Key { level: key.level, tokens: key.tokens[..place].to_vec() };
        heads.entry((head.clone(), place)).or_default().push(key.tokens[place]);
        // A star after a colon.
        head.tokens.push(AFTER_COLON);
        of_key.push((*key, head));
    }
    let mut known: BTreeMap<Key, Key> = BTreeMap::new();
    for (key, head) in of_key {
        let place = head.tokens.len() - 1;
        let before = Key { level: key.level, tokens: key.tokens[..place].to_vec() };
        let Some(firsts) = heads.get(&(before, place)) else { continue };
        let mut firsts = firsts.clone();
        firsts.sort_unstable();
        firsts.dedup();
        if firsts.len() >= MIN_TAILS && head != *key {
            known.insert(key.clone(), head);
        }
    }
    replace(keys, &known)
}

/// Where the last colon of a failure stands.
fn tail(key: &Key, words: &Words) -> Option<usize> {
    let place = key.tokens.iter().rposition(|word| word & AFTER_COLON != 0)?;
    let head = &key.tokens[..place];
    let said = head.iter().filter(|word| !is_star(**word)).count();
    (said > 1 && head.iter().any(|word| shape::is_trouble(words.text(*word)))).then_some(place)
}
