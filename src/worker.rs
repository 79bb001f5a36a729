//! The conductor after the queue: claims investigations, and for each one runs runbook → facts → findings →
//! report, stores the result and queues its announcement. The one root for errors: a failed attempt is
//! logged here, tried again, and in the end shown to people.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::alert::Alert;
use crate::announce::{Audience, Ending};
use crate::executor::Executor;
use crate::feedback;
use crate::incident::{resolve, store as incidents};
use crate::investigation::journal::Journal;
use crate::investigation::queue::{self, Claim, Failure};
use crate::investigation::store;
use crate::investigator::{Attempt, Investigated, Investigator};
use crate::settings;
use crate::slack;
use crate::telemetry;
use crate::workload::Workload;

mod crowd;
mod guess;
mod house;
mod progress;
mod storm;

pub use crowd::Crowd;

/// NOTIFY and our own intake wake the loop; this is for lost wake-ups and for waits that end.
const POLL: Duration = Duration::from_millis(250);
/// A database that is away is asked again after this.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// Heartbeats within one lease.
const HEARTBEATS: u32 = 3;

/// Everything an investigation needs, built once.
pub struct Worker {
    pub pool: PgPool,
    pub settings: settings::Worker,
    pub stale_after: Duration,
    pub retention: settings::Retention,
    /// Workloads of one node or namespace that make a storm; 0: none does.
    pub storm_workloads: usize,
    pub investigator: Arc<Investigator>,
    /// None: this process reads.
    pub executor: Option<Arc<Executor>>,
    pub resolver: resolve::Resolver,
    pub audience: Option<Audience>,
    pub wake: Arc<Notify>,
    /// Host and process, kept with each claim.
    pub name: String,
    pub crowd: Crowd,
}

/// How a claim's work came out.
enum Worked {
    Finished,
    /// The lease is lost; whoever has it now goes on.
    Lost,
}

impl Worker {
    /// Works until `shutdown`, then lets running investigations end for `drain` and hands the rest back.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken, drain: Duration) {
        let tracker = TaskTracker::new();
        let abort = CancellationToken::new();
        let permits = Arc::new(Semaphore::new(self.settings.concurrency.max(1)));
        let housekeeping = tokio::spawn(Arc::clone(&self).keep_house(shutdown.clone()));
        let storms = tokio::spawn(Arc::clone(&self).watch_storms(shutdown.clone()));
        while !shutdown.is_cancelled() {
            let Some(Ok(permit)) = shutdown.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await
            else {
                break;
            };
            let Some(claim) = self.next_claim(&shutdown).await else { break };
            let worker = Arc::clone(&self);
            let abort = abort.clone();
            let place = self.crowd.enter(&claim);
            tracker.spawn(async move {
                worker.work(&claim, &abort).await;
                drop((permit, place));
            });
        }
        tracker.close();
        if tokio::time::timeout(drain, tracker.wait()).await.is_err() {
            tracing::warn!(running = tracker.len(), "handing unfinished investigations back");
            abort.cancel();
            tracker.wait().await;
        }
        let _ = housekeeping.await;
        let _ = storms.await;
    }

    async fn next_claim(&self, shutdown: &CancellationToken) -> Option<Claim> {
        let mut terms = queue::Terms {
            worker: self.name.clone(),
            lease: Duration::from_secs(self.settings.lease_secs),
            max_attempts: self.max_attempts(),
            per_namespace: i64::try_from(self.settings.per_namespace.max(1)).unwrap_or(i64::MAX),
            full: Vec::new(),
        };
        loop {
            terms.full = self.crowd.full();
            // Before the look: a wake-up between the look and the wait must not be lost.
            let woken = self.wake.notified();
            match queue::claim(&self.pool, &terms).await {
                Ok(Some(claim)) => return Some(claim),
                Ok(None) => {
                    let wait = tokio::time::timeout(POLL, woken);
                    shutdown.run_until_cancelled(wait).await?.ok();
                }
                Err(error) => {
                    tracing::warn!(%error, "the queue cannot be read");
                    shutdown.run_until_cancelled(tokio::time::sleep(DATABASE_PAUSE)).await?;
                }
            }
        }
    }

    fn max_attempts(&self) -> i32 {
        i32::try_from(self.settings.max_attempts).unwrap_or(i32::MAX)
    }

    /// Works on one claim under its heartbeat and deadline. A panic is an error like any other.
    async fn work(self: &Arc<Self>, claim: &Claim, abort: &CancellationToken) {
        let deadline = Duration::from_secs(self.settings.deadline_secs);
        let worker = Arc::clone(self);
        let owned = claim.clone();
        let span = span(claim);
        let mut task = tokio::spawn(async move { worker.investigate(&owned).await }.instrument(span.clone()));
        let ended = tokio::select! {
            ended = &mut task => Some(match ended {
                Ok(result) => result,
                Err(panic) => Err(anyhow::anyhow!("the investigation panicked: {panic}")),
            }),
            () = tokio::time::sleep(deadline) => Some(Err(anyhow::anyhow!("no result within {deadline:?}"))),
            () = self.keep_lease(claim) => Some(Ok(Worked::Lost)),
            never = self.tell_progress(claim) => match never {},
            () = abort.cancelled() => None,
        };
        task.abort();
        if let Some(error) = error_type(&ended) {
            span.record("error.type", error);
            span.record("otel.status_code", "ERROR");
        }
        match ended {
            Some(Ok(Worked::Finished)) => {}
            Some(Ok(Worked::Lost)) => tracing::warn!(investigation = %claim.id, "lost the lease"),
            Some(Err(error)) => self.fail(claim, &format!("{error:#}")).await,
            None => {
                if let Err(error) = queue::release(&self.pool, claim).await {
                    tracing::warn!(investigation = %claim.id, %error, "not handed back; its lease will run out");
                }
            }
        }
    }

    /// Returns when the lease is lost.
    async fn keep_lease(&self, claim: &Claim) {
        let lease = Duration::from_secs(self.settings.lease_secs);
        loop {
            tokio::time::sleep(lease / HEARTBEATS).await;
            match queue::heartbeat(&self.pool, claim, lease).await {
                Ok(true) => {}
                Ok(false) => return,
                // The next beat may get through; the fence protects what is written meanwhile.
                Err(error) => tracing::warn!(investigation = %claim.id, %error, "heartbeat failed"),
            }
        }
    }

    async fn investigate(&self, claim: &Claim) -> anyhow::Result<Worked> {
        let started = Instant::now();
        let mut connection = self.pool.acquire().await.context("no database connection")?;
        let incident = incidents::read(&mut *connection, &[claim.incident_id]).await?.into_iter().next();
        let incident = incident.context("the incident of this investigation is gone")?;
        let alerts = store::alerts(&mut connection, claim.incident_id).await?;
        drop(connection);
        let workload = match (incident.confident, alerts.first()) {
            (false, Some(alert)) => {
                let resolved = self.resolver.resolve(alert, guess::RESOLVE_DEADLINE).await;
                if !resolved.confident {
                    incident.workload.clone()
                } else if self.correct(claim, &incident, &resolved.workload).await? {
                    resolved.workload
                } else {
                    return Ok(Worked::Finished);
                }
            }
            _ => incident.workload.clone(),
        };
        Span::current().record("whodunit.workload", workload.key());
        let deadline = Duration::from_secs(self.settings.deadline_secs).saturating_sub(started.elapsed());
        let investigated = self.attempt(claim, (&workload, &alerts), deadline).await?;
        let finished = self.finish(claim, &workload, &investigated).await?;
        let seconds = started.elapsed().as_secs_f64();
        metrics::histogram!(telemetry::INVESTIGATION_SECONDS).record(seconds);
        if finished {
            let outcome = investigated.report.outcome.as_str();
            Span::current().record("whodunit.outcome", outcome);
            metrics::counter!(telemetry::INVESTIGATIONS, "outcome" => outcome).increment(1);
            tracing::info!(investigation = %claim.id, %workload, outcome, seconds, "investigated");
        }
        Ok(if finished { Worked::Finished } else { Worked::Lost })
    }

    /// With this process's rights, or in a Job: one that is lost ends the attempt, and another goes on.
    async fn attempt(
        &self,
        claim: &Claim,
        (workload, alerts): (&Workload, &[Alert]),
        deadline: Duration,
    ) -> anyhow::Result<Investigated> {
        let journal = Journal::Postgres { pool: self.pool.clone(), claim: claim.clone() };
        let session = self.executor.as_ref().and_then(|executor| executor.session(claim, workload));
        let attempt = Attempt { journal: &journal, session: session.as_ref(), deadline };
        // On the heap: without optimisation what is polled below it comes near the end of a thread's stack.
        let work = Box::pin(self.investigator.investigate(workload, alerts, attempt));
        let Some(session) = &session else { return work.await };
        let investigated = tokio::select! {
            investigated = work => investigated,
            lost = session.lost() => Err(lost),
        };
        session.end().await;
        investigated
    }

    async fn finish(
        &self,
        claim: &Claim,
        workload: &Workload,
        investigated: &Investigated,
    ) -> anyhow::Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let mut report = investigated.report.clone();
        report.muted = feedback::in_force(&mut transaction, &workload.key(), &report).await?;
        let report = &report;
        let mut previous = store::last_reports(&mut transaction, &[claim.incident_id]).await?;
        let previous = previous.remove(&claim.incident_id);
        if !store::finish(&mut transaction, claim, report, &investigated.observations).await? {
            return Ok(false);
        }
        match &self.audience {
            Some(audience) => {
                let ending = Ending::Reported { report, previous: previous.as_ref(), reason: &claim.reason };
                audience.ended(&mut transaction, claim.incident_id, claim.id, ending).await?;
            }
            None if report.muted.is_some() => tracing::info!(%workload, "the cause is muted: no summary"),
            None => slack::log_summary(report, workload),
        }
        transaction.commit().await.context("the report could not be committed")?;
        self.wake.notify_waiters();
        Ok(true)
    }

    async fn fail(&self, claim: &Claim, error: &str) {
        let error = crate::redact::redact(error);
        tracing::warn!(investigation = %claim.id, attempt = claim.attempt, %error, "attempt failed");
        let ended = async {
            let mut transaction = self.pool.begin().await?;
            let failure = queue::fail(&mut *transaction, claim, &error, self.max_attempts()).await?;
            if failure == Failure::Dead {
                self.gave_up(&mut transaction, claim.incident_id, claim.id, &error).await?;
            }
            transaction.commit().await
        };
        if let Err(error) = ended.await {
            tracing::warn!(investigation = %claim.id, %error, "the failure was not stored; its lease will run out");
        }
    }

    async fn gave_up(
        &self,
        transaction: &mut sqlx::PgConnection,
        incident: Uuid,
        investigation: Uuid,
        error: &str,
    ) -> Result<(), sqlx::Error> {
        metrics::counter!(telemetry::INVESTIGATIONS, "outcome" => "dead").increment(1);
        match &self.audience {
            Some(audience) => {
                audience.ended(transaction, incident, investigation, Ending::GaveUp(error)).await
            }
            None => Ok(()),
        }
    }
}

/// The whole of one attempt, for traces and the log. Its names and texts were redacted before they were stored.
fn span(claim: &Claim) -> Span {
    tracing::info_span!(
        parent: None,
        "investigation",
        whodunit.investigation.id = %claim.id,
        whodunit.attempt = i64::from(claim.attempt),
        whodunit.workload = Empty,
        whodunit.outcome = Empty,
        "error.type" = Empty,
        otel.status_code = Empty,
    )
}

fn error_type(ended: &Option<anyhow::Result<Worked>>) -> Option<&'static str> {
    match ended {
        Some(Ok(Worked::Finished)) => None,
        Some(Ok(Worked::Lost)) => Some("lease_lost"),
        Some(Err(_)) => Some("failed"),
        None => Some("handed_back"),
    }
}
