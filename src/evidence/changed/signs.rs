//! Signs as candidates: what it calls stopped being ready or began anew, logs say what they did not say before, and
//! measured levels that changed. Objects, digests and samples come in, candidates go out. Pure but for the ledger's
//! lines. Signs show trouble more often than they make it; `change` places them accordingly.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::core::v1::Pod;

use super::objects::made_at;
use super::topology::Topology;
use super::{Read, candidate, named};
use crate::change::{Candidate, is_in_time};
use crate::evidence::focus::name_of;
use crate::evidence::ledger::Ledger;
use crate::evidence::logs::Digest;
use crate::evidence::metrics::{Measure, Measured};
use crate::evidence::{classify, pods, units};
use crate::facts::Facts;
use crate::logs::digest::{Kind, Line, condense};
use crate::logs::told;
use crate::report::{Changing, Near};
use crate::series::change::{Change, change_point};

/// Signs of one sort that are told.
const MAX_SIGNS: usize = 6;
/// Kinds of lines of one log.
const MAX_KINDS: usize = 2;
/// A log that says it from so soon after its beginning may always have said it, in seconds.
const QUIET_SECS: i64 = 60;
/// What a program does so soon after its start is starting, in minutes.
const STARTING_MINUTES: i64 = 5;
/// Trouble of no known class counts less.
const SIZE_UNCLASSED: f64 = 0.5;
const SIZE_MADE_ANEW: f64 = 0.5;
const SIZE_UNREADY: f64 = 0.8;

/// Pods of what it calls that stopped being ready, or whose containers ended and began anew.
pub(super) fn callees(
    read: &Read<'_>,
    topology: &Topology<'_>,
    onset: DateTime<Utc>,
    ledger: &mut Ledger,
) -> Vec<Candidate> {
    let called = read.objects.pods.items.iter().filter(|pod| {
        read.objects.namespace_of(pod) && topology.near("Pod", name_of(&pod.metadata)) == Some(Near::Callee)
    });
    let mut found: Vec<Candidate> = called.flat_map(of_pod).filter(|one| is_in_time(one.at, onset)).collect();
    found.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
    found.truncate(MAX_SIGNS);
    let mut page = None;
    for one in &mut found {
        let (query, milliseconds) = (&read.objects.pods.query, read.objects.pods.milliseconds);
        let page = *page.get_or_insert_with(|| ledger.open("kubernetes", query, milliseconds));
        one.evidence = ledger.line(page, &format!("{} {}", one.at.format("%FT%TZ"), one.what)).evidence;
    }
    found
}

fn of_pod(pod: &Pod) -> Vec<Candidate> {
    let name = name_of(&pod.metadata);
    let object = named("Pod", pod.metadata.namespace.as_deref().unwrap_or_default(), name);
    let sign = |at, what| candidate(at, Changing::Event, Near::Callee, object.clone(), what);
    let mut found = Vec::new();
    let ready = pods::condition(pod, "Ready").filter(|one| one.status == "False");
    if let Some(at) = ready.and_then(|one| one.last_transition_time.as_ref()).and_then(units::time) {
        let mut one = sign(at, format!("pod {name} stopped being ready"));
        // Of a container that ended in the same moment more is to be told.
        one.size = SIZE_UNREADY;
        found.push(one);
    }
    for status in pods::statuses(pod) {
        let ends = [status.state.as_ref(), status.last_state.as_ref()].into_iter().flatten();
        for ended in ends.filter_map(|state| state.terminated.as_ref()) {
            let Some(at) = ended.finished_at.as_ref().and_then(units::time) else { continue };
            let reason = ended.reason.as_deref().unwrap_or("ended");
            let what =
                format!("container {} of pod {name} ended ({reason}, exit {})", status.name, ended.exit_code);
            found.push(sign(at, what));
        }
    }
    let owner = pod.metadata.owner_references.as_deref().unwrap_or_default().first();
    // Pods of a Deployment come and go with its revisions, which are told by themselves.
    let is_kept = owner.is_some_and(|owner| owner.kind == "StatefulSet" || owner.kind == "DaemonSet");
    if let Some(at) = made_at(&pod.metadata).filter(|_| is_kept) {
        let mut one = sign(at, format!("pod {name} was made anew"));
        one.size = SIZE_MADE_ANEW;
        found.push(one);
    }
    found
}

/// Trouble that the logs of failing containers tell of, and did not tell of before.
pub(super) fn bursts(facts: &Facts, read: &Read<'_>) -> Vec<Candidate> {
    read.digests.iter().flat_map(|digest| of_log(facts, digest)).collect()
}

fn of_log(facts: &Facts, digest: &Digest) -> Vec<Candidate> {
    let Some(row) = facts.containers.iter().find(|row| row.log_evidence == digest.evidence) else {
        return Vec::new();
    };
    let line = |line: &crate::evidence::logs::Line| Line { at: line.at, stream: 0, text: line.text.clone() };
    // What earlier lines had said is not new.
    let lines: Vec<Line> = digest.earlier.iter().chain(&digest.lines).map(line).collect();
    let Some(began) = digest.lines.iter().filter_map(|line| line.at).min() else { return Vec::new() };
    let is_new = |kind: &&Kind| {
        kind.is_trouble() && kind.first.is_some_and(|first| (first - began).num_seconds() >= QUIET_SECS)
    };
    let kinds = condense(&lines, None, classify::class_and_weight).kinds;
    let found = kinds.iter().filter(is_new).take(MAX_KINDS).filter_map(|kind| {
        let head = kind.exemplar.lines.first()?;
        let many = if kind.count > 1 { format!(" ×{}", kind.count) } else { String::new() };
        let what = format!("new in the log of container {}{many}: {}", row.name, told::cut(&head.text));
        let object = named("Pod", &row.namespace, &row.pod);
        let mut one = candidate(kind.first?, Changing::Log, Near::Itself, object, what);
        let class = kind.exemplar.class;
        one.size = if class.is_empty() || class == "error" { SIZE_UNCLASSED } else { 1.0 };
        one.evidence.clone_from(&digest.evidence);
        Some(one)
    });
    found.collect()
}

/// CPU and memory of pods whose level changed: of each workload the pod that moved most.
pub(super) fn series(
    facts: &Facts,
    read: &Read<'_>,
    topology: &Topology<'_>,
    ledger: &mut Ledger,
) -> Vec<Candidate> {
    let Some(onset) = facts.onset_at else { return Vec::new() };
    let mut most: BTreeMap<(String, &'static str), (f64, Candidate, &Measured)> = BTreeMap::new();
    for measured in &read.objects.measurements.series {
        let Some((measure, words)) = unit(measured.measure) else { continue };
        let Some((pod, near)) = placed(read, topology, measured) else { continue };
        let values: Vec<(f64, f64)> =
            measured.samples.iter().copied().filter(|(_, value)| value.is_finite()).collect();
        let Some((at, change)) = change_point(&values).and_then(|change| Some((moment(change.at)?, change)))
        else {
            continue;
        };
        let starting =
            pods::created_at(pod).is_some_and(|made| at - made < TimeDelta::minutes(STARTING_MINUTES));
        if starting || !is_in_time(at, onset) {
            continue;
        }
        let name = name_of(&pod.metadata);
        let (from, to) = (words(change.from), words(change.to));
        let what = format!("{measure} of pod {name} went from {from} to {to}");
        let mut one =
            candidate(at, Changing::Series, near, named("Pod", &read.objects.namespace, name), what);
        one.size = relative(change);
        let owner =
            topology.owner(name).map_or_else(|| name.to_owned(), |(kind, name)| format!("{kind} {name}"));
        let place = most.entry((owner, measure)).or_insert_with(|| (-1.0, one.clone(), measured));
        if (one.size, &place.1.object) > (place.0, &one.object) {
            *place = (one.size, one, measured);
        }
    }
    let mut found: Vec<(f64, Candidate, &Measured)> = most.into_values().collect();
    found.sort_by(|a, b| (a.1.near, &a.1.object).cmp(&(b.1.near, &b.1.object)).then(b.0.total_cmp(&a.0)));
    found.truncate(MAX_SIGNS);
    let told = found.into_iter().map(|(_, mut one, measured)| {
        let page = ledger.open("prometheus", &measured.query, measured.milliseconds);
        one.evidence = ledger.line(page, &format!("{} {}", one.at.format("%FT%TZ"), one.what)).evidence;
        one
    });
    told.collect()
}

/// The pod that was measured, as far as it is there, and how it is related.
fn placed<'o>(read: &Read<'o>, topology: &Topology<'_>, measured: &Measured) -> Option<(&'o Pod, Near)> {
    let name = measured.labels.get("pod")?;
    let pod = read.objects.pods.items.iter().find(|pod| name_of(&pod.metadata) == name.as_str())?;
    let near = topology.near("Pod", name)?;
    (near != Near::Neighbour).then_some((pod, near))
}

type Told = fn(f64) -> String;

fn unit(measure: Measure) -> Option<(&'static str, Told)> {
    match measure {
        Measure::Cpu => Some(("CPU", |value| format!("{value:.2} cores"))),
        Measure::WorkingSet => Some(("memory", |value| format!("{:.0} Mi", value / f64::from(1 << 20)))),
        _ => None,
    }
}

fn moment(unix: f64) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and what is no time is None")]
    DateTime::from_timestamp(unix as i64, 0)
}

fn relative(change: Change) -> f64 {
    let most = change.from.abs().max(change.to.abs());
    if most > 0.0 { (change.to - change.from).abs() / most } else { 0.0 }
}
