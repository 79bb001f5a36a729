//! Runbooks from a git repository: settings in, the newest commit that has no fault out, and what is wrong with
//! those that have. A commit counts as a whole. Whatever fails, the last good commit stays, from memory while we run
//! and from disk at the next start. It never writes to the repository, and never shows half a commit.

mod disk;
mod fetch;
mod git;
mod remote;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::disk::Disk;
use self::fetch::Look;
use self::git::Git;
use self::remote::Remote;
use super::Fault;
use super::folder::Snapshot;
use crate::{settings, telemetry};

/// Below the data folder.
const FOLDER: &str = "runbooks";
/// Faults of one commit that are told one by one.
const MAX_TOLD_FAULTS: usize = 20;

/// What came of pulling so far.
#[derive(Debug, Clone, Default)]
pub struct Pulled {
    /// The commit in force. None: there is no repository, or nothing of it was ever had.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Why it is not the newest, one line each.
    pub faults: Vec<String>,
}

/// How one look ended.
enum Ended {
    New,
    Unchanged,
    /// The newest commit has faults.
    Refused,
    /// Another process on this folder is at it.
    Busy,
}

/// A configured repository, and what is known of it.
pub struct Repository {
    remote: Remote,
    disk: Disk,
    interval: Duration,
    timeout: Duration,
    snapshot: Option<Arc<Snapshot>>,
    /// The newest commit, if it has faults, and these.
    refused: Option<(String, Vec<String>)>,
    /// Why the last look failed.
    trouble: Option<String>,
    looked: bool,
    told: watch::Sender<Pulled>,
}

impl Repository {
    /// Checks the settings, and takes up what an earlier process left below `data_dir`. Asks nobody. None: no
    /// repository is configured.
    ///
    /// # Errors
    /// A setting that cannot work, by its name; no usable `git`.
    pub async fn open(settings: &settings::Git, data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let Some(remote) = Remote::new(settings)? else { return Ok(None) };
        Git::require().await?;
        let data_dir = std::path::absolute(data_dir).context("database.data_dir")?;
        let disk = Disk::new(data_dir.join(FOLDER).join(remote.identity()));
        let mut repository = Self {
            remote,
            disk,
            interval: Duration::from_secs(settings.interval_secs),
            timeout: Duration::from_secs(settings.timeout_secs),
            snapshot: None,
            refused: None,
            trouble: None,
            looked: false,
            told: watch::Sender::new(Pulled::default()),
        };
        repository.take_up().await?;
        repository.told.send_replace(repository.pulled());
        Ok(Some(repository))
    }

    pub fn pulled(&self) -> Pulled {
        let mut faults: Vec<String> = self.trouble.iter().cloned().collect();
        faults.extend(self.refused.iter().flat_map(|(_, lines)| lines.clone()));
        Pulled { snapshot: self.snapshot.clone(), faults }
    }

    /// What came of each look.
    pub fn news(&self) -> watch::Receiver<Pulled> {
        self.told.subscribe()
    }

    /// Looks at the branch and takes in what is new there, within the deadline. What goes wrong is in `pulled`.
    pub async fn pull(&mut self) {
        let before = self.pulled();
        self.looked = true;
        // Giving up drops the wait for git, which ends git.
        let looked = match tokio::time::timeout(self.timeout, self.look()).await {
            Ok(looked) => looked,
            Err(_) => {
                Err(anyhow::anyhow!("no end within {} s (runbooks.git.timeout_secs)", self.timeout.as_secs()))
            }
        };
        let outcome = match looked {
            Ok(Ended::New) => "new",
            Ok(Ended::Unchanged) => "unchanged",
            Ok(Ended::Refused) => "refused",
            Ok(Ended::Busy) => "busy",
            Err(_) => "failed",
        };
        metrics::counter!(telemetry::RUNBOOK_PULLS, "outcome" => outcome).increment(1);
        match looked {
            Ok(Ended::Busy) => {}
            Ok(_) => {
                self.trouble = None;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                metrics::gauge!(telemetry::RUNBOOKS_PULLED_AT).set(now.as_secs_f64());
            }
            Err(error) => self.trouble = Some(format!("runbooks.git: {error:#}; {}", self.standing())),
        }
        let after = self.pulled();
        self.told.send_replace(after.clone());
        // A fault that stays is told once, not once a minute.
        for fault in after.faults.iter().filter(|fault| !before.faults.contains(fault)) {
            tracing::error!(%fault, "runbooks are not those of the repository");
        }
        if outcome == "new" {
            tracing::info!(commit = self.commit(), "runbooks of a new commit");
        }
    }

    /// Pulls until `shutdown`. Each replica does so for itself, on its own disk.
    pub async fn keep_pulling(mut self, shutdown: CancellationToken) {
        let pulling = async {
            loop {
                if self.looked {
                    tokio::time::sleep(self.interval).await;
                }
                self.pull().await;
            }
        };
        shutdown.run_until_cancelled(pulling).await;
    }

    fn commit(&self) -> Option<&str> {
        self.snapshot.as_ref().map(|snapshot| snapshot.commit())
    }

    fn standing(&self) -> String {
        match self.commit() {
            Some(commit) => format!("commit {commit} stays in force"),
            None => "no commit of it was ever had, so only the built-in runbooks and those of runbooks.folders are \
                     in force"
                .to_owned(),
        }
    }

    /// Reads the commit that is in force on disk, if it is another one than ours.
    async fn take_up(&mut self) -> anyhow::Result<()> {
        let (disk, known) = (self.disk.clone(), self.commit().map(str::to_owned));
        let read = move || {
            let (commit, folder) = disk.current().filter(|(commit, _)| known.as_ref() != Some(commit))?;
            Some(Arc::new(Snapshot::read(&folder, &commit)))
        };
        if let Some(snapshot) = tokio::task::spawn_blocking(read).await? {
            self.snapshot = Some(snapshot);
        }
        Ok(())
    }

    async fn look(&mut self) -> anyhow::Result<Ended> {
        let disk = self.disk.clone();
        let Some(turn) = tokio::task::spawn_blocking(move || disk.begin()).await?? else {
            self.take_up().await?;
            return Ok(Ended::Busy);
        };
        self.take_up().await?;
        let remote = self.remote.clone();
        let git = Git::new(&remote, &turn.work)?;
        let look = Look { remote: &remote, git: &git, work: &turn.work };
        let tip = look.tip().await?;
        if self.refused.as_ref().is_some_and(|(commit, _)| *commit == tip) {
            return Ok(Ended::Refused);
        }
        if self.commit() == Some(&tip) {
            self.refused = None;
            return Ok(Ended::Unchanged);
        }
        let commit = look.fetch().await?;
        let folder = look.folder(&commit).await;
        let (snapshot, faults) = match folder {
            Ok(folder) => look.check_out(&folder, &commit).await?,
            // It will not be better the next time: the commit is not fetched again.
            Err(error) => return Ok(self.refuse(commit, &format!("{error:#}"), &[])),
        };
        if snapshot.files.is_empty() && faults.is_empty() {
            let what = format!("it holds no runbook (*.md) in {}; set runbooks.git.path", self.place());
            return Ok(self.refuse(commit, &what, &[]));
        }
        if !faults.is_empty() && self.snapshot.is_some() {
            return Ok(self.refuse(commit, &count(&faults), &faults));
        }
        let (disk, tree, name) = (self.disk.clone(), look.tree(), commit.clone());
        let put = tokio::task::spawn_blocking(move || disk.put(&tree, &name)).await?;
        put.context("the commit cannot be put in place")?;
        self.snapshot = Some(Arc::new(snapshot));
        self.refused = (!faults.is_empty()).then(|| {
            let head = format!(
                "commit {commit}: {}; no good commit is at hand, so what is good of this one is in force",
                count(&faults)
            );
            (commit, told(&head, &faults))
        });
        Ok(Ended::New)
    }

    fn refuse(&mut self, commit: String, why: &str, faults: &[Fault]) -> Ended {
        let head = format!("commit {commit} is not taken in: {why}; {}", self.standing());
        self.refused = Some((commit, told(&head, faults)));
        Ended::Refused
    }

    fn place(&self) -> String {
        match self.remote.path.as_str() {
            "" => "its root folder".to_owned(),
            path => format!("its folder {path}"),
        }
    }
}

fn count(faults: &[Fault]) -> String {
    match faults.len() {
        1 => "1 fault".to_owned(),
        many => format!("{many} faults"),
    }
}

fn told(head: &str, faults: &[Fault]) -> Vec<String> {
    let mut lines =
        vec![format!("runbooks.git: {head}. `whodunit runbooks check` shows faults before a push")];
    lines.extend(faults.iter().take(MAX_TOLD_FAULTS).map(ToString::to_string));
    if faults.len() > MAX_TOLD_FAULTS {
        lines.push(format!("runbooks.git: and {} more", faults.len() - MAX_TOLD_FAULTS));
    }
    lines
}
