//! Webhooks as Alertmanager sends them, no two alerts alike, over a fixed number of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::service::client;

/// The alerts fall on this many workloads, as in a storm.
const WORKLOADS: u64 = 1_000;

pub struct Load {
    url: String,
    connections: usize,
    alerts: u64,
    next: Arc<AtomicU64>,
    /// Webhooks come in rounds of so many, which then come again; `None`: no two are alike.
    repeat: Option<u64>,
}

pub struct Figures {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

impl Load {
    pub fn new(base_url: &str, connections: usize, alerts: u64) -> Self {
        let url = format!("{base_url}/webhooks/alertmanager");
        Self { url, connections, alerts, next: Arc::default(), repeat: None }
    }

    /// The first `webhooks` again and again, as senders repeat what still fires.
    pub fn repeating(base_url: &str, connections: usize, alerts: u64, webhooks: u64) -> Self {
        Self { repeat: Some(webhooks), ..Self::new(base_url, connections, alerts) }
    }

    /// Goes on with the same numbers against another address.
    pub fn of(&self, base_url: &str) -> Self {
        let next = Arc::clone(&self.next);
        Self { next, ..Self::new(base_url, self.connections, self.alerts) }
    }

    /// Posts so many webhooks.
    pub async fn post(&self, webhooks: u64) -> Result<Figures> {
        let end = self.next.load(Ordering::Relaxed) + webhooks;
        self.run(move |number, _| number < end).await
    }

    /// Posts for so long.
    pub async fn post_for(&self, time: Duration) -> Result<Figures> {
        self.run(move |_, elapsed| elapsed < time).await
    }

    async fn run(&self, go_on: impl Fn(u64, Duration) -> bool + Copy + Send + 'static) -> Result<Figures> {
        let started = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..self.connections {
            let (url, next, alerts, client) =
                (self.url.clone(), Arc::clone(&self.next), self.alerts, client()?);
            let repeat = self.repeat.unwrap_or(u64::MAX);
            connections.spawn(async move {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !go_on(number, started.elapsed()) {
                        return anyhow::Ok(times);
                    }
                    let body = webhook(number % repeat, alerts).to_string();
                    let sent = Instant::now();
                    let request = client.post(&url).header("content-type", "application/json").body(body);
                    let status = request.send().await?.status();
                    ensure!(status.is_success(), "a webhook was answered with {status}");
                    times.push(sent.elapsed());
                }
            });
        }
        let mut times = Vec::new();
        while let Some(joined) = connections.join_next().await {
            times.extend(joined??);
        }
        let elapsed = started.elapsed();
        ensure!(!times.is_empty(), "no webhook was sent");
        Ok(Figures {
            per_second: times.len() as f64 / elapsed.as_secs_f64(),
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
        })
    }
}

/// The smallest time that `percent` of all times do not exceed; zero of none.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn webhook(number: u64, alerts: u64) -> Value {
    // The same for the same number, so that a repeat is one.
    let starts_at =
        chrono::DateTime::from_timestamp(1_800_000_000 + number.cast_signed(), 0).unwrap_or_default();
    let starts_at = starts_at.to_rfc3339();
    let alerts: Vec<Value> = (0..alerts)
        .map(|n| {
            let id = number * alerts + n;
            let workload = id % WORKLOADS;
            json!({
                "status": "firing",
                "labels": {
                    "alertname": "KubePodCrashLooping", "cluster": "lab", "namespace": "bench",
                    "deployment": format!("service-{workload}"), "container": "app", "severity": "warning",
                    "pod": format!("service-{workload}-7d9c5b6f7c-{id:08x}"),
                },
                "annotations": {
                    "summary": "Pod is crash looping.",
                    "description": format!(
                        "Pod bench/service-{workload}-7d9c5b6f7c-{id:08x} (app) is in waiting state \
                         (reason: CrashLoopBackOff) on cluster lab."
                    ),
                    "runbook_url": "https://runbooks.example/kubernetes/kubepodcrashlooping",
                },
                "startsAt": starts_at,
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example/graph?g0.expr=max_over_time(kube_pod_container_status)",
                "fingerprint": format!("{id:016x}"),
            })
        })
        .collect();
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"KubePodCrashLooping\"}", "truncatedAlerts": 0,
        "status": "firing", "receiver": "whodunit", "groupLabels": {"alertname": "KubePodCrashLooping"},
        "commonLabels": {"alertname": "KubePodCrashLooping"}, "commonAnnotations": {},
        "externalURL": "http://alertmanager.example", "alerts": alerts,
    })
}
