//! Where an investigation reads its cluster from: this process, or a Job of the tenant's namespace. Keys of the settings
//! come in; `executor` makes Jobs of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Executor {
    /// This process reads, with its own rights.
    #[default]
    InProcess,
    /// A Job reads, with the rights of a service account of the workload's namespace. Models, the database and Slack
    /// stay with this process.
    KubernetesJob,
}

/// The Jobs of `worker.executor: kubernetes-job`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Job {
    /// Globs: workloads of these namespaces are read by Jobs; all others, and what has no namespace, by this process.
    pub namespaces: Vec<String>,
    /// The image of this very version.
    pub image: String,
    /// Where Jobs reach this service, as in http://whodunit.monitoring.svc:8080.
    pub service_url: String,
    /// In the workload's namespace; what it may read bounds what is read.
    pub service_account: String,
    /// A Secret of the workload's namespace whose key `whodunit.yaml` says how its Job reaches Prometheus, Loki and
    /// Tempo. Where there is none, the Job reads Kubernetes alone.
    pub sources_secret: String,
    /// A Job whose pod has not called by then is given up, in seconds.
    pub start_secs: u64,
    pub requests: BTreeMap<String, String>,
    pub limits: BTreeMap<String, String>,
    /// Names of Secrets of the workload's namespace.
    pub image_pull_secrets: Vec<String>,
    pub node_selector: BTreeMap<String, String>,
    /// As in a pod.
    pub tolerations: Vec<Value>,
    pub priority_class: String,
}

impl Default for Job {
    fn default() -> Self {
        let quantities = |list: &[(&str, &str)]| {
            list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        Self {
            namespaces: vec!["*".to_owned()],
            image: String::new(),
            service_url: String::new(),
            service_account: "whodunit-reader".to_owned(),
            sources_secret: "whodunit-sources".to_owned(),
            start_secs: 90,
            requests: quantities(&[("cpu", "50m"), ("memory", "96Mi")]),
            limits: quantities(&[("memory", "512Mi")]),
            image_pull_secrets: Vec::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class: String::new(),
        }
    }
}
