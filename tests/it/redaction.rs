//! How much of what is secret the redaction finds, and how much that is not it takes for secret: all figures in one
//! place, over its own vectors and over the recorded cluster.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use whodunit::redact::redact;

#[path = "../../src/redact/tests/vectors.rs"]
mod vectors;

use vectors::{HARMLESS, planted};

/// Every string of every recorded answer; nothing in them is secret.
fn recorded() -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recording")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            match serde_json::from_str(&text) {
                Ok(json) => strings(&json, &mut texts),
                Err(_) => texts.extend(text.lines().map(str::to_owned)),
            }
        }
    }
    texts
}

fn strings(json: &Value, out: &mut Vec<String>) {
    match json {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, out)),
        _ => {}
    }
}

#[test]
fn recall_and_false_positives_of_redaction() {
    let planted = planted();
    let mut places: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (place, text, secret) in &planted {
        let count = places.entry(place).or_default();
        count.0 += usize::from(!redact(text).contains(secret));
        count.1 += 1;
    }
    println!("redaction, secrets found:");
    for (place, (found, all)) in &places {
        println!("  {place:14} {found:3} of {all:3}");
    }
    let found: usize = places.values().map(|(found, _)| found).sum();
    let near = HARMLESS.iter().filter(|text| redact(text) != **text).count();
    let texts = recorded();
    let wrong = texts.iter().filter(|text| redact(text) != text.as_str()).count();
    println!("  recall         {found:3} of {:3}", planted.len());
    println!(
        "  false positives: {near} of {} near misses, {wrong} of {} recorded texts",
        HARMLESS.len(),
        texts.len()
    );
    assert_eq!((found, near, wrong), (planted.len(), 0, 0));
    assert!(planted.len() > 80 && texts.len() > 10_000, "{} and {}", planted.len(), texts.len());
}
