//! Pods as rows: phase, readiness, scheduling, owner, requests. Pure.

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition, Probe};

use super::focus::{Focus, name_of, owners};
use super::ledger::{Ledger, Page, clean};
use super::objects::Objects;
use super::{containers, units};
use crate::facts::PodFact;
use crate::source::kubernetes::{Requested, controller};

/// A pod this young that is not failing is starting, not unhealthy, in seconds.
const STARTING_SECS: i64 = 60;
/// A pod that failed longer ago is no part of what is wrong now, in seconds.
const LONG_FINISHED_SECS: i64 = 60 * 60;
/// A probe that is given longer than this to succeed is not waited for longer, in seconds.
const MAX_GRACE_SECS: i64 = 600;

pub fn rows(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger, page: Page) -> Vec<PodFact> {
    focus.pods.iter().map(|pod| row(objects, pod, ledger, page)).collect()
}

/// Ready, or finished as it should, or still starting.
pub fn is_healthy(objects: &Objects, pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    match status.and_then(|status| status.phase.as_deref()) {
        Some("Succeeded") => true,
        Some("Failed") => superseded(objects, pod),
        _ if is_ready(pod) => true,
        _ => {
            let age = created_at(pod).map_or(i64::MAX, |at| (objects.now - at).num_seconds());
            let restarted = statuses(pod).any(|status| status.restart_count > 0);
            let grace = if restarted { STARTING_SECS } else { STARTING_SECS.max(grace(pod)) };
            age < grace && !containers::any_bad_reason(pod)
        }
    }
}

/// Unhealthy, and not merely the rest of a failure that was over long ago. A pod that runs and is not ready
/// counts.
pub fn is_unhealthy_now(objects: &Objects, pod: &Pod) -> bool {
    let failed = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed");
    let ended = statuses(pod).filter_map(|status| {
        let end = status.state.as_ref()?.terminated.as_ref()?;
        end.finished_at.as_ref().and_then(units::time)
    });
    let last = ended.max().or_else(|| created_at(pod));
    let long_ago = last.is_some_and(|at| (objects.now - at).num_seconds() > LONG_FINISHED_SECS);
    !(is_healthy(objects, pod) || failed && long_ago)
}

/// How long a container may be not ready by its own probes' settings, in seconds: the startup probe's time
/// and then the readiness probe's. The longest of the pod's containers counts.
pub fn grace(pod: &Pod) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(grace_of).max().unwrap_or(0)
}

/// The same for one container.
pub fn grace_of(container: &Container) -> i64 {
    let of = |probe: Option<&Probe>| {
        probe.map_or(0, |probe| {
            let (delay, period) =
                (probe.initial_delay_seconds.unwrap_or(0), probe.period_seconds.unwrap_or(10));
            i64::from(delay) + i64::from(probe.failure_threshold.unwrap_or(3)) * i64::from(period)
        })
    };
    (of(container.startup_probe.as_ref()) + of(container.readiness_probe.as_ref())).clamp(0, MAX_GRACE_SECS)
}

/// A failed pod that its controller has already made good for.
fn superseded(objects: &Objects, pod: &Pod) -> bool {
    let chain = owners(objects, pod);
    chain.iter().any(|(kind, name)| match kind.as_str() {
        "Job" => {
            let job = objects.jobs.items.iter().find(|job| name_of(&job.metadata) == name);
            let conditions = job.and_then(|job| job.status.as_ref()?.conditions.as_deref());
            conditions.unwrap_or_default().iter().any(|c| c.type_ == "Complete" && c.status == "True")
        }
        "ReplicaSet" => {
            let set = objects.replica_sets.items.iter().find(|set| name_of(&set.metadata) == name);
            set.is_some_and(|set| {
                let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
                ready >= set.spec.replicas.unwrap_or(1)
            })
        }
        // A DaemonSet leaves an evicted pod behind and makes another on the same node.
        "DaemonSet" => objects.pods.items.iter().any(|other| {
            let owner = controller(&other.metadata);
            is_ready(other)
                && owner.is_some_and(|owner| owner.kind == "DaemonSet" && owner.name == *name)
                && super::shared::node_of(other) == super::shared::node_of(pod)
        }),
        _ => false,
    })
}

pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_deref()?.iter().find(|condition| condition.type_ == kind)
}

pub fn created_at(pod: &Pod) -> Option<DateTime<Utc>> {
    pod.metadata.creation_timestamp.as_ref().and_then(units::time)
}

/// Statuses of main and init containers together.
pub fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
    let main = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    init.iter().chain(main)
}

/// What the scheduler counts for a pod: the containers together, or the largest init container.
pub fn requested(pod: &Pod) -> Requested {
    let Some(spec) = pod.spec.as_ref() else { return Requested::default() };
    let one = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        (units::millis(units::quantity(requests, "cpu")), units::units(units::quantity(requests, "memory")))
    };
    let mut sum = (0, 0);
    for container in &spec.containers {
        let (cpu, memory) = one(container);
        sum = (sum.0 + cpu, sum.1 + memory);
    }
    let (mut cpu_millis, mut memory_bytes) = sum;
    let mut sidecars = (0, 0);
    for container in spec.init_containers.iter().flatten() {
        let (cpu, memory) = one(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars = (sidecars.0 + cpu, sidecars.1 + memory);
        } else {
            cpu_millis = cpu_millis.max(cpu + sidecars.0);
            memory_bytes = memory_bytes.max(memory + sidecars.1);
        }
    }
    cpu_millis = cpu_millis.max(sum.0 + sidecars.0);
    memory_bytes = memory_bytes.max(sum.1 + sidecars.1);
    let overhead = spec.overhead.as_ref();
    Requested {
        cpu_millis: cpu_millis + units::millis(units::quantity(overhead, "cpu")),
        memory_bytes: memory_bytes + units::units(units::quantity(overhead, "memory")),
        pods: 1,
    }
}

fn row(objects: &Objects, pod: &Pod, ledger: &mut Ledger, page: Page) -> PodFact {
    let (status, spec) = (pod.status.as_ref(), pod.spec.as_ref());
    let owner = controller(&pod.metadata);
    let requested = requested(pod);
    let created_at = created_at(pod);
    let unscheduled = condition(pod, "PodScheduled").filter(|condition| condition.status != "True");
    let text = |value: Option<&String>| value.map(|value| clean(value)).unwrap_or_default();
    let mut row = PodFact {
        name: name_of(&pod.metadata).to_owned(),
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        phase: text(status.and_then(|status| status.phase.as_ref())),
        reason: text(status.and_then(|status| status.reason.as_ref())),
        message: text(status.and_then(|status| status.message.as_ref())),
        node: text(spec.and_then(|spec| spec.node_name.as_ref())),
        ready: is_ready(pod),
        healthy: is_healthy(objects, pod),
        scheduled: spec.is_some_and(|spec| spec.node_name.is_some()),
        unscheduled_reason: text(unscheduled.and_then(|condition| condition.reason.as_ref())),
        unscheduled_message: text(unscheduled.and_then(|condition| condition.message.as_ref())),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        finalizers: pod.metadata.finalizers.clone().unwrap_or_default(),
        created_at,
        age_seconds: created_at.map_or(0, |at| (objects.now - at).num_seconds()),
        revision: owner.as_ref().map(|owner| revision(objects, &owner.name)).unwrap_or_default(),
        owner_kind: owner.as_ref().map(|owner| owner.kind.clone()).unwrap_or_default(),
        owner_name: owner.map(|owner| owner.name).unwrap_or_default(),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        service_account: text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        qos: text(status.and_then(|status| status.qos_class.as_ref())),
        restarts: statuses(pod).map(|status| i64::from(status.restart_count)).sum(),
        cpu_request_millis: requested.cpu_millis,
        memory_request_bytes: requested.memory_bytes,
        node_selector: spec.and_then(|spec| spec.node_selector.clone()).unwrap_or_default(),
        evidence: String::new(),
        quote: String::new(),
    };
    let quote = ledger.line(page, &line(&row, pod));
    (row.evidence, row.quote) = (quote.evidence, quote.text);
    row
}

fn line(row: &PodFact, pod: &Pod) -> String {
    let main =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let total = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    let mut line = format!(
        "pod {}: {}, {}/{total} ready, age {}",
        row.name,
        row.phase,
        main.iter().filter(|status| status.ready).count(),
        units::span(row.age_seconds),
    );
    if row.scheduled {
        line.push_str(&format!(", on {}", row.node));
    }
    if !row.reason.is_empty() {
        line.push_str(&format!(", {}: {}", row.reason, row.message));
    }
    if !row.unscheduled_reason.is_empty() {
        line.push_str(&format!(", {}: {}", row.unscheduled_reason, row.unscheduled_message));
    }
    if row.cpu_request_millis > 0 || row.memory_request_bytes > 0 {
        line.push_str(&format!(
            ", requests {}m CPU and {} Mi",
            row.cpu_request_millis,
            row.memory_request_bytes / (1024 * 1024)
        ));
    }
    if row.terminating {
        line.push_str(&format!(", terminating, finalizers [{}]", row.finalizers.join(", ")));
    }
    line
}

fn revision(objects: &Objects, set: &str) -> String {
    let set = objects.replica_sets.items.iter().find(|candidate| name_of(&candidate.metadata) == set);
    let annotations = set.and_then(|set| set.metadata.annotations.as_ref());
    annotations
        .and_then(|annotations| annotations.get("deployment.kubernetes.io/revision"))
        .cloned()
        .unwrap_or_default()
}
