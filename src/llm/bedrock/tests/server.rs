//! A loopback server that answers from a function and remembers what it was sent.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures::StreamExt;

#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// As it came, still encoded.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub enum Answer {
    Say(u16, &'static [(&'static str, &'static str)], Vec<u8>),
    /// Takes the request and says nothing.
    Silence,
    /// Begins and stops in the middle.
    Stall(&'static str),
    /// A body without an end.
    Flood,
}

impl Answer {
    pub fn ok(body: &str) -> Self {
        Self::Say(200, &[], body.as_bytes().to_vec())
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self::Say(status, &[], body.as_bytes().to_vec())
    }
}

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

#[derive(Clone)]
struct Shared {
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

pub struct Server {
    pub url: String,
    shared: Shared,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared { script: Arc::new(script), seen: Arc::default() };
        let app = Router::new().fallback(receive).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, shared, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: to_bytes(body, 1 << 20).await.unwrap().to_vec(),
    };
    let answer = (shared.script)(&seen);
    shared.seen.lock().unwrap().push(seen);
    let (status, headers, body) = match answer {
        Answer::Say(status, headers, body) => (status, headers, Body::from(body)),
        Answer::Silence => return std::future::pending().await,
        Answer::Stall(beginning) => {
            let beginning = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(beginning))]);
            (200, [].as_slice(), Body::from_stream(beginning.chain(futures::stream::pending())))
        }
        Answer::Flood => {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let chunks = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            (200, [].as_slice(), Body::from_stream(chunks))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(2))
        .build()
        .unwrap()
}

/// An environment of these variables alone.
pub fn environment(variables: &[(&str, &str)]) -> crate::llm::bedrock::credentials::Lookup {
    let variables: std::collections::HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Arc::new(move |name| variables.get(name).cloned())
}
