//! Who comes in: strangers, tokens, cookies of several ages and makers, readers of one namespace, forms of other sites.

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use uuid::Uuid;
use whodunit::settings::{self, Scope};

use super::{Answer, Site, incident, investigation, observation, report, token};
use crate::house;

fn settings() -> settings::Api {
    let tokens = vec![
        token("kim", "secret-of-kim", &[Scope::Read, Scope::Write], &[]),
        token("shop", "secret-of-shop", &[Scope::Read], &["shop"]),
    ];
    settings::Api { tokens, ..Default::default() }
}

/// What a browser sends with a form of a page of ours.
fn form(path: &str) -> Builder {
    Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .header("origin", "http://whodunit.test")
        .header("host", "whodunit.test")
}

async fn sign_in(site: &Site, secret: &str) -> Answer {
    let body = format!("token={secret}&back=%2Fsearch");
    site.send(form("/sign-in").body(Body::from(body)).unwrap()).await
}

fn cookie(answer: &Answer) -> String {
    answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

async fn with(site: &Site, path: &str, cookie: &str) -> Answer {
    site.send(Request::get(path).header("cookie", cookie).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn strangers_are_led_to_the_sign_in_and_back() {
    let pool = house::pool().await;
    let site = Site::with(&pool, &settings(), "");
    for path in
        ["/", "/search?q=a", "/runbooks", "/costs", "/incidents/1", "/investigations/1", "/runbooks/x"]
    {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        let location = answer.headers["location"].to_str().unwrap();
        assert!(location.starts_with("/sign-in?back=/"), "{path}: {location}");
    }
    site.page("/sign-in?back=/search").await;
    let wrong = sign_in(&site, "secret-of-ki").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(!wrong.headers.contains_key("set-cookie") && wrong.text.contains("none of the tokens"));

    let right = sign_in(&site, "secret-of-kim").await;
    assert_eq!(
        (right.status, &right.headers["location"]),
        (StatusCode::SEE_OTHER, &"/search".parse().unwrap())
    );
    let set = right.headers["set-cookie"].to_str().unwrap();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains("secret-of-kim"),
        "{set}"
    );
    let mine = cookie(&right);
    assert_eq!(with(&site, "/", &mine).await.status, StatusCode::OK);
    // Another process, started later, knows it too; one without that token does not.
    assert_eq!(with(&Site::with(&pool, &settings(), ""), "/", &mine).await.status, StatusCode::OK);
    let others = settings::Api { tokens: vec![token("b", "b", &[Scope::Read], &[])], ..Default::default() };
    assert_eq!(with(&Site::with(&pool, &others, ""), "/", &mine).await.status, StatusCode::SEE_OTHER);
    for wrong in [
        "whodunit=",
        "whodunit=1.x",
        "other=1",
        &mine.replace('.', ".A"),
        &mine.replace("whodunit=", "whodunit=9"),
    ] {
        assert_eq!(with(&site, "/", wrong).await.status, StatusCode::SEE_OTHER, "{wrong}");
    }
    let out = site.send(form("/sign-out").header("cookie", &mine).body(Body::empty()).unwrap()).await;
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    let secure = sign_in(&Site::with(&pool, &settings(), "https://who.example.com"), "secret-of-kim").await;
    let set = secure.headers["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("__Host-whodunit=") && set.contains("; Secure"), "{set}");
}

#[tokio::test]
async fn a_way_back_leads_to_no_other_site() {
    let site = Site::with(&house::pool().await, &settings(), "");
    for back in ["//evil.example", "https://evil.example", "/%0d%0aset-cookie:x", "javascript:alert(1)"] {
        let body = format!("token=secret-of-kim&back={back}");
        let answer = site.send(form("/sign-in").body(Body::from(body.clone())).unwrap()).await;
        assert_eq!(answer.headers["location"], "/", "{back}");
        assert!(!site.page(&format!("/sign-in?back={back}")).await.contains("evil"));
    }
}

#[tokio::test]
async fn who_comes_by_a_link_from_elsewhere_takes_one_step_more_for_the_cookie() {
    let site = Site::with(&house::pool().await, &settings(), "");
    let request = Request::get("/search?q=a")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate");
    let answer = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("content=\"0; url=/search?q=a\""), "{}", answer.text);
    assert!(answer.headers.contains_key("content-security-policy"));
}

#[tokio::test]
async fn a_reader_of_one_namespace_sees_nothing_of_another() {
    let pool = house::pool().await;
    let mut ids: Vec<(Uuid, Uuid)> = Vec::new();
    for workload in ["lab/shop/Deployment/checkout", "lab/api/Deployment/secluded", "lab//Node/secluded-node"]
    {
        let incident = incident(&pool, workload, "open", "t").await;
        let id = investigation(&pool, incident, "done", Some(&report("known_pattern", workload))).await;
        observation(&pool, id, "E1", "kubernetes", "text").await;
        ids.push((incident, id));
    }
    let site = Site::with(&pool, &settings(), "");
    let mine = cookie(&sign_in(&site, "secret-of-shop").await);
    for path in
        ["/", "/search", "/search?q=summary", "/search?q=secluded", "/runbooks", "/runbooks/kubernetes"]
    {
        let answer = with(&site, path, &mine).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        // The words that were searched for are in the form again.
        assert!(
            !answer
                .text
                .replace("value=\"secluded\"", "")
                .replace("secluded · Search", "")
                .contains("secluded"),
            "{path}: {}",
            answer.text
        );
    }
    assert!(with(&site, "/", &mine).await.text.contains("1 open incident"));
    for (place, (incident, id)) in ids.iter().enumerate() {
        let expected = if place == 0 { StatusCode::OK } else { StatusCode::NOT_FOUND };
        for path in [
            format!("/incidents/{incident}"),
            format!("/investigations/{id}"),
            format!("/investigations/{id}/evidence/E1"),
            format!("/api/v1/investigations/{id}"),
        ] {
            assert_eq!(with(&site, &path, &mine).await.status, expected, "{path}");
        }
        let path = format!("/investigations/{id}/rerun");
        let request = form(&path).header("cookie", &mine).body(Body::from("action=")).unwrap();
        assert_eq!(site.send(request).await.status, StatusCode::FORBIDDEN, "it may read only");
    }
    let costs = with(&site, "/costs", &mine).await.text;
    assert!(
        costs.contains("<td class=\"number\">1</td>") && !costs.contains("<td class=\"number\">3</td>"),
        "{costs}"
    );
}

#[tokio::test]
async fn a_cookie_reads_the_api_and_changes_nothing_there() {
    let pool = house::pool().await;
    let site = Site::with(&pool, &settings(), "");
    let mine = cookie(&sign_in(&site, "secret-of-kim").await);
    assert_eq!(with(&site, "/api/v1/incidents", &mine).await.status, StatusCode::OK);
    assert_eq!(site.get("/api/v1/incidents").await.status, StatusCode::UNAUTHORIZED);
    let id = Uuid::now_v7();
    let post = Request::post(format!("/api/v1/investigations/{id}/rerun")).header("cookie", &mine);
    let answer = site.send(post.body(Body::empty()).unwrap()).await;
    assert!(
        matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND
        ),
        "{}",
        answer.status
    );
}
