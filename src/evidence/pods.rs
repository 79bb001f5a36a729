//! Pods as rows: phase, readiness, scheduling, owner, requests. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition, PodSpec, Probe};

use super::focus::{Focus, name_of, owners};
use super::ledger::{Ledger, Page, clean, clean_labels};
use super::objects::Objects;
use super::{containers, dependencies, units};
use crate::facts::PodFact;
use crate::source::kubernetes::{Requested, controller};

/// A pod this young that is not failing is starting, not unhealthy, in seconds.
const STARTING_SECS: i64 = 60;
/// A pod that failed longer ago is no part of what is wrong now, in seconds.
const LONG_FINISHED_SECS: i64 = 60 * 60;
/// A probe that is given longer than this to succeed is not waited for longer, in seconds.
const MAX_GRACE_SECS: i64 = 600;
/// What a kubelet needs to tell that a pod has stopped, after the pod's own grace period, in seconds.
const LEAVING_SECS: i64 = 30;

/// The scheduler of pods that name none.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

pub fn rows(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger, page: Page) -> Vec<PodFact> {
    focus.pods.iter().map(|pod| row(objects, pod, ledger, page)).collect()
}

/// Ready, or finished as it should, or still starting, or asked to stop just now.
pub fn is_healthy(objects: &Objects, pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    match status.and_then(|status| status.phase.as_deref()) {
        Some("Succeeded") => true,
        Some("Failed") => superseded(objects, pod),
        _ if is_ready(pod) || is_leaving(objects, pod) => true,
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

/// Deleted, and within the time that it was given to stop: not being ready is what is asked of it.
pub fn is_leaving(objects: &Objects, pod: &Pod) -> bool {
    // The API has added the grace period to it.
    let until = pod.metadata.deletion_timestamp.as_ref().and_then(units::time);
    until.is_some_and(|until| (objects.now - until).num_seconds() < LEAVING_SECS)
}

/// A failed pod that its controller has already made good for.
fn superseded(objects: &Objects, pod: &Pod) -> bool {
    let chain = owners(objects, pod);
    chain.iter().any(|(kind, name)| match kind.as_str() {
        "Job" => {
            let job = objects.jobs.items.iter().find(|job| name_of(&job.metadata) == name);
            job.is_some_and(|job| is_complete(job) || overtaken(objects, job))
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

fn is_complete(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref());
    conditions.unwrap_or_default().iter().any(|c| c.type_ == "Complete" && c.status == "True")
}

/// A later run of the same CronJob has succeeded.
fn overtaken(objects: &Objects, job: &Job) -> bool {
    let cronjob = |job: &Job| {
        let owner = controller(&job.metadata).filter(|owner| owner.kind == "CronJob");
        owner.map(|owner| (job.metadata.namespace.clone(), owner.name))
    };
    let made_at = |job: &Job| job.metadata.creation_timestamp.as_ref().and_then(units::time);
    let Some(own) = cronjob(job) else { return false };
    let mut others = objects.jobs.items.iter().filter(|other| made_at(other) > made_at(job));
    others.any(|other| is_complete(other) && cronjob(other).as_ref() == Some(&own))
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

/// What the scheduler counts for a pod: the containers together, or the largest init container with the
/// sidecars before it; what the pod asks for as a whole goes before both.
pub fn requested(pod: &Pod) -> Requested {
    let Some(spec) = pod.spec.as_ref() else { return Requested::default() };
    let (mut sum, mut sidecars, mut largest) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for container in &spec.containers {
        add(&mut sum, &requests(container));
    }
    for container in spec.init_containers.iter().flatten() {
        let mut own = requests(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &own);
        } else {
            add(&mut own, &sidecars);
            raise(&mut largest, &own);
        }
    }
    add(&mut sum, &sidecars);
    raise(&mut sum, &largest);
    for (name, quantity) in spec.resources.iter().filter_map(|own| own.requests.as_ref()).flatten() {
        sum.insert(name.clone(), units::millis(&quantity.0));
    }
    let overhead = spec.overhead.iter().flatten();
    add(&mut sum, &overhead.map(|(name, quantity)| (name.clone(), units::millis(&quantity.0))).collect());
    let memory_millis = sum.remove("memory").unwrap_or(0);
    Requested {
        cpu_millis: sum.remove("cpu").unwrap_or(0),
        memory_bytes: memory_millis / 1000 + i64::from(memory_millis % 1000 > 0),
        other_millis: sum.into_iter().filter(|(_, millis)| *millis > 0).collect(),
        host_ports: host_ports(spec),
        pods: 1,
    }
}

type Amounts = BTreeMap<String, i64>;

fn requests(container: &Container) -> Amounts {
    let requests = container.resources.iter().filter_map(|resources| resources.requests.as_ref()).flatten();
    requests.map(|(name, quantity)| (name.clone(), units::millis(&quantity.0))).collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, millis) in more {
        let total = sum.entry(name.clone()).or_default();
        *total = total.saturating_add(*millis);
    }
}

fn raise(least: &mut Amounts, other: &Amounts) {
    for (name, millis) in other {
        let known = least.entry(name.clone()).or_default();
        *known = (*known).max(*millis);
    }
}

fn host_ports(spec: &PodSpec) -> BTreeSet<String> {
    let sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(sidecar);
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let any = |ip: &&str| !ip.is_empty() && *ip != "0.0.0.0" && *ip != "::";
            Some(match port.host_ip.as_deref().filter(any) {
                Some(address) => format!("{address}:{number}/{protocol}"),
                None => format!("{number}/{protocol}"),
            })
        })
        .collect()
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
        node_exists: node_exists(objects, spec.and_then(|spec| spec.node_name.as_deref())).to_owned(),
        ready: is_ready(pod),
        healthy: is_healthy(objects, pod),
        scheduled: spec.is_some_and(|spec| spec.node_name.is_some()),
        unscheduled_reason: text(unscheduled.and_then(|condition| condition.reason.as_ref())),
        unscheduled_message: text(unscheduled.and_then(|condition| condition.message.as_ref())),
        blocked_by: Vec::new(),
        blocked_from: String::new(),
        scheduler_name: text(spec.and_then(|spec| spec.scheduler_name.as_ref())),
        gates: spec
            .and_then(|spec| spec.scheduling_gates.as_deref())
            .unwrap_or_default()
            .iter()
            .map(|gate| clean(&gate.name))
            .collect(),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        finalizers: pod.metadata.finalizers.clone().unwrap_or_default(),
        created_at,
        age_seconds: created_at.map_or(0, |at| (objects.now - at).num_seconds()),
        revision: owner.as_ref().map(|owner| revision(objects, pod, &owner.name)).unwrap_or_default(),
        owner_kind: owner.as_ref().map(|owner| owner.kind.clone()).unwrap_or_default(),
        owner_name: owner.map(|owner| owner.name).unwrap_or_default(),
        labels: clean_labels(pod.metadata.labels.as_ref()),
        service_account: text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        resolver: dependencies::resolver(spec).to_owned(),
        qos: text(status.and_then(|status| status.qos_class.as_ref())),
        restarts: statuses(pod).map(|status| i64::from(status.restart_count)).sum(),
        cpu_request_millis: requested.cpu_millis,
        memory_request_bytes: requested.memory_bytes,
        node_selector: clean_labels(spec.and_then(|spec| spec.node_selector.as_ref())),
        evidence: String::new(),
        quote: String::new(),
    };
    let quote = ledger.line(page, &line(&row, pod));
    (row.evidence, row.quote) = (quote.evidence, quote.text);
    row
}

fn node_exists(objects: &Objects, node: Option<&str>) -> &'static str {
    let Some(node) = node.filter(|_| objects.nodes.known) else { return "unknown" };
    if objects.nodes.items.iter().any(|known| name_of(&known.metadata) == node) { "yes" } else { "no" }
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
        let gone = if row.node_exists == "no" { " which does not exist" } else { "" };
        line.push_str(&format!(", on {}{gone}", row.node));
    } else if !matches!(row.scheduler_name.as_str(), "" | DEFAULT_SCHEDULER) {
        line.push_str(&format!(", schedulerName {}", row.scheduler_name));
    }
    if !row.gates.is_empty() {
        line.push_str(&format!(", scheduling gates {}", row.gates.join(", ")));
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
    if row.resolver != "cluster" {
        line.push_str(&format!(", its lookups are answered by {}", resolver_words(&row.resolver)));
    }
    if row.terminating {
        line.push_str(&format!(", terminating, finalizers [{}]", row.finalizers.join(", ")));
    }
    line
}

fn resolver_words(resolver: &str) -> &'static str {
    if resolver == "own" { "nameservers of its own" } else { "its node's resolver" }
}

fn revision(objects: &Objects, pod: &Pod, owner: &str) -> String {
    let set = objects.replica_sets.items.iter().find(|candidate| name_of(&candidate.metadata) == owner);
    let annotations = set.and_then(|set| set.metadata.annotations.as_ref());
    let of_set = annotations.and_then(|annotations| annotations.get("deployment.kubernetes.io/revision"));
    let of_others = || controller_revision(objects, pod)?.revision.map(|number| number.to_string());
    of_set.cloned().or_else(of_others).unwrap_or_default()
}

/// What a pod of a StatefulSet or a DaemonSet was made from. The one labels it with the revision's name, the
/// other with the end of it.
pub fn controller_revision<'o>(objects: &'o Objects, pod: &Pod) -> Option<&'o ControllerRevision> {
    let owner = controller(&pod.metadata)?;
    let hash = pod.metadata.labels.as_ref()?.get("controller-revision-hash")?;
    let with_owner = format!("{}-{hash}", owner.name);
    objects.revisions.items.iter().find(|revision| {
        let name = name_of(&revision.metadata);
        revision.metadata.namespace == pod.metadata.namespace && (name == hash || name == with_owner)
    })
}
