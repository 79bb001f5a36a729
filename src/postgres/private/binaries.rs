//! Finds PostgreSQL's programs on this machine. Reads folders and versions, starts nothing but `--version`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

const OLDEST_MAJOR: u32 = 14;

/// A folder that holds `postgres`, `initdb` and `pg_ctl` of one version.
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// The newest version from 14 on, or the one that made `cluster` when that exists already.
    ///
    /// # Errors
    /// Nothing fits: the message names both ways out.
    pub fn find(cluster: &Path) -> anyhow::Result<Self> {
        let wanted =
            fs::read_to_string(cluster.join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
        let mut found: Vec<(u32, PathBuf)> =
            candidates().into_iter().filter_map(|dir| Some((major(&dir)?, dir))).collect();
        found.retain(|(major, _)| wanted.map_or(*major >= OLDEST_MAJOR, |wanted: u32| wanted == *major));
        // Stable: among equal versions the first place wins.
        found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        match (found.into_iter().next(), wanted) {
            (Some((_, dir)), _) => Ok(Self { dir }),
            (None, Some(wanted)) => bail!(
                "the data folder {} was made by PostgreSQL {wanted}, which is not on this machine; install \
                 postgresql-{wanted}, or move the data with pg_dump and set database.url",
                cluster.display()
            ),
            (None, None) => bail!(
                "no PostgreSQL {OLDEST_MAJOR} or newer on this machine: install it (Debian, Ubuntu: apt-get \
                 install postgresql; macOS: brew install postgresql), or set database.url to a server you have"
            ),
        }
    }

    pub fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }
}

/// The folder of `program` in `PATH` is where it stands; this is the file itself.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("PG_BIN_DIR").map(PathBuf::from).into_iter().collect();
    // Before PATH: a stray `postgres` there may lack `initdb` or its libraries.
    dirs.extend(children("/usr/lib/postgresql").into_iter().map(|dir| dir.join("bin")));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        dirs.extend(
            children(prefix)
                .into_iter()
                .filter(|dir| {
                    dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postgresql"))
                })
                .map(|dir| dir.join("bin")),
        );
    }
    dirs.extend(
        children("/usr")
            .into_iter()
            .filter(|dir| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgsql-")))
            .map(|dir| dir.join("bin")),
    );
    if let Some(postgres) = in_path("postgres") {
        dirs.extend(postgres.canonicalize().unwrap_or(postgres).parent().map(Path::to_path_buf));
    }
    dirs.retain(|dir| ["postgres", "initdb", "pg_ctl"].iter().all(|program| dir.join(program).is_file()));
    dirs
}

fn children(dir: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` → 15.
fn major(dir: &Path) -> Option<u32> {
    let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
