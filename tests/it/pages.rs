//! The pages over HTTP, on rows as the service writes them: what they show, who may see it, what forms do, and what
//! hostile data can do in them, which is nothing.

mod browser;
mod doors;
mod forms;
mod shown;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;
use whodunit::api::{ApiState, Ready, Tokens, router};
use whodunit::settings::{self, DescribedToken, Scope};
use whodunit::{telemetry, web};

/// What stands in labels, log lines and reasons of somebody who wants a script to run.
pub const HOSTILE: &str =
    "<img src=x onerror=alert(1)>\"'><script>alert(2)</script><!--</pre></code> javascript:alert(3)";

pub struct Site {
    router: Router,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Site {
    pub fn open(pool: &PgPool) -> Self {
        Self::with(pool, &settings::Api { open_writes: true, ..Default::default() }, "")
    }

    pub fn with(pool: &PgPool, settings: &settings::Api, public_url: &str) -> Self {
        let ready = Ready {
            draining: CancellationToken::new(),
            runbooks: watch::channel(Default::default()).1,
            slack: Default::default(),
            clusters: Default::default(),
        };
        let state = ApiState {
            pool: pool.clone(),
            tokens: Arc::new(Tokens::new(settings).unwrap()),
            ready,
            metrics: telemetry::recorder().unwrap().handle(),
            wake: Arc::default(),
            catalogue: watch::channel(Arc::default()).1,
            open: Arc::new(|_, _| Box::pin(async { anyhow::bail!("nobody opens") })),
        };
        Self { router: web::around(router(state.clone()), state, public_url) }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A page that is there, checked for what every page must hold.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        check(path, &answer);
        answer.text
    }
}

/// What holds for every page: the policy, no script or style in it, landmarks, and no raw hostile text.
pub fn check(path: &str, answer: &Answer) {
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["referrer-policy"], "same-origin");
    let text = &answer.text;
    for landmark in ["<main", "<nav", "<header", "href=\"#main\"", "<html lang=\"en\">"] {
        assert!(text.contains(landmark), "{path} has no {landmark}");
    }
    assert_eq!(text.matches("<h1").count(), 1, "{path}: one title");
    assert_eq!(text.matches("<script").count(), 1, "{path}: only the file");
    for wrong in [
        "<img",
        "<style",
        " style=\"",
        "<iframe",
        "<object",
        "<svg onload",
        "href=\"javascript:",
        "<base",
        "<!--",
    ] {
        assert!(!text.contains(wrong), "{path} holds {wrong}");
    }
    let handlers =
        text.split('<').filter(|tag| tag.split('>').next().unwrap().contains(" on")).filter(|tag| {
            let tag = tag.split('>').next().unwrap();
            // Attribute values may hold anything, escaped.
            let bare: String = tag.split('"').step_by(2).collect();
            bare.split_whitespace().any(|word| word.starts_with("on") && word.contains('='))
        });
    assert_eq!(handlers.count(), 0, "{path}: no handler in a tag");
}

pub fn token(name: &str, secret: &str, scopes: &[Scope], namespaces: &[&str]) -> settings::ApiToken {
    settings::ApiToken::Described(Box::new(DescribedToken {
        name: name.to_owned(),
        token: Some(secret.into()),
        token_file: None,
        scopes: scopes.to_vec(),
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        clusters: Vec::new(),
    }))
}

pub async fn incident(pool: &PgPool, workload: &str, state: &str, title: &str) -> Uuid {
    let id = Uuid::now_v7();
    let parts: Vec<&str> = workload.split('/').collect();
    sqlx::query(
        "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names,
             alerts, opened_at, resolved_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'critical', $8, array[$8, 'B'], 3, now() - interval '20 minutes',
             case when $7 = 'resolved' then now() end)",
    )
    .bind(id)
    .bind(workload)
    .bind(parts[0])
    .bind(parts[1])
    .bind(parts[2])
    .bind(parts[3])
    .bind(state)
    .bind(title)
    .execute(pool)
    .await
    .unwrap();
    id
}

pub async fn alert(pool: &PgPool, incident: Uuid, text: &str) {
    sqlx::query(
        "insert into alerts (id, source, fingerprint, starts_at, status, name, severity, cluster, body, incident_id,
             decision, reason)
         values ($1, 'alertmanager', $1::text, now(), 'firing', $3, 'critical', 'lab',
             jsonb_build_object('labels', jsonb_build_object($3, $3), 'annotations', jsonb_build_object('summary', $3)),
             $2, 'open', $3)",
    )
    .bind(Uuid::now_v7())
    .bind(incident)
    .bind(text)
    .execute(pool)
    .await
    .unwrap();
}

/// A finished investigation with this report, or one in another state without.
pub async fn investigation(pool: &PgPool, incident: Uuid, state: &str, report: Option<&Value>) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into investigations (id, incident_id, state, reason, attempt, workload, cluster, namespace, alert_name,
             outcome, cause_id, summary, report, runbook, error, created_at, started_at, finished_at)
         select $1, id, $3, 'opened', 1, workload, cluster, namespace, title, $4 ->> 'outcome',
             $4 #>> '{cause,id}', $4 ->> 'summary', $4, $4 #>> '{runbook,name}',
             case when $3 = 'dead' then title end, now(), now(), case when $3 in ('done', 'dead') then now() end
         from incidents where id = $2",
    )
    .bind(id)
    .bind(incident)
    .bind(state)
    .bind(report)
    .execute(pool)
    .await
    .unwrap();
    id
}

pub async fn observation(pool: &PgPool, investigation: Uuid, evidence: &str, source: &str, text: &str) {
    sqlx::query("insert into steps values ($1, 1, $2, $3, 'GET /' || $3, $4, 12, now())")
        .bind(investigation)
        .bind(evidence)
        .bind(source)
        .bind(text)
        .execute(pool)
        .await
        .unwrap();
}

/// A report whose texts all hold `text`.
pub fn report(outcome: &str, text: &str) -> Value {
    let object = json!({"cluster": "lab", "kind": "Secret", "namespace": "shop", "name": text});
    let cause = json!({"id": "secret-missing", "category": "configuration", "statement": format!("why {text}"),
        "object": object});
    let finding = |role: &str, signature: &str| {
        json!({"signature": signature, "role": role, "category": "configuration", "object": object,
            "workloads": [text], "statement": format!("finding {text}"), "evidence": ["E1", text]})
    };
    json!({
        "outcome": outcome, "summary": format!("summary {text}"),
        "cause": if outcome == "not_an_incident" { Value::Null } else { cause },
        "confidence": "high",
        "affected": {"radius": "workload", "workloads": [text, "b"], "pods": {"unhealthy": 2, "total": 2}, "shared_factor": text},
        "findings": [finding("primary", "secret-missing"), finding("secondary", "crash-loop")],
        "timeline": [
            {"at": "2026-11-20T06:59:18Z", "what": format!("rolled out {text}"), "evidence": "E1", "kind": "rollout", "trigger": true, "why": text},
            {"at": "2026-11-21T06:59:25Z", "what": "first failure", "evidence": "E2", "kind": "failure"},
            {"at": "2026-11-21T07:03:00Z", "what": "alert", "evidence": "", "kind": "alert"},
        ],
        "onset_at": "2026-11-20T06:59:20Z",
        "changed_first": [
            {"at": "2026-11-20T06:59:18Z", "kind": "rollout", "object": text, "what": format!("rollout {text}"),
                "near": "itself", "seconds_before": 2, "why": text, "score": 0.9, "evidence": "E1", "line": text},
        ],
        "evidence": [
            {"id": "E1", "source": "kubernetes", "query": format!("GET /{text}"), "quote": format!("quote {text}"), "verified": true},
            {"id": "E2", "source": "loki", "query": "GET /logs", "quote": text, "verified": false},
        ],
        "ruled_out": [{"statement": format!("ruled out {text}"), "evidence": ["E1"]}],
        "next_steps": [{"text": format!("step {text}"), "command": format!("kubectl get {text}"), "risk": "high"}],
        "runbook": {"name": "kubernetes", "revision": text, "coverage": "partial", "reason": text},
        "cost": {"steps": 0, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "usd": 0.0, "seconds": 0.8},
        "gaps": [{"source": "loki", "what": text, "why": text}],
        "unproven": [{"statement": format!("unproven {text}"), "why": text}],
    })
}
