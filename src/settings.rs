//! Settings: one YAML file, each key overridable by an environment variable, secrets by file or variable.
//! Parsed and checked here, resolved into clients by `app`, then gone. An unknown key is an error that
//! names the key and its line.

mod alertmanager;
mod api;
mod clusters;
mod executor;
mod git;
mod kubernetes;
mod load;
mod mcp;
mod model;
mod outlets;
mod policy;
mod policy_objects;
mod report;
mod slack;
mod source;
mod telemetry;
mod threads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

pub use self::alertmanager::Alertmanager;
pub use self::api::{Api, ApiToken, DescribedToken, Scope};
pub use self::clusters::Cluster;
pub use self::executor::{Executor, Job};
pub use self::git::Git;
pub use self::kubernetes::{ExcessRights, Kubernetes};
pub use self::mcp::{Mcp, McpServer};
pub use self::model::{Agent, Model, Provider, UsdPerMillion};
pub use self::outlets::{Outlet, OutletKind};
pub use self::policy::{Investigate, Policy, PolicyBudget, PolicyMatch, Quota, Times};
pub use self::policy_objects::PolicyObjects;
pub use self::report::Report;
pub use self::slack::{Route, RouteMatch, Slack};
pub use self::source::{Basic, HttpSource};
pub use self::telemetry::{Otlp, Telemetry};
pub use self::threads::ThreadMatch;

/// Everything in `config/whodunit.yaml`, which documents each key and its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub server: Server,
    pub database: Database,
    pub intake: Intake,
    pub worker: Worker,
    /// Where `worker.executor` is `kubernetes-job`.
    pub job: Job,
    pub retention: Retention,
    pub webhooks: Webhooks,
    /// Alertmanagers that are asked now and then what fires.
    pub alertmanagers: Vec<Alertmanager>,
    pub kubernetes: Kubernetes,
    pub prometheus: HttpSource,
    pub loki: HttpSource,
    pub tempo: HttpSource,
    /// Clusters beside the one of the four blocks above.
    pub clusters: Vec<Cluster>,
    pub runbooks: Runbooks,
    /// Tried in order. None: what no signature explains ends inconclusive.
    pub models: Vec<Model>,
    pub agent: Agent,
    /// What is done about which alerts; the first that fits holds.
    pub policies: Vec<Policy>,
    /// What teams ask for in their own namespaces, within what the settings allow.
    pub policy_objects: PolicyObjects,
    /// What each namespace may cost a day.
    pub quotas: Vec<Quota>,
    /// Servers of the Model Context Protocol whose read-only tools a model may use as well.
    pub mcp_servers: Vec<McpServer>,
    /// The other way round: whodunit as such a server.
    pub mcp: Mcp,
    pub report: Report,
    pub slack: Slack,
    /// Who is told beside Slack.
    pub outlets: Vec<Outlet>,
    pub api: Api,
    pub log: Log,
    pub telemetry: Telemetry,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub listen: SocketAddr,
    /// Address under which people reach us, for links in Slack; "" leaves links out.
    pub public_url: String,
    /// Requests worked on at once; beyond it 503 with Retry-After.
    pub max_in_flight: usize,
    /// Connections open at once; beyond it 503 with Retry-After.
    pub max_connections: usize,
    /// How long a drain may take after SIGTERM, in seconds.
    pub drain_secs: u64,
    /// What this process does; several may share the work over one database.
    pub role: Role,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            max_in_flight: 256,
            max_connections: 1024,
            drain_secs: 25,
            role: Role::All,
        }
    }
}

/// The part of the work that a process takes. The API, health and metrics are served by each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes alerts in: webhooks, and the comparison with Alertmanagers.
    Intake,
    /// Investigates and announces.
    Worker,
    All,
}

impl Role {
    pub fn takes_in(self) -> bool {
        self != Self::Worker
    }

    pub fn works(self) -> bool {
        self != Self::Intake
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgres://…`; unset starts the private server in `data_dir`.
    pub url: Option<SecretString>,
    /// Folder of the private server and of pulled runbooks; unset: `/var/lib/whodunit` for root, else the user's data folder.
    pub data_dir: Option<PathBuf>,
    pub max_connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, data_dir: None, max_connections: 12 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Wait between the first alert and its investigation, so that evidence settles; critical alerts wait 0.
    pub settle_secs: u64,
    /// An attached alert asks for another look when the last one is older than this.
    pub cooldown_secs: u64,
    /// A workload that fires again this soon after its incident was resolved reopens that incident.
    pub reopen_within_secs: u64,
    /// Incidents that heard nothing for this long are closed: resolved webhooks may never come.
    pub stale_after_secs: u64,
    /// Alert names that are stored and never investigated. Globs.
    pub ignore_alerts: Vec<String>,
    /// Severities that are stored and never investigated.
    pub ignore_severities: Vec<String>,
    /// So many workloads of one node or namespace in trouble within ten minutes are one incident; 0: never.
    pub storm_workloads: usize,
    /// Deadline for asking the cluster for owners before the answer is sent, in milliseconds.
    pub resolve_ms: u64,
    /// Label that names an alert's cluster.
    pub cluster_label: String,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            settle_secs: 30,
            cooldown_secs: 4 * 3600,
            reopen_within_secs: 3600,
            stale_after_secs: 24 * 3600,
            ignore_alerts: vec!["Watchdog".to_owned(), "InfoInhibitor".to_owned()],
            ignore_severities: vec!["none".to_owned()],
            storm_workloads: 20,
            resolve_ms: 800,
            cluster_label: "cluster".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Investigations worked on at once by this process.
    pub concurrency: usize,
    /// Investigations of one namespace at once, over all replicas: a noisy neighbour leaves room for others.
    pub per_namespace: usize,
    /// Investigations of one cluster at once by this process; 0: one less than `concurrency` where there are several
    /// clusters, so that one that does not answer leaves room for others.
    pub per_cluster: usize,
    pub lease_secs: u64,
    pub max_attempts: u32,
    /// Deadline of one investigation, in seconds.
    pub deadline_secs: u64,
    /// Who reads the cluster.
    pub executor: Executor,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            concurrency: 4,
            per_namespace: 3,
            per_cluster: 0,
            lease_secs: 60,
            max_attempts: 3,
            deadline_secs: 240,
            executor: Executor::default(),
        }
    }
}

/// For how many days what is over is kept; 0 keeps it for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Alerts of incidents that are over.
    pub alerts_days: u32,
    /// What investigations looked at, each turn of the agent, and what outlets were told. Reports stay.
    pub evidence_days: u32,
    /// Incidents that are over, with their reports; never before their alerts.
    pub incidents_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { alerts_days: 90, evidence_days: 30, incidents_days: 365 }
    }
}

/// Who may post. A sender without any credential is open to everybody who can reach the port.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    pub alertmanager: Credentials,
    pub robusta: Credentials,
    pub grafana: Credentials,
    /// Who posts with one of these, wherever, posts alerts of this cluster.
    pub clusters: BTreeMap<String, Credentials>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// Several may be valid at once, so that they can be rotated.
    pub bearer_tokens: Vec<SecretString>,
    /// A file with one token a line.
    pub bearer_tokens_file: Option<PathBuf>,
    /// user → password.
    pub basic: BTreeMap<String, SecretString>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Runbooks {
    /// Folders of `*.md`, searched recursively, beside the built-in ones. Later folders win by name.
    pub folders: Vec<PathBuf>,
    /// Leave the built-in runbooks out.
    pub without_builtin: bool,
    /// A repository beside the folders; a folder's runbook wins by name over one of it.
    pub git: Git,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// tracing's filter, e.g. `info,whodunit=debug`.
    pub filter: String,
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,sqlx::postgres::notice=warn,rmcp=error".to_owned(), json: false }
    }
}
