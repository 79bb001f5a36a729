//! Is this an object as an API server would answer it? One object comes in, what is wrong with it goes out.
//! A field that Kubernetes does not know would be read by nobody, so it is a misprint. Pure.

use k8s_openapi::api::admissionregistration::v1 as admission;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::autoscaling::v2 as autoscaling;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::api::node::v1 as node;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::api::scheduling::v1 as scheduling;
use k8s_openapi::api::storage::v1 as storage;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::case::Origin;

/// Faults told of one object.
const MAX_FAULTS: usize = 10;

/// Built-in kinds without a namespace.
const CLUSTER_WIDE: [&str; 13] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// Everything that is wrong with one object.
pub(super) fn object(value: &Value, origin: Origin) -> Vec<String> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    if api_version.is_empty() || kind.is_empty() || text("/metadata/name").is_empty() {
        return vec!["an object has apiVersion, kind and metadata.name".to_owned()];
    }
    if kind == "Secret" {
        return vec!["Secrets are never read, so a case has none".to_owned()];
    }
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match check_for(api_version, kind) {
        Some(_) if CLUSTER_WIDE.contains(&kind) != text("/metadata/namespace").is_empty() => {
            let must = if CLUSTER_WIDE.contains(&kind) { "no" } else { "a" };
            vec![format!("a {kind} has {must} metadata.namespace")]
        }
        Some(check) => match check(value) {
            Err(fault) => vec![fault],
            // A cluster that is newer than this program has fields that it does not know.
            Ok(_) if origin == Origin::Recorded => Vec::new(),
            Ok(lost) => lost,
        },
        // A custom resource is whatever its definition says.
        None if group.contains('.') && !group.ends_with(".k8s.io") => Vec::new(),
        None => vec![format!("{api_version} has no kind {kind} that is read here")],
    }
}

/// Fields that were not understood, or why it is no such object.
type Check = fn(&Value) -> Result<Vec<String>, String>;

fn check_for(api_version: &str, kind: &str) -> Option<Check> {
    Some(match (api_version, kind) {
        ("v1", "ConfigMap") => typed::<core::ConfigMap>,
        ("v1", "Endpoints") => typed::<core::Endpoints>,
        ("v1", "Event") => typed::<core::Event>,
        ("v1", "LimitRange") => typed::<core::LimitRange>,
        ("v1", "Namespace") => typed::<core::Namespace>,
        ("v1", "Node") => typed::<core::Node>,
        ("v1", "PersistentVolume") => typed::<core::PersistentVolume>,
        ("v1", "PersistentVolumeClaim") => typed::<core::PersistentVolumeClaim>,
        ("v1", "Pod") => typed::<core::Pod>,
        ("v1", "ReplicationController") => typed::<core::ReplicationController>,
        ("v1", "ResourceQuota") => typed::<core::ResourceQuota>,
        ("v1", "Service") => typed::<core::Service>,
        ("v1", "ServiceAccount") => typed::<core::ServiceAccount>,
        ("apps/v1", "ControllerRevision") => typed::<apps::ControllerRevision>,
        ("apps/v1", "DaemonSet") => typed::<apps::DaemonSet>,
        ("apps/v1", "Deployment") => typed::<apps::Deployment>,
        ("apps/v1", "ReplicaSet") => typed::<apps::ReplicaSet>,
        ("apps/v1", "StatefulSet") => typed::<apps::StatefulSet>,
        ("batch/v1", "CronJob") => typed::<batch::CronJob>,
        ("batch/v1", "Job") => typed::<batch::Job>,
        ("autoscaling/v2", "HorizontalPodAutoscaler") => typed::<autoscaling::HorizontalPodAutoscaler>,
        ("discovery.k8s.io/v1", "EndpointSlice") => typed::<discovery::EndpointSlice>,
        ("networking.k8s.io/v1", "Ingress") => typed::<networking::Ingress>,
        ("networking.k8s.io/v1", "IngressClass") => typed::<networking::IngressClass>,
        ("networking.k8s.io/v1", "NetworkPolicy") => typed::<networking::NetworkPolicy>,
        ("policy/v1", "PodDisruptionBudget") => typed::<policy::PodDisruptionBudget>,
        ("storage.k8s.io/v1", "CSIDriver") => typed::<storage::CSIDriver>,
        ("storage.k8s.io/v1", "CSINode") => typed::<storage::CSINode>,
        ("storage.k8s.io/v1", "StorageClass") => typed::<storage::StorageClass>,
        ("storage.k8s.io/v1", "VolumeAttachment") => typed::<storage::VolumeAttachment>,
        ("scheduling.k8s.io/v1", "PriorityClass") => typed::<scheduling::PriorityClass>,
        ("coordination.k8s.io/v1", "Lease") => typed::<coordination::Lease>,
        ("node.k8s.io/v1", "RuntimeClass") => typed::<node::RuntimeClass>,
        ("apiregistration.k8s.io/v1", "APIService") => typed::<APIService>,
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration") => {
            typed::<admission::MutatingWebhookConfiguration>
        }
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration") => {
            typed::<admission::ValidatingWebhookConfiguration>
        }
        _ => return None,
    })
}

fn typed<K: DeserializeOwned + Serialize>(value: &Value) -> Result<Vec<String>, String> {
    let read: Result<K, _> = serde_path_to_error::deserialize(value);
    let back = match read {
        Ok(object) => serde_json::to_value(&object).unwrap_or_default(),
        Err(error) => return Err(format!("{}: {}", error.path(), error.inner())),
    };
    let mut lost = Vec::new();
    compare(value, &back, "", &mut lost);
    Ok(lost)
}

/// What did not survive being read was not understood.
fn compare(written: &Value, read: &Value, path: &str, lost: &mut Vec<String>) {
    if lost.len() >= MAX_FAULTS {
        return;
    }
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                match read.get(key) {
                    Some(back) => compare(value, back, &format!("{path}.{key}"), lost),
                    None if is_empty(value) => {}
                    None => lost.push(format!("{}.{key}: Kubernetes knows no such field", path)),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            for (index, (value, back)) in written.iter().zip(read).enumerate() {
                compare(value, back, &format!("{path}[{index}]"), lost);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
