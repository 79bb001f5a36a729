//! `whodunit list | show | watch | rerun | mcp`: a running whodunit is asked over its REST API, and what it says is printed.
//! Colours go to a terminal only; what comes from clusters and people can do nothing there but be read.

mod bridge;
mod client;
mod paint;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::report::Outcome;
use crate::slack::text;
use crate::workload::Workload;
pub use bridge::{BridgeOptions, HELP as BRIDGE_HELP, bridge};
use client::Client;
use paint::{Tone, paint};

/// Exit code for "nothing explains it".
const INCONCLUSIVE: u8 = 3;
/// Exit code for "not done yet".
const UNFINISHED: u8 = 4;
/// Exit code for "given up, or not needed any more".
const WITHOUT_REPORT: u8 = 5;

pub const SHOW_HELP: &str = "Exit code 0: a cause was found, or nothing is broken; 3: inconclusive; 4: not done yet; \
5: it ended without a report; 1: it could not be read.\n\nAn id may be shortened, as far as it stays the only one: \
whodunit show 019aa000-00";

/// Where whodunit is, who asks, and how it is told.
#[derive(Args, Clone)]
pub struct Remote {
    #[command(flatten)]
    place: Place,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Where whodunit is, and who asks.
#[derive(Args, Clone)]
pub struct Place {
    /// Where whodunit listens
    #[arg(long, value_name = "URL", env = "WHODUNIT_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A file with a token of api.tokens; without it the variable WHODUNIT_TOKEN counts
    #[arg(long, value_name = "FILE", env = "WHODUNIT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// As the API has it; one JSON value, or one a line where it goes on
    Json,
}

#[derive(Args)]
pub struct ListOptions {
    #[command(flatten)]
    remote: Remote,
    /// Words to look for in workloads, alerts, causes and summaries
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    #[arg(long)]
    namespace: Option<String>,
    #[arg(long)]
    cluster: Option<String>,
    /// known_pattern, root_cause, inconclusive or not_an_incident
    #[arg(long)]
    outcome: Option<String>,
    /// queued, running, done, dead or cancelled
    #[arg(long)]
    state: Option<String>,
    /// critical, warning, info or none
    #[arg(long)]
    severity: Option<String>,
    /// Id of a cause, such as secret-missing
    #[arg(long)]
    cause: Option<String>,
    /// Queued at this time or later, e.g. 2026-11-21T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// From 1 to 200
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

#[derive(Args)]
pub struct One {
    #[command(flatten)]
    remote: Remote,
    /// Its id, or as many of the first digits as make it the only one
    id: String,
}

#[derive(Args)]
pub struct RerunOptions {
    #[command(flatten)]
    one: One,
    /// Follow it to its end, as `whodunit watch` does
    #[arg(long)]
    watch: bool,
}

/// Prints investigations, newest first.
pub async fn list(options: ListOptions) -> anyhow::Result<ExitCode> {
    let client = Client::new(&options.remote.place)?;
    let mut query: Vec<(&str, String)> = vec![("limit", options.limit.to_string())];
    let words = (!options.words.is_empty()).then(|| options.words.join(" "));
    let given = [
        ("q", &words),
        ("namespace", &options.namespace),
        ("cluster", &options.cluster),
        ("outcome", &options.outcome),
        ("state", &options.state),
        ("severity", &options.severity),
        ("cause", &options.cause),
        ("since", &options.since),
    ];
    query.extend(given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
    let list = client.get("/api/v1/investigations", &query).await?;
    match options.remote.output {
        Output::Json => anstream::println!("{list:#}"),
        Output::Text => anstream::print!("{}", paint::table(&list)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one investigation with its report.
pub async fn show(options: One) -> anyhow::Result<ExitCode> {
    let client = Client::new(&options.remote.place)?;
    let id = client.id(&options.id).await?;
    shown(&client, &id, options.remote.output).await
}

/// Follows one investigation to its end and prints its report.
pub async fn watch(options: One) -> anyhow::Result<ExitCode> {
    let client = Client::new(&options.remote.place)?;
    let id = client.id(&options.id).await?;
    followed(&client, &id, options.remote.output).await
}

/// Queues another look at the same incident.
pub async fn rerun(RerunOptions { one, watch }: RerunOptions) -> anyhow::Result<ExitCode> {
    let client = Client::new(&one.remote.place)?;
    let id = client.id(&one.id).await?;
    let queued = client.post(&format!("/api/v1/investigations/{id}/rerun")).await?;
    let next = queued["investigation"].as_str().unwrap_or_default().to_owned();
    match one.remote.output {
        Output::Json => anstream::println!("{queued}"),
        Output::Text if queued["joined"] == true => {
            anstream::println!("{next} was waiting already; it is next.")
        }
        Output::Text => anstream::println!("{next} is queued."),
    }
    if watch { followed(&client, &next, one.remote.output).await } else { Ok(ExitCode::SUCCESS) }
}

async fn followed(client: &Client, id: &str, output: Output) -> anyhow::Result<ExitCode> {
    watch::follow(client, id, output == Output::Json).await?;
    match output {
        // Its last event says the same.
        Output::Json => Ok(code(&client.get(&format!("/api/v1/investigations/{id}"), &[]).await?)),
        Output::Text => shown(client, id, output).await,
    }
}

async fn shown(client: &Client, id: &str, output: Output) -> anyhow::Result<ExitCode> {
    let found = client.get(&format!("/api/v1/investigations/{id}"), &[]).await?;
    if output == Output::Json {
        anstream::println!("{found:#}");
        return Ok(code(&found));
    }
    let workload = paint::plain(&found["workload"]);
    let state = found["state"].as_str().unwrap_or_default();
    match serde_json::from_value(found["report"].clone()) {
        Ok(report) => {
            let workload = workload.parse().unwrap_or_else(|_| Workload::new("", "", "", workload.as_str()));
            let told = text::report(&workload, &report);
            let (head, rest) = told.split_once('\n').unwrap_or((&told, ""));
            anstream::print!("{}\n{rest}", paint(Tone::of(report.outcome), head));
        }
        Err(_) => {
            anstream::println!("{}", paint(Tone::Attention, &format!("{state}: {workload}")));
            let why = paint::plain(&found["error"]);
            if !why.is_empty() {
                anstream::println!("{why}");
            }
        }
    }
    Ok(code(&found))
}

/// What scripts go by.
fn code(found: &Value) -> ExitCode {
    let inconclusive = found["outcome"] == Outcome::Inconclusive.as_str();
    match found["state"].as_str() {
        Some("done") if inconclusive => ExitCode::from(INCONCLUSIVE),
        Some("done") => ExitCode::SUCCESS,
        Some("queued" | "running") => ExitCode::from(UNFINISHED),
        _ => ExitCode::from(WITHOUT_REPORT),
    }
}
