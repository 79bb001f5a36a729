//! What becomes of a conclusion: proven, partly proven, invented, exotic, dangerous.

use serde_json::{Value, json};

use super::*;
use crate::report::{Affected, Cost, Coverage, RunbookUse};

const EVENT: &str = "Warning Failed pod web-1: exec: \"/bin/bash\": no such file or directory\n";

fn observations() -> Vec<Observation> {
    let one = |id: &str, source: &str, text: &str| Observation {
        id: id.to_owned(),
        source: source.to_owned(),
        query: format!("GET /{id}"),
        text: text.to_owned(),
        milliseconds: 1,
    };
    vec![
        one("E1", "kubernetes", EVENT),
        one("E2", "loki", "12:01 web-1 exited after 137 ms\n12:02 image web:1.2 unchanged since 9 days\n"),
    ]
}

fn base() -> Report {
    Report {
        outcome: Outcome::Inconclusive,
        summary: "No known failure pattern was found on Deployment shop/web.".to_owned(),
        cause: None,
        confidence: Confidence::Low,
        affected: Affected::default(),
        findings: Vec::new(),
        timeline: Vec::new(),
        evidence: Vec::new(),
        ruled_out: Vec::new(),
        next_steps: vec![NextStep { text: "Look.".to_owned(), command: String::new(), risk: Risk::None }],
        runbook: RunbookUse {
            name: String::new(),
            revision: String::new(),
            coverage: Coverage::None,
            reason: String::new(),
        },
        cost: Cost::default(),
        gaps: Vec::new(),
        unproven: Vec::new(),
        muted: None,
        policy: None,
        held_back: None,
        onset_at: None,
        changed_first: Vec::new(),
    }
}

fn good() -> Value {
    json!({
        "outcome": "root_cause",
        "summary": "web cannot start: its image has no bash",
        "root_cause": "The command is /bin/bash and the image has none.",
        "category": "configuration",
        "object": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
        "evidence": [{"id": "E1", "quote": "pod web-1: exec: \"/bin/bash\":  no such file or directory"}],
        "ruled_out": [{"statement": "the image did not change", "evidence": [{"id": "E2", "quote": "image web:1.2 unchanged"}]}],
        "impact": "All requests fail",
        "next_steps": [{"text": "Use /bin/sh", "command": "kubectl -n shop edit deploy/web", "risk": "none"}],
    })
}

fn drafted(arguments: &Value) -> Draft {
    let workload = Workload::new("lab", "shop", "Deployment", "web");
    draft(read(&arguments.to_string()).unwrap(), &observations(), &workload)
}

fn with(key: &str, value: Value) -> Value {
    let mut arguments = good();
    arguments[key] = value;
    arguments
}

#[test]
fn a_conclusion_whose_quotes_hold_is_the_reports_cause() {
    let draft = drafted(&good());
    assert!(draft.send_back().is_empty(), "{:?}", draft.send_back());
    let report = draft.report(base());
    assert_eq!(report.outcome, Outcome::RootCause);
    let cause = report.cause.unwrap();
    assert_eq!((cause.id.as_str(), cause.category), ("configuration", Category::Configuration));
    assert_eq!(cause.object.short(), "Pod shop/web-1");
    assert_eq!(report.summary, "web cannot start: its image has no bash. Impact: All requests fail");
    assert_eq!(report.evidence.len(), 2);
    assert_eq!(report.ruled_out[0].evidence, ["E2"]);
    // One observation proves it directly; that it was not cross-checked costs the highest confidence.
    assert_eq!(report.confidence, Confidence::Medium);
    // An edit is no read, whatever the model says.
    assert_eq!(report.next_steps[0].risk, Risk::High);
    assert!(report.unproven.is_empty());
}

#[test]
fn confidence_is_counted_and_never_claimed() {
    let both = json!([
        {"id": "E1", "quote": "pod web-1: exec: \"/bin/bash\""},
        {"id": "E2", "quote": "web-1 exited after 137 ms"},
    ]);
    assert_eq!(drafted(&with("evidence", both.clone())).report(base()).confidence, Confidence::High);
    let mut one_struck = both.clone();
    one_struck.as_array_mut().unwrap().push(json!({"id": "E2", "quote": "exited after 138 ms"}));
    assert_eq!(drafted(&with("evidence", one_struck)).report(base()).confidence, Confidence::Medium);
    let dark = Gap { source: "kubernetes".to_owned(), what: "pods".to_owned(), why: "403".to_owned() };
    let report = drafted(&with("evidence", both)).report(Report { gaps: vec![dark], ..base() });
    assert_eq!(report.confidence, Confidence::Medium);
    let vague = json!([{"id": "E2", "quote": "unchanged since 9 days"}]);
    assert_eq!(drafted(&with("evidence", vague)).report(base()).confidence, Confidence::Low);
}

#[test]
fn invented_quotes_are_struck_and_a_claim_without_any_is_demoted() {
    for quote in ["no such file or folder", "exited after 138 ms", "exited after 13", "web-2", ""] {
        let lie = with("evidence", json!([{"id": "E1", "quote": quote}, {"id": "E2", "quote": quote}]));
        let draft = drafted(&lie);
        assert_eq!(draft.send_back().len(), 1, "{quote}");
        let report = draft.report(base());
        assert_eq!((report.outcome, report.cause.is_none()), (Outcome::Inconclusive, true), "{quote}");
        assert_eq!(report.confidence, Confidence::Low);
        assert!(
            report.summary.starts_with("No cause could be proven. Suspected, and not shown: The command is")
        );
        assert!(report.summary.ends_with("No known failure pattern was found on Deployment shop/web."));
        assert_eq!(report.unproven[0].statement, "The command is /bin/bash and the image has none.");
        assert!(report.evidence.iter().all(|one| one.verified && one.quote != quote));
    }
    // No quote for what was ruled out: only that is struck.
    let bare = with(
        "ruled_out",
        json!([{"statement": "the node is fine", "evidence": [{"id": "E1", "quote": "Ready"}]}]),
    );
    let report = drafted(&bare).report(base());
    assert_eq!((report.outcome, report.ruled_out.len()), (Outcome::RootCause, 0));
    assert_eq!(report.unproven[0].statement, "the node is fine");
}

#[test]
fn not_an_incident_needs_a_quote_and_inconclusive_words_without_one_are_not_shown() {
    let mut calm = with("outcome", json!("not_an_incident"));
    assert_eq!(drafted(&calm).report(base()).outcome, Outcome::NotAnIncident);
    calm["evidence"] = json!([]);
    assert_eq!(drafted(&calm).report(base()).outcome, Outcome::Inconclusive);
    let mut unsure = with("outcome", json!("inconclusive"));
    let report = drafted(&unsure).report(base());
    assert_eq!(report.outcome, Outcome::Inconclusive);
    assert!(report.cause.is_none() && report.summary.starts_with("web cannot start"));
    unsure["evidence"] = json!([]);
    assert_eq!(drafted(&unsure).report(base()).summary, base().summary);
}

#[test]
fn an_exotic_cause_is_sent_back_and_then_demoted() {
    let mut exotic = with("root_cause", json!("A kernel bug removes /bin/bash from the page cache"));
    exotic["summary"] = json!("The kernel is at fault");
    let draft = drafted(&exotic);
    let words = draft.send_back();
    assert!(words.len() == 1 && words[0].contains("blames the kernel"), "{words:?}");
    let report = draft.report(base());
    assert_eq!(report.outcome, Outcome::Inconclusive);
    assert_eq!(report.unproven[0].statement, "A kernel bug removes /bin/bash from the page cache");
    assert!(report.unproven[0].why.contains("`ruled_out` lacks"), "{:?}", report.unproven);
}

#[test]
fn advice_to_wait_longer_is_dropped_and_the_rest_stays() {
    let steps = json!([
        {"text": "Raise the timeout"},
        {"text": "Use /bin/sh", "command": "kubectl get pods; reboot"},
        {"text": "Add a sleep", "risk": "low"},
    ]);
    let draft = drafted(&with("next_steps", steps));
    assert_eq!(draft.send_back().len(), 2);
    let report = draft.report(base());
    assert_eq!(report.outcome, Outcome::RootCause);
    assert_eq!(report.next_steps.len(), 1);
    assert_eq!(
        (report.next_steps[0].text.as_str(), report.next_steps[0].command.as_str()),
        ("Use /bin/sh", "")
    );
    assert_eq!(report.unproven.len(), 2);
}

#[test]
fn an_object_that_nothing_was_read_about_is_not_blamed() {
    for name in ["payments", "we", ""] {
        let object = json!({"kind": "Deployment", "namespace": "kube-system", "name": name});
        let report = drafted(&with("object", object)).report(base());
        assert_eq!(report.cause.unwrap().object.short(), "Deployment shop/web", "{name}");
    }
}

#[test]
fn text_is_made_inert_and_cut() {
    let mut hostile =
        with("summary", json!(format!("<!channel> see https://evil.example {}", "x".repeat(5_000))));
    hostile["root_cause"] = json!("The command is wrong\u{e0041}\u{202e}, www.evil.example");
    let report = drafted(&hostile).report(base());
    assert!(report.summary.contains("https[:]//evil.example") && report.summary.chars().count() < 1_400);
    assert_eq!(report.cause.unwrap().statement, "The command is wrong, www[.]evil.example");
}

#[test]
fn arguments_that_are_none_are_named() {
    for (arguments, fault) in [
        ("", "EOF"),
        ("{\"outcome\": \"root_cause\"", "EOF"),
        ("{}", "missing field `outcome`"),
        ("{\"outcome\": \"solved\"}", "unknown variant `solved`"),
        ("{\"outcome\": \"root_cause\"}", "root_cause is empty"),
        ("{\"outcome\": \"root_cause\", \"root_cause\": \"x\"}", "category is missing"),
        (
            "{\"outcome\": \"root_cause\", \"root_cause\": \"x\", \"category\": \"aliens\"}",
            "unknown variant `aliens`",
        ),
        ("[]", "invalid length 0"),
    ] {
        let error = read(arguments).unwrap_err();
        assert!(error.contains(fault), "{arguments}: {error}");
    }
}

#[test]
fn the_schema_names_what_is_read() {
    let schema = schema();
    let properties = schema.parameters["properties"].as_object().unwrap();
    for key in good().as_object().unwrap().keys() {
        assert!(properties.contains_key(key), "{key}");
    }
}
