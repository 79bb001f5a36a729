//! `whodunit config check --live`: each configured source is asked one cheap question, all at the same time, and a
//! person sees what it said. Nothing is written anywhere and no message is posted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use k8s_openapi::api::core::v1::Namespace;

use super::build::{http_client, install_tls, peers, policies, slack_client};
use super::clusters::clusters;
use super::rights;
use crate::postgres;
use crate::settings::{Executor, Settings};
use crate::source::{kubernetes, loki::Loki, prometheus::Prometheus, tempo::Tempo};

/// For one source: longer than any of them takes to answer, short enough for a person who waits.
const TIMEOUT: Duration = Duration::from_secs(15);
/// What is listed of Loki's labels.
const LABELS_SHOWN: usize = 6;

/// What one source said.
pub struct Asked {
    pub source: String,
    /// What stands for the source's health, or why it did not answer.
    pub answer: Result<String, String>,
    pub took: Duration,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, words) = match &self.answer {
            Ok(words) => ("ok", words),
            Err(words) => ("FAULT", words),
        };
        write!(f, "{:<13} {mark:<6} {:>6} ms  {words}", self.source, self.took.as_millis())
    }
}

type Question<'a> = Pin<Box<dyn Future<Output = Asked> + Send + 'a>>;

/// Asks everything that is configured; what is not configured is left out.
///
/// # Errors
/// Settings from which a client cannot be built.
pub async fn live(settings: &Settings) -> anyhow::Result<Vec<Asked>> {
    install_tls();
    let http = http_client()?;
    let clusters = clusters(settings, &http).await?;
    let peers = peers(settings, &http)?;
    let slack = slack_client(&settings.slack, &*policies(settings)?, &http)?;
    let mut questions: Vec<Question<'_>> = Vec::new();
    if settings.database.url.is_some() {
        questions.push(ask("database", async {
            let version =
                postgres::server_version(&settings.database).await.map_err(|error| format!("{error:#}"))?;
            Ok(format!("PostgreSQL {version}"))
        }));
    }
    let many = !settings.clusters.is_empty();
    for (name, sources) in clusters.each() {
        let named = |what: &str| if many { format!("{name}/{what}") } else { what.to_owned() };
        if let Some(client) = &sources.kubernetes {
            questions.push(ask(named("kubernetes"), cluster(client)));
            for namespace in tenants(settings) {
                let launcher = kubernetes::Launcher::new(client);
                questions.push(ask(named("jobs"), async move { jobs(&launcher, namespace).await }));
            }
        }
        if let Some(prometheus) = &sources.prometheus {
            questions.push(ask(named("prometheus"), metrics(prometheus)));
        }
        if let Some(loki) = &sources.loki {
            questions.push(ask(named("loki"), logs(loki)));
        }
        if let Some(tempo) = &sources.tempo {
            questions.push(ask(named("tempo"), traces(tempo)));
        }
    }
    for peer in &peers {
        questions.push(ask("alertmanager", async {
            let since = peer.alertmanager.started_at().await.map_err(|error| error.to_string())?;
            Ok(format!("{} runs since {}", peer.alertmanager.url(), since.format("%F %T UTC")))
        }));
    }
    if let Some(slack) = &slack {
        questions.push(ask("slack", async {
            let identity = slack.auth_test().await.map_err(|fault| fault.to_string())?;
            let known = format!("{} in {}", identity.user, identity.team);
            let Some(scopes) = identity.scopes else { return Ok(format!("{known}; scopes were not told")) };
            match slack.access().granted(&scopes) {
                missing if missing.is_empty() => Ok(format!("{known}, has every scope")),
                missing => Err(format!("{known}; the token lacks {}", missing.join(", "))),
            }
        }));
    }
    Ok(futures::future::join_all(questions).await)
}

fn ask<'a>(
    source: impl Into<String>,
    question: impl Future<Output = Result<String, String>> + Send + 'a,
) -> Question<'a> {
    let source = source.into();
    Box::pin(async move {
        let began = Instant::now();
        let answer = tokio::time::timeout(TIMEOUT, question).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())));
        Asked { source, answer, took: began.elapsed() }
    })
}

/// Its version, whether it lets us read, and whether it lets us do more.
async fn cluster(client: &kubernetes::Client) -> Result<String, String> {
    let version = client.version().await.map_err(|error| error.to_string())?.value;
    let reads = match client.names::<Namespace>("").await {
        Ok(names) => format!("{} namespaces", names.value.len()),
        Err(error) => format!("namespaces cannot be listed ({error})"),
    };
    match client.excess().await {
        Ok(excess) if excess.is_empty() => Ok(format!("{version}, {reads}, may only read")),
        Ok(excess) => Err(format!("{version}, {reads}, may do what it must not: {}", rights::told(&excess))),
        Err(error) => Ok(format!("{version}, {reads}; what else it may do was not told ({error})")),
    }
}

/// The namespaces that are written out; a glob can fit any, which nobody can ask for.
fn tenants(settings: &Settings) -> impl Iterator<Item = &String> {
    let are_wanted = settings.worker.executor == Executor::KubernetesJob;
    let is_plain = |name: &&String| !name.contains(['*', '?', '[', '{']);
    settings.job.namespaces.iter().filter(is_plain).filter(move |_| are_wanted)
}

async fn jobs(launcher: &kubernetes::Launcher, namespace: &str) -> Result<String, String> {
    match launcher.may_create(namespace).await {
        Ok(true) => Ok(format!("may be created in {namespace}")),
        Ok(false) => {
            Err(format!("may not be created in {namespace}: its investigations will fail; docs/isolation.md"))
        }
        Err(error) => Err(format!("whether they may be created in {namespace} was not told: {error}")),
    }
}

async fn traces(tempo: &Tempo) -> Result<String, String> {
    tempo.ready().await.map_err(|error| error.to_string())?;
    // Older ones have no such address.
    let version = tempo.version().await.unwrap_or_else(|_| "of unknown version".to_owned());
    Ok(format!("ready, {version}"))
}

/// Whether it has targets, and the metrics of kube-state-metrics and cAdvisor that facts come from.
async fn metrics(prometheus: &Prometheus) -> Result<String, String> {
    let up = count(prometheus, "up == 1").await?;
    let pods = count(prometheus, "kube_pod_info").await?;
    let memory = count(prometheus, "container_memory_working_set_bytes").await?;
    let lacks: Vec<&str> = [(pods, "kube-state-metrics"), (memory, "cAdvisor")]
        .into_iter()
        .filter_map(|(found, name)| (found == 0.0).then_some(name))
        .collect();
    let lacks =
        if lacks.is_empty() { String::new() } else { format!("; no metrics of {}", lacks.join(" and ")) };
    Ok(format!("{up} targets up{lacks}"))
}

async fn count(prometheus: &Prometheus, what: &str) -> Result<f64, String> {
    let answer = prometheus.query(&format!("count({what})"), Utc::now()).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let last = answer.series.first().and_then(|series| series.samples.last());
    Ok(last.map_or(0.0, |sample| sample.1))
}

/// The labels that its streams have: those of the last hour.
async fn logs(loki: &Loki) -> Result<String, String> {
    let now = Utc::now();
    let names =
        loki.labels("", (now - TimeDelta::hours(1), now)).await.map_err(|error| error.to_string())?.names;
    if names.is_empty() {
        return Ok("answers, and has no streams of the last hour".to_owned());
    }
    let shown = names.iter().take(LABELS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(LABELS_SHOWN);
    Ok(if more == 0 { format!("labels {shown}") } else { format!("labels {shown} and {more} more") })
}
