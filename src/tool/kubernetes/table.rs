//! Columns of a kind, as `kubectl get` shows them: an object comes in, its cells go out. And tables as
//! aligned text. Pure.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::condense::scalar;
use crate::evidence::units;
use crate::source::kubernetes::kinds::Kind;

/// Columns padded no wider than this; one long cell must not push all others apart.
const MAX_PAD_CHARS: usize = 48;

type Cell = fn(&Value, DateTime<Utc>) -> String;

/// Columns beside the name and the age.
pub fn columns(kind: &Kind) -> &'static [(&'static str, Cell)] {
    match kind.name {
        "Pod" => &[
            ("READY", |o, _| ready_containers(o)),
            ("STATUS", |o, _| pod_status(o)),
            ("RESTARTS", |o, now| restarts(o, now)),
            ("NODE", |o, _| text(o, "/spec/nodeName")),
        ],
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => &[
            ("READY", |o, _| format!("{}/{}", count(o, "/status/readyReplicas"), count(o, "/spec/replicas"))),
            ("UPDATED", |o, _| text(o, "/status/updatedReplicas")),
            ("AVAILABLE", |o, _| count(o, "/status/availableReplicas")),
            ("IMAGES", |o, _| images(o)),
        ],
        "DaemonSet" => &[
            ("DESIRED", |o, _| count(o, "/status/desiredNumberScheduled")),
            ("READY", |o, _| count(o, "/status/numberReady")),
            ("UPDATED", |o, _| count(o, "/status/updatedNumberScheduled")),
            ("IMAGES", |o, _| images(o)),
        ],
        "Job" => &[
            ("STATUS", |o, _| job_status(o)),
            ("SUCCEEDED", |o, _| count(o, "/status/succeeded")),
            ("FAILED", |o, _| count(o, "/status/failed")),
        ],
        "CronJob" => &[
            ("SCHEDULE", |o, _| text(o, "/spec/schedule")),
            ("SUSPEND", |o, _| text(o, "/spec/suspend")),
            ("LAST SCHEDULE", |o, now| ago(o, "/status/lastScheduleTime", now)),
            ("LAST SUCCESS", |o, now| ago(o, "/status/lastSuccessfulTime", now)),
        ],
        "Service" => &[
            ("TYPE", |o, _| text(o, "/spec/type")),
            ("CLUSTER-IP", |o, _| text(o, "/spec/clusterIP")),
            ("PORTS", |o, _| ports(o)),
            ("SELECTOR", |o, _| pairs(o, "/spec/selector")),
        ],
        "PersistentVolumeClaim" => &[
            ("STATUS", |o, _| text(o, "/status/phase")),
            ("VOLUME", |o, _| text(o, "/spec/volumeName")),
            ("REQUEST", |o, _| text(o, "/spec/resources/requests/storage")),
            ("CLASS", |o, _| text(o, "/spec/storageClassName")),
        ],
        "Node" => &[
            ("STATUS", |o, _| node_status(o)),
            ("TAINTS", |o, _| taints(o)),
            ("VERSION", |o, _| text(o, "/status/nodeInfo/kubeletVersion")),
        ],
        "HorizontalPodAutoscaler" => &[
            ("TARGET", |o, _| {
                format!("{}/{}", text(o, "/spec/scaleTargetRef/kind"), text(o, "/spec/scaleTargetRef/name"))
            }),
            ("MIN", |o, _| count(o, "/spec/minReplicas")),
            ("MAX", |o, _| count(o, "/spec/maxReplicas")),
            ("REPLICAS", |o, _| count(o, "/status/currentReplicas")),
        ],
        "Event" => &[
            ("TYPE", |o, _| text(o, "/type")),
            ("REASON", |o, _| text(o, "/reason")),
            ("OBJECT", |o, _| {
                format!("{}/{}", text(o, "/involvedObject/kind"), text(o, "/involvedObject/name"))
            }),
            ("MESSAGE", |o, _| text(o, "/message")),
        ],
        "ConfigMap" => &[("KEYS", |o, _| keys(o))],
        "Namespace" | "PersistentVolume" => &[("STATUS", |o, _| text(o, "/status/phase"))],
        _ => &[],
    }
}

pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).map(scalar).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}

pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub fn age(object: &Value, now: DateTime<Utc>) -> String {
    ago(object, "/metadata/creationTimestamp", now)
}

fn count(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0).to_string()
}

fn ago(object: &Value, pointer: &str, now: DateTime<Utc>) -> String {
    let at = object.pointer(pointer).and_then(Value::as_str).and_then(|at| at.parse::<DateTime<Utc>>().ok());
    at.map_or_else(|| "-".to_owned(), |at| units::span((now - at).num_seconds()))
}

fn list<'v>(object: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn ready_containers(pod: &Value) -> String {
    let ready = list(pod, "/status/containerStatuses").filter(|status| status["ready"] == true).count();
    format!("{ready}/{}", list(pod, "/spec/containers").count())
}

/// As kubectl words it: `CrashLoopBackOff`, `Init:0/1`, `Completed`, `Terminating`.
pub fn pod_status(pod: &Value) -> String {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating".to_owned();
    }
    let total = list(pod, "/spec/initContainers").count();
    for (index, status) in list(pod, "/status/initContainerStatuses").enumerate() {
        let ended = &status["state"]["terminated"];
        let waits = status["state"]["waiting"]["reason"].as_str().unwrap_or_default();
        if ended["exitCode"] == 0 || status["started"] == true && status["ready"] == true {
            continue;
        }
        let why = if !ended.is_null() {
            ended["reason"]
                .as_str()
                .filter(|reason| !reason.is_empty())
                .map_or_else(|| format!("ExitCode:{}", ended["exitCode"]), str::to_owned)
        } else if !waits.is_empty() && waits != "PodInitializing" {
            waits.to_owned()
        } else {
            format!("{index}/{total}")
        };
        return format!("Init:{why}");
    }
    let states: Vec<&Value> = list(pod, "/status/containerStatuses").map(|status| &status["state"]).collect();
    let reason = states.iter().rev().find_map(|state| {
        let reason = |part: &str| state[part]["reason"].as_str().filter(|reason| !reason.is_empty());
        reason("waiting").or_else(|| reason("terminated"))
    });
    let own = pod["status"]["reason"].as_str().filter(|reason| !reason.is_empty());
    reason.or(own).map_or_else(|| text(pod, "/status/phase"), str::to_owned)
}

/// `6 (48s ago)`
fn restarts(pod: &Value, now: DateTime<Utc>) -> String {
    let statuses =
        || list(pod, "/status/containerStatuses").chain(list(pod, "/status/initContainerStatuses"));
    let sum: i64 = statuses().filter_map(|status| status["restartCount"].as_i64()).sum();
    let last = statuses()
        .filter_map(|status| status["lastState"]["terminated"]["finishedAt"].as_str())
        .filter_map(|at| at.parse::<DateTime<Utc>>().ok())
        .max();
    match last {
        Some(at) if sum > 0 => format!("{sum} ({} ago)", units::span((now - at).num_seconds())),
        _ => sum.to_string(),
    }
}

fn images(object: &Value) -> String {
    let images =
        list(object, "/spec/template/spec/containers").filter_map(|container| container["image"].as_str());
    images.collect::<Vec<_>>().join(",")
}

fn job_status(job: &Value) -> String {
    let holds =
        |kind: &str| list(job, "/status/conditions").find(|c| c["type"] == kind && c["status"] == "True");
    match (holds("Complete"), holds("Failed"), holds("Suspended")) {
        (Some(_), _, _) => "Complete".to_owned(),
        (_, Some(failed), _) => format!("Failed:{}", scalar(&failed["reason"])),
        (_, _, Some(_)) => "Suspended".to_owned(),
        _ => "Running".to_owned(),
    }
}

/// `80→8080/TCP`
fn ports(service: &Value) -> String {
    let port = |port: &Value| {
        let target = scalar(&port["targetPort"]);
        let arrow = if target.is_empty() { String::new() } else { format!("→{target}") };
        format!("{}{arrow}/{}", scalar(&port["port"]), port["protocol"].as_str().unwrap_or("TCP"))
    };
    list(service, "/spec/ports").map(port).collect::<Vec<_>>().join(",")
}

fn pairs(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object);
    let each = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", scalar(value)));
    let joined = each.collect::<Vec<_>>().join(",");
    if joined.is_empty() { "<none>".to_owned() } else { joined }
}

fn node_status(node: &Value) -> String {
    let status = |kind: &str| {
        list(node, "/status/conditions").find(|c| c["type"] == kind).map(|c| scalar(&c["status"]))
    };
    let mut words = vec![match status("Ready").as_deref() {
        Some("True") => "Ready".to_owned(),
        Some("False") => "NotReady".to_owned(),
        _ => "Unknown".to_owned(),
    }];
    let pressures = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];
    words.extend(
        pressures
            .iter()
            .filter(|kind| status(kind).as_deref() == Some("True"))
            .map(|kind| (*kind).to_owned()),
    );
    if node["spec"]["unschedulable"] == true {
        words.push("SchedulingDisabled".to_owned());
    }
    words.join(",")
}

fn taints(node: &Value) -> String {
    let taint = |taint: &Value| {
        format!("{}={}:{}", scalar(&taint["key"]), scalar(&taint["value"]), scalar(&taint["effect"]))
    };
    let joined = list(node, "/spec/taints").map(taint).collect::<Vec<_>>().join(",");
    if joined.is_empty() { "<none>".to_owned() } else { joined }
}

fn keys(config_map: &Value) -> String {
    let of = |part: &str| {
        config_map[part].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    [of("data"), of("binaryData")].concat().join(",")
}

/// Aligned columns with two spaces between; no space at the end of a line.
pub fn aligned(headers: &[String], rows: &[Vec<String>]) -> String {
    let all = || std::iter::once(headers).chain(rows.iter().map(Vec::as_slice));
    let width = |column: usize| {
        let longest = all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        longest.unwrap_or(0).min(MAX_PAD_CHARS)
    };
    let widths: Vec<usize> = (0..headers.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>().trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}
