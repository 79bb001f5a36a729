//! Events that concern the workload and still mean something: on the cluster's clock, of objects that
//! live, not overtaken by what has happened since. Both shapes are read: `lastTimestamp` with `count`,
//! and `eventTime` with `series`. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::focus::{Focus, name_of};
use super::ledger::{Ledger, clean};
use super::objects::Objects;
use super::pods;
use super::units::{self, clock};
use crate::facts::{ContainerFact, EventFact};

/// Events this long before the trouble began belong to an earlier one.
pub(super) const WINDOW_MINUTES: i64 = 30;
/// Most rows; Warnings and newer ones come first.
const MAX_EVENTS: usize = 120;
/// A probe failure this old means nothing once the container is ready, in seconds.
const READY_AGAIN_SECS: i64 = 120;
/// Probe failures this soon after a pod was made are start-up noise when others follow, in seconds.
const STARTING_SECS: i64 = 30;

/// Rows in order of time.
pub fn rows(
    objects: &Objects,
    focus: &Focus<'_>,
    began: Option<DateTime<Utc>>,
    ledger: &mut Ledger,
) -> (Vec<EventFact>, ProbeEvents) {
    if !objects.events.known {
        return (Vec::new(), ProbeEvents::default());
    }
    let page = ledger.open("kubernetes", &objects.events.query, objects.events.milliseconds);
    let window = began.unwrap_or(objects.now).min(objects.now) - Duration::minutes(WINDOW_MINUTES);
    let mut probes = ProbeEvents::default();
    let mut rows: Vec<EventFact> = objects
        .events
        .items
        .iter()
        .filter(|event| {
            let object = &event.involved_object;
            let (kind, name) = (object.kind.as_deref(), object.name.as_deref());
            focus.concerns(kind.unwrap_or_default(), name.unwrap_or_default())
        })
        .filter(|event| lives(objects, event) && !overtaken(objects, event))
        .map(|event| (event, row(event, objects.now)))
        .filter(|(_, row)| row.last_at.is_none_or(|at| at >= window) || still_true(objects, row))
        .map(|(event, row)| {
            probes.take(event, &row);
            row
        })
        .collect();
    rows.sort_by_key(|row| (row.level != "Warning", std::cmp::Reverse(row.last_at)));
    rows.truncate(MAX_EVENTS);
    rows.sort_by_key(|row| (row.last_at, row.kind.clone(), row.name.clone(), row.reason.clone()));
    for row in &mut rows {
        let quote = ledger.line(page, &line(row, objects.now));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    (rows, probes)
}

pub fn row(event: &Event, now: DateTime<Utc>) -> EventFact {
    let series = event.series.as_ref();
    let event_time = event.event_time.as_ref().and_then(units::micro_time);
    let last_observed =
        series.and_then(|series| series.last_observed_time.as_ref()).and_then(units::micro_time);
    let last_stamp = event.last_timestamp.as_ref().and_then(units::time);
    let created_at = event.metadata.creation_timestamp.as_ref().and_then(units::time);
    let first_at = event.first_timestamp.as_ref().and_then(units::time).or(event_time).or(created_at);
    let last_at = [last_observed, last_stamp, event_time].into_iter().flatten().max().or(first_at);
    let component = event.source.as_ref().and_then(|source| source.component.clone());
    EventFact {
        kind: event.involved_object.kind.clone().unwrap_or_default(),
        name: event.involved_object.name.clone().unwrap_or_default(),
        namespace: event.involved_object.namespace.clone().unwrap_or_default(),
        container: container_of(event).to_owned(),
        level: event.type_.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        message: clean(event.message.as_deref().unwrap_or_default()),
        count: i64::from(event.count.or(series.and_then(|series| series.count)).unwrap_or(1)).max(1),
        first_at,
        last_at,
        age_seconds: last_at.map_or(0, |at| (now - at).num_seconds()),
        component: component.or_else(|| event.reporting_component.clone()).unwrap_or_default(),
        evidence: String::new(),
        quote: String::new(),
    }
}

pub fn line(row: &EventFact, now: DateTime<Utc>) -> String {
    let at = row.last_at.map(|at| clock(at, now)).unwrap_or_default();
    let times = if row.count > 1 { format!(" ×{}", row.count) } else { String::new() };
    let kind = row.kind.to_lowercase();
    format!("event {at} {} {} {kind}/{}{times}: {}", row.level, row.reason, row.name, row.message)
}

fn pod_of<'a>(objects: &'a Objects, event: &Event) -> Option<&'a Pod> {
    let object = &event.involved_object;
    (object.kind.as_deref() == Some("Pod")).then_some(())?;
    objects.pods.items.iter().find(|pod| pod.metadata.name == object.name)
}

/// An event of an earlier object of the same name says nothing about this one.
fn lives(objects: &Objects, event: &Event) -> bool {
    if event.involved_object.kind.as_deref() != Some("Pod") || !objects.pods.known {
        return true;
    }
    let uid = event.involved_object.uid.as_deref().unwrap_or_default();
    pod_of(objects, event)
        .is_some_and(|pod| uid.is_empty() || pod.metadata.uid.as_deref().is_none_or(|own| own == uid))
}

/// The step that the event complains about has been taken since.
fn overtaken(objects: &Objects, event: &Event) -> bool {
    if event.type_.as_deref() != Some("Warning") {
        return false;
    }
    let reason = event.reason.as_deref().unwrap_or_default();
    if reason == "ProvisioningFailed" || reason == "FailedBinding" {
        let claims = &objects.claims.items;
        let claim = claims.iter().find(|claim| claim.metadata.name == event.involved_object.name);
        let phase = claim.and_then(|claim| claim.status.as_ref()?.phase.as_deref());
        return phase == Some("Bound");
    }
    if reason == "FailedCreate" {
        return made_good(objects, event);
    }
    let Some(pod) = pod_of(objects, event) else { return false };
    let started = || {
        pods::statuses(pod).any(|status| {
            let state = status.state.as_ref();
            status.restart_count > 0
                || state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
        })
    };
    match reason {
        "FailedScheduling" => pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()),
        "FailedMount" | "FailedAttachVolume" | "FailedCreatePodSandBox" => started(),
        "Failed" => started_since(objects, pod, event),
        "Unhealthy" if pods::is_ready(pod) => {
            let last = row(event, objects.now);
            last.age_seconds > READY_AGAIN_SECS && last.message.starts_with("Readiness")
        }
        "Unhealthy" => is_start_up_noise(objects, pod, event),
        _ => false,
    }
}

/// The controller whose pods could not be created has them all now: a ServiceAccount that came late, a quota
/// that was raised.
fn made_good(objects: &Objects, event: &Event) -> bool {
    let object = &event.involved_object;
    let is = |metadata: &ObjectMeta| {
        metadata.name == object.name
            && (object.uid.is_none() || metadata.uid.is_none() || metadata.uid == object.uid)
    };
    match object.kind.as_deref() {
        Some("ReplicaSet") => objects.replica_sets.items.iter().any(|set| {
            let made = set.status.as_ref().map_or(0, |status| status.replicas);
            is(&set.metadata) && made >= set.spec.replicas.unwrap_or(1)
        }),
        Some("StatefulSet") => objects.stateful_sets.items.iter().any(|set| {
            let made = set.status.as_ref().map_or(0, |status| status.replicas);
            is(&set.metadata) && made >= set.spec.replicas.unwrap_or(1)
        }),
        Some("DaemonSet") => objects.daemon_sets.items.iter().any(|set| {
            let status = set.status.as_ref();
            let made = status.is_some_and(|one| one.current_number_scheduled >= one.desired_number_scheduled);
            is(&set.metadata) && made
        }),
        Some("Job") => objects.jobs.items.iter().any(|job| is(&job.metadata) && has_its_pods(job)),
        _ => false,
    }
}

/// A Job that runs as many pods as it may and needs.
fn has_its_pods(job: &Job) -> bool {
    let (spec, status) = (job.spec.as_ref(), job.status.as_ref());
    let parallelism = spec.and_then(|spec| spec.parallelism).unwrap_or(1);
    let succeeded = status.and_then(|status| status.succeeded).unwrap_or(0);
    let needed = spec.and_then(|spec| spec.completions).map_or(parallelism, |all| all - succeeded);
    status.and_then(|status| status.active).unwrap_or(0) >= parallelism.min(needed)
}

/// The container that the event names was started later, so what it needed was there by then.
fn started_since(objects: &Objects, pod: &Pod, event: &Event) -> bool {
    let container = container_of(event);
    let own = pods::statuses(pod).filter(|status| status.name == container);
    let starts = own.flat_map(|status| [status.state.as_ref(), status.last_state.as_ref()]).flatten();
    let start = starts.filter_map(|state| {
        let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
        let ended = state.terminated.as_ref().and_then(|ended| ended.started_at.as_ref());
        running.or(ended).and_then(units::time)
    });
    let last = row(event, objects.now).last_at;
    start.max().zip(last).is_some_and(|(start, last)| start > last)
}

/// `spec.containers{inventory}` names inventory; "" when the event does not name its container.
fn container_of(event: &Event) -> &str {
    let path = event.involved_object.field_path.as_deref().unwrap_or_default();
    path.split_once('{').and_then(|(_, rest)| rest.strip_suffix('}')).unwrap_or_default()
}

/// A readiness or startup probe that failed within the time its settings give it, or that failed while the
/// pod was starting and has failed again since: the later words count.
fn is_start_up_noise(objects: &Objects, pod: &Pod, event: &Event) -> bool {
    let last = |event: &Event| row(event, objects.now).last_at;
    let at = last(event);
    if in_its_time(pod, event, at) {
        return true;
    }
    let starting = at
        .zip(pods::created_at(pod))
        .is_some_and(|(at, created)| (at - created).num_seconds() < STARTING_SECS);
    let probe =
        |event: &Event| event.message.as_deref().and_then(|text| text.split(' ').next().map(str::to_owned));
    let later = |other: &&Event| {
        other.reason == event.reason
            && other.involved_object.uid == event.involved_object.uid
            && probe(other) == probe(event)
            && last(other) > at
    };
    starting && objects.events.items.iter().any(|other| later(&other))
}

fn in_its_time(pod: &Pod, event: &Event, at: Option<DateTime<Utc>>) -> bool {
    let message = event.message.as_deref().unwrap_or_default();
    let waits = message.starts_with("Readiness") || message.starts_with("Startup");
    let name = container_of(event);
    if !waits || name.is_empty() {
        return false;
    }
    let container = pod.spec.iter().flat_map(|spec| &spec.containers).find(|one| one.name == name);
    let status = pods::statuses(pod).find(|status| status.name == name);
    let running = status.and_then(|status| status.state.as_ref()?.running.as_ref());
    // Since this start, not since the pod's: what was said of an earlier instance is no noise of this one.
    let started = running.and_then(|running| running.started_at.as_ref()).and_then(units::time);
    match (container, started, at) {
        (Some(container), Some(started), Some(at)) => {
            at >= started && (at - started).num_seconds() < pods::grace_of(container)
        }
        _ => false,
    }
}

/// Older than the window, yet the object is in the very state that the event tells of.
fn still_true(objects: &Objects, row: &EventFact) -> bool {
    if row.level != "Warning" {
        return false;
    }
    let pod = objects.pods.items.iter().find(|pod| name_of(&pod.metadata) == row.name);
    match (row.kind.as_str(), row.reason.as_str()) {
        ("Pod", "FailedScheduling") => {
            pod.is_some_and(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_none()))
        }
        ("Job", "BackoffLimitExceeded" | "DeadlineExceeded" | "PodFailurePolicy") => true,
        ("PersistentVolumeClaim", "ProvisioningFailed" | "FailedBinding") => true,
        // Told once, and true until the schedule is changed.
        ("CronJob", "UnparseableSchedule" | "InvalidSchedule" | "UnknownTimeZone") => true,
        _ => false,
    }
}

/// Probe failures and probe kills per pod.
#[derive(Default)]
pub struct ProbeEvents {
    by_pod: BTreeMap<String, Vec<ProbeEvent>>,
}

struct ProbeEvent {
    /// "" when the event does not name its container.
    container: String,
    reason: String,
    message: String,
    last_at: Option<DateTime<Utc>>,
}

impl ProbeEvents {
    fn take(&mut self, event: &Event, row: &EventFact) {
        if row.kind != "Pod" || !matches!(row.reason.as_str(), "Unhealthy" | "Killing") {
            return;
        }
        self.by_pod.entry(row.name.clone()).or_default().push(ProbeEvent {
            container: container_of(event).to_owned(),
            reason: row.reason.clone(),
            message: row.message.clone(),
            last_at: row.last_at,
        });
    }

    /// Fills what probes have said about a container.
    pub fn describe(&self, row: &mut ContainerFact) {
        let events = self.by_pod.get(&row.pod).map(Vec::as_slice).unwrap_or_default();
        let own = |event: &&ProbeEvent| event.container.is_empty() || event.container == row.name;
        let newest = |prefix: &str| {
            let matching = events.iter().filter(own).filter(|e| e.reason == "Unhealthy");
            let newest = matching.filter(|e| e.message.starts_with(prefix)).max_by_key(|e| e.last_at);
            let text = newest.map(|event| event.message[prefix.len()..].trim_start_matches([':', ' ']));
            text.unwrap_or_default().to_owned()
        };
        let (liveness, readiness, startup) = (
            newest("Liveness probe failed"),
            newest("Readiness probe failed"),
            newest("Startup probe failed"),
        );
        let killed = events.iter().filter(own).any(|event| {
            let message = event.message.to_lowercase();
            let by_probe =
                message.contains("failed liveness probe") || message.contains("failed startup probe");
            event.reason == "Killing" && by_probe
        });
        row.liveness_failure = liveness;
        // Failures before the first success are start-up noise once the container is ready.
        row.readiness_failure = if row.ready { String::new() } else { readiness };
        row.startup_failure = startup;
        // The kernel's kill is not the probe's, even when probes have killed before.
        row.killed_by_probe = killed && row.exit_reason != "OOMKilled";
    }
}
