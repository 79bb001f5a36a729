//! How far trouble reaches and what set it off, over hand-made objects: levels of a namespace, factors over
//! several namespaces, a control plane that fails, and changes before the first failure.

use super::synthetic::{facts_of, node, objects, pod, read};
use super::*;
use crate::report::Moment;
use serde_json::{Value, json};

fn in_namespace(mut pod: Value, namespace: &str) -> Value {
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}

fn many(owner: &'static str, count: usize, node: &str, ready: bool) -> Vec<Value> {
    (0..count).map(|n| pod(&format!("{owner}-{n}"), ("StatefulSet", owner), node, ready)).collect()
}

fn namespace(pods: Vec<Value>) -> Objects {
    let mut objects = objects(json!(pods));
    objects.nodes = read(json!([node("n1"), node("n2"), node("n3")]));
    objects
}

fn reach(objects: &Objects) -> (Radius, Option<String>) {
    let facts = facts_from(objects, &Workload::new("", "", "Namespace", "a"), &[]);
    (facts.affected.radius, facts.affected.shared_factor)
}

#[test]
fn a_namespace_is_told_by_the_lowest_level_that_explains_four_fifths() {
    let well = || many("well", 3, "n2", true);
    assert_eq!(reach(&namespace(well())), (Radius::None, None));
    assert_eq!(reach(&namespace([many("x", 1, "n1", false), well()].concat())).0, Radius::Workload);
    let one_of_two =
        [many("x", 2, "n2", true), vec![pod("x-9", ("StatefulSet", "x"), "n3", false)], well()].concat();
    assert_eq!(reach(&namespace(one_of_two)).0, Radius::Pod);
    let four_of_five = [many("x", 4, "n2", false), many("y", 1, "n3", false), well()].concat();
    assert_eq!(reach(&namespace(four_of_five)).0, Radius::Workload);
    let spread = [many("x", 3, "n2", false), many("y", 2, "n3", false), well()].concat();
    assert_eq!(reach(&namespace(spread)), (Radius::Namespace, None));
    let on_one = [many("x", 3, "n1", false), many("y", 2, "n1", false), well()].concat();
    assert_eq!(reach(&namespace(on_one)), (Radius::Node, Some("node n1 (5 of 5 pods)".to_owned())));
}

#[test]
fn what_failed_long_ago_is_no_part_of_it() {
    let mut old = pod("old-0", ("Job", "old"), "n1", false);
    old["status"] = json!({"phase": "Failed", "containerStatuses": [{"name": "c", "image": "i:1", "imageID": "",
        "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 1, "finishedAt": "2026-11-21T06:00:00Z"}}}]});
    assert_eq!(reach(&namespace(vec![old.clone()])).0, Radius::None);
    old["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] =
        json!("2026-11-21T07:50:00Z");
    assert_eq!(reach(&namespace(vec![old])).0, Radius::Workload);
}

#[test]
fn a_shared_factor_reaches_into_other_namespaces_where_they_may_be_seen() {
    let unpulled = |mut pod: Value| {
        pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "ImagePullBackOff",
            "message": "Back-off pulling image \"r.example/base:1\""}});
        pod["status"]["containerStatuses"][0]["image"] = json!("r.example/base:1");
        pod
    };
    let own = unpulled(pod("x-0", ("StatefulSet", "x"), "n1", false));
    let other = in_namespace(unpulled(pod("y-0", ("StatefulSet", "y"), "n2", false)), "b");
    let mut seen = namespace(vec![own]);
    assert_eq!(facts_of(&seen, "StatefulSet", "x").affected.radius, Radius::Workload);
    seen.elsewhere = serde_json::from_value(json!([other])).unwrap();
    let affected = facts_of(&seen, "StatefulSet", "x").affected;
    assert_eq!(affected.radius, Radius::Namespaces);
    assert_eq!(affected.workloads, ["StatefulSet a/x", "StatefulSet b/y"]);
    assert_eq!(
        affected.shared_factor.as_deref(),
        Some("image r.example/base:1 cannot be pulled (2 of 2 unhealthy pods)")
    );
}

#[test]
fn a_failing_control_plane_is_the_level_and_names_its_checks() {
    let mut objects = namespace(many("x", 2, "n1", false));
    let query = "GET /readyz?verbose".to_owned();
    objects.readyz =
        Some(("[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed".to_owned(), query.clone()));
    let failing = Some("the API server is not ready: etcd".to_owned());
    assert_eq!(reach(&objects), (Radius::Cluster, failing));
    objects.readyz = Some(("[+]ping ok\nreadyz check passed".to_owned(), query));
    assert_eq!(reach(&objects).0, Radius::Workload);
}

/// A Deployment whose second revision came at `rolled_out` and whose pod began to fail at 07:50:10.
fn rolled_out(at: &str, service_changed: Option<&str>) -> Vec<crate::report::TimelineEntry> {
    let set = |name: &str, revision: &str, at: &str, image: &str| {
        json!({"metadata": {"name": name, "namespace": "a", "creationTimestamp": at, "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "1", "controller": true}]},
            "spec": {"replicas": 1, "selector": {}, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
            "status": {"replicas": 1}})
    };
    let mut bad = pod("x-2-0", ("ReplicaSet", "x-2"), "n1", false);
    bad["metadata"]["creationTimestamp"] = json!(at);
    bad["metadata"]["labels"] = json!({"app": "x"});
    let mut objects = namespace(vec![bad]);
    objects.deployments = read(json!([{"metadata": {"name": "x", "namespace": "a"},
        "spec": {"replicas": 1, "selector": {}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c"}]}}}}]));
    objects.replica_sets =
        read(json!([set("x-1", "1", "2026-11-20T07:00:00Z", "i:0"), set("x-2", "2", at, "i:1")]));
    objects.events = read(
        json!([{"metadata": {"name": "e"}, "type": "Warning", "reason": "BackOff", "message": "Back-off restarting failed container",
        "involvedObject": {"kind": "Pod", "name": "x-2-0", "uid": "uid-x-2-0"},
        "firstTimestamp": "2026-11-21T07:50:10Z", "lastTimestamp": "2026-11-21T07:59:00Z", "count": 9}]),
    );
    if let Some(at) = service_changed {
        objects.services = read(
            json!([{"metadata": {"name": "x", "namespace": "a", "creationTimestamp": "2026-11-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl-edit", "operation": "Update", "time": at}]}, "spec": {"selector": {"app": "x"}}}]),
        );
    }
    facts_of(&objects, "Deployment", "x").timeline
}

#[test]
fn the_last_change_before_the_first_failure_is_marked_with_its_reason() {
    let timeline = rolled_out("2026-11-21T07:50:00Z", None);
    let trigger: Vec<_> = timeline.iter().filter(|one| one.trigger).collect();
    let [trigger] = trigger.as_slice() else { panic!("{timeline:#?}") };
    assert_eq!(
        (trigger.kind, trigger.at.to_rfc3339()),
        (Moment::Rollout, "2026-11-21T07:50:00+00:00".to_owned())
    );
    assert_eq!(trigger.why, "10 s before onset, the workload itself; only pods of this revision fail");
    assert!(trigger.what.contains("it changed containers[c].image"), "{}", trigger.what);
    assert!(timeline.windows(2).all(|pair| pair[0].at <= pair[1].at));

    let edited = rolled_out("2026-11-21T07:20:00Z", Some("2026-11-21T07:49:00Z"));
    let trigger = edited.iter().find(|one| one.trigger).unwrap();
    assert_eq!(
        (trigger.kind, trigger.what.as_str()),
        (Moment::Config, "Service x was changed by kubectl-edit")
    );
}

#[test]
fn what_changed_long_before_or_after_the_failure_set_nothing_off() {
    for (rollout, service) in
        [("2026-11-21T04:00:00Z", None), ("2026-11-21T04:00:00Z", Some("2026-11-21T07:55:00Z"))]
    {
        let timeline = rolled_out(rollout, service);
        assert!(timeline.iter().all(|one| !one.trigger), "{timeline:#?}");
    }
}
