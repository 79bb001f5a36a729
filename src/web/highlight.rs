//! The words of a search within a text: both come in, the text with those words marked goes out. It marks what begins
//! as a searched word does, as the search itself folds endings; it never changes the text. Pure.

use maud::{Markup, html};

/// Words of a query that are looked for.
const MAX_WORDS: usize = 20;
/// Endings that the search folds.
const ENDINGS: [&str; 6] = ["ings", "ing", "ies", "ed", "es", "s"];
/// A stem is no shorter, in characters.
const MIN_STEM: usize = 3;

/// What of a query is to be marked.
pub(super) fn stems(query: &str) -> Vec<String> {
    let words = query.split_whitespace().filter(|word| !word.starts_with('-') && *word != "OR");
    let parts = words.flat_map(|word| word.split(|c: char| !c.is_alphanumeric()));
    parts.filter(|part| !part.is_empty()).take(MAX_WORDS).map(stem).collect()
}

fn stem(word: &str) -> String {
    let word = word.to_lowercase();
    let cut = ENDINGS.iter().find_map(|ending| word.strip_suffix(ending));
    match cut.filter(|cut| cut.chars().count() >= MIN_STEM) {
        Some(cut) => cut.to_owned(),
        None => word,
    }
}

pub(super) fn marked(text: &str, stems: &[String]) -> Markup {
    html! {
        @for (part, hit) in parts(text, stems) {
            @if hit { mark { (part) } } @else { (part) }
        }
    }
}

fn parts<'t>(text: &'t str, stems: &[String]) -> Vec<(&'t str, bool)> {
    let mut parts: Vec<(&str, bool)> = Vec::new();
    let mut plain = 0;
    for (start, end) in words(text) {
        let word = text[start..end].to_lowercase();
        if stems.iter().any(|stem| word.starts_with(stem.as_str())) {
            if plain < start {
                parts.push((&text[plain..start], false));
            }
            parts.push((&text[start..end], true));
            plain = end;
        }
    }
    if plain < text.len() {
        parts.push((&text[plain..], false));
    }
    parts
}

/// Words, also those of `CamelCase`.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut words = Vec::new();
    let mut start = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let hump = before.is_lowercase() && c.is_uppercase();
        if let Some(from) = start.filter(|_| hump || !c.is_alphanumeric()) {
            words.push((from, at));
            start = None;
        }
        if start.is_none() && c.is_alphanumeric() {
            start = Some(at);
        }
        before = c;
    }
    words.extend(start.map(|from| (from, text.len())));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str, query: &str) -> String {
        marked(text, &stems(query)).into_string()
    }

    #[test]
    fn words_and_their_endings_are_marked() {
        assert_eq!(shown("The pod crashes", "crashing"), "The pod <mark>crashes</mark>");
        assert_eq!(shown("KubePodCrashLooping", "crash"), "KubePod<mark>Crash</mark>Looping");
        assert_eq!(
            shown("lab/shop/Deployment/cart", "\"cart\" -shop"),
            "lab/shop/Deployment/<mark>cart</mark>"
        );
        assert_eq!(shown("nothing here", "x OR y"), "nothing here");
    }

    #[test]
    fn what_is_marked_stays_text() {
        assert_eq!(shown("<img onerror=x> b", "img"), "&lt;<mark>img</mark> onerror=x&gt; b");
    }

    proptest! {
        #[test]
        fn nothing_of_a_text_is_lost(text in ".{0,80}", query in ".{0,30}") {
            let all: String = parts(&text, &stems(&query)).into_iter().map(|(part, _)| part).collect();
            prop_assert_eq!(all, text);
        }
    }
}
