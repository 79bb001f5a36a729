//! The reading side over HTTP: every filter, every page, every refusal.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;
use whodunit::api::{ApiState, Ready, Tokens, router};
use whodunit::runbook::{Catalogue, Standing};
use whodunit::settings;
use whodunit::slack::DEFAULT_PACE;
use whodunit::slack::blocks::Message;
use whodunit::slack::outbox;
use whodunit::slack::outbox::queue::{self, Terms};
use whodunit::telemetry;

use crate::{house, news};

/// Compiling every signature takes a while.
static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::builtin()));

pub struct Api {
    router: Router,
    draining: CancellationToken,
    standing: watch::Sender<Standing>,
}

impl Api {
    pub fn new(pool: PgPool, tokens: &[&str]) -> Self {
        let tokens = tokens.iter().map(|token| (*token).into()).collect();
        Self::with(pool, &settings::Api { tokens, ..Default::default() })
    }

    pub fn with(pool: PgPool, settings: &settings::Api) -> Self {
        let (draining, (standing, runbooks)) =
            (CancellationToken::new(), watch::channel(Standing::default()));
        let tokens = Arc::new(Tokens::new(settings).unwrap());
        let ready = Ready {
            draining: draining.clone(),
            runbooks,
            slack: Default::default(),
            clusters: Default::default(),
        };
        let metrics = telemetry::recorder().unwrap().handle();
        Self {
            router: router(ApiState {
                pool,
                tokens,
                ready,
                metrics,
                wake: Arc::default(),
                catalogue: watch::channel(Arc::clone(&CATALOGUE)).1,
                open: Arc::new(|_, _| Box::pin(async { anyhow::bail!("nobody opens") })),
            }),
            draining,
            standing,
        }
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let text = String::from_utf8(body.to_vec()).unwrap();
        (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, HeaderMap, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn found(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let body = self.found(&format!("/api/v1/investigations?{query}")).await;
        body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["cause_id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A refusal, checked to be a problem of RFC 9457.
    async fn problem(&self, path: &str) -> (StatusCode, Value) {
        let (status, headers, body) = self.get(path).await;
        assert_eq!(headers["content-type"], "application/problem+json", "{path}: {body}");
        assert_eq!(body["status"], status.as_u16());
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        (status, body)
    }
}

pub async fn incident(pool: &PgPool, workload: &str, state: &str, minute: i32) -> Uuid {
    let id = Uuid::now_v7();
    let parts: Vec<&str> = workload.split('/').collect();
    sqlx::query(
        "insert into incidents
             (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names, alerts, opened_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'critical', 't', '{A,B}', 3, '2026-11-21T10:00:00Z'::timestamptz
             + make_interval(mins => $8))",
    )
    .bind(id)
    .bind(workload)
    .bind(parts[0])
    .bind(parts[1])
    .bind(parts[2])
    .bind(parts[3])
    .bind(state)
    .bind(minute)
    .execute(pool)
    .await
    .unwrap();
    id
}

/// An investigation that is told from others by its cause.
pub async fn investigation(pool: &PgPool, incident: Uuid, alert: &str, cause: &str, minute: i32) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into investigations
             (id, incident_id, state, reason, attempt, workload, cluster, namespace, alert_name, outcome, cause_id,
              summary, report, created_at, started_at, finished_at)
         select $1, id, 'done', 'opened', 2, workload, cluster, namespace, $3,
                case when $4 = 'unknown' then 'inconclusive' else 'known_pattern' end, $4, 'The pods wait.',
                '{\"outcome\": \"known_pattern\"}', t, t, t + interval '1500 ms'
         from incidents, (select '2026-11-21T10:00:00Z'::timestamptz + make_interval(mins => $5) as t) clock
         where id = $2",
    )
    .bind(id)
    .bind(incident)
    .bind(alert)
    .bind(cause)
    .bind(minute)
    .execute(pool)
    .await
    .unwrap();
    id
}

#[tokio::test]
async fn investigations_are_found_by_every_filter() {
    let pool = house::pool().await;
    let checkout = incident(&pool, "lab/shop/Deployment/checkout", "open", 0).await;
    let user = incident(&pool, "prod/api/StatefulSet/user", "resolved", 1).await;
    investigation(&pool, checkout, "KubePodCrashLooping", "secret-missing", 0).await;
    investigation(&pool, user, "HighLatency", "unknown", 10).await;
    let api = Api::new(pool, &[]);
    for (query, expected) in [
        ("", vec!["unknown", "secret-missing"]),
        ("cluster=lab", vec!["secret-missing"]),
        ("namespace=api", vec!["unknown"]),
        ("workload=lab/shop/Deployment/checkout", vec!["secret-missing"]),
        ("workload=lab/shop/Deployment/check", vec![]),
        ("alert=HighLatency", vec!["unknown"]),
        ("outcome=inconclusive", vec!["unknown"]),
        ("cause=secret-missing", vec!["secret-missing"]),
        ("state=done", vec!["unknown", "secret-missing"]),
        ("state=dead", vec![]),
        ("since=2026-11-21T10:10:00Z", vec!["unknown"]),
        ("until=2026-11-21T10:10:00Z", vec!["secret-missing"]),
        ("since=2026-11-21T12:05:00%2B02:00&until=2026-11-21T10:11:00Z", vec!["unknown"]),
        ("q=checkout", vec!["secret-missing"]),
        ("q=crash", vec!["secret-missing"]),
        ("q=crash%20OR%20user", vec!["unknown", "secret-missing"]),
        ("q=looping%20secret", vec!["secret-missing"]),
        ("q=pods%20-checkout", vec!["unknown"]),
        ("q=%22%27%20%26%20!%20(", vec![]),
    ] {
        assert_eq!(api.names(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_whatever_arrives_in_between() {
    let pool = house::pool().await;
    let incident = incident(&pool, "lab/shop/Deployment/checkout", "open", 0).await;
    for n in 0..5 {
        // Two share their moment: the id decides.
        investigation(&pool, incident, "A", &format!("c{n}"), n / 2).await;
    }
    let api = Api::new(pool.clone(), &[]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for page in 0..3 {
        let body = api.found(&format!("/api/v1/investigations?limit=2{cursor}")).await;
        seen.extend(body["items"].as_array().unwrap().iter().map(|item| item["cause_id"].clone()));
        investigation(&pool, incident, "A", "newer", 100).await;
        match body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => assert_eq!(page, 2, "the last page has no next"),
        }
    }
    assert_eq!(seen, ["c4", "c3", "c2", "c1", "c0"]);
}

#[tokio::test]
async fn an_investigation_comes_with_its_report_and_what_the_last_attempt_saw() {
    let pool = house::pool().await;
    let incident = incident(&pool, "lab/shop/Deployment/checkout", "open", 0).await;
    let id = investigation(&pool, incident, "KubePodCrashLooping", "secret-missing", 0).await;
    for (attempt, evidence) in [(1, "E1"), (2, "E10"), (2, "E2")] {
        sqlx::query("insert into steps values ($1, $2, $3, 'kubernetes', 'GET /x', 'pods', 12, now())")
            .bind(id)
            .bind(attempt)
            .bind(evidence)
            .execute(&pool)
            .await
            .unwrap();
    }
    let body = Api::new(pool, &[]).found(&format!("/api/v1/investigations/{id}")).await;
    assert_eq!(body["report"], json!({"outcome": "known_pattern"}));
    let observation = |evidence: &str| json!({"evidence": evidence, "source": "kubernetes", "query": "GET /x", "observation": "pods", "milliseconds": 12});
    assert_eq!(body["observations"], json!([observation("E2"), observation("E10")]));
    assert_eq!(body["seconds"], 1.5);
    assert_eq!(body["incident_id"], incident.to_string());
    let mut keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = "alert_name attempt cached_tokens cause_id cluster created_at error feedback finished_at id \
        incident_id input_tokens namespace observations outcome output_tokens reason report runbook seconds \
        started_at state summary thread usd workload";
    assert_eq!(keys.join(" "), expected, "fields are added, never renamed");
}

#[tokio::test]
async fn incidents_tell_how_their_last_investigation_went() {
    let pool = house::pool().await;
    let old = incident(&pool, "lab/shop/Deployment/checkout", "resolved", 0).await;
    let new = incident(&pool, "lab/shop/Deployment/cart", "open", 1).await;
    investigation(&pool, old, "A", "secret-missing", 0).await;
    let last = investigation(&pool, old, "A", "unknown", 5).await;
    let api = Api::new(pool, &[]);
    let body = api.found("/api/v1/incidents").await;
    let ids: Vec<&Value> = body["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&json!(new), &json!(old)], "newest first");
    let item = &body["items"][1];
    assert_eq!(item["last_investigation"], json!({"id": last, "state": "done", "outcome": "inconclusive"}));
    assert_eq!((&item["investigations"], &item["alerts"]), (&json!(2), &json!(3)));
    assert_eq!(body["items"][0]["last_investigation"], Value::Null);

    for (query, expected) in [
        ("state=open", 1),
        ("state=resolved&namespace=shop", 1),
        ("cluster=prod", 0),
        ("workload=lab/shop/Deployment/cart", 1),
        ("limit=1", 1),
    ] {
        let body = api.found(&format!("/api/v1/incidents?{query}")).await;
        assert_eq!(body["items"].as_array().unwrap().len(), expected, "{query}");
    }
    let next = api.found("/api/v1/incidents?limit=1").await["next"].as_str().unwrap().to_owned();
    let body = api.found(&format!("/api/v1/incidents?limit=1&cursor={next}")).await;
    assert_eq!((&body["items"][0]["id"], &body["next"]), (&json!(old), &Value::Null));
}

#[tokio::test]
async fn every_refusal_is_a_problem_that_says_what_to_do() {
    let api = Api::new(house::pool().await, &[]);
    for (path, parameter) in [
        ("/api/v1/investigations?since=yesterday", "since"),
        ("/api/v1/investigations?limit=1000", "limit"),
        ("/api/v1/investigations?name=x", "name"),
        ("/api/v1/investigations?q=a&q=b", "q"),
        ("/api/v1/investigations?q=%00", "q"),
        ("/api/v1/investigations?cursor=AAAA", "cursor"),
        ("/api/v1/incidents?outcome=root_cause", "outcome"),
        ("/api/v1/incidents?state=closed", "state"),
        ("/api/v1/investigations/1", "id"),
        ("/api/v1/investigations/%ff", "id"),
        ("/api/v1/investigations/019aa000-0000-7000-8000-000000000001?full=1", "full"),
    ] {
        let (status, body) = api.problem(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(body["parameter"], parameter, "{path}: {body}");
    }
    assert_eq!(
        api.found("/api/v1/investigations?q=%ff").await["items"],
        json!([]),
        "not UTF-8 finds nothing"
    );
    for path in
        ["/api/v1/investigations/019aa000-0000-7000-8000-000000000001", "/api/v1/nothing", "/", "/x/%ff"]
    {
        assert_eq!(api.problem(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let post = Request::post("/api/v1/incidents").body(Body::empty()).unwrap();
    let (status, headers, _) = api.send(post).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn only_the_api_needs_a_token_and_unknown_paths_under_it_too() {
    let api = Api::new(house::pool().await, &["old-token", "new-token"]);
    for path in ["/api/v1/incidents", "/api/v1/investigations?limit=x", "/api/v1/nothing"] {
        assert_eq!(api.problem(path).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(api.get("/api/v1/incidents").await.1["www-authenticate"], "Bearer");
    for (sent, expected) in [
        ("Bearer old-token", StatusCode::OK),
        ("Bearer new-token", StatusCode::OK),
        ("Bearer new-toke", StatusCode::UNAUTHORIZED),
        ("Bearer ", StatusCode::UNAUTHORIZED),
        ("Basic new-token", StatusCode::UNAUTHORIZED),
        ("new-token", StatusCode::UNAUTHORIZED),
    ] {
        let request =
            Request::get("/api/v1/incidents").header("authorization", sent).body(Body::empty()).unwrap();
        assert_eq!(api.send(request).await.0, expected, "{sent}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(api.get(path).await.0, StatusCode::OK, "{path}");
    }
}

/// Two teams, each with an incident of its own, and a token each.
pub async fn two_teams() -> (Api, [Uuid; 2]) {
    let pool = house::pool().await;
    let cart = incident(&pool, "lab/shop-eu/Deployment/cart", "open", 0).await;
    let user = incident(&pool, "lab/api/StatefulSet/user", "open", 1).await;
    let shop = investigation(&pool, cart, "A", "secret-missing", 0).await;
    let api = investigation(&pool, user, "A", "unknown", 1).await;
    let tokens = "tokens:
      - {name: shop, token: shop-token, namespaces: ['shop-*'], scopes: [write]}
      - {name: elsewhere, token: elsewhere-token, clusters: ['prod*']}
      - {name: root, token: root-token, scopes: [admin]}
      - {name: shop-admin, token: shop-admin-token, scopes: [admin], namespaces: ['shop-*']}
      - everything";
    (Api::with(pool, &serde_saphyr::from_str(tokens).unwrap()), [shop, api])
}

pub fn get(path: &str, token: &str) -> Request<Body> {
    Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_token_sees_its_namespaces_only_and_what_is_foreign_is_not_there() {
    let (api, [shop, foreign]) = two_teams().await;
    for (token, incidents, investigations) in
        [("shop-token", 1, 1), ("elsewhere-token", 0, 0), ("everything", 2, 2)]
    {
        for (list, expected) in [("incidents", incidents), ("investigations", investigations)] {
            let (status, _, body) = api.send(get(&format!("/api/v1/{list}"), token)).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(body["items"].as_array().unwrap().len(), expected, "{token} {list}: {body}");
        }
    }
    for suffix in ["", "/events"] {
        let path = |id: Uuid| format!("/api/v1/investigations/{id}{suffix}");
        let (status, _, body) = api.send(get(&path(foreign), "shop-token")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
        assert_eq!(
            body,
            api.send(get(&path(Uuid::now_v7()), "shop-token")).await.2,
            "as if it were not there"
        );
        assert_eq!(api.send(get(&path(shop), "shop-token")).await.0, StatusCode::OK);
        assert_eq!(api.send(get(&path(foreign), "everything")).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn readiness_tells_what_is_wrong_and_is_lost_only_for_what_stops_us() {
    let pool = house::pool().await;
    let api = Api::new(pool.clone(), &[]);
    let expected = json!({
        "ready": true, "database": "ok", "draining": false, "runbook_faults": [], "slack_failures": [],
        "slack_held": [], "slack_lacks": {"scopes": [], "unreadable": {}},
        "outlets_held": [], "outlet_failures": [],
    });
    assert_eq!(api.found("/readyz").await, expected);
    let incident = incident(&pool, "lab/shop/Deployment/checkout", "open", 0).await;
    let head = Message { text: "head".to_owned(), blocks: vec![] };
    news::parent(&pool, incident, "#gone", &head).await.unwrap();
    let terms = Terms { pace: DEFAULT_PACE, timeout: Duration::from_secs(10) };
    let claim = queue::claim(&pool, terms, &[]).await.unwrap().unwrap();
    queue::fail(&pool, &claim, "invalid_blocks").await.unwrap();
    outbox::hold(&pool, "#gone", Duration::from_secs(60), Some("channel_not_found")).await.unwrap();
    let faults = vec!["runbooks/a.md:3:1: unknown key `scop`".to_owned()];
    api.standing.send(Standing { faults, commit: Some("0123abc".to_owned()) }).unwrap();
    let body = api.found("/readyz").await;
    assert_eq!(body["runbook_faults"], json!(["runbooks/a.md:3:1: unknown key `scop`"]));
    assert_eq!(body["runbook_commit"], "0123abc");
    let failure = &body["slack_failures"][0];
    assert_eq!((&failure["channel"], &failure["reason"]), (&json!("#gone"), &json!("invalid_blocks")));
    let held = &body["slack_held"][0];
    assert_eq!((&held["channel"], &held["reason"]), (&json!("#gone"), &json!("channel_not_found")));
    assert_eq!((&held["waiting"], &body["ready"]), (&json!(0), &json!(true)));

    api.draining.cancel();
    let (status, headers, body) = api.get("/readyz").await;
    assert_eq!((status, &body["draining"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(true)));
    assert!(headers.contains_key("retry-after"));
    assert_eq!(api.get("/healthz").await.0, StatusCode::OK, "alive while draining");
}

#[tokio::test]
async fn without_a_database_every_read_is_503_and_the_process_is_alive() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(300))
        .connect_lazy(&format!("postgres://nobody@{address}/none"))
        .unwrap();
    let api = Api::new(pool, &[]);
    for path in [
        "/api/v1/incidents",
        "/api/v1/investigations",
        "/api/v1/investigations/019aa000-0000-7000-8000-000000000001",
    ] {
        let (status, body) = api.problem(path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(!body.to_string().contains("127.0.0.1"), "no internals: {body}");
        assert_eq!(api.get(path).await.1["retry-after"], "5");
    }
    assert_eq!(
        api.problem("/api/v1/incidents?state=x").await.0,
        StatusCode::BAD_REQUEST,
        "asked before it is read"
    );
    let (status, _, body) = api.get("/readyz").await;
    assert_eq!((status, &body["ready"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(false)));
    assert_eq!(api.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_database_that_hangs_is_not_ready_within_a_second_and_a_half() {
    // Accepts connections and never says a word.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_secs(30))
        .connect_lazy(&format!("postgres://nobody@{address}/none?sslmode=disable"))
        .unwrap();
    let api = Api::new(pool, &[]);
    let asked = std::time::Instant::now();
    let (status, _, body) = api.get("/readyz").await;
    assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    assert_eq!(
        (status, &body["database"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("no answer within 1 s"))
    );
    drop(listener);
}
