//! Recall and false positives, counted over texts as logs, manifests and alerts hold them, and over the
//! recorded cluster. `cargo test redaction_figures -- --nocapture` prints them.

use std::path::{Path, PathBuf};

use super::vectors::{HARMLESS, planted};
use super::*;

#[test]
fn redaction_figures() {
    let planted = planted();
    let missed: Vec<_> = planted.iter().filter(|(_, text, secret)| redact(text).contains(secret)).collect();
    let places: std::collections::BTreeSet<_> = planted.iter().map(|(place, ..)| *place).collect();
    for place in places {
        let of = |all: &[&(&str, String, String)]| all.iter().filter(|(own, ..)| *own == place).count();
        let all: Vec<_> = planted.iter().collect();
        println!("{place}: {} of {} found", of(&all) - of(&missed), of(&all));
    }
    let wrong: Vec<_> = HARMLESS.iter().filter(|text| redact(text) != **text).collect();
    println!(
        "recall {} of {}; false positives {} of {}",
        planted.len() - missed.len(),
        planted.len(),
        wrong.len(),
        HARMLESS.len()
    );
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(wrong.is_empty(), "{:#?}", wrong.iter().map(|text| redact(text)).collect::<Vec<_>>());
    for (_, text, _) in planted {
        let once = redact(&text);
        assert_eq!(redact(&once), once, "twice is once");
    }
}

#[test]
fn redaction_figures_of_the_recording() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recording");
    let (mut files, mut texts, mut bytes) = (0, 0, 0);
    let mut wrong = Vec::new();
    for path in files_under(&folder) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        files += 1;
        bytes += text.len();
        let mut parts = vec![text.clone()];
        match serde_json::from_str(&text) {
            Ok(json) => leaves(&json, &mut parts),
            Err(_) => parts.extend(text.lines().map(str::to_owned)),
        }
        texts += parts.len();
        for part in parts {
            let redacted = redact_and_count(&part);
            if redacted.secrets > 0 {
                let at = redacted.text.find(MARK).unwrap_or_default();
                let around = redacted.text.floor_char_boundary(at.saturating_sub(60))
                    ..redacted.text.ceil_char_boundary((at + 60).min(redacted.text.len()));
                wrong.push(format!("{}: {}", path.display(), &redacted.text[around]));
            }
        }
    }
    println!("recording: {} false positives in {texts} texts of {files} files, {bytes} bytes", wrong.len());
    assert!(files > 300 && wrong.is_empty(), "{files} files, {wrong:#?}");
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

fn leaves(json: &serde_json::Value, out: &mut Vec<String>) {
    match json {
        serde_json::Value::String(text) => out.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| leaves(field, out)),
        _ => {}
    }
}

/// What a webhook waits for. The expressions are optimised in this build too.
#[test]
fn redaction_figures_of_a_webhook_with_ten_alerts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/webhooks/alertmanager");
    let bodies = files_under(&folder).into_iter().map(|path| std::fs::read(path).unwrap());
    let parse = |body: Vec<u8>| {
        crate::webhook::parse(crate::alert::Source::Alertmanager, &body, chrono::Utc::now()).unwrap()
    };
    let mut alerts: Vec<_> = bodies.flat_map(parse).take(10).collect();
    alerts.iter_mut().for_each(crate::alert::Alert::redact);
    let mut best = std::time::Duration::MAX;
    for _ in 0..50 {
        let started = std::time::Instant::now();
        alerts.iter_mut().for_each(crate::alert::Alert::redact);
        best = best.min(started.elapsed());
    }
    println!("a webhook of {} alerts: {best:?}", alerts.len());
    assert!(alerts.len() == 10 && best < std::time::Duration::from_millis(20), "{best:?}");
}
