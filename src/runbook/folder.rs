//! Runbook folders on disk: paths in, the text of every `*.md` below them out, and what could not be read. It is
//! bounded in files, bytes and depth, and never follows a link out of the folder it was given.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Fault;
use super::parse::{MAX_RUNBOOK_BYTES, revision};

/// Runbooks read from all folders together.
const MAX_RUNBOOKS: usize = 1000;
/// Folders within folders.
const MAX_DEPTH: usize = 8;
/// Folders of this name hold cases, whose files are no runbooks.
pub const CASES_FOLDER: &str = "cases";
/// What explains a folder to its authors is no runbook either.
const NO_RUNBOOK: &str = "README.md";
/// In front of the paths of a repository's runbooks, in place of the folder they were checked out into.
const REPOSITORY: &str = "git:";

/// A runbook's file as it was read.
pub(super) struct File {
    pub path: String,
    pub text: String,
    /// It is read as if it stood in the binary.
    pub builtin: bool,
    /// The commit it stands in; None outside of a repository.
    pub commit: Option<String>,
}

impl File {
    /// Tells one state of the file from another.
    pub fn revision(&self) -> String {
        self.commit.clone().unwrap_or_else(|| revision(&self.text))
    }
}

/// The runbooks of one commit, read once: nothing that happens to its folder later changes them.
pub struct Snapshot {
    pub(super) commit: String,
    pub(super) files: Vec<File>,
    pub(super) unreadable: Vec<Fault>,
}

impl Snapshot {
    pub(super) fn read(folder: &Path, commit: &str) -> Self {
        let (mut files, mut unreadable) = read_folders(&[folder.to_owned()]);
        let known_as = |path: &str| {
            let below = Path::new(path).strip_prefix(folder).unwrap_or(Path::new(path));
            format!("{REPOSITORY}{}", below.display())
        };
        for file in &mut files {
            file.path = known_as(&file.path);
            file.commit = Some(commit.to_owned());
        }
        unreadable.iter_mut().for_each(|fault| fault.path = known_as(&fault.path));
        Self { commit: commit.to_owned(), files, unreadable }
    }

    /// The full name of the commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({}, {} files)", self.commit, self.files.len())
    }
}

/// Every `*.md` below the folders, in the order of paths. What cannot be read is a fault.
pub(super) fn read_folders(folders: &[PathBuf]) -> (Vec<File>, Vec<Fault>) {
    let mut walk = Walk::default();
    for folder in folders {
        match folder.canonicalize() {
            Ok(root) => {
                walk.above = vec![root.clone()];
                walk.folder(folder, &root, MAX_DEPTH);
            }
            Err(error) => walk.complain(folder, format!("cannot be read: {error}")),
        }
    }
    (walk.files, walk.faults)
}

#[derive(Default)]
struct Walk {
    /// The folders that the one at hand is in, as they are without links.
    above: Vec<PathBuf>,
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
            Ok(_) => {
                return self
                    .complain(path, "leads out of the runbook folder; put the file itself there".to_owned());
            }
            Err(error) => return self.complain(path, format!("cannot be read: {error}")),
        };
        if real.is_dir() {
            match depth {
                _ if self.above.contains(&real) => {
                    self.complain(path, "leads back to a folder that it is in; take it away".to_owned());
                }
                0 => self.complain(path, format!("deeper than {MAX_DEPTH} folders; move it up")),
                _ => {
                    self.above.push(real);
                    self.folder(path, root, depth - 1);
                    self.above.pop();
                }
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            self.file(path, &real);
        }
    }

    fn file(&mut self, path: &Path, real: &Path) {
        if self.files.len() >= MAX_RUNBOOKS {
            if !self.full {
                self.full = true;
                self.complain(
                    path,
                    format!(
                        "more than {MAX_RUNBOOKS} runbooks: the rest is left out; take away what is none"
                    ),
                );
            }
            return;
        }
        let size = fs::metadata(real).map(|meta| meta.len()).unwrap_or_default();
        if size > MAX_RUNBOOK_BYTES as u64 {
            return self.complain(
                path,
                format!("larger than {MAX_RUNBOOK_BYTES} bytes; split it, or take it out of the folder"),
            );
        }
        match fs::read_to_string(real) {
            Ok(text) => {
                self.files.push(File {
                    path: path.display().to_string(),
                    text,
                    builtin: false,
                    commit: None,
                });
            }
            Err(error) => self.complain(path, format!("cannot be read: {error}")),
        }
    }
}
