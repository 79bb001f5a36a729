//! What an alert's labels point at, before anybody asks a cluster. Pure. It knows the traps: `job` is the
//! scrape job, exporters leak their own `pod`, `namespace` and `service`, and an `instance` is an address.

use crate::alert::{Alert, Subject};

/// The object that labels name, still to be followed to its top owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A namespaced object of a kind that has its own label.
    Object {
        kind: &'static str,
        namespace: String,
        name: String,
    },
    Pod {
        namespace: String,
        name: String,
    },
    /// A name that may be a Service, a workload or an `app` label; `otherwise` names the part of the
    /// cluster that it is when nothing of that name exists.
    Application {
        namespace: String,
        name: String,
        otherwise: Option<String>,
    },
    Volume {
        name: String,
    },
    Node {
        name: String,
    },
    /// A node known by the address it is scraped at.
    NodeAddress {
        address: String,
    },
    Namespace {
        name: String,
    },
    /// No object: a scrape job, a component of the control plane, or the cluster as a whole.
    Component {
        name: String,
    },
}

/// Labels that name an object of one kind. They beat `pod`, which may be the exporter's own.
const OBJECT_LABELS: [(&str, &str); 10] = [
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("hpa", "HorizontalPodAutoscaler"),
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("poddisruptionbudget", "PodDisruptionBudget"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("replicaset", "ReplicaSet"),
];

/// Labels that name an application rather than an object, most exact first.
const APPLICATION_LABELS: [&str; 6] =
    ["service", "app_kubernetes_io_name", "app", "application", "service_name", "workload"];

/// Alerts over kube-state-metrics whose `pod` label is the pod they are about.
const POD_ALERTS: [&str; 4] =
    ["KubePodCrashLooping", "KubePodNotReady", "KubeContainerWaiting", "CPUThrottlingHigh"];

const NAMESPACE_LABELS: [&str; 4] =
    ["exported_namespace", "kubernetes_namespace", "namespace", "kube_namespace"];

/// Which object the labels point at. `default_cluster` names the cluster where nothing else is named.
pub fn from_labels(alert: &Alert, default_cluster: &str) -> Hint {
    let namespace = namespace_of(alert);
    by_object_label(alert, &namespace)
        .or_else(|| by_quota(alert, &namespace))
        .or_else(|| alert.subject.as_ref().and_then(|subject| by_subject(alert, subject)))
        .or_else(|| by_pod(alert, &namespace))
        .or_else(|| by_node(alert))
        .or_else(|| by_application(alert, &namespace))
        .or_else(|| by_namespace(alert, &namespace))
        .unwrap_or_else(|| Hint::Component { name: component(alert, default_cluster) })
}

/// The cluster that an alert belongs to: its own label, else the configured name.
pub fn cluster_of<'a>(alert: &'a Alert, default_cluster: &'a str) -> &'a str {
    alert.label("cluster").unwrap_or(default_cluster)
}

fn namespace_of(alert: &Alert) -> String {
    NAMESPACE_LABELS.iter().find_map(|key| alert.label(key)).unwrap_or_default().to_owned()
}

fn by_object_label(alert: &Alert, namespace: &str) -> Option<Hint> {
    for (label, kind) in OBJECT_LABELS {
        let exported = format!("exported_{label}");
        if let Some(name) = alert.label(&exported).or_else(|| alert.label(label)) {
            return Some(Hint::Object { kind, namespace: namespace.to_owned(), name: name.to_owned() });
        }
    }
    alert.label("persistentvolume").map(|name| Hint::Volume { name: name.to_owned() })
}

fn by_quota(alert: &Alert, namespace: &str) -> Option<Hint> {
    alert.label("resourcequota")?;
    (!namespace.is_empty()).then(|| Hint::Namespace { name: namespace.to_owned() })
}

/// Robusta names a subject; where it took the exporter's own pod for one, it is not believed.
fn by_subject(alert: &Alert, subject: &Subject) -> Option<Hint> {
    let (namespace, name) = (subject.namespace.clone(), subject.name.clone());
    if name.is_empty() {
        return (!subject.node.is_empty() && is_exporter(alert, NODE_EXPORTER))
            .then(|| Hint::Node { name: subject.node.clone() });
    }
    let kind = match subject.kind.as_str() {
        "deployment" => "Deployment",
        "statefulset" => "StatefulSet",
        "daemonset" => "DaemonSet",
        "replicaset" => "ReplicaSet",
        "job" => "Job",
        "cronjob" => "CronJob",
        "persistentvolumeclaim" => "PersistentVolumeClaim",
        "horizontalpodautoscaler" | "hpa" => "HorizontalPodAutoscaler",
        "node" => return Some(Hint::Node { name }),
        "namespace" => return Some(Hint::Namespace { name }),
        "service" if !leaks(alert, "service", &name) => {
            return Some(Hint::Application { namespace, name, otherwise: None });
        }
        "pod" if !leaks(alert, "pod", &name) => return Some(Hint::Pod { namespace, name }),
        _ => return None,
    };
    Some(Hint::Object { kind, namespace, name })
}

fn by_pod(alert: &Alert, namespace: &str) -> Option<Hint> {
    let exported = alert.label("exported_pod");
    let own = ["pod", "pod_name"].into_iter().find_map(|key| alert.label(key));
    let name = match (exported, own) {
        (Some(name), _) => name,
        (None, Some(name)) if !leaks(alert, "pod", name) => name,
        _ => return None,
    };
    Some(Hint::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn by_node(alert: &Alert) -> Option<Hint> {
    if let Some(name) = alert.label("node").or_else(|| alert.label("nodename")) {
        return Some(Hint::Node { name: name.to_owned() });
    }
    if !is_exporter(alert, NODE_EXPORTER) {
        return None;
    }
    let instance = alert.label("instance")?;
    let host = host_of(instance);
    Some(if host.parse::<std::net::IpAddr>().is_ok() {
        Hint::NodeAddress { address: host.to_owned() }
    } else {
        Hint::Node { name: host.to_owned() }
    })
}

fn by_application(alert: &Alert, namespace: &str) -> Option<Hint> {
    if namespace.is_empty() || is_exporter(alert, NODE_EXPORTER) {
        return None;
    }
    let named = APPLICATION_LABELS.iter().find_map(|key| {
        let exported = format!("exported_{key}");
        alert.label(&exported).or_else(|| alert.label(key).filter(|name| !leaks(alert, key, name)))
    });
    // A ServiceMonitor's job is its Service's name, so it is worth a look; but two dead jobs of one
    // namespace must stay two, so what is not found keeps the job's name.
    let job = alert.label("job").filter(|_| alert.label("instance").is_some() && !is_exporter(alert, KSM));
    let (name, otherwise) = match (named, job) {
        (Some(name), _) => (name, None),
        (None, Some(job)) => (job, Some(job.to_owned())),
        (None, None) => return None,
    };
    let name = name.rsplit('/').next().unwrap_or(name);
    Some(Hint::Application { namespace: namespace.to_owned(), name: name.to_owned(), otherwise })
}

fn by_namespace(alert: &Alert, namespace: &str) -> Option<Hint> {
    // Exporters carry the namespace that they themselves run in.
    let own = is_exporter(alert, NODE_EXPORTER) || is_exporter(alert, KSM);
    (!namespace.is_empty() && !own).then(|| Hint::Namespace { name: namespace.to_owned() })
}

/// Two dead scrape jobs are two incidents; a probed address is its host; the rest is the cluster.
fn component(alert: &Alert, default_cluster: &str) -> String {
    let probed = alert.label("instance").filter(|instance| instance.contains("://")).map(host_of);
    let scraped =
        alert.label("job").filter(|_| !is_exporter(alert, KSM) && !is_exporter(alert, NODE_EXPORTER));
    let cluster = cluster_of(alert, default_cluster);
    let whole = if cluster.is_empty() { "cluster" } else { cluster };
    let named = ["service", "app"].into_iter().find_map(|key| alert.label(key));
    // The name becomes the last part of a key whose parts are parted by slashes.
    probed
        .or(named.filter(|name| !leaks(alert, "service", name)))
        .or(scraped)
        .unwrap_or(whole)
        .replace('/', "-")
}

const KSM: &str = "kube-state-metrics";
const NODE_EXPORTER: &str = "node-exporter";

fn is_exporter(alert: &Alert, exporter: &str) -> bool {
    alert.label("job").is_some_and(|job| job.contains(exporter))
}

/// Whether a label's value is the exporter that was scraped, not what it reported on.
fn leaks(alert: &Alert, label: &str, value: &str) -> bool {
    if is_exporter(alert, NODE_EXPORTER) {
        return true;
    }
    if label == "pod" && POD_ALERTS.contains(&alert.name()) {
        return false;
    }
    let exporter_container = alert.label("container").is_some_and(|name| name == KSM);
    is_exporter(alert, KSM) && (label != "pod" || exporter_container || value.contains(KSM))
}

/// `10.0.0.1` of `10.0.0.1:9100`, `host` of `https://host/path`.
fn host_of(instance: &str) -> &str {
    let rest = instance.split_once("://").map_or(instance, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    if let Some(v6) = authority.strip_prefix('[') {
        return v6.split(']').next().unwrap_or(v6);
    }
    authority.split(':').next().unwrap_or(authority)
}
