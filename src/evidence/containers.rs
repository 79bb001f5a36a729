//! Containers as rows: state, last end, probes, limits and whether each is part of what is wrong. Pure.
//! Logs are added later (`logs`), events are only asked for probe failures.

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::events::ProbeEvents;
use super::focus::{Focus, name_of};
use super::ledger::{Ledger, Page, clean};
use super::objects::Objects;
use super::pods;
use super::units::{self, clock};
use crate::facts::{ContainerFact, EventFact};

/// An end this recent still counts, although the container runs again, in seconds.
const RECENT_END_SECS: i64 = 15 * 60;
/// Waiting without a fault of its own is normal for this long, in seconds.
const CREATING_SECS: i64 = 60;
/// An init container that runs longer than this holds its pod up, in seconds.
const SLOW_INIT_SECS: i64 = 120;

/// Starts and ends are whole seconds, and the first try comes a little early.
const PROBE_SLACK_SECS: i64 = 2;

/// Waiting reasons that are no fault by themselves.
const NORMAL_WAITS: [&str; 3] = ["ContainerCreating", "PodInitializing", ""];

pub fn rows(
    objects: &Objects,
    focus: &Focus<'_>,
    probes: &ProbeEvents,
    ledger: &mut Ledger,
    page: Page,
) -> Vec<ContainerFact> {
    let mut rows = Vec::new();
    for pod in &focus.pods {
        let Some(spec) = pod.spec.as_ref() else { continue };
        let init = spec.init_containers.iter().flatten().map(|container| (container, true));
        for (container, init) in init.chain(spec.containers.iter().map(|container| (container, false))) {
            let mut row = row(pod, container, init);
            probes.describe(&mut row);
            row.failing = is_failing(objects, pod, container, &row);
            let quote = ledger.line(page, &line(&row, objects.now));
            (row.evidence, row.quote) = (quote.evidence, quote.text);
            row.killed_by_probe &= ran_until_killed(container, &row);
            forget_old_end(&mut row, objects.now);
            rows.push(row);
        }
    }
    rows
}

/// Before Kubernetes 1.31 a back-off does not repeat why the pull failed: the event of the last try does.
pub fn take_pull_errors(rows: &mut [ContainerFact], events: &[EventFact]) {
    let backing_off = |row: &&mut ContainerFact| row.waiting_reason == "ImagePullBackOff";
    for row in rows.iter_mut().filter(backing_off) {
        if row.waiting_message != format!("Back-off pulling image \"{}\"", row.image) {
            continue;
        }
        let tried = format!("Failed to pull image \"{}\": ", row.image);
        let own = events.iter().filter(|event| event.kind == "Pod" && event.name == row.pod);
        let last = own.filter(|event| event.message.starts_with(&tried)).max_by_key(|event| event.last_at);
        if let Some(event) = last {
            row.waiting_message =
                format!("{}: ErrImagePull: {}", row.waiting_message, &event.message[tried.len()..]);
        }
    }
}

/// Whether any container waits for a reason that will not pass by itself.
pub fn any_bad_reason(pod: &Pod) -> bool {
    pods::statuses(pod).any(|status| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
        !NORMAL_WAITS.contains(&reason)
    })
}

fn row(pod: &Pod, container: &Container, init: bool) -> ContainerFact {
    let sidecar = init && container.restart_policy.as_deref() == Some("Always");
    let role = if sidecar {
        "sidecar"
    } else if init {
        "init"
    } else {
        "main"
    };
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let command: Vec<&str> = container
        .command
        .iter()
        .flatten()
        .chain(container.args.iter().flatten())
        .map(String::as_str)
        .collect();
    // A container without a limit of its own shares its pod's.
    let pods_own = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.limits.as_ref());
    let own = units::quantity(limits, "memory");
    let memory_limit = if own.is_empty() { units::quantity(pods_own, "memory") } else { own };
    let mut row = ContainerFact {
        pod: name_of(&pod.metadata).to_owned(),
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: container.name.clone(),
        role: role.to_owned(),
        image: clean(container.image.as_deref().unwrap_or_default()),
        command: clean(&command.join(" ")),
        exit_code: -1,
        ran_seconds: -1,
        liveness: probe(container.liveness_probe.as_ref()),
        readiness: probe(container.readiness_probe.as_ref()),
        startup: probe(container.startup_probe.as_ref()),
        cpu_request: units::quantity(requests, "cpu").to_owned(),
        cpu_limit: units::quantity(limits, "cpu").to_owned(),
        memory_request: units::quantity(requests, "memory").to_owned(),
        memory_limit: memory_limit.to_owned(),
        memory_limit_bytes: units::units(memory_limit),
        memory_limit_shared: own.is_empty() && !memory_limit.is_empty(),
        ..ContainerFact::default()
    };
    if let Some(status) = pods::statuses(pod).find(|status| status.name == container.name) {
        take_status(&mut row, status);
    }
    row
}

fn take_status(row: &mut ContainerFact, status: &ContainerStatus) {
    row.ready = status.ready;
    row.restarts = i64::from(status.restart_count);
    let state = status.state.as_ref();
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        row.state = "waiting".to_owned();
        row.waiting_reason = waiting.reason.clone().unwrap_or_default();
        row.waiting_message = clean(waiting.message.as_deref().unwrap_or_default());
    } else if let Some(running) = state.and_then(|state| state.running.as_ref()) {
        row.state = "running".to_owned();
        row.running_since = running.started_at.as_ref().and_then(units::time);
    }
    let now_ended = state.and_then(|state| state.terminated.as_ref());
    if now_ended.is_some() {
        row.state = "terminated".to_owned();
    }
    let last_ended = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(end) = now_ended.or(last_ended) {
        take_end(row, end);
    }
}

fn take_end(row: &mut ContainerFact, end: &ContainerStateTerminated) {
    // Windows gives unsigned codes, which the API writes as negative numbers: 0xC0000005 as -1073741819.
    row.exit_code =
        if end.exit_code < 0 { i64::from(end.exit_code.cast_unsigned()) } else { i64::from(end.exit_code) };
    row.exit_reason = end.reason.clone().unwrap_or_default();
    row.exit_message = clean(end.message.as_deref().unwrap_or_default());
    row.exited_at = end.finished_at.as_ref().and_then(units::time);
    let started_at = end.started_at.as_ref().and_then(units::time);
    if let (Some(from), Some(to)) = (started_at, row.exited_at) {
        row.ran_seconds = (to - from).num_seconds().max(0);
    }
}

/// A probe kills after its delay and as many tries as it has: an end before that is the program's own. Events
/// cannot tell, the kubelet leaves some out when it has many to send.
fn ran_until_killed(container: &Container, row: &ContainerFact) -> bool {
    let probes = [container.liveness_probe.as_ref(), container.startup_probe.as_ref()];
    let soonest = probes.into_iter().flatten().map(|probe| {
        let tries = i64::from(probe.failure_threshold.unwrap_or(3)) - 1;
        i64::from(probe.initial_delay_seconds.unwrap_or(0))
            + tries * i64::from(probe.period_seconds.unwrap_or(10))
    });
    row.ran_seconds < 0 || soonest.min().is_none_or(|seconds| row.ran_seconds + PROBE_SLACK_SECS >= seconds)
}

/// What has run for long since is not failing by that end, even if it is not ready now.
fn forget_old_end(row: &mut ContainerFact, now: DateTime<Utc>) {
    let old = row.exited_at.is_some_and(|at| (now - at).num_seconds() > RECENT_END_SECS);
    if old && row.state == "running" {
        (row.exit_code, row.ran_seconds, row.exited_at) = (-1, -1, None);
        row.exit_reason.clear();
        row.exit_message.clear();
    }
}

fn is_failing(objects: &Objects, pod: &Pod, container: &Container, row: &ContainerFact) -> bool {
    if pods::is_leaving(objects, pod) {
        return false;
    }
    let age = pods::created_at(pod).map_or(0, |at| (objects.now - at).num_seconds());
    let recent = row.exited_at.is_some_and(|at| (objects.now - at).num_seconds() <= RECENT_END_SECS);
    match row.state.as_str() {
        "waiting" if row.waiting_reason == "PodInitializing" => false,
        "waiting" if NORMAL_WAITS.contains(&row.waiting_reason.as_str()) => age > CREATING_SECS,
        "waiting" => true,
        "terminated" if row.exit_code == 0 => row.role == "sidecar" && !row.ready,
        // What is being deleted ends as it should, whatever code it gives.
        "terminated" => pod.metadata.deletion_timestamp.is_none(),
        "running" if row.role == "init" => {
            row.running_since.is_some_and(|at| (objects.now - at).num_seconds() > SLOW_INIT_SECS)
        }
        "running" => {
            !row.ready && age > CREATING_SECS.max(probe_time(container, row))
                || row.restarts > 0 && recent && row.exit_code != 0
        }
        _ => false,
    }
}

/// What its probes give it to become ready the first time; after a restart nothing is given.
fn probe_time(container: &Container, row: &ContainerFact) -> i64 {
    if row.restarts > 0 { 0 } else { pods::grace_of(container) }
}

fn line(row: &ContainerFact, now: DateTime<Utc>) -> String {
    let role = if row.role == "main" { String::new() } else { format!(" ({})", row.role) };
    let mut line = format!("container {}{role} of pod {}: ", row.name, row.pod);
    match row.state.as_str() {
        "waiting" => {
            line.push_str(&format!("waiting {}", row.waiting_reason));
            // The back-off text only repeats the names.
            if !row.waiting_message.is_empty() && !row.waiting_message.starts_with("back-off ") {
                line.push_str(&format!(": {}", row.waiting_message));
            }
        }
        "running" => {
            line.push_str(if row.ready { "running and ready" } else { "running, not ready" });
            if let Some(at) = row.running_since {
                line.push_str(&format!(" since {}", clock(at, now)));
            }
        }
        "terminated" => line.push_str("terminated"),
        _ => line.push_str("no status yet"),
    }
    if row.exit_code >= 0 {
        let which = if row.state == "terminated" { "" } else { "last " };
        line.push_str(&format!(", {which}exit {} ({})", row.exit_code, row.exit_reason));
        if let Some(at) = row.exited_at {
            line.push_str(&format!(" at {}", clock(at, now)));
        }
        if row.ran_seconds >= 0 {
            line.push_str(&format!(" after {}", units::span(row.ran_seconds)));
        }
        if !row.exit_message.is_empty() {
            line.push_str(&format!(": {}", row.exit_message));
        }
    }
    if row.restarts > 0 {
        line.push_str(&format!(", {} restarts", row.restarts));
    }
    if !row.memory_limit.is_empty() {
        let of = if row.memory_limit_shared { " of the whole pod" } else { "" };
        line.push_str(&format!(", memory limit {}{of}", row.memory_limit));
    }
    line
}

/// `http-get :8080/ready every 5s timeout 1s failure 3 delay 0s`
fn probe(probe: Option<&Probe>) -> String {
    let Some(probe) = probe else { return String::new() };
    let port = |port: &IntOrString| match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    let how = if let Some(get) = &probe.http_get {
        let scheme =
            get.scheme.as_deref().filter(|scheme| *scheme == "HTTPS").map_or("http-get", |_| "https-get");
        format!("{scheme} :{}{}", port(&get.port), get.path.as_deref().unwrap_or("/"))
    } else if let Some(socket) = &probe.tcp_socket {
        format!("tcp :{}", port(&socket.port))
    } else if let Some(grpc) = &probe.grpc {
        format!("grpc :{}/{}", grpc.port, grpc.service.as_deref().unwrap_or_default())
    } else if let Some(exec) = &probe.exec {
        format!("exec {}", exec.command.clone().unwrap_or_default().join(" "))
    } else {
        return String::new();
    };
    // Commands and paths may carry passwords.
    let how = clean(&how);
    format!(
        "{how} every {}s timeout {}s failure {} delay {}s",
        probe.period_seconds.unwrap_or(10),
        probe.timeout_seconds.unwrap_or(1),
        probe.failure_threshold.unwrap_or(3),
        probe.initial_delay_seconds.unwrap_or(0),
    )
}
