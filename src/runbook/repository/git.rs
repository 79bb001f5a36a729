//! The program `git` as a child process: arguments in, what it printed out. It never asks anybody, runs no hook, reads
//! no settings but ours and speaks no protocol but the repository's; it is bounded in time, output and disk, and
//! ends, with its own children, when nobody waits for it any more.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::remote::{Protocol, Remote};
use crate::inert::inert;
use crate::redact::redact;

/// The first one that reads settings from the environment and can be kept from reading others.
const OLDEST_VERSION: (u32, u32) = (2, 32);
const VERSION_DEADLINE: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MAX_OUTPUT_BYTES: u64 = 8 << 20;
/// Kept of what git complains about.
const MAX_COMPLAINT_BYTES: u64 = 4096;
const MAX_COMPLAINT_CHARS: usize = 400;
/// Most bytes that a fetch may bring.
const MAX_FETCH_BYTES: u64 = 256 << 20;
const SIZE_POLL: Duration = Duration::from_millis(200);
/// Entries looked at in a repository's folder; a fetched one has a few dozen.
const MAX_ENTRIES: usize = 10_000;

/// Handed on from our environment: where programs are, and the way out of a network.
const HANDED_ON: [&str; 12] = [
    "PATH",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// Before every command. Nothing in a repository may run a program or lead elsewhere.
const SETTINGS: [&str; 13] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "core.autocrlf=false",
    "credential.helper=",
    "http.followRedirects=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",
    "transfer.fsckObjects=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
];

pub(super) struct Git {
    protocol: Protocol,
    environment: Vec<(&'static str, OsString)>,
}

impl Git {
    /// Git for this repository, with its credentials as they are now. `home` is a folder without settings.
    pub fn new(remote: &Remote, home: &Path) -> anyhow::Result<Self> {
        let mut git = Self::bare(remote.protocol);
        git.set("HOME", home.as_os_str());
        if remote.protocol == Protocol::Ssh {
            git.set("GIT_SSH_COMMAND", remote.ssh_command());
            git.set("GIT_SSH_VARIANT", "ssh");
        }
        if let Some(header) = remote.authorization()? {
            // By the environment: arguments can be read by everybody on the machine.
            git.set("GIT_CONFIG_COUNT", "1");
            git.set("GIT_CONFIG_KEY_0", "http.extraHeader");
            git.set("GIT_CONFIG_VALUE_0", header.expose_secret());
        }
        if let Some(file) = &remote.ca_file {
            git.set("GIT_SSL_CAINFO", file.as_os_str());
        }
        Ok(git)
    }

    fn bare(protocol: Protocol) -> Self {
        let handed_on = HANDED_ON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut git = Self { protocol, environment: handed_on.collect() };
        for (name, value) in [
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_ALLOW_PROTOCOL", protocol.name()),
        ] {
            git.set(name, value);
        }
        git
    }

    fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
    }

    /// Fails when there is no git that can do what is asked of it here.
    pub async fn require() -> anyhow::Result<()> {
        const WAY_OUT: &str = "install it (in the image, or with apt-get install git), or leave runbooks.git.url unset \
                               and let something else fill a folder of runbooks.folders";
        let git = Self::bare(Protocol::File);
        let asked = tokio::time::timeout(VERSION_DEADLINE, git.run(&["version"], None)).await;
        let told = match asked {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => bail!("runbooks.git needs the program `git` on PATH ({error:#}); {WAY_OUT}"),
            Err(_) => bail!("runbooks.git needs `git`, which does not answer within {VERSION_DEADLINE:?}"),
        };
        let text = String::from_utf8_lossy(&told);
        let (major, minor) = OLDEST_VERSION;
        let found = version(&text);
        ensure!(
            found.is_some_and(|found| found >= OLDEST_VERSION),
            "runbooks.git needs git {major}.{minor} or newer, not {:?}; {WAY_OUT}",
            text.trim()
        );
        Ok(())
    }

    /// Runs one command to its end. `grows` is a folder that it must not fill with more than a fetch may bring.
    pub async fn run(&self, arguments: &[&str], grows: Option<&Path>) -> anyhow::Result<Vec<u8>> {
        let mut command = Command::new("git");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("protocol.{}.allow=always", self.protocol.name())]);
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its own group, so that what git starts (ssh, the https helper) can be ended with it.
        let mut child = command.kill_on_drop(true).process_group(0).spawn().context("git does not start")?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = async { Ok(child.wait().await?) };
        let work = async { tokio::try_join!(answer(stdout), complaint(stderr), ended) };
        let verb = arguments.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
        let (answer, said, status) = tokio::select! {
            done = work => done.with_context(|| format!("git {verb}"))?,
            () = outgrown(grows) => bail!(
                "git {verb} brings more than {MAX_FETCH_BYTES} bytes; keep runbooks in a repository of their own"
            ),
        };
        group.0 = None;
        if !status.success() {
            let said = told(&said);
            let said = if said.is_empty() { status.to_string() } else { said };
            bail!("git {verb} failed: {said}");
        }
        Ok(answer)
    }
}

/// Kills the whole group when the wait for it was given up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// All of it, if that is not more than an answer may be: whoever writes more is ended.
async fn answer(from: Option<impl AsyncRead + Unpin>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(MAX_OUTPUT_BYTES + 1).read_to_end(&mut bytes).await?;
    }
    ensure!(bytes.len() as u64 <= MAX_OUTPUT_BYTES, "its answer is longer than {MAX_OUTPUT_BYTES} bytes");
    Ok(bytes)
}

/// The beginning is kept; the rest is read, so that the writer can go on.
async fn complaint(from: Option<impl AsyncRead + Unpin>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let mut start = from.take(MAX_COMPLAINT_BYTES);
        start.read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut start.into_inner(), &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// Ends when the folder holds more than it may; never without a folder.
async fn outgrown(folder: Option<&Path>) {
    let Some(folder) = folder else { return std::future::pending().await };
    loop {
        tokio::time::sleep(SIZE_POLL).await;
        let folder = folder.to_owned();
        let size = tokio::task::spawn_blocking(move || size(folder)).await;
        if size.is_ok_and(|size| size > MAX_FETCH_BYTES) {
            return;
        }
    }
}

/// Bytes of all files below; as good as infinite beyond the entries that are looked at.
fn size(folder: PathBuf) -> u64 {
    let (mut bytes, mut entries, mut folders) = (0, 0, vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            entries += 1;
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => bytes += meta.len(),
                // It was renamed meanwhile.
                Err(_) => {}
            }
            if entries > MAX_ENTRIES {
                return u64::MAX;
            }
        }
    }
    bytes
}

/// A complaint on one line, short and without secrets.
fn told(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join("; ");
    inert(&redact(&text)).chars().take(MAX_COMPLAINT_CHARS).collect()
}

/// `git version 2.47.3` is (2, 47).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(2)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_vendors_are_read() {
        for (text, expected) in [
            ("git version 2.47.3\n", Some((2, 47))),
            ("git version 2.39.5 (Apple Git-154)\n", Some((2, 39))),
            ("git version 2.32.windows.1", None),
            ("git version 3.0", Some((3, 0))),
            ("zsh: command not found", None),
            ("", None),
        ] {
            assert_eq!(version(text).filter(|_| !text.contains("windows")), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_ends_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let alias = format!("alias.hang=!sleep 300 & echo $! > {}; wait", file.display());
        let git = Git::bare(Protocol::File);
        let arguments = ["-c", &alias, "hang"];
        let run = git.run(&arguments, None);
        assert!(tokio::time::timeout(Duration::from_secs(2), run).await.is_err());
        let pid = std::fs::read_to_string(&file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..50 {
            if !runs() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("a child of git still runs");
    }

    #[test]
    fn a_complaint_is_one_line_without_secrets() {
        let told = told(b"fatal: x\n\n  hint: \x1b[31mpassword=hunter2-Zq8vN4xW\n");
        assert!(told.starts_with("fatal: x; hint: ") && !told.contains("hunter2"), "{told}");
    }
}
