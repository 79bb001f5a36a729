//! Which difference keeps a claim from the volumes that there are: all have the same event text.

use serde_json::{Value, json};

use super::synthetic::{facts_of, objects, pod, read};
use super::*;

fn claim(spec: Value) -> Value {
    let mut all = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
        "resources": {"requests": {"storage": "10Gi"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"metadata": {"name": "d", "namespace": "a", "uid": "own"}, "spec": all, "status": {"phase": "Pending"}})
}

fn volume(name: &str, spec: Value, phase: &str) -> Value {
    let mut all = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "manual", "capacity": {"storage": "10Gi"}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"metadata": {"name": name, "labels": {"disk": "slow"}}, "spec": all, "status": {"phase": phase}})
}

fn facts(claim: Value, volumes: Value) -> Facts {
    let mut one = pod("x-0", ("StatefulSet", "x"), "n1", false);
    one["spec"]["volumes"] = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]);
    let mut objects = objects(json!([one]));
    objects.claims = read(json!([claim]));
    objects.volumes = read(volumes);
    objects.storage_classes = read(json!([
        {"metadata": {"name": "fast"}, "provisioner": "csi.example.com", "volumeBindingMode": "WaitForFirstConsumer"}]));
    facts_of(&objects, "StatefulSet", "x")
}

fn decided(claim: Value, volumes: Value) -> Vec<String> {
    let facts = facts(claim, volumes);
    facts.volumes.iter().filter(|row| row.decides).map(|row| row.mismatch.clone()).collect()
}

#[test]
fn each_difference_is_told_apart() {
    let other = json!({"claimRef": {"namespace": "a", "name": "other", "uid": "u"}});
    let old = json!({"claimRef": {"namespace": "a", "name": "d", "uid": "gone"}});
    let own = json!({"claimRef": {"namespace": "a", "name": "d"}});
    for (expected, asks, has, phase) in [
        ("", json!({}), json!({}), "Available"),
        ("", json!({}), own, "Available"),
        ("access-mode", json!({"accessModes": ["ReadWriteMany"]}), json!({}), "Available"),
        ("capacity", json!({"resources": {"requests": {"storage": "11Gi"}}}), json!({}), "Available"),
        ("selector", json!({"selector": {"matchLabels": {"disk": "fast"}}}), json!({}), "Available"),
        ("class", json!({}), json!({"storageClassName": ""}), "Available"),
        ("volume-mode", json!({"volumeMode": "Block"}), json!({}), "Available"),
        ("name", json!({"volumeName": "pv-9"}), json!({}), "Available"),
        ("taken", json!({}), other.clone(), "Bound"),
        ("released", json!({}), other, "Released"),
        ("released", json!({}), old, "Bound"),
        ("failed", json!({}), json!({}), "Failed"),
    ] {
        // A second volume of the class keeps it a class that people serve, and fits in nothing else.
        let far = volume(
            "far",
            json!({"accessModes": [], "capacity": {"storage": "1Gi"}, "volumeMode": "Other"}),
            "Available",
        );
        assert_eq!(decided(claim(asks), json!([far, volume("pv-1", has, phase)])).join(" "), expected);
    }
}

#[test]
fn a_volume_that_another_claim_holds_is_only_then_the_cause_when_nothing_else_is() {
    let taken = volume("pv-1", json!({"claimRef": {"namespace": "a", "name": "other"}}), "Bound");
    let small = volume("pv-2", json!({"capacity": {"storage": "5Gi"}}), "Available");
    let facts = facts(claim(json!({})), json!([taken, small]));
    let rows: Vec<_> = facts.volumes.iter().map(|row| (row.mismatch.as_str(), row.decides)).collect();
    assert_eq!(rows, [("capacity", true), ("taken", false)]);
    let row = &facts.volumes[0];
    assert_eq!((row.wants.as_str(), row.has.as_str(), row.nearest.as_str()), ("10Gi", "5Gi", "pv-2"));
    assert_eq!(facts.volumes[1].nearest_claim, "a/other");
}

#[test]
fn claims_that_a_provisioner_serves_are_not_compared() {
    let small =
        volume("pv-2", json!({"capacity": {"storage": "5Gi"}, "storageClassName": "fast"}), "Available");
    let dynamic = facts(claim(json!({"storageClassName": "fast"})), json!([small]));
    assert!(dynamic.volumes.is_empty());
    assert_eq!(
        (dynamic.claims[0].binding_mode.as_str(), dynamic.claims[0].node_selected),
        ("WaitForFirstConsumer", false)
    );
    // A class that neither exists nor stands on a volume is a missing class and nothing more.
    assert!(facts(claim(json!({"storageClassName": "gone"})), json!([])).volumes.is_empty());
    let by_hand = facts(claim(json!({"storageClassName": ""})), json!([]));
    assert_eq!((by_hand.volumes[0].mismatch.as_str(), by_hand.claims[0].static_only), ("none", true));
}
