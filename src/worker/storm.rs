//! The conductor of storms: looks at what opened a short while ago, asks the cluster what it shares, and folds it
//! into one incident with one thread and one investigation. One replica does it at a time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Worker;
use crate::alert::Severity;
use crate::incident::store as incidents;
use crate::incident::storm::{self, Fold};
use crate::investigation::queue;
use crate::postgres::chore;
use crate::slack::outbox;

/// Shorter than the usual wait before an investigation begins (`intake.settle_secs`).
const INTERVAL: Duration = Duration::from_secs(2);
/// Incidents that opened within this belong to one storm.
const WINDOW: Duration = Duration::from_secs(600);

impl Worker {
    pub(super) async fn watch_storms(self: Arc<Self>, shutdown: CancellationToken) {
        if self.storm_workloads == 0 {
            return;
        }
        while shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            if let Err(error) = self.look_for_storms().await {
                tracing::warn!(%error, "storms could not be looked for; it will be tried again");
            }
        }
    }

    async fn look_for_storms(&self) -> Result<(), sqlx::Error> {
        if !chore::turn(&self.pool, "storms", INTERVAL).await? {
            return Ok(());
        }
        self.end_storms().await?;
        let crowd = storm::crowd(&mut *self.pool.acquire().await?, WINDOW).await?;
        let waits = crowd.members.iter().any(|member| member.waits);
        if !waits || (crowd.members.len() < self.storm_workloads && crowd.parents.is_empty()) {
            return Ok(());
        }
        let nodes = storm::troubled_nodes(&self.resolver, &crowd.members).await;
        for fold in storm::decide(&crowd, &nodes, self.storm_workloads) {
            self.fold(&fold).await?;
        }
        Ok(())
    }

    async fn fold(&self, fold: &Fold) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let Some(folded) = storm::fold(&mut transaction, fold).await? else { return Ok(()) };
        if folded.opened {
            let title = format!("{} workloads at once", folded.members.len());
            self.look_at(&mut transaction, &[folded.parent], fold.severity, &title).await?;
        }
        let threads = outbox::withdraw(&mut transaction, &folded.members).await?;
        if let Some(audience) = &self.audience {
            if folded.opened {
                audience.opened(&mut transaction, &[folded.parent]).await?;
            }
            audience.folded(&mut transaction, &threads, &fold.into).await?;
        }
        transaction.commit().await?;
        tracing::info!(into = %fold.into, workloads = folded.members.len(), "a storm: looked at as one incident");
        self.wake.notify_waiters();
        Ok(())
    }

    async fn end_storms(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let over = storm::end(&mut *transaction).await?;
        if over.parents.is_empty() && over.still_firing.is_empty() {
            return transaction.rollback().await;
        }
        queue::cancel(&mut *transaction, &over.parents).await?;
        let reason = "still fires after the storm that it came with is over";
        self.look_at(&mut transaction, &over.still_firing, Severity::None, reason).await?;
        if let Some(audience) = &self.audience {
            audience.resolved(&mut transaction, &over.parents).await?;
            audience.opened(&mut transaction, &over.still_firing).await?;
        }
        transaction.commit().await?;
        self.wake.notify_waiters();
        Ok(())
    }

    /// Queues a look at each, under the first of its alerts' names.
    async fn look_at(
        &self,
        transaction: &mut PgConnection,
        ids: &[Uuid],
        at_least: Severity,
        reason: &str,
    ) -> Result<(), sqlx::Error> {
        let incidents = incidents::read(&mut *transaction, ids).await?;
        let waiting: Vec<queue::Waiting> = incidents
            .into_iter()
            .map(|incident| queue::Waiting {
                incident_id: incident.id,
                alert_name: incident.alert_names.first().cloned().unwrap_or_default(),
                reason: reason.to_owned(),
                priority: incident.severity.max(at_least) as i32,
                after: Duration::ZERO,
                workload: incident.workload,
            })
            .collect();
        queue::enqueue(transaction, &waiting).await.map(|_| ())
    }
}
