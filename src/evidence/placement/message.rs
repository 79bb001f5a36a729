//! The scheduler's own message, read for the kinds of constraint that it names. A text comes in, names go out.
//! It is only asked where the nodes do not decide: its first item is no cause.

/// What the message names beside what every cluster's message names (control-plane taints, cordoned nodes).
const KINDS: [(&str, &[&str]); 15] = [
    ("cpu", &["Insufficient cpu"]),
    ("memory", &["Insufficient memory"]),
    ("pod-limit", &["Too many pods"]),
    ("node-selector", &["node affinity/selector", "match node selector"]),
    ("pod-anti-affinity", &["anti-affinity rules"]),
    ("pod-affinity", &["match pod affinity rules"]),
    ("topology-spread", &["topology spread constraints"]),
    ("host-port", &["free ports for the requested pod ports"]),
    (
        "volume-affinity",
        &["volume node affinity conflict", "PersistentVolume's node affinity", "no available volume zone"],
    ),
    ("volume-limit", &["max volume count"]),
    ("device", &["cannot allocate all claims", "resourceclaim"]),
    ("cordon", &["were unschedulable"]),
    ("claim", &[WHOLE_POD, PER_NODE, "persistentvolumeclaim"]),
    ("node-condition", &["untolerated taint {node.kubernetes.io/", "had taint {node.kubernetes.io/"]),
    ("taint", &["untolerated taint", "had taint {"]),
];

/// Told of single nodes, and of the pod before any node is looked at.
const PER_NODE: &str = "available persistent volumes to bind";
const WHOLE_POD: &str = "unbound immediate PersistentVolumeClaims";

/// Constraints that nodes are compared for with all that is needed; the message cannot know better.
const COMPARED: [&str; 9] = [
    "cpu",
    "memory",
    "resource",
    "pod-limit",
    "node-selector",
    "node-affinity",
    "host-port",
    "taint",
    "topology-spread",
];

/// The only constraint that the message leaves when side items are put aside; None when several are left.
pub fn sole(message: &str) -> Option<&'static str> {
    let found = items(message);
    if found.contains(&"claim") {
        return Some("claim");
    }
    for aside in [
        &[][..],
        &["control-plane"],
        &["control-plane", "cordon"],
        &["control-plane", "cordon", "node-condition"],
        // Newer messages name no taint, so that the control plane's looks like any other.
        &["control-plane", "cordon", "node-condition", "taint"],
    ] {
        let left: Vec<&&str> = found.iter().filter(|kind| !aside.contains(kind)).collect();
        if let [only] = left.as_slice() {
            return Some(if **only == "control-plane" { "taint" } else { only });
        }
    }
    None
}

/// The scheduler looked at nodes and found no volume on some of them.
pub fn waits_for_volume(message: &str) -> bool {
    message.contains(PER_NODE) && !message.contains(WHOLE_POD)
}

/// Whether the comparison with nodes, where it was complete, would have found this.
pub fn compared(kind: &str) -> bool {
    COMPARED.contains(&kind)
}

fn items(message: &str) -> Vec<&'static str> {
    // What preemption would change is told after the reasons, in the same words.
    let head = message.split("preemption:").next().unwrap_or(message);
    let mut found: Vec<&'static str> = Vec::new();
    let parts = head.split(", ").flat_map(|part| part.split(". ")).flat_map(|part| part.split("available:"));
    for part in parts {
        let part = part.trim().trim_end_matches('.');
        let named = || KINDS.iter().find(|(_, words)| words.iter().any(|words| part.contains(words)));
        let kind = if part.contains("taint") && (part.contains("/control-plane") || part.contains("/master"))
        {
            Some("control-plane")
        } else if part.contains("Insufficient ") && !part.ends_with(" cpu") && !part.ends_with(" memory") {
            Some("resource")
        } else {
            named().map(|(kind, _)| *kind)
        };
        found.extend(kind.filter(|kind| !found.contains(kind)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_decides_only_when_one_reason_is_left() {
        for (message, expected) in [
            (
                "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
                Some("cpu"),
            ),
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient memory.",
                Some("memory"),
            ),
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 node(s) had untolerated taint {dedicated: db}.",
                Some("taint"),
            ),
            (
                "0/1 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }.",
                Some("taint"),
            ),
            (
                "0/2 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 1 node(s) were unschedulable.",
                Some("cordon"),
            ),
            (
                "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient nvidia.com/gpu.",
                Some("resource"),
            ),
            (
                "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector.",
                None,
            ),
            (
                "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
                Some("claim"),
            ),
            ("persistentvolumeclaim \"x\" not found", Some("claim")),
            ("0/2 nodes are available: 2 node(s) had untolerated taint(s).", Some("taint")),
            (
                "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
                Some("pod-anti-affinity"),
            ),
            (
                "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.",
                Some("pod-anti-affinity"),
            ),
            (
                "0/2 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 1 node(s) exceed max volume count.",
                Some("volume-limit"),
            ),
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) exceed max volume count.",
                Some("volume-limit"),
            ),
            (
                "0/2 nodes are available: 2 node(s) had volume node affinity conflict.",
                Some("volume-affinity"),
            ),
            ("", None),
        ] {
            assert_eq!(sole(message), expected, "{message}");
        }
    }
}
