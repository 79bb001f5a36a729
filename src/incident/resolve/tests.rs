//! Labels of published rules and of the recorded alerts, without a cluster and with the recorded one.

use std::collections::BTreeMap;

use chrono::DateTime;

use super::*;
use crate::alert::{Severity, Source, Status, Subject};
use crate::source::kubernetes::tests::replay::{Fault, client};

fn alert(labels: &str) -> Alert {
    let labels: BTreeMap<String, String> = labels
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Alert {
        source: Source::Alertmanager,
        status: Status::Firing,
        fingerprint: "0".repeat(16),
        starts_at: DateTime::UNIX_EPOCH,
        ends_at: None,
        severity: Severity::Warning,
        labels,
        annotations: BTreeMap::new(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    }
}

const DEADLINE: Duration = Duration::from_secs(5);

/// Labels as shipped rules carry them, and the key that labels alone lead to.
const LABELS: [(&str, &str); 44] = [
    (
        "alertname=KubePodCrashLooping namespace=shop pod=a-66f478c98f-x2nj2 container=c job=kube-state-metrics instance=10.0.0.1:8080",
        "/shop/Deployment/a",
    ),
    (
        "alertname=KubePodNotReady namespace=shop pod=orders-db-0 job=kube-state-metrics",
        "/shop/StatefulSet/orders-db",
    ),
    (
        "alertname=KubePodNotReady namespace=mon pod=x-kube-state-metrics-66f478c98f-x2nj2 job=kube-state-metrics",
        "/mon/Deployment/x-kube-state-metrics",
    ),
    (
        "alertname=KubeContainerWaiting namespace=shop pod=log-agent-288zw reason=ImagePullBackOff",
        "/shop/DaemonSet/log-agent",
    ),
    (
        "alertname=CPUThrottlingHigh namespace=shop pod=api-worker-66f478c98f-x2nj2 container=c instance=10.0.0.1:10250",
        "/shop/Deployment/api-worker",
    ),
    // kube-state-metrics' own pod leaks into an alert about a Deployment.
    (
        "alertname=KubeDeploymentReplicasMismatch deployment=user-profile namespace=default pod=robusta-kube-state-metrics-66f478c98f-x2nj2 container=kube-state-metrics service=robusta-kube-state-metrics endpoint=http instance=10.244.0.11:8080 job=kube-state-metrics",
        "/default/Deployment/user-profile",
    ),
    (
        "alertname=KubeDeploymentGenerationMismatch namespace=shop deployment=checkout",
        "/shop/Deployment/checkout",
    ),
    (
        "alertname=KubeDeploymentRolloutStuck namespace=shop deployment=checkout condition=Progressing status=false",
        "/shop/Deployment/checkout",
    ),
    (
        "alertname=KubeStatefulSetReplicasMismatch namespace=shop statefulset=orders-db",
        "/shop/StatefulSet/orders-db",
    ),
    (
        "alertname=KubeStatefulSetUpdateNotRolledOut namespace=shop statefulset=orders-db job=kube-state-metrics",
        "/shop/StatefulSet/orders-db",
    ),
    ("alertname=KubeDaemonSetRolloutStuck namespace=shop daemonset=log-agent", "/shop/DaemonSet/log-agent"),
    // `job` is the scrape job, never the Job.
    (
        "alertname=KubeJobFailed namespace=shop job_name=db-seed job=kube-state-metrics instance=127.0.0.1:8081",
        "/shop/Job/db-seed",
    ),
    (
        "alertname=KubeJobNotCompleted namespace=shop job_name=nightly-report-29920740",
        "/shop/CronJob/nightly-report",
    ),
    (
        "alertname=CronStale namespace=shop cronjob=nightly-report job=kube-state-metrics",
        "/shop/CronJob/nightly-report",
    ),
    (
        "alertname=KubeHpaMaxedOut namespace=shop horizontalpodautoscaler=frontend",
        "/shop/HorizontalPodAutoscaler/frontend",
    ),
    (
        "alertname=KubePdbNotEnoughHealthyPods namespace=shop poddisruptionbudget=api",
        "/shop/PodDisruptionBudget/api",
    ),
    ("alertname=KubeMemoryOvercommit cluster=lab", "lab//Cluster/lab"),
    ("alertname=KubeCPUOvercommit", "//Cluster/cluster"),
    (
        "alertname=KubeQuotaExceeded namespace=shop resource=pods resourcequota=compute job=kube-state-metrics",
        "//Namespace/shop",
    ),
    (
        "alertname=KubePersistentVolumeFillingUp namespace=shop persistentvolumeclaim=data-orders-db-0 node=node-1 instance=10.0.0.1:10250 job=kubelet",
        "/shop/PersistentVolumeClaim/data-orders-db-0",
    ),
    (
        "alertname=KubePersistentVolumeErrors persistentvolume=pvc-1 phase=Failed namespace=monitoring",
        "//PersistentVolume/pvc-1",
    ),
    ("alertname=KubeVersionMismatch cluster=lab", "lab//Cluster/lab"),
    ("alertname=KubeAPIErrorBudgetBurn long=1h short=5m cluster=lab", "lab//Cluster/lab"),
    ("alertname=KubeAPIDown job=apiserver", "//Cluster/apiserver"),
    ("alertname=KubeSchedulerDown job=kube-scheduler", "//Cluster/kube-scheduler"),
    (
        "alertname=KubeNodeNotReady node=node-1 condition=Ready status=true job=kube-state-metrics namespace=monitoring pod=x-kube-state-metrics-0 container=kube-state-metrics",
        "//Node/node-1",
    ),
    ("alertname=KubeletDown cluster=lab job=kubelet", "lab//Cluster/kubelet"),
    ("alertname=KubeletTooManyPods node=node-1", "//Node/node-1"),
    ("alertname=KubeletPlegDurationHigh node=node-1 instance=10.0.0.1:10250 quantile=0.99", "//Node/node-1"),
    (
        "alertname=NodeFilesystemSpaceFillingUp instance=node-1 device=/dev/sda mountpoint=/ job=node-exporter pod=node-exporter-abcde namespace=monitoring container=node-exporter",
        "//Node/node-1",
    ),
    (
        "alertname=NodeClockSkewDetected instance=10.0.0.7:9100 job=prometheus-node-exporter namespace=monitoring service=x pod=y",
        "//Node/10.0.0.7",
    ),
    (
        "alertname=NodeNetworkInterfaceFlapping device=eth0 namespace=monitoring pod=node-exporter-x2nj2 instance=node-1 job=node-exporter",
        "//Node/node-1",
    ),
    ("alertname=TargetDown job=api namespace=shop service=catalog", "/shop/Service/catalog"),
    // Two dead jobs are two incidents, and neither is a Node.
    (
        "alertname=TargetDown instance=127.0.0.1:9999 job=legacy-billing cluster=lab",
        "lab//Cluster/legacy-billing",
    ),
    (
        "alertname=TargetDown instance=127.0.0.1:9998 job=legacy-ledger cluster=lab",
        "lab//Cluster/legacy-ledger",
    ),
    ("alertname=TargetDown instance=10.1.1.1:80 job=shop/billing namespace=shop", "//Cluster/shop-billing"),
    (
        "alertname=ProbeFailed instance=https://shop.example.com/health job=blackbox",
        "//Cluster/shop.example.com",
    ),
    (
        "alertname=KubeStateMetricsListErrors job=kube-state-metrics namespace=monitoring cluster=lab",
        "lab//Cluster/lab",
    ),
    ("alertname=HighErrorRate namespace=shop service=catalog", "/shop/Service/catalog"),
    ("alertname=HighErrorRate namespace=shop app=catalog", "/shop/Service/catalog"),
    (
        "alertname=HighLatency exported_namespace=shop exported_pod=a-66f478c98f-x2nj2 namespace=monitoring pod=prometheus-0 job=federate",
        "/shop/Deployment/a",
    ),
    ("alertname=ApiGatewayHighErrorRate namespace=prod-api pod=api-gateway", "/prod-api/Pod/api-gateway"),
    ("alertname=TeamAlert namespace=shop", "//Namespace/shop"),
    ("alertname=Custom pod= namespace=shop deployment=", "//Namespace/shop"),
];

#[test]
fn labels_alone_lead_to_the_documented_object() {
    for (labels, key) in LABELS {
        let alert = alert(labels);
        let workload = unasked(&from_labels(&alert, ""), cluster_of(&alert, ""));
        assert_eq!(workload.key(), key, "{labels}");
    }
}

#[test]
fn a_sender_s_subject_counts_unless_it_is_the_exporter() {
    let subject = |kind: &str, name: &str| {
        Some(Subject {
            kind: kind.to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            node: String::new(),
        })
    };
    let named = Alert { subject: subject("statefulset", "orders-db"), ..alert("alertname=X namespace=shop") };
    assert_eq!(unasked(&from_labels(&named, "lab"), "lab").key(), "lab/shop/StatefulSet/orders-db");
    let leaked = Alert {
        subject: subject("pod", "robusta-kube-state-metrics-66f478c98f-x2nj2"),
        ..alert("alertname=KubeNodePressure node=node-2 job=kube-state-metrics namespace=shop")
    };
    assert_eq!(unasked(&from_labels(&leaked, ""), "").key(), "//Node/node-2");
    let outvoted = Alert {
        subject: subject("pod", "x-66f478c98f-x2nj2"),
        ..alert("alertname=KubeDeploymentReplicasMismatch deployment=checkout namespace=shop")
    };
    assert_eq!(unasked(&from_labels(&outvoted, ""), "").key(), "/shop/Deployment/checkout");
}

/// Labels, the key that the recorded cluster leads to, and whether it is sure.
const ASKED: [(&str, &str, bool); 19] = [
    (
        "alertname=ApiGatewayHighErrorRate namespace=prod-api pod=api-gateway",
        "lab/prod-api/Deployment/api-gateway",
        true,
    ),
    (
        "alertname=KubePodCrashLooping namespace=prod-api pod=auth-service-869c6d4d5b-sncbd",
        "lab/prod-api/Deployment/auth-service",
        true,
    ),
    ("alertname=KubePodNotReady namespace=shop pod=ml-trainer", "lab/shop/Pod/ml-trainer", true),
    ("alertname=KubePodNotReady namespace=shop pod=orders-db-0", "lab/shop/StatefulSet/orders-db", true),
    ("alertname=KubePodNotReady namespace=shop pod=log-agent-288zw", "lab/shop/DaemonSet/log-agent", true),
    (
        "alertname=KubeJobFailed namespace=shop job_name=nightly-report-29920746",
        "lab/shop/CronJob/nightly-report",
        true,
    ),
    // The pod is gone; its name's shape is checked against the API.
    (
        "alertname=KubePodNotReady namespace=shop pod=checkout-5d4f8c7b9d-zzzzz",
        "lab/shop/Deployment/checkout",
        true,
    ),
    ("alertname=KubePodNotReady namespace=shop pod=db-seed-zzzzz", "lab/shop/Job/db-seed", true),
    (
        "alertname=KubePodNotReady namespace=shop pod=nothing-5d4f8c7b9d-zzzzz",
        "lab/shop/Deployment/nothing",
        false,
    ),
    (
        "alertname=KubeHpaMaxedOut namespace=shop horizontalpodautoscaler=frontend",
        "lab/shop/Deployment/frontend",
        true,
    ),
    (
        "alertname=KubePersistentVolumeFillingUp namespace=shop persistentvolumeclaim=data-orders-db-0",
        "lab/shop/StatefulSet/orders-db",
        true,
    ),
    (
        "alertname=PvcPending namespace=shop persistentvolumeclaim=orders-archive",
        "lab/shop/PersistentVolumeClaim/orders-archive",
        true,
    ),
    ("alertname=TargetDown namespace=shop service=catalog job=catalog", "lab/shop/Deployment/catalog", true),
    // Its selector selects nothing, so the Deployment of the same name is meant.
    (
        "alertname=TargetDown namespace=shop service=recommendations job=r",
        "lab/shop/Deployment/recommendations",
        true,
    ),
    ("alertname=HighErrorRate namespace=shop app=checkout", "lab/shop/Deployment/checkout", true),
    ("alertname=HighErrorRate namespace=shop service=no-such", "lab/shop/Service/no-such", false),
    ("alertname=TargetDown namespace=shop job=billing instance=10.0.0.1:80", "lab//Cluster/billing", true),
    ("alertname=NodeClockSkewDetected instance=192.0.2.2:9100 job=node-exporter", "lab//Node/node-1", true),
    ("alertname=TargetDown instance=127.0.0.1:9999 job=legacy-billing", "lab//Cluster/legacy-billing", true),
];

#[tokio::test]
async fn the_recorded_cluster_confirms_owners() {
    let client = client(Vec::new()).await;
    for (labels, key, confident) in ASKED {
        let resolved = resolver("lab", &client).resolve(&alert(labels), DEADLINE).await;
        assert_eq!((resolved.workload.key().as_str(), resolved.confident), (key, confident), "{labels}");
    }
}

#[tokio::test]
async fn a_cluster_that_hangs_or_refuses_leaves_the_name_s_shape() {
    for fault in [Fault::Hang, Fault::Status(403), Fault::Status(500)] {
        let client = client(vec![("/api", fault)]).await;
        let alert =
            alert("alertname=KubePodNotReady namespace=shop pod=checkout-66f478c98f-x2nj2 cluster=eu");
        let began = std::time::Instant::now();
        let resolved = resolver("lab", &client).resolve(&alert, Duration::from_millis(300)).await;
        assert!(began.elapsed() < Duration::from_secs(3));
        let workload = Workload::new("eu", "shop", "Deployment", "checkout");
        assert_eq!(resolved, Resolved { workload, confident: false });
    }
}

/// Every label set of the recorded webhooks, and its workload in the recorded cluster.
const RECORDED: [(&str, &str); 26] = [
    (
        "alertname=ApiGatewayHighErrorRate cluster=lab namespace=prod-api pod=api-gateway",
        "lab/prod-api/Deployment/api-gateway",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=auth namespace=prod-api pod=auth-service-869c6d4d5b-sncbd reason=PodInitializing",
        "lab/prod-api/Deployment/auth-service",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=auth namespace=prod-api pod=auth-service-869c6d4d5b-tkw9g reason=PodInitializing",
        "lab/prod-api/Deployment/auth-service",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=checkout namespace=shop pod=checkout-66f478c98f-x2nj2 reason=RunContainerError",
        "lab/shop/Deployment/checkout",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=payment namespace=prod-api pod=payment-service-84c4778d74-bgrfr reason=ImagePullBackOff",
        "lab/prod-api/Deployment/payment-service",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=payment namespace=prod-api pod=payment-service-84c4778d74-hhhm5 reason=ImagePullBackOff",
        "lab/prod-api/Deployment/payment-service",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=search namespace=shop pod=search-746f8796fc-5h8gz reason=ContainerCreating",
        "lab/shop/Deployment/search",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=user namespace=prod-api pod=user-service-8d7f95549-fttcw reason=CreateContainerConfigError",
        "lab/prod-api/Deployment/user-service",
    ),
    (
        "alertname=KubeContainerWaiting cluster=lab container=user namespace=prod-api pod=user-service-8d7f95549-wkmpq reason=CreateContainerConfigError",
        "lab/prod-api/Deployment/user-service",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=analytics-service instance=127.0.0.1:8081 job=kube-state-metrics namespace=prod-api",
        "lab/prod-api/Deployment/analytics-service",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=api-gateway instance=127.0.0.1:8081 job=kube-state-metrics namespace=prod-api",
        "lab/prod-api/Deployment/api-gateway",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=auth-service instance=127.0.0.1:8081 job=kube-state-metrics namespace=prod-api",
        "lab/prod-api/Deployment/auth-service",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=catalog instance=127.0.0.1:8081 job=kube-state-metrics namespace=shop",
        "lab/shop/Deployment/catalog",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=inventory instance=127.0.0.1:8081 job=kube-state-metrics namespace=shop",
        "lab/shop/Deployment/inventory",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=payment-service instance=127.0.0.1:8081 job=kube-state-metrics namespace=prod-api",
        "lab/prod-api/Deployment/payment-service",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=search instance=127.0.0.1:8081 job=kube-state-metrics namespace=shop",
        "lab/shop/Deployment/search",
    ),
    (
        "alertname=KubeDeploymentReplicasMismatch cluster=lab deployment=user-service instance=127.0.0.1:8081 job=kube-state-metrics namespace=prod-api",
        "lab/prod-api/Deployment/user-service",
    ),
    (
        "alertname=KubeJobFailed cluster=lab instance=127.0.0.1:8081 job=kube-state-metrics job_name=db-seed namespace=shop",
        "lab/shop/Job/db-seed",
    ),
    (
        "alertname=KubePodCrashLooping cluster=lab container=analytics namespace=prod-api pod=analytics-service-7987f4985-2z45z reason=CrashLoopBackOff",
        "lab/prod-api/Deployment/analytics-service",
    ),
    (
        "alertname=KubePodCrashLooping cluster=lab container=checkout namespace=shop pod=checkout-66f478c98f-x2nj2 reason=CrashLoopBackOff",
        "lab/shop/Deployment/checkout",
    ),
    (
        "alertname=KubePodCrashLooping cluster=lab container=gateway namespace=prod-api pod=api-gateway-69fbb5d75d-hgjtb reason=CrashLoopBackOff",
        "lab/prod-api/Deployment/api-gateway",
    ),
    (
        "alertname=KubePodCrashLooping cluster=lab container=gateway namespace=prod-api pod=api-gateway-69fbb5d75d-jzvxf reason=CrashLoopBackOff",
        "lab/prod-api/Deployment/api-gateway",
    ),
    (
        "alertname=KubePodCrashLooping cluster=lab container=gateway namespace=prod-api pod=api-gateway-69fbb5d75d-wjw2j reason=CrashLoopBackOff",
        "lab/prod-api/Deployment/api-gateway",
    ),
    (
        "alertname=KubePodCrashLooping cluster=lab container=inventory namespace=shop pod=inventory-554c75fb44-cw9sp reason=CrashLoopBackOff",
        "lab/shop/Deployment/inventory",
    ),
    (
        "alertname=PaymentServiceDown cluster=lab deployment=payment-service namespace=prod-api service=payment-service",
        "lab/prod-api/Deployment/payment-service",
    ),
    (
        "alertname=TargetDown cluster=lab instance=127.0.0.1:9999 job=legacy-billing",
        "lab//Cluster/legacy-billing",
    ),
];

#[tokio::test]
async fn every_recorded_alert_finds_its_workload() {
    let client = client(Vec::new()).await;
    for (labels, key) in RECORDED {
        let resolved = resolver("", &client).resolve(&alert(labels), DEADLINE).await;
        assert_eq!((resolved.workload.key().as_str(), resolved.confident), (key, true), "{labels}");
    }
}

#[tokio::test]
async fn prometheus_remembers_the_owner_of_a_pod_that_is_gone() {
    use axum::extract::Query;
    use axum::routing::get;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = crate::settings::HttpSource {
        url: Some(format!("http://{}", listener.local_addr().unwrap())),
        ..crate::settings::HttpSource::default()
    };
    let answer = |Query(query): Query<BTreeMap<String, String>>| async move {
        let known = r#"last_over_time(kube_pod_owner{namespace="shop",pod="odd"}[24h])"#;
        let metric = if query["query"] == known {
            r#"{"metric":{"owner_kind":"ReplicaSet","owner_name":"checkout-66f478c98f"},"value":[1,"1"]}"#
        } else {
            ""
        };
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{metric}]}}}}"#)
    };
    let router = axum::Router::new().route("/api/v1/query", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    // Another test may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().build().unwrap();
    let prometheus = Prometheus::new(http, &settings).unwrap();
    let client = client(Vec::new()).await;
    for (pod, key, confident) in
        [("odd", "lab/shop/Deployment/checkout", true), ("other", "lab/shop/Pod/other", false)]
    {
        let alert = alert(&format!("alertname=KubePodNotReady namespace=shop pod={pod}"));
        let reached = Reached { kubernetes: Some(client.clone()), prometheus: prometheus.clone() };
        let resolved = Resolver::of("lab".to_owned(), reached).resolve(&alert, DEADLINE).await;
        assert_eq!((resolved.workload.key().as_str(), resolved.confident), (key, confident));
    }
}

fn resolver(cluster: &str, client: &Client) -> Resolver {
    Resolver::of(cluster.to_owned(), Reached { kubernetes: Some(client.clone()), prometheus: None })
}
