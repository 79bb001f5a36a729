//! From a webhook to its finished report: one alert at a time against a cluster, the end read from the database.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::service::{Service, client};

/// Deployments of the recorded cluster that fail, each in its own way.
const WORKLOADS: &[(&str, &str)] = &[
    ("prod-api", "analytics-service"),
    ("prod-api", "api-gateway"),
    ("prod-api", "auth-service"),
    ("prod-api", "payment-service"),
    ("prod-api", "user-service"),
    ("shop", "catalog"),
    ("shop", "checkout"),
    ("shop", "inventory"),
    ("shop", "search"),
];
const REPORT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// A connection to the service's own PostgreSQL.
pub async fn database(sockets: &Path) -> Result<PgPool> {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(sockets)
        .port(5432)
        .username("whodunit")
        .database("whodunit");
    Ok(PgPoolOptions::new().max_connections(1).connect_with(options).await?)
}

/// How long each workload's report took.
pub async fn times(service: &Service, sockets: &Path) -> Result<Vec<Duration>> {
    let pool = database(sockets).await?;
    let client = client()?;
    let mut times = Vec::new();
    for (namespace, name) in WORKLOADS {
        let body = json!({"version": "4", "status": "firing", "receiver": "whodunit", "groupKey": name, "alerts": [{
            "status": "firing", "startsAt": chrono::Utc::now().to_rfc3339(), "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": format!("{:016x}", times.len() + 1), "generatorURL": "", "annotations": {},
            // Critical alerts do not wait for evidence to settle.
            "labels": {"alertname": "ServiceDown", "cluster": "lab", "severity": "critical",
                "namespace": namespace, "deployment": name},
        }]});
        let sent = Instant::now();
        let request = client.post(format!("{}/webhooks/alertmanager", service.url)).json(&body);
        let status = request.send().await?.status();
        ensure!(status.is_success(), "a webhook was answered with {status}");
        loop {
            let state: Option<String> = sqlx::query_scalar(
                "select state from investigations where namespace = $1 and workload like '%/Deployment/' || $2",
            )
            .bind(namespace)
            .bind(name)
            .fetch_optional(&pool)
            .await?;
            match state.as_deref() {
                Some("done") => break,
                Some("dead" | "cancelled") => {
                    bail!("{namespace}/{name}: the investigation ended without a report")
                }
                _ if sent.elapsed() > REPORT => bail!("{namespace}/{name}: no report within {REPORT:?}"),
                _ => tokio::time::sleep(POLL).await,
            }
        }
        times.push(sent.elapsed());
    }
    pool.close().await;
    Ok(times)
}
