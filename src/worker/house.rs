//! What has to be done besides investigating: workers that vanished, incidents that nobody resolves, guesses,
//! old rows, and the counts that must add up. Statements lock their rows or take a turn, so that any number of
//! replicas may do it. A failure is logged and tried again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Worker;
use super::guess;
use crate::feedback::retention as feedback_retention;
use crate::incident::{retention as incidents_retention, store as incidents, tally};
use crate::investigation::{queue, retention};
use crate::outlet::retention as outlet_retention;
use crate::postgres::chore;
use crate::slack::outbox;
use crate::telemetry;

/// Vanished workers and stale incidents are looked for this often.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
const STALE_BATCH: i64 = 100;
/// All alerts are counted this often.
const COUNTING: Duration = Duration::from_secs(60);
/// Old rows are deleted this often, by one replica.
const RETENTION: Duration = Duration::from_secs(3600);
/// Rows deleted in one transaction.
const RETENTION_BATCH: i64 = 1_000;
/// Transactions of one round of retention; the rest waits for the next.
const RETENTION_BATCHES: usize = 500;
/// Between two of them, so that others get at the database.
const RETENTION_PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    pub(super) async fn keep_house(self: Arc<Self>, shutdown: CancellationToken) {
        let (mut guessed, mut counted) = (Instant::now(), None::<Instant>);
        while shutdown.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING)).await.is_some() {
            note("housekeeping", self.tidy().await);
            if guessed.elapsed() >= guess::INTERVAL {
                guessed = Instant::now();
                if let Err(error) = self.check_guesses().await {
                    tracing::warn!(error = format!("{error:#}"), "guessed workloads could not be checked");
                }
            }
            if counted.is_none_or(|at| at.elapsed() >= COUNTING) {
                counted = Some(Instant::now());
                note("counting", self.count().await);
            }
            note("retention", shutdown.run_until_cancelled(self.forget()).await.unwrap_or(Ok(())));
        }
    }

    /// Buries investigations whose workers vanished for the last time, and closes stale incidents.
    async fn tidy(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for (investigation, incident) in queue::bury(&mut *transaction, self.max_attempts()).await? {
            tracing::error!(%investigation, "gave up: its workers vanished");
            self.gave_up(&mut transaction, incident, investigation, "every worker that tried it vanished")
                .await?;
        }
        let stale = incidents::close_stale(&mut transaction, self.stale_after, STALE_BATCH).await?;
        queue::cancel(&mut *transaction, &stale).await?;
        if let Some(audience) = &self.audience {
            audience.resolved(&mut transaction, &stale).await?;
        }
        transaction.commit().await?;
        metrics::gauge!(telemetry::QUEUE_DEPTH).set(queue::depth(&self.pool).await? as f64);
        Ok(())
    }

    /// Every alert that was received must be somewhere.
    async fn count(&self) -> Result<(), sqlx::Error> {
        let tally = tally::read(&self.pool).await?;
        for (state, count) in tally.states() {
            metrics::gauge!(telemetry::ALERTS, "state" => state).set(count as f64);
        }
        if !tally.adds_up() {
            tracing::error!(?tally, sum = tally.sum(), "alerts are not accounted for; please report this");
        }
        Ok(())
    }

    async fn forget(&self) -> Result<(), sqlx::Error> {
        if !chore::turn(&self.pool, "retention", RETENTION).await? {
            return Ok(());
        }
        let days = |setting: u32| i32::try_from(setting).ok().filter(|days| *days > 0);
        let (alerts, evidence, incidents) = (
            days(self.retention.alerts_days),
            days(self.retention.evidence_days),
            days(self.retention.incidents_days),
        );
        let mut forgotten = (0, 0, 0);
        for _ in 0..RETENTION_BATCHES {
            let mut batch = (0, 0, 0);
            if let Some(days) = evidence {
                batch.0 = retention::forget_evidence(&self.pool, days, RETENTION_BATCH).await?
                    + outlet_retention::forget(&self.pool, days, RETENTION_BATCH).await?;
            }
            if let Some(days) = alerts {
                batch.1 = incidents_retention::forget_alerts(&self.pool, days, RETENTION_BATCH).await?;
            }
            if let Some(days) = incidents {
                batch.2 = self.forget_incidents(days).await?
                    + feedback_retention::forget(&self.pool, days, RETENTION_BATCH).await?;
            }
            if batch == (0, 0, 0) {
                break;
            }
            forgotten = (forgotten.0 + batch.0, forgotten.1 + batch.1, forgotten.2 + batch.2);
            tokio::time::sleep(RETENTION_PAUSE).await;
        }
        let (evidence, alerts, incidents) = forgotten;
        if forgotten != (0, 0, 0) {
            tracing::info!(evidence, alerts, incidents, "forgot what is older than the settings keep");
        }
        Ok(())
    }

    /// Incidents go with all that hangs on them.
    async fn forget_incidents(&self, days: i32) -> Result<i64, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let over = incidents_retention::forgettable(&mut transaction, days, RETENTION_BATCH).await?;
        outbox::forget(&mut *transaction, &over).await?;
        retention::forget(&mut *transaction, &over).await?;
        incidents_retention::forget(&mut *transaction, &over).await?;
        transaction.commit().await?;
        Ok(i64::try_from(over.len()).unwrap_or(i64::MAX))
    }
}

fn note(what: &str, result: Result<(), sqlx::Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what} failed; it will be tried again");
    }
}
