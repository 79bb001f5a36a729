//! The stand-in against what a real API server answered: lists, paging, selectors, logs, errors.

use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::demo::serve::Fault;

fn stand_in() -> KubernetesStandIn {
    KubernetesStandIn::new(Recording::embedded().unwrap()).unwrap()
}

fn ask(stand_in: &KubernetesStandIn, uri: &str) -> Answer {
    stand_in.answer(&Method::GET, uri, &HeaderMap::new())
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn names(stand_in: &KubernetesStandIn, uri: &str) -> Vec<String> {
    let answer = ask(stand_in, uri);
    assert_eq!(answer.status, 200, "{uri}: {}", String::from_utf8_lossy(&answer.body));
    let list = body(&answer);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn recorded(file: &str) -> Value {
    Recording::embedded().unwrap().json(&format!("kubernetes/{file}")).unwrap()
}

/// Requests that were recorded are answered as recorded, whatever code builds the answer.
#[test]
fn recorded_requests_get_their_recorded_answers() {
    let stand_in = stand_in();
    for (uri, status, file) in [
        ("/version", 200, "cluster/version.json"),
        ("/api", 200, "discovery/api.json"),
        ("/apis", 200, "discovery/apis.json"),
        ("/api/v1", 200, "discovery/api-v1.json"),
        ("/apis/apps/v1", 200, "discovery/apis-apps-v1.json"),
        ("/api/v1/namespaces/shop/pods", 200, "shop/pods.json"),
        ("/api/v1/namespaces/prod-api/events", 200, "prod-api/events.json"),
        ("/apis/apps/v1/namespaces/shop/statefulsets", 200, "shop/statefulsets.json"),
        ("/api/v1/nodes", 200, "cluster/nodes.json"),
        ("/apis/coordination.k8s.io/v1/leases", 200, "cluster/leases.json"),
        (
            "/apis/apps/v1/namespaces/prod-api/deployments/api-gateway/scale",
            200,
            "misc/deployment-scale.json",
        ),
        ("/api/v1/namespaces/prod-api/pods/no-such-pod", 404, "errors/404-pod.json"),
        ("/api/v1/namespaces/prod-api/pods/no-such-pod/log", 404, "errors/404-log-no-pod.json"),
        ("/api/v1/namespaces/no-such-ns", 404, "errors/404-namespace.json"),
        ("/api/v1/namespaces/prod-api/pods?fieldSelector=bogus%3D1", 400, "errors/400-field-selector.json"),
        ("/api/v1/namespaces/prod-api/pods?labelSelector=a%20in", 400, "errors/400-label-selector.json"),
        (
            "/api/v1/namespaces/prod-api/pods?limit=2&continue=bogus",
            400,
            "errors/410-or-400-bad-continue.json",
        ),
        ("/api/v1/namespaces/prod-api/secrets", 403, "errors/403-secrets.json"),
    ] {
        let answer = ask(&stand_in, uri);
        assert_eq!((answer.status, body(&answer)), (status, recorded(file)), "{uri}");
    }
    let metrics = ask(&stand_in, "/apis/metrics.k8s.io/v1beta1/nodes");
    assert_eq!((metrics.status, metrics.body.as_slice()), (404, b"404 page not found\n".as_slice()));
    assert_eq!(ask(&stand_in, "/readyz").body, b"ok");
    assert_eq!(names(&stand_in, "/api/v1/namespaces/no-such-ns/pods"), Vec::<String>::new());
}

#[test]
fn lists_of_all_namespaces_hold_every_object_once() {
    let stand_in = stand_in();
    let all = names(&stand_in, "/api/v1/pods");
    let shop = names(&stand_in, "/api/v1/namespaces/shop/pods");
    let prod = names(&stand_in, "/api/v1/namespaces/prod-api/pods");
    assert_eq!(all, [prod, shop].concat());
    assert_eq!(all.len(), 30);
}

#[test]
fn one_object_says_what_it_is_and_items_of_a_list_do_not() {
    let stand_in = stand_in();
    for (uri, kind, api_version) in [
        ("/api/v1/namespaces/shop/pods/ml-trainer", "Pod", "v1"),
        ("/apis/batch/v1/namespaces/shop/cronjobs/nightly-report", "CronJob", "batch/v1"),
        (
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/frontend",
            "HorizontalPodAutoscaler",
            "autoscaling/v2",
        ),
        ("/api/v1/nodes/node-1", "Node", "v1"),
        ("/api/v1/namespaces/shop", "Namespace", "v1"),
        ("/apis/apps", "APIGroup", "v1"),
    ] {
        let answer = ask(&stand_in, uri);
        assert_eq!(answer.status, 200, "{uri}");
        assert_eq!(
            (&body(&answer)["kind"], &body(&answer)["apiVersion"]),
            (&json!(kind), &json!(api_version))
        );
    }
    let list = body(&ask(&stand_in, "/api/v1/namespaces/shop/pods"));
    assert_eq!(list["items"][0]["kind"], Value::Null);
    let missing = body(&ask(&stand_in, "/apis/apps/v1/namespaces/shop/deployments/nope"));
    assert_eq!(missing["message"], json!("deployments.apps \"nope\" not found"));
    assert_eq!(missing["details"], json!({"name": "nope", "group": "apps", "kind": "deployments"}));
    for uri in
        ["/api/v1/pods/ml-trainer", "/api/v1/namespaces/shop/nodes/node-1", "/api/v1/nothing", "/nothing"]
    {
        assert_eq!(ask(&stand_in, uri).status, 404, "{uri}");
    }
}

#[test]
fn secrets_are_forbidden_however_they_are_asked_for() {
    let stand_in = stand_in();
    for (uri, message) in [
        ("/api/v1/secrets", "cannot list resource \"secrets\" in API group \"\" at the cluster scope"),
        (
            "/api/v1/namespaces/shop/secrets?limit=1",
            "cannot list resource \"secrets\" in API group \"\" in the namespace \"shop\"",
        ),
        (
            "/api/v1/namespaces/shop/secrets/db",
            "cannot get resource \"secrets\" in API group \"\" in the namespace \"shop\"",
        ),
    ] {
        let answer = ask(&stand_in, uri);
        assert_eq!(answer.status, 403, "{uri}");
        assert!(body(&answer)["message"].as_str().unwrap().ends_with(message), "{uri}");
    }
}

#[test]
fn selectors_choose_what_the_api_server_would() {
    let stand_in = stand_in();
    let shop = "/api/v1/namespaces/shop/pods?labelSelector=";
    for (selector, expected) in [
        ("app=catalog", 2),
        ("app%3D%3Dcatalog", 2),
        ("app!%3Dcatalog", 16),
        ("app%20in%20(catalog,checkout)", 5),
        ("app%20notin%20(catalog,%20checkout)", 13),
        ("app%20in(catalog)", 2),
        ("app", 18),
        ("pod-template-hash", 9),
        ("!pod-template-hash", 9),
        ("pod-template-hash,app%20notin%20(catalog)", 7),
        ("app=catalog,pod-template-hash=nope", 0),
        ("nothing%3E5", 0),
    ] {
        let found = names(&stand_in, &format!("{shop}{selector}"));
        assert_eq!(found.len(), expected, "{selector}: {found:?}");
    }
    for (uri, expected) in [
        (
            "/api/v1/pods?fieldSelector=status.phase%3DPending",
            vec!["auth", "auth", "payment", "payment", "user", "user", "ml-trainer", "orders-db", "search"],
        ),
        ("/api/v1/namespaces/shop/pods?fieldSelector=spec.nodeName%3D", vec!["ml-trainer", "orders-db"]),
        (
            "/api/v1/namespaces/shop/pods?fieldSelector=spec.nodeName!%3Dnode-1",
            vec!["ml-trainer", "orders-db"],
        ),
        (
            "/api/v1/pods?fieldSelector=metadata.namespace%3Dshop,metadata.name%3D%3Dml-trainer",
            vec!["ml-trainer"],
        ),
        ("/apis/batch/v1/jobs?fieldSelector=metadata.name%3Ddb-seed", vec!["db-seed"]),
    ] {
        let found = names(&stand_in, uri);
        assert_eq!(found.len(), expected.len(), "{uri}: {found:?}");
        assert!(found.iter().zip(&expected).all(|(name, start)| name.starts_with(start)), "{uri}: {found:?}");
    }
    for bad in ["a%20in%20(b", "a%20b", "%3Db", "a%3D%24", "a%3Eb"] {
        assert_eq!(ask(&stand_in, &format!("{shop}{bad}")).status, 400, "{bad}");
    }
    let jobs = ask(&stand_in, "/apis/batch/v1/jobs?fieldSelector=spec.nodeName%3Dnode-1");
    assert_eq!(body(&jobs)["message"], json!("field label not supported: spec.nodeName"));
}

#[test]
fn events_are_found_by_the_object_they_are_about() {
    let stand_in = stand_in();
    let pod = "fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3Dapi-gateway-69fbb5d75d-hgjtb";
    let found = names(&stand_in, &format!("/api/v1/namespaces/prod-api/events?{pod}"));
    let all = recorded("prod-api/events.json");
    let expected = all["items"].as_array().unwrap().iter().filter(|event| {
        event["involvedObject"]["name"] == "api-gateway-69fbb5d75d-hgjtb"
            && event["involvedObject"]["kind"] == "Pod"
    });
    assert_eq!(found.len(), expected.count());
    assert!(!found.is_empty());
    let warnings = names(&stand_in, "/api/v1/events?fieldSelector=type%3DWarning");
    assert!(warnings.len() >= 32, "{}", warnings.len());
    let back_off =
        names(&stand_in, "/api/v1/namespaces/shop/events?fieldSelector=reason%3DBackOff,type!%3DNormal");
    assert!(!back_off.is_empty() && back_off.len() < warnings.len());
    let uid = all["items"][0]["involvedObject"]["uid"].as_str().unwrap();
    assert!(
        !names(&stand_in, &format!("/api/v1/events?fieldSelector=involvedObject.uid%3D{uid}")).is_empty()
    );
}

#[test]
fn pages_join_to_the_whole_list_and_tokens_are_the_recorded_ones() {
    let stand_in = stand_in();
    for base in [
        "/api/v1/namespaces/prod-api/pods?limit=5",
        "/api/v1/pods?limit=7",
        "/api/v1/pods?limit=4&labelSelector=tier",
    ] {
        let whole = names(&stand_in, &base.replace("limit", "ignored"));
        let mut joined = Vec::new();
        let mut token = String::new();
        for _ in 0..20 {
            let page = body(&ask(&stand_in, &format!("{base}&continue={token}")));
            let items = page["items"].as_array().unwrap();
            joined.extend(items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()));
            match page["metadata"]["continue"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
            let counted = page["metadata"]["remainingItemCount"].as_u64();
            let left = (whole.len() - joined.len()) as u64;
            assert_eq!(counted, if base.contains("Selector") { None } else { Some(left) }, "{base}");
        }
        assert_eq!(joined, whole, "{base}");
    }
    let next = recorded("misc/pods-limit2.json")["metadata"]["continue"].as_str().unwrap().to_owned();
    let second = names(&stand_in, &format!("/api/v1/namespaces/prod-api/pods?limit=2&continue={next}"));
    assert_eq!(second, ["api-gateway-69fbb5d75d-jzvxf", "api-gateway-69fbb5d75d-wjw2j"]);
    let first = body(&ask(&stand_in, "/api/v1/namespaces/prod-api/pods?limit=2"));
    let decode = |token: &str| {
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token).unwrap()
    };
    let strip =
        |token: &str| String::from_utf8(decode(token)).unwrap().split("\"start\"").last().unwrap().to_owned();
    assert_eq!(strip(first["metadata"]["continue"].as_str().unwrap()), strip(&next));
    assert_eq!(ask(&stand_in, "/api/v1/pods?limit=x").status, 400);
}

const POD: &str = "/api/v1/namespaces/prod-api/pods/notification-service-56d747db4c-mnhgw/log";

fn log(stand_in: &KubernetesStandIn, query: &str) -> String {
    let answer = ask(stand_in, &format!("{POD}{query}"));
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain"), "{query}");
    String::from_utf8(answer.body).unwrap()
}

#[test]
fn logs_are_cut_as_asked_and_carry_times_only_when_asked() {
    let stand_in = stand_in();
    let file = "kubernetes/prod-api/logs/notification-service-56d747db4c-mnhgw.notification.current.log";
    let recorded = String::from_utf8(Recording::embedded().unwrap().file(file).unwrap().to_vec()).unwrap();
    assert_eq!(log(&stand_in, "?container=notification&timestamps=true"), recorded);
    let plain = log(&stand_in, "");
    assert_eq!(plain.lines().count(), recorded.lines().count());
    assert!(!plain.contains("2026-11-21T"), "{plain}");
    let last = recorded.lines().last().unwrap();
    assert_eq!(log(&stand_in, "?tailLines=1&timestamps=true"), format!("{last}\n"));
    assert_eq!(log(&stand_in, "?tailLines=0"), "");
    assert_eq!(log(&stand_in, "?tailLines=1&timestamps=true&limitBytes=10"), last[..10]);
    let recent = log(&stand_in, "?sinceSeconds=60&timestamps=true");
    assert!(!recent.is_empty() && recent.len() < recorded.len(), "{recent}");
    assert!(recorded.ends_with(&recent));
    assert_eq!(log(&stand_in, "?sinceTime=2026-11-22T00:00:00Z"), "");
    for bad in ["?tailLines=-1", "?limitBytes=0", "?sinceSeconds=x", "?sinceTime=yesterday"] {
        assert_eq!(ask(&stand_in, &format!("{POD}{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn where_the_cluster_had_no_log_its_refusal_is_served() {
    let stand_in = stand_in();
    let previous = ask(&stand_in, &format!("{POD}?previous=true"));
    assert_eq!(previous.status, 400);
    assert_eq!(
        body(&previous)["message"],
        json!(
            "previous terminated container \"notification\" in pod \"notification-service-56d747db4c-mnhgw\" not found"
        )
    );
    let unscheduled = ask(&stand_in, "/api/v1/namespaces/shop/pods/orders-db-0/log?container=db");
    assert_eq!((unscheduled.status, unscheduled.body.len()), (204, 0));
    let wrong = ask(&stand_in, &format!("{POD}?container=nope"));
    assert_eq!(
        (wrong.status, &body(&wrong)["message"]),
        (400, &json!("container nope is not valid for pod notification-service-56d747db4c-mnhgw"))
    );
    let init = ask(
        &stand_in,
        "/api/v1/namespaces/prod-api/pods/auth-service-869c6d4d5b-sncbd/log?container=migrate-db",
    );
    assert_eq!(init.status, 200);
}

#[test]
fn a_pod_with_two_containers_wants_a_name() {
    let mut stand_in = stand_in();
    let pods = stand_in.cluster.resource_mut("/api/v1", "pods").unwrap();
    let pod = json!({"metadata": {"name": "two-containers", "namespace": "tools"},
        "spec": {"containers": [{"name": "web"}, {"name": "sidecar"}]}});
    pods.items.insert("tools/two-containers".to_owned(), pod);
    let answer = ask(&stand_in, "/api/v1/namespaces/tools/pods/two-containers/log");
    assert_eq!((answer.status, body(&answer)), (400, recorded("errors/400-log-needs-container.json")));
}

#[test]
fn the_clock_starts_just_after_the_newest_recorded_moment() {
    let now = stand_in().now();
    let expected: DateTime<Utc> = "2026-11-21T07:08:09Z".parse().unwrap();
    assert!((now - expected).num_seconds().abs() <= 1, "{now}");
}

#[test]
fn only_reads_with_the_right_token_are_answered() {
    let stand_in = stand_in().with_token("let-me-in");
    let mut headers = HeaderMap::new();
    assert_eq!(ask(&stand_in, "/api/v1/pods").status, 401);
    assert_eq!(body(&ask(&stand_in, "/api/v1/pods")), recorded("errors/401-bad-token.json"));
    headers.insert(AUTHORIZATION, "Bearer let-me-in".parse().unwrap());
    assert_eq!(stand_in.answer(&Method::GET, "/api/v1/pods", &headers).status, 200);
    assert_eq!(stand_in.writes_refused(), 0);
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        assert_eq!(stand_in.answer(&method, "/api/v1/namespaces/shop/pods", &headers).status, 405);
    }
    assert_eq!(stand_in.writes_refused(), 3);
}

#[test]
fn aggregated_discovery_goes_to_those_who_ask_for_it() {
    let stand_in = stand_in();
    let mut headers = HeaderMap::new();
    headers.insert(
        ACCEPT,
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList".parse().unwrap(),
    );
    let answer = stand_in.answer(&Method::GET, "/apis", &headers);
    assert_eq!(body(&answer), recorded("discovery/aggregated-apis.json"));
    assert!(answer.content_type.contains("as=APIGroupDiscoveryList"));
}

#[tokio::test]
async fn over_http_answers_carry_the_clusters_date_and_meet_faults() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stand_in = Arc::new(stand_in());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(Arc::clone(&stand_in).serve(listener, shutdown.clone()));
    let http =
        reqwest::Client::builder().timeout(std::time::Duration::from_secs(5)).no_proxy().build().unwrap();

    let answer = http.get(format!("{base}/version")).send().await.unwrap();
    let date = answer.headers()[DATE].to_str().unwrap().to_owned();
    assert!(date.starts_with("Sat, 21 Nov 2026 07:08:"), "{date}");
    assert_eq!(answer.headers().get_all(DATE).iter().count(), 1);

    stand_in.faults().inject("/api/v1/nodes", Fault::Status(503));
    assert_eq!(http.get(format!("{base}/api/v1/nodes?limit=1")).send().await.unwrap().status(), 503);
    stand_in.faults().clear();
    assert_eq!(http.get(format!("{base}/api/v1/nodes?limit=1")).send().await.unwrap().status(), 200);
    assert_eq!(http.delete(format!("{base}/api/v1/nodes/node-1")).send().await.unwrap().status(), 405);
    assert_eq!((stand_in.requests(), stand_in.writes_refused()), (4, 1));
    shutdown.cancel();
    server.await.unwrap().unwrap();
}

/// The client that the service uses reads every recorded kind into its own types.
#[tokio::test]
async fn a_real_client_is_content() {
    use k8s_openapi::api::{apps, autoscaling, batch, core, discovery, networking};
    use kube::api::{Api, ListParams, LogParams};

    let _ = rustls::crypto::ring::default_provider().install_default();
    let stand_in = Arc::new(stand_in().with_token("let-me-in"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(Arc::clone(&stand_in).serve(listener, shutdown.clone()));
    let mut config = kube::Config::new(url.parse().unwrap());
    config.auth_info.token = Some("let-me-in".to_owned().into());
    let client = kube::Client::try_from(config).unwrap();

    assert_eq!(client.apiserver_version().await.unwrap().minor, "36");
    assert!(client.list_api_groups().await.unwrap().groups.iter().any(|group| group.name == "apps"));
    macro_rules! count {
        ($kind:ty) => {
            Api::<$kind>::all(client.clone()).list(&ListParams::default()).await.unwrap().items.len()
        };
    }
    assert_eq!(count!(core::v1::Pod), 30);
    assert!(count!(core::v1::Event) > 100);
    assert_eq!((count!(core::v1::Node), count!(core::v1::PersistentVolumeClaim)), (1, 2));
    assert_eq!((count!(core::v1::Service), count!(discovery::v1::EndpointSlice)), (8, 7));
    assert_eq!((count!(apps::v1::Deployment), count!(apps::v1::ReplicaSet)), (12, 13));
    assert_eq!((count!(apps::v1::StatefulSet), count!(apps::v1::DaemonSet)), (1, 1));
    assert_eq!((count!(batch::v1::Job), count!(batch::v1::CronJob)), (4, 1));
    assert_eq!(count!(autoscaling::v2::HorizontalPodAutoscaler), 1);
    assert_eq!((count!(networking::v1::Ingress), count!(core::v1::ResourceQuota)), (2, 0));

    let pods: Api<core::v1::Pod> = Api::namespaced(client.clone(), "shop");
    assert_eq!(pods.get("ml-trainer").await.unwrap().metadata.name.as_deref(), Some("ml-trainer"));
    let missing = pods.get("nope").await.unwrap_err();
    assert!(matches!(missing, kube::Error::Api(status) if status.code == 404 && status.reason == "NotFound"));
    let tail = LogParams { tail_lines: Some(2), ..LogParams::default() };
    let log = pods.logs("checkout-9c8489d65-q98sc", &tail).await.unwrap();
    assert_eq!(log.lines().count(), 2);
    let secrets: Api<core::v1::Secret> = Api::namespaced(client, "shop");
    let forbidden = secrets.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(forbidden, kube::Error::Api(status) if status.code == 403));
    assert_eq!(stand_in.writes_refused(), 0);
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
