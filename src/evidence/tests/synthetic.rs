//! What the recording does not hold, from hand-made objects: several nodes, stale events, operators' own
//! kinds, ControllerRevisions, sidecars, and logs that only Loki still has.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::evidence::objects::{LogRead, Read};

const NOW: &str = "2026-11-21T08:00:00Z";

pub(super) fn read<K: DeserializeOwned>(items: Value) -> Read<K> {
    let items = serde_json::from_value(items).unwrap();
    Read { items, query: "GET /api/v1/namespaces/a/things".to_owned(), milliseconds: 1, known: true }
}

pub(super) fn objects(pods: Value) -> Objects {
    Objects { now: NOW.parse().unwrap(), namespace: "a".to_owned(), pods: read(pods), ..Objects::default() }
}

pub(super) fn pod(name: &str, owner: (&str, &str), node: &str, ready: bool) -> Value {
    json!({"metadata": {"name": name, "namespace": "a", "uid": format!("uid-{name}"),
            "creationTimestamp": "2026-11-21T07:00:00Z", "labels": {"app": owner.1},
            "ownerReferences": [{"apiVersion": "x/v1", "kind": owner.0, "name": owner.1, "uid": "1", "controller": true}]},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready {"True"} else {"False"}}],
            "containerStatuses": [{"name": "c", "image": "i:1", "imageID": "", "ready": ready, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-11-21T07:00:00Z"}}}]}})
}

pub(super) fn node(name: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

pub(super) fn facts_of(objects: &Objects, kind: &str, name: &str) -> Facts {
    let facts = facts_from(objects, &Workload::new("", "a", kind, name), &[alert("2026-11-21T07:55:00Z")]);
    assert_quotes_stand(&facts);
    facts
}

#[test]
fn a_bad_node_is_the_level_only_when_there_are_others() {
    let pods = json!([
        pod("x-0", ("StatefulSet", "x"), "n1", false),
        pod("y-0", ("StatefulSet", "y"), "n1", false),
        pod("z-0", ("StatefulSet", "z"), "n2", true),
    ]);
    let mut two = objects(pods);
    two.nodes = read(json!([node("n1"), node("n2")]));
    let facts = facts_of(&two, "StatefulSet", "x");
    assert_eq!(facts.affected.radius, Radius::Node);
    assert_eq!(facts.affected.shared_factor.as_deref(), Some("node n1 (2 of 2 pods)"));
    assert_eq!(facts.affected.workloads, ["StatefulSet a/x", "StatefulSet a/y"]);

    let mut one = two.clone();
    one.nodes = read(json!([node("n1")]));
    assert_eq!(facts_of(&one, "StatefulSet", "x").affected.radius, Radius::Workload);

    // One workload failing on one node is the workload's trouble.
    let mut alone = two;
    alone.pods.items.remove(1);
    assert_eq!(facts_of(&alone, "StatefulSet", "x").affected.radius, Radius::Workload);
}

#[test]
fn the_same_missing_object_joins_workloads_of_a_namespace() {
    let waiting = |mut pod: Value| {
        pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"}});
        pod
    };
    let objects = objects(json!([
        waiting(pod("x-0", ("StatefulSet", "x"), "n1", false)),
        waiting(pod("y-0", ("StatefulSet", "y"), "n1", false)),
        pod("z-0", ("StatefulSet", "z"), "n1", false),
    ]));
    let facts = facts_of(&objects, "StatefulSet", "x");
    assert_eq!(facts.affected.radius, Radius::Namespace);
    assert_eq!(
        facts.affected.shared_factor.as_deref(),
        Some("secret \"db\" not found (2 of 3 unhealthy pods)")
    );
    assert_eq!(facts_of(&objects, "StatefulSet", "z").affected.radius, Radius::Workload);
}

pub(super) fn event(name: &str, reason: &str, message: &str, times: Value) -> Value {
    let mut event = json!({"metadata": {"name": "e", "namespace": "a"}, "type": "Warning", "reason": reason,
        "message": message, "involvedObject": {"kind": "Pod", "name": name, "namespace": "a", "uid": format!("uid-{name}")}});
    event.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
    event
}

#[test]
fn events_of_both_shapes_count_and_stale_ones_do_not() {
    let mut objects = objects(json!([pod("x-0", ("StatefulSet", "x"), "n1", false)]));
    let classic =
        |last: &str| json!({"firstTimestamp": "2026-11-21T06:00:00Z", "lastTimestamp": last, "count": 7});
    let mut of_earlier_pod = event("x-0", "BackOff", "earlier pod", classic("2026-11-21T07:59:00Z"));
    of_earlier_pod["involvedObject"]["uid"] = json!("uid-of-the-pod-before");
    objects.events = read(json!([
        event("x-0", "BackOff", "classic", classic("2026-11-21T07:59:00Z")),
        event(
            "x-0",
            "Unhealthy",
            "series",
            json!({"eventTime": "2026-11-21T07:50:00.5Z", "count": null,
            "series": {"count": 9, "lastObservedTime": "2026-11-21T07:59:30.250000Z"}})
        ),
        event("x-0", "Odd", "once", json!({"eventTime": "2026-11-21T07:58:00Z", "series": null})),
        event("x-0", "Stale", "stale", classic("2026-11-21T07:10:00Z")),
        // It runs on a node and has started: both complaints are settled.
        event("x-0", "FailedScheduling", "was pending", classic("2026-11-21T07:58:00Z")),
        event("x-0", "FailedMount", "was mounting", classic("2026-11-21T07:58:00Z")),
        event("other-0", "BackOff", "foreign", classic("2026-11-21T07:59:00Z")),
        of_earlier_pod,
    ]));
    let facts = facts_of(&objects, "StatefulSet", "x");
    let rows: Vec<_> =
        facts.events.iter().map(|row| (row.message.as_str(), row.count, row.age_seconds)).collect();
    assert_eq!(rows, [("once", 1, 120), ("classic", 7, 60), ("series", 9, 29)]);
}

#[test]
fn pods_of_an_operator_s_kind_are_found_by_their_owner() {
    let mut objects = objects(json!([
        pod("x-1", ("ReplicaSet", "x-5d4f8c7b9d"), "n1", false),
        pod("chi-0", ("StatefulSet", "chi"), "n1", true),
    ]));
    objects.replica_sets = read(
        json!([{"metadata": {"name": "x-5d4f8c7b9d", "namespace": "a", "ownerReferences":
        [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "x", "uid": "1", "controller": true}]},
        "spec": {"replicas": 1, "selector": {}}}]),
    );
    let facts = facts_of(&objects, "Rollout", "x");
    assert_eq!(facts.pods.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["x-1"]);
    assert_eq!(facts.affected.pods.unhealthy, 1);
}

#[test]
fn a_stateful_set_s_revisions_tell_what_changed() {
    let revision = |number: i64, image: &str| {
        json!({"metadata": {"name": format!("x-{number}"), "namespace": "a",
                "creationTimestamp": format!("2026-11-21T07:0{number}:00Z"), "ownerReferences":
                [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x", "uid": "1", "controller": true}]},
            "revision": number, "data": {"spec": {"template": {"$patch": "replace",
                "spec": {"containers": [{"name": "c", "image": image}]}}}}})
    };
    let mut objects = objects(json!([pod("x-0", ("StatefulSet", "x"), "n1", false)]));
    objects.stateful_sets = read(json!([{"metadata": {"name": "x", "namespace": "a", "generation": 3},
        "spec": {"replicas": 2, "selector": {}, "template": {}},
        "status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": 2}}]));
    objects.revisions = read(json!([revision(1, "i:1"), revision(2, "i:2")]));
    let row = facts_of(&objects, "StatefulSet", "x").rollouts.remove(0);
    assert_eq!(row.changes_text, "containers[c].image: \"i:1\" → \"i:2\"");
    assert_eq!((row.revision.as_str(), row.unavailable, row.generation_lag), ("2", 1, true));
}

#[test]
fn pods_that_were_never_made_count_as_unhealthy() {
    let mut objects = objects(json!([]));
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "1", "controller": true}]);
    objects.deployments = read(json!([{"metadata": {"name": "x", "namespace": "a"},
        "spec": {"replicas": 3, "selector": {}, "template": {"metadata": {"labels": {"app": "x"}},
            "spec": {"serviceAccountName": "robot", "containers": [{"name": "c"}]}}},
        "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "serviceaccount \"robot\" not found"}]}}]));
    objects.replica_sets =
        read(json!([{"metadata": {"name": "x-5d4f8c7b9d", "namespace": "a", "ownerReferences": owner},
        "spec": {"replicas": 3, "selector": {}}}]));
    let mut refused = event(
        "x-5d4f8c7b9d",
        "FailedCreate",
        "Error creating: pods \"x-\" is forbidden: error looking up service account a/robot: serviceaccount \"robot\" not found",
        json!({"lastTimestamp": "2026-11-21T07:59:00Z", "count": 9}),
    );
    refused["involvedObject"]["kind"] = json!("ReplicaSet");
    objects.events = read(json!([refused]));
    let facts = facts_of(&objects, "Deployment", "x");
    assert_eq!(facts.affected.radius, Radius::Workload);
    assert_eq!((facts.affected.pods.unhealthy, facts.affected.pods.total), (3, 3));
    assert!(facts.rollouts[0].replica_failure.starts_with("FailedCreate: serviceaccount"));
    assert_eq!((facts.events[0].kind.as_str(), facts.events[0].count), ("ReplicaSet", 9));
    let account = &facts.references[0];
    assert_eq!((account.kind.as_str(), account.exists.as_str()), ("ServiceAccount", "no"));
}

#[test]
fn sidecars_keys_and_quotas_have_their_rows() {
    let mut one = pod("x-0", ("StatefulSet", "x"), "n1", false);
    one["spec"]["initContainers"] = json!([{"name": "proxy", "image": "p:1", "restartPolicy": "Always",
        "resources": {"requests": {"cpu": "100m"}}}]);
    one["status"]["initContainerStatuses"] = json!([{"name": "proxy", "image": "p:1", "imageID": "", "ready": false,
        "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-21T07:59:00Z"}}}]);
    one["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CreateContainerConfigError",
        "message": "couldn't find key url in ConfigMap a/settings"}});
    one["spec"]["containers"][0]["env"] =
        json!([{"name": "URL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "url"}}}]);
    let mut objects = objects(json!([one]));
    objects.quotas = read(json!([{"metadata": {"name": "q", "namespace": "a"},
        "status": {"hard": {"pods": "10", "limits.memory": "1Gi"}, "used": {"pods": "10", "limits.memory": "512Mi"}}}]));
    let facts = facts_of(&objects, "StatefulSet", "x");
    let proxy = &facts.containers[0];
    assert_eq!(
        (proxy.role.as_str(), proxy.failing, proxy.exit_reason.as_str()),
        ("sidecar", true, "OOMKilled")
    );
    assert_eq!(facts.pods[0].cpu_request_millis, 100);
    let reference = &facts.references[0];
    assert_eq!((reference.exists.as_str(), reference.key_exists.as_str()), ("yes", "no"));
    assert_eq!(reference.waiting_pods, ["x-0"]);
    let full: Vec<_> = facts.quotas.iter().map(|row| (row.resource.as_str(), row.full)).collect();
    assert_eq!(full, [("limits.memory", false), ("pods", true)]);
}

#[test]
fn secrets_in_logs_and_commands_stay_out_of_facts() {
    let mut one = pod("x-0", ("StatefulSet", "x"), "n1", false);
    one["spec"]["containers"][0]["command"] = json!(["run", "--password=hunter2"]);
    let mut objects = objects(json!([one]));
    objects.logs = vec![LogRead {
        pod: "x-0".to_owned(),
        container: "c".to_owned(),
        previous: false,
        source: "kubernetes".to_owned(),
        query: "GET /log".to_owned(),
        milliseconds: 1,
        text: "2026-11-21T07:59:00Z ERROR: cannot connect postgres://app:hunter2@db:5432/x refused\n"
            .to_owned(),
    }];
    let facts = facts_of(&objects, "StatefulSet", "x");
    assert!(!serde_json::to_string(&facts).unwrap().contains("hunter2"));
    assert_eq!((facts.dependencies[0].host.as_str(), facts.dependencies[0].port), ("db", 5432));
}

#[tokio::test]
async fn loki_has_the_log_that_the_api_lost_and_prometheus_the_peak() {
    use axum::Router;
    use axum::routing::get;
    let loki = r#"{"status":"success","data":{"resultType":"streams","result":[
        {"stream":{},"values":[["1795244706234838599","ERROR: Connection refused - database unreachable"]]}]}}"#;
    let prometheus = r#"{"status":"success","data":{"resultType":"vector","result":
        [{"metric":{"pod":"p"},"value":[1795244845.3,"33554432"]}]}}"#;
    let router = Router::new()
        .route("/loki/api/v1/query_range", get(move || async move { loki }))
        .route("/api/v1/query", get(move || async move { prometheus }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = crate::settings::HttpSource {
        url: Some(format!("http://{}", listener.local_addr().unwrap())),
        ..crate::settings::HttpSource::default()
    };
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    // Another test may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().build().unwrap();
    let sources = Sources {
        kubernetes: Some(replay::client(vec![("/log?", Fault::Status(404))]).await),
        prometheus: Prometheus::new(http.clone(), &settings).unwrap(),
        loki: Loki::new(http, &settings).unwrap(),
        log_tail_lines: 50,
        tempo: None,
    };
    let scope = Scope::Namespace("prod-api".to_owned());
    let auth = Workload::new("lab", "prod-api", "Deployment", "auth-service");
    let facts = gather(&sources, scope.clone(), &auth, &[]).await;
    let row = facts.containers.iter().find(|row| row.failing).unwrap();
    assert_eq!((row.log_class.as_str(), row.log_at.is_some()), ("refused", true));
    let observation = facts.observations.iter().find(|o| o.id == row.log_evidence).unwrap();
    assert_eq!(observation.source, "loki");
    assert_quotes_stand(&facts);
    let analytics = Workload::new("lab", "prod-api", "Deployment", "analytics-service");
    let facts = gather(&sources, scope, &analytics, &[]).await;
    assert!(
        facts.observations.iter().any(|o| o.source == "prometheus" && o.text.contains("peaked at 32.0 Mi"))
    );
}
