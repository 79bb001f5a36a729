//! The commands: arguments in, exit code out. Each joins settings and rooms for one purpose; none holds
//! logic of its own.

mod capture;
mod crd;
mod demo;
mod explain;
mod investigate;
mod models;
mod reader;
mod remote;
mod runbooks;
mod shell;
mod stats;
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, App};
use crate::postgres::Database;
use crate::settings::{Role, Settings};
use crate::telemetry;

/// Investigates Kubernetes alerts: what broke, why, how far it reaches, what proves it and what to do next.
///
/// Alertmanager, Robusta or Grafana posts an alert; minutes later the summary stands in the alert's Slack
/// thread and in the API. An investigation only ever reads from your cluster.
#[derive(Parser)]
#[command(name = "whodunit", version, after_help = "Try it on a recorded cluster: whodunit demo")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// Where the settings are.
#[derive(Args, Clone)]
pub struct Config {
    /// YAML file with the settings; config/whodunit.yaml documents every key. Environment variables such as
    /// WHODUNIT_SERVER__LISTEN win over it
    #[arg(long, value_name = "FILE", env = "WHODUNIT_CONFIG")]
    config: Option<PathBuf>,
}

impl Config {
    fn load(&self) -> anyhow::Result<Settings> {
        // Not every variable of the environment is text; ours are.
        let env = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        Settings::load(self.config.as_deref(), env)
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the service: take alerts in, investigate them, announce the results
    Serve {
        #[command(flatten)]
        config: Config,
        /// Take only a part of the work: several processes share one database
        #[arg(long, value_enum)]
        role: Option<Role>,
    },
    /// Investigate a recorded cluster with real alerts, on this machine alone, and show the Slack threads
    Demo(demo::Options),
    /// Investigate one workload or alert now and print the report; stores nothing, needs no database.
    /// Exit code 0: a cause was found; 3: inconclusive
    Investigate(investigate::Options),
    /// List investigations of a running whodunit, newest first
    List(remote::ListOptions),
    /// Print one investigation of a running whodunit, with its report
    #[command(after_help = remote::SHOW_HELP)]
    Show(remote::One),
    /// Follow one investigation of a running whodunit to its end, and print its report
    #[command(after_help = remote::SHOW_HELP)]
    Watch(remote::One),
    /// Have a running whodunit look at the same incident again; needs a token with the scope `write`
    Rerun(remote::RerunOptions),
    /// Be the server of the Model Context Protocol that an engineer's agent starts: on stdin and stdout, in front of a
    /// running whodunit
    #[command(after_help = remote::BRIDGE_HELP)]
    Mcp(remote::BridgeOptions),
    /// Record one namespace, redacted, as a case that `runbooks test` replays
    Capture(capture::Options),
    /// Check and test runbooks, or ask which one an alert would get
    #[command(subcommand)]
    Runbooks(runbooks::Runbooks),
    /// Check the configured models
    #[command(subcommand)]
    Models(models::Models),
    /// Count where every alert is that was ever received, what waits, and what is still to be said.
    /// Exit code 1: alerts are not accounted for
    Stats(stats::Options),
    /// Print what a report of a fault needs: version, settings without secrets, figures, faults and what the service
    /// says of itself. It holds no alert and no report; read it before you send it
    Support(support::Options),
    /// Read a tenant's cluster for one investigation: what the Jobs of `worker.executor: kubernetes-job` run
    Reader(reader::Options),
    /// Bring the database schema up to date and exit
    Migrate {
        #[command(flatten)]
        config: Config,
    },
    /// Check the settings, or ask what they mean for an alert
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the definition of the kind InvestigationPolicy, for teams' own policies: whodunit crd | kubectl apply -f -
    Crd,
    /// Print what a shell needs to complete commands: source <(whodunit completions bash)
    Completions(shell::CompletionsOptions),
    /// Print the manual page: whodunit man | man -l -
    Man(shell::ManOptions),
}

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Build everything that `serve` would, from settings, models and key files to runbooks, and say what is
    /// wrong; nothing is asked of anyone but with --live
    Check {
        #[command(flatten)]
        config: Config,
        /// Also ask the database, the cluster, Prometheus, Loki, Tempo, Alertmanagers and Slack one question each and
        /// say what they answer. Exit code 1 when one does not
        #[arg(long)]
        live: bool,
    },
    /// Say which policy an alert would get, why no other, and what that means for it
    Explain(explain::Options),
}

impl Command {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// What a person must see to get on.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve { config, role } => {
                let mut settings = config.load()?;
                settings.server.role = role.unwrap_or(settings.server.role);
                serve(settings).await
            }
            Self::Demo(options) => demo::run(options).await,
            Self::Investigate(options) => investigate::run(options).await,
            Self::List(options) => remote::list(options).await,
            Self::Show(options) => remote::show(options).await,
            Self::Watch(options) => remote::watch(options).await,
            Self::Rerun(options) => remote::rerun(options).await,
            Self::Mcp(options) => remote::bridge(options).await,
            Self::Completions(options) => Ok(shell::completions(&options)),
            Self::Man(options) => shell::man(options),
            Self::Crd => crd::run(),
            Self::Capture(options) => capture::run(options).await,
            Self::Runbooks(command) => runbooks::run(command).await,
            Self::Models(command) => models::run(command).await,
            Self::Stats(options) => stats::run(options).await,
            Self::Reader(options) => reader::run(options).await,
            Self::Support(options) => support::run(options).await,
            Self::Migrate { config } => {
                let settings = config.load()?;
                telemetry::start_log(&settings.log)?;
                Database::open(&settings.database).await?.close().await;
                println!("The database schema is up to date.");
                Ok(ExitCode::SUCCESS)
            }
            Self::Config(ConfigCommand::Explain(options)) => explain::run(&options),
            Self::Config(ConfigCommand::Check { config, live }) => check(&config.load()?, live).await,
        }
    }
}

async fn check(settings: &Settings, live: bool) -> anyhow::Result<ExitCode> {
    app::check(settings).await?;
    for note in app::notes(settings) {
        println!("Note: {note}.");
    }
    if !live {
        println!("The settings are good: everything that they name can be built. Nothing was asked.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("The settings are good: everything that they name can be built.");
    let asked = app::live(settings).await?;
    for one in &asked {
        println!("{one}");
    }
    if !settings.models.is_empty() {
        println!("Models are asked by `whodunit models check`, which costs some tokens.");
    }
    let all_answered = asked.iter().all(|one| one.answer.is_ok());
    Ok(if all_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    app::install_tls();
    let exports = telemetry::start(&settings.log, &settings.telemetry.otlp)?;
    let metrics = telemetry::start_metrics()?;
    // Before anything slow, so that an impatient Ctrl-C is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listen = settings.server.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; set server.listen to a free address"))?;
    let app = App::start(settings, listener, metrics).await?;
    tracing::info!(url = app.url(), "ready for alerts");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    app.stop().await;
    // Before the last export, so that a collector is told as well.
    tracing::info!("stopped");
    exports.stop().await;
    Ok(ExitCode::SUCCESS)
}
