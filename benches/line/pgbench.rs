//! What the private server commits by itself: PostgreSQL's own pgbench, ten rows a transaction.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// User of the private server.
const USER: &str = "whodunit";
const DATABASE: &str = "bench";
const TABLE: &str =
    "create table rows (id uuid primary key, seen_at timestamptz not null, body jsonb not null)";
/// Ten rows of about the size of an alert.
const SCRIPT: &str = "insert into rows select gen_random_uuid(), now(), \
    jsonb_build_object('n', n, 'labels', repeat('x', 800)) from generate_series(1, 10) n;\n";

/// Transactions a second of `clients` connections, each a commit of ten rows.
pub fn commits_per_second(sockets: &Path, clients: u32, time: Duration) -> Result<f64> {
    let bin = binaries()?;
    let psql = |database: &str, sql: &str| -> Result<Output> {
        run(Command::new(bin.join("psql"))
            .args(["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--username", USER])
            .arg("--host")
            .arg(sockets)
            .args(["--command", sql, database]))
    };
    psql("postgres", &format!("create database {DATABASE}"))?;
    psql(DATABASE, TABLE)?;
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), SCRIPT)?;
    let output = run(Command::new(bin.join("pgbench"))
        .args(["--no-vacuum", "--jobs=2", "--username", USER])
        .arg(format!("--client={clients}"))
        .arg(format!("--time={}", time.as_secs()))
        .arg(format!("--file={}", script.path().display()))
        .arg("--host")
        .arg(sockets)
        .arg(DATABASE))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.and_then(|rest| rest.split_whitespace().next()).context("pgbench names no tps")?;
    Ok(rate.parse()?)
}

/// The folder that `scripts/postgres-bin` finds: the one whose server runs.
fn binaries() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres-bin");
    let output =
        run(Command::new("sh").arg(script)).context("no PostgreSQL; scripts/install names the package")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}
