//! The recorded cluster behind a server that writes down every request, and the toolbox in front of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::demo::{KubernetesStandIn, Recording};
use crate::llm::ToolCall;
use crate::settings;
use crate::source::kubernetes::Client;
use crate::tool::{Bounds, Outcome, Toolbox};
use crate::workload::Workload;

pub struct Lab {
    pub stand_in: Arc<KubernetesStandIn>,
    pub toolbox: Toolbox,
    seen: Arc<Mutex<Vec<String>>>,
}

struct Recorder {
    http: reqwest::Client,
    upstream: String,
    seen: Arc<Mutex<Vec<String>>>,
}

async fn forward(State(recorder): State<Arc<Recorder>>, request: Request) -> Response {
    let uri = request.uri().to_string();
    let line = format!("{} {uri}", request.method());
    recorder.seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    let url = format!("{}{uri}", recorder.upstream);
    let answer = recorder.http.request(request.method().clone(), url).send().await.unwrap();
    let status = answer.status();
    Response::builder().status(status).body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

pub async fn lab() -> Lab {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let stand_in = Arc::new(KubernetesStandIn::new(Recording::embedded().unwrap()).unwrap());
    let (listener, upstream) = listen().await;
    tokio::spawn(Arc::clone(&stand_in).serve(listener, CancellationToken::new()));
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let recorder = Arc::new(Recorder { http, upstream, seen: Arc::clone(&seen) });
    let (listener, url) = listen().await;
    let router = Router::new().fallback(forward).with_state(recorder);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings =
        settings::Kubernetes { url: Some(url), timeout_secs: 10, ..settings::Kubernetes::default() };
    let client = Client::connect(&settings).await.unwrap();
    let allowed: [&str; 0] = [];
    let toolbox = Toolbox::new(super::super::tools(&client), &allowed, Duration::from_secs(20));
    Lab { stand_in, toolbox, seen }
}

impl Lab {
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub async fn ask(&self, bounds: &Bounds, name: &str, arguments: serde_json::Value) -> Outcome {
        let (id, name) = ("1".to_owned(), name.to_owned());
        self.toolbox.invoke(&ToolCall { id, name, arguments: arguments.to_string() }, bounds).await
    }
}

/// A run about a workload of `shop` that may read these namespaces; ages count from the recorded moment.
pub fn bounds(kind: &str, name: &str, namespaces: &[&str]) -> Bounds {
    let now: DateTime<Utc> = "2026-11-21T07:08:09Z".parse().unwrap();
    Bounds {
        workload: Workload::new("lab", if kind == "Node" { "" } else { "shop" }, kind, name),
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        own_pods_only: false,
        nothing_shared: false,
        onset: now - chrono::TimeDelta::minutes(8),
        now,
    }
}
