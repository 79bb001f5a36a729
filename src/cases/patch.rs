//! Changes of one object: merge patches (RFC 7386), and values by JSON pointer for what lies inside a list.
//! Pure. What a change does not find is an error, because a near miss that changes nothing proves nothing.

use serde_json::{Map, Value};

/// Applies a change. Keys that begin with `/` are pointers, the rest is one merge patch.
pub(super) fn apply(object: &mut Value, change: &Value) -> Result<(), String> {
    let Some(fields) = change.as_object() else {
        return Err("a change is a mapping, or null to remove the object".to_owned());
    };
    let before = object.clone();
    let mut patch = Map::new();
    for (key, value) in fields.iter().filter(|(key, _)| !key.starts_with('/')) {
        patch.insert(key.clone(), value.clone());
    }
    merge(object, &Value::Object(patch));
    for (pointer, value) in fields.iter().filter(|(key, _)| key.starts_with('/')) {
        place(object, pointer, value)?;
    }
    if *object == before {
        return Err("it changes nothing".to_owned());
    }
    Ok(())
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    for (key, value) in fields {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Puts `value` where the pointer leads, null removes what is there, `-` goes behind a list's last item.
/// Objects on the way are made, items of lists are not.
fn place(object: &mut Value, pointer: &str, value: &Value) -> Result<(), String> {
    let parts: Vec<String> =
        pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, way)) = parts.split_last() else { return Err(format!("{pointer} leads nowhere")) };
    let mut here = object;
    for part in way {
        here = match here {
            Value::Array(items) => {
                let index = part.parse::<usize>().ok();
                index.and_then(|index| items.get_mut(index)).ok_or_else(|| missing(pointer, part))?
            }
            Value::Object(map) => map.entry(part.clone()).or_insert_with(|| Value::Object(Map::new())),
            _ => return Err(missing(pointer, part)),
        };
    }
    match here {
        Value::Array(items) if last == "-" && !value.is_null() => items.push(value.clone()),
        Value::Array(items) => {
            let index = last.parse::<usize>().ok().filter(|index| *index < items.len());
            let index = index.ok_or_else(|| missing(pointer, last))?;
            if value.is_null() {
                items.remove(index);
            } else {
                items[index] = value.clone();
            }
        }
        Value::Object(map) if value.is_null() => {
            map.remove(last).ok_or_else(|| missing(pointer, last))?;
        }
        Value::Object(map) => {
            map.insert(last.clone(), value.clone());
        }
        _ => return Err(missing(pointer, last)),
    }
    Ok(())
}

fn missing(pointer: &str, part: &str) -> String {
    format!("{pointer}: there is no `{part}`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(change: Value) -> Result<Value, String> {
        let mut object = json!({"a": {"b": 1, "c": [{"d": 1}, {"d": 2}]}, "e/f": true});
        apply(&mut object, &change).map(|()| object)
    }

    #[test]
    fn a_merge_patch_replaces_lists_and_removes_by_null() {
        let change = json!({"a": {"b": null, "c": [3]}, "g": {"h": {"i": null}}});
        assert_eq!(patched(change).unwrap(), json!({"a": {"c": [3]}, "e/f": true, "g": {"h": {}}}));
    }

    #[test]
    fn a_pointer_reaches_into_lists() {
        let change = json!({"/a/c/1/d": 5, "/a/c/-": 7, "/e~1f": false, "/n/m": 1});
        let is = json!({"a": {"b": 1, "c": [{"d": 1}, {"d": 5}, 7]}, "e/f": false, "n": {"m": 1}});
        assert_eq!(patched(change).unwrap(), is);
        assert_eq!(patched(json!({"/a/c/0": null})).unwrap()["a"]["c"], json!([{"d": 2}]));
    }

    #[test]
    fn what_is_not_there_or_does_not_change_is_an_error() {
        for change in [json!({"/a/c/2": 1}), json!({"/a/b/x": 1}), json!({"/a/x": null}), json!({"/": null})]
        {
            assert!(patched(change.clone()).is_err_and(|why| why.contains("there is no")), "{change}");
        }
        assert_eq!(patched(json!({"a": {"b": 1}})), Err("it changes nothing".to_owned()));
        assert!(patched(json!([1])).is_err());
    }
}
