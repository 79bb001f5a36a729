//! No secret reaches a model or gets out through it: secrets stand wherever a tool can read, a model calls every
//! tool and repeats all that it heard, and none of them is found in what it was sent, in Slack, in any row, in any
//! answer, in the log, in what is exported of it or in a span.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use whodunit::settings::Settings;

use crate::backends::{Backends, Texts};
use crate::canary::{
    Plants, answers, exported, hostile_bodies, leaks, log, plant_logs, plant_objects, random, said_in_slack,
};
use crate::copy::{Copy, items};
use crate::house::{House, HouseOptions, fixture};
use crate::model::{ModelServer, Said, Script, call, case_file, told, tool_names};

/// Alerts of workloads in whose objects and logs secrets stand.
const WEBHOOKS: [&str; 3] = [
    "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json",
    "recording/alertmanager/webhooks/006-firing-KubePodCrashLooping-n1.json",
    "recording/alertmanager/webhooks/010-firing-KubeDeploymentReplicasMismatch-n5.json",
];

/// What each backend says, each in its own words.
fn backends(plants: &mut Plants) -> Texts {
    let mut each = |name: &str, seed: usize| {
        let github = format!("{}{}", concat!("gh", "p_"), random(seed) + "wxyz");
        vec![
            plants.plant("login with password={} failed", &format!("{name}Pw55")),
            plants.plant("dial postgres://app:{}@db:5432/orders", &format!("{name}Dsn55")),
            plants.plant("> Authorization: Bearer {}", &format!("{name}Bearer55")),
            plants.plant("cloning with {}", &github),
            plants.plant("api_key: {}", &random(seed + 1)),
        ]
    };
    let (loki, tempo, prometheus) = (each("l0ki", 200), each("t3mpo", 300), each("pr0metheus", 400));
    Arc::new(move |asked| match asked {
        _ if asked.contains("/loki/") => loki.clone(),
        _ if asked.contains("/api/search") || asked.contains("/traces/") => tempo.clone(),
        _ => prometheus.clone(),
    })
}

/// Every tool, over the workload of the case.
fn everything(kind: &str, name: &str) -> Vec<(String, String)> {
    let object = format!("{kind}/{name}");
    vec![
        call("kubernetes_get", &json!({"kind": kind, "name": name})),
        call("kubernetes_describe", &json!({"kind": kind, "name": name})),
        call("kubernetes_logs", &json!({"object": object})),
        call("kubernetes_logs", &json!({"object": object, "previous": true})),
        call(
            "kubernetes_list",
            &json!({"kind": "pods", "fields": ["metadata.name", "metadata.annotations",
                                        "spec.containers", "status.containerStatuses"]}),
        ),
        call("kubernetes_events", &json!({})),
        call("kubernetes_rollout", &json!({"object": object})),
        call("kubernetes_top", &json!({"kind": "pods"})),
        call("kubernetes_list", &json!({"kind": "configmaps", "fields": ["data"]})),
        call("kubernetes_get", &json!({"kind": "configmap", "name": "search-config"})),
        call("prometheus_query", &json!({"query": "up"})),
        call("prometheus_range", &json!({"query": "up"})),
        call("prometheus_metrics", &json!({"match": "canary"})),
        call("prometheus_metrics", &json!({"metric": "up", "label": "message"})),
        call("prometheus_alert_rule", &json!({"alert": "Planted"})),
        call("loki_query", &json!({})),
        call("loki_labels", &json!({"label": "app"})),
        call("tempo_search", &json!({})),
        call("tempo_trace", &json!({"id": "4a8a534e239640056a09c6654bbe8103"})),
        call("runbook_read", &json!({})),
        call("past_investigations", &json!({"text": "password"})),
    ]
}

/// By the word of its fences, what a run was told with a canary in it: answers are shortened when they are old, and a
/// model may remember them all the same.
static HEARD: Mutex<BTreeMap<String, Vec<(String, String)>>> = Mutex::new(BTreeMap::new());

/// Calls everything, four at a time, then writes all that it heard into its conclusion.
fn gossip(_: usize, request: &Value) -> Said {
    let heard = told(request);
    let case = case_file(request);
    // `workload Deployment shop/checkout in cluster …`
    let workload = case.lines().find_map(|line| line.strip_prefix("workload ")).unwrap();
    let mut words = workload.split(' ');
    let kind = words.next().unwrap();
    let name = words.next().unwrap().rsplit('/').next().unwrap();
    let next: Vec<_> = everything(kind, name).into_iter().skip(heard.len()).take(4).collect();
    let run = case.lines().find(|line| line.starts_with("<data ")).unwrap().to_owned();
    let mut all = HEARD.lock().unwrap();
    let lines = all.entry(run).or_default();
    for (id, text) in heard.iter().filter(|(id, _)| !id.is_empty()) {
        for line in text.lines().filter(|line| line.contains("canary")) {
            let line = ((*id).to_owned(), line.to_owned());
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    if !next.is_empty() && !request["tool_choice"].is_object() {
        return Said::Calls(next);
    }
    let said = |from: usize, count: usize| {
        lines.iter().skip(from).take(count).map(|(_, line)| line.as_str()).collect::<Vec<_>>().join(" ")
    };
    let evidence: Vec<Value> =
        lines.iter().take(12).map(|(id, line)| json!({"id": id, "quote": line.trim()})).collect();
    let steps: Vec<Value> = (0..5).map(|step| json!({"text": said(30 + step * 5, 5)})).collect();
    Said::Calls(vec![call(
        "conclude",
        &json!({"outcome": "root_cause", "category": "code", "summary": said(0, 10), "impact": said(20, 5),
                "root_cause": said(10, 5), "evidence": evidence, "next_steps": steps,
                "ruled_out": [{"statement": said(15, 5), "evidence": evidence}]}),
    )])
}

/// How often each tool was called.
type Called = Arc<Mutex<BTreeMap<String, usize>>>;

fn counted(called: &Called) -> Script {
    let called = Arc::clone(called);
    Arc::new(move |number, request| {
        let said = gossip(number, request);
        if let Said::Calls(calls) = &said {
            for (name, _) in calls {
                *called.lock().unwrap().entry(name.clone()).or_default() += 1;
            }
        }
        said
    })
}

/// Beside the other canaries: annotations and labels of a workload's own pods.
fn plant_pods(copy: &Copy, plants: &mut Plants) {
    let note = plants.plant("rotated, old token={}", "annotat1onToken66");
    let label = plants.plant("password={}", "podLabelPw66");
    let command = plants.plant("redis-cli -a {} ping", "probePw66");
    let probe = json!({"exec": {"command": ["sh", "-c", command]}, "periodSeconds": 5});
    let on_node = plants.bare("nodeLabelPw66");
    copy.edit("cluster/nodes.json", |list| {
        items(list, "").for_each(|node| node["metadata"]["labels"]["join-password"] = on_node.clone().into());
    });
    copy.edit("prod-api/pods.json", |list| {
        for pod in items(list, "payment-service-") {
            pod["metadata"]["annotations"]["canary/pod"] = note.clone().into();
            pod["metadata"]["labels"]["canary"] = label.clone().into();
            pod["spec"]["containers"][0]["livenessProbe"] = probe.clone();
            pod["spec"]["containers"][0]["env"] =
                json!([{"name": "DB_PASSWORD", "value": "env pass phrase 66"}]);
        }
    });
    plants.bare("env pass phrase 66");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_secret_reaches_a_model_or_gets_out_through_it() {
    log();
    let (copy, mut plants) = (Copy::new(), Plants::default());
    plant_logs(&copy, &mut plants);
    plant_objects(&copy, &mut plants);
    plant_pods(&copy, &mut plants);
    let backends = Backends::start(backends(&mut plants)).await;
    let called = Called::default();
    let model = ModelServer::start(counted(&called)).await;
    let point = backends.settings();
    let house = House::start(HouseOptions {
        recording: Some(copy.recording()),
        models: vec![model.settings()],
        with: Some(Box::new(move |settings: &mut Settings| {
            point(settings);
            settings.runbooks.without_builtin = true;
            settings.slack.pace_ms = 5;
        })),
        ..HouseOptions::default()
    })
    .await;
    for (path, body) in hostile_bodies(&mut plants) {
        assert_eq!(house.post(path, body).await.0, 202);
    }
    for webhook in WEBHOOKS {
        assert_eq!(house.post("/webhooks/alertmanager", fixture(webhook)).await.0, 202);
    }
    house.settle().await;

    let asked = model.asked();
    let sent: String = asked.iter().map(|request| format!("{request}\n")).collect();
    let rows = house.rows().await.join("\n");
    let slack = said_in_slack(&house);
    let places = [
        ("the model", sent.clone()),
        ("Slack", slack.clone()),
        ("the database", rows.clone()),
        ("the API", answers(&house).await),
        ("the log and its spans", log()),
        ("the exported log", exported().await),
    ];
    let leaks = leaks(&places, &plants);
    let among = |text: &str| plants.tags().filter(|tag| text.contains(tag)).count();
    let unread: Vec<&str> = plants.tags().filter(|tag| !sent.contains(tag)).collect();
    println!(
        "canary with a model: {} secrets planted, {} leaks; tags: {} planted, {} reached the model, {} the \
         database, {} Slack; {} questions; not sent: {unread:?}",
        plants.secrets.len(),
        leaks.len(),
        plants.tags().count(),
        among(&sent),
        among(&rows),
        among(&slack),
        asked.len()
    );
    assert!(leaks.is_empty(), "{leaks:#?}");
    // It read them, and it said them.
    assert!(among(&sent) >= 35 && among(&slack) >= 5, "{} and {}", among(&sent), among(&slack));
    assert!(sent.contains("[redacted:private-key]"));
    let called = called.lock().unwrap();
    let idle: Vec<&str> =
        tool_names(&asked[0]).into_iter().filter(|name| !called.contains_key(*name)).collect();
    assert!(idle.is_empty(), "never called: {idle:?}");
    let spans = &places[4].1;
    for field in ["gen_ai.tool.name=", "gen_ai.request.max_tokens=", "gen_ai.usage.input_tokens="] {
        assert!(spans.contains(field) || spans.contains(&field.replace('=', "\"=")), "no span has {field}");
    }
}
