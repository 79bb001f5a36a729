//! `whodunit demo`: recorded alerts go through the real service, which sees only stand-ins; what it found
//! and said comes out on stdout, progress on stderr. The service itself is started by the closure it is given.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::alerts::{self, Webhook};
use super::recording::Recording;
use super::service::{Investigation, Service};
use super::show::{self, Finished, Totals};
use super::slack::{SlackStandIn, render_thread};
use super::stage::{Endpoints, Stage};
use super::wait::{wait_for_ends, wait_for_summaries};

/// How long the service may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// Columns of the terminal that threads are shown in.
const WIDTH: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Threads as Slack would show them, then tables.
    Text,
    /// One array of `{"workload", "report"}`, nothing else.
    Json,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Return when everything was shown, instead of serving until ctrl-c.
    pub exit: bool,
    pub output: Output,
    /// A recording of one's own; the embedded one otherwise.
    pub recording: Option<PathBuf>,
    /// From the last webhook to the end of the last investigation.
    pub investigate_within: Duration,
    /// From there to the last summary in Slack.
    pub announce_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            exit: false,
            output: Output::Text,
            recording: None,
            investigate_within: Duration::from_secs(60),
            announce_within: Duration::from_secs(30),
        }
    }
}

/// The service, as the closure started it.
pub struct RunningService {
    /// Where it listens, e.g. `http://127.0.0.1:40123`.
    pub url: String,
    /// Cancelled when the demo is over.
    pub shutdown: CancellationToken,
    /// Ends when the service has stopped.
    pub task: JoinHandle<Result<()>>,
}

impl RunningService {
    /// A service that goes on by itself until `stop` is awaited: `RunningService::new(app.url(), app.stop())`.
    pub fn new(url: String, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let shutdown = CancellationToken::new();
        let cancelled = shutdown.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            cancelled.await;
            stop.await;
            Ok(())
        });
        Self { url, shutdown, task }
    }
}

/// Runs the demo around the service that `start` starts. The exit code is 0 when every investigation ended
/// with a report and every report reached Slack, else 1.
pub async fn run<F, Fut>(options: Options, start: F) -> Result<ExitCode>
where
    F: FnOnce(Endpoints) -> Fut,
    Fut: Future<Output = Result<RunningService>>,
{
    run_to(options, start, &mut std::io::stdout()).await.map(ExitCode::from)
}

/// As `run`, with the result on `out`, and the exit code as a number.
pub async fn run_to<F, Fut>(options: Options, start: F, out: &mut (dyn Write + Send)) -> Result<u8>
where
    F: FnOnce(Endpoints) -> Fut,
    Fut: Future<Output = Result<RunningService>>,
{
    let opened = options.recording.as_deref().map(Recording::open).transpose()?;
    let recording = match &opened {
        Some(recording) => recording,
        None => Recording::embedded()?,
    };
    let webhooks =
        (alerts::recorded(recording)?, if opened.is_some() { Vec::new() } else { alerts::hand_made()? });
    let stage = Stage::start(recording).await?;
    eprintln!("the recorded cluster answers on {}", stage.endpoints.kubernetes_url);
    let running = start(stage.endpoints.clone()).await.context("starting the service")?;
    eprintln!("whodunit listens on {}", running.url);

    let played = tokio::select! {
        played = play(&options, &running, &stage.slack, &webhooks) => played,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let shown = played.and_then(|played| {
        out.write_all(played.text.as_bytes())?;
        out.flush()?;
        Ok(played.code)
    });
    if shown.is_ok() && !options.exit {
        eprintln!("\nread it in a browser: {}/ (ctrl-c ends it)", running.url);
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed?,
            () = ended(&running.task) => eprintln!("the service stopped by itself"),
        }
    }
    running.shutdown.cancel();
    let stopped = timeout(STOP, running.task).await;
    let stage_stopped = stage.stop().await;
    // What went wrong first is what the user should read.
    let code = shown?;
    stopped.context("the service did not stop in time")?.context("the service panicked")??;
    stage_stopped?;
    Ok(code)
}

async fn ended(task: &JoinHandle<Result<()>>) {
    while !task.is_finished() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

struct Played {
    text: String,
    code: u8,
}

async fn play(
    options: &Options,
    running: &RunningService,
    slack: &SlackStandIn,
    (recorded, hand_made): &(Vec<Webhook>, Vec<Webhook>),
) -> Result<Played> {
    let service = Service::new(&running.url)?;
    post_all(&service, recorded, "recorded").await?;
    post_all(&service, hand_made, "hand-made").await?;
    let seen = wait_for_ends(&service, &running.task, options.investigate_within).await?;
    let done: Vec<&Investigation> = seen.investigations.iter().filter(|one| one.state == "done").collect();
    let unannounced = wait_for_summaries(slack, &done, options.announce_within).await;

    let finished = reports(&service, &done).await?;
    let mut without_report: BTreeMap<String, usize> = BTreeMap::new();
    for one in seen.investigations.iter().filter(|one| one.state != "done") {
        *without_report.entry(one.state.clone()).or_default() += 1;
    }
    let totals = Totals {
        recorded_webhooks: recorded.len(),
        hand_made_webhooks: hand_made.len(),
        alerts: recorded.iter().chain(hand_made).map(|webhook| webhook.alerts).sum(),
        incidents: seen.incidents,
        investigations: seen.investigations.len(),
        without_report,
    };
    let dead = seen.investigations.iter().filter(|one| one.state == "dead").count();
    for (count, what) in [
        (seen.unfinished, "investigations did not end in time"),
        (dead, "investigations were given up"),
        (unannounced, "summaries did not reach Slack in time"),
    ] {
        if count > 0 {
            eprintln!("{count} {what}");
        }
    }
    let text = match options.output {
        Output::Json => show::json(&finished),
        Output::Text => {
            let threads = slack.threads();
            let shown = threads.iter().map(|thread| {
                let channel =
                    thread.first().map(|parent| slack.channel_name(&parent.channel)).unwrap_or_default();
                render_thread(&channel, thread, WIDTH) + "\n"
            });
            let threads: String = shown.collect();
            format!("{threads}{}\n{}", show::totals(&totals, &finished), show::workloads(&finished))
        }
    };
    Ok(Played { text, code: u8::from(seen.unfinished + dead + unannounced > 0) })
}

async fn post_all(service: &Service, webhooks: &[Webhook], origin: &str) -> Result<()> {
    for (webhook, n) in webhooks.iter().zip(1..) {
        let status = service.post(webhook).await?;
        let Webhook { name, alerts, .. } = webhook;
        eprintln!("posted {n}/{} {origin} {name} (alerts: {alerts}) {}", webhooks.len(), status.as_u16());
    }
    Ok(())
}

async fn reports(service: &Service, done: &[&Investigation]) -> Result<Vec<Finished>> {
    let mut finished = Vec::new();
    for one in done {
        let raw = service.report(&one.id).await?;
        let report: crate::report::Report = serde_json::from_value(raw.clone())
            .with_context(|| format!("the report of investigation {} has another shape", one.id))?;
        let seconds = one.seconds.unwrap_or(report.cost.seconds);
        finished.push(Finished { id: one.id.clone(), workload: one.workload.clone(), seconds, report, raw });
    }
    Ok(finished)
}
