//! What earlier investigations found, on real Postgres: in the same cluster and namespaces only, newest first.

use chrono::{DateTime, Duration, Utc};
use sqlx::PgPool;
use uuid::Uuid;
use whodunit::investigation::store::past;
use whodunit::tool::memory::PastQuery;

use crate::house;

struct Row<'a> {
    workload: &'a str,
    state: &'a str,
    cause: Option<&'a str>,
    summary: &'a str,
    hours_ago: i64,
}

async fn insert(pool: &PgPool, row: &Row<'_>) {
    let parts: Vec<&str> = row.workload.split('/').collect();
    let (incident, at) = (Uuid::now_v7(), Utc::now() - Duration::hours(row.hours_ago));
    sqlx::query(
        "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names)
         values ($1, $2, $3, $4, $5, $6, 'resolved', 'warning', 't', '{A}')",
    )
    .bind(incident)
    .bind(row.workload)
    .bind(parts[0])
    .bind(parts[1])
    .bind(parts[2])
    .bind(parts[3])
    .execute(pool)
    .await
    .unwrap();
    let report = row.cause.map(
        |cause| serde_json::json!({"cause": {"id": cause, "statement": format!("{cause} of {}", parts[3])}}),
    );
    sqlx::query(
        "insert into investigations (id, incident_id, state, reason, workload, cluster, namespace, alert_name,
                                     outcome, cause_id, summary, report, finished_at)
         values ($1, $2, $3, 'opened', $4, $5, $6, 'A', $7, $8, $9, $10, $11)",
    )
    .bind(Uuid::now_v7())
    .bind(incident)
    .bind(row.state)
    .bind(row.workload)
    .bind(parts[0])
    .bind(parts[1])
    .bind((row.state == "done").then_some(if row.cause.is_some() { "known_pattern" } else { "inconclusive" }))
    .bind(row.cause)
    .bind(row.summary)
    .bind(report)
    .bind((row.state == "done").then_some(at))
    .execute(pool)
    .await
    .unwrap();
}

fn query(namespaces: &[&str]) -> PastQuery {
    let until: DateTime<Utc> = Utc::now() + Duration::minutes(1);
    PastQuery {
        cluster: "lab".to_owned(),
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        workload: None,
        cause: None,
        text: None,
        since: until - Duration::days(30),
        until,
        limit: 10,
    }
}

async fn found(pool: &PgPool, query: PastQuery) -> Vec<String> {
    let reports = past(pool, &query).await.unwrap();
    reports.into_iter().map(|one| format!("{} {} {}", one.workload, one.statement, one.total)).collect()
}

#[tokio::test]
async fn earlier_investigations_are_found_within_their_scope() {
    let pool = house::pool().await;
    for (workload, state, cause, summary, hours_ago) in [
        ("lab/shop/Deployment/checkout", "done", Some("secret-missing"), "a Secret is missing", 1),
        ("lab/shop/Deployment/checkout", "done", None, "nothing explains the redis failures", 48),
        ("lab/shop/Deployment/my-checkout", "done", Some("image-not-found"), "no such image", 3),
        ("lab/web/Deployment/checkout", "done", Some("secret-missing"), "a Secret is missing", 2),
        ("other/shop/Deployment/checkout", "done", Some("secret-missing"), "a Secret is missing", 2),
        ("lab/shop/Job/seed", "running", None, "", 0),
        ("lab/shop/Job/seed", "done", Some("oom"), "too old", 24 * 60),
    ] {
        insert(&pool, &Row { workload, state, cause, summary, hours_ago }).await;
    }
    let own = [
        "lab/shop/Deployment/checkout secret-missing of checkout 3",
        "lab/shop/Deployment/my-checkout image-not-found of my-checkout 3",
        "lab/shop/Deployment/checkout nothing explains the redis failures 3",
    ];
    assert_eq!(found(&pool, query(&["shop"])).await, own);
    assert_eq!(found(&pool, PastQuery { limit: 1, ..query(&["shop"]) }).await, own[..1]);
    assert_eq!(found(&pool, query(&[])).await.len(), 4);
    for workload in ["checkout", "Deployment/checkout", "shop/Deployment/checkout"] {
        let query = PastQuery { workload: Some(workload.to_owned()), ..query(&["shop"]) };
        assert_eq!(found(&pool, query).await.len(), 2, "{workload}");
    }
    for odd in ["%", "check_ut", "' or true --"] {
        let query = PastQuery { workload: Some(odd.to_owned()), text: None, ..query(&["shop"]) };
        assert!(found(&pool, query).await.is_empty(), "{odd}");
    }
    let cause = PastQuery { cause: Some("secret-missing".to_owned()), ..query(&["shop"]) };
    assert_eq!(found(&pool, cause).await, ["lab/shop/Deployment/checkout secret-missing of checkout 1"]);
    let text = PastQuery { text: Some("redis failure".to_owned()), ..query(&["shop"]) };
    assert_eq!(found(&pool, text).await.len(), 1);
}
