//! The program: reads the command line, hands over to one command, and turns its answer into an exit code.

use std::process::ExitCode;

use clap::Parser;
use whodunit::command::Command;

/// Investigates Kubernetes alerts: what broke, why, how far it reaches, what proves it and what to do next.
///
/// Alertmanager, Robusta or Grafana posts an alert; minutes later the summary stands in the alert's Slack
/// thread and in the API. It only ever reads from your cluster.
#[derive(Parser)]
#[command(name = "whodunit", version, after_help = "Try it on a recorded cluster: whodunit demo")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("whodunit: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(arguments.command.run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("whodunit: {error:#}");
            ExitCode::FAILURE
        }
    }
}
