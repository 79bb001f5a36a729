//! Paths into objects, as kubectl's custom columns have them: `spec.nodeName`, `.status.phase`,
//! `{.spec.containers[*].image}`, `metadata.labels.app.kubernetes.io/name`. A path and an object come in, the
//! values there go out. Pure.

use serde_json::Value;

use super::condense::{inline, scalar};
use crate::tool::Refusal;
use crate::tool::bounded::cut;

const MAX_PATH_BYTES: usize = 200;
const MAX_STEPS: usize = 20;
/// Most values that one path gives.
const MAX_VALUES: usize = 50;
const MAX_CELL_CHARS: usize = 120;

/// A path that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    At(usize),
    Each,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let bad = |why: &str| Refusal::Arguments(format!("path {text:?}: {why}; write spec.nodeName"));
        if text.len() > MAX_PATH_BYTES {
            return Err(bad("too long"));
        }
        let inner = text.trim().trim_start_matches(['{', '$']).trim_end_matches('}').trim_start_matches('.');
        let mut steps = Vec::new();
        let mut rest = inner;
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(bracket) => {
                    let (inside, after) = bracket.split_once(']').ok_or_else(|| bad("`[` without `]`"))?;
                    (bracketed(inside).ok_or_else(|| bad("only [0], [*] and ['key'] are understood"))?, after)
                }
                None => key(rest),
            };
            steps.push(step);
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return Err(bad("names no field"));
        }
        Ok(Self { text: inner.to_owned(), steps })
    }

    pub fn values<'v>(&self, object: &'v Value) -> Vec<&'v Value> {
        let mut found = Vec::new();
        walk(object, &self.steps, &mut found);
        found.truncate(MAX_VALUES);
        found
    }

    /// The values on one line, `<none>` where there are none.
    pub fn cell(&self, object: &Value) -> String {
        let each: Vec<String> = self
            .values(object)
            .into_iter()
            .map(|value| match value {
                Value::Object(_) | Value::Array(_) => inline(value).unwrap_or_else(|| value.to_string()),
                other => scalar(other),
            })
            .collect();
        if each.is_empty() { "<none>".to_owned() } else { cut(&each.join(","), MAX_CELL_CHARS).into_owned() }
    }
}

fn bracketed(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if inside == "*" {
        return Some(Step::Each);
    }
    if let Ok(index) = inside.parse() {
        return Some(Step::At(index));
    }
    let quoted = inside.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
    Some(Step::Key(quoted.to_owned()))
}

/// A key up to the next dot or bracket; `\.` is a dot of the key.
fn key(text: &str) -> (Step, &str) {
    let mut key = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => key.extend(letters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (Step::Key(key), &text[at..]),
            _ => key.push(letter),
        }
    }
    (Step::Key(key), "")
}

fn walk<'v>(value: &'v Value, steps: &[Step], found: &mut Vec<&'v Value>) {
    if found.len() >= MAX_VALUES {
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        if !value.is_null() {
            found.push(value);
        }
        return;
    };
    match (step, value) {
        (Step::At(index), Value::Array(list)) => {
            if let Some(entry) = list.get(*index) {
                walk(entry, rest, found);
            }
        }
        (Step::Each, Value::Array(list)) => list.iter().for_each(|entry| walk(entry, rest, found)),
        (Step::Each, Value::Object(map)) => map.values().for_each(|entry| walk(entry, rest, found)),
        // A list without brackets means each of its entries.
        (Step::Key(_), Value::Array(list)) => list.iter().for_each(|entry| walk(entry, steps, found)),
        (Step::Key(key), Value::Object(map)) => match map.get(key) {
            Some(inner) => walk(inner, rest, found),
            None => walk_dotted(value, key, rest, found),
        },
        _ => {}
    }
}

/// Labels have dots in their keys: the shortest run of steps that is a key is taken.
fn walk_dotted<'v>(value: &'v Value, first: &str, rest: &[Step], found: &mut Vec<&'v Value>) {
    let mut key = first.to_owned();
    for (taken, step) in rest.iter().enumerate() {
        let Step::Key(next) = step else { return };
        key.push('.');
        key.push_str(next);
        if let Some(inner) = value.get(&key) {
            return walk(inner, &rest[taken + 1..], found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_kubectl_are_understood() {
        let pod = json!({"metadata": {"labels": {"app.kubernetes.io/name": "a", "tier": "web"}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]},
            "status": {"phase": "Running", "resources": {"cpu": "1"}}});
        for (path, cell) in [
            ("spec.nodeName", "node-1"),
            (".status.phase", "Running"),
            ("{.spec.containers[*].image}", "a:1,b:1"),
            ("spec.containers.image", "a:1,b:1"),
            ("spec.containers[1].name", "b"),
            ("$.metadata.labels.tier", "web"),
            ("metadata.labels.app.kubernetes.io/name", "a"),
            ("metadata.labels['app.kubernetes.io/name']", "a"),
            (r"metadata.labels.app\.kubernetes\.io/name", "a"),
            ("status.resources", "{cpu: 1}"),
            ("status.nothing", "<none>"),
        ] {
            assert_eq!(Path::parse(path).unwrap().cell(&pod), cell, "{path}");
        }
        for path in ["", "{}", "spec.containers[", "spec.containers[?(@.name==\"a\")]", &"x.".repeat(99)] {
            assert!(matches!(Path::parse(path), Err(Refusal::Arguments(_))), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_breaks_it(path in "(\\PC|[.\\[\\]*'0-9\\\\]){0,40}") {
            let object = json!({"a": [{"b": 1}], "": {"": 2}});
            if let Ok(path) = Path::parse(&path) {
                let _ = path.cell(&object);
            }
        }
    }
}
