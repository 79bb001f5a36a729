//! What must hold for any bytes that come from outside: one function a parser, which panics where it does not. Run by
//! cargo-fuzz (`fuzz_targets`), and on every test run over the corpus and mutations of it (`tests/it/fuzz.rs`).

use chrono::DateTime;
use whodunit::alert::{Alert, Source};
use whodunit::evidence::classify::class_and_weight;
use whodunit::logs::lines::lines;
use whodunit::logs::screen::screen;
use whodunit::redact::redact;
use whodunit::{runbook, webhook};

/// A secret that no text around it may save from redaction.
const SECRET: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
/// Of a digest, as tools ask for it.
const DIGEST_BYTES: usize = 4096;

/// Bodies of all senders, and what Alertmanager lists.
pub fn webhook(data: &[u8]) {
    for source in [Source::Alertmanager, Source::Grafana, Source::Robusta, Source::Manual] {
        // Rejections are an answer like any other.
        let Ok(alerts) = webhook::parse(source, data, DateTime::UNIX_EPOCH) else { continue };
        alerts.into_iter().for_each(storable);
    }
    if let Ok(listed) = webhook::listed(data) {
        listed.into_iter().for_each(|one| storable(one.alert));
    }
}

/// What was parsed can be stored (Postgres takes no NUL), read back, and holds no secret after redaction.
fn storable(mut alert: Alert) {
    alert.labels.insert("planted".to_owned(), format!("token {SECRET}"));
    alert.redact();
    let text = serde_json::to_string(&alert).expect("an alert is JSON");
    assert!(!text.contains("\\u0000"), "a NUL is left: {text}");
    assert!(!text.contains(SECRET), "a secret is left: {text}");
    let back: Alert = serde_json::from_str(&text).expect("it reads back");
    assert_eq!(back, alert);
}

/// Runbooks: a fault has a place in the file.
pub fn front_matter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(faults) = runbook::parse("runbook.md", text, false) {
        assert!(!faults.is_empty(), "refused without a reason");
        for fault in faults {
            let shown = fault.to_string();
            assert!(shown.starts_with("runbook.md"), "{shown}");
        }
    }
}

/// Redaction: what is around a secret does not save it.
pub fn redaction(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let redacted = redact(&text);
    let with = format!("{text}\n{SECRET}\n{text}");
    assert!(!redact(&with).contains(SECRET), "a secret is left in {with:?}");
    drop(redacted);
}

/// Digests of logs: bounded, and the same for the same lines.
pub fn log_digest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = lines(&text);
    let since = lines.get(lines.len() / 2).and_then(|line| line.at);
    let digest = screen(&lines, since, class_and_weight, DIGEST_BYTES);
    assert!(digest.len() <= 2 * DIGEST_BYTES, "{} bytes", digest.len());
    assert_eq!(digest, screen(&lines, since, class_and_weight, DIGEST_BYTES));
}
