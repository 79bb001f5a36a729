//! What Prometheus is asked for a workload: its alert's rule, memory before a kill, CPU throttling, restarts
//! and volumes. Facts of the first round come in, samples go out. A bounded number of queries, all at once,
//! each with the client's deadline; what fails is a gap.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use futures::future::join_all;

use super::objects::gap;
use super::{Sources, targets};
use crate::alert::Alert;
use crate::facts::{ContainerFact, Facts};
use crate::report::Gap;
use crate::source::prometheus::{self, AlertRule, Prometheus, Target};
use crate::workload::Workload;

/// Containers killed for memory whose history is asked for.
const MAX_HISTORIES: usize = 3;
/// Rules that are kept.
const MAX_RULES: usize = 6;
const HISTORY_MINUTES: i64 = 60;
const STEP_SECS: u32 = 30;
/// Around the onset, to see what changed: minutes before it and after it, and between samples.
const AROUND_MINUTES: (i64, i64) = (60, 15);
const AROUND_STEP_SECS: u32 = 60;
/// Words of a probe that got no answer in time.
const SLOW: [&str; 2] = ["deadline exceeded", "timeout"];
/// Beginnings of alerts that nothing but Prometheus can explain.
const NEED_PROMETHEUS: [&str; 2] = ["CPUThrottling", "KubePersistentVolume"];

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Of a container, before it was killed.
    Memory,
    /// Of pods of the namespace, around the onset.
    Cpu,
    WorkingSet,
    Throttled,
    Restarts,
    VolumeUsed,
    InodesUsed,
    FullIn,
}

/// One series of an answer.
#[derive(Debug, Clone)]
pub struct Measured {
    pub measure: Measure,
    pub labels: BTreeMap<String, String>,
    /// Unix seconds and value.
    pub samples: Vec<(f64, f64)>,
    pub query: String,
    pub milliseconds: u64,
}

/// All that Prometheus said.
#[derive(Debug, Clone, Default)]
pub struct Measurements {
    pub series: Vec<Measured>,
    pub rules: Vec<AlertRule>,
    pub rules_query: String,
    /// What cannot be scraped, where an alert says so.
    pub targets: Vec<Target>,
    pub targets_query: String,
}

struct Question {
    measure: Measure,
    what: String,
    promql: String,
    /// None for the present.
    window: Option<Window>,
}

/// From, to, and seconds between samples.
type Window = (DateTime<Utc>, DateTime<Utc>, u32);

pub async fn ask(
    sources: &Sources,
    workload: &Workload,
    draft: &Facts,
    alerts: &[Alert],
) -> (Measurements, Vec<Gap>) {
    let namespace = if workload.kind == "Namespace" { &workload.name } else { &workload.namespace };
    let scraping = targets::are_meant(&draft.alerts);
    if namespace.is_empty() && !scraping {
        return (Measurements::default(), Vec::new());
    }
    let Some(client) = &sources.prometheus else {
        let needed =
            draft.alerts.iter().any(|name| NEED_PROMETHEUS.iter().any(|start| name.starts_with(start)));
        let gaps =
            (needed || scraping).then(|| gap("prometheus", "what the alert measures", "not configured"));
        return (Measurements::default(), gaps.into_iter().collect());
    };
    let questions = if namespace.is_empty() { Vec::new() } else { questions(namespace, draft) };
    let answers = join_all(questions.iter().map(|question| answer(client, question, draft.observed_at)));
    let rules = async { if draft.alerts.is_empty() { None } else { Some(client.alert_rules().await) } };
    let scraped = async { if scraping { Some(client.targets().await) } else { None } };
    let (answers, rules, scraped) = tokio::join!(answers, rules, scraped);
    let (mut told, mut gaps) = (Measurements::default(), Vec::new());
    for (question, answer) in questions.iter().zip(answers) {
        match answer {
            Ok(series) => told.series.extend(series),
            Err(error) => gaps.push(gap("prometheus", &question.what, &error.to_string())),
        }
    }
    match rules {
        Some(Ok(rules)) => {
            let own = rules.what.into_iter().filter(|rule| draft.alerts.contains(&rule.name));
            told.rules = own.take(MAX_RULES).collect();
            told.rules_query = rules.query;
        }
        Some(Err(error)) => gaps.push(gap("prometheus", "the alert's rule", &error.to_string())),
        None => {}
    }
    match scraped {
        Some(Ok(all)) => {
            told.targets = targets::meant(all.what, alerts);
            told.targets_query = all.query;
        }
        Some(Err(error)) => gaps.push(gap("prometheus", "why its targets are down", &error.to_string())),
        None => {}
    }
    (told, gaps)
}

/// At most three histories, two looks around the onset, and one query each for throttling, restarts, space, inodes
/// and growth.
fn questions(namespace: &str, draft: &Facts) -> Vec<Question> {
    let own = [("namespace", namespace)];
    let of = |metric: &str| prometheus::selector(metric, &own);
    let mut questions = Vec::new();
    let killed =
        draft.containers.iter().filter(|row| row.exit_reason == "OOMKilled" && row.exited_at.is_some());
    for row in killed.take(MAX_HISTORIES) {
        let labels = [("namespace", namespace), ("pod", row.pod.as_str()), ("container", row.name.as_str())];
        questions.push(Question {
            measure: Measure::Memory,
            what: format!("memory of container {} of pod {}", row.name, row.pod),
            promql: prometheus::selector("container_memory_working_set_bytes", &labels),
            window: row.exited_at.map(|end| (end - Duration::minutes(HISTORY_MINUTES), end, STEP_SECS)),
        });
    }
    questions.extend(around(draft, &own));
    let mut now = |measure, what: &str, promql| {
        questions.push(Question { measure, what: what.to_owned(), promql, window: None });
    };
    let about = |start: &str| draft.alerts.iter().any(|name| name.starts_with(start));
    let slow = |row: &ContainerFact| {
        let said = format!("{} {} {}", row.liveness_failure, row.readiness_failure, row.startup_failure);
        row.failing && !row.cpu_limit.is_empty() && SLOW.iter().any(|word| said.contains(word))
    };
    if about("CPUThrottling") || draft.containers.iter().any(slow) {
        let sum =
            |metric: &str| format!("sum by (namespace, pod, container) (increase({}[15m]))", of(metric));
        let (throttled, all) =
            ("container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total");
        now(Measure::Throttled, "CPU throttling", format!("100 * {} / {}", sum(throttled), sum(all)));
    }
    if draft.containers.iter().any(|row| row.restarts > 0) {
        let restarts = of("kube_pod_container_status_restarts_total");
        now(Measure::Restarts, "restarts", format!("increase({restarts}[24h])"));
    }
    if !draft.claims.is_empty() || about("KubePersistentVolume") {
        let used = |used: &str, all: &str| format!("100 * {} / {}", of(used), of(all));
        let (bytes, inodes) = ("kubelet_volume_stats_used_bytes", "kubelet_volume_stats_inodes_used");
        now(Measure::VolumeUsed, "space of volumes", used(bytes, "kubelet_volume_stats_capacity_bytes"));
        now(Measure::InodesUsed, "inodes of volumes", used(inodes, "kubelet_volume_stats_inodes"));
        let free = of("kubelet_volume_stats_available_bytes");
        now(Measure::FullIn, "growth of volumes", format!("{free} / -deriv({free}[6h]) / 3600 > 0"));
    }
    questions
}

/// CPU and memory of every pod around the onset: what a workload calls may have changed before it did.
fn around(draft: &Facts, own: &[(&str, &str)]) -> Vec<Question> {
    let Some(onset) = draft.onset_at.filter(|_| !draft.alerts.is_empty()) else { return Vec::new() };
    let (before, after) = AROUND_MINUTES;
    let to = (onset + Duration::minutes(after)).min(draft.observed_at);
    let window = Some((onset - Duration::minutes(before), to, AROUND_STEP_SECS));
    // Without a container's name, samples are sums of those with one.
    let of = |metric: &str| {
        let selector = prometheus::selector(metric, own);
        selector.trim_end_matches('}').to_owned() + ",container!=\"\"}"
    };
    let cpu = of("container_cpu_usage_seconds_total");
    let memory = of("container_memory_working_set_bytes");
    let question = |measure, what: &str, promql| Question { measure, what: what.to_owned(), promql, window };
    vec![
        question(Measure::Cpu, "CPU around the onset", format!("sum by (pod) (rate({cpu}[3m]))")),
        question(Measure::WorkingSet, "memory around the onset", format!("sum by (pod) ({memory})")),
    ]
}

async fn answer(
    client: &Prometheus,
    question: &Question,
    now: DateTime<Utc>,
) -> Result<Vec<Measured>, prometheus::Error> {
    let answer = match question.window {
        Some((from, to, step)) => client.query_range(&question.promql, from, to, step).await?,
        None => client.query(&question.promql, now).await?,
    };
    let measured = answer.series.into_iter().map(|series| Measured {
        measure: question.measure,
        labels: series.labels,
        samples: series.samples,
        query: answer.query.clone(),
        milliseconds: answer.milliseconds,
    });
    Ok(measured.collect())
}
