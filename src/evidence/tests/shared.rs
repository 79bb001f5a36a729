//! What several workloads share beside a node and words: a webhook that refuses their pods, a Service that
//! they miss; and to which revision the way back leads.

use serde_json::{Value, json};

use super::synthetic::{event, facts_of, objects, pod, read};
use super::*;
use crate::evidence::objects::LogRead;

const DOWN: &str =
    "Internal error occurred: failed calling webhook \"check.example.io\": failed to call webhook: EOF";

fn set(name: &str, replicas: (i32, i32, i32), refusal: &str) -> Value {
    let (wanted, made, ready) = replicas;
    let conditions =
        json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}]);
    json!({"metadata": {"name": format!("{name}-1"), "namespace": "a", "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "1", "controller": true}]},
        "spec": {"replicas": wanted, "selector": {}, "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}},
        "status": {"replicas": made, "readyReplicas": ready, "conditions": if refusal.is_empty() { json!([]) } else { conditions }}})
}

fn refused(sets: Value, events: Value) -> Objects {
    let mut objects = objects(json!([pod("well-0", ("StatefulSet", "well"), "n1", true)]));
    objects.replica_sets = read(sets);
    objects.events = read(events);
    objects
}

/// A refusal of a StatefulSet, last told at this time.
fn of_set(name: &str, message: &str, last: &str) -> Value {
    let mut event = event(name, "FailedCreate", message, json!({"lastTimestamp": last, "count": 9}));
    event["involvedObject"] = json!({"kind": "StatefulSet", "name": name, "namespace": "a", "uid": "u"});
    event
}

#[test]
fn workloads_whose_pods_one_webhook_refuses_share_it() {
    let told = of_set("y", DOWN, "2026-11-21T07:58:00Z");
    let joined = refused(json!([set("x", (3, 0, 0), DOWN), set("z", (1, 1, 1), "")]), json!([told]));
    for (kind, name) in [("Deployment", "x"), ("StatefulSet", "y")] {
        let affected = facts_of(&joined, kind, name).affected;
        assert_eq!(affected.radius, Radius::Namespace, "{kind} {name}");
        assert_eq!(
            affected.shared_factor.as_deref(),
            Some("admission webhook check.example.io (2 of 2 workloads in trouble)")
        );
        assert_eq!(affected.workloads, ["Deployment a/x", "StatefulSet a/y"]);
        assert_eq!(affected.pods.unhealthy, 4);
    }
    assert_eq!(facts_of(&joined, "StatefulSet", "well").affected.shared_factor, None);

    let denial = "pods is forbidden: admission webhook \"check.example.io\" denied the request: no";
    for (why, sets, events) in [
        ("one is alone", json!([set("x", (3, 0, 0), DOWN)]), json!([])),
        ("the other has its pods", json!([set("x", (3, 0, 0), DOWN), set("y", (1, 1, 0), DOWN)]), json!([])),
        (
            "the other was refused long ago",
            json!([set("x", (3, 0, 0), DOWN)]),
            json!([of_set("y", DOWN, "2026-11-21T07:30:00Z")]),
        ),
        (
            "another one refuses it",
            json!([set("x", (3, 0, 0), DOWN), set("y", (1, 0, 0), &denial.replace("check", "other"))]),
            json!([]),
        ),
        (
            "the other's pod was made since",
            json!([set("x", (3, 0, 0), DOWN)]),
            json!([of_set("well", DOWN, "2026-11-21T06:59:00Z")]),
        ),
    ] {
        let factor = facts_of(&refused(sets, events), "Deployment", "x").affected.shared_factor;
        assert_eq!(factor, None, "{why}");
    }
    let denied = refused(json!([set("x", (1, 0, 0), denial), set("y", (1, 0, 0), denial)]), json!([]));
    let whole = facts_from(&denied, &Workload::new("", "", "Namespace", "a"), &[]);
    assert_eq!(
        whole.affected.shared_factor.as_deref(),
        Some("admission webhook check.example.io (2 of 2 workloads in trouble)")
    );
}

fn crashed(mut pod: Value, env: Value) -> Value {
    pod["spec"]["containers"][0]["env"] = env;
    pod["status"]["containerStatuses"][0]["state"] =
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
    pod["status"]["containerStatuses"][0]["restartCount"] = json!(4);
    pod["status"]["containerStatuses"][0]["lastState"] = json!({"terminated": {"exitCode": 1, "reason": "Error",
        "startedAt": "2026-11-21T07:58:00Z", "finishedAt": "2026-11-21T07:58:03Z"}});
    pod
}

/// x says in its log that it misses db; y's pods carry this environment.
fn missing(env: Value, services: Value) -> Objects {
    let mut objects = objects(json!([
        crashed(pod("x-0", ("StatefulSet", "x"), "n1", false), json!([])),
        crashed(pod("y-0", ("StatefulSet", "y"), "n2", false), env),
        pod("db-0", ("StatefulSet", "db"), "n3", false),
    ]));
    objects.services = read(services);
    objects.slices = read(json!([]));
    objects.logs = vec![LogRead {
        pod: "x-0".to_owned(),
        container: "c".to_owned(),
        previous: true,
        source: "kubernetes".to_owned(),
        query: "GET /log".to_owned(),
        milliseconds: 1,
        text: "2026-11-21T07:58:02Z FATAL dial tcp db:5432: connect: connection refused\n".to_owned(),
    }];
    objects
}

#[test]
fn workloads_that_miss_one_service_share_it() {
    let db = || json!([{"metadata": {"name": "db", "namespace": "a"}, "spec": {"selector": {"app": "db"}, "clusterIP": "10.0.0.9"}}]);
    let names = |value: &str| json!([{"name": "DSN", "value": value}]);
    let of = |objects: &Objects| facts_of(objects, "StatefulSet", "x").affected;
    let affected = of(&missing(names("postgres://app@db.a.svc:5432/shop"), db()));
    assert_eq!(
        affected.shared_factor.as_deref(),
        Some("Service db, which has no ready pods (3 of 3 unhealthy pods)")
    );
    assert_eq!(affected.workloads, ["StatefulSet a/db", "StatefulSet a/x", "StatefulSet a/y"]);
    assert_eq!(affected.radius, Radius::Namespace);
    let gone = of(&missing(names("db:5432"), json!([])));
    assert_eq!(
        gone.shared_factor.as_deref(),
        Some("Service db, which does not exist (2 of 3 unhealthy pods)")
    );
    // Its name in another word is no need of it, and who names nothing may fail for anything.
    for env in [names("jdbc:db2://warehouse"), json!([])] {
        assert_eq!(of(&missing(env, db())).shared_factor, None);
    }
    let mut for_memory = missing(names("db:5432"), db());
    for_memory.pods.items[1] = serde_json::from_value({
        let mut pod = crashed(pod("y-0", ("StatefulSet", "y"), "n2", false), names("db:5432"));
        pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"] = json!("OOMKilled");
        pod
    })
    .unwrap();
    assert_eq!(of(&for_memory).shared_factor, None, "it fails for its own size");
}

#[test]
fn the_way_back_leads_to_a_revision_that_is_known_to_have_been_ready() {
    let revision = |number: &str, ready: i32, image: &str| {
        let mut set = set("x", (i32::from(ready > 0), ready, ready), "");
        set["metadata"]["name"] = json!(format!("x-{number}"));
        set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!(number);
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        set
    };
    let rollout = |sets: Value| {
        let mut objects = refused(sets, json!([]));
        objects.deployments = read(json!([{"metadata": {"name": "x", "namespace": "a"},
            "spec": {"replicas": 2, "selector": {}, "template": {}}}]));
        let row = facts_of(&objects, "Deployment", "x").rollouts.remove(0);
        (row.good_revision, row.previous_revision, row.old_ready, row.changes_text)
    };
    let found = rollout(json!([revision("3", 0, "i:3"), revision("2", 0, "i:2"), revision("1", 2, "i:1")]));
    assert_eq!((found.0.as_str(), found.1.as_str(), found.2), ("1", "1", 2));
    assert!(found.3.contains("i:1") && found.3.contains("i:3"), "{}", found.3);
    let found = rollout(json!([revision("3", 0, "i:3"), revision("2", 0, "i:2"), revision("1", 0, "i:1")]));
    assert_eq!((found.0.as_str(), found.1.as_str(), found.2), ("", "2", 0), "nothing tells which was ready");
    let found = rollout(json!([revision("3", 0, "i:3")]));
    assert_eq!((found.0.as_str(), found.1.as_str()), ("", ""));
}

#[test]
fn a_stateful_set_says_which_revision_it_has_rolled_out() {
    let revision = |number: i64| {
        json!({"metadata": {"name": format!("x-{number}"), "namespace": "a",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "x", "uid": "1", "controller": true}]},
            "revision": number, "data": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": format!("i:{number}")}]}}}}})
    };
    let good = |current: &str| {
        let mut objects = objects(json!([pod("x-0", ("StatefulSet", "x"), "n1", false)]));
        objects.revisions = read(json!([revision(1), revision(2), revision(3), revision(4)]));
        objects.stateful_sets = read(json!([{"metadata": {"name": "x", "namespace": "a"},
            "spec": {"replicas": 1, "serviceName": "x", "selector": {}, "template": {}},
            "status": {"replicas": 1, "currentRevision": current, "updateRevision": "x-4"}}]));
        let row = facts_of(&objects, "StatefulSet", "x").rollouts.remove(0);
        (row.good_revision, row.previous_revision)
    };
    assert_eq!(good("x-2"), ("2".to_owned(), "2".to_owned()));
    // The first one is current from the start, whether its pods ever were ready or not.
    assert_eq!(good("x-1"), (String::new(), "3".to_owned()));
}
