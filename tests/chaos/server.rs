//! A PostgreSQL of this run's own, with fsync on, found and started as the program starts its private one; so that
//! it can be killed, restarted and taken away. It notes by triggers what the program's tables forget: how often an
//! investigation was brought to an end.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use whodunit::postgres::{self, Durability, PrivateServer};

use crate::process;

/// Backends of a killed postmaster hold its memory until they notice.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const START_PAUSE: Duration = Duration::from_millis(100);
/// The harness looks; it does not work.
const CONNECTIONS: u32 = 2;

/// Every write that ends an investigation, also of one that had ended already.
const WITNESS: &str = "
    create schema chaos;
    create table chaos.ends (investigation_id uuid not null, attempt integer not null,
                             at timestamptz not null default clock_timestamp());
    create function chaos.note_end() returns trigger language plpgsql as $$
        begin
            insert into chaos.ends (investigation_id, attempt) values (new.id, new.attempt);
            return null;
        end $$;
    create trigger chaos_ends after update of state on investigations
        for each row when (new.state in ('done', 'dead')) execute function chaos.note_end();";

pub struct Server {
    folder: PathBuf,
    private: Option<PrivateServer>,
}

impl Server {
    pub async fn start(folder: PathBuf) -> Result<Self> {
        let mut server = Self { folder, private: None };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it on what is there; after a kill it recovers by itself.
    pub async fn start_again(&mut self) -> Result<()> {
        let until = Instant::now() + START_TIMEOUT;
        loop {
            match PrivateServer::start(&self.folder, Durability::Safe).await {
                Ok(private) => {
                    self.private = Some(private);
                    return Ok(());
                }
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => tokio::time::sleep(START_PAUSE).await,
            }
        }
    }

    /// `kill -9` of the postmaster.
    pub async fn kill(&mut self) -> Result<()> {
        let text = fs::read_to_string(self.folder.join("pg/postmaster.pid"))?;
        let id = text.lines().next().unwrap_or_default().trim().parse().context("no process id")?;
        process::send(id, Signal::KILL)?;
        self.stop().await;
        Ok(())
    }

    /// A fast shutdown.
    pub async fn stop(&mut self) {
        if let Some(private) = self.private.take() {
            private.stop().await;
        }
    }

    /// Cuts every session but ours and says how many there were.
    pub async fn terminate_sessions(&self) -> Result<i64> {
        let pool = self.pool("postgres").await?;
        let cut = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where pid <> pg_backend_pid() and backend_type = 'client backend'",
        );
        let cut = cut.fetch_one(&pool).await?;
        pool.close().await;
        Ok(cut)
    }

    fn options(&self, database: &str) -> Result<PgConnectOptions> {
        Ok(self.private.as_ref().context("the server is not running")?.options(database))
    }

    /// The Unix socket, the same after each start.
    pub fn socket(&self) -> Result<PathBuf> {
        let options = self.options("postgres")?;
        Ok(options.get_socket().context("no socket")?.join(".s.PGSQL.5432"))
    }

    pub async fn pool(&self, database: &str) -> Result<PgPool> {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(START_TIMEOUT);
        Ok(pool.connect_with(self.options(database)?).await?)
    }

    /// A new, migrated database with the witness in it.
    pub async fn database(&self, name: &str) -> Result<PgPool> {
        let admin = self.pool("postgres").await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&admin).await?;
        admin.close().await;
        let pool = self.pool(name).await?;
        postgres::migrate(&pool).await?;
        sqlx::raw_sql(WITNESS).execute(&pool).await?;
        Ok(pool)
    }
}
