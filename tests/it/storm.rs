//! Many workloads in trouble at once: one incident with the shared factor, one thread, one investigation; what is
//! left when the storm is over gets a look of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use whodunit::demo::{Described, KubernetesStandIn};

use crate::house::{House, HouseOptions, PATIENCE, listen};

const ALERTMANAGER: &str = "/webhooks/alertmanager";
const LATER: u64 = 3600;

fn alert(namespace: &str, deployment: &str, status: &str) -> Value {
    let ends_at = if status == "resolved" { "2026-11-21T08:03:19.889Z" } else { "0001-01-01T00:00:00Z" };
    json!({
        "status": status, "startsAt": "2026-11-21T07:03:19.889Z", "endsAt": ends_at, "generatorURL": "",
        "labels": {"alertname": "KubeDeploymentReplicasMismatch", "namespace": namespace,
                   "deployment": deployment, "severity": "warning", "cluster": "lab"},
        "annotations": {"summary": "too few replicas"},
    })
}

async fn post(house: &House, alerts: &[Value]) {
    let body = json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r",
                      "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
                      "alerts": alerts});
    let (status, receipt) = house.post(ALERTMANAGER, body.to_string()).await;
    assert_eq!(status, 202, "{receipt}");
}

async fn until(house: &House, what: &'static str, query: &'static str) {
    let end = Instant::now() + PATIENCE;
    while house.count(query).await == 0 {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn house(settle_secs: u64, kubernetes: Option<String>) -> House {
    House::start(HouseOptions {
        settle_secs,
        with: Some(Box::new(move |settings| {
            // As Slack's own pace: what a storm withdraws was not said yet.
            settings.slack.pace_ms = 1_000;
            if let Some(url) = kubernetes {
                settings.kubernetes.url = Some(url);
                settings.prometheus.url = None;
                settings.loki.url = None;
            }
        })),
        ..HouseOptions::default()
    })
    .await
}

/// A cluster with one lost node and one good one; a pod of each of `workloads` deployments ran on the lost one, each
/// in a namespace of its own.
fn half_lost(workloads: usize) -> Described {
    let now: DateTime<Utc> = "2026-11-21T07:10:00Z".parse().unwrap();
    let node = |name: &str, ready: &str, reason: &str| {
        json!({"apiVersion": "v1", "kind": "Node",
               "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-10-01T00:00:00Z"},
               "spec": {},
               "status": {"capacity": {"cpu": "8", "memory": "32Gi", "pods": "250"},
                          "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "250"},
                          "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": "…",
                                          "lastTransitionTime": "2026-11-21T07:00:00Z"}]}})
    };
    let mut objects =
        vec![node("rack-7", "Unknown", "NodeStatusUnknown"), node("rack-8", "True", "KubeletReady")];
    for n in 0..workloads {
        let (namespace, name) = (format!("team-{n}"), format!("service-{n}"));
        let labels = json!({"app": name});
        let template = json!({"metadata": {"labels": labels},
                              "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}});
        let meta = |name: &str, owner: Option<(&str, &str)>| {
            let owners: Vec<Value> = owner
                .map(|(kind, of)| {
                    json!({"apiVersion": "apps/v1", "kind": kind, "name": of, "controller": true,
                                         "uid": format!("uid-{of}")})
                })
                .into_iter()
                .collect();
            json!({"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "labels": labels,
                   "creationTimestamp": "2026-11-01T00:00:00Z", "ownerReferences": owners})
        };
        let set = format!("{name}-7d9c5b6f7c");
        objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(&name, None),
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            "status": {"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}}));
        objects.push(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": meta(&set, Some(("Deployment", &name))),
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            "status": {"replicas": 1}}));
        objects.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": meta(&format!("{set}-abcde"), Some(("ReplicaSet", &set))),
            "spec": {"nodeName": "rack-7", "containers": [{"name": "app", "image": "registry.example/app:1"}]},
            "status": {"phase": "Running", "startTime": "2026-11-20T00:00:00Z",
                       "conditions": [{"type": "PodScheduled", "status": "True"},
                                      {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T07:01:00Z"}],
                       "containerStatuses": [{"name": "app", "ready": false, "restartCount": 0, "image": "registry.example/app:1",
                           "imageID": "", "state": {"running": {"startedAt": "2026-11-20T00:00:00Z"}}}]}}));
    }
    Described { objects, logs: Default::default(), readyz: None, now }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_is_one_incident_with_its_name_and_not_one_a_workload() {
    let cluster = Arc::new(KubernetesStandIn::describing(half_lost(24)));
    let (listener, url) = listen().await;
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&cluster).serve(listener, stop.clone()));
    let house = house(LATER, Some(url)).await;
    let alerts: Vec<Value> =
        (0..24).map(|n| alert(&format!("team-{n}"), &format!("service-{n}"), "firing")).collect();
    post(&house, &alerts).await;
    until(
        &house,
        "the storm is investigated",
        "select count(*) from investigations where state = 'done' and workload = 'lab//Node/rack-7'",
    )
    .await;
    assert_eq!(house.count("select count(*) from incidents where folded_into is not null").await, 24);
    assert_eq!(house.count("select count(*) from investigations where started_at is not null").await, 1);
    let cause: String = sqlx::query_scalar("select cause_id from investigations where state = 'done'")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    assert_eq!(cause, "node-unreachable");
    house.settle().await;
    let threads = house.slack.threads();
    let told: Vec<&str> = threads.iter().map(|thread| thread[0].text.as_str()).collect();
    assert!(threads.len() < 8, "{} threads for one storm: {told:?}", threads.len());
    let ours =
        threads.iter().find(|thread| thread[0].text.contains("Node rack-7")).expect("the storm's thread");
    assert!(ours[0].blocks.to_string().contains("24 workloads in trouble at once"), "{:?}", ours[0]);
    // Threads that were quicker say where to read on.
    for other in threads.iter().filter(|thread| thread[0].ts != ours[0].ts) {
        assert!(other[0].blocks.to_string().contains("One of many at once"), "{:?}", other[0]);
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_s_storm_takes_in_late_comers_ends_with_them_and_leaves_the_rest_a_look_of_their_own() {
    let house = house(LATER, None).await;
    let firing: Vec<Value> = (0..22).map(|n| alert("fleet", &format!("d{n}"), "firing")).collect();
    post(&house, &firing).await;
    let one = |n: usize, status: &str| alert("fleet", &format!("d{n}"), status);
    until(&house, "the storm folds", "select count(*) from incidents where kind = 'Namespace'").await;
    post(&house, &[one(22, "firing")]).await;
    until(
        &house,
        "a late comer folds",
        "select count(*) from incidents where name = 'd22' and folded_into is not null",
    )
    .await;
    assert_eq!(house.count("select count(*) from investigations where state = 'cancelled'").await, 23);

    let over: Vec<Value> = (1..=22).map(|n| one(n, "resolved")).collect();
    post(&house, &over).await;
    until(
        &house,
        "the storm is over",
        "select count(*) from incidents where kind = 'Namespace' and state = 'resolved'",
    )
    .await;
    until(
        &house,
        "what still fires is looked at",
        "select count(*) from investigations where workload = 'lab/fleet/Deployment/d0' and state = 'done'",
    )
    .await;
    house.settle().await;
    let threads = house.slack.threads();
    let storm = threads.iter().find(|thread| thread[0].text.contains("Namespace fleet")).expect("its thread");
    assert!(storm[0].text.starts_with("Resolved"), "{:?}", storm[0]);
    let left =
        threads.iter().find(|thread| thread[0].text.contains("fleet/d0")).expect("a thread of its own");
    assert!(left.len() >= 2, "{left:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_than_a_crowd_are_looked_at_each_by_itself() {
    let house = house(0, None).await;
    let alerts: Vec<Value> = (0..6).map(|n| alert("small", &format!("d{n}"), "firing")).collect();
    post(&house, &alerts).await;
    house.settle().await;
    assert_eq!(house.count("select count(*) from investigations where state = 'done'").await, 6);
    assert_eq!(house.slack.threads().len(), 6);
}
