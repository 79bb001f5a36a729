//! The client against a small HTTP server that records what it was asked.

pub(crate) mod replay;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use k8s_openapi::api::core::v1::{Node, Pod, Secret, Service};

use super::*;
use crate::settings;

type Seen = Arc<Mutex<Vec<String>>>;

async fn answer(State(seen): State<Seen>, request: Request) -> axum::response::Response {
    let uri = request.uri().to_string();
    let token = request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    seen.lock().unwrap().push(format!("{} {uri} {token}", request.method()));
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/version" => (
            [("date", "Sat, 21 Nov 2026 07:08:05 GMT")],
            include_str!("../../../tests/fixtures/recording/kubernetes/cluster/version.json"),
        )
            .into_response(),
        "/api/v1/namespaces/prod-api/pods" if uri.contains("continue=") => {
            include_str!("../../../tests/fixtures/recording/kubernetes/misc/pods-limit2-next.json")
                .replace("\"continue\"", "\"none\"")
                .into_response()
        }
        "/api/v1/namespaces/prod-api/pods" => {
            include_str!("../../../tests/fixtures/recording/kubernetes/misc/pods-limit2.json").into_response()
        }
        "/api/v1/namespaces/slow/pods" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK.into_response()
        }
        "/api/v1/nodes" => {
            include_str!("../../../tests/fixtures/recording/kubernetes/cluster/nodes.json").into_response()
        }
        "/api/v1/namespaces/shop/pods/a-1" => {
            r#"{"metadata":{"name":"a-1","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet",
               "name":"a","uid":"1","controller":true}]}}"#
                .into_response()
        }
        "/api/v1/namespaces/default/events" => {
            let event = |kind: &str, name: &str, reason: &str| serde_json::json!({"metadata": {}, "involvedObject": {"kind": kind, "name": name}, "reason": reason});
            let items = [
                event("Node", "n-1", "SystemOOM"),
                event("Node", "n-2", "SystemOOM"),
                event("Node", "n-1", "NodeHasSufficientMemory"),
                event("Pod", "n-1", "SystemOOM"),
            ];
            serde_json::json!({"metadata": {}, "items": items}).to_string().into_response()
        }
        "/api/v1/namespaces/shop/pods/a-1/log" => "2026-11-21T07:00:00Z line\n".into_response(),
        "/readyz" => {
            (StatusCode::INTERNAL_SERVER_ERROR, "[+]ping ok\n[-]etcd failed: reason withheld").into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn client() -> (Client, Seen) {
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings = settings::Kubernetes {
        url: Some(url),
        token: Some("abc".to_owned().into()),
        timeout_secs: 1,
        ..settings::Kubernetes::default()
    };
    (Client::connect(&settings).await.unwrap(), seen)
}

#[tokio::test]
async fn a_list_reads_all_pages_and_names_its_request() {
    let (client, seen) = client().await;
    let pods = client.list::<Pod>("prod-api", &ListQuery::labels("app=x,tier in (a)")).await.unwrap();
    assert_eq!(pods.value.items.len(), 4);
    assert_eq!(
        pods.query,
        "GET /api/v1/namespaces/prod-api/pods?labelSelector=app%3Dx%2Ctier%20in%20%28a%29&limit=500"
    );
    let seen = seen.lock().unwrap();
    assert!(
        seen.len() >= 2 && seen.iter().all(|line| line.starts_with("GET /api/v1/namespaces/prod-api/pods"))
    );
    assert!(seen.iter().all(|line| line.ends_with("Bearer abc")), "{seen:?}");
}

#[tokio::test]
async fn the_cluster_s_clock_is_its_date_header() {
    let (client, _) = client().await;
    assert_eq!(client.cluster_time().await.to_rfc3339(), "2026-11-21T07:08:05+00:00");
    assert_eq!(client.version().await.unwrap().value, "v1.36.2");
}

#[tokio::test]
async fn a_slow_answer_ends_at_its_deadline() {
    let (client, _) = client().await;
    let began = std::time::Instant::now();
    let error = client.list::<Pod>("slow", &ListQuery::default()).await.unwrap_err();
    assert_eq!(error, Error::Timeout(Duration::from_secs(1)));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn secrets_are_refused_before_anything_is_sent() {
    let (client, seen) = client().await;
    assert!(matches!(client.get::<Secret>("shop", "db").await, Err(Error::Refused(_))));
    assert!(matches!(client.list::<Secret>("shop", &ListQuery::default()).await, Err(Error::Refused(_))));
    assert!(matches!(client.names::<Secret>("shop").await, Err(Error::Refused(_))));
    assert!(matches!(client.metadata("Secret", "shop", "db").await, Err(Error::Refused(_))));
    assert!(matches!(client.get::<Pod>("shop", "../secrets/db").await, Err(Error::BadRequest(_))));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_scope_refuses_other_namespaces_and_foreign_logs() {
    let (client, seen) = client().await;
    let log = LogQuery::tail("c", false, 10);
    let narrow =
        client.scoped(Scope::Workload { namespace: "shop".to_owned() }).with_pods(["a-1".to_owned()]);
    assert!(matches!(narrow.get::<Service>("prod-api", "x").await, Err(Error::Refused(_))));
    assert!(matches!(narrow.list::<Pod>("", &ListQuery::default()).await, Err(Error::Refused(_))));
    assert!(matches!(narrow.log("shop", "b-1", &log).await, Err(Error::Refused(_))));
    assert!(matches!(
        narrow.list_shared::<k8s_openapi::api::core::v1::Namespace>().await,
        Err(Error::Refused(_))
    ));
    assert!(matches!(narrow.lease("someone-elses", false).await, Err(Error::Refused(_))));
    assert!(matches!(narrow.namespace("prod-api").await, Err(Error::Refused(_))));
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(narrow.list_shared::<Node>().await.unwrap().value.items.len(), 1);
    assert_eq!(narrow.log("shop", "a-1", &log).await.unwrap().value, "2026-11-21T07:00:00Z line\n");
    let wide = client.scoped(Scope::Namespace("shop".to_owned()));
    assert_eq!(wide.log("shop", "b-1", &log).await.unwrap_err(), Error::NotFound);
}

#[tokio::test]
async fn every_scope_sees_what_befell_its_nodes_and_nothing_else_of_their_namespace() {
    let (client, _) = client().await;
    let narrow = client.scoped(Scope::Workload { namespace: "shop".to_owned() });
    let events = narrow.node_events(&["n-1".to_owned()].into()).await.unwrap().value.items;
    let seen: Vec<_> =
        events.iter().map(|event| (event.involved_object.name.as_deref(), event.reason.as_deref())).collect();
    assert_eq!(seen, [(Some("n-1"), Some("SystemOOM"))]);
    let all = ListQuery::default();
    let refused = narrow.list::<k8s_openapi::api::core::v1::Event>("default", &all).await;
    assert!(matches!(refused, Err(Error::Refused(_))));
}

#[tokio::test]
async fn owners_are_asked_once() {
    let (client, seen) = client().await;
    for _ in 0..3 {
        let owner = client.owner("Pod", "shop", "a-1").await.unwrap();
        assert_eq!(owner, Some(Owner { kind: "ReplicaSet".to_owned(), name: "a".to_owned() }));
    }
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(client.owner("Rollout", "shop", "x").await, Ok(None));
    for _ in 0..3 {
        assert_eq!(client.owner("Pod", "shop", "not-there").await, Err(Error::NotFound));
    }
    assert_eq!(seen.lock().unwrap().len(), 2, "what is not there is asked for once as well");
}

#[tokio::test]
async fn failing_readiness_checks_are_an_answer() {
    let (client, _) = client().await;
    assert!(client.readyz().await.unwrap().value.contains("[-]etcd failed"));
}

#[tokio::test]
async fn a_cluster_that_is_down_is_unavailable() {
    let settings = settings::Kubernetes {
        url: Some("http://127.0.0.1:9".to_owned()),
        timeout_secs: 2,
        ..settings::Kubernetes::default()
    };
    let client = Client::connect(&settings).await.unwrap();
    assert!(matches!(client.list::<Pod>("x", &ListQuery::default()).await, Err(Error::Unavailable(_))));
}
