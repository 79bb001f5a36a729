//! Tests over what outlets are given: cards as people read them, what holds for every card, whom an event is for.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::alert::Severity;
use crate::incident::store::Record;
use crate::report::tests::*;
use crate::report::{Ending, Held, HeldBack, Muted, Near, Outcome, Report};
use crate::settings;
use crate::workload::Workload;

/// What Teams takes.
const TEAMS_BYTES: usize = 28 * 1024;

fn record(workload: Workload) -> Record {
    Record {
        id: Uuid::nil(),
        workload,
        severity: Severity::Critical,
        title: "Deployment user-service has been stuck for 10 minutes".to_owned(),
        alert_names: vec!["KubeDeploymentRolloutStuck".to_owned()],
        alerts: 3,
        confident: true,
        open: true,
        opened_at: at("2026-11-21T10:12:20Z"),
        resolved_at: None,
    }
}

fn event<'a>(incident: &'a Record, what: What<'a>) -> Event<'a> {
    Event { incident, what, at: at("2026-11-21T10:13:02Z"), url: Some(URL), before: None }
}

fn reported<'a>(report: &'a Report, previous: Option<&'a Report>) -> What<'a> {
    let ending = Ending::Reported { report, previous, reason: "the severity rose" };
    What::Finished { investigation: Uuid::nil(), ending }
}

fn card_of(event: &Event<'_>) -> Value {
    message(Words::of("en"), event)["attachments"][0]["content"].take()
}

/// A card in its message; kept for `scripts/card-check`, where that asks for it.
fn message(words: &Words, event: &Event<'_>) -> Value {
    let message = card::message(words, event).unwrap();
    if let Ok(folder) = std::env::var("WHODUNIT_CARDS") {
        std::fs::write(format!("{folder}/{}.json", Uuid::now_v7()), message.to_string()).unwrap();
    }
    message
}

/// Readable aloud: bold between stars, code between ticks, blocks indented.
fn shown(card: &Value) -> String {
    let run = |run: &Value| {
        let text = run["text"].as_str().unwrap();
        match (&run["weight"], &run["fontType"]) {
            (Value::String(_), _) => format!("*{text}*"),
            (_, Value::String(_)) => format!("`{text}`"),
            _ => text.to_owned(),
        }
    };
    let mut out = Vec::new();
    for element in card["body"].as_array().unwrap() {
        if element["type"] == "Container" {
            let text = element["items"][0]["inlines"][0]["text"].as_str().unwrap();
            out.extend(text.lines().map(|line| format!("    | {line}")));
        } else {
            out.push(element["inlines"].as_array().unwrap().iter().map(run).collect());
        }
    }
    out.extend(card["actions"].as_array().unwrap().iter().map(|action| {
        format!("[{}] {}", action["title"].as_str().unwrap(), action["url"].as_str().unwrap())
    }));
    out.join("\n")
}

#[test]
fn a_found_cause_is_one_card_verdict_first() {
    let (incident, report) = (record(workload()), found());
    insta::assert_snapshot!(shown(&card_of(&event(&incident, reported(&report, None)))), @r#"
    *[critical] Cause found: Deployment prod-api/user-service*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    Both pods of user-service cannot start: a Secret that they need is missing.
    *Why:* Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
    *At fault:* `Secret prod-api/db-credentials` (configuration)
    *How far:* this workload only; 2 of 2 pods unhealthy
    *Confidence:* high, 2 of 2 quotes found word for word
    *What proves it (read at 2026-11-21 10:13:02 UTC)*
    E3 from kubernetes, 2026-11-21 10:02:14 UTC: GET /api/v1/namespaces/prod-api/events
        | Error: secret "db-credentials" not found
    E2 from kubernetes: GET /apis/apps/v1/namespaces/prod-api/deployments/user-service
        | ProgressDeadlineExceeded
    *What happened when*
    • 2026-11-21 10:02:11 UTC revision 7 rolled out: containers[user].env DATABASE_URL
    • 2026-11-21 10:02:14 UTC first warning: Error: secret "db-credentials" not found
    • 2026-11-21 10:12:20 UTC alert KubeDeploymentRolloutStuck fired
    *What to do next*
    1. Look whether the Secret has another name. (changes nothing)
        | kubectl -n prod-api get secret
    2. Go back to the last working revision. (low risk)
        | kubectl -n prod-api rollout undo deployment/user-service
    *Also seen*
    • Deployment prod-api/user-service: the rollout has made no progress for 10 min
    *What could not be looked at*
    • loki, logs of user-service: not configured
    Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.
    Investigated in 0.8 s, no model asked, $0.00.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    "#);
}

#[test]
fn what_a_model_found_is_told_with_what_it_could_not_prove_and_the_last_time() {
    let (incident, report, last) = (record(workload()), by_a_model(), before(found()));
    let event = Event { before: Some(&last), ..event(&incident, reported(&report, None)) };
    insta::assert_snapshot!(shown(&card_of(&event)), @r#"
    *[critical] Cause found: Deployment prod-api/user-service*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    user-service cannot open its database since revision 8.
    *Why:* The new image expects TLS on port 5432; the database speaks none.
    *At fault:* `Deployment prod-api/user-service` (the program itself)
    *How far:* this workload only; 2 of 2 pods unhealthy
    *Confidence:* medium, 1 of 2 quotes found word for word
    *What proves it (read at 2026-11-21 10:13:02 UTC)*
    E2 from kubernetes: GET /apis/apps/v1/namespaces/prod-api/deployments/user-service
        | ProgressDeadlineExceeded
    E3 from kubernetes, 2026-11-21 10:02:14 UTC: GET /api/v1/namespaces/prod-api/events (this quote was not found in what was read)
        | Error: secret "db-credentials" not found
    *What happened when*
    → 2026-11-21 10:02:11 UTC revision 7 rolled out: containers[user].env DATABASE_URL (changed first: only pods of this revision fail)
    • 2026-11-21 10:02:14 UTC first warning: Error: secret "db-credentials" not found
    • 2026-11-21 10:12:20 UTC alert KubeDeploymentRolloutStuck fired
    *What to do next*
    1. Set DATABASE_SSLMODE=disable. (high risk, think before you run it)
        | kubectl -n prod-api edit deployment/user-service
    *Claimed by the model, not proven*
    • the network drops packets (no quote shows it)
    *Seen before*
    2026-11-20 08:00:05 UTC: another cause: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. It was over after 18 min.
    Advised then: Look whether the Secret has another name.
    Noted then: We put the Secret back by hand.
    Runbook pod-not-starting at 1f2e3d4c5b6a, written for this alert.
    Investigated in 38 s, 7 steps, 31200 tokens, $0.05.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    [The report of then] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000002
    "#);
}

#[test]
fn what_changed_first_is_ranked_and_what_held_a_model_back_is_said() {
    let (incident, mut report) = (record(workload()), by_a_model());
    report.changed_first = vec![changed("2026-11-21T10:02:11Z", "rollout of revision 7", Near::Itself, 180)];
    report.held_back = Some(HeldBack {
        why: Held::Policy,
        policy: "night".to_owned(),
        namespace: String::new(),
        limit: 0.0,
    });
    let shown = shown(&card_of(&event(&incident, reported(&report, None))));
    let ranked =
        "*What changed first*\n1. rollout of revision 7, 3 min before the onset, the workload itself";
    assert!(shown.contains(ranked), "{shown}");
    assert!(shown.contains("*What happened when*\n→ 2026-11-21 10:02:11 UTC revision 7"), "{shown}");
    assert!(!shown.contains("(changed first:"), "its reason is said once: {shown}");
    assert!(shown.contains("the policy night asks no model"), "{shown}");
}

#[test]
fn inconclusive_says_what_was_found_ruled_out_and_missing() {
    let incident = record(Workload::new("lab", "shop", "Deployment", "checkout"));
    let report = inconclusive();
    let event = Event { url: None, ..event(&incident, reported(&report, None)) };
    insta::assert_snapshot!(shown(&card_of(&event)), @r#"
    *[critical] No cause found yet: Deployment shop/checkout*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out.
    *How far:* no unhealthy workload was seen
    *What was found*
    No known pattern matched.
    *What it is not*
    • no restart in the last hour (E4)
    *What could not be looked at*
    • tempo, traces of checkout: no answer within 10 s
    *What was read (read at 2026-11-21 10:13:02 UTC)*
    E1 from prometheus: histogram_quantile(0.99, …)
        | 0.21 → 2.4 s at 10:05
    *What to look at next*
    1. Ask the owners of payments whether they saw it too.
    No runbook matched: a page for this alert would help next time.
    Investigated in 41 s, 12 steps, 48210 tokens, $0.08.
    "#);
}

#[test]
fn a_namespace_in_trouble_is_told_cause_by_cause() {
    let incident = record(Workload::new("lab", "", "Namespace", "shop"));
    let report = storm();
    insta::assert_snapshot!(shown(&card_of(&event(&incident, reported(&report, None)))), @r#"
    *[critical] Cause found: Namespace shop*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    2 independent causes in Namespace shop: 3 of 9 workloads are struck, one more suffers from them.
    *Why:* Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
    *At fault:* `Secret prod-api/db-credentials` (configuration)
    *How far:* several workloads of the namespace; 9 of 21 pods unhealthy; Deployment shop/billing, Deployment shop/cart, Deployment shop/checkout, Deployment shop/payments
    *Confidence:* high, 2 of 2 quotes found word for word
    *What is broken*
    • `Deployment shop/cart`: the image cart:9 does not exist
    • `Secret shop/payments` (Deployment shop/payments, Deployment shop/billing): Secret shop/payments does not exist
    *What proves it (read at 2026-11-21 10:13:02 UTC)*
    E3 from kubernetes, 2026-11-21 10:02:14 UTC: GET /api/v1/namespaces/prod-api/events
        | Error: secret "db-credentials" not found
    E2 from kubernetes: GET /apis/apps/v1/namespaces/prod-api/deployments/user-service
        | ProgressDeadlineExceeded
    *What happened when*
    • 2026-11-21 10:02:11 UTC revision 7 rolled out: containers[user].env DATABASE_URL
    • 2026-11-21 10:02:14 UTC first warning: Error: secret "db-credentials" not found
    • 2026-11-21 10:12:20 UTC alert KubeDeploymentRolloutStuck fired
    *What to do next*
    1. Look whether the Secret has another name. (changes nothing)
        | kubectl -n prod-api get secret
    2. Go back to the last working revision. (low risk)
        | kubectl -n prod-api rollout undo deployment/user-service
    *Also seen*
    • Deployment shop/checkout: it waits for payments
    *What could not be looked at*
    • loki, logs of user-service: not configured
    Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.
    Investigated in 0.8 s, no model asked, $0.00.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    "#);
}

#[test]
fn nothing_broken_says_what_was_checked() {
    let (incident, report) = (record(workload()), nothing_broken());
    insta::assert_snapshot!(shown(&card_of(&event(&incident, reported(&report, None)))), @r#"
    *[critical] Nothing is broken: Deployment prod-api/user-service*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    Deployment user-service is well: 2 of 2 pods are ready, none restarted within the hour.
    *How far:* no unhealthy workload was seen; 0 of 2 pods unhealthy
    *Confidence:* high, 2 of 2 quotes found word for word
    *What was checked and is well*
    • every pod is ready (E1)
    *What proves it (read at 2026-11-21 10:13:02 UTC)*
    E2 from kubernetes: GET /apis/apps/v1/namespaces/prod-api/deployments/user-service
        | ProgressDeadlineExceeded
    E3 from kubernetes: GET /api/v1/namespaces/prod-api/events
        | Error: secret "db-credentials" not found
    Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.
    Investigated in 0.8 s, no model asked, $0.00.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    "#);
}

#[test]
fn all_else_is_a_short_card() {
    let (incident, report, last) = (record(workload()), found(), before(found()));
    let mut muted = found();
    muted.muted = Some(Muted {
        mute: Uuid::nil(),
        until: at("2026-11-28T10:00:00Z"),
        by: "kim".to_owned(),
        reason: "known".to_owned(),
    });
    let gave_up = What::Finished { investigation: Uuid::nil(), ending: Ending::GaveUp("no database") };
    let resolved = What::Resolved { report: Some(&report), joined: None };
    let short = [
        event(&incident, What::Opened),
        Event { before: Some(&last), ..event(&incident, What::Reopened) },
        event(&incident, reported(&report, Some(&report))),
        event(&incident, reported(&muted, None)),
        event(&incident, gave_up),
        Event { at: at("2026-11-21T10:31:00Z"), ..event(&incident, resolved) },
    ];
    let all: Vec<String> = short.iter().map(|event| shown(&card_of(event))).collect();
    insta::assert_snapshot!(all.join("\n---\n"), @r#"
    *[critical] Investigating: Deployment prod-api/user-service*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    ---
    *[critical] Firing again: Deployment prod-api/user-service*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    *Seen before*
    2026-11-20 08:00:05 UTC: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. It was over after 18 min.
    Advised then: Look whether the Secret has another name.
    Noted then: We put the Secret back by hand.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    [The report of then] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000002
    ---
    *[critical] Looked again: Deployment prod-api/user-service*
    *Looked again (the severity rose):* the cause is the same as before.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    ---
    *[critical] Cause found: Deployment prod-api/user-service*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    *Muted:* until 2026-11-28 10:00:00 UTC by kim (known): secret-missing.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    ---
    *[critical] Could not investigate: Deployment prod-api/user-service*
    Deployment user-service has been stuck for 10 minutes
    Alerts: KubeDeploymentRolloutStuck · Since: 2026-11-21 10:12:20 UTC · Cluster: lab
    *Why:* no database
    Every attempt failed, so nothing is known about the cause. Please look at the workload yourself.
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    ---
    *Resolved (was critical): Deployment prod-api/user-service*
    *Resolved:* at 2026-11-21 10:31:00 UTC, after 18 min.
    *Cause found (confidence high):* Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
    [Full report] https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001
    "#);
    let joined = What::Resolved { report: None, joined: Some(Uuid::nil()) };
    assert_eq!(card::message(Words::of("en"), &event(&incident, joined)), None, "it goes on elsewhere");
}

/// The message around a card is what a workflow of Teams reads.
#[test]
fn a_card_is_wrapped_as_a_workflow_wants_it() {
    let incident = record(workload());
    let mut message = message(Words::of("ko"), &event(&incident, What::Opened));
    let content = message["attachments"][0]["content"].take();
    insta::assert_snapshot!(message, @r#"{"attachments":[{"content":null,"contentType":"application/vnd.microsoft.card.adaptive","contentUrl":null}],"type":"message"}"#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&content).unwrap(), @r#"
    {
      "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
      "actions": [
        {
          "title": "전체 보고서",
          "type": "Action.OpenUrl",
          "url": "https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001"
        }
      ],
      "body": [
        {
          "inlines": [
            {
              "size": "Large",
              "text": "[critical] 조사 중: Deployment prod-api/user-service",
              "type": "TextRun",
              "weight": "Bolder"
            }
          ],
          "spacing": "Small",
          "type": "RichTextBlock"
        },
        {
          "inlines": [
            {
              "text": "Deployment user-service has been stuck for 10 minutes",
              "type": "TextRun"
            }
          ],
          "spacing": "Small",
          "type": "RichTextBlock"
        },
        {
          "inlines": [
            {
              "isSubtle": true,
              "size": "Small",
              "text": "알림: KubeDeploymentRolloutStuck · 시작: 2026년 11월 21일 10:12:20 UTC · 클러스터: lab",
              "type": "TextRun"
            }
          ],
          "spacing": "Small",
          "type": "RichTextBlock"
        }
      ],
      "msteams": {
        "width": "Full"
      },
      "type": "AdaptiveCard",
      "version": "1.4"
    }
    "#);
}

/// A property, and its values where not all will do.
type Property = (&'static str, &'static [&'static str]);

/// Element types of Adaptive Cards 1.4, with the properties and values that a card of ours may have.
const SCHEMA: &[(&str, &[Property])] = &[
    ("RichTextBlock", &[("inlines", &[]), ("spacing", &["Small", "Medium"])]),
    ("Container", &[("items", &[]), ("style", &["emphasis"]), ("spacing", &["Small"])]),
    (
        "TextRun",
        &[
            ("text", &[]),
            ("weight", &["Bolder"]),
            ("size", &["Small", "Large"]),
            ("fontType", &["Monospace"]),
            ("isSubtle", &[]),
        ],
    ),
    ("Action.OpenUrl", &[("title", &[]), ("url", &[])]),
];

fn assert_known(element: &Value) {
    let kind = element["type"].as_str().unwrap();
    let (_, known) = SCHEMA.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("{kind}"));
    for (key, value) in element.as_object().unwrap().iter().filter(|(key, _)| *key != "type") {
        let (_, values) =
            known.iter().find(|(name, _)| name == key).unwrap_or_else(|| panic!("{kind}.{key}"));
        assert!(values.is_empty() || values.iter().any(|one| value == one), "{kind}.{key}: {value}");
    }
    for list in ["inlines", "items"] {
        if let Some(children) = element.get(list) {
            assert!(!children.as_array().unwrap().is_empty(), "{element}");
            children.as_array().unwrap().iter().for_each(assert_known);
        }
    }
    if kind == "TextRun" {
        assert_inert(element["text"].as_str().unwrap(), element["fontType"] == "Monospace");
    }
}

fn assert_inert(text: &str, is_code: bool) {
    assert!(!text.is_empty());
    let lower = text.to_lowercase();
    for active in ["<at>", "</at>", "< /at>", "{{date(", "{{time("] {
        assert!(!lower.contains(active), "{active} in {text}");
    }
    assert!(is_code || !(text.contains("://") || lower.contains("www.e")), "an address: {text}");
    let hidden = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.chars().any(hidden), "{text:?}");
}

fn assert_harmless(message: &Value) {
    let bytes = message.to_string().len();
    const { assert!(card::MAX_MESSAGE_BYTES < TEAMS_BYTES) };
    assert!(bytes <= card::MAX_MESSAGE_BYTES, "{bytes} bytes");
    let card = &message["attachments"][0]["content"];
    let keys: Vec<&String> = card.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["$schema", "actions", "body", "msteams", "type", "version"]);
    assert_eq!(card["msteams"], json!({"width": "Full"}), "and nobody is mentioned");
    card["body"].as_array().unwrap().iter().for_each(assert_known);
    for action in card["actions"].as_array().unwrap() {
        assert_known(action);
        let url = action["url"].as_str().unwrap();
        assert!(url.starts_with("https://whodunit.example/investigations/"), "{url}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_report_makes_a_card_that_teams_refuses_or_obeys(
        texts in prop::collection::vec(nasty(), 1..8),
        many in 0usize..12,
        language in prop::sample::select(vec!["en", "ko", "ja"]),
        outcome in prop::sample::select(vec![Outcome::KnownPattern, Outcome::Inconclusive, Outcome::NotAnIncident]),
    ) {
        let report = hostile(texts.clone(), many, outcome);
        let name = &texts[0];
        let incident = Record {
            title: name.clone(), alert_names: texts.clone(),
            ..record(Workload::new(name, name, name, name))
        };
        let last = before(report.clone());
        let ending = Ending::Reported { report: &report, previous: None, reason: name };
        let again = Ending::Reported { report: &report, previous: Some(&report), reason: name };
        let id = Uuid::nil();
        for what in [
            What::Opened, What::Reopened, What::Resolved { report: Some(&report), joined: None },
            What::Finished { investigation: id, ending }, What::Finished { investigation: id, ending: again },
            What::Finished { investigation: id, ending: Ending::GaveUp(name) },
        ] {
            let event = Event { before: Some(&last), ..event(&incident, what) };
            assert_harmless(&message(Words::of(language), &event));
            let payload: Value = serde_json::from_str(&event::payload(&event)).unwrap();
            prop_assert_eq!(&payload["data"]["incident"]["title"], name);
        }
    }
}

#[test]
fn what_matters_least_is_left_out_of_a_card_that_is_full() {
    let incident = record(workload());
    let long = "악".repeat(2_000);
    let mut report = found();
    report.summary = long.clone();
    report.evidence.iter_mut().for_each(|evidence| evidence.quote = long.clone());
    report.next_steps.iter_mut().for_each(|step| step.text = long.clone());
    report.gaps = vec![gap(&long, &long, &long); 4];
    report.ruled_out.clear();
    let last = before(report.clone());
    let event = Event { before: Some(&last), ..event(&incident, reported(&report, None)) };
    let message = message(Words::of("ko"), &event);
    assert_harmless(&message);
    let shown = shown(&message["attachments"][0]["content"]);
    let words = Words::of("ko");
    assert!(shown.contains(words.what_to_do) && shown.contains(words.what_proves_it), "{shown}");
    assert!(!shown.contains(words.not_looked_at), "{shown}");
    assert!(shown.contains("kubectl -n prod-api rollout undo"), "{shown}");
}

#[test]
fn a_webhook_has_the_report_unless_it_is_too_long_for_any_receiver() {
    let (incident, mut report) = (record(workload()), found());
    let read = |report: &Report| -> Value {
        serde_json::from_str(&event::payload(&event(&incident, reported(report, None)))).unwrap()
    };
    let payload = read(&report);
    assert_eq!(payload["type"], "investigation.finished");
    assert_eq!(payload["timestamp"], "2026-11-21T10:13:02.000000Z");
    assert_eq!(payload["data"]["url"], URL);
    assert_eq!(payload["data"]["investigation"]["report"], serde_json::to_value(&report).unwrap());
    assert_eq!(payload["data"]["investigation"]["report_omitted"], false);
    report.evidence[0].quote = "x".repeat(event::MAX_PAYLOAD_BYTES);
    let payload = read(&report);
    assert_eq!(payload["data"]["investigation"]["report"], Value::Null);
    assert_eq!(payload["data"]["investigation"]["report_omitted"], true);
    assert_eq!(payload["data"]["investigation"]["cause_id"], "secret-missing");
}

fn outlet(settings: Value) -> Result<Outlet, String> {
    let settings: settings::Outlet = serde_json::from_value(settings).unwrap();
    Outlet::new(0, &settings, settings.url.clone(), &settings.secrets).map_err(|error| error.to_string())
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn an_event_goes_to_whom_it_fits_and_people_hear_no_end_without_a_beginning() {
    let all = [
        json!({"name": "people", "kind": "teams", "url": "https://x.example/a"}),
        json!({"name": "machine", "kind": "webhook", "url": "https://x.example/b", "secrets": [SECRET]}),
        json!({"name": "shop", "kind": "teams", "url": "https://x.example/c", "match": {"namespaces": ["shop"]}}),
        json!({"name": "ends", "kind": "webhook", "url": "https://x.example/d", "secrets": [SECRET],
               "events": ["incident.resolved"]}),
    ];
    let outlets = Outlets::new(all.into_iter().map(|one| outlet(one).unwrap()).collect()).unwrap();
    assert!(outlets.is_selective());
    let (incident, report) = (record(workload()), found());
    let about = About { workload: &incident.workload, severity: Severity::Critical, alerts: &[], owner: "" };
    let told = |what: What<'_>| -> Vec<(String, bool)> {
        let news = outlets.news(Words::of("en"), &event(&incident, what), about);
        news.into_iter().map(|news| (news.outlet, news.fits)).collect()
    };
    let of = |name: &str, fits| (name.to_owned(), fits);
    assert_eq!(told(What::Opened), [of("machine", true)]);
    let finished = [of("people", true), of("machine", true), of("shop", false)];
    assert_eq!(told(reported(&report, None)), finished);
    let ends = [of("people", false), of("machine", true), of("shop", false), of("ends", true)];
    assert_eq!(told(What::Resolved { report: None, joined: None }), ends);
    assert_eq!(told(What::Reopened), [of("people", false), of("machine", true), of("shop", false)]);
}

#[test]
fn an_outlet_that_cannot_work_is_named_and_its_secrets_are_not_shown() {
    let teams = |key: &str, value: Value| {
        let mut one = json!({"name": "a", "kind": "teams", "url": "https://x.example/a?sig=hidden"});
        one[key] = value;
        outlet(one).map(|_| ()).unwrap_err()
    };
    for (key, value, why) in [
        ("name", json!("A b"), "outlets[0]: its name is made of"),
        ("name", json!("x".repeat(41)), "40 at most"),
        ("url", Value::Null, "it has no url and no url_file"),
        ("url", json!("hidden"), "its url is no http(s) URL"),
        ("url", json!("file:///etc/hidden"), "its url is no http(s) URL"),
        ("secrets", json!([SECRET]), "Teams knows no secrets"),
        ("events", json!(["incident.closed"]), "`incident.closed` is no event; they are incident.opened, "),
        ("match", json!({"severities": ["page"]}), "`page` is no severity"),
        ("kind", json!("webhook"), "a webhook needs a secret"),
    ] {
        let error = teams(key, value);
        assert!(error.contains(why) && !error.contains("hidden"), "{error}");
    }
    let good =
        outlet(json!({"name": "a", "kind": "teams", "url": "https://x.example/a?sig=hidden"})).unwrap();
    assert!(!format!("{good:?}").contains("hidden"));
    let twice = ["https://x.example/a", "https://x.example/b"]
        .map(|url| outlet(json!({"name": "a", "kind": "teams", "url": url})).unwrap());
    let error = Outlets::new(Vec::from(twice)).unwrap_err().to_string();
    assert_eq!(error, "outlets[1]: another outlet has this name");
}
