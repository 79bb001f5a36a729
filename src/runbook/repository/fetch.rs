//! What git does for one look: the branch's end, its last commit alone, and the runbooks' folder of it on disk, read
//! once and checked. It works in a folder of its own, which is thrown away.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use super::super::Fault;
use super::super::check::check_files;
use super::super::folder::Snapshot;
use super::disk::is_commit;
use super::git::Git;
use super::remote::Remote;

/// Bytes and files of the checked-out folder, whatever they are; runbooks have limits of their own.
const MAX_CHECKOUT_BYTES: u64 = 64 << 20;
const MAX_CHECKOUT_FILES: usize = 20_000;
/// Where a fetched branch is kept while it is checked out.
const TAKEN: &str = "refs/heads/taken";

pub(super) struct Look<'l> {
    pub remote: &'l Remote,
    pub git: &'l Git,
    pub work: &'l Path,
}

impl Look<'_> {
    /// Where the folder is checked out.
    pub fn tree(&self) -> PathBuf {
        self.work.join("tree")
    }

    fn bare(&self) -> String {
        self.work.join("repository.git").display().to_string()
    }

    /// The commit at the branch's end.
    pub async fn tip(&self) -> anyhow::Result<String> {
        let reference = self.remote.reference();
        let answer =
            self.git.run(&["ls-remote", "--quiet", "--", &self.remote.url, &reference], None).await?;
        let text = String::from_utf8_lossy(&answer);
        let of_it = |line: &str| {
            let (commit, name) = line.split_once('\t')?;
            (name == reference && is_commit(commit)).then(|| commit.to_owned())
        };
        match text.lines().find_map(of_it) {
            Some(commit) => Ok(commit),
            None if reference == "HEAD" => {
                bail!("the repository has no default branch with a commit; set runbooks.git.branch")
            }
            None => bail!("the repository has no {reference}; set runbooks.git.branch to a branch it has"),
        }
    }

    /// Fetches the branch's last commit alone. It may be newer than the one that was looked for.
    pub async fn fetch(&self) -> anyhow::Result<String> {
        let bare = self.bare();
        self.git.run(&["init", "--bare", "--quiet", "--template=", &bare], None).await?;
        let (url, reference) = (self.remote.url.as_str(), format!("+{}:{TAKEN}", self.remote.reference()));
        let in_it = format!("--git-dir={bare}");
        let fetch =
            [&in_it, "fetch", "--quiet", "--depth=1", "--no-tags", "--update-shallow", "--", url, &reference];
        self.git.run(&fetch, Some(Path::new(&bare))).await?;
        let commit =
            self.git.run(&[&in_it, "rev-parse", "--verify", &format!("{TAKEN}^{{commit}}")], None).await?;
        let commit = word(&commit);
        ensure!(is_commit(&commit), "git names the commit {commit:?}");
        Ok(commit)
    }

    /// The runbooks' folder in a fetched commit, as git names it. An error is one of the commit.
    pub async fn folder(&self, commit: &str) -> anyhow::Result<String> {
        let in_it = format!("--git-dir={}", self.bare());
        let path = &self.remote.path;
        // A link in the place of the folder, or on the way to it, is no tree.
        let named = match path.as_str() {
            "" => format!("{commit}^{{tree}}"),
            path => format!("{commit}:{path}"),
        };
        let asked = self.git.run(&[&in_it, "rev-parse", "--verify", "--quiet", &named], None).await;
        let folder = asked.map(|answer| word(&answer)).unwrap_or_default();
        let kind = self.git.run(&[&in_it, "cat-file", "-t", &folder], None).await.unwrap_or_default();
        ensure!(word(&kind) == "tree", "it has no folder {path:?}; set runbooks.git.path");
        measure(&self.git.run(&[&in_it, "ls-tree", "-r", "-l", "-z", &folder], None).await?)?;
        Ok(folder)
    }

    /// Writes the folder to `tree` in `work`, reads it once, and checks what was read.
    pub async fn check_out(&self, folder: &str, commit: &str) -> anyhow::Result<(Snapshot, Vec<Fault>)> {
        let (in_it, tree) = (format!("--git-dir={}", self.bare()), self.tree());
        tokio::fs::create_dir(&tree).await?;
        let onto = format!("--work-tree={}", tree.display());
        self.git.run(&[&in_it, "read-tree", folder], None).await?;
        self.git.run(&[&in_it, &onto, "checkout-index", "--all", "--force", "--quiet"], None).await?;
        let commit = commit.to_owned();
        let read = move || {
            let snapshot = Snapshot::read(&tree, &commit);
            let faults = check_files(&snapshot.files, snapshot.unreadable.clone());
            (snapshot, faults)
        };
        Ok(tokio::task::spawn_blocking(read).await?)
    }
}

/// Fails when the folder would be too large on disk, before anything of it is written.
fn measure(listing: &[u8]) -> anyhow::Result<()> {
    let (mut files, mut bytes) = (0, 0_u64);
    // `MODE TYPE OBJECT SIZE<tab>PATH`; a submodule has no size and is not followed.
    for entry in listing.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let fields = String::from_utf8_lossy(entry);
        let size = fields.split('\t').next().and_then(|head| head.split_whitespace().nth(3)).unwrap_or("-");
        bytes = bytes.saturating_add(size.parse().unwrap_or(0));
        files += 1;
    }
    const WAY_OUT: &str = "set runbooks.git.path to the folder that holds runbooks alone";
    ensure!(files <= MAX_CHECKOUT_FILES, "{files} files, at most {MAX_CHECKOUT_FILES}; {WAY_OUT}");
    ensure!(bytes <= MAX_CHECKOUT_BYTES, "{bytes} bytes of files, at most {MAX_CHECKOUT_BYTES}; {WAY_OUT}");
    Ok(())
}

fn word(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_measured_before_it_is_made() {
        let line = |size: &str, name: usize| format!("100644 blob {} {size:>7}\t{name}.md\0", "a".repeat(40));
        let many = |count: usize, size: &str| (0..count).map(|name| line(size, name)).collect::<String>();
        measure(many(MAX_CHECKOUT_FILES, "10").as_bytes()).unwrap();
        let told = measure(many(MAX_CHECKOUT_FILES + 1, "10").as_bytes()).unwrap_err().to_string();
        assert!(told.starts_with("20001 files, at most 20000; set runbooks.git.path"), "{told}");
        let told = measure(many(3, "30000000").as_bytes()).unwrap_err().to_string();
        assert!(told.starts_with("90000000 bytes of files, at most 67108864; "), "{told}");
        // A submodule has no size, and a name may hold anything but NUL.
        measure(format!("160000 commit {} {:>7}\ta\tb 99999999999\0", "b".repeat(40), "-").as_bytes())
            .unwrap();
        measure(b"").unwrap();
    }
}
