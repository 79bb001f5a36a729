//! Where alerts are taken in, whoever brings them: each is placed on its workload, and everything that follows
//! is committed in ONE transaction, which requests that come at the same time share. An answer comes after the
//! commit, or not at all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use futures::StreamExt;
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::batch::Batches;
use super::commit::{Books, commit_all};
use super::rehearse;
use crate::alert::{Alert, Severity, Source, Status};
use crate::announce::Audience;
use crate::feedback::ASKED;
use crate::incident::book::Placed;
use crate::incident::decide::{Occurrence, Rules, occurrence};
use crate::incident::{resolve, store};
use crate::policy::Policies;
use crate::telemetry;
use crate::workload::Workload;

/// Asking the database what it knows also tells whether it is there: a sender hears of an outage at once.
const KNOWN_TIMEOUT: Duration = Duration::from_millis(800);
/// Alertmanager gives up after 10 s; an answer after that would be for nobody.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);
/// Questions to the cluster at once for one webhook.
const RESOLVE_CONCURRENCY: usize = 16;
/// Alerts of one commit, unless one request alone has more.
const MAX_ALERTS: usize = 2_000;
/// Transactions at once: while one waits for the disk, the next is made ready.
const COMMITS: usize = 2;

/// What a sender hears.
#[derive(Debug, Default, Serialize)]
pub struct Receipt {
    /// Incidents that the alerts belong to, oldest first.
    pub incidents: Vec<Uuid>,
    pub alerts: usize,
    /// Occurrences that were not known before.
    pub new: usize,
    pub repeats: usize,
    pub ignored: usize,
}

type Known = HashMap<Occurrence, Workload>;
/// Errors go to each caller of a batch.
pub(super) type Shared<T> = Result<T, Arc<anyhow::Error>>;

/// Takes alerts in.
pub struct Desk {
    resolver: resolve::Resolver,
    resolve_deadline: Duration,
    known: Batches<Arc<Vec<Alert>>, Shared<Arc<Known>>>,
    commits: Batches<Vec<Placed>, Shared<Receipt>>,
}

impl Desk {
    /// Returns when the database's connections are ready for alerts, so that none of the first waits for that.
    /// `resolve_deadline` is for asking the cluster before the answer; no `audience` where nobody is told; `wake` wakes
    /// this process's workers.
    pub async fn start(
        pool: &PgPool,
        (rules, policies): (Rules, watch::Receiver<Arc<Policies>>),
        (resolver, resolve_deadline): (resolve::Resolver, Duration),
        audience: Option<Audience>,
        wake: Arc<Notify>,
    ) -> Self {
        let books = Arc::new(Books { pool: pool.clone(), rules, policies, audience, wake });
        rehearse::rehearse(&books).await;
        let commits = Batches::start(COMMITS, MAX_ALERTS, Vec::len, move |requests| {
            let books = Arc::clone(&books);
            async move { commit_all(&books, requests).await }
        });
        let pool = pool.clone();
        let known = Batches::start(
            COMMITS,
            MAX_ALERTS,
            |alerts: &Arc<Vec<Alert>>| alerts.len(),
            move |asked| {
                let pool = pool.clone();
                async move { known(&pool, &asked).await }
            },
        );
        Self { resolver, resolve_deadline, known, commits }
    }

    /// Commits alerts with everything that follows from them.
    ///
    /// # Errors
    /// Nothing was committed, or nobody knows: the sender must send again, which is harmless.
    pub async fn take_in(&self, mut alerts: Vec<Alert>) -> anyhow::Result<Receipt> {
        let Some(first) = alerts.first() else { return Ok(Receipt::default()) };
        let (source, truncated) = (first.source, first.truncated_alerts);
        if truncated > 0 {
            tracing::warn!(
                truncated,
                "the sender left alerts out of this message; raise its limit (max_alerts)"
            );
        }
        alerts.iter_mut().for_each(store::normalise);
        let alerts = Arc::new(alerts);
        let known = shared(self.known.ask(Arc::clone(&alerts), KNOWN_TIMEOUT).await?)?;
        let placed = self.place(Arc::unwrap_or_clone(alerts), &known).await;
        let receipt = shared(self.commits.ask(placed, COMMIT_TIMEOUT).await?)?;
        metrics::counter!(telemetry::ALERTS_RECEIVED, "source" => source.as_str())
            .increment(receipt.alerts as u64);
        Ok(receipt)
    }

    /// Opens an incident of a workload, or joins the one that is open, because somebody asks: as an alert about it
    /// would.
    ///
    /// # Errors
    /// Nothing was committed, or nobody knows; or the settings ignore every alert.
    pub async fn ask(&self, workload: Workload, by: &str) -> anyhow::Result<Uuid> {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut alert = Alert {
            source: Source::Manual,
            status: Status::Firing,
            // Each question is an occurrence of its own.
            fingerprint: Uuid::now_v7().to_string(),
            starts_at: Utc::now(),
            ends_at: None,
            severity: Severity::Warning,
            labels: [
                label("alertname", ASKED),
                label("cluster", &workload.cluster),
                label("namespace", &workload.namespace),
            ]
            .into(),
            annotations: [label("summary", &format!("{by} asks what is wrong with {}", workload.short()))]
                .into(),
            generator_url: String::new(),
            receiver: String::new(),
            group_key: String::new(),
            subject: None,
            truncated_alerts: 0,
        };
        store::normalise(&mut alert);
        let placed = without_secrets(Placed { alert, workload, confident: true });
        let receipt = shared(self.commits.ask(vec![placed], COMMIT_TIMEOUT).await?)?;
        receipt
            .incidents
            .first()
            .copied()
            .context("intake.ignore_alerts or intake.ignore_severities ignores it")
    }

    /// Finds each alert's workload: from the book where it is known, else from the cluster within the
    /// deadline, else from the labels.
    async fn place(&self, alerts: Vec<Alert>, known: &Known) -> Vec<Placed> {
        let until = Instant::now() + self.resolve_deadline;
        futures::stream::iter(alerts)
            .map(|alert| async move {
                if let Some(workload) = known.get(&occurrence(&alert)) {
                    return Placed { workload: workload.clone(), alert, confident: true };
                }
                let left = until.saturating_duration_since(Instant::now());
                let resolved = self.resolver.resolve(&alert, left).await;
                Placed { workload: resolved.workload, alert, confident: resolved.confident }
            })
            .buffered(RESOLVE_CONCURRENCY)
            // Labels found the workload as they are; from here on nothing of them is needed but what is kept.
            .map(without_secrets)
            .collect()
            .await
    }
}

/// One question for all who ask.
async fn known(pool: &PgPool, asked: &[Arc<Vec<Alert>>]) -> Vec<Shared<Arc<Known>>> {
    let all = asked.iter().flat_map(|alerts| alerts.iter());
    let answer = match store::known(pool, all).await {
        Ok(known) => Ok(Arc::new(known)),
        Err(error) => Err(Arc::new(anyhow::Error::new(error))),
    };
    vec![answer; asked.len()]
}

fn shared<T>(answer: Shared<T>) -> anyhow::Result<T> {
    answer.map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn without_secrets(mut placed: Placed) -> Placed {
    placed.alert.redact();
    placed.workload = placed.workload.redacted();
    placed
}
