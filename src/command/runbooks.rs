//! `whodunit runbooks`: lint runbooks, test them, and explain which one an alert gets.

mod alerts;
mod coverage;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chrono::Utc;
use clap::Subcommand;

use super::Config;
use crate::alert::Source;
use crate::incident::resolve::{Reached, Resolver};
use crate::runbook::{self, Fault};
use crate::{app, cases, telemetry, webhook};

#[derive(Subcommand)]
pub enum Runbooks {
    /// Check runbooks for faults; exit code 1 when there is one. In GitHub Actions they become annotations
    Check {
        /// Folders to check; without any, the built-in runbooks alone
        folders: Vec<PathBuf>,
        /// What is a warning otherwise, such as a signature without a case, is a fault
        #[arg(long)]
        strict: bool,
    },
    /// Replay cases and compare what is found with what must be; exit code 1 when one fails
    Test(test::Options),
    /// Which alerts of the last days had no runbook, or only a general one? Asks the database
    Coverage(coverage::Options),
    /// Which alerts of kube-prometheus are about which workload, and which signatures can answer them?
    Alerts(alerts::Options),
    /// Print the JSON Schema of a runbook's header, for editors
    Schema,
    /// Which runbook would this alert get, and why?
    Explain {
        #[command(flatten)]
        config: Config,
        /// A webhook body as Alertmanager posts it
        alert: PathBuf,
    },
}

pub async fn run(command: Runbooks) -> anyhow::Result<ExitCode> {
    match command {
        Runbooks::Check { folders, strict } => Ok(check(&folders, strict)),
        Runbooks::Test(options) => test::run(options).await,
        Runbooks::Coverage(options) => coverage::run(options).await,
        Runbooks::Alerts(options) => Ok(alerts::run(&options)),
        Runbooks::Schema => {
            println!("{:#}", runbook::schema());
            Ok(ExitCode::SUCCESS)
        }
        Runbooks::Explain { config, alert } => {
            let settings = config.load()?;
            let bytes = std::fs::read(&alert).with_context(|| format!("cannot read {}", alert.display()))?;
            let alerts = webhook::parse(Source::Manual, &bytes, Utc::now())
                .map_err(|rejection| anyhow::anyhow!("{}: {rejection}", alert.display()))?;
            telemetry::start_log(&settings.log)?;
            let catalogue = app::catalogue(&settings).await?;
            let resolver = Resolver::of(settings.kubernetes.cluster, Reached::default());
            for alert in &alerts {
                let workload = resolver.guess(alert);
                let choice = catalogue.choose(std::slice::from_ref(alert), &workload);
                let name = choice.runbook.as_ref().map_or("no runbook", |runbook| runbook.name.as_str());
                println!("{} on {}: {name}: {}", alert.name(), workload.short(), choice.reason);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(folders: &[PathBuf], strict: bool) -> ExitCode {
    let (mut faults, mut warnings) = (runbook::check(folders), cases::uncovered(folders));
    if strict {
        faults.append(&mut warnings);
        faults.sort();
    }
    let annotate = std::env::var_os("GITHUB_ACTIONS").is_some();
    let tell = |fault: &Fault, level: &str, mark: &str| {
        if annotate {
            let Fault { path, line, column, message } = fault;
            println!("::{level} file={path},line={line},col={column}::{message}");
        } else {
            println!("{fault}{mark}");
        }
    };
    faults.iter().for_each(|fault| tell(fault, "error", ""));
    warnings.iter().for_each(|warning| tell(warning, "warning", " (a warning)"));
    eprintln!("{} fault(s), {} warning(s).", faults.len(), warnings.len());
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
