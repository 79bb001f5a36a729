//! What the first responder costs: requests, processor time and matching for one workload and for a namespace of
//! 500 pods, and how long the built-in signatures take to load. The cluster is made up and answers at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use whodunit::demo::{Described, KubernetesStandIn};
use whodunit::evidence::{self, Sources};
use whodunit::runbook::Catalogue;
use whodunit::signature;
use whodunit::source::kubernetes::{Client, Scope};
use whodunit::workload::Workload;

use crate::cluster::listen;
use crate::load::percentile;

const NAMESPACE: &str = "busy";
const WORKLOADS: usize = 100;
const PODS_EACH: usize = 5;
/// Every tenth workload is in a crash loop.
const FAILING: usize = 10;
const RUNS: usize = 20;

pub async fn print(say: impl Fn(&str, &str)) -> Result<()> {
    let began = Instant::now();
    let catalogue = Catalogue::builtin();
    let load = began.elapsed();
    let signatures = catalogue.signatures(&[], &Workload::new("", NAMESPACE, "Deployment", "w0"));
    say(
        "built-in signatures, compiled",
        &format!("{} in {:.0} ms", signatures.len(), load.as_secs_f64() * 1e3),
    );

    let now = Utc::now();
    let stand_in = Arc::new(KubernetesStandIn::describing(Described { now, ..described(now) }));
    let (listener, url) = listen().await?;
    tokio::spawn(Arc::clone(&stand_in).serve(listener, CancellationToken::new()));
    let settings = serde_json::from_value(json!({"url": url}))?;
    let kubernetes = Client::connect(&settings).await.context("no client")?;
    let sources = Sources { kubernetes: Some(kubernetes), log_tail_lines: 200, ..Sources::default() };
    for (what, workload) in [
        ("one workload of 5 pods", Workload::new("", NAMESPACE, "Deployment", "w0")),
        ("its namespace, 500 pods", Workload::new("", "", "Namespace", NAMESPACE)),
    ] {
        let scope = || Scope::Namespace(NAMESPACE.to_owned());
        let asked = stand_in.requests();
        let facts = evidence::gather(&sources, scope(), &workload, &[]).await;
        let asked = stand_in.requests() - asked;
        let found = signature::find(&facts, &signatures);
        ensure!(!found.findings.is_empty() && !facts.pods.is_empty(), "{what}: nothing was found");
        let (mut gathering, mut matching) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let began = Instant::now();
            let facts = evidence::gather(&sources, scope(), &workload, &[]).await;
            gathering.push(began.elapsed());
            let began = Instant::now();
            signature::find(&facts, &signatures);
            matching.push(began.elapsed());
        }
        let middle = |times: &[Duration]| format!("{:.1} ms", percentile(times, 50).as_secs_f64() * 1e3);
        say(
            what,
            &format!(
                "{asked} requests, gathered in {} (the cluster's own time within), matched in {}, {} finding(s)",
                middle(&gathering),
                middle(&matching),
                found.findings.len()
            ),
        );
    }
    Ok(())
}

/// 100 Deployments of 5 pods each, on ten nodes.
fn described(now: DateTime<Utc>) -> Described {
    let mut objects: Vec<Value> = (0..10).map(|number| node(number, now)).collect();
    for number in 0..WORKLOADS {
        objects.extend(workload(number, now));
    }
    Described { objects, ..Described::default() }
}

fn at(now: DateTime<Utc>, seconds_ago: i64) -> String {
    (now - TimeDelta::seconds(seconds_ago)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn node(number: usize, now: DateTime<Utc>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": format!("node-{number}"), "uid": format!("node-{number}"), "creationTimestamp": at(now, 900_000)},
        "spec": {},
        "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": at(now, 900_000)}]},
    })
}

fn workload(number: usize, now: DateTime<Utc>) -> Vec<Value> {
    let (name, set) = (format!("w{number}"), format!("w{number}-6d8bf9c7f5"));
    let failing = number.is_multiple_of(FAILING);
    let ready = if failing { 0 } else { PODS_EACH };
    let labels = json!({"app": name, "pod-template-hash": "6d8bf9c7f5"});
    let container = json!({"name": "main", "image": format!("registry.example.com/{name}:1"),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let owner = |kind: &str, name: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true}]);
    let mut objects = vec![
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": name, "generation": 1, "creationTimestamp": at(now, 90_000),
                "annotations": {"deployment.kubernetes.io/revision": "1"}},
            "spec": {"replicas": PODS_EACH, "selector": {"matchLabels": {"app": name}}, "template": template},
            "status": {"observedGeneration": 1, "replicas": PODS_EACH, "updatedReplicas": PODS_EACH,
                "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": PODS_EACH - ready},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": set, "namespace": NAMESPACE, "uid": set, "creationTimestamp": at(now, 90_000), "labels": labels,
                "annotations": {"deployment.kubernetes.io/revision": "1"}, "ownerReferences": owner("Deployment", &name)},
            "spec": {"replicas": PODS_EACH, "selector": {"matchLabels": labels}, "template": template},
            "status": {"replicas": PODS_EACH, "readyReplicas": ready},
        }),
    ];
    for pod in 0..PODS_EACH {
        let state = if failing {
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}})
        } else {
            json!({"running": {"startedAt": at(now, 80_000)}})
        };
        let last = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": at(now, 90), "finishedAt": at(now, 60)}});
        let mut status = json!({"name": "main", "image": "x", "imageID": "x", "ready": !failing, "restartCount": 0, "state": state});
        if failing {
            status["restartCount"] = 9.into();
            status["lastState"] = last;
        }
        let condition = if failing { "False" } else { "True" };
        objects.push(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{set}-p{pod}"), "namespace": NAMESPACE, "uid": format!("{set}-p{pod}"),
                "creationTimestamp": at(now, 90_000), "labels": labels, "ownerReferences": owner("ReplicaSet", &set)},
            "spec": {"nodeName": format!("node-{}", number % 10), "containers": [container]},
            "status": {"phase": "Running", "startTime": at(now, 90_000), "containerStatuses": [status],
                "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": condition, "reason": "ContainersNotReady"}]},
        }));
    }
    objects
}
