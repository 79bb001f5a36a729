//! `whodunit investigate`: one investigation from the command line, printed, stored nowhere.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use clap::{Args, ValueEnum};

use super::Config;
use crate::alert::{Alert, Source};
use crate::app::{self, Clusters};
use crate::incident::cluster::Belonging;
use crate::investigator::{Attempt, Investigator};
use crate::report::Outcome;
use crate::settings::Settings;
use crate::slack::blocks::{self, Telling};
use crate::slack::text;
use crate::words::Words;
use crate::workload::Workload;
use crate::{telemetry, webhook};

/// Exit code for "nothing explains it": scripts can tell it from a failure.
const INCONCLUSIVE: u8 = 3;
const RESOLVE_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Options {
    #[command(flatten)]
    config: Config,
    /// A webhook body as Alertmanager posts it; `-` reads standard input. Its first firing alert counts
    #[arg(long, value_name = "FILE", group = "what")]
    alert: Option<PathBuf>,
    /// NAMESPACE/KIND/NAME, e.g. shop/Deployment/checkout
    #[arg(long, value_name = "WORKLOAD", group = "what")]
    workload: Option<String>,
    /// Everything in one namespace
    #[arg(long, value_name = "NAME", group = "what")]
    namespace: Option<String>,
    /// A node and the pods on it
    #[arg(long, value_name = "NAME", group = "what")]
    node: Option<String>,
    /// One of `clusters`, by its name. Unset: that of the alert's label, else kubernetes.cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For a terminal
    Text,
    /// The report as the API returns it
    Json,
    /// The Slack message's blocks
    Slack,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = options.config.load()?;
    telemetry::start_log(&settings.log)?;
    app::install_tls();
    let http = app::http_client()?;
    let clusters = app::clusters(&settings, &http).await?;
    let (workload, alerts) = subject(&options, &settings, &clusters).await?;
    ensure!(
        clusters.fleet.of(&workload.cluster).is_some() || options.alert.is_some(),
        "--cluster `{}`: no cluster has this name; there are {}",
        workload.cluster,
        clusters.fleet.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    );
    let reasoner = app::reasoner(&settings, &clusters, &http, None)?;
    if let Some(reasoner) = &reasoner {
        reasoner.mcp.ask().await;
    }
    let deadline = Duration::from_secs(settings.worker.deadline_secs);
    let investigator = Investigator::new(clusters.fleet, app::catalogue(&settings).await?, reasoner);
    let report = investigator.investigate(&workload, &alerts, Attempt::only(deadline)).await?.report;
    match options.output {
        Output::Text => print!("{}", text::report(&workload, &report)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Output::Slack => {
            let telling = Telling::new(Words::of(&settings.report.language));
            let message = blocks::summary(telling, &workload, &report);
            println!("{}", serde_json::to_string_pretty(&message.blocks)?);
        }
    }
    let inconclusive = report.outcome == Outcome::Inconclusive;
    Ok(if inconclusive { ExitCode::from(INCONCLUSIVE) } else { ExitCode::SUCCESS })
}

async fn subject(
    options: &Options,
    settings: &Settings,
    clusters: &Clusters,
) -> anyhow::Result<(Workload, Vec<Alert>)> {
    let cluster = options.cluster.as_ref().unwrap_or(&settings.kubernetes.cluster);
    let workload = if let Some(text) = &options.workload {
        let mut workload: Workload = format!("/{text}").parse().with_context(|| {
            format!("--workload {text}: write NAMESPACE/KIND/NAME, e.g. shop/Deployment/checkout")
        })?;
        workload.cluster.clone_from(cluster);
        workload
    } else if let Some(name) = &options.namespace {
        Workload::new(cluster, "", "Namespace", name)
    } else if let Some(name) = &options.node {
        Workload::new(cluster, "", "Node", name)
    } else if let Some(file) = &options.alert {
        let bytes = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())?.into_bytes()
        } else {
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?
        };
        let alerts = webhook::parse(Source::Manual, &bytes, Utc::now())
            .map_err(|rejection| anyhow::anyhow!("{}: {rejection}", file.display()))?;
        let Some(mut alert) = alerts.into_iter().find(Alert::is_firing) else {
            bail!("{} holds no firing alert", file.display());
        };
        Belonging::new(settings)?.settle(&mut alert, options.cluster.as_deref());
        let resolved = clusters.resolver().resolve(&alert, RESOLVE_DEADLINE).await;
        alert.redact();
        return Ok((resolved.workload.redacted(), vec![alert]));
    } else {
        bail!("say what to investigate: --alert, --workload, --namespace or --node");
    };
    Ok((workload, Vec::new()))
}
