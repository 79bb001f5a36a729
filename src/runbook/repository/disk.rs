//! Where commits are checked out: one folder each, and a link to the one in force that is replaced in one step, so
//! that a crash leaves the old one or the new one. A lock lets two processes on one folder take turns; replicas
//! have folders of their own.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

const CURRENT: &str = "current";
/// What is being made; anything in it is left over when a process begins.
const UNFINISHED: &str = "unfinished";
const LOCK: &str = "lock";
/// Commits are named by SHA-1, in hex.
const COMMIT_DIGITS: usize = 40;

#[derive(Debug, Clone)]
pub(super) struct Disk {
    folder: PathBuf,
}

/// Held while something is being made.
pub(super) struct Turn {
    /// An empty folder to work in.
    pub work: PathBuf,
    _lock: File,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}

pub(super) fn is_commit(name: &str) -> bool {
    name.len() == COMMIT_DIGITS && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Disk {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The commit in force, and its folder.
    pub fn current(&self) -> Option<(String, PathBuf)> {
        let name = fs::read_link(self.folder.join(CURRENT)).ok()?;
        let commit = name.to_str().filter(|name| is_commit(name))?;
        let folder = self.folder.join(commit);
        folder.is_dir().then(|| (commit.to_owned(), folder))
    }

    /// None: another process is at it.
    pub fn begin(&self) -> anyhow::Result<Option<Turn>> {
        let told = || format!("cannot write to {}; set database.data_dir", self.folder.display());
        fs::create_dir_all(&self.folder).with_context(told)?;
        let lock = File::create(self.folder.join(LOCK)).with_context(told)?;
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        let work = self.folder.join(UNFINISHED);
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(told),
            _ => {}
        }
        fs::create_dir(&work).with_context(told)?;
        Ok(Some(Turn { work, _lock: lock }))
    }

    /// Puts what was made in force. It is on disk before it counts.
    pub fn put(&self, made: &Path, commit: &str) -> io::Result<()> {
        let before = self.current().map(|(commit, _)| commit);
        let folder = self.folder.join(commit);
        // A commit that was in force before is complete: only whole folders are given such a name.
        if !folder.is_dir() {
            sync(made)?;
            fs::rename(made, &folder)?;
        }
        let link = self.folder.join(UNFINISHED).join(CURRENT);
        symlink(commit, &link)?;
        fs::rename(link, self.folder.join(CURRENT))?;
        File::open(&self.folder)?.sync_all()?;
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // The one before may still be read by another process.
            if is_commit(&name) && name != commit && before.as_ref() != Some(&name) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Waits until everything below is on disk. Links and what cannot be opened are passed over.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_commit_is_swapped_and_the_one_before_it_kept() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().join("runbooks"));
        assert!(disk.current().is_none());
        let commits = ["a", "b", "c", "a"].map(|digit| digit.repeat(COMMIT_DIGITS));
        for commit in &commits {
            let turn = disk.begin().unwrap().unwrap();
            assert!(disk.begin().unwrap().is_none(), "one at a time");
            let made = turn.work.join("tree");
            fs::create_dir(&made).unwrap();
            fs::write(made.join("a.md"), commit).unwrap();
            disk.put(&made, commit).unwrap();
            let (known, folder) = disk.current().unwrap();
            assert_eq!((&known, &fs::read_to_string(folder.join("a.md")).unwrap()), (commit, commit));
        }
        let mut left: Vec<String> = fs::read_dir(folder.path().join("runbooks"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [commits[0].as_str(), commits[2].as_str(), "current", "lock"]);
    }

    #[test]
    fn what_a_crash_left_is_not_taken_for_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().to_owned());
        fs::create_dir(folder.path().join("unfinished")).unwrap();
        fs::write(folder.path().join("unfinished/half.md"), "").unwrap();
        symlink("unfinished", folder.path().join("current")).unwrap();
        assert!(disk.current().is_none());
        let turn = disk.begin().unwrap().unwrap();
        assert!(fs::read_dir(&turn.work).unwrap().next().is_none());
    }
}
