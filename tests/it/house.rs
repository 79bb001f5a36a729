//! What the tests live in: one private Postgres a test run, one database a test, and the whole service
//! between the recorded cluster and a Slack stand-in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use whodunit::app::App;
use whodunit::demo::backends::{Backend, BackendStandIn};
use whodunit::demo::slack::SlackStandIn;
use whodunit::demo::{KubernetesStandIn, Recording};
use whodunit::postgres::{self, Durability, PrivateServer};
use whodunit::settings::{self, Settings};
use whodunit::telemetry;

pub const CHANNEL: &str = "#alerts";
const SLACK_TOKEN: &str = "xoxb-of-the-stand-in";
/// Nothing in a test may wait longer.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Test runs at the same time, each on a folder of its own.
const MAX_RUNS: u32 = 16;

/// The server of this test run. It ends with the process, because the kernel stops it when we are gone; its
/// folder is used again by the next run.
async fn server() -> &'static PrivateServer {
    static SERVER: OnceCell<PrivateServer> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            for run in 0..MAX_RUNS {
                let folder = std::env::temp_dir().join(format!("whodunit-test-{run}"));
                match PrivateServer::start(&folder, Durability::None).await {
                    Ok(server) => return server,
                    Err(error) if error.to_string().contains("in use by another") => {}
                    // A run that was killed half-way through may have left anything.
                    Err(error) => {
                        eprintln!("{error:#}; starting afresh");
                        std::fs::remove_dir_all(&folder).unwrap();
                        return PrivateServer::start(&folder, Durability::None).await.unwrap();
                    }
                }
            }
            panic!("{MAX_RUNS} test runs at once");
        })
        .await
}

/// A new, migrated database. Its connection options serve a second process on the same rows.
pub async fn database() -> (PgPool, String) {
    let (pool, url) = bare_database().await;
    postgres::migrate(&pool).await.unwrap();
    (pool, url)
}

/// A new database with nothing in it.
pub async fn bare_database() -> (PgPool, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let admin = admin().await;
    for statement in
        [format!("drop database if exists {name} with (force)"), format!("create database {name}")]
    {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&admin).await.unwrap();
    }
    admin.close().await;
    let options = server().await.options(&name);
    let socket = options.get_socket().unwrap().display().to_string();
    let pool = patient(options, 10).await;
    let url = format!("postgres://whodunit@localhost/{name}?host={}", socket.replace('/', "%2F"));
    (pool, url)
}

/// The service gives up on a connection within a second; a test on a busy machine does not.
async fn patient(options: sqlx::postgres::PgConnectOptions, connections: u32) -> PgPool {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
    pool.connect_with(options).await.unwrap()
}

/// A connection to the server itself, for tests that take their database away.
pub async fn admin() -> PgPool {
    patient(server().await.options("postgres"), 1).await
}

/// Only the database.
pub async fn pool() -> PgPool {
    database().await.0
}

/// Changes the settings with what a test has at hand.
pub type Adjust = Box<dyn FnOnce(&mut Settings) + Send>;

/// What a test wants to be different.
#[derive(Default)]
pub struct HouseOptions {
    pub webhook_token: Option<String>,
    pub without_slack: bool,
    /// Another cluster than the recorded one.
    pub recording: Option<Recording>,
    pub settle_secs: u64,
    /// Changes the settings last.
    pub adjust: Option<fn(&mut Settings)>,
    pub with: Option<Adjust>,
    pub max_attempts: Option<u32>,
    pub models: Vec<settings::Model>,
    pub mcp_servers: Vec<settings::McpServer>,
    /// Folders of runbooks.
    pub runbooks: Vec<PathBuf>,
    /// Time of one run of the agent.
    pub agent_seconds: Option<u64>,
}

pub struct House {
    pub base_url: String,
    pub pool: PgPool,
    pub slack: Arc<SlackStandIn>,
    pub kubernetes: Arc<KubernetesStandIn>,
    pub http: reqwest::Client,
    settings: Settings,
    app: Option<App>,
    stand_ins: CancellationToken,
}

impl House {
    pub async fn start(options: HouseOptions) -> Self {
        whodunit::app::install_tls();
        let (pool, url) = database().await;
        let recording = options.recording.as_ref().unwrap_or_else(|| Recording::embedded().unwrap());
        let stand_ins = CancellationToken::new();
        let (kubernetes, kubernetes_url) = serve_kubernetes(recording, &stand_ins).await;
        let (slack, slack_url) =
            serve_slack(SLACK_TOKEN, &[CHANNEL, "#data", "#shop-critical"], &stand_ins).await;
        let mut settings = Settings::default();
        settings.database.url = Some(SecretString::from(url));
        settings.intake.settle_secs = options.settle_secs;
        settings.kubernetes.url = Some(kubernetes_url);
        settings.kubernetes.cluster = "lab".to_owned();
        settings.prometheus.url = Some(backend(recording, Backend::Prometheus, &stand_ins).await);
        settings.loki.url = Some(backend(recording, Backend::Loki, &stand_ins).await);
        if !options.without_slack {
            settings.slack.api_url = format!("{slack_url}/api");
            settings.slack.token = Some(SecretString::from(SLACK_TOKEN));
            settings.slack.channel = CHANNEL.to_owned();
            // The stand-in takes messages faster than Slack does.
            settings.slack.pace_ms = 20;
        }
        if let Some(token) = options.webhook_token {
            settings.webhooks.alertmanager.bearer_tokens = vec![SecretString::from(token)];
        }
        if let Some(attempts) = options.max_attempts {
            settings.worker.max_attempts = attempts;
        }
        settings.models = options.models;
        settings.mcp_servers = options.mcp_servers;
        settings.runbooks.folders = options.runbooks;
        if let Some(seconds) = options.agent_seconds {
            settings.agent.seconds = seconds;
        }
        if let Some(adjust) = options.adjust {
            adjust(&mut settings);
        }
        if let Some(with) = options.with {
            with(&mut settings);
        }
        let base_url = String::new();
        let mut house =
            Self { base_url, pool, slack, kubernetes, http: http(), settings, app: None, stand_ins };
        house.restart().await;
        house
    }

    /// Ends the service where it runs, and starts it again on the same rows, cluster and Slack.
    pub async fn restart(&mut self) {
        self.stop().await;
        let (listener, base_url) = listen().await;
        let metrics = telemetry::recorder().unwrap().handle();
        self.app = Some(App::start(self.settings.clone(), listener, metrics).await.unwrap());
        self.base_url = base_url;
    }

    /// As `restart`, with other settings.
    pub async fn restart_with(&mut self, adjust: impl FnOnce(&mut Settings)) {
        adjust(&mut self.settings);
        self.restart().await;
    }

    /// Another process of the same service: on the same rows, cluster and Slack.
    pub async fn replica(&self) -> App {
        let (listener, _) = listen().await;
        let metrics = telemetry::recorder().unwrap().handle();
        App::start(self.settings.clone(), listener, metrics).await.unwrap()
    }

    /// Where the recorded cluster answers.
    pub fn kubernetes_url(&self) -> String {
        self.settings.kubernetes.url.clone().unwrap()
    }

    /// Every row of every table, as text.
    pub async fn rows(&self) -> Vec<String> {
        let tables: Vec<String> = sqlx::query_scalar(
            "select table_name::text from information_schema.tables where table_schema = 'public'",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert!(tables.len() >= 6, "{tables:?}");
        let mut rows = Vec::new();
        for table in tables {
            let all = format!("select '{table}: ' || t::text from {table} t");
            rows.extend(
                sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(all))
                    .fetch_all(&self.pool)
                    .await
                    .unwrap(),
            );
        }
        rows
    }

    /// Posts a body as Alertmanager does; the answer's status and JSON.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request =
            self.http.post(format!("{}{path}", self.base_url)).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(format!("{}{path}", self.base_url)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Waits until nothing is queued or running, and nothing is left to be said.
    pub async fn settle(&self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let busy: i64 = sqlx::query_scalar(
                "select (select count(*) from investigations where state in ('queued', 'running'))
                      + (select count(*) from announcements where state in ('waiting', 'posting'))",
            )
            .fetch_one(&self.pool)
            .await
            .unwrap();
            if busy == 0 {
                self.said_harmlessly();
                return;
            }
            assert!(Instant::now() < until, "{busy} investigations or announcements are still under way");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whatever a test let the cluster say: nothing that was posted makes Slack do anything but show it, and no block
    /// was refused (the stand-in holds Slack's limits).
    fn said_harmlessly(&self) {
        let ours = |message: &&whodunit::demo::slack::Message| message.bot_id == "B0WHODUNIT";
        let link = format!("<{}/investigations/", self.settings.server.public_url);
        for message in self.slack.messages().iter().filter(ours) {
            assert!(
                message.blocks.as_array().is_some_and(|blocks| !blocks.is_empty()),
                "refused: {message:?}"
            );
            for text in texts(&message.blocks).into_iter().chain([message.text.as_str()]) {
                let foreign = text.match_indices('<').find(|(at, _)| !text[*at..].starts_with(&link));
                assert!(foreign.is_none(), "a link or mention that is not ours: {text}");
                let lower = text.to_lowercase();
                assert!(!["@here", "@channel", "@everyone"].iter().any(|one| lower.contains(one)), "{text}");
                assert_eq!(text.matches("```").count() % 2, 0, "an open code block: {text}");
            }
        }
    }

    /// Waits until nothing that is due is left to be investigated.
    pub async fn idle(&self) {
        let until = Instant::now() + PATIENCE;
        while self
            .count(
                "select count(*) from investigations
                 where state = 'running' or (state = 'queued' and run_at <= now())",
            )
            .await
            > 0
        {
            assert!(Instant::now() < until, "investigations are still under way");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    /// Ends the service as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }
}

/// Every text of a payload.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(object) => {
            let own = object.get("text").and_then(Value::as_str);
            own.into_iter().chain(object.values().flat_map(texts)).collect()
        }
        Value::Array(array) => array.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stand_ins.cancel();
    }
}

pub fn http() -> reqwest::Client {
    whodunit::app::install_tls();
    reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap()
}

pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// A recorded cluster, and where it is reached, until `stop`.
pub async fn serve_kubernetes(
    recording: &Recording,
    stop: &CancellationToken,
) -> (Arc<KubernetesStandIn>, String) {
    let (listener, url) = listen().await;
    let stand_in = Arc::new(KubernetesStandIn::new(recording).unwrap());
    tokio::spawn(Arc::clone(&stand_in).serve(listener, stop.clone()));
    (stand_in, url)
}

/// A workspace with these channels, and where it is reached, until `stop`.
pub async fn serve_slack(
    token: &str,
    channels: &[&str],
    stop: &CancellationToken,
) -> (Arc<SlackStandIn>, String) {
    let (listener, url) = listen().await;
    let stand_in = Arc::new(SlackStandIn::new(token, channels));
    tokio::spawn(Arc::clone(&stand_in).serve(listener, stop.clone()));
    (stand_in, url)
}

async fn backend(recording: &Recording, backend: Backend, stand_ins: &CancellationToken) -> String {
    let (listener, url) = listen().await;
    let stand_in = Arc::new(BackendStandIn::new(recording, backend).unwrap());
    tokio::spawn(stand_in.serve(listener, stand_ins.clone()));
    url
}

/// A file of `tests/fixtures`.
pub fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)).unwrap()
}

/// The recorded webhook bodies in the order in which Alertmanager sent them.
pub fn recorded_webhooks() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recording/alertmanager/webhooks");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}
