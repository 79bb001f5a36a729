//! All runbooks: those in the binary and those in folders. Settings and files come in, runbooks, signatures
//! and faults go out. A file that became bad keeps its last good state; nothing here waits or watches.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::choose::{applies, choose};
use super::parse::{MAX_RUNBOOK_BYTES, revision};
use super::{Choice, Fault, Runbook, Shared, builtin};
use crate::alert::Alert;
use crate::settings;
use crate::signature::Signature;
use crate::workload::Workload;

/// Runbooks read from all folders together.
const MAX_RUNBOOKS: usize = 1000;
/// Folders within folders.
const MAX_DEPTH: usize = 8;
/// Folders of this name hold cases, whose files are no runbooks.
pub const CASES_FOLDER: &str = "cases";
/// What explains a folder to its authors is no runbook either.
const NO_RUNBOOK: &str = "README.md";

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
        let empty = Self {
            folders: settings.folders.clone(),
            without_builtin: settings.without_builtin,
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

    /// Looks at the folders again: a new catalogue, or None when every file is as it was.
    pub fn reload(&self) -> Option<Self> {
        let (files, unreadable) = read_folders(&self.folders);
        // Compiling every signature is work; looking whether a file changed is not.
        let changed = fingerprints(&files) != self.seen || unreadable != self.unreadable;
        changed.then(|| self.read(files, unreadable))
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
        for file in files {
            match super::parse(&file.path, &file.text, false) {
                Ok(runbook) => insert(&mut runbooks, runbook),
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
    files.iter().map(|file| (file.path.clone(), revision(&file.text))).collect()
}

/// Later runbooks win by name.
fn insert(runbooks: &mut Vec<Runbook>, runbook: Runbook) {
    runbooks.retain(|known| known.name != runbook.name);
    runbooks.push(runbook);
}

/// A runbook's file as it was read.
pub(super) struct File {
    pub path: String,
    pub text: String,
    /// It is read as if it stood in the binary.
    pub builtin: bool,
}

/// Every `*.md` below the folders, in the order of paths. What cannot be read is a fault.
pub(super) fn read_folders(folders: &[PathBuf]) -> (Vec<File>, Vec<Fault>) {
    let mut walk = Walk::default();
    for folder in folders {
        match folder.canonicalize() {
            Ok(root) => walk.folder(folder, &root, MAX_DEPTH),
            Err(error) => walk.complain(folder, format!("cannot be read: {error}")),
        }
    }
    (walk.files, walk.faults)
}

#[derive(Default)]
struct Walk {
    files: Vec<File>,
    faults: Vec<Fault>,
    full: bool,
}

impl Walk {
    fn complain(&mut self, path: &Path, message: String) {
        self.faults.push(Fault { path: path.display().to_string(), line: 1, column: 1, message });
    }

    fn folder(&mut self, folder: &Path, root: &Path, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.complain(folder, format!("cannot be read: {error}")),
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            // Hidden names are not runbooks: `.git`, and the `..data` behind a mounted ConfigMap's links.
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            if name.starts_with('.') || name == CASES_FOLDER || name == NO_RUNBOOK {
                continue;
            }
            self.entry(&path, root, depth);
        }
    }

    fn entry(&mut self, path: &Path, root: &Path, depth: usize) {
        let real = match path.canonicalize() {
            Ok(real) if real.starts_with(root) => real,
            Ok(_) => return self.complain(path, "leads out of the runbook folder".to_owned()),
            Err(error) => return self.complain(path, format!("cannot be read: {error}")),
        };
        if real.is_dir() {
            match depth {
                0 => self.complain(path, format!("deeper than {MAX_DEPTH} folders")),
                _ => self.folder(path, root, depth - 1),
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            self.file(path, &real);
        }
    }

    fn file(&mut self, path: &Path, real: &Path) {
        if self.files.len() >= MAX_RUNBOOKS {
            if !self.full {
                self.full = true;
                self.complain(path, format!("more than {MAX_RUNBOOKS} runbooks: the rest is left out"));
            }
            return;
        }
        let size = fs::metadata(real).map(|meta| meta.len()).unwrap_or_default();
        if size > MAX_RUNBOOK_BYTES as u64 {
            return self.complain(path, format!("larger than {MAX_RUNBOOK_BYTES} bytes"));
        }
        match fs::read_to_string(real) {
            Ok(text) => {
                self.files.push(File { path: path.display().to_string(), text, builtin: false });
            }
            Err(error) => self.complain(path, format!("cannot be read: {error}")),
        }
    }
}
