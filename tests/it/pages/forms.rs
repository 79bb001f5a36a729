//! What forms do: feedback, another look, a mute and its end; each once, by those who may, from our own pages only.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use sqlx::PgPool;
use uuid::Uuid;
use whodunit::settings;

use super::{Answer, HOSTILE, Site, incident, investigation, report};
use crate::house;

async fn one(pool: &PgPool) -> Uuid {
    let incident = incident(pool, "lab/shop/Deployment/checkout", "open", "t").await;
    investigation(pool, incident, "done", Some(&report("known_pattern", "db"))).await
}

async fn post(site: &Site, path: &str, body: &str, site_of: &str) -> Answer {
    let request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", site_of);
    site.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(pool).await.unwrap()
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    answer.headers["location"].to_str().unwrap()
}

#[tokio::test]
async fn a_word_about_a_report_is_kept_once_and_shown() {
    let pool = house::pool().await;
    let id = one(&pool).await;
    let site = Site::open(&pool);
    let path = format!("/investigations/{id}/feedback");
    let hostile: String = HOSTILE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let body = format!("verdict=unhelpful&reason={hostile}&action=a-1");
    for _ in 0..2 {
        let answer = post(&site, &path, &body, "same-origin").await;
        assert_eq!(location(&answer), format!("/investigations/{id}?done=thanks"));
    }
    assert_eq!((count(&pool, "feedback").await, count(&pool, "audit").await), (1, 1));
    let page = site.page(&format!("/investigations/{id}?done=thanks")).await;
    assert!(page.contains("Noted, thank you.") && page.contains("not helpful by anybody"), "{page}");
    assert_eq!(post(&site, &path, "verdict=maybe", "same-origin").await.status, StatusCode::BAD_REQUEST);
    let gone = format!("/investigations/{}/feedback", Uuid::now_v7());
    assert_eq!(post(&site, &gone, "verdict=helpful", "same-origin").await.status, StatusCode::NOT_FOUND);
    let long = format!("verdict=helpful&reason={}", "a".repeat(20_000));
    assert_eq!(post(&site, &path, &long, "same-origin").await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_cause_is_muted_and_unmuted_and_looked_at_again() {
    let pool = house::pool().await;
    let id = one(&pool).await;
    let site = Site::open(&pool);
    let base = format!("/investigations/{id}");
    let muted = post(&site, &format!("{base}/mute"), "days=7&reason=known&action=m", "same-origin").await;
    assert_eq!(location(&muted), format!("{base}?done=muted"));
    assert!(site.page(&base).await.contains("Muted until"));
    assert_eq!(
        post(&site, &format!("{base}/mute"), "days=0", "same-origin").await.status,
        StatusCode::BAD_REQUEST
    );
    let lifted = post(&site, &format!("{base}/unmute"), "action=u", "same-origin").await;
    assert_eq!(location(&lifted), format!("{base}?done=unmuted"));
    assert!(site.page(&base).await.contains("Not a problem"));
    assert_eq!(post(&site, &format!("{base}/unmute"), "", "same-origin").await.status, StatusCode::NOT_FOUND);

    let again = post(&site, &format!("{base}/rerun"), "action=r", "same-origin").await;
    let next = location(&again).to_owned();
    assert_ne!(next, format!("{base}?done="));
    assert!(site.page(&next).await.contains("It waits for a worker."));
    let joined = post(&site, &format!("{base}/rerun"), "action=r2", "same-origin").await;
    assert!(location(&joined).ends_with("?done=joined"), "{next}");
}

#[tokio::test]
async fn forms_of_other_sites_and_of_readers_do_nothing() {
    let pool = house::pool().await;
    let id = one(&pool).await;
    let actions = [("feedback", "verdict=helpful"), ("rerun", ""), ("mute", "days=7"), ("unmute", "")];
    for (action, body) in actions {
        let path = format!("/investigations/{id}/{action}");
        for from in ["cross-site", "same-site", "none"] {
            let answer = post(&Site::open(&pool), &path, body, from).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action} from {from}");
        }
        let without = Request::post(&path).header("content-type", "application/x-www-form-urlencoded");
        let answer = Site::open(&pool).send(without.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action} without a word of where it comes from");
        let reading = Site::with(&pool, &settings::Api::default(), "");
        let answer = post(&reading, &path, body, "same-origin").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action} by a reader");
    }
    for table in ["feedback", "mutes", "audit"] {
        assert_eq!(count(&pool, table).await, 0, "{table}");
    }
    let page = Site::with(&pool, &settings::Api::default(), "").page(&format!("/investigations/{id}")).await;
    assert!(!page.contains("method=\"post\"") && page.contains("Your access is to read"), "{page}");
}
