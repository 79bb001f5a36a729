//! A team's runbook that lists its sources: nothing else is asked, not even for facts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use whodunit::alert::{Alert, Severity, Source, Status};
use whodunit::demo::{Backend, BackendStandIn, KubernetesStandIn, Recording};
use whodunit::evidence::Sources;
use whodunit::investigator::{Attempt, Investigator};
use whodunit::runbook::Catalogue;
use whodunit::settings;
use whodunit::source::kubernetes::Client;
use whodunit::source::{loki::Loki, prometheus::Prometheus};
use whodunit::workload::Workload;

use crate::house::listen;

const NAMESPACE: &str = "prod-api";

/// Its container was killed for memory, which Prometheus is asked about, and the alert names a pod that is gone,
/// which Loki is asked about.
fn alert() -> Alert {
    let labels = [
        ("alertname", "KubePodCrashLooping"),
        ("namespace", NAMESPACE),
        ("pod", "analytics-service-6d7f8c9b5-zzzzz"),
    ];
    Alert {
        source: Source::Alertmanager,
        status: Status::Firing,
        fingerprint: "0011223344556677".to_owned(),
        starts_at: "2026-11-21T06:50:00Z".parse().unwrap(),
        ends_at: None,
        severity: Severity::Warning,
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        annotations: BTreeMap::new(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    }
}

/// How often Prometheus and Loki were asked, with a runbook of this header or with the built-in ones alone.
async fn asked(header: Option<&str>) -> (u64, u64) {
    let (recording, stop) = (Recording::embedded().unwrap(), CancellationToken::new());
    let folder = tempfile::tempdir().unwrap();
    if let Some(header) = header {
        let text =
            format!("---\nname: analytics\nmatch: {{workload: {{name: analytics-*}}}}\n{header}---\nLook.\n");
        std::fs::write(folder.path().join("analytics.md"), text).unwrap();
    }
    let (listener, url) = listen().await;
    tokio::spawn(Arc::new(KubernetesStandIn::new(recording).unwrap()).serve(listener, stop.clone()));
    let kubernetes = settings::Kubernetes { url: Some(url), ..settings::Kubernetes::default() };
    let start = async |backend| {
        let stand_in = Arc::new(BackendStandIn::new(recording, backend).unwrap());
        let (listener, url) = listen().await;
        tokio::spawn(Arc::clone(&stand_in).serve(listener, stop.clone()));
        (stand_in, settings::HttpSource { url: Some(url), ..settings::HttpSource::default() })
    };
    let ((prometheus, at_prometheus), (loki, at_loki)) =
        (start(Backend::Prometheus).await, start(Backend::Loki).await);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let sources = Sources {
        kubernetes: Some(Client::connect(&kubernetes).await.unwrap()),
        prometheus: Prometheus::new(http.clone(), &at_prometheus).unwrap(),
        loki: Loki::new(http, &at_loki).unwrap(),
        tempo: None,
        log_tail_lines: kubernetes.log_tail_lines,
    };
    let runbooks =
        settings::Runbooks { folders: vec![folder.path().to_owned()], ..settings::Runbooks::default() };
    let investigator = Investigator::new(sources, Catalogue::load(&runbooks), None);
    let workload = Workload::new("", NAMESPACE, "Deployment", "analytics-service");
    let deadline = Duration::from_secs(60);
    let investigated =
        investigator.investigate(&workload, &[alert()], Attempt::only(deadline)).await.unwrap();
    let used = investigated.report.runbook.name;
    assert_eq!(used == "analytics", header.is_some(), "{used}");
    stop.cancel();
    (prometheus.requests(), loki.requests())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_s_runbook_is_asked_of_no_source_that_it_does_not_list() {
    whodunit::app::install_tls();
    let (prometheus, loki) = asked(None).await;
    assert!(prometheus > 0 && loki > 0, "built-in runbooks advise the model alone: {prometheus}, {loki}");
    let (prometheus, loki) = asked(Some("")).await;
    assert!(prometheus > 0 && loki > 0, "one that lists nothing allows all: {prometheus}, {loki}");
    assert_eq!(asked(Some("tools: [kubernetes]\n")).await, (0, 0));
    let (prometheus, loki) = asked(Some("tools: [kubernetes, loki]\n")).await;
    assert!(prometheus == 0 && loki > 0, "{prometheus}, {loki}");
}
