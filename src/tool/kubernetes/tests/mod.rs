//! The Kubernetes tools against the recorded cluster: what a model reads, what it may not ask, and what the
//! API server saw of it.

mod lab;

use serde_json::{Value, json};

use crate::tool::{Bounds, DIGEST_BYTES, FULL_BYTES, Outcome, Status};
use lab::{bounds, lab};

/// What the schemas of this group may take of the toolbox's whole.
const OWN_SCHEMAS_BYTES: usize = 2_400;

#[tokio::test]
async fn the_schemas_are_small_and_name_every_argument() {
    let lab = lab().await;
    let schemas = lab.toolbox.schemas();
    let names: Vec<&str> = schemas.iter().map(|schema| schema.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "kubernetes_describe",
            "kubernetes_events",
            "kubernetes_get",
            "kubernetes_list",
            "kubernetes_logs",
            "kubernetes_rollout",
            "kubernetes_top",
        ]
    );
    let sent: Vec<Value> = schemas
        .iter()
        .map(|schema| json!({"name": schema.name, "description": schema.description, "parameters": schema.parameters}))
        .collect();
    let bytes = serde_json::to_string(&sent).unwrap().len();
    assert!(bytes <= OWN_SCHEMAS_BYTES, "{bytes} bytes");
    for schema in &schemas {
        // A tool that takes anything names nothing.
        let mut required = schema.parameters["required"].as_array().into_iter().flatten();
        assert!(required.all(|name| !schema.parameters["properties"][name.as_str().unwrap()].is_null()));
        assert!(schema.parameters["properties"].is_object());
    }
}

fn ok(outcome: &Outcome) -> &str {
    assert_eq!(outcome.status, Status::Ok, "{}", outcome.digest);
    assert!(outcome.digest.len() <= DIGEST_BYTES && outcome.full.len() <= FULL_BYTES);
    assert!(outcome.query.starts_with("GET /api"), "{}", outcome.query);
    // A quote of the digest must be found in what the ledger keeps.
    for line in outcome.digest.lines() {
        assert!(outcome.full.contains(line), "not in full: {line}");
    }
    &outcome.digest
}

#[tokio::test]
async fn digests_read_well() {
    let lab = lab().await;
    let bounds = bounds("Deployment", "checkout", &["shop", "prod-api"]);
    for (file, tool, arguments) in [
        ("get_pod", "kubernetes_get", json!({"kind": "po", "name": "checkout-66f478c98f-x2nj2"})),
        ("get_configmap", "kubernetes_get", json!({"kind": "cm", "name": "search-config"})),
        (
            "get_deployment",
            "kubernetes_get",
            json!({"kind": "deploy/user-service", "name": "user-service", "namespace": "prod-api"}),
        ),
        ("get_node", "kubernetes_get", json!({"kind": "node", "name": "node-1"})),
        ("list_pods", "kubernetes_list", json!({"kind": "pods", "sort_by": "-restarts"})),
        (
            "list_fields",
            "kubernetes_list",
            json!({"kind": "po", "namespace": "prod-api", "label_selector": "app=api-gateway",
            "fields": ["spec.nodeName", "spec.containers[*].image", "status.containerStatuses[0].lastState.terminated.exitCode"]}),
        ),
        ("list_services", "kubernetes_list", json!({"kind": "svc"})),
        ("describe_deployment", "kubernetes_describe", json!({"kind": "deployment", "name": "checkout"})),
        (
            "describe_pod",
            "kubernetes_describe",
            json!({"kind": "pod", "name": "payment-service-84c4778d74-bgrfr", "namespace": "prod-api"}),
        ),
        (
            "describe_claim",
            "kubernetes_describe",
            json!({"kind": "pvc/orders-archive", "name": "orders-archive"}),
        ),
        ("logs_workload", "kubernetes_logs", json!({"object": "deploy/checkout"})),
        (
            "logs_previous",
            "kubernetes_logs",
            json!({"object": "pod/api-gateway-69fbb5d75d-hgjtb -n prod-api", "previous": true}),
        ),
        ("logs_init", "kubernetes_logs", json!({"object": "deploy/auth-service", "namespace": "prod-api"})),
        (
            "logs_grep",
            "kubernetes_logs",
            json!({"object": "catalog-677bc4f7c4-5bccf", "grep": "warn.*redis"}),
        ),
        ("events_workload", "kubernetes_events", json!({"object": "sts/orders-db"})),
        ("events_namespace", "kubernetes_events", json!({"namespace": "shop", "since": "10m"})),
        ("rollout", "kubernetes_rollout", json!({"object": "deploy/checkout"})),
        ("top_pods", "kubernetes_top", json!({"kind": "pods"})),
        ("top_nodes", "kubernetes_top", json!({"kind": "nodes"})),
    ] {
        let outcome = lab.ask(&bounds, tool, arguments).await;
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(file, ok(&outcome));
        });
    }
    assert_eq!(lab.stand_in.writes_refused(), 0);
    assert!(lab.seen().iter().all(|line| line.starts_with("GET /")));
}

#[tokio::test]
async fn what_lies_outside_is_refused_before_anything_is_sent() {
    let lab = lab().await;
    let bounds = bounds("Deployment", "checkout", &["shop"]);
    for (tool, arguments) in [
        ("kubernetes_get", json!({"kind": "pod", "name": "x", "namespace": "prod-api"})),
        ("kubernetes_get", json!({"kind": "pod", "name": "prod-api/x"})),
        ("kubernetes_get", json!({"kind": "pod/x -n prod-api"})),
        ("kubernetes_get", json!({"kind": "ns", "name": "prod-api"})),
        ("kubernetes_get", json!({"kind": "secret", "name": "db"})),
        ("kubernetes_get", json!({"kind": "v1/secrets", "name": "db"})),
        ("kubernetes_get", json!({"kind": "cm", "name": "sec/db"})),
        ("kubernetes_describe", json!({"kind": "Secrets", "name": "db"})),
        ("kubernetes_list", json!({"kind": "SECRETS"})),
        ("kubernetes_list", json!({"kind": "pods", "namespace": "*"})),
        ("kubernetes_list", json!({"kind": "pods -A"})),
        ("kubernetes_list", json!({"kind": "namespaces"})),
        ("kubernetes_logs", json!({"object": "deploy/api-gateway", "namespace": "prod-api"})),
        ("kubernetes_events", json!({"namespace": "prod-api"})),
        ("kubernetes_events", json!({"object": "ns/prod-api"})),
        ("kubernetes_events", json!({"object": "node/node-1"})),
        ("kubernetes_rollout", json!({"object": "prod-api/deploy/api-gateway"})),
        ("kubernetes_top", json!({"kind": "pods", "namespace": "all"})),
    ] {
        let outcome = lab.ask(&bounds, tool, arguments.clone()).await;
        assert_eq!(outcome.status, Status::Refused, "{tool} {arguments}: {}", outcome.digest);
        assert!(outcome.digest.contains("outside what this investigation may read"), "{}", outcome.digest);
    }
    for (kind, name) in [("pod", "../secrets/db"), ("pod", "%2e%2e"), ("pod", "a?watch=1"), ("pod", "x/exec")]
    {
        let outcome = lab.ask(&bounds, "kubernetes_get", json!({"kind": kind, "name": name})).await;
        assert!(outcome.status.is_error(), "{name}: {}", outcome.digest);
    }
    assert_eq!(lab.seen(), Vec::<String>::new());
}

/// Logs of other pods stay unread in the scope `workload`, whichever way they are asked for.
#[tokio::test]
async fn where_nothing_is_shared_only_namespaces_are_read() {
    let lab = lab().await;
    let only = Bounds { nothing_shared: true, ..bounds("Deployment", "checkout", &["shop"]) };
    for (tool, arguments) in [
        ("kubernetes_list", json!({"kind": "nodes"})),
        ("kubernetes_list", json!({"kind": "pv"})),
        ("kubernetes_list", json!({"kind": "namespaces"})),
        ("kubernetes_get", json!({"kind": "node", "name": "node-1"})),
        ("kubernetes_get", json!({"kind": "ns", "name": "prod-api"})),
        ("kubernetes_describe", json!({"kind": "node", "name": "node-1"})),
        ("kubernetes_top", json!({"kind": "nodes"})),
    ] {
        let outcome = lab.ask(&only, tool, arguments.clone()).await;
        assert_eq!(outcome.status, Status::Refused, "{tool} {arguments}: {}", outcome.digest);
    }
    assert!(lab.seen().is_empty(), "{:?}", lab.seen());
    for (tool, arguments) in [
        ("kubernetes_get", json!({"kind": "ns", "name": "shop"})),
        ("kubernetes_describe", json!({"kind": "deploy", "name": "checkout"})),
        ("kubernetes_top", json!({"kind": "pods"})),
    ] {
        let outcome = lab.ask(&only, tool, arguments.clone()).await;
        assert_eq!(outcome.status, Status::Ok, "{tool} {arguments}: {}", outcome.digest);
    }
}

#[tokio::test]
async fn only_the_workload_s_own_pods_are_heard() {
    let lab = lab().await;
    let mut bounds = bounds("Deployment", "checkout", &["shop"]);
    bounds.own_pods_only = true;
    for object in ["deploy/checkout", "checkout-66f478c98f-x2nj2", "rs/checkout-9c8489d65"] {
        ok(&lab.ask(&bounds, "kubernetes_logs", json!({"object": object})).await);
    }
    for object in ["deploy/catalog", "pod/inventory-554c75fb44-cw9sp", "svc/catalog", "cj/nightly-report"] {
        let outcome = lab.ask(&bounds, "kubernetes_logs", json!({"object": object})).await;
        assert_eq!(outcome.status, Status::Refused, "{object}: {}", outcome.digest);
        assert!(
            outcome.digest.contains("only logs of pods of Deployment shop/checkout"),
            "{}",
            outcome.digest
        );
    }
    let logs = lab.seen().into_iter().filter(|line| line.contains("/log?")).collect::<Vec<_>>();
    assert!(!logs.is_empty() && logs.iter().all(|line| line.contains("/pods/checkout-")), "{logs:?}");
    bounds.workload = crate::workload::Workload::new("lab", "shop", "CronJob", "nightly-report");
    ok(&lab.ask(&bounds, "kubernetes_logs", json!({"object": "cj/nightly-report"})).await);
    bounds.workload = crate::workload::Workload::new("lab", "", "Node", "node-1");
    ok(&lab.ask(&bounds, "kubernetes_logs", json!({"object": "shop/log-agent-288zw"})).await);
}

#[tokio::test]
async fn what_does_not_fit_is_told_with_what_would() {
    let lab = lab().await;
    let bounds = bounds("Deployment", "checkout", &[]);
    for (tool, arguments, words) in [
        (
            "kubernetes_get",
            json!({"kind": "pod", "name": "checkout-66f478c98f-x2nj"}),
            "similar: checkout-66f478c98f-x2nj2",
        ),
        (
            "kubernetes_get",
            json!({"kind": "deploy", "name": "chekout"}),
            "Deployment chekout does not exist in shop; similar: checkout",
        ),
        ("kubernetes_get", json!({"kind": "quota", "name": "x"}), "there are no resourcequotas"),
        (
            "kubernetes_get",
            json!({"kind": "rollout", "name": "x"}),
            "this cluster has no rollouts (not installed)",
        ),
        ("kubernetes_get", json!({"kind": "pod"}), "the name of the Pod is missing"),
        ("kubernetes_get", json!({"name": "x"}), "missing field `kind`"),
        ("kubernetes_get", json!({"kind": "pod", "nmae": "x"}), "did you mean `name`?"),
        (
            "kubernetes_list",
            json!({"kind": "pods", "sort_by": "size"}),
            "name, age, ready, status, restarts, node or a path",
        ),
        ("kubernetes_list", json!({"kind": "pods", "fields": ["a["]}), "`[` without `]`"),
        ("kubernetes_list", json!({"kind": "pods", "label_selector": "app in ("}), "pods: "),
        ("kubernetes_logs", json!({"object": "deploy/checkout", "container": "web"}), "it has checkout"),
        ("kubernetes_logs", json!({"object": "deploy/checkout", "grep": "("}), "`grep`: "),
        ("kubernetes_logs", json!({"object": "deploy/checkout", "grep": "(a{1000}){1000}"}), "`grep`: "),
        (
            "kubernetes_logs",
            json!({"object": "deploy/checkout", "since": "soon"}),
            "now is 2026-11-21T07:08:09Z",
        ),
        (
            "kubernetes_logs",
            json!({"object": "deploy/checkout", "since": "5m", "around": "onset"}),
            "exclude each other",
        ),
        ("kubernetes_logs", json!({"object": "cm/search-config"}), "a ConfigMap writes no log"),
        ("kubernetes_logs", json!({"object": "ml-trainer"}), "no lines"),
        ("kubernetes_logs", json!({"object": "search-746f8796fc-5h8gz"}), "no log: "),
        ("kubernetes_rollout", json!({"object": "job/db-seed"}), "a Job has no revisions"),
        ("kubernetes_top", json!({"kind": "svc"}), "pods or nodes"),
    ] {
        let outcome = lab.ask(&bounds, tool, arguments.clone()).await;
        assert!(outcome.digest.contains(words), "{tool} {arguments}: {}", outcome.digest);
    }
    assert_eq!(lab.stand_in.writes_refused(), 0);
}

#[tokio::test]
async fn a_time_and_a_pattern_choose_lines() {
    let lab = lab().await;
    let bounds = bounds("Deployment", "checkout", &["shop", "prod-api"]);
    let ask = async |arguments| lab.ask(&bounds, "kubernetes_logs", arguments).await;
    let pod = "notification-service-56d747db4c-mnhgw";
    let all = ask(json!({"object": pod, "namespace": "prod-api"})).await;
    let lines = |outcome: &Outcome| outcome.full.lines().filter(|line| line.starts_with("2026-")).count();
    let total = lines(&all);
    assert!(total > 10, "{}", all.full);
    let tail = ask(json!({"object": pod, "namespace": "prod-api", "tail": "3"})).await;
    assert_eq!(lines(&tail), 3, "{}", tail.full);
    let last = tail.full.lines().rfind(|line| line.starts_with("2026-")).unwrap();
    assert!(all.full.contains(last));
    let at = last.split(' ').next().unwrap();
    let around = ask(json!({"object": pod, "namespace": "prod-api", "around": at, "seconds": 30})).await;
    assert!((1..total).contains(&lines(&around)), "{}", around.full);
    assert!(around.full.contains(last));
    let since = ask(json!({"object": pod, "namespace": "prod-api", "since": at})).await;
    assert_eq!(lines(&since), 1, "{}", since.full);
    let none = ask(json!({"object": pod, "namespace": "prod-api", "grep": "no such words"})).await;
    assert!(none.digest.contains("no lines matching"), "{}", none.digest);
    assert!(lab.seen().iter().any(|line| line.contains("sinceTime=")));
}

/// One row more than fits is no row shown, unless the question says which ones.
#[tokio::test]
async fn what_is_too_wide_is_refused_with_its_cardinality() {
    let lab = lab().await;
    let bounds = bounds("Deployment", "checkout", &[]);
    let outcome = lab.ask(&bounds, "kubernetes_list", json!({"kind": "events", "namespace": "*"})).await;
    assert_eq!(outcome.status, Status::Refused, "{}", outcome.digest);
    for words in ["too much: ", "events in the cluster, at most 60 rows; by namespace: ", "label_selector"] {
        assert!(outcome.digest.contains(words), "{}", outcome.digest);
    }
    let narrowed = json!({"kind": "events", "namespace": "*", "sort_by": "-age", "limit": 5});
    let outcome = lab.ask(&bounds, "kubernetes_list", narrowed).await;
    assert!(
        ok(&outcome).contains(", 5 shown\n") && outcome.digest.lines().count() == 7,
        "{}",
        outcome.digest
    );
}

/// A cluster that answers with secrets and hidden words wherever people put them.
async fn hostile() -> crate::tool::Toolbox {
    const TAGS: &str = "\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}";
    async fn answer(request: axum::extract::Request) -> axum::response::Response {
        use axum::response::IntoResponse;
        let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a",
            "image": "a:1", "args": ["--db-password", "hunter22x", "--token=hunter22x9"],
            "env": [{"name": "DB_PASSWORD", "value": "hunter22x"}, {"name": "MODE", "value": "slow"}]}]}});
        let object = json!({"metadata": {"name": "a", "namespace": "shop", "annotations": {
                "note": format!("be{TAGS}nign \u{202e}"), "kubectl.kubernetes.io/last-applied-configuration": "hunter22x"}},
            "data": {"db.password": "hunter22x", "app.yaml": "db:\n  password: hunter22x\n"},
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template,
                "nodeName": "n", "containers": template["spec"]["containers"]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "a", "ready": true, "restartCount": 0, "state": {}}]},
            "containers": [{"name": "a", "usage": {"cpu": "5m", "memory": "20Mi"}}]});
        let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "a", "namespace": "shop"},
            "reason": "Failed", "type": "Warning", "message": format!("login with password=hunter22x {TAGS}failed")});
        let previous = request.uri().query().is_some_and(|query| query.contains("previous=true"));
        match request.uri().path() {
            "/api/v1/namespaces/shop/pods/restarted" => {
                let status = json!([{"name": "a", "ready": false, "restartCount": 2, "state": {}}]);
                let pod = json!({"metadata": {"name": "restarted"}, "status": {"containerStatuses": status},
                    "spec": {"containers": [{"name": "a"}]}});
                axum::Json(pod).into_response()
            }
            path if path.ends_with("/restarted/log") && !previous => "".into_response(),
            path if path.ends_with("/log") => {
                format!("2026-11-21T07:00:00Z connecting to postgres://app:hunter22x@db/shop {TAGS}\n")
                    .into_response()
            }
            path if path.ends_with("/events") => axum::Json(json!({"items": [event]})).into_response(),
            path if path.ends_with('s') => axum::Json(json!({"items": [object]})).into_response(),
            _ => axum::Json(object).into_response(),
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = crate::settings::Kubernetes {
        url: Some(format!("http://{}", listener.local_addr().unwrap())),
        ..crate::settings::Kubernetes::default()
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap() });
    let client = crate::source::kubernetes::Client::connect(&settings).await.unwrap();
    let all: [&str; 0] = [];
    crate::tool::Toolbox::new(super::tools(&client), &all, std::time::Duration::from_secs(10))
}

#[tokio::test]
async fn no_secret_and_no_hidden_word_leaves() {
    let toolbox = hostile().await;
    let bounds = bounds("Deployment", "a", &["shop"]);
    for (tool, arguments, kept) in [
        ("kubernetes_get", json!({"kind": "deploy", "name": "a"}), "MODE=slow"),
        ("kubernetes_get", json!({"kind": "cm", "name": "a"}), "app.yaml: |"),
        (
            "kubernetes_list",
            json!({"kind": "po", "fields": ["spec.containers[*].env[*].value", "spec.containers[0].args"]}),
            "slow",
        ),
        ("kubernetes_list", json!({"kind": "cm", "fields": ["data", "metadata.annotations.note"]}), "benign"),
        ("kubernetes_describe", json!({"kind": "po", "name": "a"}), "event  Warning Failed"),
        ("kubernetes_events", json!({}), "1 events of shop"),
        ("kubernetes_logs", json!({"object": "a"}), "connecting to postgres://app:[redacted"),
        ("kubernetes_logs", json!({"object": "restarted"}), "(the current instance has written nothing)"),
        ("kubernetes_top", json!({"kind": "pods"}), "20Mi"),
    ] {
        let call = crate::llm::ToolCall {
            id: "1".to_owned(),
            name: tool.to_owned(),
            arguments: arguments.to_string(),
        };
        let outcome = toolbox.invoke(&call, &bounds).await;
        assert_eq!(outcome.status, Status::Ok, "{tool} {arguments}: {}", outcome.digest);
        assert!(outcome.digest.contains(kept), "{tool} {arguments}: {}", outcome.digest);
        for text in [&outcome.digest, &outcome.full, &outcome.query] {
            assert!(!text.contains("hunter22x"), "{tool} {arguments}: {text}");
            assert!(!text.contains(['\u{e0069}', '\u{202e}']), "{tool} {arguments}");
        }
    }
}
