//! The queue alone: claims and finishes a second, each finish with a real report, on the service's PostgreSQL.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use whodunit::investigation::{queue, store};
use whodunit::report::Report;

/// Investigations that wait when the measurement begins.
const WAITING: i32 = 5_000;
/// As many as three replicas with the usual concurrency.
const WORKERS: usize = 12;

/// Cycles a second of `WORKERS` workers.
pub async fn cycles_per_second(sockets: &Path) -> Result<f64> {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(sockets)
        .port(5432)
        .username("whodunit")
        .database("whodunit");
    let pool = PgPoolOptions::new().max_connections(WORKERS as u32).connect_with(options).await?;
    let report: serde_json::Value =
        sqlx::query_scalar("select report from investigations where report is not null limit 1")
            .fetch_one(&pool)
            .await
            .context("no report to finish with")?;
    let report: Report = serde_json::from_value(report)?;
    sqlx::query("update investigations set state = 'cancelled' where state = 'queued'")
        .execute(&pool)
        .await?;
    sqlx::query(
        "with opened as (
           insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names)
           select gen_random_uuid(), 'q/n' || n % 50 || '/Deployment/d' || n, 'q', 'n' || n % 50, 'Deployment', 'd' || n,
                  'open', 'warning', '', '{}' from generate_series(1, $1) n returning *)
         insert into investigations (id, incident_id, state, reason, workload, cluster, namespace, alert_name)
         select gen_random_uuid(), id, 'queued', '', workload, cluster, namespace, 'A' from opened",
    )
    .bind(WAITING)
    .execute(&pool)
    .await?;
    let started = Instant::now();
    let workers = (0..WORKERS).map(|number| {
        let (pool, report) = (pool.clone(), report.clone());
        let worker = format!("bench/{number}");
        let lease = Duration::from_secs(60);
        let terms = queue::Terms { worker, lease, max_attempts: 3, per_namespace: 3, full: Vec::new() };
        tokio::spawn(async move {
            let mut done = 0_u32;
            while let Some(claim) = queue::claim(&pool, &terms).await? {
                let mut transaction = pool.begin().await?;
                store::finish(&mut transaction, &claim, &report, &[]).await?;
                transaction.commit().await?;
                done += 1;
            }
            anyhow::Ok(done)
        })
    });
    let mut done = 0;
    for worker in futures::future::join_all(workers).await {
        done += worker??;
    }
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}
