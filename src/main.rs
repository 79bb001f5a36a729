//! The program: reads the command line, hands over to one command, and turns its answer into an exit code.

use std::process::ExitCode;

use clap::Parser;
use whodunit::command::Arguments;

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
