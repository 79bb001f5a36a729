//! The built-in signatures over the recorded cluster, read over HTTP as in life: what the first finding of
//! each workload names, blames and says, and that every quote stands in the ledger.

use tokio_util::sync::CancellationToken;
use whodunit::demo::Recording;
use whodunit::evidence::{Sources, gather};
use whodunit::facts::Facts;
use whodunit::report::Role;
use whodunit::runbook::Catalogue;
use whodunit::settings;
use whodunit::signature::find;
use whodunit::source::kubernetes::{Client, Scope};
use whodunit::workload::Workload;

use crate::house;

/// Workload, signature, object at fault, words of the statement.
const FAILING: [(&str, &str, &str, &[&str]); 18] = [
    (
        "prod-api/Deployment/payment-service",
        "image-registry-dns",
        "Deployment prod-api/payment-service",
        &["registry host company-registry.io does not resolve"],
    ),
    (
        "prod-api/Deployment/auth-service",
        "dependency-refused",
        "Deployment prod-api/auth-service",
        &[
            "Init container migrate-db",
            "its database is refused",
            "Connection refused - database unreachable",
        ],
    ),
    (
        "prod-api/Deployment/api-gateway",
        "exit-137-by-itself",
        "Deployment prod-api/api-gateway",
        &["137 by itself after 2 s", "no OOMKilled", "by a probe or by an eviction"],
    ),
    (
        "prod-api/Deployment/user-service",
        "secret-missing",
        "Secret prod-api/db-credentials",
        &["db-credentials does not exist in namespace prod-api", "env DATABASE_URL of container user"],
    ),
    (
        "prod-api/Deployment/analytics-service",
        "oom-container-limit",
        "Deployment prod-api/analytics-service",
        &["OOMKilled", "its own limit of 32Mi"],
    ),
    (
        "shop/Deployment/catalog",
        "readiness-failing",
        "Deployment shop/catalog",
        &[
            "statuscode: 503",
            "redis-cart:6379 unavailable",
            "There is no Service redis-cart in namespace shop",
        ],
    ),
    (
        "shop/Pod/ml-trainer",
        "unschedulable-cpu",
        "Pod shop/ml-trainer",
        &["requests 64 CPU and no node is that large (the largest has 2)"],
    ),
    (
        "shop/StatefulSet/orders-db",
        "storage-class-missing",
        "StorageClass fast-ssd",
        &["claim data-orders-db-0", "pod orders-db-0 cannot be scheduled"],
    ),
    (
        "shop/PersistentVolumeClaim/orders-archive",
        "storage-class-missing",
        "StorageClass fast-ssd",
        &["claim orders-archive"],
    ),
    (
        "shop/Deployment/checkout",
        "command-not-found",
        "Deployment shop/checkout",
        &[
            "/bin/bash is not in image busybox:1.36",
            "revision 2 (release 1.5.0)",
            "revision 1 (initial release 1.4.0) still serves with 2 ready pods",
        ],
    ),
    (
        "shop/ReplicaSet/checkout-66f478c98f",
        "command-not-found",
        "ReplicaSet shop/checkout-66f478c98f",
        &["/bin/bash is not in image busybox:1.36"],
    ),
    (
        "shop/Job/db-seed",
        "missing-relation",
        "Job shop/db-seed",
        &["Job db-seed exits with 3", "FATAL: relation \"products\" does not exist"],
    ),
    (
        "shop/Deployment/search",
        "configmap-missing",
        "ConfigMap shop/search-config-v2",
        &["volume config", "A similar name exists: search-config."],
    ),
    (
        "shop/Deployment/inventory",
        "liveness-probe-kills",
        "Deployment shop/inventory",
        &["exec cat /tmp/healthy", "can't open '/tmp/healthy'", "worker pool deadlocked"],
    ),
    (
        "shop/Deployment/recommendations",
        "service-selects-nothing",
        "Service shop/recommendations",
        &["selector is app=recommendation", "the pods have \"recommendations\""],
    ),
    (
        "shop/Service/recommendations",
        "service-selects-nothing",
        "Service shop/recommendations",
        &["its callers get no answer", "selector is app=recommendation"],
    ),
    (
        "shop/Deployment/frontend",
        "hpa-no-metrics",
        "HorizontalPodAutoscaler shop/frontend",
        &["Deployment frontend because it gets no metrics", "metrics-server"],
    ),
    (
        "shop/HorizontalPodAutoscaler/frontend",
        "hpa-no-metrics",
        "HorizontalPodAutoscaler shop/frontend",
        &["Deployment frontend"],
    ),
];

const HEALTHY: [&str; 3] =
    ["prod-api/Deployment/notification-service", "shop/CronJob/nightly-report", "shop/DaemonSet/log-agent"];

async fn facts(workload: &Workload) -> Facts {
    whodunit::app::install_tls();
    let shutdown = CancellationToken::new();
    let (_, url) = house::serve_kubernetes(Recording::embedded().unwrap(), &shutdown).await;
    let settings = settings::Kubernetes { url: Some(url), ..settings::Kubernetes::default() };
    let sources = Sources {
        kubernetes: Some(Client::connect(&settings).await.unwrap()),
        log_tail_lines: 200,
        ..Sources::default()
    };
    let facts = gather(&sources, Scope::Namespace(workload.namespace.clone()), workload, &[]).await;
    shutdown.cancel();
    facts
}

fn workload(key: &str) -> Workload {
    format!("lab/{key}").parse().unwrap()
}

#[tokio::test]
async fn each_failing_workload_of_the_recording_is_explained_by_its_cause() {
    let mut wrong = Vec::new();
    for (key, signature, object, says) in FAILING {
        let workload = workload(key);
        let facts = facts(&workload).await;
        let found = find(&facts, &Catalogue::builtin().signatures(&[], &workload));
        wrong.extend(found.gaps.iter().map(|gap| format!("{key}: {gap:?}")));
        let primaries: Vec<_> = found.findings.iter().filter(|one| one.role == Role::Primary).collect();
        let [primary] = primaries.as_slice() else {
            let ids: Vec<&str> = primaries.iter().map(|one| one.signature.as_str()).collect();
            wrong.push(format!("{key}: primary findings are {ids:?}"));
            continue;
        };
        if !found.explained || primary.signature != signature || primary.object.short() != object {
            wrong.push(format!("{key}: {} blames {}", primary.signature, primary.object.short()));
        }
        let missing = says.iter().filter(|words| !primary.statement.contains(*words));
        wrong.extend(missing.map(|words| format!("{key}: `{}` does not say `{words}`", primary.statement)));
        for finding in &found.findings {
            if finding.quotes.is_empty() {
                wrong.push(format!("{key}: {} has no quote", finding.signature));
            }
            for (id, quote) in &finding.quotes {
                let observation = facts.observations.iter().find(|one| one.id == *id);
                if !observation.is_some_and(|one| one.text.contains(quote)) {
                    wrong.push(format!("{key}: {id} does not say `{quote}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn healthy_workloads_of_the_recording_give_no_finding() {
    for key in HEALTHY {
        let workload = workload(key);
        let found = find(&facts(&workload).await, &Catalogue::builtin().signatures(&[], &workload));
        assert!(found.findings.is_empty() && found.gaps.is_empty() && !found.explained, "{key}: {found:#?}");
    }
}

#[tokio::test]
async fn the_rollout_that_broke_is_a_consequence_and_can_be_rolled_back() {
    let workload = workload("shop/Deployment/checkout");
    let found = find(&facts(&workload).await, &Catalogue::builtin().signatures(&[], &workload));
    let stuck = found.findings.iter().find(|one| one.signature == "rollout-stuck").unwrap();
    assert_eq!(stuck.role, Role::Secondary);
    let step = &found.findings[0].next_steps[0];
    assert_eq!(step.text, "Roll back to revision 1, the last one that is known to have been ready.");
    assert_eq!(step.command, "kubectl -n shop rollout undo deployment/checkout --to-revision=1");
}
