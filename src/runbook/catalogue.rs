//! All runbooks: those in the binary, of a repository and in folders. Settings and files come in, runbooks,
//! signatures and faults go out. A file that became bad keeps its last good state; nothing here waits or watches.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::choose::{applies, choose};
use super::folder::{File, Snapshot, read_folders};
use super::{Choice, Fault, Runbook, Shared, builtin};
use crate::alert::Alert;
use crate::settings;
use crate::signature::Signature;
use crate::workload::Workload;

/// Every runbook as of one look at the folders.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    folders: Vec<PathBuf>,
    without_builtin: bool,
    runbooks: Vec<Shared>,
    /// They outlive a built-in text that a folder's runbook of the same name replaces.
    builtin_signatures: Vec<Signature>,
    faults: Vec<Fault>,
    /// The part of the faults that comes from looking at folders, before any text is read.
    unreadable: Vec<Fault>,
    /// Path → content hash of every file read, good or bad.
    seen: BTreeMap<String, String>,
    /// The commit in force of the repository, where there is one.
    snapshot: Option<Arc<Snapshot>>,
}

/// Where a runbook comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Builtin,
    Folder,
}

impl Origin {
    pub fn of(runbook: &Runbook) -> Self {
        if runbook.builtin { Self::Builtin } else { Self::Folder }
    }
}

impl Catalogue {
    /// Reads everything. Bad files are left out and told by `faults`.
    pub fn load(settings: &settings::Runbooks) -> Self {
        Self::with(settings, None)
    }

    /// Reads everything, with the runbooks of a repository's commit.
    pub fn with(settings: &settings::Runbooks, snapshot: Option<Arc<Snapshot>>) -> Self {
        let empty = Self {
            folders: settings.folders.clone(),
            without_builtin: settings.without_builtin,
            snapshot,
            ..Self::default()
        };
        let (files, unreadable) = read_folders(&empty.folders);
        empty.read(files, unreadable)
    }

    /// Only what is in the binary.
    pub fn builtin() -> Self {
        Self::load(&settings::Runbooks::default())
    }

    /// As `load`, for a test of these folders: a checkout of the built-in runbooks stands in for those in the
    /// binary, so that what was just written is what is tested.
    pub fn rehearse(folders: &[PathBuf]) -> Self {
        let (checkouts, others): (Vec<PathBuf>, Vec<PathBuf>) =
            folders.iter().cloned().partition(|folder| folder.join(builtin::GENERAL).is_file());
        let empty = Self { folders: others, without_builtin: !checkouts.is_empty(), ..Self::default() };
        let (mut files, mut unreadable) = read_folders(&checkouts);
        files.iter_mut().for_each(|file| file.builtin = true);
        let (more, faults) = read_folders(&empty.folders);
        files.extend(more);
        unreadable.extend(faults);
        empty.read(files, unreadable)
    }

    /// Looks at the folders again, with the commit that is in force now: a new catalogue, or None when every file
    /// is as it was.
    pub fn reload(&self, snapshot: Option<Arc<Snapshot>>) -> Option<Self> {
        let (files, unreadable) = read_folders(&self.folders);
        let commit = |snapshot: &Option<Arc<Snapshot>>| snapshot.as_ref().map(|one| one.commit.clone());
        // Compiling every signature is work; looking whether a file changed is not.
        let changed = fingerprints(&files) != self.seen
            || unreadable != self.unreadable
            || commit(&snapshot) != commit(&self.snapshot);
        changed.then(|| Self { snapshot, ..self.clone() }.read(files, unreadable))
    }

    /// The repository's commit whose runbooks are in force.
    pub fn commit(&self) -> Option<&str> {
        self.snapshot.as_ref().map(|snapshot| snapshot.commit())
    }

    fn read(&self, files: Vec<File>, unreadable: Vec<Fault>) -> Self {
        let seen = fingerprints(&files);
        let mut faults = unreadable.clone();
        let mut runbooks: Vec<Runbook> = Vec::new();
        if !self.without_builtin {
            for (path, text) in builtin::FILES {
                match super::parse(&builtin::path(path), text, true) {
                    Ok(runbook) => runbooks.push(runbook),
                    Err(found) => faults.extend(found),
                }
            }
        }
        let (builtin_files, files): (Vec<File>, Vec<File>) = files.into_iter().partition(|file| file.builtin);
        for file in builtin_files {
            match super::parse(&file.path, &file.text, true) {
                Ok(runbook) => runbooks.push(runbook),
                Err(found) => faults.extend(found),
            }
        }
        let builtin_signatures = runbooks.iter().flat_map(|runbook| runbook.signatures.clone()).collect();
        let snapshot = self.snapshot.as_deref();
        faults.extend(snapshot.iter().flat_map(|snapshot| snapshot.unreadable.clone()));
        for file in snapshot.iter().flat_map(|snapshot| &snapshot.files).chain(&files) {
            match super::parse(&file.path, &file.text, false) {
                Ok(runbook) => insert(&mut runbooks, Runbook { revision: file.revision(), ..runbook }),
                // What another commit said is no state of this one.
                Err(found) if file.commit.is_some() => faults.extend(found),
                Err(found) => {
                    faults.extend(found);
                    let last_good =
                        self.runbooks.iter().find(|known| !known.builtin && known.path == file.path);
                    if let Some(known) = last_good {
                        insert(&mut runbooks, (**known).clone());
                    }
                }
            }
        }
        Self {
            folders: self.folders.clone(),
            without_builtin: self.without_builtin,
            runbooks: runbooks.into_iter().map(Arc::new).collect(),
            builtin_signatures,
            faults,
            unreadable,
            seen,
            snapshot: self.snapshot.clone(),
        }
    }

    pub fn runbooks(&self) -> &[Shared] {
        &self.runbooks
    }

    /// What is wrong with files on disk. A file named here may still be followed in its last good state.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Every signature with the path of its runbook; of two with one id the one that wins.
    pub fn all_signatures(&self) -> BTreeMap<&str, (&Signature, &str)> {
        let mut all = BTreeMap::new();
        for signature in &self.builtin_signatures {
            all.insert(signature.id.as_str(), (signature, ""));
        }
        for runbook in &self.runbooks {
            for signature in &runbook.signatures {
                all.insert(signature.id.as_str(), (signature, runbook.path.as_str()));
            }
        }
        all
    }

    pub fn choose(&self, alerts: &[Alert], workload: &Workload) -> Choice {
        choose(&self.runbooks, alerts, workload)
    }

    /// Every runbook that concerns these alerts and this workload, in the order of reading.
    pub fn fitting(&self, alerts: &[Alert], workload: &Workload) -> Vec<Shared> {
        self.runbooks.iter().filter(|runbook| applies(runbook, alerts, workload)).cloned().collect()
    }

    /// The signatures to judge with: all built-in ones, and those of folder runbooks that match. A folder's
    /// signature replaces a built-in one of the same id.
    pub fn signatures(&self, alerts: &[Alert], workload: &Workload) -> Vec<Signature> {
        let builtin = self.builtin_signatures.iter();
        let mut known: BTreeMap<&str, &Signature> =
            builtin.map(|signature| (signature.id.as_str(), signature)).collect();
        for runbook in self.runbooks.iter().filter(|runbook| !runbook.builtin) {
            if applies(runbook, alerts, workload) {
                known.extend(runbook.signatures.iter().map(|signature| (signature.id.as_str(), signature)));
            }
        }
        known.into_values().cloned().collect()
    }
}

fn fingerprints(files: &[File]) -> BTreeMap<String, String> {
    files.iter().map(|file| (file.path.clone(), file.revision())).collect()
}

/// Later runbooks win by name.
fn insert(runbooks: &mut Vec<Runbook>, runbook: Runbook) {
    runbooks.retain(|known| known.name != runbook.name);
    runbooks.push(runbook);
}
