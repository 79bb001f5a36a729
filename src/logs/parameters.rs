//! Which values stand in the places of a template that vary: the top ones with their counts, where they say
//! something. A place that never repeats or never varies says nothing and is left out.

use std::collections::BTreeMap;

use super::group::Template;
use super::structure;
use super::tokens::{self, Kind};

/// Records of a template that are looked into.
const MAX_RECORDS: usize = 2_000;
/// Parameters shown of a template, values shown of a parameter, characters of a value.
const MAX_PARAMETERS: usize = 3;
const MAX_VALUES: usize = 4;
const MAX_VALUE_CHARS: usize = 80;
/// Different values that are held.
const MAX_DISTINCT: usize = 500;

/// What varies, by the word before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    /// The most frequent first.
    pub values: Vec<(String, usize)>,
    pub distinct: usize,
}

impl Parameter {
    /// `queue: orders 12, emails 3, 2 more values`
    pub fn told(&self) -> String {
        let mut parts: Vec<String> =
            self.values.iter().map(|(value, count)| format!("{value} {count}×")).collect();
        if self.distinct > self.values.len() {
            parts.push(format!("{} more values", self.distinct - self.values.len()));
        }
        format!("{}: {}", self.name, parts.join(", "))
    }
}

/// The parameters of the records of one template.
pub fn of<'a>(template: &Template, records: impl Iterator<Item = &'a str>) -> Vec<Parameter> {
    let mut scratch = Vec::new();
    let mut places: BTreeMap<(usize, String), BTreeMap<String, usize>> = BTreeMap::new();
    let mut read = 0;
    // Which are read must not depend on their order.
    let mut heads: Vec<&str> = records.collect();
    heads.sort_unstable();
    let step = heads.len().div_ceil(MAX_RECORDS).max(1);
    for record in heads.into_iter().step_by(step) {
        read += 1;
        let parsed = structure::parse(record);
        tokens::scan(&parsed.message, &mut scratch);
        let words: Vec<&str> = template.text.split(' ').collect();
        let mut before = "";
        for (place, token) in scratch.iter().enumerate() {
            let is_star = token.kind != Kind::Word || !words.contains(&token.decides(&parsed.message));
            let value = parsed.message.get(token.start as usize..token.end as usize).unwrap_or_default();
            if is_star {
                hold(&mut places, (place, before), value);
            } else {
                before = value;
            }
        }
        if let Some(error) = parsed.error.filter(|error| *error != parsed.message) {
            hold(&mut places, (usize::MAX, "error"), &error);
        }
    }
    let mut found: Vec<Parameter> =
        places.into_iter().filter_map(|((_, name), values)| parameter(name, values, read)).collect();
    found.sort_by_key(|parameter| (parameter.name != "error", parameter.distinct));
    found.truncate(MAX_PARAMETERS);
    found
}

fn hold(
    places: &mut BTreeMap<(usize, String), BTreeMap<String, usize>>,
    (place, name): (usize, &str),
    value: &str,
) {
    let value: String = value.chars().take(MAX_VALUE_CHARS).collect();
    let values = places.entry((place, name.to_owned())).or_default();
    if values.len() < MAX_DISTINCT || values.contains_key(&value) {
        *values.entry(value).or_default() += 1;
    }
}

/// None when every value is another, or all are one.
fn parameter(name: String, values: BTreeMap<String, usize>, read: usize) -> Option<Parameter> {
    let distinct = values.len();
    let says_nothing = distinct * 2 > read || distinct < 2;
    if says_nothing && (name != "error" || read < 2) {
        return None;
    }
    let mut values: Vec<(String, usize)> = values.into_iter().collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values.truncate(MAX_VALUES);
    Some(Parameter { name, values, distinct })
}
