//! The program as a process: its private Postgres, a kill, a second instance, a drain.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::house::{PATIENCE, http, recorded_webhooks};

/// `whodunit serve` on a data folder of its own, with no cluster and no Slack.
pub struct Program {
    pub child: Child,
    pub url: String,
}

impl Program {
    fn start(data_dir: &Path) -> Self {
        Self::run(command(data_dir))
    }

    /// Starts it, and returns once it serves.
    pub fn run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (found, url) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // Read on, so that the pipe never fills.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                if let Some((_, rest)) = line.split_once("url=\"http://") {
                    let _ = found.send(format!("http://{}", rest.split('"').next().unwrap()));
                }
            }
        });
        // Before the wait: a program that never gets ready is ended as well.
        let mut program = Self { child, url: String::new() };
        program.url = url.recv_timeout(PATIENCE).expect("the program did not say that it is ready");
        program
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Ends it as an orchestrator does, and waits for it.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn post(&self, body: Vec<u8>) -> u16 {
        let request = http().post(format!("{}/webhooks/alertmanager", self.url)).body(body);
        request.send().await.unwrap().status().as_u16()
    }

    async fn incidents(&self) -> usize {
        let answer = http().get(format!("{}/api/v1/incidents?limit=200", self.url)).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["items"].as_array().unwrap().len()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `whodunit serve` as most of these tests need it; a later variable of the same name wins.
pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    command.arg("serve").stdout(Stdio::null());
    command.env("NO_COLOR", "1");
    command.env("WHODUNIT_SERVER__LISTEN", "127.0.0.1:0");
    command.env("WHODUNIT_KUBERNETES__ENABLED", "false");
    command.env("WHODUNIT_DATABASE__DATA_DIR", data_dir);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_the_next_start_serves_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path());
    for body in recorded_webhooks().into_iter().take(12) {
        assert_eq!(program.post(body).await, 202);
    }
    let before = program.incidents().await;
    assert!(before > 5, "{before}");
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let again = Program::start(folder.path());
    assert_eq!(again.incidents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_on_the_same_folder_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let first = Program::start(folder.path());
    let second = command(folder.path()).output().unwrap();
    assert!(!second.status.success());
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("in use by another whodunit") && error.contains("database.data_dir"), "{error}");
    assert!(error.contains(&first.child.id().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_ends_with_0_and_takes_the_private_server_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path());
    assert_eq!(program.post(recorded_webhooks().swap_remove(0)).await, 202);
    assert!(folder.path().join("pg/postmaster.pid").exists());
    let status = program.terminate().await;
    assert!(status.success(), "{status}");
    assert!(!folder.path().join("pg/postmaster.pid").exists(), "PostgreSQL still runs");
}

#[test]
fn an_unknown_setting_ends_the_start_with_its_name_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whodunit.yaml");
    std::fs::write(&file, "server:\n  lisen: 1\n").unwrap();
    let output = command(folder.path()).arg("--config").arg(&file).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("whodunit.yaml") && error.contains("lisen") && error.contains('2'), "{error}");
}

/// `whodunit models check` with these settings: its exit code, and all it says.
fn models_check(settings: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whodunit.yaml");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    let output = command.args(["models", "check", "--config"]).arg(&file).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn config_check_builds_what_serve_would_and_names_what_cannot_be_built() {
    let check = |settings: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("whodunit.yaml");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
        let output = command.args(["config", "check", "--config"]).arg(&file).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for (settings, told) in [
        ("models: [{name: a, provider: openai, model: ''}]", "models[0].model"),
        ("models: [{name: a, provider: anthropic, model: m, api_key_file: /nowhere/key}]", "/nowhere/key"),
        ("slack: {token_file: /nowhere/token}", "slack.token_file: cannot read /nowhere/token"),
        ("api: {tokens_file: /nowhere/tokens}", "api.tokens_file: cannot read /nowhere/tokens"),
        ("mcp_servers: [{name: kubernetes, url: 'http://x'}]", "that of our own tools"),
        (
            "mcp_servers: [{name: a, url: 'http://x'}, {name: a, url: 'http://y'}]",
            "the name a is given twice",
        ),
        ("prometheus: {url: 'not an address'}", "setting prometheus: url: \"not an address\""),
        ("runbooks: {folders: [/nowhere/runbooks]}", "/nowhere/runbooks"),
    ] {
        let (good, text) = check(settings);
        assert!(!good && text.contains(told), "{settings}: {text}");
    }
    let (good, text) = check("prometheus: {url: 'http://prometheus:9090'}");
    assert!(good, "{text}");
    assert!(!text.contains("Note: "), "{text}");
    let (good, text) = check("quotas: [{namespaces: [a, b], usd_per_day: 8}]\nagent: {usd_per_day: 15}");
    assert!(good && text.contains("Note: quotas: the namespaces that they name may spend $16.00"), "{text}");
}

#[test]
fn models_check_names_the_setting_that_is_wrong_and_the_model_that_is_away() {
    let (code, text) = models_check("");
    assert_eq!(code, Some(1));
    assert!(text.contains("No model is configured"), "{text}");
    let model = "name: a, provider: openai, model: m";
    let (code, text) = models_check(&format!("models: [{{{model}, api_key_file: /nowhere/key}}]"));
    assert_eq!(code, Some(1));
    assert!(text.contains("models[0].api_key_file: cannot read /nowhere/key"), "{text}");
    let (code, text) = models_check(&format!("models: [{{{model}, base_url: 'http://127.0.0.1:1'}}]"));
    assert_eq!(code, Some(1));
    assert!(text.contains("a: does not work") && text.contains("cannot connect"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_check_ends_with_0_when_one_model_works() {
    let answer = serde_json::json!({"choices": [{"finish_reason": "tool_calls", "message": {"tool_calls": [
        {"id": "a", "function": {"name": "report_ready", "arguments": "{\"word\": \"ready\"}"}}]}}]});
    let router = axum::Router::new().fallback(async || axum::Json(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings = format!(
        "models: [{{name: away, provider: openai, model: m, base_url: 'http://127.0.0.1:1'}},
                  {{name: here, provider: openai, model: m, base_url: '{url}'}}]"
    );
    let (code, text) = tokio::task::spawn_blocking(move || models_check(&settings)).await.unwrap();
    server.abort();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("away: does not work") && text.contains("here: works"), "{text}");
}
