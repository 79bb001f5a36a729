//! What the API tells beside plain lists: exports, ETags, details, runbooks, figures and its own description.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::api::{Api, get, incident, investigation, two_teams};
use crate::house;

async fn run(pool: &PgPool, statement: &'static str, id: Uuid) {
    sqlx::query(statement).bind(id).execute(pool).await.unwrap();
}

#[tokio::test]
async fn lists_are_narrowed_by_severity_alert_time_and_the_first_digits_of_an_id() {
    let pool = house::pool().await;
    let cart = incident(&pool, "lab/shop/Deployment/cart", "open", 0).await;
    let user = incident(&pool, "lab/api/StatefulSet/user", "open", 10).await;
    run(&pool, "update incidents set severity = 'info', alert_names = '{C}' where id = $1", user).await;
    let first = investigation(&pool, cart, "A", "one", 0).await;
    investigation(&pool, user, "A", "two", 1).await;
    let api = Api::new(pool, &[]);
    for (path, expected) in [
        ("investigations?severity=info".to_owned(), 1),
        ("investigations?severity=critical".to_owned(), 1),
        (format!("investigations?id={first}"), 1),
        (format!("investigations?id={}", &first.to_string()[..4]), 2),
        ("investigations?id=ffff".to_owned(), 0),
        ("incidents?severity=info".to_owned(), 1),
        ("incidents?alert=C".to_owned(), 1),
        ("incidents?alert=B".to_owned(), 1),
        ("incidents?since=2026-11-21T10:05:00Z".to_owned(), 1),
        ("incidents?until=2026-11-21T10:05:00Z".to_owned(), 1),
    ] {
        let body = api.found(&format!("/api/v1/{path}")).await;
        assert_eq!(body["items"].as_array().unwrap().len(), expected, "{path}");
    }
}

fn asked(path: &str, header: &'static str, value: &str) -> Request<Body> {
    Request::get(path).header(header, value).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_list_is_exported_as_csv_and_ndjson_and_says_where_it_goes_on() {
    let pool = house::pool().await;
    let cart = incident(&pool, "lab/shop/Deployment/cart", "open", 0).await;
    for minute in 0..3 {
        investigation(&pool, cart, "=cmd()", &format!("cause \"{minute}\", x"), minute).await;
    }
    let api = Api::new(pool.clone(), &[]);
    let (status, headers, csv) = api.send(asked("/api/v1/investigations", "accept", "text/csv")).await;
    assert_eq!((status, &headers["content-type"].to_str().unwrap()[..8]), (StatusCode::OK, "text/csv"));
    let csv = csv.as_str().unwrap().to_owned();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 4, "{csv}");
    assert!(lines[0].starts_with("id,incident_id,workload,"));
    assert!(lines[1].contains("\"cause \"\"2\"\", x\"") && lines[1].contains("'=cmd()"), "{csv}");
    assert!(!headers.contains_key("link") && !headers.contains_key("etag"));

    let path = "/api/v1/investigations?format=ndjson&limit=2";
    let (_, headers, ndjson) = api.get(path).await;
    assert_eq!(headers["content-type"], "application/x-ndjson");
    let rows: Vec<Value> =
        ndjson.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["cause_id"]), (2, &json!("cause \"2\", x")));
    let link = headers["link"].to_str().unwrap();
    let cursor = link.strip_prefix("<?cursor=").unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    let (_, headers, rest) = api.get(&format!("{path}&cursor={cursor}")).await;
    assert!(!headers.contains_key("link"));
    // One line is a JSON value of its own.
    assert_eq!(rest["cause_id"], "cause \"0\", x");

    let (_, headers, incidents) = api.get("/api/v1/incidents?format=csv").await;
    assert_eq!(incidents.as_str().unwrap().lines().count(), 2);
    assert!(headers["content-disposition"].to_str().unwrap().contains("whodunit.csv"));
    // The query wins over what is accepted.
    let json = api.send(asked("/api/v1/incidents?format=json", "accept", "text/csv")).await.2;
    assert_eq!(json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn more_rows_than_one_batch_are_exported_whole_and_once() {
    let pool = house::pool().await;
    let cart = incident(&pool, "lab/shop/Deployment/cart", "open", 0).await;
    run(
        &pool,
        "insert into investigations (id, incident_id, state, reason, workload, cluster, namespace, alert_name, created_at)
         select gen_random_uuid(), $1, 'done', 'opened', 'lab/shop/Deployment/cart', 'lab', 'shop', n::text,
                '2026-11-21T10:00:00Z'::timestamptz + make_interval(secs => n / 3)
         from generate_series(1, 2500) n",
        cart,
    )
    .await;
    let api = Api::new(pool, &[]);
    let (_, headers, body) = api.get("/api/v1/investigations?format=ndjson").await;
    assert!(!headers.contains_key("link"));
    let mut names: Vec<i64> = body
        .as_str()
        .unwrap()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["alert_name"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    names.sort_unstable();
    assert_eq!(names, (1..=2500).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let pool = house::pool().await;
    let cart = incident(&pool, "lab/shop/Deployment/cart", "open", 0).await;
    let id = investigation(&pool, cart, "A", "one", 0).await;
    let api = Api::new(pool.clone(), &[]);
    for path in [
        "/api/v1/investigations".to_owned(),
        format!("/api/v1/investigations/{id}"),
        "/api/v1/incidents".into(),
    ] {
        let (_, headers, _) = api.get(&path).await;
        let tag = headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(headers["cache-control"], "private, no-cache");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let (status, headers, body) = api.send(asked(&path, "if-none-match", &known)).await;
            assert_eq!((status, body), (StatusCode::NOT_MODIFIED, json!("")), "{path} {known}");
            assert_eq!(headers["etag"].to_str().unwrap(), tag);
        }
        assert_eq!(api.send(asked(&path, "if-none-match", "\"other\"")).await.0, StatusCode::OK);
    }
    let tag = api.get(&format!("/api/v1/investigations/{id}")).await.1["etag"].to_str().unwrap().to_owned();
    run(&pool, "update investigations set summary = 'changed' where id = $1", id).await;
    let changed = api.send(asked(&format!("/api/v1/investigations/{id}"), "if-none-match", &tag)).await;
    assert_eq!((changed.0, &changed.2["summary"]), (StatusCode::OK, &json!("changed")));
}

#[tokio::test]
async fn an_incident_comes_with_its_alerts_investigations_and_how_its_thread_was_found() {
    let pool = house::pool().await;
    let cart = incident(&pool, "lab/shop/Deployment/cart", "open", 0).await;
    let id = investigation(&pool, cart, "A", "one", 0).await;
    run(
        &pool,
        "insert into alerts (id, source, fingerprint, starts_at, status, name, severity, cluster, body, incident_id,
                             decision, reason)
         values (gen_random_uuid(), 'alertmanager', 'f', now(), 'firing', 'A', 'critical', 'lab',
                 '{\"labels\": {\"pod\": \"cart-0\"}}', $1, 'open', 'no open incident')",
        cart,
    )
    .await;
    run(
        &pool,
        "insert into announcements (id, incident_id, kind, channel, payload, dedup_key, state, thread, thread_score,
                                    thread_reason, message_ts)
         values (gen_random_uuid(), $1, 'parent', '#alerts', '{}', 'parent', 'posted', 'adopted', 93, 'same fingerprint', '1.2')",
        cart,
    )
    .await;
    run(&pool, "insert into runs values ($1, 'instructions', 'case', 'fence', '{}', now())", id).await;
    run(
        &pool,
        "insert into turns (investigation_id, number, attempt, model, turn, answers, told, forced, input_tokens,
                            cached_tokens, output_tokens, usd, milliseconds)
         values ($1, 1, 1, 'm', '{\"calls\": []}', '[]', 'go on', false, 1, 2, 3, 0.5, 7)",
        id,
    )
    .await;
    let api = Api::new(pool, &[]);
    let body = api.found(&format!("/api/v1/incidents/{cart}")).await;
    assert_eq!((&body["workload"], &body["investigations"]), (&json!("lab/shop/Deployment/cart"), &json!(1)));
    assert_eq!(body["recent_investigations"][0]["id"], json!(id));
    assert_eq!(body["occurrences"][0]["labels"], json!({"pod": "cart-0"}));
    let thread = json!({"channel": "#alerts", "state": "posted", "kind": "adopted", "match_score": 93,
        "match_reason": "same fingerprint", "message_ts": "1.2"});
    assert_eq!(body["thread"], thread);
    assert_eq!(api.found(&format!("/api/v1/investigations/{id}")).await["thread"], thread);
    let transcript = api.found(&format!("/api/v1/investigations/{id}/transcript")).await;
    assert_eq!(transcript["opening"]["case_file"], "case");
    assert_eq!(
        (&transcript["turns"][0]["told"], &transcript["turns"][0]["usd"]),
        (&json!("go on"), &json!(0.5))
    );
}

#[tokio::test]
async fn runbooks_tell_what_came_of_them_among_what_the_caller_sees() {
    let pool = house::pool().await;
    let cart = incident(&pool, "lab/shop-eu/Deployment/cart", "open", 0).await;
    let (hit, miss) = (
        investigation(&pool, cart, "A", "one", 0).await,
        investigation(&pool, cart, "B", "unknown", 1).await,
    );
    for (id, report) in [
        (hit, json!({"runbook": {"coverage": "covered"}, "evidence": [{"id": "E2"}]})),
        (miss, json!({"runbook": {"coverage": "none"}})),
    ] {
        sqlx::query("update investigations set runbook = 'configuration', report = $2, finished_at = now(), usd = 0.25 where id = $1")
            .bind(id)
            .bind(report)
            .execute(&pool)
            .await
            .unwrap();
    }
    let answers = json!([{"kind": "observed", "evidence": "E2"}, {"kind": "observed", "evidence": "E3"},
        {"kind": "repeated", "evidence": "E2"}, {"kind": "accepted", "evidence": ""}]);
    sqlx::query(
        "insert into turns (investigation_id, number, attempt, model, turn, answers, told, forced, input_tokens,
                            cached_tokens, output_tokens, usd, milliseconds)
         values ($1, 1, 1, 'm', '{}', $2, '', false, 1, 2, 3, 0.5, 7)",
    )
    .bind(hit)
    .bind(answers)
    .execute(&pool)
    .await
    .unwrap();
    run(
        &pool,
        "insert into feedback values (gen_random_uuid(), $1, 'unhelpful', '', 'kim', 'api', now())",
        hit,
    )
    .await;
    let (catalogue, pool_of_stats) = (Api::new(pool.clone(), &[]), pool.clone());
    let body = catalogue.found("/api/v1/runbooks").await;
    let items = body["items"].as_array().unwrap();
    assert!(items.len() > 5 && items.iter().all(|item| item["builtin"] == true));
    let general = catalogue.found("/api/v1/runbooks/configuration?days=7").await;
    assert!(!general["text"].as_str().unwrap().is_empty());
    let usage = &general["usage"];
    let counted =
        ["investigations", "covered", "explained", "inconclusive", "calls", "wasted_calls", "unhelpful"];
    assert_eq!(counted.map(|key| usage[key].as_i64().unwrap()), [2, 1, 1, 1, 3, 2, 1], "{usage}");
    assert_eq!((&general["hit_rate"], &usage["usd"]), (&json!(0.5), &json!(0.5)));
    assert_eq!(body["uncovered"][0]["alert"], "B");

    let stats = Api::new(pool_of_stats, &[]).found("/api/v1/stats").await;
    let week = &stats["weeks"][0];
    assert_eq!(
        (&week["known_pattern"], &week["inconclusive"], &week["usd"]),
        (&json!(1), &json!(1), &json!(0.5))
    );
    assert_eq!((&week["useful"], &week["minutes_saved"]), (&json!(0), &json!(0)), "called unhelpful");
    assert_eq!(stats["alerts"]["received"], 0);

    let tokens = "tokens: [{name: api, token: t, namespaces: [api]}]";
    let elsewhere = Api::with(pool, &serde_saphyr::from_str(tokens).unwrap());
    let seen = elsewhere.send(get("/api/v1/runbooks/configuration", "t")).await.2;
    assert_eq!(seen["usage"]["investigations"], 0);
    let seen = elsewhere.send(get("/api/v1/stats", "t")).await.2;
    assert_eq!((&seen["weeks"], &seen["alerts"]), (&json!([]), &Value::Null));
    assert_eq!(elsewhere.send(get("/api/v1/runbooks/nothing", "t")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_description_is_whole_and_its_page_runs_nothing() {
    let (api, _) = two_teams().await;
    let document = api.found("/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    // Every parameter that is described is known: none is refused as unknown.
    for list in ["investigations", "incidents"] {
        let parameters =
            document["paths"][format!("/api/v1/{list}")]["get"]["parameters"].as_array().unwrap().clone();
        assert!(parameters.len() > 8, "{parameters:?}");
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap();
            let (_, _, body) = api.send(get(&format!("/api/v1/{list}?{name}=%00"), "everything")).await;
            let hint = body["detail"].as_str().unwrap();
            assert!(hint.contains("NUL"), "{list} {name}: {hint}");
        }
    }
    let (status, headers, page) = api.get("/docs/api").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'; style-src 'self'")
    );
    let page = page.as_str().unwrap();
    assert!(page.contains("POST /api/v1/investigations/{id}/rerun") && page.contains("schema-Report"));
    for outside in ["<script", "http://", "https://", "style=", "onclick"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(api.get("/docs/api.css").await.1["content-type"], "text/css; charset=utf-8");
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
