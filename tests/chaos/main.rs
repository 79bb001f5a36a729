//! `make chaos`: the real program, a real PostgreSQL and stand-ins as processes, killed, stopped, cut off and refused
//! by a printed seed; in the end a table of what was lost and what came twice. `cargo test` runs the short form.
//! The exit code is not 0 when anything was, and nothing that was started is left behind.

mod alertmanager;
mod dice;
mod house;
mod process;
mod proxy;
mod scenarios;
mod sender;
mod server;
mod stand_ins;
mod table;
mod verdict;
mod wire;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Parser;
use futures::FutureExt;

use house::{Ground, Size};
use scenarios::Scenario;
use server::Server;
use stand_ins::Part;
use verdict::Outcome;

/// Kills, stops and cuts off whodunit and what it depends on, and counts what was lost and what came twice.
#[derive(Parser)]
struct Arguments {
    /// The sizes of issue and documentation, hours in all; without it about two minutes
    #[arg(long)]
    long: bool,
    /// Only this scenario; may be given more than once
    #[arg(long, value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// Of a run that is to be repeated; without it the clock decides
    #[arg(long)]
    seed: Option<u64>,
    /// Leaves the logs of all processes behind and says where
    #[arg(long)]
    keep: bool,
    /// An older whodunit, which the scenario `upgrade` runs beside this one
    #[arg(long, value_name = "PATH")]
    old: Option<PathBuf>,
    #[arg(long, hide = true)]
    stand_in: Option<Part>,
    /// What `cargo test FILTER` hands to each test binary: only scenarios with it in their names
    #[arg(hide = true)]
    filter: Option<String>,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
}

impl Arguments {
    fn scenarios(&self) -> Vec<Scenario> {
        let is_wanted = |scenario: &Scenario| {
            (self.scenario.is_empty() || self.scenario.contains(scenario))
                && self.filter.as_ref().is_none_or(|filter| scenario.name().contains(filter))
        };
        Scenario::ALL.into_iter().filter(is_wanted).collect()
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    whodunit::app::install_tls();
    if let Some(part) = arguments.stand_in {
        stand_ins::serve(part).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let scenarios = arguments.scenarios();
    if scenarios.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        outcome = run(&arguments, &scenarios) => outcome,
        _ = tokio::signal::ctrl_c() => {
            println!("interrupted");
            Ok(ExitCode::from(130))
        }
    }
}

async fn run(arguments: &Arguments, scenarios: &[Scenario]) -> Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(by_the_clock);
    let size = if arguments.long { Size::Long } else { Size::Short };
    let data = tempfile::Builder::new().prefix("whodunit-chaos-pg-").tempdir()?;
    let mut logs = tempfile::Builder::new().prefix("whodunit-chaos-log-").tempdir()?;
    logs.disable_cleanup(arguments.keep);
    println!("chaos: {size:?} form, --seed {seed}");
    if arguments.keep {
        println!("chaos: logs in {}", logs.path().display());
    }
    let server = Server::start(data.path().to_owned()).await?;
    let mut ground =
        Ground { server, seed, size, folder: logs.path().to_owned(), old: arguments.old.clone() };
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        println!("chaos: {}", scenario.name());
        outcomes.push((scenario.name(), play(*scenario, &mut ground).await));
    }
    table::print(&outcomes);
    ground.server.stop().await;
    let is_good = outcomes.iter().all(|(_, outcome)| outcome.violations.is_empty());
    if !is_good {
        println!("\nAgain with: --seed {seed}{}", if arguments.long { " --long" } else { "" });
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A scenario that fails or panics is a violation like others, and the next one goes on.
async fn play(scenario: Scenario, ground: &mut Ground) -> Outcome {
    let begun = Instant::now();
    let played = AssertUnwindSafe(scenario.run(ground)).catch_unwind().await;
    let mut outcome = match played {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome { violations: vec![format!("{error:#}")], ..Outcome::default() },
        Err(_) => Outcome { violations: vec!["it panicked".to_owned()], ..Outcome::default() },
    };
    outcome.took = begun.elapsed();
    outcome
}

fn by_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
