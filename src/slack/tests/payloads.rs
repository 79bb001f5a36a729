//! Whole payloads as people get them. Each block stands as its JSON, with its text on lines of its own below.

use serde_json::{Value, json};

use super::*;

/// Lossless, and readable aloud.
pub(super) fn shown(message: &Message) -> String {
    let mut out = vec![format!("text: {}", message.text)];
    for block in &message.blocks {
        let mut block = block.clone();
        if block["type"] == "actions" {
            let elements = block["elements"].as_array().unwrap();
            out.extend(
                elements
                    .iter()
                    .map(|one| format!("  [{}] {}", one["text"]["text"].as_str().unwrap(), one["action_id"])),
            );
            continue;
        }
        let path = if block["type"] == "context" { "/elements/0/text" } else { "/text/text" };
        let text = block.pointer_mut(path).map(Value::take).unwrap_or(json!("no text"));
        out.push(block.to_string());
        out.extend(text.as_str().unwrap().split('\n').map(|line| format!("  | {line}")));
    }
    out.join("\n")
}

#[test]
fn a_found_cause_is_told_verdict_first() {
    insta::assert_snapshot!(shown(&blocks::summary(telling(Some(URL)), &workload(), &found())), @r#"
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
      | E3 from kubernetes, 2026-11-21 10:02:14 UTC: `GET /api/v1/namespaces/prod-api/events`
      | ```
      | Error: secret "db-credentials" not found
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | E2 from kubernetes: `GET /apis/apps/v1/namespaces/prod-api/deployments/user-service`
      | ```
      | ProgressDeadlineExceeded
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What happened when* (2026-11-21, UTC)
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
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|Full report>
    "#);
}

#[test]
fn inconclusive_says_what_was_found_ruled_out_and_missing() {
    let checkout = Workload::new("lab", "shop", "Deployment", "checkout");
    insta::assert_snapshot!(shown(&blocks::summary(telling(None), &checkout, &inconclusive())), @r#"
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
    insta::assert_snapshot!(shown(&blocks::parent(telling(None), &view, Standing::Investigating)), @r#"
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
    let telling = telling(Some(URL));
    insta::assert_snapshot!(shown(&blocks::parent(telling, &view, Standing::Resolved { at, report: Some(&report) })), @r#"
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
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|Full report>
    "#);
    insta::assert_snapshot!(shown(&blocks::resolved(telling.words, &view, at)), @r#"
    text: Resolved: Deployment prod-api/user-service, at 2026-11-21 10:30:20 UTC, after 18 min.
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Resolved* at 2026-11-21 10:30:20 UTC, after 18 min.
      | No alert of this workload fires any more.
    "#);
}

#[test]
fn a_cause_that_a_model_found_is_told_with_what_was_before() {
    let last = before(found());
    insta::assert_snapshot!(shown(&blocks::summary(full(&last), &workload(), &by_a_model())), @r#"
    text: Cause found: Deployment prod-api/user-service. user-service cannot open its database since revision 8. Why: The new image expects TLS on port 5432; the database speaks none. Next: Set DATABASE_SSLMODE=disable.
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | Cause found: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | user-service cannot open its database since revision 8.
      | *Why:* The new image expects TLS on port 5432; the database speaks none.
      | *At fault:* `Deployment prod-api/user-service` (the program itself)
      | *How far:* this workload only; 2 of 2 pods unhealthy
      | *Confidence:* medium, 1 of 2 quotes found word for word
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What proves it* (read at 2026-11-21 10:13:02 UTC)
      | E2 from kubernetes: `GET /apis/apps/v1/namespaces/prod-api/deployments/user-service`
      | ```
      | ProgressDeadlineExceeded
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | E3 from kubernetes, 2026-11-21 10:02:14 UTC: `GET /api/v1/namespaces/prod-api/events` (*this quote was not found in what was read*)
      | ```
      | Error: secret "db-credentials" not found
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What happened when* (2026-11-21, UTC)
      | :arrow_right: 10:02:11  revision 7 rolled out: containers[user].env DATABASE_URL (changed first: only pods of this revision fail)
      | • 10:02:14  first warning: Error: secret "db-credentials" not found
      | • 10:12:20  alert KubeDeploymentRolloutStuck fired
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What to do next*
      | 1. Set DATABASE_SSLMODE=disable. (high risk, think before you run it)
      | ```
      | kubectl -n prod-api edit deployment/user-service
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Claimed by the model, not proven*
      | • the network drops packets (no quote shows it)
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Seen before*
      | 2026-11-20 08:00:05 UTC: another cause: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. It was over after 18 min.
      | Advised then: Look whether the Secret has another name.
      | Noted then: We put the Secret back by hand.
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000002|The report of then>
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | Runbook pod-not-starting at 1f2e3d4c5b6a, written for this alert.
      | Investigated in 38 s, 7 steps, 31200 tokens, $0.05.
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|Full report>
      [👍 Helpful] "whodunit_helpful"
      [👎 Not helpful] "whodunit_not_helpful"
      [Look again] "whodunit_rerun"
      [Not a problem] "whodunit_not_a_problem"
      [Show evidence] "whodunit_evidence"
    "#);
}

#[test]
fn the_head_tells_progress_and_the_last_time() {
    let last = before(found());
    let names = vec!["KubeDeploymentRolloutStuck".to_owned()];
    let (workload, telling) = (workload(), telling(None));
    let view = view(&workload, &names);
    let again = blocks::parent(telling, &view, Standing::FiringAgain(Some(&last)));
    insta::assert_snapshot!(shown(&again), @r#"
    text: [critical] Firing again: Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | [critical] Firing again: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Deployment user-service has been stuck for 10 minutes*
      | *Firing again:* it was resolved before; what was found then stands in this thread.
      | *Alerts:* `KubeDeploymentRolloutStuck`
      | *Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)
      | *Cluster:* `lab`
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Seen before*
      | 2026-11-20 08:00:05 UTC: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. It was over after 18 min.
      | Advised then: Look whether the Secret has another name.
      | Noted then: We put the Secret back by hand.
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000002|The report of then>
    "#);
    let since = chrono::TimeDelta::seconds(41);
    let tools = ["kubernetes_logs".to_owned(), "prometheus_query".to_owned()];
    let work = Standing::AtWork(Progress { step: 3, tools: &tools, since });
    insta::assert_snapshot!(shown(&blocks::parent(telling, &view, work)), @r#"
    text: [critical] Investigating: Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | [critical] Investigating: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Deployment user-service has been stuck for 10 minutes*
      | *Investigating:* step 3, 41 s so far, read last: `kubernetes_logs`, `prometheus_query`.
      | *Alerts:* `KubeDeploymentRolloutStuck`
      | *Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)
      | *Cluster:* `lab`
    "#);
}

#[test]
fn what_is_well_says_what_was_checked() {
    insta::assert_snapshot!(shown(&blocks::summary(telling(Some(URL)), &workload(), &nothing_broken())), @r#"
    text: Nothing is broken: Deployment prod-api/user-service. Deployment user-service is well: 2 of 2 pods are ready, none restarted within the hour.
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | Nothing is broken: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | Deployment user-service is well: 2 of 2 pods are ready, none restarted within the hour.
      | *How far:* no unhealthy workload was seen; 0 of 2 pods unhealthy
      | *Confidence:* high, 2 of 2 quotes found word for word
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What was checked and is well*
      | • every pod is ready (E1)
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What proves it*
      | E2 from kubernetes: `GET /apis/apps/v1/namespaces/prod-api/deployments/user-service`
      | ```
      | ProgressDeadlineExceeded
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | E3 from kubernetes: `GET /api/v1/namespaces/prod-api/events`
      | ```
      | Error: secret "db-credentials" not found
      | ```
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.
      | Investigated in 0.8 s, no model asked, $0.00.
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|Full report>
    "#);
}

#[test]
fn a_storm_names_each_cause_and_whom_it_struck() {
    let shop = Workload::new("lab", "", "Namespace", "shop");
    insta::assert_snapshot!(shown(&blocks::summary(telling(Some(URL)), &shop, &storm())), @r#"
    text: Cause found: Namespace shop. 2 independent causes in Namespace shop: 3 of 9 workloads are struck, one more suffers from them. Why: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. Next: Look whether the Secret has another name.
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | Cause found: Namespace shop
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | 2 independent causes in Namespace shop: 3 of 9 workloads are struck, one more suffers from them.
      | *Why:* Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
      | *At fault:* `Secret prod-api/db-credentials` (configuration)
      | *How far:* several workloads of the namespace; 9 of 21 pods unhealthy; Deployment shop/billing, Deployment shop/cart, Deployment shop/checkout, Deployment shop/payments
      | *Confidence:* high, 2 of 2 quotes found word for word
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What is broken*
      | 1. `Deployment shop/cart`: the image cart:9 does not exist
      | 2. `Secret shop/payments` (Deployment shop/payments, Deployment shop/billing): Secret shop/payments does not exist
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What proves it*
      | E3 from kubernetes, 2026-11-21 10:02:14 UTC: `GET /api/v1/namespaces/prod-api/events`
      | ```
      | Error: secret "db-credentials" not found
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | E2 from kubernetes: `GET /apis/apps/v1/namespaces/prod-api/deployments/user-service`
      | ```
      | ProgressDeadlineExceeded
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What happened when* (2026-11-21, UTC)
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
      | • `Deployment shop/checkout`: it waits for payments
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *What could not be looked at*
      | • loki, logs of user-service: not configured
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | Runbook pod-not-starting at 1f2e3d4c5b6a, a general one: nothing is written for this alert yet.
      | Investigated in 0.8 s, no model asked, $0.00.
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|Full report>
    "#);
}

#[test]
fn threads_that_others_take_over_say_so() {
    let shop = Workload::new("lab", "", "Namespace", "shop");
    let names = vec!["KubePodCrashLooping".to_owned()];
    let (one, telling) = (workload(), telling(None));
    let view = view(&one, &names);
    insta::assert_snapshot!(shown(&blocks::parent(telling, &view, Standing::Folded(&shop))), @r#"
    text: [critical] One of many at once: Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | [critical] One of many at once: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Deployment user-service has been stuck for 10 minutes*
      | *One of many at once:* so much is in trouble there that it is looked at together, as `Namespace shop`. What is found stands in that thread.
      | *Alerts:* `KubePodCrashLooping`
      | *Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)
      | *Cluster:* `lab`
    "#);
    insta::assert_snapshot!(shown(&blocks::parent(telling, &view, Standing::Joined(&shop))), @r#"
    text: [critical] Joined another incident: Deployment prod-api/user-service. Deployment user-service has been stuck for 10 minutes
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | [critical] Joined another incident: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Deployment user-service has been stuck for 10 minutes*
      | *Joined another incident:* these alerts are about `Namespace shop`. They still fire; what is found stands in its thread.
      | *Alerts:* `KubePodCrashLooping`
      | *Since:* 2026-11-21 10:12:20 UTC (3 alerts so far)
      | *Cluster:* `lab`
    "#);
    insta::assert_snapshot!(shown(&blocks::joined(telling.words, &one, &shop)), @r#"
    text: Joined another incident: Deployment prod-api/user-service → Namespace shop. They still fire. What is found, and their end, stand in that incident's thread.
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Joined another incident:* the cluster did not answer when these alerts came, so their workload was taken from their labels: `Deployment prod-api/user-service`. They are about `Namespace shop`.
      | They still fire. What is found, and their end, stand in that incident's thread.
    "#);
    insta::assert_snapshot!(shown(&blocks::taken_in(telling.words, &one, &names)), @r#"
    text: More alerts belong here: Deployment prod-api/user-service.
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *More alerts belong here:* `KubePodCrashLooping`. Their own thread, opened for `Deployment prod-api/user-service`, was opened by mistake and ends.
    "#);
    let same = blocks::unchanged(telling, &one, &found(), "the severity rose");
    insta::assert_snapshot!(shown(&same), @r#"
    text: Looked again: Deployment prod-api/user-service: the cause is the same as before.
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Looked again* (the severity rose): the cause is the same as before.
      | *How far:* this workload only; 2 of 2 pods unhealthy
    "#);
}

#[test]
fn an_investigation_that_gave_up_says_so() {
    insta::assert_snapshot!(shown(&blocks::gave_up(telling(None), &workload(), "the database was gone <3 times>")), @r#"
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

    What happened when
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
fn the_time_of_a_quote_is_told_where_the_timeline_has_its_words() {
    let payload = serde_json::to_string(&blocks::summary(telling(None), &workload(), &found())).unwrap();
    assert!(payload.contains("E3 from kubernetes, 2026-11-21 10:02:14 UTC: "), "{payload}");
    assert!(payload.contains("E2 from kubernetes: "), "its words stand at no time: {payload}");
    let mut report = found();
    report.timeline[1].evidence = "E1".to_owned();
    let payload = serde_json::to_string(&blocks::summary(telling(None), &workload(), &report)).unwrap();
    assert!(payload.contains("E3 from kubernetes: "), "another observation's time: {payload}");
}

#[test]
fn a_command_too_long_to_show_whole_is_not_shown_at_all() {
    let mut report = found();
    report.next_steps[0].command = format!("kubectl delete pod {}", "x".repeat(2_000));
    let payload = serde_json::to_string(&blocks::summary(telling(None), &workload(), &report)).unwrap();
    assert!(!payload.contains("kubectl delete pod"), "half a command is worse than none");
    assert!(payload.contains("too long to be shown here"));
    assert!(payload.contains("kubectl -n prod-api rollout undo"), "the next step is still there");
}

#[test]
fn a_suspicion_is_not_told_as_a_cause() {
    let mut report = inconclusive();
    report.cause = found().cause;
    let payload = serde_json::to_string(&blocks::summary(telling(None), &workload(), &report)).unwrap();
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
