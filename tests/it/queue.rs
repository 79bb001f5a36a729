//! The queue on real Postgres: claimed once, fenced by the attempt, buried with a reason.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use whodunit::alert::Source;
use whodunit::incident::book::Placed;
use whodunit::incident::decide::Rules;
use whodunit::incident::store as incidents;
use whodunit::investigation::queue::{self, Claim, Failure};
use whodunit::settings;
use whodunit::workload::Workload;

use crate::house;

const LEASE: Duration = Duration::from_secs(60);
const ATTEMPTS: i32 = 3;

/// Queues one due investigation for each of `count` workloads.
pub async fn fill(pool: &PgPool, count: usize) {
    let alerts: Vec<_> = (0..count)
        .map(|number| {
            json!({"status": "firing", "labels": {"alertname": "A", "namespace": "n", "deployment": format!("d{number}")},
                   "annotations": {}, "startsAt": "2026-11-21T07:00:00Z", "endsAt": "0001-01-01T00:00:00Z"})
        })
        .collect();
    let body =
        json!({"version": "4", "status": "firing", "receiver": "r", "groupKey": "g", "alerts": alerts})
            .to_string();
    let alerts = whodunit::webhook::parse(Source::Alertmanager, body.as_bytes(), chrono::Utc::now()).unwrap();
    let placed = alerts.into_iter().enumerate().map(|(number, alert)| Placed {
        alert,
        workload: Workload::new("", "n", "Deployment", format!("d{number}")),
        confident: true,
    });
    let placed: Vec<Placed> = placed.collect();
    let rules = Rules::new(&settings::Intake::default()).unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let (mut book, now) = incidents::open(&mut transaction, placed.iter()).await.unwrap();
    for placed in &placed {
        book.enter(placed, &rules, now);
    }
    incidents::write_incidents(&mut transaction, &book).await.unwrap();
    let waiting: Vec<_> = book
        .entries
        .values()
        .map(|entry| queue::Waiting {
            incident_id: entry.id,
            workload: entry.workload.clone(),
            alert_name: "A".to_owned(),
            reason: "test".to_owned(),
            priority: 2,
            after: Duration::ZERO,
        })
        .collect();
    assert_eq!(queue::enqueue(&mut *transaction, &waiting).await.unwrap().len(), count);
    assert!(
        queue::enqueue(&mut *transaction, &waiting).await.unwrap().is_empty(),
        "one waits for each incident"
    );
    transaction.commit().await.unwrap();
}

async fn claim(pool: &PgPool, lease: Duration) -> Option<Claim> {
    let worker = "w".to_owned();
    let terms =
        queue::Terms { worker, lease, max_attempts: ATTEMPTS, per_namespace: 1_000, full: Vec::new() };
    queue::claim(pool, &terms).await.unwrap()
}

pub async fn make_due(pool: &PgPool) {
    sqlx::query("update investigations set run_at = now(), lease_until = now() - interval '1 s'")
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_at_once_claim_each_investigation_once() {
    let pool = house::pool().await;
    fill(&pool, 200).await;
    let workers = (0..8).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            while let Some(claim) = claim(&pool, LEASE).await {
                mine.push(claim.id);
            }
            mine
        })
    });
    let claimed: Vec<_> =
        futures::future::join_all(workers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(claimed.len(), 200);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_can_end_nothing() {
    let pool = house::pool().await;
    fill(&pool, 1).await;
    let stale = claim(&pool, LEASE).await.unwrap();
    assert!(claim(&pool, LEASE).await.is_none(), "it is leased");
    make_due(&pool).await;
    let fresh = claim(&pool, LEASE).await.unwrap();
    assert_eq!((stale.id, fresh.attempt), (fresh.id, stale.attempt + 1));
    assert!(!queue::heartbeat(&pool, &stale, LEASE).await.unwrap());
    assert_eq!(queue::fail(&pool, &stale, "late", ATTEMPTS).await.unwrap(), Failure::Lost);
    assert!(queue::heartbeat(&pool, &fresh, LEASE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_failures_bury_an_investigation_with_its_reason_and_the_waits_grow() {
    let pool = house::pool().await;
    fill(&pool, 1).await;
    let mut waits = Vec::new();
    for failure in [Failure::Retry, Failure::Retry, Failure::Dead] {
        let claimed = claim(&pool, LEASE).await.unwrap();
        assert_eq!(queue::fail(&pool, &claimed, "the cluster burned down", ATTEMPTS).await.unwrap(), failure);
        let wait: f64 =
            sqlx::query_scalar("select extract(epoch from run_at - now())::float8 from investigations")
                .fetch_one(&pool)
                .await
                .unwrap();
        waits.push(wait);
        make_due(&pool).await;
    }
    assert!(waits[1] > 2.0 * waits[0] && waits[0] > 1.0, "{waits:?}");
    assert!(claim(&pool, LEASE).await.is_none());
    let (state, error): (String, String) =
        sqlx::query_as("select state, error from investigations").fetch_one(&pool).await.unwrap();
    assert_eq!((state.as_str(), error.as_str()), ("dead", "the cluster burned down"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_vanishes_three_times_buries_it_too_and_a_drain_never_does() {
    let pool = house::pool().await;
    fill(&pool, 1).await;
    for _ in 0..10 {
        let claimed = claim(&pool, LEASE).await.unwrap();
        queue::release(&pool, &claimed).await.unwrap();
    }
    for _ in 0..3 {
        assert!(queue::bury(&pool, ATTEMPTS).await.unwrap().is_empty());
        claim(&pool, LEASE).await.unwrap();
        make_due(&pool).await;
    }
    assert!(claim(&pool, LEASE).await.is_none());
    assert_eq!(queue::bury(&pool, ATTEMPTS).await.unwrap().len(), 1);
    let error: String = sqlx::query_scalar("select error from investigations where state = 'dead'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(error.contains("vanished"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn severity_and_age_decide_and_a_noisy_namespace_leaves_room() {
    let pool = house::pool().await;
    fill(&pool, 6).await;
    // d0 to d3 are of one namespace; d4 is critical and new, d5 waits for an hour and is only a warning.
    for (name, namespace, priority, waited) in
        [("d4", "calm", 3, 0), ("d5", "calm", 2, 3600), ("d0", "noisy", 3, 60), ("d1", "noisy", 3, 60)]
    {
        sqlx::query(
            "update investigations set namespace = $2, priority = $3, run_at = now() - make_interval(secs => $4)
             where workload like '%/' || $1",
        )
        .bind(name)
        .bind(namespace)
        .bind(priority)
        .bind(f64::from(waited))
        .execute(&pool)
        .await
        .unwrap();
    }
    sqlx::query("update investigations set namespace = 'noisy' where namespace = 'n'")
        .execute(&pool)
        .await
        .unwrap();
    let worker = "w".to_owned();
    let terms =
        queue::Terms { worker, lease: LEASE, max_attempts: ATTEMPTS, per_namespace: 1, full: Vec::new() };
    let mut order = Vec::new();
    while let Some(claim) = queue::claim(&pool, &terms).await.unwrap() {
        order.push(claim.workload.rsplit('/').next().unwrap().to_owned());
        if order.len() == 1 {
            // The one that waited longest has made room in its namespace again.
            sqlx::query("update investigations set state = 'done' where id = $1")
                .bind(claim.id)
                .execute(&pool)
                .await
                .unwrap();
        }
    }
    assert_eq!(order[0], "d5", "an hour outweighs a step of severity: {order:?}");
    assert!(order[1] == "d0" || order[1] == "d1", "critical and older than d4: {order:?}");
    assert_eq!(order[2..], ["d4"], "one of the noisy namespace at a time: {order:?}");
}
