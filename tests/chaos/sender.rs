//! Alertmanager as far as the service sees it: bodies with alerts, sent again after a 5xx or a broken connection
//! and dropped after a 4xx, with its waits. Every workload's name is its own, so that it can be found again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use chrono::Utc;
use serde_json::{Value, json};

/// Alertmanager's first wait, and how it grows.
const FIRST_WAIT: Duration = Duration::from_millis(400);
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Alertmanager's own deadline for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const GIVE_UP: Duration = Duration::from_secs(600);

/// Of one alert. `twin` tells alerts about one workload from each other.
#[derive(Debug, Clone)]
pub struct Alert {
    pub workload: String,
    pub twin: usize,
    pub is_resolved: bool,
}

impl Alert {
    pub fn firing(workload: impl Into<String>) -> Self {
        Self { workload: workload.into(), twin: 0, is_resolved: false }
    }

    pub fn labels(&self) -> Value {
        json!({
            "alertname": "KubeDeploymentReplicasMismatch", "cluster": "lab", "namespace": "chaos",
            "severity": "warning", "deployment": self.workload, "instance": format!("10.0.0.{}", self.twin),
        })
    }
}

pub struct Sender {
    http: reqwest::Client,
    url: String,
    /// The same for all alerts: firing and resolved are one occurrence.
    starts_at: String,
    began: Instant,
    heard: Mutex<Heard>,
}

/// What the service answered.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// 0: the connection broke.
    pub statuses: BTreeMap<u16, u64>,
    /// When each request that heard 202 was sent, counted from the sender's making, and how long it took.
    pub acknowledged: Vec<(Duration, Duration)>,
    /// How long the slowest answer took, whatever it was.
    pub slowest: Duration,
}

impl Heard {
    /// Refusals that Alertmanager would not send again.
    pub fn dropped(&self) -> u64 {
        self.statuses.iter().filter(|(status, _)| (400..500).contains(*status)).map(|(_, count)| count).sum()
    }
}

impl Sender {
    pub fn new(http: reqwest::Client, port: u16) -> Self {
        let url = format!("http://127.0.0.1:{port}/webhooks/alertmanager");
        Self { http, url, starts_at: Utc::now().to_rfc3339(), began: Instant::now(), heard: Mutex::default() }
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn body(&self, alerts: &[Alert]) -> Value {
        let one = |alert: &Alert| {
            let status = if alert.is_resolved { "resolved" } else { "firing" };
            let ends_at =
                if alert.is_resolved { Utc::now().to_rfc3339() } else { "0001-01-01T00:00:00Z".to_owned() };
            json!({
                "status": status, "labels": alert.labels(), "annotations": {"summary": "Replicas are missing."},
                "startsAt": self.starts_at, "endsAt": ends_at, "generatorURL": "",
                "fingerprint": format!("{:016x}", fingerprint(&alert.labels())),
            })
        };
        let is_over = alerts.iter().all(|alert| alert.is_resolved);
        json!({
            "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "receiver": "whodunit",
            "status": if is_over { "resolved" } else { "firing" }, "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "", "alerts": alerts.iter().map(one).collect::<Vec<_>>(),
        })
    }

    /// Sends once and says the status, 0 for none.
    pub async fn post(&self, alerts: &[Alert]) -> u16 {
        let started = Instant::now();
        let request = self.http.post(&self.url).timeout(REQUEST_TIMEOUT).json(&self.body(alerts));
        let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
        let took = started.elapsed();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard.statuses.entry(status).or_default() += 1;
        heard.slowest = heard.slowest.max(took);
        if status == 202 {
            heard.acknowledged.push((started.duration_since(self.began), took));
        }
        status
    }

    /// Sends until it is taken in.
    pub async fn deliver(&self, alerts: &[Alert]) -> Result<()> {
        let (begun, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            match self.post(alerts).await {
                202 => return Ok(()),
                status @ 400..500 => {
                    bail!("a legal body was refused with {status}, which is never sent again")
                }
                _ if begun.elapsed() > GIVE_UP => bail!("nobody took the alerts within {GIVE_UP:?}"),
                _ => tokio::time::sleep(wait).await,
            }
            wait = wait.mul_f64(1.5).min(MAX_WAIT);
        }
    }
}

/// Any number that follows from the labels will do.
fn fingerprint(labels: &Value) -> u64 {
    labels.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
