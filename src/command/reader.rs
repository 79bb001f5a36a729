//! `whodunit reader`: the process of a Job that reads for one investigation. Its arguments come from the Job that the
//! service created; people do not call it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use secrecy::SecretString;

use crate::app;
use crate::settings::Log;
use crate::telemetry;

#[derive(Args)]
pub struct Options {
    /// Address of the service
    #[arg(long, value_name = "URL", env = "WHODUNIT_READER_SERVICE")]
    service: String,
    /// Proves whose questions are answered; worth nothing after its attempt
    #[arg(long, value_name = "TOKEN", env = "WHODUNIT_READER_TOKEN", hide_env_values = true)]
    token: String,
    /// YAML file with `kubernetes`, `prometheus`, `loki` and `tempo` as in the service's settings; may be missing
    #[arg(long, value_name = "FILE", env = "WHODUNIT_READER_SOURCES")]
    sources: Option<PathBuf>,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    telemetry::start_log(&Log { json: true, ..Log::default() })?;
    let token = SecretString::from(options.token);
    let reader = app::reader(&options.service, token, options.sources.as_deref()).await?;
    reader.run().await?;
    Ok(ExitCode::SUCCESS)
}
