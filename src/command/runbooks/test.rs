//! `whodunit runbooks test`: replays the cases of runbook folders and says what they miss.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::{app, cases};

/// Tested when no folder is given.
const USUAL_FOLDER: &str = "runbooks";
/// One case takes milliseconds; a machine that is busy may take longer.
const CASE_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub struct Options {
    /// Folders of runbooks with their `cases`, or folders of cases; without any, `./runbooks`
    folders: Vec<PathBuf>,
    /// Only cases whose FAMILY/NAME holds this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// A signature of the folders without a near miss is a failure; one without a case always is
    #[arg(long)]
    strict: bool,
    /// Show cases that pass as well, with everything that was found
    #[arg(long)]
    verbose: bool,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut folders = options.folders;
    if folders.is_empty() {
        if !Path::new(USUAL_FOLDER).is_dir() {
            bail!("there is no folder ./{USUAL_FOLDER}; say which folder of runbooks or cases to test");
        }
        folders.push(PathBuf::from(USUAL_FOLDER));
    }
    app::install_tls();
    let tested = cases::test(&folders, &options.filter, &app::http_client()?, CASE_DEADLINE).await?;
    let detail = if options.verbose { cases::Detail::All } else { cases::Detail::Failures };
    match options.output {
        Output::Text => print!("{}", cases::text(&tested, detail)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&tested)?),
    }
    if tested.verdicts.is_empty() && tested.faults.is_empty() {
        bail!("no case was found; a case is a folder with a case.yaml, below FOLDER/cases/FAMILY/");
    }
    let complete = !options.strict || tested.complete();
    Ok(if tested.passed() && complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
