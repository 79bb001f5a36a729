//! A fresh, migrated database for each test, on the server that `DATABASE_URL` names.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

pub async fn pool() -> PgPool {
    let url = std::env::var("DATABASE_URL").ok().or_else(from_file).expect("DATABASE_URL");
    let server: PgConnectOptions = url.parse().unwrap();
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect_with(&server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(std::time::Duration::from_secs(10))
        .connect_with(server.database(&name))
        .await
        .unwrap();
    sqlx::migrate!().run(&pool).await.unwrap();
    pool
}

fn from_file() -> Option<String> {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.env")).ok()?;
    file.lines().find_map(|line| line.strip_prefix("DATABASE_URL=").map(str::to_owned))
}
