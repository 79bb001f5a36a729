//! A real Prometheus and a real Alertmanager on loopback, with one rule on a gauge that the test turns.
//! They post to whatever URL the test gives; they end with the struct, by their own process handles.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How long a server may take until it is ready.
const READY: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
/// A free port can be taken by another process between the look and the start.
const START_ATTEMPTS: usize = 3;
const REQUEST: Duration = Duration::from_secs(5);

/// The alert that fires while the gauge is not 0.
pub const ALERT: &str = "UserServiceDown";

pub struct Monitoring {
    gauge: Arc<AtomicI64>,
    exporter: JoinHandle<()>,
    // Dropped in this order: Prometheus first, so that it does not log about a lost Alertmanager.
    prometheus: Server,
    alertmanager: Server,
    _folder: TempDir,
}

impl Monitoring {
    /// Starts all three with the gauge at 0. Alertmanager posts to `webhook_url` with the bearer `token`.
    pub async fn start(webhook_url: &str, token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gauge = Arc::new(AtomicI64::new(0));
        let (exporter, exporter_at) = exporter(Arc::clone(&gauge)).await;

        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, alertmanager_config(webhook_url, token)).unwrap();
        let alertmanager =
            Server::start(&["prometheus-alertmanager", "alertmanager"], folder.path(), |at, data| {
                vec![
                    format!("--config.file={}", config.display()),
                    format!("--storage.path={}", data.display()),
                    format!("--web.listen-address={at}"),
                    // No gossip: nothing outside this test is spoken to.
                    "--cluster.listen-address=".to_owned(),
                ]
            })
            .await;

        let config = folder.path().join("prometheus.yml");
        std::fs::write(folder.path().join("rules.yml"), RULES).unwrap();
        std::fs::write(&config, prometheus_config(exporter_at, alertmanager.at)).unwrap();
        let prometheus = Server::start(&["prometheus"], folder.path(), |at, data| {
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address={at}"),
            ]
        })
        .await;
        Self { gauge, exporter, prometheus, alertmanager, _folder: folder }
    }

    /// Anything but 0 makes the alert fire at the next evaluation, 0 resolves it.
    pub fn set_gauge(&self, value: i64) {
        self.gauge.store(value, Ordering::SeqCst);
    }

    /// What both wrote to their logs last, for the message of a failed test.
    pub fn logs(&self) -> String {
        format!("{}\n{}", self.prometheus.log(), self.alertmanager.log())
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        self.exporter.abort();
    }
}

const RULES: &str = r#"groups:
  - name: end-to-end
    rules:
      - alert: UserServiceDown
        expr: service_down != 0
        for: 0s
        labels: {severity: critical, cluster: lab, namespace: prod-api, deployment: user-service}
        annotations:
          summary: user-service is down
          description: The gauge of {{ $labels.instance }} says {{ $value }}.
"#;

fn prometheus_config(exporter: SocketAddr, alertmanager: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         alerting:\n  alertmanagers:\n    - static_configs: [{{targets: ['{alertmanager}']}}]\n\
         scrape_configs:\n  - job_name: exporter\n    static_configs: [{{targets: ['{exporter}']}}]\n"
    )
}

fn alertmanager_config(webhook_url: &str, token: &str) -> String {
    format!(
        "route: {{receiver: whodunit, group_by: [alertname, namespace], group_wait: 1s, group_interval: 1s, \
         repeat_interval: 1h}}\n\
         receivers:\n  - name: whodunit\n    webhook_configs:\n      - url: '{webhook_url}'\n        \
         send_resolved: true\n        http_config:\n          \
         authorization: {{type: Bearer, credentials: '{token}'}}\n"
    )
}

/// Serves the gauge as `service_down` on a port of its own.
async fn exporter(gauge: Arc<AtomicI64>) -> (JoinHandle<()>, SocketAddr) {
    let page = move || {
        let value = gauge.load(Ordering::SeqCst);
        async move { format!("# TYPE service_down gauge\nservice_down {value}\n") }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().route("/metrics", get(page));
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (task, at)
}

/// A child process that answers `/-/ready`; killed and waited for when dropped.
struct Server {
    name: &'static str,
    child: Child,
    at: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts the first of `names` that is on PATH; `arguments` gets its address and data folder.
    async fn start(
        names: &[&'static str],
        folder: &Path,
        arguments: impl Fn(SocketAddr, &Path) -> Vec<String>,
    ) -> Self {
        let Some((name, program)) = names.iter().find_map(|name| on_path(name).map(|path| (*name, path)))
        else {
            panic!("{} is not on PATH: run scripts/install, which names the package", names[0]);
        };
        for attempt in 1..=START_ATTEMPTS {
            let at = free_address();
            let data = folder.join(format!("{name}-{attempt}"));
            std::fs::create_dir(&data).unwrap();
            let log = data.join("log");
            let output = std::fs::File::create(&log).unwrap();
            let child = Command::new(&program)
                .args(arguments(at, &data))
                .stdin(Stdio::null())
                .stdout(output.try_clone().unwrap())
                .stderr(output)
                .spawn()
                .unwrap();
            let mut server = Self { name, child, at, log };
            if server.becomes_ready().await {
                return server;
            }
            eprintln!("{name} did not start, attempt {attempt}:\n{}", server.log());
        }
        panic!("{name} did not start in {START_ATTEMPTS} attempts; its log is above");
    }

    /// False when the process ended; a process that neither ends nor answers in time fails the test.
    async fn becomes_ready(&mut self) -> bool {
        let client = client();
        let url = format!("http://{}/-/ready", self.at);
        let deadline = Instant::now() + READY;
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            sleep(POLL).await;
        }
        panic!("{} was not ready within {READY:?}:\n{}", self.name, self.log());
    }

    fn log(&self) -> String {
        const LINES: usize = 30;
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("--- {}\n{}", self.name, lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both keep nothing that outlives the test's folder, so there is nothing to end gently.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client() -> reqwest::Client {
    // Fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(REQUEST).build().unwrap()
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

mod tests {
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use serde_json::Value;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::time::timeout;

    use super::*;

    /// From a turn of the gauge to the webhook: scrape, evaluation, group_wait, each about a second.
    const WEBHOOK: Duration = Duration::from_secs(60);

    type Posts = UnboundedSender<(HeaderMap, Value)>;

    async fn sink() -> (String, UnboundedReceiver<(HeaderMap, Value)>) {
        async fn receive(
            State(posts): State<Posts>,
            headers: HeaderMap,
            axum::Json(body): axum::Json<Value>,
        ) -> StatusCode {
            posts.send((headers, body)).unwrap();
            StatusCode::ACCEPTED
        }
        let (posts, received) = unbounded_channel();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(posts);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (url, received)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn alertmanager_posts_when_the_gauge_turns_and_when_it_turns_back() {
        let (url, mut received) = sink().await;
        let monitoring = Monitoring::start(&url, "end-to-end-token").await;
        for (gauge, status) in [(1, "firing"), (0, "resolved")] {
            monitoring.set_gauge(gauge);
            let Ok(Some((headers, body))) = timeout(WEBHOOK, received.recv()).await else {
                panic!("no webhook within {WEBHOOK:?}\n{}", monitoring.logs());
            };
            assert_eq!(headers["authorization"], "Bearer end-to-end-token");
            assert_eq!(body["version"], "4");
            assert_eq!(body["status"], status);
            let alert = &body["alerts"][0];
            assert_eq!(alert["status"], status);
            assert_eq!(alert["labels"]["alertname"], ALERT);
            assert_eq!(alert["labels"]["deployment"], "user-service");
            assert_eq!(alert["labels"]["job"], "exporter", "the scrape job is there to mislead");
        }
    }
}
