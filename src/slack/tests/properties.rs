//! What holds for every payload, whatever a cluster says.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::slack::blocks::{MAX_BLOCKS, MAX_HEADER, MAX_SECTION, MAX_TEXT};

/// Text that stands in a payload, with what kind of object it stands in.
fn texts(value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            if let (Some(kind), Some(text)) =
                (object["type"].as_str(), object.get("text").and_then(Value::as_str))
            {
                out.push((kind.to_owned(), text.to_owned()));
            }
            object.values().for_each(|value| texts(value, out));
        }
        Value::Array(array) => array.iter().for_each(|value| texts(value, out)),
        _ => {}
    }
}

fn assert_harmless(message: &Message) {
    assert!((1..=MAX_BLOCKS).contains(&message.blocks.len()));
    assert!((1..=MAX_TEXT).contains(&message.text.encode_utf16().count()));
    assert_inert(&message.text);
    assert!(!message.text.contains("://"), "{}", message.text);
    let mut found = Vec::new();
    message.blocks.iter().for_each(|block| texts(block, &mut found));
    assert!(!found.is_empty());
    for (kind, text) in found {
        let limit = if kind == "plain_text" { MAX_HEADER } else { MAX_SECTION };
        assert!((1..=limit).contains(&text.encode_utf16().count()), "{kind}: {text}");
        assert_inert(&without_our_links(&text));
    }
}

/// Labels of links are words of ours.
fn without_our_links(text: &str) -> String {
    let labels = ["en", "ko", "ja"]
        .map(Words::of)
        .map(|words| [words.full_report, words.details, words.the_report_then]);
    let ours = labels.iter().flatten().map(|label| format!("<{URL}|{label}>"));
    ours.fold(text.to_owned(), |text, link| text.replace(&link, ""))
}

/// Nothing in it that Slack would act on, and every code block that opens also ends.
fn assert_inert(text: &str) {
    assert!(!text.contains(['<', '>']), "a raw angle bracket: {text}");
    for (at, _) in text.match_indices('&') {
        let rest = &text[at..];
        assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity)), "a raw &: {text}");
    }
    let lower = text.to_lowercase();
    for mention in ["@here", "@channel", "@everyone"] {
        assert!(!lower.contains(mention), "{mention} in {text}");
    }
    assert!(!text.chars().any(|c| (c.is_control() && !"\n\t".contains(c)) || c == '\u{202e}'), "{text:?}");
    let fences = text.split('\n').filter(|line| *line == "```").count();
    assert_eq!(text.matches("```").count(), fences, "a fence that is not ours: {text}");
    assert_eq!(fences % 2, 0, "an open code block: {text}");
    let prose: String = text.split("```").step_by(2).collect();
    let ticks = prose.matches('`').count();
    assert_eq!(ticks % 2, 0, "an open code span: {prose}");
    let plain: String = prose.split('`').step_by(2).collect();
    assert_eq!(plain.matches('*').count() % 2, 0, "formatting that is not ours: {plain}");
    assert!(!plain.contains('~'), "{plain}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_report_makes_a_payload_that_slack_refuses_or_obeys(
        texts in prop::collection::vec(nasty(), 1..8),
        many in 0usize..12,
        language in prop::sample::select(vec!["en", "ko", "ja"]),
        outcome in prop::sample::select(vec![Outcome::KnownPattern, Outcome::Inconclusive, Outcome::NotAnIncident]),
    ) {
        let report = hostile(texts.clone(), many, outcome);
        let name = &texts[0];
        let workload = Workload::new(name, name, name, name);
        let words = Words::of(language);
        let last = Before {
            at: at("2026-11-20T10:00:00Z"), report: report.clone(), lasted: Some(chrono::TimeDelta::MAX),
            note: Some(name.clone()), url: Some(URL.to_owned()),
        };
        let telling = Telling { words, ..full(&last) };
        assert_harmless(&blocks::summary(telling, &workload, &report));
        assert_harmless(&blocks::unchanged(telling, &workload, &report, name));
        assert_harmless(&blocks::gave_up(telling, &workload, name));
        let opened_at = at("2026-11-21T10:00:00Z");
        let view = IncidentView {
            workload: &workload, severity: Severity::None, title: name, alert_names: &texts,
            alerts: i32::MAX, opened_at,
        };
        let resolved = Standing::Resolved { at: opened_at, report: Some(&report) };
        let work = Standing::AtWork(Progress { step: 3, tools: &texts, since: chrono::TimeDelta::MIN });
        let (again, folded) = (Standing::FiringAgain(Some(&last)), Standing::Folded(&workload));
        for standing in [
            Standing::Investigating, Standing::Reported(&report), Standing::GaveUp, resolved, work, again, folded,
            Standing::Joined(&workload),
        ] {
            assert_harmless(&blocks::parent(telling, &view, standing));
        }
        assert_harmless(&blocks::resolved(words, &view, opened_at));
        assert_harmless(&blocks::joined(words, &workload, &workload));
        assert_harmless(&blocks::taken_in(words, &workload, &texts));
        let plain = text::report(&workload, &report);
        prop_assert!(!plain.chars().any(|c| c.is_control() && !"\n\t".contains(c)));
    }
}
