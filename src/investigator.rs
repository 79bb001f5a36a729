//! One investigation without queue or people: workload and alerts in, report and ledger out. Joins runbook,
//! evidence, signature and investigation; `worker` and the command line call it. It stores nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::alert::Alert;
use crate::evidence::{self, Sources};
use crate::facts::Observation;
use crate::investigation::conclude::{Judgement, conclude};
use crate::report::Report;
use crate::runbook::{self, Catalogue, Choice};
use crate::signature;
use crate::source::kubernetes::Scope;
use crate::telemetry;
use crate::workload::Workload;

/// Runbook folders are looked through this often; a changed file is in force a few seconds later.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

pub struct Investigator {
    sources: Sources,
    catalogue: watch::Sender<Arc<Catalogue>>,
    /// Faults of runbook files, one line each, for `/readyz`.
    faults: watch::Sender<Vec<String>>,
}

/// A report and what it was read from.
pub struct Investigated {
    pub report: Report,
    pub observations: Vec<Observation>,
}

impl Investigator {
    pub fn new(sources: Sources, catalogue: Catalogue) -> Self {
        let faults = watch::Sender::new(told(&catalogue));
        Self { sources, catalogue: watch::Sender::new(Arc::new(catalogue)), faults }
    }

    pub fn faults(&self) -> watch::Receiver<Vec<String>> {
        self.faults.subscribe()
    }

    /// The runbooks in force now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.borrow())
    }

    /// Never fails: a source that does not answer is a gap in the report.
    pub async fn investigate(&self, workload: &Workload, alerts: &[Alert]) -> Investigated {
        let started = Instant::now();
        let catalogue = self.catalogue();
        let choice = catalogue.choose(alerts, workload);
        let facts = evidence::gather(&self.sources, scope(&choice, workload), workload, alerts).await;
        let found = signature::find(&facts, &catalogue.signatures(alerts, workload));
        let judgement = Judgement {
            findings: found.findings,
            explained: found.explained,
            gaps: found.gaps,
            runbook: choice.as_used(),
            seconds: started.elapsed().as_secs_f64(),
        };
        let report = conclude(&facts, judgement);
        Investigated { report, observations: facts.observations }
    }

    /// Takes changed runbooks in until `shutdown`. A file that became bad keeps its last good revision.
    pub async fn keep_runbooks_fresh(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            let catalogue = self.catalogue();
            metrics::gauge!(telemetry::RUNBOOK_FAULTS).set(catalogue.faults().len() as f64);
            if shutdown.run_until_cancelled(tokio::time::sleep(RELOAD_INTERVAL)).await.is_none() {
                return;
            }
            let reloaded = tokio::task::spawn_blocking(move || catalogue.reload()).await;
            if let Ok(Some(next)) = reloaded {
                for fault in next.faults() {
                    tracing::warn!(%fault, "a runbook is not usable; its last good revision stays in force");
                }
                tracing::info!(faults = next.faults().len(), "runbooks reloaded");
                self.faults.send_replace(told(&next));
                self.catalogue.send_replace(Arc::new(next));
            }
        }
    }
}

fn told(catalogue: &Catalogue) -> Vec<String> {
    catalogue.faults().iter().map(ToString::to_string).collect()
}

/// What the runbook's header allows, in terms of this workload. Without a runbook: its namespace. What
/// belongs to no namespace, such as a node, cannot be looked at within one.
fn scope(choice: &Choice, workload: &Workload) -> Scope {
    let namespace = if workload.kind == "Namespace" { &workload.name } else { &workload.namespace };
    let allowed = choice.runbook.as_ref().map(|runbook| runbook.scope).unwrap_or_default();
    match allowed {
        _ if namespace.is_empty() => Scope::Cluster,
        runbook::Scope::Cluster => Scope::Cluster,
        runbook::Scope::Namespace => Scope::Namespace(namespace.clone()),
        runbook::Scope::Workload => Scope::Workload { namespace: namespace.clone() },
    }
}
