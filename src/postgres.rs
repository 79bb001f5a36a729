//! Opens the database: the configured server, or the private one that this process owns. Hands out a
//! migrated pool. It never stores anything itself.

pub mod chore;
mod private;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use private::{Durability, PrivateServer};

use crate::settings;

/// How long a request may wait for a connection before it counts as "the database is down", which a
/// sender must hear within a second.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(700);
/// A server that starts together with us is waited for.
const START_TIMEOUT: Duration = Duration::from_secs(15);
const START_PAUSE: Duration = Duration::from_millis(200);
/// A migration that waits for a lock gives up, so that a rolling deploy never blocks the old version.
const MIGRATION_LOCK_TIMEOUT: &str = "2s";
/// A statement that takes longer is broken: nothing here is meant to be slow.
const STATEMENT_TIMEOUT: &str = "15s";
/// A process that stands still (SIGSTOP, a lost network) in the middle of a transaction must not keep its locks:
/// others wait for the workloads it had in hand.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";

/// Of a command beside a running service.
const VISITOR_CONNECTIONS: u32 = 2;

/// Channel of NOTIFY for new work of any kind.
const WAKE_UP: &str = "whodunit";
const LISTEN_PAUSE: Duration = Duration::from_secs(2);

/// A pool over a migrated schema, and the private server under it where there is one.
pub struct Database {
    pub pool: PgPool,
    private: Option<PrivateServer>,
}

impl Database {
    /// Connects to `database.url`, or starts the private server when it is unset, and migrates.
    ///
    /// # Errors
    /// No PostgreSQL binaries, a data folder in use, a server that does not answer, a failed migration:
    /// each names the way out.
    pub async fn open(settings: &settings::Database) -> anyhow::Result<Self> {
        let (options, private) = match &settings.url {
            Some(url) => (parsed(url)?, None),
            None => {
                let server = PrivateServer::start(&data_dir(settings), Durability::Safe).await?;
                (server.options("whodunit"), Some(server))
            }
        };
        let pool = connect(options, settings.max_connections).await?;
        migrate(&pool).await?;
        Ok(Self { pool, private })
    }

    /// For a command that reads beside a running service: the configured server, or the private one of the service that
    /// runs on the same data folder. Nothing is changed there. A private one that does not run is nobody else's: it is
    /// started as by `open`, and stopped again by `close`.
    ///
    /// # Errors
    /// As `open`; a schema older than this program's.
    pub async fn visit(settings: &settings::Database) -> anyhow::Result<Self> {
        let options = match &settings.url {
            Some(url) => parsed(url)?,
            None => match private::running(&data_dir(settings), "whodunit") {
                Some(options) => options,
                None => return Self::open(settings).await,
            },
        };
        let pool = connect(options, VISITOR_CONNECTIONS).await?;
        if let Err(error) = ours(&pool).await {
            pool.close().await;
            return Err(error);
        }
        Ok(Self { pool, private: None })
    }

    /// Closes the pool, then stops the private server and waits until it is down.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(server) = self.private {
            server.stop().await;
        }
    }
}

fn parsed(url: &SecretString) -> anyhow::Result<PgConnectOptions> {
    PgConnectOptions::from_str(url.expose_secret())
        .context("database.url is no Postgres URL; write it as postgres://user:password@host:5432/database")
}

/// Whether the schema has all that this program knows. What a newer version added is no hindrance.
async fn ours(pool: &PgPool) -> anyhow::Result<()> {
    let made: Option<String> =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations')::text").fetch_one(pool).await?;
    anyhow::ensure!(
        made.is_some(),
        "this database has no schema of whodunit yet; `whodunit migrate` makes it"
    );
    let done: Vec<i64> =
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await?;
    let migrations = sqlx::migrate!("./migrations");
    let lacks = migrations.iter().filter(|one| !done.contains(&one.version)).count();
    anyhow::ensure!(
        lacks == 0,
        "the database's schema is older than this program (it lacks {lacks} migrations), and nothing is changed by only \
         looking; use the version that serves, or bring it up to date with `whodunit migrate`"
    );
    Ok(())
}

/// The version of the configured server, such as `16.4`; nothing is changed there.
///
/// # Errors
/// No `database.url`, or nobody there who lets us in.
pub async fn server_version(settings: &settings::Database) -> anyhow::Result<String> {
    let url = settings.url.as_ref().context("database.url is not set")?;
    let options =
        PgConnectOptions::from_str(url.expose_secret()).context("database.url is no Postgres URL")?;
    let connection = PgConnection::connect_with(&options).await?;
    // 160004 is 16.4.
    let version = connection.server_version_num().unwrap_or_default();
    connection.close().await?;
    Ok(format!("{}.{}", version / 10_000, version % 10_000))
}

/// A pool with our deadlines on every connection.
///
/// # Errors
/// When the first connection cannot be made.
pub async fn connect(options: PgConnectOptions, max_connections: u32) -> anyhow::Result<PgPool> {
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let options = options.application_name("whodunit").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", MIGRATION_LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options);
    let until = Instant::now() + START_TIMEOUT;
    loop {
        match pool.acquire().await {
            Ok(_) => return Ok(pool),
            // Both may start at the same time, and a busy machine is slow.
            Err(sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)) if Instant::now() < until => {
                tracing::warn!(place, "waiting for Postgres");
                tokio::time::sleep(START_PAUSE).await;
            }
            Err(error) => {
                let told = format!("Postgres at {place} does not let us in; check database.url");
                return Err(anyhow::Error::new(error).context(told));
            }
        }
    }
}

/// Connections of a pool that is kept apart, all of them made at once.
pub const OWN_CONNECTIONS: u32 = 4;

/// A small pool beside another, to the same database: who has it waits behind nobody else's statements.
pub fn apart(pool: &PgPool) -> PgPool {
    let options = pool.options().clone().max_connections(OWN_CONNECTIONS).min_connections(OWN_CONNECTIONS);
    options.connect_lazy_with((*pool.connect_options()).clone())
}

/// Brings the schema up to date. Migrations are additive, so an older version may go on beside us.
///
/// # Errors
/// When a migration fails or a lock is not had in time.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    let until = Instant::now() + START_TIMEOUT;
    let mut migrations = sqlx::migrate!("./migrations");
    // What a newer version added is no fault of an older one that starts again during a deploy, or after a rollback.
    migrations.set_ignore_missing(true);
    loop {
        match migrations.run(pool).await {
            Ok(()) => return Ok(()),
            // A busy server is slow to answer a start, too; giving up would only start us anew.
            Err(error) if is_no_connection(&error) && Instant::now() < until => {
                tracing::warn!(%error, "waiting for Postgres");
                tokio::time::sleep(START_PAUSE).await;
            }
            Err(error) => {
                return Err(error).context("the database schema could not be brought up to date");
            }
        }
    }
}

fn is_no_connection(error: &MigrateError) -> bool {
    let cause = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        _ => return false,
    };
    matches!(cause, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_))
}

/// Tells all replicas that there is work. Outside of any transaction: a NOTIFY takes a lock over all of
/// Postgres until its transaction is committed, which would make webhooks wait for each other.
pub async fn wake(pool: &PgPool) {
    if let Err(error) = sqlx::query("select pg_notify($1, '')").bind(WAKE_UP).execute(pool).await {
        tracing::debug!(%error, "nobody was woken; everybody polls");
    }
}

/// Passes other replicas' wake-ups on to `woken` until `shutdown`. Without a connection everybody polls.
pub async fn listen(pool: PgPool, woken: Arc<Notify>, shutdown: CancellationToken) {
    let listening = async {
        loop {
            if let Err(error) = listen_until_broken(&pool, &woken).await {
                tracing::debug!(%error, "not listening for work, polling only");
            }
            tokio::time::sleep(LISTEN_PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(listening).await;
}

async fn listen_until_broken(pool: &PgPool, woken: &Notify) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(WAKE_UP).await?;
    loop {
        listener.recv().await?;
        woken.notify_waiters();
    }
}

/// What this process keeps on disk is below it, with a server of our own or without.
pub fn data_dir(settings: &settings::Database) -> PathBuf {
    settings.data_dir.clone().unwrap_or_else(default_data_dir)
}

/// `/var/lib/whodunit` for root, else the user's own data folder.
fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/whodunit");
    }
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    home("XDG_DATA_HOME")
        .or_else(|| home("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("whodunit")
}
