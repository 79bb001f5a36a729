//! Whole payloads as people get them, and properties of every payload whatever a cluster says.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::Value;

use super::blocks::{self, IncidentView, MAX_BLOCKS, MAX_HEADER, MAX_SECTION, MAX_TEXT, Message, Standing};
use super::text;
use crate::alert::Severity;
use crate::report::*;
use crate::workload::{ObjectRef, Workload};

const URL: &str = "https://whodunit.example/api/v1/investigations/019aa000-0000-7000-8000-000000000001";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn object(kind: &str, name: &str) -> ObjectRef {
    Workload::new("lab", "prod-api", kind, name).object()
}

fn workload() -> Workload {
    Workload::new("lab", "prod-api", "Deployment", "user-service")
}

fn evidence(id: &str, source: &str, query: &str, quote: &str) -> Evidence {
    let (id, source) = (id.to_owned(), source.to_owned());
    Evidence { id, source, query: query.to_owned(), quote: quote.to_owned(), verified: true }
}

fn found() -> Report {
    let statement =
        "Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it";
    let finding = |signature: &str, role, object, statement: &str, evidence: &str| Finding {
        signature: signature.to_owned(),
        role,
        category: Category::Configuration,
        object,
        statement: statement.to_owned(),
        evidence: vec![evidence.to_owned()],
        quotes: vec![],
        next_steps: vec![],
        explains: vec![],
    };
    let step = |text: &str, command: &str, risk| NextStep {
        text: text.to_owned(),
        command: command.to_owned(),
        risk,
    };
    let entry = |time: &str, what: &str| TimelineEntry {
        at: at(time),
        what: what.to_owned(),
        evidence: "E1".to_owned(),
    };
    Report {
        outcome: Outcome::KnownPattern,
        summary: "Both pods of user-service cannot start: a Secret that they need is missing.".to_owned(),
        cause: Some(Cause {
            id: "secret-missing".to_owned(),
            category: Category::Configuration,
            statement: statement.to_owned(),
            object: object("Secret", "db-credentials"),
        }),
        confidence: Confidence::High,
        affected: Affected {
            radius: Radius::Workload,
            workloads: vec!["Deployment prod-api/user-service".to_owned()],
            pods: PodCount { unhealthy: 2, total: 2 },
            shared_factor: None,
        },
        findings: vec![
            finding("secret-missing", Role::Primary, object("Secret", "db-credentials"), statement, "E3"),
            finding(
                "rollout-stuck",
                Role::Secondary,
                object("Deployment", "user-service"),
                "the rollout has made no progress for 10 min",
                "E2",
            ),
        ],
        timeline: vec![
            entry(
                "2026-11-21T10:02:11Z",
                "revision 7 of user-service rolled out: containers[user].env DATABASE_URL",
            ),
            entry("2026-11-21T10:02:14Z", "first warning: Error: secret \"db-credentials\" not found"),
            entry("2026-11-21T10:12:20Z", "alert KubeDeploymentRolloutStuck fired"),
        ],
        evidence: vec![
            evidence(
                "E2",
                "kubernetes",
                "GET /apis/apps/v1/namespaces/prod-api/deployments/user-service",
                "ProgressDeadlineExceeded",
            ),
            evidence(
                "E3",
                "kubernetes",
                "GET /api/v1/namespaces/prod-api/events",
                "Error: secret \"db-credentials\" not found",
            ),
        ],
        ruled_out: vec![],
        next_steps: vec![
            step("Look whether the Secret has another name.", "kubectl -n prod-api get secret", Risk::None),
            step(
                "Go back to the last working revision.",
                "kubectl -n prod-api rollout undo deployment/user-service",
                Risk::Low,
            ),
        ],
        runbook: RunbookUse {
            name: "pod-not-starting".to_owned(),
            revision: "1f2e3d4c5b6a79880011".to_owned(),
            coverage: Coverage::Partial,
            reason: String::new(),
        },
        cost: Cost { seconds: 0.83, ..Cost::default() },
        gaps: vec![Gap {
            source: "loki".to_owned(),
            what: "logs of user-service".to_owned(),
            why: "not configured".to_owned(),
        }],
    }
}

fn inconclusive() -> Report {
    Report {
        outcome: Outcome::Inconclusive,
        summary: "Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out."
            .to_owned(),
        cause: None,
        confidence: Confidence::Low,
        affected: Affected { radius: Radius::None, ..Affected::default() },
        findings: vec![],
        timeline: vec![],
        evidence: vec![evidence("E1", "prometheus", "histogram_quantile(0.99, …)", "0.21 → 2.4 s at 10:05")],
        ruled_out: vec![RuledOut {
            statement: "no restart in the last hour".to_owned(),
            evidence: vec!["E4".to_owned()],
        }],
        next_steps: vec![NextStep {
            text: "Ask the owners of payments whether they saw it too.".to_owned(),
            command: String::new(),
            risk: Risk::None,
        }],
        runbook: RunbookUse {
            name: String::new(),
            revision: String::new(),
            coverage: Coverage::None,
            reason: String::new(),
        },
        cost: Cost {
            steps: 12,
            input_tokens: 45_000,
            output_tokens: 3_210,
            usd: 0.081,
            seconds: 41.3,
            ..Cost::default()
        },
        gaps: vec![Gap {
            source: "tempo".to_owned(),
            what: "traces of checkout".to_owned(),
            why: "no answer within 10 s".to_owned(),
        }],
    }
}

fn view<'a>(workload: &'a Workload, names: &'a [String]) -> IncidentView<'a> {
    IncidentView {
        workload,
        severity: Severity::Critical,
        title: "Deployment user-service has been stuck for 10 minutes",
        alert_names: names,
        alerts: 3,
        opened_at: at("2026-11-21T10:12:20Z"),
        url: None,
    }
}

#[test]
fn a_found_cause_is_told_verdict_first() {
    insta::assert_json_snapshot!(blocks::summary(&workload(), &found(), Some(URL)), @r#"
    {
      "text": "Cause found: Deployment prod-api/user-service. Both pods of user-service cannot start: a Secret that they need is missing. Why: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. Next: Look whether the Secret has another name.",
      "blocks": [
        {
          "text": {
            "emoji": false,
            "text": "Cause found: Deployment prod-api/user-service",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "Both pods of user-service cannot start: a Secret that they need is missing.\n*Why:* Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it\n*At fault:* `Secret prod-api/db-credentials` (configuration)\n*How far:* this workload only; 2 of 2 pods unhealthy\n*Confidence:* high, 2 of 2 quotes found word for word",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What proves it*\nE3 from kubernetes: `GET /api/v1/namespaces/prod-api/events`\n```\nError: secret \"db-credentials\" not found\n```",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "E2 from kubernetes: `GET /apis/apps/v1/namespaces/prod-api/deployments/user-service`\n```\nProgressDeadlineExceeded\n```",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What changed first* (2026-11-21, UTC)\n• 10:02:11  revision 7 of user-service rolled out: containers[user].env DATABASE_URL\n• 10:02:14  first warning: Error: secret \"db-credentials\" not found\n• 10:12:20  alert KubeDeploymentRolloutStuck fired",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What to do next*\n1. Look whether the Secret has another name. (changes nothing)\n```\nkubectl -n prod-api get secret\n```",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "2. Go back to the last working revision. (low risk)\n```\nkubectl -n prod-api rollout undo deployment/user-service\n```",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*Also seen*\n• `Deployment prod-api/user-service`: the rollout has made no progress for 10 min",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What could not be looked at*\n• loki, logs of user-service: not configured",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "elements": [
            {
              "text": "Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.\nInvestigated in 0.8 s, no model asked, $0.00.\n<https://whodunit.example/api/v1/investigations/019aa000-0000-7000-8000-000000000001|Full report>",
              "type": "mrkdwn",
              "verbatim": true
            }
          ],
          "type": "context"
        }
      ]
    }
    "#);
}

#[test]
fn inconclusive_says_what_was_found_ruled_out_and_missing() {
    let checkout = Workload::new("lab", "shop", "Deployment", "checkout");
    insta::assert_json_snapshot!(blocks::summary(&checkout, &inconclusive(), None), @r#"
    {
      "text": "No cause found yet: Deployment shop/checkout. Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out. Next: Ask the owners of payments whether they saw it too.",
      "blocks": [
        {
          "text": {
            "emoji": false,
            "text": "No cause found yet: Deployment shop/checkout",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out.\n*How far:* no unhealthy workload was seen",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What was found*\nNo known pattern matched.",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What it is not*\n• no restart in the last hour (E4)",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What could not be looked at*\n• tempo, traces of checkout: no answer within 10 s",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What was read*\nE1 from prometheus: `histogram_quantile(0.99, …)`\n```\n0.21 → 2.4 s at 10:05\n```",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "text": {
            "text": "*What to look at next*\n1. Ask the owners of payments whether they saw it too.",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "elements": [
            {
              "text": "No runbook matched: a page for this alert would help next time.\nInvestigated in 41 s, 12 steps, 48210 tokens, $0.08.",
              "type": "mrkdwn",
              "verbatim": true
            }
          ],
          "type": "context"
        }
      ]
    }
    "#);
}

#[test]
fn the_head_of_the_thread_moves_on_with_the_incident() {
    let names = vec!["KubeDeploymentRolloutStuck".to_owned(), "KubePodNotReady".to_owned()];
    let (workload, report) = (workload(), found());
    let view = view(&workload, &names);
    insta::assert_json_snapshot!(blocks::parent(&view, Standing::Investigating), @r#"
    {
      "text": "[critical] Investigating: Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes",
      "blocks": [
        {
          "text": {
            "emoji": false,
            "text": "[critical] Investigating: Deployment prod-api/user-service",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "*Deployment user-service has been stuck for 10 minutes*\n*Investigating:* the summary will follow in this thread.\n*Alerts:* `KubeDeploymentRolloutStuck`, `KubePodNotReady`\n*Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)\n*Cluster:* `lab`",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        }
      ]
    }
    "#);
    let at = at("2026-11-21T10:30:20Z");
    let view = IncidentView { url: Some(URL), ..view };
    insta::assert_json_snapshot!(blocks::parent(&view, Standing::Resolved { at, report: Some(&report) }), @r#"
    {
      "text": "Resolved (was critical): Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes",
      "blocks": [
        {
          "text": {
            "emoji": false,
            "text": "Resolved (was critical): Deployment prod-api/user-service",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "*Deployment user-service has been stuck for 10 minutes*\n*Resolved* at 2026-11-21 10:30:20 UTC, after 18 min.\n*Cause found* (confidence high): Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it\n*Alerts:* `KubeDeploymentRolloutStuck`, `KubePodNotReady`\n*Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)\n*Cluster:* `lab`",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        },
        {
          "elements": [
            {
              "text": "<https://whodunit.example/api/v1/investigations/019aa000-0000-7000-8000-000000000001|Full report>",
              "type": "mrkdwn",
              "verbatim": true
            }
          ],
          "type": "context"
        }
      ]
    }
    "#);
    insta::assert_json_snapshot!(blocks::resolved(&view, at), @r#"
    {
      "text": "Resolved: Deployment prod-api/user-service, at 2026-11-21 10:30:20 UTC, after 18 min.",
      "blocks": [
        {
          "text": {
            "text": "*Resolved* at 2026-11-21 10:30:20 UTC, after 18 min.\nNo alert of this workload fires any more.",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        }
      ]
    }
    "#);
}

#[test]
fn an_investigation_that_gave_up_says_so() {
    insta::assert_json_snapshot!(blocks::gave_up(&workload(), "the database was gone <3 times>", None), @r#"
    {
      "text": "Could not investigate: Deployment prod-api/user-service. the database was gone &lt;3 times&gt;",
      "blocks": [
        {
          "text": {
            "emoji": false,
            "text": "Could not investigate: Deployment prod-api/user-service",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "*Why:* the database was gone &lt;3 times&gt;\nEvery attempt failed, so nothing is known about the cause. Please look at the workload yourself.",
            "type": "mrkdwn",
            "verbatim": true
          },
          "type": "section"
        }
      ]
    }
    "#);
}

#[test]
fn plain_text_reads_like_the_thread() {
    insta::assert_snapshot!(text::report(&workload(), &found()), @r#"
    Cause found: Deployment prod-api/user-service
    =============================================
    Both pods of user-service cannot start: a Secret that they need is missing.

    Why:        Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
    At fault:   Secret prod-api/db-credentials (configuration)
    Cause id:   secret-missing
    How far:    this workload only; 2 of 2 pods unhealthy
    Confidence: high, 2 of 2 quotes found word for word

    Also seen
      - Deployment prod-api/user-service: the rollout has made no progress for 10 min

    What proves it
      E3 from kubernetes: GET /api/v1/namespaces/prod-api/events
        | Error: secret "db-credentials" not found
      E2 from kubernetes: GET /apis/apps/v1/namespaces/prod-api/deployments/user-service
        | ProgressDeadlineExceeded

    What changed first
      - 2026-11-21 10:02:11 UTC  revision 7 of user-service rolled out: containers[user].env DATABASE_URL
      - 2026-11-21 10:02:14 UTC  first warning: Error: secret "db-credentials" not found
      - 2026-11-21 10:12:20 UTC  alert KubeDeploymentRolloutStuck fired

    What to do next
      1. Look whether the Secret has another name. (changes nothing)
           kubectl -n prod-api get secret
      2. Go back to the last working revision. (low risk)
           kubectl -n prod-api rollout undo deployment/user-service

    What could not be looked at
      - loki, logs of user-service: not configured

    Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.
    Investigated in 0.8 s, no model asked, $0.00.
    "#);
}

/// What an attacker would try, beside anything at all.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<!channel>".to_owned()),
        Just("<@U123> @here @Everyone @channel".to_owned()),
        Just("<https://evil.example|click>".to_owned()),
        Just("```".to_owned()),
        Just("`*_~`".to_owned()),
        Just("&lt;&amp;".to_owned()),
        Just("\n> quote\n```\n@".to_owned()),
        Just("👩‍👩‍👧‍👦\u{202e}\u{0}".to_owned()),
        "\\PC{0,40}",
        "[a-z<&]{900,1200}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A report with the same hostile text everywhere it fits, and too much of everything.
fn hostile(texts: Vec<String>, many: usize, outcome: Outcome) -> Report {
    let mut next = texts.iter().cycle().cloned();
    let mut text = move || next.next().unwrap_or_default();
    let mut report = if outcome == Outcome::Inconclusive { inconclusive() } else { found() };
    report.outcome = outcome;
    report.summary = text();
    let mut object = || ObjectRef { cluster: text(), kind: text(), namespace: text(), name: text() };
    let objects: Vec<ObjectRef> = (0..=many).map(|_| object()).collect();
    let cause = Cause { id: text(), category: Category::Code, statement: text(), object: objects[0].clone() };
    report.cause = Some(cause);
    report.affected.workloads = (0..many).map(|_| text()).collect();
    report.affected.shared_factor = Some(text());
    let finding = found().findings[1].clone();
    report.findings = objects
        .iter()
        .map(|object| Finding {
            object: object.clone(),
            statement: text(),
            evidence: vec![text()],
            ..finding.clone()
        })
        .collect();
    let moment = at("2026-11-21T10:00:00Z");
    report.timeline =
        (0..many).map(|_| TimelineEntry { at: moment, what: text(), evidence: String::new() }).collect();
    report.evidence = (0..many)
        .map(|n| Evidence { verified: n % 2 == 0, ..evidence(&text(), &text(), &text(), &text()) })
        .collect();
    report.ruled_out =
        (0..many).map(|_| RuledOut { statement: text(), evidence: vec![text(); many] }).collect();
    report.next_steps =
        (0..many).map(|_| NextStep { text: text(), command: text(), risk: Risk::High }).collect();
    report.gaps = (0..many).map(|_| Gap { source: text(), what: text(), why: text() }).collect();
    report.runbook.name = text();
    report.runbook.revision = text();
    report
}

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
        assert_inert(
            &text.replace(&format!("<{URL}|Full report>"), "").replace(&format!("<{URL}|Details>"), ""),
        );
    }
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
        outcome in prop::sample::select(vec![Outcome::KnownPattern, Outcome::Inconclusive, Outcome::NotAnIncident]),
    ) {
        let report = hostile(texts.clone(), many, outcome);
        let name = &texts[0];
        let workload = Workload::new(name, name, name, name);
        assert_harmless(&blocks::summary(&workload, &report, Some(URL)));
        assert_harmless(&blocks::gave_up(&workload, name, Some(URL)));
        let opened_at = at("2026-11-21T10:00:00Z");
        let view = IncidentView {
            workload: &workload, severity: Severity::None, title: name, alert_names: &texts,
            alerts: i32::MAX, opened_at, url: Some(URL),
        };
        let resolved = Standing::Resolved { at: opened_at, report: Some(&report) };
        for standing in [Standing::Investigating, Standing::Reported(&report), Standing::GaveUp, resolved] {
            assert_harmless(&blocks::parent(&view, standing));
        }
        assert_harmless(&blocks::resolved(&view, opened_at));
        let plain = text::report(&workload, &report);
        prop_assert!(!plain.chars().any(|c| c.is_control() && !"\n\t".contains(c)));
    }
}

#[test]
fn a_command_too_long_to_show_whole_is_not_shown_at_all() {
    let mut report = found();
    report.next_steps[0].command = format!("kubectl delete pod {}", "x".repeat(2_000));
    let payload = serde_json::to_string(&blocks::summary(&workload(), &report, None)).unwrap();
    assert!(!payload.contains("kubectl delete pod"), "half a command is worse than none");
    assert!(payload.contains("too long for Slack"));
    assert!(payload.contains("kubectl -n prod-api rollout undo"), "the next step is still there");
}

#[test]
fn a_suspicion_is_not_told_as_a_cause() {
    let mut report = inconclusive();
    report.cause = found().cause;
    let payload = serde_json::to_string(&blocks::summary(&workload(), &report, None)).unwrap();
    assert!(payload.contains("*Suspected, not proven:*") && !payload.contains("*Why:*"), "{payload}");
}

#[test]
fn only_a_plain_address_of_our_own_becomes_a_link() {
    let id = uuid::Uuid::nil();
    let url = blocks::investigation_url("https://whodunit.example/", id).unwrap();
    assert_eq!(url, format!("https://whodunit.example/api/v1/investigations/{id}"));
    for bad in ["", "javascript:alert(1)", "https://a|b", "https://a>b", "https://a b", "ftp://a"] {
        assert_eq!(blocks::investigation_url(bad, id), None, "{bad}");
    }
}
