//! `whodunit completions` and `whodunit man`: what shells and `man` want to know of the command line, printed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};

use super::Arguments;

const PROGRAM: &str = "whodunit";

#[derive(Args)]
pub struct CompletionsOptions {
    /// bash, elvish, fish, powershell or zsh
    shell: clap_complete::Shell,
}

#[derive(Args)]
pub struct ManOptions {
    /// Write the pages of all commands into this folder, instead of printing the main one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn completions(options: &CompletionsOptions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), PROGRAM, &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

pub fn man(options: ManOptions) -> anyhow::Result<ExitCode> {
    match options.dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir).with_context(|| format!("--dir: cannot make {}", dir.display()))?;
            clap_mangen::generate_to(Arguments::command(), &dir)
                .with_context(|| format!("--dir: cannot write into {}", dir.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
            print!("{}", String::from_utf8_lossy(&page));
        }
    }
    Ok(ExitCode::SUCCESS)
}
