//! Keeps the runbooks in force fresh while the service runs: changed folders and pulled commits come in, a whole new
//! catalogue goes out or the last good one stays. It investigates nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Investigator;
use crate::runbook::{Catalogue, Pulled, Standing};
use crate::telemetry;

/// Runbook folders are looked through this often; a changed file is in force a few seconds later.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

impl Investigator {
    /// Takes changed runbooks in until `shutdown`: those of folders, whose files keep their last good revision when
    /// they become bad, and the commits that `pulled` brings.
    pub async fn keep_runbooks_fresh(
        self: Arc<Self>,
        mut pulled: watch::Receiver<Pulled>,
        shutdown: CancellationToken,
    ) {
        loop {
            let now = pulled.borrow_and_update().clone();
            let (catalogue, snapshot) = (self.catalogue(), now.snapshot.clone());
            let reloaded = tokio::task::spawn_blocking(move || catalogue.reload(snapshot)).await;
            if let Ok(Some(next)) = reloaded {
                for fault in next.faults() {
                    tracing::warn!(%fault, "a runbook is not usable; its last good revision stays in force");
                }
                tracing::info!(faults = next.faults().len(), commit = next.commit(), "runbooks reloaded");
                self.catalogue.send_replace(Arc::new(next));
            }
            let standing = standing(&self.catalogue(), &now);
            metrics::gauge!(telemetry::RUNBOOK_FAULTS).set(standing.faults.len() as f64);
            self.standing.send_replace(standing);
            let wait = async {
                tokio::select! {
                    () = tokio::time::sleep(RELOAD_INTERVAL) => {}
                    // Without a repository nobody sends.
                    Ok(()) = pulled.changed() => {}
                }
            };
            if shutdown.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }
}

pub(super) fn standing(catalogue: &Catalogue, pulled: &Pulled) -> Standing {
    let mut faults = pulled.faults.clone();
    for fault in catalogue.faults().iter().map(ToString::to_string) {
        // A commit that is in force for want of a better one is told by both.
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    Standing { faults, commit: catalogue.commit().map(str::to_owned) }
}
