//! The known word that an unknown one was probably meant to be. Pure.

use crate::evidence::references::edits;

/// Longer words are no typing errors, and would only cost time.
const MAX_WORD_BYTES: usize = 64;

/// The closest of the known words, if it is close at all.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.is_empty() || word.len() > MAX_WORD_BYTES {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let allowed = (word.len() / 3).max(2);
    let distance = |known: &str| {
        let known = known.to_ascii_lowercase();
        // `ns` for `namespace`, `selector` for `label_selector`: a part is as near as one edit.
        let is_part = word.len() >= 4 && known.contains(&word) || known.len() >= 4 && word.contains(&known);
        if is_part { 1 } else { edits(&word, &known) }
    };
    let scored = known.into_iter().map(|known| (distance(known), known));
    scored
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_understood_and_other_words_are_not() {
        let known = ["kubernetes_logs", "kubernetes_list", "prometheus_query", "namespace", "label_selector"];
        for (word, meant) in [
            ("kubernetes_log", Some("kubernetes_logs")),
            ("Kubernetes_Logs", Some("kubernetes_logs")),
            ("namspace", Some("namespace")),
            ("selector", Some("label_selector")),
            ("shell", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(100), known), None);
    }
}
