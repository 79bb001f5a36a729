//! Which constraint keeps a waiting pod from its nodes: by comparison with them, whatever stands first in the
//! scheduler's message.

use serde_json::{Value, json};

use super::synthetic::{facts_of, objects, pod, read};
use super::*;
use crate::facts::PodFact;
use crate::source::kubernetes::Requested;

fn waiting(spec: Value, message: &str) -> Value {
    let mut pod = pod("x-9", ("StatefulSet", "x"), "", false);
    pod["spec"].as_object_mut().unwrap().remove("nodeName");
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod["status"] = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": message}]});
    pod
}

fn node(name: &str, labels: Value, spec: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"},
        "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn control_plane() -> Value {
    node(
        "cp",
        json!({}),
        json!({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}),
    )
}

fn small(cpu: &str) -> Value {
    json!({"containers": [{"name": "c", "image": "i:1", "resources": {"requests": {"cpu": cpu}}}]})
}

/// The waiting pod's own row and its placements, with nothing requested by others but what `used` says.
fn judged(pods: Value, nodes: Value, used: &[(&str, Requested)]) -> (PodFact, Facts) {
    let mut objects = objects(pods);
    objects.nodes = read(nodes);
    let used = used.iter().map(|(name, sum)| ((*name).to_owned(), sum.clone())).collect();
    objects.requested = Some((used, "GET /api/v1/pods".to_owned()));
    let facts = facts_of(&objects, "StatefulSet", "x");
    let row = facts.pods.iter().find(|row| row.name == "x-9").unwrap().clone();
    (row, facts)
}

fn cpu(millis: i64) -> Requested {
    Requested { cpu_millis: millis, pods: 1, ..Requested::default() }
}

#[test]
fn the_constraint_that_covers_the_otherwise_eligible_nodes_is_the_cause() {
    let cordoned = node(
        "w1",
        json!({}),
        json!({"unschedulable": true, "taints": [
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}),
    );
    let free = node("w2", json!({}), json!({}));
    let dedicated = node(
        "w3",
        json!({}),
        json!({"taints": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]}),
    );
    let sick = node(
        "w4",
        json!({}),
        json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}),
    );
    let labelled = node("w5", json!({"disk": "ssd"}), json!({"unschedulable": true}));
    let select = json!({"nodeSelector": {"disk": "ssd"}, "containers": []});
    let full: &[(&str, Requested)] = &[("w2", cpu(3_500))];
    for (why, spec, nodes, used, expected) in [
        ("cordon is a side item", small("1"), json!([control_plane(), cordoned, free]), full, "cpu"),
        ("all that would fit are cordoned", small("1"), json!([control_plane(), cordoned]), full, "cordon"),
        ("a dedicated pool is not meant", small("1"), json!([dedicated, free]), full, "cpu"),
        ("nothing but the pool is there", small("1"), json!([dedicated]), full, "taint"),
        ("the control plane alone", small("1"), json!([control_plane()]), full, "taint"),
        ("a node that is not in order", small("1"), json!([control_plane(), sick]), full, "node-condition"),
        ("no node has the label", select.clone(), json!([free, cordoned]), full, "node-selector"),
        ("the labelled one is cordoned", select, json!([free, labelled]), full, "cordon"),
    ] {
        let message = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.";
        let (row, facts) = judged(json!([waiting(spec, message)]), nodes, used);
        assert_eq!(
            (row.blocked_by.join(" ").as_str(), row.blocked_from.as_str()),
            (expected, "nodes"),
            "{why}"
        );
        assert!(facts.placements.iter().all(|one| one.decides == (one.constraint == expected)), "{why}");
    }
}

#[test]
fn requests_are_told_apart_by_what_could_ever_fit() {
    let nodes = json!([node("w1", json!({}), json!({})), node("w2", json!({}), json!({}))]);
    let (_, facts) = judged(json!([waiting(small("64"), "")]), nodes.clone(), &[]);
    let row = &facts.placements[0];
    assert_eq!((row.wants.as_str(), row.most_free.as_str(), row.never_fits), ("64", "4", true));
    assert_eq!((row.failing, row.total, row.eligible, row.covers), (2, 2, 2, 2));
    let (_, facts) =
        judged(json!([waiting(small("1"), "")]), nodes.clone(), &[("w1", cpu(3_900)), ("w2", cpu(3_070))]);
    let row = &facts.placements[0];
    assert_eq!((row.wants.as_str(), row.most_free.as_str(), row.never_fits), ("1", "930m", false));
    assert!(row.quote.contains("it wants 1 and the most that is free is 930m: w1, w2"), "{}", row.quote);

    let gpu = json!({"containers": [{"name": "c", "resources": {"requests": {"nvidia.com/gpu": "2"}}}]});
    let (row, facts) = judged(json!([waiting(gpu, "")]), nodes.clone(), &[]);
    assert_eq!(row.blocked_by, ["resource"]);
    assert_eq!(
        (facts.placements[0].detail.as_str(), facts.placements[0].wants.as_str()),
        ("nvidia.com/gpu", "2")
    );

    let port = json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}]}]});
    let taken =
        |port: &str| Requested { host_ports: [port.to_owned()].into(), pods: 10, ..Requested::default() };
    let used = [("w1", taken("8080/TCP")), ("w2", Requested { pods: 1, ..taken("10.0.0.1:8080/TCP") })];
    let (row, facts) = judged(json!([waiting(port, "")]), nodes, &used);
    assert_eq!(row.blocked_by, ["host-port"]);
    let limit = facts.placements.iter().find(|row| row.constraint == "pod-limit").unwrap();
    assert!(!limit.decides && limit.nodes == ["w1"]);
}

#[test]
fn neighbours_keep_a_pod_away_or_are_missed() {
    let hosts = json!([
        node("w1", json!({"host": "w1", "zone": "a"}), json!({})),
        node("w2", json!({"host": "w2", "zone": "b"}), json!({})),
    ]);
    let x = json!({"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "host"});
    let rule = |kind: &str, term: &Value| json!({"containers": [], "affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}});
    let placed = |node: &str| pod(&format!("x-{node}"), ("StatefulSet", "x"), node, true);
    let blocked = |pods: Value| judged(pods, hosts.clone(), &[]).0.blocked_by;

    let alone = rule("podAntiAffinity", &x);
    assert_eq!(
        blocked(json!([waiting(alone.clone(), ""), placed("w1"), placed("w2")])),
        ["pod-anti-affinity"]
    );
    assert!(blocked(json!([waiting(alone.clone(), ""), placed("w1")])).is_empty());
    // The rule of the pods that run already counts as much.
    let mut shy = [placed("w1"), placed("w2")];
    for pod in &mut shy {
        pod["spec"]["affinity"] = alone["affinity"].clone();
    }
    assert_eq!(blocked(json!([waiting(json!({}), ""), shy[0], shy[1]])), ["pod-anti-affinity"]);

    let cache = json!({"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "host"});
    assert_eq!(blocked(json!([waiting(rule("podAffinity", &cache), "")])), ["pod-affinity"]);
    assert!(blocked(json!([waiting(rule("podAffinity", &x), "")])).is_empty(), "the first of its kind");

    let spread = |selector: Value| {
        json!({"containers": [], "nodeSelector": {"zone": "a"}, "topologySpreadConstraints": [{"maxSkew": 1,
            "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector,
            "nodeAffinityPolicy": "Ignore"}]})
    };
    let own = json!({"matchLabels": {"app": "x"}});
    assert_eq!(blocked(json!([waiting(spread(own.clone()), ""), placed("w1")])), ["topology-spread"]);
    assert!(blocked(json!([waiting(spread(own), ""), placed("w1"), placed("w2")])).is_empty());
    let other = json!({"matchLabels": {"app": "y"}});
    assert!(blocked(json!([waiting(spread(other), ""), placed("w1")])).is_empty());
}

#[test]
fn rules_about_other_namespaces_count_where_their_pods_were_read() {
    let hosts = || {
        json!([node("w1", json!({"host": "w1"}), json!({})), node("w2", json!({"host": "w2"}), json!({})),])
    };
    let term = |more: Value| {
        let mut term = json!({"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "host"});
        term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        term
    };
    let rule = |kind: &str, more: Value| json!({"containers": [], "affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term(more)]}}});
    let cache = |namespace: &str, node: &str| {
        let mut one = pod(&format!("cache-{node}"), ("StatefulSet", "cache"), node, true);
        one["metadata"]["namespace"] = json!(namespace);
        one
    };
    let blocked = |spec: Value, elsewhere: Value| {
        let mut objects = objects(json!([waiting(spec, "")]));
        objects.nodes = read(hosts());
        objects.elsewhere = serde_json::from_value(elsewhere).unwrap();
        let facts = facts_of(&objects, "StatefulSet", "x");
        facts.pods.into_iter().find(|row| row.name == "x-9").unwrap().blocked_by
    };
    let (b, by_team) =
        (json!({"namespaces": ["b"]}), json!({"namespaceSelector": {"matchLabels": {"team": "t"}}}));
    let both = || json!([cache("b", "w1"), cache("b", "w2")]);
    assert_eq!(blocked(rule("podAntiAffinity", b.clone()), both()), ["pod-anti-affinity"]);
    assert!(
        blocked(rule("podAntiAffinity", b.clone()), json!([cache("b", "w1"), cache("c", "w2")])).is_empty()
    );
    assert!(blocked(rule("podAntiAffinity", json!({})), both()).is_empty(), "its own namespace alone");
    assert_eq!(blocked(rule("podAffinity", b.clone()), json!([cache("c", "w1")])), ["pod-affinity"]);
    assert!(blocked(rule("podAffinity", b.clone()), both()).is_empty());
    assert!(blocked(rule("podAffinity", b), json!([])).is_empty(), "what was not read may be there");
    assert!(
        blocked(rule("podAffinity", by_team), json!([cache("c", "w1")])).is_empty(),
        "c may be of the team"
    );
    let mut shy = [cache("b", "w1"), cache("b", "w2")];
    for pod in &mut shy {
        pod["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "host", "namespaces": ["a"]}]}});
    }
    assert_eq!(
        blocked(json!({"containers": []}), json!(shy)),
        ["pod-anti-affinity"],
        "theirs counts as well"
    );
}

#[test]
fn a_bound_volume_keeps_its_pod_in_its_zone() {
    let spec =
        json!({"containers": [], "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]});
    let mut objects = objects(json!([waiting(
        spec,
        "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."
    )]));
    objects.nodes = read(json!([node("w1", json!({"zone": "a"}), json!({}))]));
    objects.claims =
        read(json!([{"metadata": {"name": "d", "namespace": "a"}, "spec": {"volumeName": "pv-1"},
        "status": {"phase": "Bound"}}]));
    objects.volumes = read(json!([{"metadata": {"name": "pv-1"}, "spec": {"nodeAffinity": {"required":
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}]}}}}]));
    let facts = facts_of(&objects, "StatefulSet", "x");
    assert_eq!(
        (facts.pods[0].blocked_by.join(" ").as_str(), facts.pods[0].blocked_from.as_str()),
        ("volume-affinity", "nodes")
    );
    assert_eq!(facts.placements[0].detail, "claim d: zone In [b]");
}

#[test]
fn the_message_counts_only_where_nodes_do_not_decide() {
    let message = "0/2 nodes are available: 2 Insufficient cpu.";
    let nodes = || json!([node("w1", json!({}), json!({}))]);
    // The sums say that there is room: the message is older, and nobody is blamed.
    let (row, facts) = judged(json!([waiting(small("1"), message)]), nodes(), &[]);
    assert_eq!((row.blocked_by.len(), row.blocked_from.as_str(), facts.placements.len()), (0, "", 0));
    let volumes = "0/1 nodes are available: 1 node(s) exceed max volume count.";
    let (row, _) = judged(json!([waiting(small("1"), volumes)]), nodes(), &[]);
    assert_eq!((row.blocked_by.join(" ").as_str(), row.blocked_from.as_str()), ("volume-limit", "message"));
    let unknown = objects(json!([waiting(small("1"), message)]));
    let facts = facts_of(&unknown, "StatefulSet", "x");
    assert_eq!(
        (facts.pods[0].blocked_by.join(" ").as_str(), facts.pods[0].blocked_from.as_str()),
        ("cpu", "message")
    );
    // Several constraints, none of which covers every node.
    let two = json!([node("w1", json!({"zone": "a"}), json!({})), node("w2", json!({}), json!({}))]);
    let mut spec = small("1");
    spec["topologySpreadConstraints"] =
        json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]);
    let (row, _) = judged(json!([waiting(spec, message)]), two, &[("w1", cpu(3_500))]);
    assert_eq!((row.blocked_by.len(), row.blocked_from.as_str()), (0, "mixed"));
}

#[test]
fn init_containers_sidecars_and_pod_level_requests_count_as_the_scheduler_counts() {
    let requests = |cpu: &str| json!({"requests": {"cpu": cpu}});
    for (expected, spec) in [
        (
            1_500,
            json!({"containers": [{"name": "a", "resources": requests("1")}, {"name": "b", "resources": requests("500m")}]}),
        ),
        (
            2_000,
            json!({"containers": [{"name": "a", "resources": requests("1")}], "initContainers": [{"name": "i", "resources": requests("2")}]}),
        ),
        (
            1_300,
            json!({"containers": [{"name": "a", "resources": requests("1")}],
            "initContainers": [{"name": "s", "restartPolicy": "Always", "resources": requests("300m")}, {"name": "i", "resources": requests("900m")}]}),
        ),
        (
            3_100,
            json!({"containers": [{"name": "a", "resources": requests("1")}], "resources": requests("3"), "overhead": {"cpu": "100m"}}),
        ),
    ] {
        let (row, _) = judged(json!([waiting(spec.clone(), "")]), json!([]), &[]);
        assert_eq!(row.cpu_request_millis, expected, "{spec}");
    }
}
