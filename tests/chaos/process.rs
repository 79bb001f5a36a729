//! A process of ours: command in, its log in a file, signals by its own id. It is killed when it is dropped, also
//! by a panic, and never left stopped. What it uses is read from `/proc`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

const LOG_TAIL_BYTES: usize = 3000;

pub struct Process {
    child: Child,
    log: PathBuf,
}

/// What a process uses now, and the most memory it ever held.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub rss_kib: u64,
    pub peak_rss_kib: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Process {
    /// Starts it with its output added to `log`.
    pub fn start(command: Command, log: &Path) -> Result<Self> {
        let mut command = ending_with_us(&command);
        let file = File::options().create(true).append(true).open(log)?;
        command.stdout(file.try_clone()?).stderr(file).stdin(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        send(self.child.id(), signal)
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub fn usage(&self) -> Usage {
        let folder = PathBuf::from(format!("/proc/{}", self.id()));
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Usage {
            rss_kib: field("VmRSS:").unwrap_or(0),
            peak_rss_kib: field("VmHWM:").unwrap_or(0),
            threads: field("Threads:").unwrap_or(0),
            descriptors: fs::read_dir(folder.join("fd")).map_or(0, |entries| entries.count() as u64),
        }
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(LOG_TAIL_BYTES);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }
}

/// Where there is `setpriv` (util-linux) the kernel ends it also when the harness itself is killed. It belongs to the
/// thread that starts it: all are started by the main one.
fn ending_with_us(command: &Command) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let setpriv =
        std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|file| file.is_file());
    let mut bound = match setpriv {
        Some(setpriv) => {
            let mut bound = Command::new(setpriv);
            bound.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
            bound
        }
        None => Command::new(command.get_program()),
    };
    bound.args(command.get_args());
    bound.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    bound
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn send(id: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, signal).with_context(|| format!("cannot signal process {id}"))
}
