//! The CEL dialect of signatures: the standard library, cel's string and list extensions and a few words
//! of our own. Every name that a condition may use stands here, so that `check` can tell a misprint.

use std::sync::{Arc, LazyLock};

use cel::extractors::This;
use cel::{Context, Env, ExecutionError, Value, extensions};
use regex::{Regex, RegexBuilder};

/// Longest compiled regular expression, in bytes: patterns come from runbooks.
const MAX_REGEX_BYTES: usize = 256 * 1024;

/// Functions and macros that a condition may call, beside operators.
pub(super) const NAMES: &[&str] = &[
    // the standard library
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "double",
    "bool",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    // cel's string and list extensions
    "join",
    "lowerAscii",
    "upperAscii",
    "trim",
    "replace",
    "split",
    "substring",
    "indexOf",
    "lastIndexOf",
    "format",
    "distinct",
    "sort",
    "slice",
    "flatten",
    // ours
    "lower",
    "mentions",
    "extract",
    "plural",
    "as_bytes",
    "as_cpu",
];

/// Variables that a condition may read.
pub(super) const VARIABLES: &[&str] =
    &["row", "log", "pod", "pods", "since", "rollout", "facts", "workload", "alerts"];

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // A name that is declared twice keeps its first meaning; the test below calls every one of them.
    let declared = env.add_extension(extensions::strings).and_then(|()| env.add_extension(extensions::lists));
    debug_assert!(declared.is_ok(), "{declared:?}");
    Arc::new(env)
});

pub(super) fn environment() -> Arc<Env> {
    Arc::clone(&ENVIRONMENT)
}

/// A context with every function and no variable.
pub(super) fn context<'v>() -> Context<'static, 'v> {
    let mut context = Context::with_env(environment());
    let declared = context
        .add_function("lower", |This(text): This<Arc<String>>| text.to_lowercase())
        .and_then(|()| context.add_function("mentions", mentions))
        .and_then(|()| context.add_function("extract", extract))
        .and_then(|()| context.add_function("plural", plural))
        .and_then(|()| context.add_function("as_bytes", as_bytes))
        .and_then(|()| context.add_function("as_cpu", as_cpu));
    debug_assert!(declared.is_ok(), "{declared:?}");
    context
}

/// `text.mentions(["not found", "unknown"])`: does it contain one of them, whatever the case?
fn mentions(This(text): This<Arc<String>>, words: Value) -> Result<bool, ExecutionError> {
    let text = text.to_lowercase();
    let Value::List(words) = words else {
        return Err(ExecutionError::function_error("mentions", "wants a list of texts"));
    };
    for word in words.iter() {
        match word {
            Value::String(word) if text.contains(&word.to_lowercase()) => return Ok(true),
            Value::String(_) => {}
            _ => return Err(ExecutionError::function_error("mentions", "wants a list of texts")),
        }
    }
    Ok(false)
}

/// `text.extract("lookup ([^ ]+)")`: the first group of the first match, or "".
fn extract(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<Value, ExecutionError> {
    let regex = pattern_of(&pattern).map_err(|fault| ExecutionError::function_error("extract", fault))?;
    let found = regex.captures(&text).and_then(|groups| groups.get(1));
    Ok(Value::from(found.map(|group| group.as_str()).unwrap_or_default()))
}

pub(super) fn pattern_of(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).build()
}

/// `plural(2, "pod")` is "2 pods".
fn plural(count: i64, noun: Arc<String>) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// 33554432 is "32Mi": the largest binary unit that fits without a rest above a tenth.
fn as_bytes(bytes: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            let tenths = bytes.saturating_mul(10) / unit;
            return match tenths % 10 {
                0 => format!("{}{name}", tenths / 10),
                rest => format!("{}.{rest}{name}", tenths / 10),
            };
        }
    }
    bytes.to_string()
}

/// 64000 is "64", 250 is "250m".
fn as_cpu(millis: i64) -> String {
    if millis % 1000 == 0 { (millis / 1000).to_string() } else { format!("{millis}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(source: &str) -> Value {
        environment().compile(source).unwrap().execute(&context()).unwrap()
    }

    #[test]
    fn every_word_that_signatures_may_use_is_there() {
        for source in [
            "'Back-off PULLING'.mentions(['pulling', 'x'])",
            "'a: 1 Insufficient cpu'.extract('([0-9]+) Insuff') == '1'",
            "'lookup x.io on'.extract('lookup (y)') == ''",
            "plural(1, 'pod') == '1 pod' && plural(2, 'pod') == '2 pods'",
            "as_bytes(33554432) == '32Mi' && as_bytes(1610612736) == '1.5Gi' && as_bytes(12) == '12'",
            "as_cpu(64000) == '64' && as_cpu(250) == '250m'",
            "'ABC'.lower() == 'abc' && lower('ABC') == 'abc'",
            "['b', 'a', 'a'].distinct().sort().join(', ') == 'a, b'",
            "[1, 2].exists(x, x == 2) && [1, 2].all(x, x > 0) && [1].map(x, x * 2) == [2]",
            "'a b'.contains(' ') && 'ab'.startsWith('a') && 'ab'.endsWith('b') && 'ab'.matches('^a')",
            "size([1, 2].filter(x, x > 1)) == 1 && has({'a': 1}.a) && 'a,b'.split(',').size() == 2",
            "'abc'.substring(1) == 'bc' && 'abc'.indexOf('c') == 2 && ' a '.trim() == 'a'",
            "'aXa'.replace('X', 'y') == 'aya' && string(1) == '1' && int('2') == 2",
            "[1, 2].exists_one(x, x == 1) && [[1], [2]].flatten() == [1, 2] && [1, 2].slice(0, 1) == [1]",
        ] {
            assert_eq!(evaluate(source), Value::Bool(true), "{source}");
        }
    }

    #[test]
    fn a_pattern_that_would_grow_too_large_is_an_error_not_a_hang() {
        let source = r"'a'.extract('((a{1000}){1000}){1000}')";
        assert!(environment().compile(source).unwrap().execute(&context()).is_err());
    }
}
