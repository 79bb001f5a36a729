//! The program as a child process with a data folder of its own; stopped as an operator stops it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

const READY: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(45);
const POLL: Duration = Duration::from_millis(2);

/// Settings, data and log of the run; removed with it.
pub struct Folder(TempDir);

impl Folder {
    pub fn make() -> Result<Self> {
        // Not under TMPDIR: a Unix socket's path is short.
        let folder = tempfile::Builder::new().prefix("whodunit-bench.").tempdir_in("/tmp")?;
        // Started by root, PostgreSQL runs as another user, who must get through.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        Ok(Self(folder))
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Where the private server listens.
    pub fn sockets(&self) -> PathBuf {
        self.data().join("run")
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }
}

pub struct Service {
    child: Child,
    pub url: String,
}

impl Service {
    /// Starts `whodunit serve`, with `more` settings, and waits until it is ready; returns how long that took.
    pub async fn start(folder: &Folder, more: &str) -> Result<(Self, Duration)> {
        Self::start_with(folder, more, None).await
    }

    /// As `start`, with so many threads for its tasks instead of one a processor.
    pub async fn start_with(folder: &Folder, more: &str, threads: Option<u32>) -> Result<(Self, Duration)> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        // A settle time beyond the run: only critical alerts are investigated in it, and no storm is looked for.
        let settings = format!(
            "server: {{listen: '{address}'}}\ndatabase: {{data_dir: '{}'}}\nintake: {{settle_secs: 3600, storm_workloads: 0}}\n\
             log: {{filter: warn}}\n{more}",
            folder.data().display()
        );
        let file = folder.0.path().join("whodunit.yaml");
        std::fs::write(&file, settings)?;
        let log = std::fs::File::create(folder.log())?;
        let started = Instant::now();
        let threads = threads.map(|threads| ("TOKIO_WORKER_THREADS", threads.to_string()));
        let child = Command::new(env!("CARGO_BIN_EXE_whodunit"))
            .envs(threads)
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("whodunit does not start")?;
        let mut service = Self { child, url: format!("http://{address}") };
        service.wait(started).await.with_context(|| {
            format!("its log: {}", std::fs::read_to_string(folder.log()).unwrap_or_default())
        })?;
        Ok((service, started.elapsed()))
    }

    async fn wait(&mut self, started: Instant) -> Result<()> {
        let client = client()?;
        let url = format!("{}/readyz", self.url);
        while started.elapsed() < READY {
            if let Some(status) = self.child.try_wait()? {
                bail!("whodunit ended while starting: {status}");
            }
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("whodunit was not ready within {READY:?}")
    }

    /// Resident memory, from Linux' own account.
    pub fn memory(&self) -> String {
        self.kibibytes("VmRSS:")
    }

    /// Most resident memory since `forget_peak`.
    pub fn peak(&self) -> String {
        self.kibibytes("VmHWM:")
    }

    pub fn forget_peak(&self) {
        // 5 resets the high-water mark (proc_pid_clear_refs(5)); without it the peak is the whole life's.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// Time on a processor of all its threads, in nanoseconds' grain (proc_pid_schedstat(5)).
    pub fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanoseconds = threads.into_iter().flatten().filter_map(|thread| {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    fn kibibytes(&self, key: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes.map_or_else(|| "not measured".to_owned(), |kib| format!("{:.1} MiB", kib / 1024.0))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("whodunit did not stop within {STOP:?} of SIGTERM; killed");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One keep-alive connection at a time.
pub fn client() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(1)
        .timeout(Duration::from_secs(30))
        .build()?;
    Ok(client)
}
