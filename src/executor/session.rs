//! One attempt's Job, as the worker sees it: questions go in, answers come out. The Job is created when the first
//! question is asked, and looked at while answers are waited for. It runs out by itself when the attempt is over: its
//! token is worth nothing then.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use globset::{Glob, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::OnceCell;

use super::fate::{self, Heard};
use super::question::{Answer, Question};
use super::{job, store};
use crate::alert::Alert;
use crate::evidence::{Fleet, Wanted};
use crate::facts::Facts;
use crate::investigation::queue::Claim;
use crate::settings;
use crate::source::kubernetes::{Error, Launcher, Scope};
use crate::telemetry;
use crate::tool::{Bounds, Found, Refusal};
use crate::workload::Workload;

/// How often an answer is looked for.
const ANSWER_POLL: Duration = Duration::from_millis(100);
/// How often the Job is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// What starts Jobs.
#[derive(Debug)]
pub struct Executor {
    pool: PgPool,
    settings: settings::Job,
    namespaces: GlobSet,
    /// Whose Kubernetes clients the launchers are made of.
    fleet: Fleet,
    /// Of one investigation.
    deadline: Duration,
}

impl Executor {
    /// None where the settings leave reading to this process.
    ///
    /// # Errors
    /// A setting of `job` that is missing or cannot work, by its name.
    pub fn new(
        (worker, job): (&settings::Worker, &settings::Job),
        fleet: &Fleet,
        pool: &PgPool,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        if worker.executor == settings::Executor::InProcess {
            return Ok(None);
        }
        let namespaces = check(job)?;
        let deadline = Duration::from_secs(worker.deadline_secs);
        let (settings, fleet, pool) = (job.clone(), fleet.clone(), pool.clone());
        Ok(Some(Arc::new(Self { pool, settings, namespaces, fleet, deadline })))
    }

    /// The Job of this claim, not created yet. None: this process reads, because the workload has no namespace, lies in
    /// one that the settings leave out, is a Job of ours itself, or its cluster has no Kubernetes.
    pub fn session(self: &Arc<Self>, claim: &Claim, workload: &Workload) -> Option<Arc<Session>> {
        let namespace = workload.tenant();
        let is_ours = job::is_ours(&workload.kind, &workload.name);
        if namespace.is_empty() || is_ours || !self.namespaces.is_match(namespace) {
            return None;
        }
        let launcher = Launcher::new(self.fleet.of(&workload.cluster)?.kubernetes.as_ref()?);
        Some(Arc::new(Session {
            executor: Arc::clone(self),
            claim: claim.clone(),
            namespace: namespace.to_owned(),
            launcher,
            created: OnceCell::new(),
            asked: AtomicI32::new(0),
        }))
    }
}

/// What `job` has to say when Jobs are wanted.
///
/// # Errors
/// The setting, by its name.
pub fn check(job: &settings::Job) -> anyhow::Result<GlobSet> {
    ensure!(
        !job.image.trim().is_empty(),
        "job.image: which image Jobs run is not said; name this very version's"
    );
    let url: reqwest::Url = job.service_url.parse().with_context(|| {
        format!(
            "job.service_url: `{}` is no address like http://whodunit.monitoring.svc:8080",
            job.service_url
        )
    })?;
    ensure!(matches!(url.scheme(), "http" | "https"), "job.service_url: {url} is neither http nor https");
    ensure!(!job.service_account.trim().is_empty(), "job.service_account: is empty");
    ensure!(!job.sources_secret.trim().is_empty(), "job.sources_secret: is empty");
    ensure!(job.start_secs > 0, "job.start_secs: is 0");
    let mut globs = GlobSetBuilder::new();
    for text in &job.namespaces {
        globs.add(Glob::new(text).with_context(|| format!("job.namespaces: `{text}` is no glob"))?);
    }
    Ok(globs.build()?)
}

/// One attempt's Job.
#[derive(Debug)]
pub struct Session {
    executor: Arc<Executor>,
    claim: Claim,
    namespace: String,
    launcher: Launcher,
    /// When the Job was created.
    created: OnceCell<Instant>,
    asked: AtomicI32,
}

impl Session {
    /// All that is known about a workload, as `evidence::gather` reads it, read by the Job.
    ///
    /// # Errors
    /// The Job cannot be created, does not answer as agreed, or the lease is lost.
    pub async fn gather(
        &self,
        (workload, alerts): (&Workload, &[Alert]),
        scope: Scope,
        wanted: Wanted,
    ) -> anyhow::Result<Facts> {
        let question =
            Question::Gather { workload: workload.clone(), alerts: alerts.to_vec(), scope, wanted };
        match self.ask(question).await? {
            // A Job speaks for its own workload alone.
            Answer::Facts(facts) if facts.workload == *workload => Ok(*facts),
            Answer::Facts(_) => bail!("its Job told of another workload than it was asked for"),
            Answer::Failed(why) => bail!("its Job could not read: {why}"),
            Answer::Found(_) | Answer::Refused(_) => bail!("its Job answered another question"),
        }
    }

    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: &serde_json::Value,
        bounds: &Bounds,
    ) -> Result<Found, Refusal> {
        let (tool, arguments, bounds) = (tool.to_owned(), arguments.clone(), bounds.clone());
        match self.ask(Question::Call { tool, arguments, bounds }).await {
            Ok(Answer::Found(found)) => Ok(found),
            Ok(Answer::Refused(refusal)) => Err(refusal),
            Ok(Answer::Failed(why)) => Err(Refusal::Failed(why)),
            Ok(Answer::Facts(_)) => Err(Refusal::Failed("another question was answered".to_owned())),
            Err(error) => Err(Refusal::Failed(format!("{error:#}"))),
        }
    }

    /// Creates the Job if that was not done, and waits until its pod calls: calls of tools have deadlines that leave
    /// no room for pulling an image. Ended by `lost`, which has the deadline.
    ///
    /// # Errors
    /// The Job cannot be created, or the lease is lost.
    pub async fn ready(&self) -> anyhow::Result<()> {
        self.created.get_or_try_init(|| self.create()).await?;
        while store::silence(&self.executor.pool, &self.claim).await?.is_none() {
            tokio::time::sleep(ANSWER_POLL).await;
        }
        Ok(())
    }

    async fn ask(&self, question: Question) -> anyhow::Result<Answer> {
        let deadline = self.executor.deadline;
        let answered = async {
            self.created.get_or_try_init(|| self.create()).await?;
            let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            let (pool, text) = (&self.executor.pool, serde_json::to_string(&question)?);
            ensure!(store::ask(pool, &self.claim, number, &text).await?, "the lease was lost");
            loop {
                if let Some(answer) = store::answer(pool, &self.claim, number).await? {
                    return serde_json::from_str(&answer)
                        .context("its Job's answer is not what was asked for");
                }
                tokio::time::sleep(ANSWER_POLL).await;
            }
        };
        tokio::time::timeout(deadline, answered)
            .await
            .unwrap_or_else(|_| Err(anyhow!("no answer within {deadline:?}")))
    }

    async fn create(&self) -> anyhow::Result<Instant> {
        let Self { executor, claim, namespace, .. } = self;
        let token = token()?;
        let name = job::name(claim.id, claim.attempt);
        let hash = Sha256::digest(token.as_bytes());
        let mut connection = executor.pool.acquire().await?;
        let opened = store::open(&mut connection, claim, &hash, (namespace, &name)).await?;
        drop(connection);
        ensure!(opened, "the lease was lost before its Job was created");
        let run = job::Run {
            investigation: claim.id,
            attempt: claim.attempt,
            namespace,
            token: &token,
            deadline_secs: executor.deadline.as_secs(),
        };
        let created = self.launcher.create(namespace, &job::object(&executor.settings, run)).await;
        count(if created.is_ok() { "created" } else { "refused" });
        created.with_context(|| {
            format!(
                "no Job could be created in namespace {namespace}; does it have whodunit's roles (executor.namespaces \
                 of the chart)?"
            )
        })?;
        tracing::info!(investigation = %claim.id, namespace, job = name, "its Job is created");
        Ok(Instant::now())
    }

    /// Returns when the Job will not answer any more, with the reason.
    pub async fn lost(&self) -> anyhow::Error {
        let name = job::name(self.claim.id, self.claim.attempt);
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(created) = self.created.get() else { continue };
            let seen = match self.launcher.look(&self.namespace, &name).await {
                Ok(seen) => seen,
                Err(Error::NotFound) => {
                    count("lost");
                    return anyhow!("its Job {name} is gone from namespace {}", self.namespace);
                }
                // Not ours to judge by: the Job may go on, and the deadline holds.
                Err(error) => {
                    tracing::debug!(investigation = %self.claim.id, %error, "its Job could not be looked at");
                    continue;
                }
            };
            let Ok(silence) = store::silence(&self.executor.pool, &self.claim).await else { continue };
            let heard = Heard {
                age: created.elapsed(),
                silence: silence.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))),
                start: Duration::from_secs(self.executor.settings.start_secs),
            };
            if let Some(why) = fate::lost(&seen, heard) {
                count("lost");
                return anyhow!(why);
            }
        }
    }

    /// Forgets what was asked; the Job hears with its next call that it is over.
    pub async fn end(&self) {
        if self.created.get().is_some()
            && let Err(error) = store::close(&self.executor.pool, &self.claim).await
        {
            tracing::debug!(investigation = %self.claim.id, %error, "a Job's questions are deleted later");
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(telemetry::JOBS, "outcome" => outcome).increment(1);
}

/// Nobody guesses it; worth nothing after its attempt.
fn token() -> anyhow::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
