//! What stands around a workload: Services and their ports, routes, policies, webhooks, leases, quotas, and who
//! changed what. Each fact from hand-made objects as a cluster would answer them.

use serde_json::{Value, json};

use super::synthetic::{event, facts_of, objects, pod, read};
use super::*;
use crate::evidence::objects::{Backend, Existence, Hook};
use crate::facts::ServiceFact;

fn listening(ports: Value, probe: Value) -> Value {
    let mut one = pod("x-0", ("StatefulSet", "x"), "n1", true);
    one["spec"]["containers"][0]["ports"] = ports;
    one["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": probe}});
    one
}

fn service(spec: Value) -> Value {
    let mut all = json!({"selector": {"app": "x"}, "type": "ClusterIP", "clusterIP": "10.0.0.1"});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"metadata": {"name": "x", "namespace": "a", "creationTimestamp": "2026-11-21T07:00:00Z"}, "spec": all})
}

fn served(pod: Value, spec: Value) -> ServiceFact {
    let mut objects = objects(json!([pod]));
    objects.services = read(json!([service(spec)]));
    facts_of(&objects, "StatefulSet", "x").services.remove(0)
}

#[test]
fn a_target_port_is_judged_by_what_is_declared_and_what_answers() {
    let web = || json!([{"name": "web", "containerPort": 8080}]);
    for (target, missing, by_name, answering) in [
        (json!(8080), "", false, ""),
        (json!("web"), "", false, ""),
        (json!("http"), "http", true, "8080"),
        (json!(8081), "8081", false, "8080"),
    ] {
        let row =
            served(listening(web(), json!("web")), json!({"ports": [{"port": 80, "targetPort": target}]}));
        let found = (row.missing_target_port.as_str(), row.missing_port_name, row.answering_port.as_str());
        assert_eq!(found, (missing, by_name, answering), "{target}");
    }
    // An undeclared port beside one that fits is usual (metrics), and nothing declared proves nothing.
    let two = json!({"ports": [{"port": 80, "targetPort": "web"}, {"port": 9090}]});
    assert_eq!(served(listening(web(), json!("web")), two).answering_port, "");
    let none = served(listening(json!([]), json!(8080)), json!({"ports": [{"port": 8080}]}));
    assert_eq!((none.missing_target_port.as_str(), none.answering_port.as_str()), ("", ""));
    let mut sick = listening(web(), json!("web"));
    sick["status"]["conditions"][0]["status"] = json!("False");
    assert_eq!(served(sick, json!({"ports": [{"port": 80, "targetPort": 8081}]})).answering_port, "");

    let dns = json!([{"containerPort": 53, "protocol": "UDP"}]);
    let row = served(listening(dns, json!(53)), json!({"ports": [{"port": 53}]}));
    assert_eq!(row.protocol_mismatch, "53/TCP: the containers declare 53/UDP");
    let both = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]);
    assert_eq!(served(listening(both, json!(53)), json!({"ports": [{"port": 53}]})).protocol_mismatch, "");
}

#[test]
fn services_of_other_types_and_policies_have_their_facts() {
    let ready = || pod("x-0", ("StatefulSet", "x"), "n1", true);
    let row = served(ready(), json!({"type": "LoadBalancer"}));
    assert!(row.load_balancer_pending && row.age_seconds == 3_600);
    assert!(!served(ready(), json!({})).load_balancer_pending);
    for (name, missing) in [
        ("x.a.svc.cluster.local", false),
        ("y.a.svc.cluster.local", true),
        ("y.b.svc", false),
        ("db.example.com", false),
    ] {
        let row = served(ready(), json!({"type": "ExternalName", "externalName": name}));
        assert_eq!(row.external_missing, missing, "{name}");
    }
    let mut local = objects(json!([ready()]));
    local.services = read(json!([service(json!({"internalTrafficPolicy": "Local"}))]));
    local.slices = read(json!([{"metadata": {"name": "x-1", "labels": {"kubernetes.io/service-name": "x"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": "n1", "conditions": {"ready": true}}]}]));
    let node = |name: &str, ready: &str| json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
    local.nodes = read(json!([node("n1", "True"), node("n2", "True"), node("n3", "False")]));
    let row = facts_of(&local, "StatefulSet", "x").services.remove(0);
    assert_eq!(
        (row.local_traffic.as_str(), row.nodes_without_endpoint.as_slice()),
        ("internal", &["n2".to_owned()][..])
    );
}

#[test]
fn routes_show_which_part_is_missing() {
    let mut all = objects(json!([pod("x-0", ("StatefulSet", "x"), "n1", true)]));
    all.services = read(json!([service(json!({"ports": [{"port": 80, "name": "http"}]}))]));
    let ingress = |name: &str, class: Value, service: &str, port: Value| {
        json!({"metadata": {"name": name, "namespace": "a"}, "spec": {"ingressClassName": class,
            "rules": [{"host": "h", "http": {"paths": [{"path": "/p", "pathType": "Prefix",
                "backend": {"service": {"name": service, "port": port}}}]}}]}})
    };
    all.more.ingresses = read(json!([
        ingress("fits", json!("nginx"), "x", json!({"name": "http"})),
        ingress("class", json!("ngnix"), "x", json!({"number": 80})),
        ingress("none", Value::Null, "x", json!({"number": 80})),
        ingress("port", json!("nginx"), "x", json!({"number": 8080})),
        ingress("foreign", json!("nginx"), "other", json!({"number": 80})),
    ]));
    all.more.ingress_classes = read(json!([{"metadata": {"name": "nginx"}}]));
    let facts = facts_of(&all, "StatefulSet", "x");
    let rows: Vec<_> = facts
        .ingresses
        .iter()
        .map(|row| {
            (
                row.name.as_str(),
                row.class_exists.as_str(),
                row.service_exists.as_str(),
                row.port_exists.as_str(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("fits", "yes", "yes", "yes"),
            ("class", "no", "yes", "yes"),
            ("none", "no", "yes", "yes"),
            ("port", "yes", "yes", "no")
        ]
    );
    assert_eq!(facts.ingresses[0].route, "h/p");
    let subject = facts_of(&all, "Ingress", "foreign");
    assert_eq!(subject.ingresses[0].service_exists, "no");
}

#[test]
fn policies_are_judged_together() {
    let policies = |specs: Value| {
        let mut all = objects(json!([pod("x-0", ("StatefulSet", "x"), "n1", true)]));
        let items = specs.as_array().unwrap().iter().enumerate();
        all.more.policies = read(items.map(|(n, spec)| json!({"metadata": {"name": format!("p{n}"), "namespace": "a"}, "spec": spec})).collect());
        let facts = facts_of(&all, "StatefulSet", "x");
        let row = |row: &crate::facts::PolicyFact| (row.admits_nobody, row.lets_nothing_out, row.blocks_dns);
        facts.policies.iter().map(row).collect::<Vec<_>>()
    };
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let web = json!({"podSelector": {"matchLabels": {"app": "x"}}, "ingress": [{"from": []}], "policyTypes": ["Ingress"]});
    let foreign = json!({"podSelector": {"matchLabels": {"app": "y"}}, "policyTypes": ["Ingress", "Egress"]});
    assert_eq!(policies(json!([deny, foreign])), [(true, false, false)]);
    assert_eq!(policies(json!([deny, web])), [(false, false, false), (false, false, false)]);
    let closed = json!({"podSelector": {}, "policyTypes": ["Egress"]});
    assert_eq!(policies(json!([closed])), [(false, true, true)]);
    let database = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 5432, "protocol": "TCP"}]}]});
    assert_eq!(policies(json!([database])), [(false, false, true)]);
    let resolver = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]});
    assert_eq!(policies(json!([database, resolver])), [(false, false, false), (false, false, false)]);
}

#[test]
fn leases_are_stale_by_the_cluster_s_clock() {
    let mut all = objects(json!([pod("x-0", ("StatefulSet", "x"), "n1", true)]));
    for (name, renewed) in
        [("kube-scheduler", "2026-11-21T07:59:50.000000Z"), ("n1", "2026-11-21T07:57:00.000000Z")]
    {
        let lease = json!({"metadata": {"name": name, "namespace": "s"}, "spec": {"holderIdentity": "h",
            "leaseDurationSeconds": 15, "renewTime": renewed}});
        all.more.leases.push((serde_json::from_value(lease).unwrap(), "GET /lease".to_owned()));
    }
    let rows: Vec<_> =
        facts_of(&all, "StatefulSet", "x").leases.iter().map(|row| (row.age_seconds, row.stale)).collect();
    assert_eq!(rows, [(10, false), (180, true)]);
}

#[test]
fn refusals_name_their_webhook_and_their_quota() {
    let mut all = objects(json!([]));
    let refused = |message: &str| {
        let mut event = event(
            "x-0",
            "FailedCreate",
            message,
            json!({"lastTimestamp": "2026-11-21T07:59:00Z", "count": 9}),
        );
        event["involvedObject"] = json!({"kind": "StatefulSet", "name": "x", "namespace": "a"});
        event
    };
    all.events = read(json!([
        refused(
            "create Pod x-0 in StatefulSet x failed error: Internal error occurred: failed calling webhook \"v.example.com\": failed to call webhook: Post \"https://hook.policy.svc:443/v?timeout=10s\": dial tcp 10.0.0.9:443: connect: connection refused"
        ),
        refused(
            "create Pod x-0 in StatefulSet x failed error: pods \"x-0\" is forbidden: exceeded quota: team, requested: limits.memory=1Gi,pods=1, used: limits.memory=4Gi,pods=9, limited: limits.memory=4Gi,pods=10"
        ),
        refused(
            "create Pod x-0 in StatefulSet x failed error: pods \"x-0\" is forbidden: no PriorityClass with name high was found"
        ),
    ]));
    let hook = |name: &str, backend| Hook {
        name: name.to_owned(),
        configuration: "policy".to_owned(),
        kind: "validating",
        failure_policy: "Fail".to_owned(),
        timeout_seconds: 10,
        service: Some(("policy".to_owned(), "hook".to_owned())),
        backend,
        query: "GET /hooks".to_owned(),
    };
    all.more.webhooks = vec![
        hook("v.example.com", Backend::Ready(0, "GET /slices".to_owned())),
        hook("other.example.com", Backend::Absent("GET /service".to_owned())),
    ];
    all.quotas = read(json!([{"metadata": {"name": "team", "namespace": "a"}, "status":
        {"hard": {"limits.memory": "4Gi", "pods": "10"}, "used": {"limits.memory": "5Gi", "pods": "9"}}}]));
    all.stateful_sets = read(json!([{"metadata": {"name": "x", "namespace": "a"}, "spec": {"replicas": 1,
        "selector": {}, "template": {"spec": {"priorityClassName": "high", "containers": []}}}}]));
    let facts = facts_of(&all, "StatefulSet", "x");
    let [row] = facts.webhooks.as_slice() else { panic!("{:?}", facts.webhooks) };
    assert_eq!(
        (row.service.as_str(), row.service_exists.as_str(), row.ready_endpoints),
        ("policy/hook", "yes", 0)
    );
    assert!(row.said.ends_with("connection refused"), "{}", row.said);
    let quotas: Vec<_> =
        facts.quotas.iter().map(|row| (row.requested.as_str(), row.full, row.overdrawn)).collect();
    assert_eq!(quotas, [("1Gi", true, true), ("1", false, false)]);
    let class = facts.references.iter().find(|row| row.kind == "PriorityClass").unwrap();
    assert_eq!((class.exists.as_str(), class.namespace.as_str()), ("no", ""));
}

#[test]
fn objects_remember_who_changed_which_part() {
    let mut all = objects(json!([pod("x-0", ("StatefulSet", "x"), "n1", true)]));
    let field = |manager: &str, at: &str, sub: Value, fields: Value| json!({"manager": manager, "operation": "Update", "time": at, "subresource": sub, "fieldsType": "FieldsV1", "fieldsV1": fields});
    all.stateful_sets = read(json!([{"metadata": {"name": "x", "namespace": "a", "managedFields": [
        field("helm", "2026-11-21T06:00:00Z", Value::Null, json!({"f:spec": {"f:replicas": {}, "f:template": {}}})),
        field("kubectl", "2026-11-21T07:30:00Z", json!("scale"), json!({"f:spec": {"f:replicas": {}}})),
        field("kube-controller-manager", "2026-11-21T07:59:00Z", json!("status"), json!({"f:status": {}, "f:spec": {"f:replicas": {}}})),
    ]}, "spec": {"replicas": 0, "selector": {}, "template": {}}}]));
    let metadata = json!({"name": "settings", "namespace": "a", "managedFields": [
        field("argocd", "2026-11-21T07:30:00Z", Value::Null, json!({"f:data": {"f:url": {}}}))]});
    all.config_maps.insert(
        "settings".to_owned(),
        Existence {
            changed: None,
            query: "GET /settings".to_owned(),
            exists: true,
            metadata: Some(serde_json::from_value(metadata).unwrap()),
            keys: Default::default(),
        },
    );
    let facts = facts_of(&all, "StatefulSet", "x");
    let rows: Vec<_> = facts
        .edits
        .iter()
        .map(|row| {
            (
                row.kind.as_str(),
                row.part.as_str(),
                row.manager.as_str(),
                row.age_seconds,
                row.older_pods.len(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("StatefulSet", "replicas", "kubectl", 1_800, 1),
            ("StatefulSet", "template", "helm", 7_200, 0),
            ("ConfigMap", "data", "argocd", 1_800, 1)
        ]
    );
}

#[tokio::test]
async fn an_ordinary_workload_costs_few_requests() {
    use crate::demo::{KubernetesStandIn, Recording};
    let mut costs = Vec::new();
    for (namespace, kind, name) in
        WORKLOADS.into_iter().filter(|one| ["Deployment", "StatefulSet", "DaemonSet"].contains(&one.1))
    {
        let stand_in = std::sync::Arc::new(KubernetesStandIn::new(Recording::embedded().unwrap()).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ended = tokio_util::sync::CancellationToken::new();
        tokio::spawn(std::sync::Arc::clone(&stand_in).serve(listener, ended.clone()));
        let settings = crate::settings::Kubernetes { url: Some(url), ..Default::default() };
        let client = kubernetes::Client::connect(&settings).await.unwrap();
        let sources = Sources { kubernetes: Some(client), log_tail_lines: 20, ..Sources::default() };
        let scope = Scope::Workload { namespace: namespace.to_owned() };
        gather(&sources, scope, &Workload::new("lab", namespace, kind, name), &[]).await;
        costs.push((stand_in.requests(), name));
        ended.cancel();
    }
    println!("requests: {costs:?}");
    assert!(costs.iter().all(|(requests, _)| *requests <= 16), "{costs:?}");
    let mut sorted: Vec<u64> = costs.iter().map(|(requests, _)| *requests).collect();
    sorted.sort_unstable();
    assert!(sorted[sorted.len() / 2] <= 12, "{costs:?}");
}
