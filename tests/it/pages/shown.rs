//! What each page shows, for each outcome and state, with plain and with hostile data.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::{Answer, HOSTILE, Site, alert, check, incident, investigation, observation, report};
use crate::house;

#[tokio::test]
async fn without_an_alert_the_first_page_teaches_how_to_send_one() {
    let site = Site::open(&house::pool().await);
    let page = site.page("/").await;
    assert!(page.contains("/webhooks/alertmanager") && page.contains("No alert came in yet"), "{page}");
    for path in ["/search", "/runbooks", "/costs", "/sign-in"] {
        site.page(path).await;
    }
}

#[tokio::test]
async fn open_incidents_come_first_with_what_broke_and_where_it_is_talked_about() {
    let pool = house::pool().await;
    let over = incident(&pool, "lab/shop/Deployment/old", "resolved", "t").await;
    let open = incident(&pool, "lab/shop/Deployment/checkout", "open", "t").await;
    incident(&pool, "prod/api/StatefulSet/user", "open", "title of the alert").await;
    investigation(&pool, open, "done", Some(&report("known_pattern", "db"))).await;
    sqlx::query(
        "insert into announcements (id, incident_id, kind, channel, channel_id, payload, dedup_key, state, message_ts)
         values (gen_random_uuid(), $1, 'parent', '#a', 'C012AB', '{}', 'k', 'posted', '1790000000.000100')",
    )
    .bind(open)
    .execute(&pool)
    .await
    .unwrap();
    let site = Site::open(&pool);
    let page = site.page("/").await;
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(place("Deployment shop/checkout") < place("Deployment shop/old"));
    place("2 open incidents");
    place("why db");
    place("title of the alert");
    place("https://slack.com/archives/C012AB/p1790000000000100");
    assert!(!site.page("/?namespace=api").await.contains("checkout"));
    assert!(site.page("/?severity=info").await.contains("Nothing is open that this filter lets through"));
    let one = site.page(&format!("/incidents/{over}")).await;
    assert!(one.contains("Resolved") && one.contains("None yet."), "{one}");
}

#[tokio::test]
async fn every_outcome_is_told_verdict_first_and_hostile_text_stays_text() {
    let pool = house::pool().await;
    let site = Site::open(&pool);
    for (outcome, words) in [
        ("known_pattern", "Cause found"),
        ("root_cause", "Cause found"),
        ("inconclusive", "No cause found yet"),
        ("not_an_incident", "Nothing is broken"),
    ] {
        for text in ["plain", HOSTILE] {
            let key = format!("lab/shop/Deployment/{outcome}{}", text.len());
            let incident = incident(&pool, &key, "open", text).await;
            alert(&pool, incident, text).await;
            let before = investigation(&pool, incident, "done", Some(&report("inconclusive", text))).await;
            observation(&pool, before, "E1", "kubernetes", "image: web:1").await;
            let id = investigation(&pool, incident, "done", Some(&report(outcome, text))).await;
            observation(&pool, id, "E1", "kubernetes", &format!("image: web:2\nquote {text}\n")).await;
            observation(&pool, id, "E2", "loki", &text.repeat(100)).await;
            let page = site.page(&format!("/investigations/{id}")).await;
            for part in [
                words,
                "summary",
                "Everything that was read",
                "What happened when",
                "Since the last look",
                "What is not known",
                "not found in what was read",
                "Did it help?",
            ] {
                assert!(page.contains(part), "{outcome} {part}: {page}");
            }
            assert!(page.find(words).unwrap() < page.find("What happened when").unwrap());
            assert!(page.contains("image: web:1") && page.contains("changed facts"), "{page}");
            site.page(&format!("/incidents/{incident}")).await;
            site.page(&format!("/investigations/{id}/evidence/E2")).await;
        }
    }
    for path in [
        "/",
        "/search?q=summary",
        "/search?q=%3Cimg%20onerror",
        "/runbooks",
        "/runbooks/kubernetes",
        "/costs",
    ] {
        site.page(path).await;
    }
    assert!(site.page("/search?q=summary").await.contains("<mark>summary</mark>"));
    assert!(site.page("/search?q=zebra").await.contains("Nothing was found"));
    assert!(site.page("/search?outcome=not_an_incident").await.contains("2 investigations"));
    assert!(site.page("/runbooks").await.contains("/runbooks/kubernetes"));
}

#[tokio::test]
async fn what_goes_on_or_failed_says_so() {
    let pool = house::pool().await;
    let site = Site::open(&pool);
    for (place, (state, words)) in [
        ("queued", "waits for a worker"),
        ("running", "Facts are being gathered"),
        ("dead", "Every attempt failed"),
        ("cancelled", "resolved before"),
    ]
    .into_iter()
    .enumerate()
    {
        let incident = incident(&pool, &format!("lab/shop/Deployment/w{place}"), "open", HOSTILE).await;
        let id = investigation(&pool, incident, state, None).await;
        let page = site.page(&format!("/investigations/{id}")).await;
        assert!(page.contains(words), "{state}: {page}");
        assert_eq!(page.contains("data-events"), place < 2, "{state}");
        assert_eq!(page.contains("http-equiv=\"refresh\""), place < 2, "{state} reloads without script");
    }
    // A report of another version's shape is none, and no failure.
    let incident = incident(&pool, "lab/shop/Deployment/odd", "open", "t").await;
    let odd = json!({"outcome": "root_cause", "summary": "s", "shape": "another"});
    let id = investigation(&pool, incident, "done", Some(&odd)).await;
    site.page(&format!("/investigations/{id}")).await;
}

#[tokio::test]
async fn series_are_drawn_and_long_texts_are_fetched_when_they_are_opened() {
    let pool = house::pool().await;
    let incident = incident(&pool, "lab/shop/Deployment/checkout", "open", "t").await;
    let mut told = report("known_pattern", "db");
    told["evidence"][0]["source"] = json!("prometheus");
    let id = investigation(&pool, incident, "done", Some(&told)).await;
    let series = "x from 2026-11-21T06:57:25Z to 2026-11-21T07:07:25Z, every 30 s\npod=a: 4 → 5 at 07:02:25, 5 → 6 at 07:05:25\n";
    observation(&pool, id, "E1", "prometheus", series).await;
    let long = "a line of a log\n".repeat(1_000);
    observation(&pool, id, "E2", "loki", &long).await;
    let site = Site::open(&pool);
    let page = site.page(&format!("/investigations/{id}")).await;
    assert!(page.contains("<figure class=\"spark\">") && page.contains("pod=a: from 4 to 6"), "{page}");
    let address = format!("/investigations/{id}/evidence/E2");
    assert!(page.contains(&format!("data-fetch=\"{address}\"")) && page.contains("15.6 KiB"), "{page}");
    assert!(page.len() < 30_000, "{}", page.len());
    let asked = Request::get(&address).header("accept", "text/plain");
    let answer = site.send(asked.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.text, long);
}

#[tokio::test]
async fn unknown_addresses_are_pages_for_people_and_problems_for_programs() {
    let site = Site::open(&house::pool().await);
    let id = uuid::Uuid::now_v7();
    for path in ["/nothing", "/x/%ff", "/investigations/7", "/runbooks/none", "/favicon.ico"] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        check(path, &answer);
    }
    for path in [
        format!("/investigations/{id}"),
        format!("/incidents/{id}"),
        format!("/investigations/{id}/evidence/E1"),
    ] {
        assert_eq!(site.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/api/v1/nothing", "/webhooks/nothing"] {
        assert_eq!(site.get(path).await.headers["content-type"], "application/problem+json", "{path}");
    }
    assert_eq!(site.get(&format!("/search?q={}", "a".repeat(501))).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("/search?q=%00").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("/?namespace=%00").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn files_are_kept_for_ever_under_names_of_their_content() {
    let site = Site::open(&house::pool().await);
    let page = site.page("/").await;
    let files: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let mut bytes = page.len();
    for file in files {
        let answer = site.get(file).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("immutable"));
        bytes += answer.text.len();
    }
    assert!(bytes < 60_000, "{bytes}");
    assert_eq!(site.get("/assets/pages.0000000000000000.css").await.status, StatusCode::NOT_FOUND);
}

/// A check that cannot fail proves nothing.
#[tokio::test]
async fn the_check_of_pages_finds_planted_faults() {
    let site = Site::open(&house::pool().await);
    let good = site.get("/").await;
    check("/", &good);
    for planted in [
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<p style=\"color: red\">x</p>",
        "<p onclick=\"x()\">x</p>",
        "<h1>two</h1>",
    ] {
        let text = good.text.replacen("</main>", &format!("{planted}</main>"), 1);
        let bad = Answer { status: good.status, headers: good.headers.clone(), text };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check("/", &bad)));
        assert!(found.is_err(), "{planted} was not found");
    }
    for header in ["content-security-policy", "x-content-type-options", "referrer-policy"] {
        let mut headers = good.headers.clone();
        headers.remove(header);
        let bad = Answer { status: good.status, headers, text: good.text.clone() };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check("/", &bad)));
        assert!(found.is_err(), "the lack of {header} was not found");
    }
}
