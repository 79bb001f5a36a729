//! What changed first, from hand-made objects and from the recording: each kind of change in its place, with its line
//! and its evidence, whatever the alert says of the time within two minutes.

use serde_json::{Value, json};

use super::synthetic::{facts_of, node, objects, pod, read};
use super::*;
use crate::evidence::metrics::{Measure, Measured};
use crate::evidence::objects::{Existence, LogRead};
use crate::report::{Changed, Changing, Moment, Near};

fn set(owner: &str, revision: &str, at: &str, image: &str) -> Value {
    json!({"metadata": {"name": format!("{owner}-{revision}"), "namespace": "a", "creationTimestamp": at,
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "1", "controller": true}]},
        "spec": {"replicas": 1, "selector": {}, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
        "status": {"replicas": 1}})
}

fn deployment(name: &str, container: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "a", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"replicas": 1, "selector": {}, "template": {"metadata": {"labels": {"app": name}},
            "spec": {"containers": [container], "volumes": [{"name": "v", "configMap": {"name": "settings"}}]}}}})
}

fn service(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "a", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"selector": {"app": name}}})
}

/// `front` calls `cart` by an address in its environment; it began to fail at 07:50:10. `other` has to do with none.
fn shop() -> Objects {
    let mut bad = pod("front-2-0", ("ReplicaSet", "front-2"), "n1", false);
    bad["metadata"]["labels"] = json!({"app": "front"});
    let mut called = pod("cart-1-0", ("ReplicaSet", "cart-1"), "n2", true);
    called["metadata"]["labels"] = json!({"app": "cart"});
    let mut shop = objects(json!([bad, called]));
    shop.nodes = read(json!([node("n1"), node("n2")]));
    let calls = json!({"name": "c", "env": [{"name": "CART_ADDR", "value": "http://cart:8080/"}]});
    shop.deployments = read(json!([
        deployment("front", calls),
        deployment("cart", json!({"name": "c"})),
        deployment("other", json!({"name": "c"})),
    ]));
    shop.replica_sets = read(json!([
        set("front", "1", "2026-11-19T07:00:00Z", "f:1"),
        set("front", "2", "2026-11-20T07:00:00Z", "f:2"),
        set("cart", "1", "2026-11-20T07:00:00Z", "c:1"),
        set("other", "1", "2026-11-20T07:00:00Z", "o:1"),
    ]));
    shop.services = read(json!([service("front"), service("cart")]));
    shop.events = read(
        json!([{"metadata": {"name": "e"}, "type": "Warning", "reason": "Unhealthy", "message": "Readiness probe failed: 500",
        "involvedObject": {"kind": "Pod", "name": "front-2-0", "uid": "uid-front-2-0"},
        "firstTimestamp": "2026-11-21T07:50:10Z", "lastTimestamp": "2026-11-21T07:59:00Z", "count": 9}]),
    );
    shop
}

fn changed(objects: &Objects) -> Vec<Changed> {
    let facts = facts_of(objects, "Deployment", "front");
    for one in &facts.changed {
        assert!(facts.observations.iter().any(|observation| observation.id == one.evidence), "{one:#?}");
    }
    facts.changed
}

/// The first place, which must be the same with the alert two minutes earlier or later.
fn first(objects: &Objects) -> Changed {
    let first = changed(objects).into_iter().next().expect("something changed");
    for starts_at in ["2026-11-21T07:53:00Z", "2026-11-21T07:57:00Z", "2026-11-21T07:48:10Z"] {
        let workload = Workload::new("", "a", "Deployment", "front");
        let facts = facts_from(objects, &workload, &[alert(starts_at)]);
        assert_eq!(facts.changed.first().map(|one| &one.what), Some(&first.what), "{starts_at}");
    }
    first
}

#[test]
fn nothing_that_changed_is_nothing_to_rank() {
    assert_eq!(changed(&shop()), []);
    let facts = facts_of(&shop(), "Deployment", "front");
    assert_eq!(facts.onset_at, Some("2026-11-21T07:50:10Z".parse().unwrap()));
    assert!(facts.timeline.iter().all(|entry| !entry.trigger));
}

#[test]
fn a_rollout_of_what_it_calls_comes_before_one_of_a_neighbour() {
    let mut shop = shop();
    shop.replica_sets.items.extend(
        serde_json::from_value::<Vec<_>>(json!([
            set("cart", "2", "2026-11-21T07:48:10Z", "c:2"),
            set("other", "2", "2026-11-21T07:50:00Z", "o:2"),
        ]))
        .unwrap(),
    );
    let lines: Vec<String> = changed(&shop).into_iter().map(|one| one.line).collect();
    assert_eq!(
        lines,
        [
            "rollout of Deployment cart revision 2 (image c:1 → c:2), 2 min before onset, something it calls",
            "rollout of Deployment other revision 2 (image o:1 → o:2), 10 s before onset, no relation known",
        ]
    );
    assert_eq!(first(&shop).near, Near::Callee);
    // Its own comes first, though it is older; unless pods of another revision fail.
    let own: Vec<_> =
        serde_json::from_value(json!([set("front", "3", "2026-11-21T07:44:10Z", "f:3")])).unwrap();
    shop.replica_sets.items.extend(own);
    let despite = changed(&shop);
    assert_eq!((despite[0].near, despite[1].near), (Near::Callee, Near::Itself));
    assert_eq!(despite[1].why, "pods of older revisions fail too");
    let fails = shop.pods.items.iter_mut().find(|pod| pod.metadata.name.as_deref() == Some("front-2-0"));
    let owner = fails.and_then(|pod| pod.metadata.owner_references.as_mut()?.first_mut());
    owner.unwrap().name = "front-3".to_owned();
    let first = first(&shop);
    assert_eq!((first.near, first.seconds_before), (Near::Itself, 360));
    assert!(first.line.ends_with("the workload itself; only pods of this revision fail"), "{}", first.line);
}

#[test]
fn what_it_calls_began_to_fail_first() {
    let mut shop = shop();
    let cart =
        shop.pods.items.iter_mut().find(|pod| pod.metadata.name.as_deref() == Some("cart-1-0")).unwrap();
    let mut value = serde_json::to_value(&*cart).unwrap();
    value["status"]["conditions"][0] =
        json!({"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T07:49:30Z"});
    value["status"]["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-21T07:49:28Z"}});
    *cart = serde_json::from_value(value).unwrap();
    let first = first(&shop);
    assert_eq!(
        (first.kind, first.near, first.object.as_str()),
        (Changing::Event, Near::Callee, "Pod a/cart-1-0")
    );
    let facts = facts_of(&shop, "Deployment", "front");
    let marked = facts.timeline.iter().find(|entry| entry.trigger).unwrap();
    assert_eq!((marked.kind, marked.at), (Moment::Sign, first.at));
    assert!(facts.timeline.is_sorted_by_key(|entry| entry.at));
}

#[test]
fn what_a_trace_shows_to_be_called_is_related() {
    let mut shop = shop();
    let other: Vec<_> =
        serde_json::from_value(json!([set("other", "2", "2026-11-21T07:49:10Z", "o:2")])).unwrap();
    shop.replica_sets.items.extend(other);
    assert_eq!(first(&shop).near, Near::Neighbour);
    shop.calls.query = "GET /api/v2/traces/1".to_owned();
    shop.calls.callers = ["other".to_owned()].into();
    assert_eq!(first(&shop).near, Near::Caller);
    shop.calls.callees = ["other".to_owned()].into();
    assert_eq!(first(&shop).near, Near::Callee);
    let facts = facts_of(&shop, "Deployment", "front");
    let told = facts.observations.iter().find(|one| one.source == "tempo").unwrap();
    assert_eq!(told.text, "front calls other\nfront is called by other\n");
}

#[test]
fn configuration_that_was_edited_or_made_anew_is_told_with_who_did_it() {
    let metadata = |made: &str, edited: &str| {
        serde_json::from_value(json!({"name": "settings", "namespace": "a", "creationTimestamp": made,
            "managedFields": [{"manager": "kubectl-edit", "operation": "Update", "time": edited,
                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:x": {}}}}]}))
        .unwrap()
    };
    let mut shop = shop();
    let query = "GET /api/v1/namespaces/a/configmaps/settings".to_owned();
    let map = Existence { query, exists: true, ..Existence::default() };
    let edited = metadata("2026-11-01T00:00:00Z", "2026-11-21T07:49:10Z");
    let edited = Existence { metadata: Some(edited), ..map.clone() };
    shop.config_maps.insert("settings".to_owned(), edited);
    assert_eq!(
        first(&shop).line,
        "data of ConfigMap settings changed by kubectl-edit, 1 min before onset, what it is configured with"
    );
    let anew = metadata("2026-11-21T07:49:10Z", "2026-11-21T07:49:10Z");
    shop.config_maps.insert("settings".to_owned(), Existence { metadata: Some(anew), ..map });
    assert_eq!(first(&shop).what, "ConfigMap settings was made");
}

#[test]
fn a_node_is_told_with_its_share_of_what_fails() {
    let mut shop = shop();
    let lost = json!({"metadata": {"name": "n1", "creationTimestamp": "2026-11-01T00:00:00Z"}, "status": {"conditions": [
        {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": "2026-11-21T07:49:40Z"}]}});
    shop.nodes = read(json!([lost, node("n2")]));
    assert_eq!(
        first(&shop).line,
        "Node n1 stopped being ready (NodeStatusUnknown), 30 s before onset, a node it runs on; 1 of 1 unhealthy \
         pods are on this node"
    );
    let back = json!({"metadata": {"name": "n1", "creationTimestamp": "2026-11-01T00:00:00Z"}, "status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T07:49:40Z"}]}});
    shop.nodes = read(json!([back, node("n2")]));
    assert_eq!(first(&shop).what, "Node n1 became ready again");
}

#[test]
fn what_a_log_did_not_say_before_and_a_level_that_changed_are_signs() {
    let mut shop = shop();
    shop.pods.items.iter_mut().for_each(|pod| {
        let mut value = serde_json::to_value(&*pod).unwrap();
        value["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 80}});
        *pod = serde_json::from_value(value).unwrap();
    });
    let calm = (0..30).map(|n| format!("2026-11-21T07:{:02}:00Z served item {n}\n", 19 + n));
    let refused = (0..9)
        .map(|n| format!("2026-11-21T07:50:{:02}Z dial tcp 10.0.0.7:5432: connection refused\n", 1 + n));
    shop.logs = vec![LogRead {
        pod: "front-2-0".to_owned(),
        container: "c".to_owned(),
        previous: false,
        source: "kubernetes".to_owned(),
        query: "GET /api/v1/namespaces/a/pods/front-2-0/log".to_owned(),
        milliseconds: 1,
        text: calm.chain(refused).collect(),
    }];
    let step = |n: i64| {
        let at =
            "2026-11-21T06:50:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp() + n * 60;
        (at as f64, if n < 58 { 0.1 } else { 0.9 })
    };
    shop.measurements.series = vec![Measured {
        measure: Measure::Cpu,
        labels: BTreeMap::from([("pod".to_owned(), "cart-1-0".to_owned())]),
        samples: (0..70).map(step).collect(),
        query: "GET /api/v1/query_range?query=cpu".to_owned(),
        milliseconds: 1,
    }];
    let all = changed(&shop);
    let told: Vec<(Changing, &str)> = all.iter().map(|one| (one.kind, one.what.as_str())).collect();
    assert_eq!(
        told,
        [
            (Changing::Log, "new in the log of container c ×9: dial tcp 10.0.0.7:5432: connection refused"),
            (Changing::Series, "CPU of pod cart-1-0 went from 0.10 cores to 0.90 cores"),
        ]
    );
}

#[tokio::test]
async fn the_first_place_of_every_recorded_workload_stands_with_the_alert_two_minutes_off() {
    let sources = Sources {
        kubernetes: Some(replay::client(Vec::new()).await),
        log_tail_lines: 200,
        ..Sources::default()
    };
    let mut ranked = 0;
    for (namespace, kind, name) in WORKLOADS {
        let workload = Workload::new("lab", namespace, kind, name);
        let mut firsts = Vec::new();
        for starts_at in ["2026-11-21T06:59:30Z", "2026-11-21T07:01:30Z", "2026-11-21T07:03:30Z"] {
            let scope = Scope::Namespace(namespace.to_owned());
            let facts = gather(&sources, scope, &workload, &[alert(starts_at)]).await;
            println!(
                "{name} {:?}",
                facts.changed.iter().map(|one| (&one.line, one.score)).collect::<Vec<_>>()
            );
            firsts.push(facts.changed.first().map(|one| one.what.clone()));
        }
        assert!(firsts.windows(2).all(|pair| pair[0] == pair[1]), "{kind} {name}: {firsts:#?}");
        ranked += usize::from(firsts[0].is_some());
    }
    assert!(ranked >= 15, "{ranked}");
}
