//! `whodunit stats`: where every alert is that was ever received, what waits, and what is still to be said.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use sqlx::PgPool;

use super::Config;
use crate::incident::tally::{self, Tally};
use crate::investigation::store::{self as investigations, Numbers};
use crate::outlet::store as outlets;
use crate::postgres::Database;
use crate::slack::outbox::{self, Standing};
use crate::telemetry;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    config: Config,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Serialize)]
struct Stats {
    /// `received` is the sum of the others.
    alerts: Tally,
    adds_up: bool,
    investigations: Numbers,
    announcements: Standing,
    /// By name.
    outlets: Vec<outlets::Standing>,
}

/// Exit code 1 when alerts are not accounted for.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = options.config.load()?;
    telemetry::start_log(&settings.log)?;
    let database = Database::visit(&settings.database).await?;
    let stats = read(&database.pool).await;
    database.close().await;
    let stats = stats?;
    match options.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&stats)?),
        Output::Text => print!("{}", text(&stats)),
    }
    Ok(if stats.adds_up { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same figures as text, for who tells more than them.
pub(super) async fn shown(pool: &PgPool) -> anyhow::Result<String> {
    Ok(text(&read(pool).await?))
}

async fn read(pool: &PgPool) -> anyhow::Result<Stats> {
    let alerts = tally::read(pool).await?;
    Ok(Stats {
        alerts,
        adds_up: alerts.adds_up(),
        investigations: investigations::numbers(pool).await?,
        announcements: outbox::standing(pool).await?,
        outlets: outlets::standing(pool).await?,
    })
}

fn text(stats: &Stats) -> String {
    let mut out = String::from("Alerts\n");
    for (state, count) in stats.alerts.states() {
        out.push_str(&format!("  {state:<10} {count:>10}\n"));
    }
    let sum = stats.alerts.sum();
    out.push_str(&match stats.adds_up {
        true => "  Every alert received is accounted for.\n".to_owned(),
        false => format!("  NOT ACCOUNTED FOR: {}; please report this.\n", stats.alerts.received - sum),
    });
    let Numbers { queued, running, done, dead, cancelled, oldest_wait_secs } = &stats.investigations;
    out.push_str(&format!(
        "Investigations\n  queued {queued}, running {running}, done {done}, dead {dead}, not needed {cancelled}\n"
    ));
    if let Some(seconds) = oldest_wait_secs {
        out.push_str(&format!("  The oldest that is due has waited {seconds:.0} s.\n"));
    }
    let Standing { waiting, posting, posted, failed } = &stats.announcements;
    out.push_str(&format!(
        "Announcements\n  waiting {waiting}, being posted {posting}, posted {posted}, failed {failed}\n"
    ));
    for outlets::Standing { outlet, waiting, delivered, dead } in &stats.outlets {
        out.push_str(&format!("Outlet {outlet}\n  waiting {waiting}, delivered {delivered}, dead {dead}\n"));
    }
    out
}
