//! The runbooks in the binary. One list; a test compares it with the folder.

/// Path below `runbooks/` and text.
pub(super) const FILES: &[(&str, &str)] = &[
    ("kubernetes/configuration.md", include_str!("../../runbooks/kubernetes/configuration.md")),
    ("kubernetes/crash.md", include_str!("../../runbooks/kubernetes/crash.md")),
    ("kubernetes/hpa.md", include_str!("../../runbooks/kubernetes/hpa.md")),
    ("kubernetes/image.md", include_str!("../../runbooks/kubernetes/image.md")),
    ("kubernetes/init.md", include_str!("../../runbooks/kubernetes/init.md")),
    ("kubernetes/job.md", include_str!("../../runbooks/kubernetes/job.md")),
    ("kubernetes/kubernetes.md", include_str!("../../runbooks/kubernetes/kubernetes.md")),
    ("kubernetes/memory.md", include_str!("../../runbooks/kubernetes/memory.md")),
    ("kubernetes/network.md", include_str!("../../runbooks/kubernetes/network.md")),
    ("kubernetes/node.md", include_str!("../../runbooks/kubernetes/node.md")),
    ("kubernetes/probes.md", include_str!("../../runbooks/kubernetes/probes.md")),
    ("kubernetes/quota.md", include_str!("../../runbooks/kubernetes/quota.md")),
    ("kubernetes/rollout.md", include_str!("../../runbooks/kubernetes/rollout.md")),
    ("kubernetes/scheduling.md", include_str!("../../runbooks/kubernetes/scheduling.md")),
    ("kubernetes/scraping.md", include_str!("../../runbooks/kubernetes/scraping.md")),
    ("kubernetes/storage.md", include_str!("../../runbooks/kubernetes/storage.md")),
    ("kubernetes/usage.md", include_str!("../../runbooks/kubernetes/usage.md")),
];

/// The general runbook, by which a checkout of this folder is known.
pub(super) const GENERAL: &str = "kubernetes/kubernetes.md";

/// Built-in runbooks are known below this folder.
pub const FOLDER: &str = "builtin/";

/// The path under which a built-in runbook is known.
pub(super) fn path(below: &str) -> String {
    format!("{FOLDER}{below}")
}
