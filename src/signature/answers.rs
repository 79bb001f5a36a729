//! Which signatures can answer which alert, by what the alert measures: families of alert names come in as
//! data, a preference goes out. Pure. An alert of no family prefers nothing.

use super::compile::Signature;

/// Alerts that measure the same kind of thing.
struct Family {
    /// Names; `*` at either end stands for anything.
    alerts: &'static [&'static str],
    /// Tables whose signatures can be the answer.
    tables: &'static [&'static str],
    /// Beginnings of ids that can be, whatever their table.
    ids: &'static [&'static str],
    /// The state of objects in the API server decides whether the alert is true: no traffic, no usage.
    by_state: bool,
}

/// What a pod's own trouble is seen in.
const OF_PODS: &[&str] = &["pods", "containers", "claims", "references", "dependencies", "events", "nodes"];
const OF_CONTROLLERS: &[&str] = &[
    "pods",
    "containers",
    "claims",
    "references",
    "dependencies",
    "events",
    "nodes",
    "rollouts",
    "workload",
];
const OF_JOBS: &[&str] =
    &["pods", "containers", "claims", "references", "dependencies", "events", "jobs", "cronjobs", "workload"];
const OF_SERVICES: &[&str] = &[
    "services",
    "pods",
    "containers",
    "claims",
    "references",
    "dependencies",
    "events",
    "nodes",
    "rollouts",
    "targets",
];

/// The first family that fits decides. The names are kube-prometheus', and shapes of names that others use.
const FAMILIES: &[Family] = &[
    Family { alerts: &["KubeHpaMaxedOut"], tables: &["hpas"], ids: &[], by_state: true },
    Family {
        alerts: &["KubeHpa*", "*HPA*", "*HorizontalPodAutoscaler*"],
        tables: &["hpas", "workload"],
        ids: &["unschedulable-"],
        by_state: true,
    },
    Family {
        alerts: &["KubePersistentVolumeErrors", "KubePersistentVolumeClaimPending", "*VolumeClaimPending*"],
        tables: &["claims"],
        ids: &["volume-", "claim-", "storage-", "static-volume", "csi-"],
        by_state: true,
    },
    Family {
        alerts: &["KubePersistentVolume*", "*VolumeFillingUp*", "*VolumeFull*"],
        tables: &[],
        ids: &["volume-full", "volume-filling", "disk-full", "volume-resize"],
        by_state: false,
    },
    Family { alerts: &["CPUThrottlingHigh"], tables: &[], ids: &["cpu-"], by_state: false },
    Family { alerts: &["KubeQuota*"], tables: &["quotas"], ids: &["quota-"], by_state: false },
    Family {
        alerts: &[
            "KubePod*",
            "KubeContainerWaiting",
            "*CrashLoop*",
            "*PodRestart*",
            "*PodNotReady*",
            "*OOMKill*",
        ],
        tables: OF_PODS,
        ids: &[],
        by_state: true,
    },
    Family {
        alerts: &["KubeJob*", "KubeCronJob*", "*CronJob*", "*JobFailed*"],
        tables: OF_JOBS,
        ids: &[],
        by_state: true,
    },
    Family {
        alerts: &[
            "KubeDeployment*",
            "KubeStatefulSet*",
            "KubeDaemonSet*",
            "KubePdb*",
            "*ReplicasMismatch*",
            "*RolloutStuck*",
        ],
        tables: OF_CONTROLLERS,
        ids: &[],
        by_state: true,
    },
    Family { alerts: &["KubeSchedulerDown"], tables: &["leases"], ids: &["scheduler-"], by_state: false },
    Family {
        alerts: &["KubeControllerManagerDown"],
        tables: &["leases"],
        ids: &["controller-manager-"],
        by_state: false,
    },
    Family { alerts: &["KubeAggregatedAPI*"], tables: &["api_services"], ids: &[], by_state: false },
    Family {
        alerts: &["KubeNodeNotReady", "KubeNodeUnreachable", "KubeNodePressure"],
        tables: &["nodes"],
        ids: &["node-", "oom-node"],
        by_state: true,
    },
    Family {
        alerts: &["KubeNode*", "Kubelet*", "Node*"],
        tables: &["nodes", "targets"],
        ids: &["node-", "oom-node", "pod-evicted"],
        by_state: false,
    },
    Family {
        alerts: &[
            "*TargetDown*",
            "*TargetMissing*",
            "*TargetsMissing*",
            "*TargetsDown*",
            "*InstanceUnreachable*",
            "*InstanceDown*",
            "*ExporterDown*",
            "*ScrapeFail*",
            "*EndpointDown*",
            "*ServiceDown*",
            "ProbeFailed",
            "*ErrorRate*",
            "*Latency*",
            "*NoRequests*",
        ],
        tables: OF_SERVICES,
        ids: &[],
        by_state: false,
    },
];

/// Alerts that fire all the time, so that their silence is noticed, or only to mute others.
const BY_DESIGN: [&str; 2] = ["Watchdog", "InfoInhibitor"];

/// Can this signature be why one of these alerts fires? True where nothing is known about the alerts.
pub fn answers(alerts: &[String], signature: &Signature) -> bool {
    let mut known = alerts.iter().filter_map(|alert| family(alert)).peekable();
    known.peek().is_none()
        || known.any(|family| {
            family.tables.contains(&signature.over)
                || family.ids.iter().any(|start| signature.id.starts_with(start))
        })
}

/// Is anything known about what this alert measures?
pub fn is_known(alert: &str) -> bool {
    family(alert).is_some()
}

/// Is every one of these alerts true or false by the state of objects alone? What measures traffic or usage
/// is not refuted by pods that look well.
pub fn state_decides(alerts: &[String]) -> bool {
    alerts.iter().all(|alert| family(alert).is_some_and(|family| family.by_state))
}

/// Do these alerts fire by design, and no other beside them?
pub fn fire_by_design(alerts: &[String]) -> bool {
    !alerts.is_empty() && alerts.iter().all(|alert| BY_DESIGN.contains(&alert.as_str()))
}

fn family(alert: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.alerts.iter().any(|pattern| fits(pattern, alert)))
}

fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_alerts_about_the_state_of_objects_are_refuted_by_it() {
        for name in [
            "KubePodCrashLooping",
            "KubeDeploymentReplicasMismatch",
            "KubeHpaMaxedOut",
            "KubeJobFailed",
            "KubeNodeNotReady",
        ] {
            assert!(state_decides(&owned(&[name])), "{name}");
        }
        for name in [
            "HighErrorRate",
            "TargetDown",
            "CPUThrottlingHigh",
            "KubePersistentVolumeFillingUp",
            "NodeFilesystemAlmostOutOfSpace",
            "Anything",
        ] {
            assert!(!state_decides(&owned(&["KubePodNotReady", name])), "{name}");
        }
        assert!(state_decides(&[]), "nobody asked about anything else");
    }

    #[test]
    fn what_fires_by_design_does_so_only_alone() {
        assert!(
            fire_by_design(&owned(&["Watchdog"])) && fire_by_design(&owned(&["InfoInhibitor", "Watchdog"]))
        );
        assert!(!fire_by_design(&[]) && !fire_by_design(&owned(&["Watchdog", "KubePodNotReady"])));
    }
}
