//! What happens while things start is no cause: hand-made objects of a start that is under way, of one that
//! went on too long, and of creation that was refused until it was not.

use super::synthetic::{facts_of, objects, pod, read};
use super::*;
use serde_json::{Value, json};

/// A pod that began at 07:50 and has a readiness probe with 240 s to succeed; it is 08:00.
fn slow(started: &str, last_failure: &str) -> Facts {
    let mut slow = pod("x-0", ("StatefulSet", "x"), "n1", false);
    slow["metadata"]["creationTimestamp"] = json!(started);
    slow["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"path": "/ready", "port": 8080},
        "initialDelaySeconds": 60, "periodSeconds": 30, "failureThreshold": 6});
    slow["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = json!(started);
    let mut objects = objects(json!([slow]));
    objects.events = read(json!([{"metadata": {"name": "e"}, "type": "Warning", "reason": "Unhealthy",
        "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
        "involvedObject": {"kind": "Pod", "name": "x-0", "uid": "uid-x-0", "fieldPath": "spec.containers{c}"},
        "firstTimestamp": started, "lastTimestamp": last_failure, "count": 3}]));
    facts_of(&objects, "StatefulSet", "x")
}

#[test]
fn a_readiness_probe_that_fails_in_its_own_time_is_no_trouble() {
    let young = slow("2026-11-21T07:57:00Z", "2026-11-21T07:59:30Z");
    assert!(young.events.is_empty(), "{:?}", young.events);
    assert!(young.pods[0].healthy && !young.containers[0].failing);
    assert_eq!(young.affected.pods.unhealthy, 0);

    let late = slow("2026-11-21T07:50:00Z", "2026-11-21T07:59:30Z");
    assert_eq!(late.events.len(), 1);
    assert!(!late.pods[0].healthy && late.containers[0].failing);
    assert_eq!(late.containers[0].readiness_failure, "HTTP probe failed with statuscode: 503");
}

fn refused(made: i64) -> Facts {
    let set: Value = json!([{"metadata": {"name": "x-1", "namespace": "a", "uid": "u",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "1", "controller": true}]},
        "spec": {"replicas": 2, "selector": {}}, "status": {"replicas": made}}]);
    let mut objects = objects(json!([]));
    objects.replica_sets = read(set);
    objects.events = read(json!([{"metadata": {"name": "e"}, "type": "Warning", "reason": "FailedCreate",
        "message": "Error creating: pods \"x-1-\" is forbidden: error looking up service account a/x: serviceaccount \"x\" not found",
        "involvedObject": {"kind": "ReplicaSet", "name": "x-1", "uid": "u"},
        "firstTimestamp": "2026-11-21T07:58:00Z", "lastTimestamp": "2026-11-21T07:58:20Z", "count": 4}]));
    facts_of(&objects, "Deployment", "x")
}

#[test]
fn creation_that_was_refused_until_all_pods_were_made_is_no_trouble() {
    assert!(refused(2).events.is_empty());
    assert_eq!(refused(1).events.len(), 1);
}
