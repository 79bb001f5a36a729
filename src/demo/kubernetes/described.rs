//! A cluster that is described by a list of objects instead of recorded: the objects, logs and a moment come
//! in, a cluster that answers as the recorded one does goes out. Every built-in resource is known, so that
//! an empty list is an answer. It judges nothing and reads no file.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Answer;
use super::objects::{Cluster, Resource};

/// What a described cluster holds.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// Each with `apiVersion` and `kind`.
    pub objects: Vec<Value>,
    /// `namespace/pod.container.current` or `….previous` → lines with their times.
    pub logs: BTreeMap<String, Vec<u8>>,
    /// The answer to `/readyz?verbose`; None: everything is fine.
    pub readyz: Option<String>,
    /// The cluster's clock. It stands still.
    pub now: DateTime<Utc>,
}

/// What an API server without trouble answers to `/readyz?verbose`.
const READY: &str =
    "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]informer-sync ok\n[+]shutdown ok\nreadyz check passed\n";

/// Kind, plural, and whether it has namespaces.
type Kinds = &'static [(&'static str, &'static str, bool)];

/// Resources of Kubernetes itself by group and version.
const BUILT_IN: [(&str, Kinds); 15] = [
    (
        "v1",
        &[
            ("ConfigMap", "configmaps", true),
            ("Endpoints", "endpoints", true),
            ("Event", "events", true),
            ("LimitRange", "limitranges", true),
            ("Namespace", "namespaces", false),
            ("Node", "nodes", false),
            ("PersistentVolume", "persistentvolumes", false),
            ("PersistentVolumeClaim", "persistentvolumeclaims", true),
            ("Pod", "pods", true),
            ("ReplicationController", "replicationcontrollers", true),
            ("ResourceQuota", "resourcequotas", true),
            // Known, and refused by every stand-in.
            ("Secret", "secrets", true),
            ("Service", "services", true),
            ("ServiceAccount", "serviceaccounts", true),
        ],
    ),
    (
        "apps/v1",
        &[
            ("ControllerRevision", "controllerrevisions", true),
            ("DaemonSet", "daemonsets", true),
            ("Deployment", "deployments", true),
            ("ReplicaSet", "replicasets", true),
            ("StatefulSet", "statefulsets", true),
        ],
    ),
    ("batch/v1", &[("CronJob", "cronjobs", true), ("Job", "jobs", true)]),
    ("autoscaling/v2", &[("HorizontalPodAutoscaler", "horizontalpodautoscalers", true)]),
    ("discovery.k8s.io/v1", &[("EndpointSlice", "endpointslices", true)]),
    (
        "networking.k8s.io/v1",
        &[
            ("Ingress", "ingresses", true),
            ("IngressClass", "ingressclasses", false),
            ("NetworkPolicy", "networkpolicies", true),
        ],
    ),
    ("policy/v1", &[("PodDisruptionBudget", "poddisruptionbudgets", true)]),
    (
        "storage.k8s.io/v1",
        &[
            ("CSIDriver", "csidrivers", false),
            ("CSINode", "csinodes", false),
            ("CSIStorageCapacity", "csistoragecapacities", true),
            ("StorageClass", "storageclasses", false),
            ("VolumeAttachment", "volumeattachments", false),
        ],
    ),
    ("scheduling.k8s.io/v1", &[("PriorityClass", "priorityclasses", false)]),
    ("coordination.k8s.io/v1", &[("Lease", "leases", true)]),
    ("node.k8s.io/v1", &[("RuntimeClass", "runtimeclasses", false)]),
    (
        "admissionregistration.k8s.io/v1",
        &[
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
        ],
    ),
    ("apiregistration.k8s.io/v1", &[("APIService", "apiservices", false)]),
    ("apiextensions.k8s.io/v1", &[("CustomResourceDefinition", "customresourcedefinitions", false)]),
    ("certificates.k8s.io/v1", &[("CertificateSigningRequest", "certificatesigningrequests", false)]),
];

impl Cluster {
    pub(super) fn describe(described: Described) -> Self {
        let mut cluster = Self::empty(described.now);
        for (api_version, kinds) in BUILT_IN {
            for (kind, plural, namespaced) in kinds {
                cluster.add_resource(api_version, kind, plural, *namespaced);
            }
        }
        for object in described.objects {
            cluster.put(object);
        }
        cluster.logs = described.logs.into_iter().map(|(key, text)| (key, (200, text))).collect();
        let readyz = described.readyz.unwrap_or_else(|| READY.to_owned());
        let status = if readyz.contains("[-]") { 500 } else { 200 };
        let answer = Answer { status, ..Answer::text(status, readyz.into_bytes()) };
        cluster.recorded.insert("/readyz?verbose".to_owned(), answer);
        let version =
            json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "linux/amd64"});
        cluster.recorded.insert("/version".to_owned(), Answer::json(200, &version));
        cluster
    }

    fn add_resource(&mut self, api_version: &str, kind: &str, plural: &str, namespaced: bool) {
        let resource = Resource {
            group: api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            api_version: api_version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            resource_version: "1000".to_owned(),
            items: BTreeMap::new(),
        };
        self.resources.insert((base(api_version), plural.to_owned()), resource);
    }

    /// An object of a kind that is not built in makes its resource known: such a cluster has its definition.
    fn put(&mut self, object: Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("/apiVersion").to_owned(), text("/kind").to_owned());
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let key = format!("{namespace}/{name}");
        let namespaced = !namespace.is_empty();
        let known = |resource: &Resource| resource.api_version == api_version && resource.kind == kind;
        if !self.resources.values().any(known) {
            self.add_resource(&api_version, &kind, &plural(&kind), namespaced);
        }
        if let Some(resource) = self.resources.values_mut().find(|resource| known(resource)) {
            resource.items.insert(key, object);
        }
    }
}

fn base(api_version: &str) -> String {
    if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") }
}

/// The plural that nearly every custom resource has.
fn plural(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if kind.ends_with(['s', 'x']) || kind.ends_with("ch") => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}
