//! An API server that takes Jobs, and what a kubelet makes of them: the real program as a child process, or one of the
//! ends that pods come to. Everything else is the recorded cluster's; what the service itself asked is told apart from
//! what Jobs asked.

use std::collections::{BTreeMap, VecDeque};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use whodunit::demo::backends::{Backend, BackendStandIn};
use whodunit::demo::{KubernetesStandIn, Recording};

use crate::house::{self, PATIENCE};

/// What becomes of a Job.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// Its process runs, with the Job's own variables.
    Runs,
    /// The API server refuses to create it.
    Forbidden,
    /// Its pod waits for this reason.
    Waits(&'static str),
    /// No pod is made; an event says why.
    NoPod(&'static str),
    /// It is failed at once; its pod, if it has one, for this reason.
    Failed { condition: &'static str, pod: Option<&'static str> },
    /// Somebody deletes it.
    Gone,
}

/// One Job that was created.
struct Made {
    object: Value,
    fate: Fate,
    process: Option<Child>,
    /// How its container ended, where somebody killed it.
    ended: Option<(&'static str, i32)>,
}

pub struct Tenant {
    /// For the service.
    pub url: String,
    /// For Jobs: the recorded cluster, with the rights of a tenant's account.
    readers: Arc<KubernetesStandIn>,
    readers_url: String,
    service_url: String,
    sources: BTreeMap<&'static str, String>,
    http: reqwest::Client,
    house_url: Mutex<String>,
    fates: Mutex<VecDeque<Fate>>,
    made: Mutex<Vec<Made>>,
    asked: Mutex<Vec<String>>,
    folder: TempDir,
    end: CancellationToken,
}

async fn cluster(rights: &[&str], end: &CancellationToken) -> (Arc<KubernetesStandIn>, String) {
    let cluster = KubernetesStandIn::new(Recording::embedded().unwrap()).unwrap();
    let cluster = Arc::new(cluster.with_rights(rights));
    let (listener, url) = house::listen().await;
    tokio::spawn(Arc::clone(&cluster).serve(listener, end.clone()));
    (cluster, url)
}

impl Tenant {
    pub async fn start(fates: Vec<Fate>) -> Arc<Self> {
        Self::start_with(fates, &[]).await
    }

    /// Jobs find that their account may do this.
    pub async fn start_with(fates: Vec<Fate>, rights: &[&str]) -> Arc<Self> {
        let end = CancellationToken::new();
        let (readers, readers_url) = cluster(rights, &end).await;
        let (_, service_url) = cluster(&[], &end).await;
        let mut sources = BTreeMap::new();
        for (name, backend) in [("prometheus", Backend::Prometheus), ("loki", Backend::Loki)] {
            let stand_in = Arc::new(BackendStandIn::new(Recording::embedded().unwrap(), backend).unwrap());
            let (listener, url) = house::listen().await;
            tokio::spawn(stand_in.serve(listener, end.clone()));
            sources.insert(name, url);
        }
        let (listener, url) = house::listen().await;
        let tenant = Arc::new(Self {
            url,
            readers,
            readers_url,
            service_url,
            sources,
            http: house::http(),
            house_url: Mutex::default(),
            fates: Mutex::new(fates.into()),
            made: Mutex::default(),
            asked: Mutex::default(),
            folder: tempfile::tempdir().unwrap(),
            end: end.clone(),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&tenant));
        tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await
        });
        tenant
    }

    /// Where Jobs reach the service.
    pub fn serves(&self, url: &str) {
        url.clone_into(&mut self.house_url.lock().unwrap());
    }

    pub fn jobs(&self) -> Vec<Value> {
        self.made.lock().unwrap().iter().map(|made| made.object.clone()).collect()
    }

    pub fn asked_by_service(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub fn asked_by_readers(&self) -> u64 {
        self.readers.requests()
    }

    /// Ends the containers of all Jobs, as the kernel does.
    pub fn kill_all(&self, reason: &'static str, code: i32) {
        for made in self.made.lock().unwrap().iter_mut() {
            if let Some(process) = &mut made.process {
                process.kill().unwrap();
                process.wait().unwrap();
                made.ended.get_or_insert((reason, code));
            }
        }
    }

    /// Of every process, once all have ended.
    pub async fn exit_codes(&self) -> Vec<Option<i32>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let codes: Vec<_> = self
                .made
                .lock()
                .unwrap()
                .iter_mut()
                .filter_map(|made| made.process.as_mut())
                .map(|process| process.try_wait().unwrap())
                .collect();
            if codes.iter().all(Option::is_some) {
                return codes.into_iter().flatten().map(|status| status.code()).collect();
            }
            assert!(Instant::now() < until, "a Job's process does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The Job's own variables, but for addresses that only a cluster knows.
    fn run(&self, job: &Value) -> Child {
        let sources = self.folder.path().join("whodunit.yaml");
        let text = json!({"kubernetes": {"url": self.readers_url}, "prometheus": {"url": self.sources["prometheus"]},
                          "loki": {"url": self.sources["loki"]}});
        std::fs::write(&sources, text.to_string()).unwrap();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
        for argument in container["args"].as_array().unwrap() {
            command.arg(argument.as_str().unwrap());
        }
        for variable in container["env"].as_array().unwrap() {
            command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
        }
        command.env("WHODUNIT_READER_SERVICE", self.house_url.lock().unwrap().as_str());
        command.env("WHODUNIT_READER_SOURCES", &sources);
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn create(&self, job: Value) -> Response {
        let fate = self.fates.lock().unwrap().pop_front().expect("a Job that was not expected");
        if matches!(fate, Fate::Forbidden) {
            let status =
                json!({"kind": "Status", "message": "jobs.batch is forbidden: User cannot create resource"});
            return (StatusCode::FORBIDDEN, Json(status)).into_response();
        }
        let process = matches!(fate, Fate::Runs).then(|| self.run(&job));
        self.made.lock().unwrap().push(Made { object: job.clone(), fate, process, ended: None });
        (StatusCode::CREATED, Json(job)).into_response()
    }

    /// None: it is not one of ours, or it is gone.
    fn job(&self, name: &str) -> Option<Value> {
        let mut made = self.made.lock().unwrap();
        let made = made.iter_mut().find(|made| made.object["metadata"]["name"] == name)?;
        let condition = |kind: &str, reason: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": reason}]});
        let status = match (made.fate, made.container()) {
            (Fate::Gone, _) => return None,
            (Fate::Failed { condition: reason, .. }, _) => condition("Failed", reason),
            (_, Some((_, 0))) => condition("Complete", "CompletionsReached"),
            (_, Some(_)) => condition("Failed", "BackoffLimitExceeded"),
            _ => json!({"active": 1}),
        };
        let mut job = made.object.clone();
        job["status"] = status;
        Some(job)
    }

    fn pods(&self, name: &str) -> Value {
        let mut made = self.made.lock().unwrap();
        let Some(made) = made.iter_mut().find(|made| made.object["metadata"]["name"] == name) else {
            return json!([]);
        };
        let container = |state: Value| {
            json!([{"status": {"containerStatuses": [{"name": "reader", "image": "", "imageID": "", "ready": false,
                                                     "restartCount": 0, "state": state}]}}])
        };
        match (made.fate, made.container()) {
            (Fate::Waits(reason), _) => {
                container(json!({"waiting": {"reason": reason, "message": "no such image"}}))
            }
            (Fate::Failed { pod: Some(reason), .. }, _) => {
                json!([{"status": {"reason": reason, "message": "low on memory"}}])
            }
            (Fate::Runs, Some((reason, code))) => {
                // What `FallbackToLogsOnError` makes of its log.
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let message = log.lines().last().filter(|_| code == 1).unwrap_or_default();
                container(json!({"terminated": {"reason": reason, "exitCode": code, "message": message}}))
            }
            (Fate::Runs, None) => container(json!({"running": {}})),
            _ => json!([]),
        }
    }

    fn events(&self, name: &str) -> Value {
        let made = self.made.lock().unwrap();
        match made.iter().find(|made| made.object["metadata"]["name"] == name).map(|made| made.fate) {
            Some(Fate::NoPod(message)) => {
                json!([{"metadata": {}, "involvedObject": {"kind": "Job", "name": name},
                "type": "Warning", "reason": "FailedCreate", "message": message, "lastTimestamp": "2026-11-22T10:00:00Z"}])
            }
            _ => json!([]),
        }
    }

    async fn pass_on(&self, method: Method, uri: &str, body: Vec<u8>) -> Response {
        let request = self.http.request(method, format!("{}{uri}", self.service_url)).body(body);
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        let (status, date) = (answer.status(), answer.headers().get("date").cloned());
        let mut response =
            (status, [("content-type", "application/json")], answer.bytes().await.unwrap()).into_response();
        response.headers_mut().extend(date.map(|date| (header::DATE, date)));
        response
    }
}

impl Made {
    /// Reason and exit code, once it has ended.
    fn container(&mut self) -> Option<(&'static str, i32)> {
        if self.ended.is_some() {
            return self.ended;
        }
        let code = self.process.as_mut()?.try_wait().unwrap()?.code().unwrap_or(137);
        Some((if code == 0 { "Completed" } else { "Error" }, code))
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.end.cancel();
        self.kill_all("Error", 137);
    }
}

/// A variable of a Job's container.
pub fn variable(job: &Value, name: &str) -> String {
    let variables = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name).unwrap();
    found["value"].as_str().unwrap().to_owned()
}

async fn receive(State(tenant): State<Arc<Tenant>>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().to_string());
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap().to_vec();
    if !uri.contains("selfsubjectaccessreviews") {
        tenant.asked.lock().unwrap().push(format!("{method} {uri}"));
    }
    let url: reqwest::Url = format!("http://localhost{uri}").parse().unwrap();
    let named = |key: &str, prefix: &str| {
        let value = url.query_pairs().find(|(name, _)| name == key)?.1.into_owned();
        value.split(',').find_map(|part| part.strip_prefix(prefix).map(str::to_owned))
    };
    let list = |items: Value| Json(json!({"kind": "List", "items": items})).into_response();
    let last = url.path().rsplit('/').next().unwrap_or_default();
    if method == Method::POST && url.path().ends_with("/jobs") {
        return tenant.create(serde_json::from_slice(&body).unwrap());
    }
    if last.starts_with("whodunit-reader-") {
        return match tenant.job(last) {
            Some(job) => Json(job).into_response(),
            None => (StatusCode::NOT_FOUND, Json(json!({"kind": "Status", "message": "not found"})))
                .into_response(),
        };
    }
    if let Some(name) = named("labelSelector", "batch.kubernetes.io/job-name=") {
        return list(tenant.pods(&name));
    }
    if let Some(name) = named("fieldSelector", "involvedObject.name=whodunit-reader-") {
        return list(tenant.events(&format!("whodunit-reader-{name}")));
    }
    tenant.pass_on(method, &uri, body).await
}
