//! `whodunit runbooks coverage`: which alerts of the last days had no runbook of their own.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::super::Config;
use crate::investigation::store::{self, Uncovered};
use crate::postgres::Database;
use crate::telemetry;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    config: Config,
    /// Look back this many days
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i32).range(1..=3650))]
    days: i32,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = options.config.load()?;
    telemetry::start_log(&settings.log)?;
    let database = Database::visit(&settings.database).await?;
    let uncovered = store::uncovered(&database.pool, options.days).await;
    database.close().await;
    let uncovered = uncovered?;
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&uncovered)?),
        Output::Text => print!("{}", text(&uncovered, options.days)),
    }
    Ok(ExitCode::SUCCESS)
}

fn text(uncovered: &[Uncovered], days: i32) -> String {
    if uncovered.is_empty() {
        return format!(
            "Every alert of the last {days} days that was investigated had a runbook of its own.\n"
        );
    }
    let width = uncovered.iter().map(|one| one.alert.chars().count()).max().unwrap_or(0).max("alert".len());
    let mut out =
        format!("{:<width$}  {:>5}  {:>7}  {:>11}  last\n", "alert", "none", "partial", "unexplained");
    for one in uncovered {
        out.push_str(&format!(
            "{:<width$}  {:>5}  {:>7}  {:>11}  {}\n",
            one.alert,
            one.without,
            one.partial,
            one.unexplained,
            one.last_at.format("%Y-%m-%d %H:%M")
        ));
    }
    out.push_str("Occurrences of the last ");
    out.push_str(&format!(
        "{days} days: with no runbook, with a general one only, and of both, how many no cause was found for.\n"
    ));
    out
}
