//! `whodunit support`: what a report of a fault needs, in one text that a person can read before sending it: version,
//! settings without secrets, figures and faults of the database, runbooks, and what the running service says of itself.
//! It holds no alert, no report and no observation, and everything in it passes redaction.

mod store;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use clap::Args;
use sqlx::PgPool;

use super::{Config, stats};
use crate::app;
use crate::postgres::Database;
use crate::redact::redact;
use crate::runbook::Catalogue;
use crate::settings::Settings;
use crate::telemetry;

/// For each question to the running service.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of one answer of the service, in bytes.
const MAX_ANSWER_BYTES: usize = 512 * 1024;
/// Variables that settings come from. Their names are told, never their values.
const PREFIX: &str = "WHODUNIT_";

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    config: Config,
    /// Where the service runs; without it the settings' own address
    #[arg(long, value_name = "URL", env = "WHODUNIT_URL")]
    url: Option<String>,
}

/// What cannot be read is told in its place: the bundle is for when things are broken.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = options.config.load()?;
    telemetry::start_log(&settings.log)?;
    app::install_tls();
    let url = options.url.unwrap_or_else(|| format!("http://{}", settings.server.listen));
    let mut out = format!(
        "# whodunit {}, {}\n\nNames of workloads and clusters may stand in it. Read it before you send it.\n",
        env!("CARGO_PKG_VERSION"),
        Utc::now().format("%F %T UTC")
    );
    section(&mut out, "Settings, without secrets", &format!("{settings:#?}"));
    section(&mut out, "Variables that are set", &variables());
    section(&mut out, "Database", &told(database(&settings).await));
    section(&mut out, "Runbooks", &runbooks(&settings));
    for path in ["/readyz", "/metrics"] {
        section(&mut out, path, &told(ask(&url, path).await));
    }
    print!("{}", redact(&out));
    Ok(ExitCode::SUCCESS)
}

fn section(out: &mut String, title: &str, text: &str) {
    // A fence that no text ends.
    let _ = write!(out, "\n## {title}\n\n~~~~~~\n{}\n~~~~~~\n", text.trim_end().replace("~~~~~~", "~~~~~"));
}

fn told(answer: anyhow::Result<String>) -> String {
    answer.unwrap_or_else(|error| format!("not read: {error:#}"))
}

fn variables() -> String {
    let mut names: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.retain(|name| name.starts_with(PREFIX));
    names.sort();
    names.join("\n")
}

async fn database(settings: &Settings) -> anyhow::Result<String> {
    let database = Database::visit(&settings.database).await?;
    let answer = figures(&database.pool).await;
    database.close().await;
    answer
}

async fn figures(pool: &PgPool) -> anyhow::Result<String> {
    let (server, schema) = store::versions(pool).await?;
    let mut out = format!("{server}\nschema {schema}\n\n{}\n", stats::shown(pool).await?);
    for table in store::tables(pool).await? {
        let _ = writeln!(out, "{:<24} {:>12} rows {:>14} bytes", table.name, table.rows, table.bytes);
    }
    out.push_str("\nFaults of investigations, seven days:\n");
    for fault in store::faults(pool).await? {
        let _ =
            writeln!(out, "{:>6} times, last {}: {}", fault.times, fault.last.format("%F %T"), fault.error);
    }
    Ok(out)
}

fn runbooks(settings: &Settings) -> String {
    let catalogue = Catalogue::load(&settings.runbooks);
    let faults: Vec<String> = catalogue.faults().iter().map(ToString::to_string).collect();
    format!("{} loaded, {} with faults\n{}", catalogue.runbooks().len(), faults.len(), faults.join("\n"))
}

async fn ask(url: &str, path: &str) -> anyhow::Result<String> {
    let http = app::http_client()?;
    let answer = http.get(format!("{}{path}", url.trim_end_matches('/'))).timeout(TIMEOUT).send().await?;
    let status = answer.status();
    let mut text = answer.text().await?;
    text.truncate(text.floor_char_boundary(MAX_ANSWER_BYTES));
    Ok(format!("{status}\n{text}"))
}
