//! Whole payloads as people get them. Each block stands as its JSON, with its text on lines of its own below.

use serde_json::{Value, json};

use super::*;

/// Lossless, and readable aloud.
fn shown(message: &Message) -> String {
    let mut out = vec![format!("text: {}", message.text)];
    for block in &message.blocks {
        let mut block = block.clone();
        let path = if block["type"] == "context" { "/elements/0/text" } else { "/text/text" };
        let text = block.pointer_mut(path).map(Value::take).unwrap_or(json!("no text"));
        out.push(block.to_string());
        out.extend(text.as_str().unwrap().split('\n').map(|line| format!("  | {line}")));
    }
    out.join("\n")
}

#[test]
fn a_found_cause_is_told_verdict_first() {
    insta::assert_snapshot!(shown(&blocks::summary(&workload(), &found(), Some(URL))), @r#"
    text: Cause found: Deployment prod-api/user-service. Both pods of user-service cannot start: a Secret that they need is missing. Why: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. Next: Look whether the Secret has another name.
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | Cause found: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | Both pods of user-service cannot start: a Secret that they need is missing.
      | *Why:* Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
      | *At fault:* `Secret prod-api/db-credentials` (configuration)
      | *How far:* this workload only; 2 of 2 pods unhealthy
      | *Confidence:* high, 2 of 2 quotes found word for word
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What proves it*
      | E3 from kubernetes: `GET /api/v1/namespaces/prod-api/events`
      | ```
      | Error: secret "db-credentials" not found
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | E2 from kubernetes: `GET /apis/apps/v1/namespaces/prod-api/deployments/user-service`
      | ```
      | ProgressDeadlineExceeded
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What changed first* (2026-11-21, UTC)
      | • 10:02:11  revision 7 rolled out: containers[user].env DATABASE_URL
      | • 10:02:14  first warning: Error: secret "db-credentials" not found
      | • 10:12:20  alert KubeDeploymentRolloutStuck fired
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What to do next*
      | 1. Look whether the Secret has another name. (changes nothing)
      | ```
      | kubectl -n prod-api get secret
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | 2. Go back to the last working revision. (low risk)
      | ```
      | kubectl -n prod-api rollout undo deployment/user-service
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Also seen*
      | • `Deployment prod-api/user-service`: the rollout has made no progress for 10 min
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What could not be looked at*
      | • loki, logs of user-service: not configured
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.
      | Investigated in 0.8 s, no model asked, $0.00.
      | <https://whodunit.example/api/v1/investigations/019aa000-0000-7000-8000-000000000001|Full report>
    "#);
}

#[test]
fn inconclusive_says_what_was_found_ruled_out_and_missing() {
    let checkout = Workload::new("lab", "shop", "Deployment", "checkout");
    insta::assert_snapshot!(shown(&blocks::summary(&checkout, &inconclusive(), None)), @r#"
    text: No cause found yet: Deployment shop/checkout. Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out. Next: Ask the owners of payments whether they saw it too.
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | No cause found yet: Deployment shop/checkout
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out.
      | *How far:* no unhealthy workload was seen
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What was found*
      | No known pattern matched.
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What it is not*
      | • no restart in the last hour (E4)
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What could not be looked at*
      | • tempo, traces of checkout: no answer within 10 s
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What was read*
      | E1 from prometheus: `histogram_quantile(0.99, …)`
      | ```
      | 0.21 → 2.4 s at 10:05
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What to look at next*
      | 1. Ask the owners of payments whether they saw it too.
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | No runbook matched: a page for this alert would help next time.
      | Investigated in 41 s, 12 steps, 48210 tokens, $0.08.
    "#);
}

#[test]
fn the_head_of_the_thread_moves_on_with_the_incident() {
    let names = vec!["KubeDeploymentRolloutStuck".to_owned(), "KubePodNotReady".to_owned()];
    let (workload, report) = (workload(), found());
    let view = view(&workload, &names);
    insta::assert_snapshot!(shown(&blocks::parent(&view, Standing::Investigating)), @r#"
    text: [critical] Investigating: Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | [critical] Investigating: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Deployment user-service has been stuck for 10 minutes*
      | *Investigating:* the summary will follow in this thread.
      | *Alerts:* `KubeDeploymentRolloutStuck`, `KubePodNotReady`
      | *Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)
      | *Cluster:* `lab`
    "#);
    let at = at("2026-11-21T10:30:20Z");
    let view = IncidentView { url: Some(URL), ..view };
    insta::assert_snapshot!(shown(&blocks::parent(&view, Standing::Resolved { at, report: Some(&report) })), @r#"
    text: Resolved (was critical): Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | Resolved (was critical): Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Deployment user-service has been stuck for 10 minutes*
      | *Resolved* at 2026-11-21 10:30:20 UTC, after 18 min.
      | *Cause found* (confidence high): Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
      | *Alerts:* `KubeDeploymentRolloutStuck`, `KubePodNotReady`
      | *Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)
      | *Cluster:* `lab`
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | <https://whodunit.example/api/v1/investigations/019aa000-0000-7000-8000-000000000001|Full report>
    "#);
    insta::assert_snapshot!(shown(&blocks::resolved(&view, at)), @r#"
    text: Resolved: Deployment prod-api/user-service, at 2026-11-21 10:30:20 UTC, after 18 min.
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Resolved* at 2026-11-21 10:30:20 UTC, after 18 min.
      | No alert of this workload fires any more.
    "#);
}

#[test]
fn an_investigation_that_gave_up_says_so() {
    insta::assert_snapshot!(shown(&blocks::gave_up(&workload(), "the database was gone <3 times>", None)), @r#"
    text: Could not investigate: Deployment prod-api/user-service. the database was gone &lt;3 times&gt;
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | Could not investigate: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Why:* the database was gone &lt;3 times&gt;
      | Every attempt failed, so nothing is known about the cause. Please look at the workload yourself.
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
      - 2026-11-21 10:02:11 UTC  revision 7 rolled out: containers[user].env DATABASE_URL
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
    assert_eq!(url, format!("https://whodunit.example/investigations/{id}"));
    for bad in ["", "javascript:alert(1)", "https://a|b", "https://a>b", "https://a b", "ftp://a"] {
        assert_eq!(blocks::investigation_url(bad, id), None, "{bad}");
    }
}
