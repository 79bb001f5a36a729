//! Facts about a workload, gathered read-only: a workload and its alerts come in, rows with quotes and the
//! ledger of everything read go out. `fetch` asks the sources, everything else is pure over what came. It
//! names no cause, reads no Secret, and a source that fails becomes a gap, never an error.

mod batch;
mod blast_radius;
mod calls;
mod changed;
mod changes;
mod claims;
pub mod classify;
mod containers;
mod control;
mod dependencies;
pub(crate) mod events;
mod fetch;
mod fleet;
mod focus;
mod follow_up;
mod gone_pods;
mod inquiry;
mod ledger;
mod logs;
mod metrics;
mod node;
mod node_events;
mod nodes;
mod objects;
mod placement;
pub(crate) mod pods;
mod ports;
pub(crate) mod references;
pub(crate) mod rollout;
mod scaling;
mod services;
mod shared;
mod survey;
mod targets;
pub(crate) mod template;
mod timeline;
mod traffic;
pub(crate) mod units;
mod usage;
mod volumes;

pub use fetch::gather;
pub use fleet::Fleet;

use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::facts::Facts;
use crate::source::kubernetes;
use crate::source::loki::Loki;
use crate::source::prometheus::Prometheus;
use crate::source::tempo::Tempo;
use crate::workload::Workload;
use focus::Focus;
use ledger::Ledger;
use objects::Objects;
use references::Said;

/// What can be asked. A source that is None is not configured, which facts say where it mattered.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub kubernetes: Option<kubernetes::Client>,
    pub prometheus: Option<Prometheus>,
    pub loki: Option<Loki>,
    pub tempo: Option<Tempo>,
    /// Lines asked for of one container log.
    pub log_tail_lines: i64,
}

/// Which sources beside Kubernetes may be asked about a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub prometheus: bool,
    pub loki: bool,
    pub tempo: bool,
}

impl Wanted {
    pub const ALL: Self = Self { prometheus: true, loki: true, tempo: true };
}

impl Sources {
    /// Without those that may not be asked.
    #[must_use]
    pub fn only(self, wanted: Wanted) -> Self {
        Self {
            prometheus: self.prometheus.filter(|_| wanted.prometheus),
            loki: self.loki.filter(|_| wanted.loki),
            tempo: self.tempo.filter(|_| wanted.tempo),
            ..self
        }
    }
}

/// The pure part: rows from objects as they were read. Ids of observations follow the order of reading.
fn facts_from(objects: &Objects, workload: &Workload, alerts: &[Alert]) -> Facts {
    let mut ledger = Ledger::default();
    let mut facts = facts_into(objects, workload, alerts, &mut ledger);
    facts.observations = ledger.finish();
    facts
}

/// The same, written into a ledger that other workloads share.
fn facts_into(objects: &Objects, workload: &Workload, alerts: &[Alert], ledger: &mut Ledger) -> Facts {
    let focus = Focus::new(objects, workload);
    let mut facts = Facts::empty(workload.clone(), objects.now);
    let firing = || alerts.iter().filter(|alert| alert.is_firing());
    facts.alerts = firing().map(|alert| alert.name().to_owned()).collect();
    facts.alerts.sort();
    facts.alerts.dedup();
    let began = firing().map(|alert| alert.starts_at).min();
    take_pods(objects, &focus, began, &mut facts, ledger);
    facts.rollouts = rollout::rows(objects, &focus, ledger);
    facts.nodes = nodes::rows(objects, &focus, ledger);
    facts.placements = placement::rows(objects, &focus, &mut facts.pods, ledger);
    facts.claims = claims::rows(objects, &focus, &facts.events, ledger);
    facts.volumes = volumes::rows(objects, &facts.claims, ledger);
    let said = Said { containers: &facts.containers, events: &facts.events };
    facts.references = references::rows(objects, &focus, &said, ledger);
    facts.services = services::rows(objects, &focus, ledger);
    facts.ingresses = traffic::ingresses(objects, &focus, &facts.services, ledger);
    facts.policies = traffic::policies(objects, &focus, ledger);
    facts.budgets = traffic::budgets(objects, &focus, ledger);
    let refusals = control::refusals(&facts.rollouts, &facts.events);
    facts.webhooks = control::webhooks(objects, &refusals, ledger);
    facts.quotas = scaling::quotas(objects, &refusals, ledger);
    facts.leases = control::leases(objects, ledger);
    facts.api_services = control::api_services(objects, ledger);
    facts.edits = control::edits(objects, &focus, ledger);
    facts.jobs = batch::jobs(objects, &focus, ledger);
    facts.cronjobs = batch::cronjobs(objects, &focus, ledger);
    facts.hpas = scaling::hpas(objects, &focus, ledger);
    let digests = logs::digest(objects, &mut facts.containers, ledger);
    let gone: Vec<_> =
        objects.gone_logs.iter().map(|log| (log.pod.clone(), logs::store(log, ledger))).collect();
    gone_pods::tell(&mut facts.jobs, &gone);
    facts.dependencies = dependencies::rows(objects, &facts.containers, &digests);
    facts.usage = usage::rows(objects, &focus, &facts, ledger);
    facts.alert_rules = usage::rules(objects, &facts, ledger);
    facts.targets = targets::rows(&objects.measurements, ledger);
    take_rest(objects, ledger);
    facts.affected = blast_radius::affected(objects, &focus);
    if objects.pods.known {
        blast_radius::count_missing(&mut facts.affected, &facts.rollouts, &focus);
    }
    shared::widen(&mut facts, objects, &focus);
    let writes = changes::of_objects(objects, &focus, ledger);
    facts.timeline = timeline::entries(&facts, objects, alerts, &writes);
    let read = changed::Read { objects, focus: &focus, alerts, writes: &writes, digests: &digests };
    changed::take(&mut facts, &read, ledger);
    facts.gaps.clone_from(&objects.gaps);
    facts
}

fn take_pods(
    objects: &Objects,
    focus: &Focus<'_>,
    began: Option<chrono::DateTime<chrono::Utc>>,
    facts: &mut Facts,
    ledger: &mut Ledger,
) {
    if !objects.pods.known {
        facts.events = events::rows(objects, focus, began, ledger).0;
        facts.events.extend(node_events::rows(objects, focus, began, ledger));
        return;
    }
    let page = ledger.open("kubernetes", &objects.pods.query, objects.pods.milliseconds);
    if !objects.namespace.is_empty() {
        ledger.line(page, &blast_radius::namespace_line(objects));
    }
    facts.pods = pods::rows(objects, focus, ledger, page);
    if focus.pods_total > focus.pods.len() {
        let rest = focus.pods_total - focus.pods.len();
        ledger.line(page, &format!("and {rest} more pods of this workload"));
    }
    let (events, probes) = events::rows(objects, focus, began, ledger);
    facts.events = events;
    facts.containers = containers::rows(objects, focus, &probes, ledger, page);
    containers::take_pull_errors(&mut facts.containers, &facts.events);
    facts.events.extend(node_events::rows(objects, focus, began, ledger));
}

/// Observations without rows of their own: readiness of the API server, sums of requests, memory peaks.
fn take_rest(objects: &Objects, ledger: &mut Ledger) {
    if let Some((text, query)) = &objects.readyz {
        let page = ledger.open("kubernetes", query, 0);
        text.lines().for_each(|line| {
            ledger.line(page, line);
        });
    }
    if let Some((sums, query)) = &objects.requested {
        let page = ledger.open("kubernetes", query, 0);
        for (node, sum) in sums {
            let mebibytes = sum.memory_bytes / (1024 * 1024);
            let text = format!(
                "node {node}: {} unfinished pods request {}m CPU and {mebibytes} Mi memory",
                sum.pods, sum.cpu_millis
            );
            ledger.line(page, &text);
        }
    }
    for read in &objects.memory {
        let page = ledger.open("prometheus", &read.query, read.milliseconds);
        let mebibytes = read.peak_bytes / (1024.0 * 1024.0);
        let text = format!(
            "container {} of pod {}: memory working set peaked at {mebibytes:.1} Mi",
            read.container, read.pod
        );
        ledger.line(page, &text);
    }
}

#[cfg(test)]
mod tests;
