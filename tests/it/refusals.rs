//! Every route that the API describes, and what it refuses: taken from the description itself, so that no route is
//! left out.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Api, two_teams};

struct Operation {
    path: String,
    method: Method,
    description: Value,
}

async fn operations(api: &Api) -> Vec<Operation> {
    let document = api.found("/openapi.json").await;
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, description) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            all.push(Operation { path: path.clone(), method, description: description.clone() });
        }
    }
    assert!(all.len() >= 15, "only {} operations are described", all.len());
    all
}

impl Operation {
    fn writes(&self) -> bool {
        self.method != Method::GET
    }

    fn has_body(&self) -> bool {
        self.description["requestBody"].is_object()
    }

    /// A body that is taken.
    fn body(&self) -> Value {
        match self.path.rsplit('/').next().unwrap() {
            "feedback" => json!({"verdict": "helpful"}),
            "mute" => json!({}),
            "investigations" => {
                json!({"cluster": "lab", "namespace": "api", "kind": "Deployment", "name": "a"})
            }
            _ => Value::Null,
        }
    }

    fn request(&self, id: Uuid, query: &str, token: Option<&str>, body: impl Into<Body>) -> Request<Body> {
        let path = self.path.replace("{id}", &id.to_string()).replace("{name}", "configuration");
        let mut request = Request::builder().method(&self.method).uri(format!("{path}{query}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if self.has_body() {
            request = request.header("content-type", "application/json");
        }
        request.body(body.into()).unwrap()
    }

    fn ordinary(&self, id: Uuid, query: &str, token: &str) -> Request<Body> {
        let body = if self.has_body() { Body::from(self.body().to_string()) } else { Body::empty() };
        self.request(id, query, Some(token), body)
    }
}

async fn refused(api: &Api, request: Request<Body>) -> (StatusCode, Value) {
    let what = format!("{} {}", request.method(), request.uri());
    let (status, headers, body) = api.send(request).await;
    assert_eq!(headers["content-type"], "application/problem+json", "{what}: {status} {body}");
    assert_eq!(body["status"], status.as_u16());
    assert!(!body["detail"].as_str().unwrap().is_empty());
    (status, body)
}

#[tokio::test]
async fn no_route_answers_without_a_token_with_an_unknown_parameter_or_to_another_method() {
    let (api, [shop, _]) = two_teams().await;
    for operation in operations(&api).await {
        let name = format!("{} {}", operation.method, operation.path);
        let body = Body::from(operation.body().to_string());
        let stranger = operation.request(shop, "", None, body);
        assert_eq!(refused(&api, stranger).await.0, StatusCode::UNAUTHORIZED, "{name}");

        let (status, body) = refused(&api, operation.ordinary(shop, "?zzz=1", "root-token")).await;
        assert_eq!((status, &body["parameter"]), (StatusCode::BAD_REQUEST, &json!("zzz")), "{name}: {body}");

        let other = Operation { method: Method::PATCH, ..operation };
        let (status, headers, _) = api.send(other.ordinary(shop, "", "root-token")).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{name}");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(headers.contains_key("allow"), "{name} says which methods there are");
    }
}

#[tokio::test]
async fn what_is_foreign_is_not_there_whatever_is_asked_of_it() {
    let (api, [_, foreign]) = two_teams().await;
    for operation in operations(&api).await {
        if !operation.path.contains("{id}") && operation.method == Method::GET {
            continue;
        }
        let (status, _) = refused(&api, operation.ordinary(foreign, "", "shop-token")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{} {}", operation.method, operation.path);
    }
}

#[tokio::test]
async fn acting_needs_the_scope_and_our_own_pages() {
    let (api, [shop, _]) = two_teams().await;
    let mut writes = 0;
    for operation in operations(&api).await.iter().filter(|operation| operation.writes()) {
        writes += 1;
        let (status, body) = refused(&api, operation.ordinary(shop, "", "everything")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{}", operation.path);
        assert!(body["detail"].as_str().unwrap().contains("scopes: [write]"), "{body}");
        let mut request = operation.ordinary(shop, "", "shop-token");
        request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
        request.headers_mut().insert("host", "whodunit.example".parse().unwrap());
        let (status, body) = refused(&api, request).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{}", operation.path);
        assert!(body["detail"].as_str().unwrap().contains("another site"), "{body}");
        let mut request = operation.ordinary(shop, "", "shop-token");
        request.headers_mut().insert("idempotency-key", "two words".parse().unwrap());
        let (status, body) = refused(&api, request).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}: {body}", operation.path);
        assert_eq!(body["parameter"], "Idempotency-Key");
    }
    assert_eq!(writes, 5);
    let audit = |token: &str| crate::api::get("/api/v1/audit", token);
    for token in ["everything", "shop-token", "shop-admin-token"] {
        assert_eq!(refused(&api, audit(token)).await.0, StatusCode::FORBIDDEN, "{token}");
    }
    assert_eq!(api.send(audit("root-token")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_none_is_refused_by_its_kind_its_size_or_its_field() {
    let (api, [shop, _]) = two_teams().await;
    let mut bodies = 0;
    for operation in operations(&api).await.iter().filter(|operation| operation.has_body()) {
        bodies += 1;
        let name = &operation.path;
        let mut request = operation.ordinary(shop, "", "root-token");
        request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        assert_eq!(refused(&api, request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{name}");
        let big = format!("{{\"reason\": \"{}\"}}", "x".repeat(64 << 10));
        let request = operation.request(shop, "", Some("root-token"), big);
        assert_eq!(refused(&api, request).await.0, StatusCode::PAYLOAD_TOO_LARGE, "{name}");
        for (body, parameter) in [("{", "body"), ("[]", "body"), ("{} {}", "body"), (r#"{"zzz": 1}"#, "zzz")]
        {
            let (status, problem) =
                refused(&api, operation.request(shop, "", Some("root-token"), body)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{name} {body}: {problem}");
            if *body == *r#"{"zzz": 1}"# || operation.path.ends_with("mute") {
                assert_eq!(problem["parameter"], parameter, "{name} {body}: {problem}");
            }
        }
    }
    assert_eq!(bodies, 3);
    let sent = |path: &str, body: &str| {
        let request = Request::post(path).header("authorization", "Bearer root-token");
        request.header("content-type", "application/json").body(Body::from(body.to_owned())).unwrap()
    };
    let mute = format!("/api/v1/investigations/{shop}/mute");
    for (path, body, parameter) in [
        (format!("/api/v1/investigations/{shop}/feedback"), r#"{"verdict": "great"}"#, "verdict"),
        (mute.clone(), r#"{"seconds": "7d"}"#, "seconds"),
        (mute, r#"{"reason": 1}"#, "reason"),
        (
            "/api/v1/investigations".into(),
            r#"{"cluster": "", "namespace": "a/b", "kind": "Pod", "name": "x"}"#,
            "namespace",
        ),
        (
            "/api/v1/investigations".into(),
            r#"{"cluster": "", "namespace": "", "kind": "a b", "name": "x"}"#,
            "kind",
        ),
        (
            "/api/v1/investigations".into(),
            r#"{"cluster": "", "namespace": "", "kind": "Pod", "name": "-"}"#,
            "name",
        ),
    ] {
        let (status, problem) = refused(&api, sent(&path, body)).await;
        assert_eq!(
            (status, &problem["parameter"]),
            (StatusCode::BAD_REQUEST, &json!(parameter)),
            "{body}: {problem}"
        );
    }
    // A report of the tests holds no cause.
    let (status, _) = refused(&api, sent(&format!("/api/v1/investigations/{shop}/mute"), "{}")).await;
    assert_eq!(status, StatusCode::CONFLICT);
}
