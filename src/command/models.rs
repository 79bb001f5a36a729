//! `whodunit models`: asks the configured models whether they can be used.

use std::process::ExitCode;

use clap::Subcommand;

use super::Config;
use crate::llm::{self, check::Checked};
use crate::{app, telemetry};

#[derive(Subcommand)]
pub enum Models {
    /// Ask each configured model for one tool call and say what works; exit code 1 when none does.
    /// It costs some hundred tokens a model and sends nothing of any cluster
    Check {
        #[command(flatten)]
        config: Config,
    },
}

pub async fn run(command: Models) -> anyhow::Result<ExitCode> {
    let Models::Check { config } = command;
    let settings = config.load()?;
    telemetry::start_log(&settings.log)?;
    app::install_tls();
    let http = app::http_client()?;
    let models = llm::connect(&settings.models, &http)?;
    if models.is_empty() {
        println!("No model is configured (setting models): what no signature explains ends inconclusive.");
        return Ok(ExitCode::FAILURE);
    }
    let checked = llm::check(&models).await;
    for model in &checked {
        println!("{model}");
    }
    let servers = app::mcp_servers(&settings, &http)?;
    servers.ask().await;
    for line in servers.report() {
        println!("{line}");
    }
    let any_works = checked.iter().any(Checked::works);
    Ok(if any_works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
