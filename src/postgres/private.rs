//! A PostgreSQL server of our own, started from the binaries on the machine: data folder in, connection
//! options out. It listens on a Unix socket only and never outlives this process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

mod binaries;

use binaries::Binaries;

/// Recovery after a crash replays the log first, hence generous.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);
/// Linux' sun_path less the file name `/.s.PGSQL.5432` and the final NUL.
const MAX_SOCKET_DIR_BYTES: usize = 107 - 15;
const MAX_LOG_BYTES: u64 = 10 << 20;
const LOG_TAIL_BYTES: u64 = 2000;
/// Only names the socket's file: the server has no TCP port.
const PORT: u16 = 5432;
const SUPERUSER: &str = "whodunit";

/// Whether a commit is on disk before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// fsync on: what was acknowledged survives a crash of the machine.
    Safe,
    /// For tests: a lost machine loses the data.
    None,
}

/// The running server. Dropping it stops the server.
pub struct PrivateServer {
    socket_dir: PathBuf,
    pid: rustix::process::Pid,
    exited: Mutex<mpsc::Receiver<std::io::Result<ExitStatus>>>,
    /// Held for as long as we live: a second instance on the same folder is refused.
    _lock: File,
}

/// The user that owns the data folder and runs the server; `None` when that is ourselves.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl PrivateServer {
    /// Starts (and on first use creates) the server whose data lives in `data_dir/pg`.
    ///
    /// # Errors
    /// No binaries; the folder is used by another instance or cannot be entered by the server's user;
    /// the server does not come up, with the end of its log.
    pub async fn start(data_dir: &Path, durability: Durability) -> anyhow::Result<Self> {
        fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot create the data folder {}", data_dir.display()))?;
        let data_dir = data_dir.canonicalize().context("cannot resolve the data folder")?;
        let lock = lock(&data_dir)?;
        let cluster = data_dir.join("pg");
        let binaries = Binaries::find(&cluster)?;
        let owner = owner(&data_dir)?;
        let socket_dir = socket_dir(&data_dir);
        prepare(&[&data_dir, &socket_dir], owner)?;
        if !cluster.join("PG_VERSION").exists() {
            initdb(&binaries, &data_dir, owner, durability)?;
        }
        stop_orphan(&binaries, &cluster, owner)?;
        let log = open_log(&data_dir.join("postgres.log"))?;
        let mut command = server_command(&binaries, &cluster, &socket_dir, durability);
        become_owner(&mut command, owner, &data_dir);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let (pid, exited) = spawn(command)?;
        let server = Self { socket_dir, pid, exited: Mutex::new(exited), _lock: lock };
        server.wait_until_up(&data_dir.join("postgres.log")).await?;
        Ok(server)
    }

    /// How to connect to one of this server's databases.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        options(&self.socket_dir, database)
    }

    async fn wait_until_up(&self, log: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.ended(Duration::ZERO) {
                bail!("the private PostgreSQL ended at once ({}); its log says:\n{}", status?, tail(log));
            }
            if let Ok(mut connection) = PgConnection::connect_with(&self.options("postgres")).await {
                return create_database(&mut connection).await;
            }
            if Instant::now() > deadline {
                bail!(
                    "the private PostgreSQL did not answer within {START_TIMEOUT:?}; its log says:\n{}",
                    tail(log)
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// How the server ended, if it does within `wait`.
    fn ended(&self, wait: Duration) -> Option<std::io::Result<ExitStatus>> {
        let exited = self.exited.lock().unwrap_or_else(PoisonError::into_inner);
        exited.recv_timeout(wait).ok()
    }

    /// Stops the server and waits for it without blocking the runtime.
    pub async fn stop(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown with a checkpoint; SIGQUIT leaves recovery to the next start.
        for signal in [rustix::process::Signal::INT, rustix::process::Signal::QUIT] {
            if rustix::process::kill_process(self.pid, signal).is_err() {
                return;
            }
            if self.ended(STOP_TIMEOUT).is_some() {
                return;
            }
        }
        tracing::error!(pid = self.pid.as_raw_nonzero().get(), "the private PostgreSQL did not stop");
    }
}

fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let path = data_dir.join("whodunit.lock");
    let mut file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path)?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        bail!(
            "the data folder {} is in use by another whodunit (process {}); stop that one, or give this one \
             its own database.data_dir",
            data_dir.display(),
            holder.trim()
        );
    }
    file.set_len(0)?;
    write!(file, "{}", std::process::id())?;
    Ok(file)
}

/// PostgreSQL refuses to run as root, so root hands the folder to `postgres`, else to `nobody`.
fn owner(data_dir: &Path) -> anyhow::Result<Option<Owner>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let entry = |user: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
        let mut fields = line.split(':').skip(2);
        Some(Owner { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    let owner = entry("postgres").or_else(|| entry("nobody")).context(
        "started by root, and there is no user `postgres` or `nobody` to run PostgreSQL as; start whodunit as \
         an ordinary user, or set database.url",
    )?;
    for parent in data_dir.ancestors().skip(1) {
        let meta = fs::metadata(parent)?;
        let mode = meta.permissions().mode();
        let may_enter = mode & 0o001 != 0
            || (meta.uid() == owner.uid && mode & 0o100 != 0)
            || (meta.gid() == owner.gid && mode & 0o010 != 0);
        if !may_enter {
            bail!(
                "{} cannot be entered by the user that runs PostgreSQL (it refuses root); set \
                 database.data_dir to a folder outside it, for example /var/lib/whodunit",
                parent.display()
            );
        }
    }
    Ok(Some(owner))
}

fn options(socket_dir: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_dir)
        .port(PORT)
        .username(SUPERUSER)
        .database(database)
}

/// How to connect to the server of the service that runs on this folder; `None` when none does.
pub fn running(data_dir: &Path, database: &str) -> Option<PgConnectOptions> {
    let data_dir = data_dir.canonicalize().ok()?;
    // Held by the service while it runs, whatever a killed one left behind.
    lock(&data_dir).err()?;
    Some(options(&socket_dir(&data_dir), database))
}

/// In the data folder, or in the temporary one when the path would not fit into a socket address.
fn socket_dir(data_dir: &Path) -> PathBuf {
    let inside = data_dir.join("run");
    if inside.as_os_str().len() <= MAX_SOCKET_DIR_BYTES {
        return inside;
    }
    let identity = fs::metadata(data_dir).map(|meta| (meta.dev(), meta.ino())).unwrap_or_default();
    std::env::temp_dir().join(format!("whodunit-{}-{}", identity.0, identity.1))
}

fn prepare(dirs: &[&Path], owner: Option<Owner>) -> anyhow::Result<()> {
    for dir in dirs {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("{} belongs to someone else", dir.display()))?;
        if let Some(owner) = owner {
            chown(dir, Some(owner.uid), Some(owner.gid))?;
        }
    }
    Ok(())
}

/// Into a folder beside, then renamed: a crash half-way leaves nothing that looks finished.
fn initdb(
    bin: &Binaries,
    data_dir: &Path,
    owner: Option<Owner>,
    durability: Durability,
) -> anyhow::Result<()> {
    let half = data_dir.join("pg.init");
    if half.exists() {
        fs::remove_dir_all(&half).context("cannot remove a half-made database folder")?;
    }
    tracing::info!(folder = %data_dir.display(), "making the private database (once)");
    let mut command = Command::new(bin.path("initdb"));
    command.arg("-D").arg(&half).args(["-U", SUPERUSER, "--auth-local=trust", "--auth-host=reject"]);
    command.args(["--encoding=UTF8", "--locale=C", "--no-instructions"]);
    if durability == Durability::None {
        command.arg("--no-sync");
    }
    become_owner(&mut command, owner, data_dir);
    let output = command.output().context("initdb does not start")?;
    if !output.status.success() {
        bail!("initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(&half, data_dir.join("pg")).context("cannot put the new database folder in place")
}

/// We hold the lock, so a server that still runs on this folder belongs to a whodunit that was killed.
fn stop_orphan(bin: &Binaries, cluster: &Path, owner: Option<Owner>) -> anyhow::Result<()> {
    if !cluster.join("postmaster.pid").exists() {
        return Ok(());
    }
    let mut command = Command::new(bin.path("pg_ctl"));
    command.arg("-D").arg(cluster).args(["stop", "-m", "fast", "-w", "-t"]);
    command.arg(STOP_TIMEOUT.as_secs().to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    become_owner(&mut command, owner, cluster);
    // Fails when the file is only a leftover of a crash, which the server itself sees to.
    command.status().context("pg_ctl does not start")?;
    Ok(())
}

fn server_command(bin: &Binaries, cluster: &Path, socket_dir: &Path, durability: Durability) -> Command {
    // setpriv (util-linux) makes the kernel stop the server when we die without a chance to do it. Where it
    // is missing, the next start stops the orphan.
    let mut command = match binaries::in_path("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "QUIT", "--"]).arg(bin.path("postgres"));
            command
        }
        None => Command::new(bin.path("postgres")),
    };
    command.arg("-D").arg(cluster).arg("-k").arg(socket_dir).args(["-h", ""]);
    let mut settings = vec![
        "port=5432",
        "max_connections=64",
        "shared_buffers=32MB",
        "jit=off",
        "wal_level=minimal",
        "max_wal_senders=0",
        "unix_socket_permissions=0700",
        "log_checkpoints=off",
    ];
    if durability == Durability::None {
        // Tests run side by side, each with a service of its own on this one server; later settings win.
        settings.extend([
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_connections=500",
        ]);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    command
}

/// Runs the command as the folder's owner, from a folder that user may enter.
fn become_owner(command: &mut Command, owner: Option<Owner>, dir: &Path) {
    command.current_dir(dir);
    if let Some(owner) = owner {
        command.uid(owner.uid).gid(owner.gid);
    }
}

/// The parent-death signal belongs to the thread that forks, so this one lives as long as the server.
fn spawn(
    mut command: Command,
) -> anyhow::Result<(rustix::process::Pid, mpsc::Receiver<std::io::Result<ExitStatus>>)> {
    // Its own process group: Ctrl-C is for us, who drain first and stop it then.
    command.process_group(0);
    let (started, start) = mpsc::channel();
    let (ended, exited) = mpsc::channel();
    std::thread::Builder::new().name("postgres".to_owned()).spawn(move || match command.spawn() {
        Ok(mut child) => {
            let _ = started.send(Ok(child.id()));
            let _ = ended.send(child.wait());
        }
        Err(error) => {
            let _ = started.send(Err(error));
        }
    })?;
    let pid =
        start.recv().context("the thread that starts PostgreSQL died")?.context("postgres does not start")?;
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("no process id")?;
    Ok((pid, exited))
}

async fn create_database(connection: &mut PgConnection) -> anyhow::Result<()> {
    let exists: bool =
        sqlx::query_scalar("select exists (select 1 from pg_database where datname = 'whodunit')")
            .fetch_one(&mut *connection)
            .await?;
    if !exists {
        sqlx::raw_sql("create database whodunit").execute(connection).await?;
    }
    Ok(())
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() > MAX_LOG_BYTES {
        file.set_len(0)?;
    }
    Ok(file)
}

fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(no log: {error})"))
}
