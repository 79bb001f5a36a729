//! One scenario's surroundings: a database of its own behind a proxy, Slack and a cluster as processes, and as many
//! whodunits in front of them as it wants. Dropping it ends them all.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::process::Process;
use crate::proxy::{Proxy, Upstream};
use crate::sender::Sender;
use crate::server::Server;
use crate::stand_ins::{self, Part, StandIn};

const READY_TIMEOUT: Duration = Duration::from_secs(90);
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
const WORK: &str = "select count(*) from investigations where state in ('queued', 'running')";
const WORDS: &str = "select count(*) from announcements where state in ('waiting', 'posting')";
/// Below the ports that the kernel gives to outgoing connections: nobody takes it while the service is down.
const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// How much of it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Short,
    Long,
}

impl Size {
    pub fn pick<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

pub struct House {
    pub pool: PgPool,
    pub database: Proxy,
    pub slack: StandIn,
    pub slack_way: Proxy,
    pub cluster_way: Proxy,
    pub http: reqwest::Client,
    pub services: Vec<Service>,
    _cluster: StandIn,
    name: String,
    folder: PathBuf,
    settings: Vec<(&'static str, String)>,
    old: Option<PathBuf>,
}

/// One whodunit.
pub struct Service {
    pub process: Process,
    pub port: u16,
    log: PathBuf,
    program: PathBuf,
}

/// Which whodunit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The one that was built with these tests.
    This,
    /// The one that `--old` names.
    Old,
}

/// The program that was built with these tests.
const THIS: &str = env!("CARGO_BIN_EXE_whodunit");

impl House {
    /// `settings` win over those that all scenarios share.
    pub async fn build(ground: &Ground, name: &str, settings: &[(&'static str, &str)]) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().connect_timeout(ASK_TIMEOUT).build()?;
        let database = format!("chaos_{name}");
        let pool = ground.server.database(&database).await?;
        let way = Proxy::start(Upstream::Postgres(ground.server.socket()?), ground.seed).await?;
        let slack = StandIn::start(Part::Slack, http.clone())?;
        let slack_way = Proxy::start(Upstream::Http(slack.port), ground.seed.wrapping_add(1)).await?;
        let cluster = StandIn::start(Part::Kubernetes, http.clone())?;
        let cluster_way = Proxy::start(Upstream::Http(cluster.port), ground.seed.wrapping_add(2)).await?;
        let mut all = vec![
            (
                "DATABASE__URL",
                format!("postgres://whodunit@127.0.0.1:{}/{database}?sslmode=disable", way.port),
            ),
            ("INTAKE__SETTLE_SECS", "0".to_owned()),
            // A scenario's workloads are of one namespace, and each has a thread of its own.
            ("INTAKE__STORM_WORKLOADS", "0".to_owned()),
            ("WORKER__PER_NAMESPACE", "100".to_owned()),
            ("WORKER__LEASE_SECS", "3".to_owned()),
            ("WORKER__MAX_ATTEMPTS", "20".to_owned()),
            ("KUBERNETES__URL", format!("http://127.0.0.1:{}", cluster_way.port)),
            ("KUBERNETES__CLUSTER", "lab".to_owned()),
            ("SLACK__API_URL", format!("http://127.0.0.1:{}/api", slack_way.port)),
            ("SLACK__TOKEN", stand_ins::SLACK_TOKEN.to_owned()),
            ("SLACK__CHANNEL", stand_ins::CHANNEL.to_owned()),
            ("SLACK__TIMEOUT_SECS", "2".to_owned()),
            ("SLACK__PACE_MS", "1".to_owned()),
            ("LOG__FILTER", "info".to_owned()),
        ];
        all.extend(settings.iter().map(|(key, value)| (*key, (*value).to_owned())));
        Ok(Self {
            pool,
            database: way,
            slack,
            slack_way,
            _cluster: cluster,
            cluster_way,
            http,
            services: Vec::new(),
            name: name.to_owned(),
            folder: ground.folder.clone(),
            settings: all,
            old: ground.old.clone(),
        })
    }

    /// Starts one more whodunit and waits until it answers.
    pub async fn start_service(&mut self) -> Result<()> {
        self.start_version(Version::This).await
    }

    /// The same, of this version or of an older one.
    pub async fn start_version(&mut self, version: Version) -> Result<()> {
        let program = match version {
            Version::This => PathBuf::from(THIS),
            Version::Old => self.old.clone().context("no older program was named")?,
        };
        let log = self.folder.join(format!("{}-{}.log", self.name, self.services.len()));
        let port = free_port().await?;
        let process = Process::start(self.command(&program, port), &log)?;
        self.services.push(Service { process, port, log, program });
        self.await_ready(self.services.len() - 1).await
    }

    /// Starts it again where it was, whether it was killed, stopped or ended by itself.
    pub async fn restart(&mut self, number: usize) -> Result<()> {
        let Service { program, port, .. } = &self.services[number];
        let command = self.command(program, *port);
        let service = &mut self.services[number];
        service.process.kill();
        service.process = Process::start(command, &service.log)?;
        self.await_ready(number).await
    }

    /// What `whodunit stats` says of this house's database.
    pub async fn stats(&self) -> Result<Value> {
        let mut command = tokio::process::Command::new(THIS);
        command.args(["stats", "--output", "json"]).env("NO_COLOR", "1");
        for (key, value) in &self.settings {
            command.env(format!("WHODUNIT_{key}"), value);
        }
        let output = command.kill_on_drop(true).output().await?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("whodunit stats: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn command(&self, program: &Path, port: u16) -> Command {
        let mut command = Command::new(program);
        command.arg("serve").env("NO_COLOR", "1").env("WHODUNIT_SERVER__LISTEN", format!("127.0.0.1:{port}"));
        for (key, value) in &self.settings {
            command.env(format!("WHODUNIT_{key}"), value);
        }
        command
    }

    async fn await_ready(&mut self, number: usize) -> Result<()> {
        let until = Instant::now() + READY_TIMEOUT;
        let url = format!("http://127.0.0.1:{}/healthz", self.services[number].port);
        loop {
            let answer = self.http.get(&url).timeout(ASK_TIMEOUT).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            let process = &mut self.services[number].process;
            if process.has_ended() || Instant::now() > until {
                bail!("whodunit does not come up; its log says:\n{}", process.tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn sender(&self) -> Sender {
        Sender::new(self.http.clone(), self.services[0].port)
    }

    pub async fn count(&self, query: &'static str) -> Result<i64> {
        sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .with_context(|| format!("cannot count: {query}"))
    }

    /// Waits until nothing is queued or running and nothing is left to be said.
    pub async fn drain(&self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            let left = (self.count(WORK).await?, self.count(WORDS).await?);
            if left == (0, 0) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "after {limit:?} {} investigations and {} announcements are still under way",
                    left.0,
                    left.1
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What the scenarios stand on.
pub struct Ground {
    pub server: Server,
    pub seed: u64,
    pub size: Size,
    /// For logs; removed in the end.
    pub folder: PathBuf,
    /// An older whodunit.
    pub old: Option<PathBuf>,
}

/// A port on which nobody listens.
pub async fn free_port() -> Result<u16> {
    let begin = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start))?;
    for step in 0..PORTS.end - PORTS.start {
        let port = PORTS.start + (begin + step) % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}
