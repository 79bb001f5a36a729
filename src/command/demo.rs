//! `whodunit demo`: the whole service against the recorded cluster, on loopback, with a Slack stand-in.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::app::App;
use crate::demo::{self, Endpoints, RunningService};
use crate::settings::{self, Settings};
use crate::telemetry;

/// Short, so that one sees something soon; long enough that the alerts of one storm share an investigation.
const SETTLE_SECS: u64 = 1;

/// The stand-in takes messages faster than Slack does.
const PACE_MS: u64 = 20;

#[derive(Args)]
pub struct Options {
    /// End when all investigations have ended; exit code 0 if they have
    #[arg(long)]
    exit: bool,
    /// What to print on standard output
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// Each Slack thread, then a table
    Text,
    /// One array of {"workload": …, "report": …}
    Json,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let log = settings::Log { filter: "warn".to_owned(), json: false };
    telemetry::start_log(&log)?;
    let metrics = telemetry::start_metrics()?;
    let folder = tempfile::Builder::new().prefix("whodunit-demo-").tempdir()?;
    let output = match options.output {
        Output::Text => demo::Output::Text,
        Output::Json => demo::Output::Json,
    };
    let data_dir = folder.path().to_path_buf();
    let start = |endpoints: Endpoints| async move {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut settings = demo_settings(&endpoints);
        settings.database.data_dir = Some(data_dir);
        settings.server.public_url = format!("http://{}", listener.local_addr()?);
        // It listens on loopback, and ends with the demo.
        settings.api.open_writes = true;
        let app = App::start(settings, listener, metrics).await?;
        // Not polled until the demo is over.
        Ok(RunningService::new(app.url(), app.stop()))
    };
    let options = demo::Options { exit: options.exit, output, ..demo::Options::default() };
    demo::run(options, start).await
}

fn demo_settings(endpoints: &Endpoints) -> Settings {
    let mut settings = Settings::default();
    settings.intake.settle_secs = SETTLE_SECS;
    settings.kubernetes.url = Some(endpoints.kubernetes_url.clone());
    settings.kubernetes.cluster = "lab".to_owned();
    settings.prometheus.url = Some(endpoints.prometheus_url.clone());
    settings.loki.url = Some(endpoints.loki_url.clone());
    settings.tempo.url = Some(endpoints.tempo_url.clone());
    settings.slack.api_url.clone_from(&endpoints.slack_api_url);
    settings.slack.token = Some(SecretString::from(endpoints.slack_token.clone()));
    settings.slack.pace_ms = PACE_MS;
    settings.slack.channel.clone_from(&endpoints.channel);
    settings
}
