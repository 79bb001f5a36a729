//! What a model once wrote, made fit to be sent back to any provider: servers refuse a conversation for ever
//! when a call in it has arguments, a name or an id they would not have written. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::Turn;

/// Longest tool name that every provider takes.
const MAX_NAME_CHARS: usize = 64;

/// Arguments as a JSON object: what is none is wrapped, so that the model still sees what it wrote.
pub(super) fn arguments(written: &str) -> Map<String, Value> {
    match serde_json::from_str(written) {
        Ok(Value::Object(map)) => map,
        _ if written.trim().is_empty() => Map::new(),
        _ => Map::from_iter([("malformed".to_owned(), Value::String(written.to_owned()))]),
    }
}

/// As `arguments`, as text; what is right is left byte for byte, so that caches still fit.
pub(super) fn arguments_text(written: &str) -> Cow<'_, str> {
    let is_object = matches!(serde_json::from_str(written), Ok(Value::Object(_)));
    if is_object { Cow::Borrowed(written) } else { Cow::Owned(Value::Object(arguments(written)).to_string()) }
}

/// A tool's name in the letters that every provider takes.
pub(super) fn name(written: &str) -> Cow<'_, str> {
    match plain(written) {
        name if name.is_empty() => Cow::Borrowed("unknown"),
        // Only ASCII is left.
        name if name.len() > MAX_NAME_CHARS => Cow::Owned(name[..MAX_NAME_CHARS].to_owned()),
        name => name,
    }
}

/// Letters, digits, `_` and `-`; anything else becomes `_`.
pub(super) fn plain(written: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if written.chars().all(fits) {
        return Cow::Borrowed(written);
    }
    written.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

/// What a model's own blocks look like in `Turn.carried`: with the model's name, because no other
/// understands them.
pub(super) fn carry(model: &str, blocks: Value) -> Value {
    json!({ "by": model, "blocks": blocks })
}

/// This model's own blocks of a turn.
pub(super) fn carried<'t>(turn: &'t Turn, model: &str) -> Option<&'t Value> {
    (turn.carried.get("by")?.as_str()? == model).then(|| turn.carried.get("blocks"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_arguments_can_be_sent_back() {
        for (written, sent) in [
            (r#"{"b": 1,"a":2}"#, r#"{"b": 1,"a":2}"#),
            ("", "{}"),
            (" \n", "{}"),
            (r#"{"a": "#, r#"{"malformed":"{\"a\": "}"#),
            ("[1]", r#"{"malformed":"[1]"}"#),
            ("null", r#"{"malformed":"null"}"#),
        ] {
            assert_eq!(arguments_text(written), sent);
        }
    }

    #[test]
    fn any_name_can_be_sent_back() {
        assert_eq!(name("kubernetes_get"), "kubernetes_get");
        assert_eq!(name("functions.rm -rf é"), "functions_rm_-rf__");
        assert_eq!(name(""), "unknown");
        assert_eq!(name(&"x".repeat(100)), "x".repeat(64));
    }

    #[test]
    fn only_the_model_that_wrote_blocks_gets_them_back() {
        let turn = Turn { carried: carry("claude", json!([1])), ..Turn::default() };
        assert_eq!(carried(&turn, "claude"), Some(&json!([1])));
        assert_eq!(carried(&turn, "local"), None);
        assert_eq!(carried(&Turn::default(), "claude"), None);
    }
}
