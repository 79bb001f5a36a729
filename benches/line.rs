//! Figures of the whole line on this machine, with the program as its users run it: a child process, HTTP in
//! front, PostgreSQL with fsync behind. Beside the webhooks' rate stands what the same server commits by itself.
//!
//! `make bench` prints them.

#[path = "line/agent.rs"]
mod agent;
#[path = "line/cluster.rs"]
mod cluster;
#[path = "line/evidence.rs"]
mod evidence;
#[path = "line/load.rs"]
mod load;
#[path = "line/logs.rs"]
mod logs;
#[path = "line/pages.rs"]
mod pages;
#[path = "line/pgbench.rs"]
mod pgbench;
#[path = "line/queue.rs"]
mod queue;
#[path = "line/report.rs"]
mod report;
#[path = "line/service.rs"]
mod service;

use std::time::Duration;

use anyhow::Result;

use cluster::Cluster;
use load::Load;
use service::{Folder, Service};

/// The webhooks' figures are their own: nothing is asked, nothing is investigated meanwhile.
const WITHOUT_CLUSTER: &str = "kubernetes: {enabled: false}\n";
const CONNECTIONS: usize = 32;
const ALERTS_PER_WEBHOOK: u64 = 10;
/// 10,000 alerts, after which memory is read; they are the warm-up too.
const FIRST_WEBHOOKS: u64 = 1_000;
const MEASURE: Duration = Duration::from_secs(10);
const PGBENCH: Duration = Duration::from_secs(5);
/// So many webhooks are sent again and again.
const REPEATED_WEBHOOKS: u64 = 1_000;
/// As many as the service's own pool has.
const PGBENCH_CLIENTS: u32 = 12;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    // The error is: installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder::make()?;
    // `cargo bench --bench line -- agent` prints one part alone.
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|name| name == part);
    if wanted("logs") {
        logs::print(print)?;
    }
    if wanted("line") {
        line(&folder).await?;
    }
    if wanted("pages") {
        pages(&folder).await?;
    }
    if wanted("evidence") {
        evidence::print(print).await?;
    }
    if wanted("agent") {
        let [small, alone, together] = agent::figures(&folder, &Cluster::start().await?).await?;
        print("seven tool calls, recorded answers, 20 one by one", &small.to_string());
        print("the same with answers of 2 MB", &alone.to_string());
        print("the same, 20 at once", &together.to_string());
    }
    Ok(())
}

async fn line(folder: &Folder) -> Result<()> {
    let (service, first_start) = Service::start(folder, WITHOUT_CLUSTER).await?;
    drop(service);
    let (service, second_start) = Service::start(folder, WITHOUT_CLUSTER).await?;
    print("start to ready, first time (makes the database)", &format!("{:.2} s", first_start.as_secs_f64()));
    print("start to ready, again", &format!("{:.2} s", second_start.as_secs_f64()));
    print("memory, idle, without its PostgreSQL", &service.memory());

    let load = Load::new(&service.url, CONNECTIONS, ALERTS_PER_WEBHOOK);
    load.post(FIRST_WEBHOOKS).await?;
    print("memory after 10,000 alerts", &service.memory());

    let two = load.post_for(MEASURE).await?;
    rate("webhooks of 10 new alerts, 32 connections", &two);
    print("memory after the load", &service.memory());
    let again = Load::repeating(&service.url, CONNECTIONS, ALERTS_PER_WEBHOOK, REPEATED_WEBHOOKS);
    rate("webhooks of 10 alerts known before", &again.post_for(MEASURE / 2).await?);

    let commits = pgbench::commits_per_second(&folder.sockets(), PGBENCH_CLIENTS, PGBENCH)?;
    print("the same server, commits of 10 rows (pgbench)", &format!("{commits:.0}/s"));
    print("  webhooks of new alerts for each such commit", &format!("{:.2}", two.per_second / commits));
    drop(service);
    let (service, _) = Service::start_with(folder, WITHOUT_CLUSTER, Some(1)).await?;
    let load = load.of(&service.url);
    rate("webhooks of 10 new alerts, one worker thread", &load.post_for(MEASURE).await?);
    drop(service);

    let cluster = Cluster::start().await?;
    let (service, _) = Service::start(folder, &cluster.settings()).await?;
    let times = report::times(&service, &folder.sockets()).await?;
    print("webhook to finished report, recorded cluster, p50", &milliseconds(load::percentile(&times, 50)));
    print("  workloads", &times.len().to_string());
    let cycles = queue::cycles_per_second(&folder.sockets()).await?;
    print("claims and finishes of an investigation", &format!("{cycles:.0}/s"));
    Ok(())
}

async fn pages(folder: &Folder) -> Result<()> {
    let cluster = Cluster::start().await?;
    let (service, _) = Service::start(folder, &cluster.settings()).await?;
    let (stored, figures) = pages::figures(&service, &folder.sockets()).await?;
    print("pages, investigations stored", &stored.to_string());
    for figure in figures {
        let pages::Figure { name, p50, p99, weight } = figure;
        let (p50, p99) = (milliseconds(p50), milliseconds(p99));
        print(
            &format!("  {name}"),
            &format!("p50 {p50}, p99 {p99}, at most {:.1} kB", weight as f64 / 1000.0),
        );
    }
    Ok(())
}

fn rate(name: &str, figures: &load::Figures) {
    print(name, &format!("{:.0}/s", figures.per_second));
    print("  acknowledged, p50", &milliseconds(figures.p50));
    print("  acknowledged, p99", &milliseconds(figures.p99));
}

fn print(name: &str, figure: &str) {
    println!("{name:<52} {figure}");
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
