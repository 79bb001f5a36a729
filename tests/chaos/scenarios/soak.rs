//! A long time in a short one: alerts and resolves all along, and one in a hundred of everything goes wrong, commits,
//! requests, answers. What the process holds must stay as it is, and the tables must not fill with the dead.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::house::{Ground, House, Size};
use crate::process::Usage;
use crate::proxy::Faults;
use crate::sender::{Alert, Sender};
use crate::verdict::{Outcome, Sent, workload};

const SHARE: f64 = 0.01;
const TICK: Duration = Duration::from_millis(250);
/// An incident is resolved so many ticks after it began.
const RESOLVED_AFTER: usize = 40;
const DRAIN: Duration = Duration::from_secs(900);
/// Over the second half; the first one fills caches and pools.
const MAX_GROWTH_KIB_PER_HOUR: f64 = 8.0 * 1024.0;
const MAX_MORE_DESCRIPTORS: u64 = 16;
/// The short form is over before the pools are full, so its halves cannot be compared. Full they come to about 50; one
/// more for each workload, or for each cut connection, would be over 100.
const MAX_DESCRIPTORS_SHORT: u64 = 80;
const MAX_MORE_THREADS: u64 = 4;
/// Autovacuum begins at a fifth, and looks once a minute.
const MAX_DEAD_SHARE: f64 = 0.5;
const FEW_ROWS: i64 = 2000;

pub async fn run(ground: &mut Ground) -> Result<Outcome> {
    let length = Duration::from_secs(ground.size.pick(15, 1800));
    let mut house = House::build(ground, "soak", &[]).await?;
    house.start_service().await?;
    let sender = house.sender();
    let faults = Faults { lost_answers: SHARE, lost_requests: SHARE, ..Faults::default() };
    for way in [&house.database, &house.slack_way, &house.cluster_way] {
        way.set(faults.clone());
    }
    let (begun, mut samples, mut workloads) = (Instant::now(), Vec::new(), Vec::new());
    while begun.elapsed() < length {
        let tick = Instant::now();
        let number = workloads.len();
        workloads.push(workload(0, number));
        sender.deliver(&[Alert::firing(&workloads[number])]).await?;
        if let Some(over) = number.checked_sub(RESOLVED_AFTER) {
            until_investigated(&house, &workloads[over]).await?;
            resolve(&sender, &workloads[over..=over]).await?;
        }
        samples.push((begun.elapsed(), house.services[0].process.usage()));
        if number % 400 == 399 {
            println!(
                "  soak: {:.0?} of {length:?}, {:?}",
                begun.elapsed(),
                house.services[0].process.usage()
            );
        }
        tokio::time::sleep(TICK.saturating_sub(tick.elapsed())).await;
    }
    let still_open = workloads.len().saturating_sub(RESOLVED_AFTER);
    house.drain(DRAIN).await?;
    resolve(&sender, &workloads[still_open..]).await?;
    for way in [&house.database, &house.slack_way, &house.cluster_way] {
        way.set(Faults::default());
    }
    house.drain(DRAIN).await?;
    let cuts = house.database.cuts() + house.slack_way.cuts() + house.cluster_way.cuts();
    let mut outcome =
        Outcome::new(format!("{length:?}, {} workloads, {cuts} connections cut", workloads.len()));
    report_usage(&mut outcome, &samples, ground.size);
    report_tables(&mut outcome, &house, ground.size).await?;
    outcome.demand(cuts > 0, "nothing went wrong: nothing was shown");
    let alerts = i64::try_from(2 * workloads.len())?;
    outcome.judge(&house, &Sent { workloads: &workloads, alerts, replies: 2 }).await?;
    Ok(outcome)
}

/// What is resolved before its investigation begins is not investigated.
async fn until_investigated(house: &House, workload: &str) -> Result<()> {
    let until = Instant::now() + DRAIN;
    let waiting = "select exists (select 1 from investigations
                   where state in ('queued', 'running') and workload = 'lab/chaos/Deployment/' || $1)";
    while sqlx::query_scalar(waiting).bind(workload).fetch_one(&house.pool).await? {
        ensure!(Instant::now() < until, "{workload} is not investigated");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn resolve(sender: &Sender, workloads: &[String]) -> Result<()> {
    let over = |name: &String| Alert { is_resolved: true, ..Alert::firing(name) };
    sender.deliver(&workloads.iter().map(over).collect::<Vec<_>>()).await
}

fn report_usage(outcome: &mut Outcome, samples: &[(Duration, Usage)], size: Size) {
    let (early, late) = samples.split_at(samples.len() / 2);
    let most = |half: &[(Duration, Usage)], of: fn(&Usage) -> u64| {
        half.iter().map(|(_, usage)| of(usage)).max().unwrap_or(0)
    };
    let growth = slope(late);
    let last = samples.last().map(|(_, usage)| *usage).unwrap_or_default();
    let descriptors = (most(early, |usage| usage.descriptors), most(late, |usage| usage.descriptors));
    let threads = (most(early, |usage| usage.threads), most(late, |usage| usage.threads));
    outcome.figure(format!(
        "RSS {} MiB (peak {} MiB), second half {:+.1} MiB/h; descriptors at most {} then {}, threads {} then {}",
        last.rss_kib / 1024,
        last.peak_rss_kib / 1024,
        growth / 1024.0,
        descriptors.0,
        descriptors.1,
        threads.0,
        threads.1
    ));
    let bound = size.pick(MAX_DESCRIPTORS_SHORT, descriptors.0 + MAX_MORE_DESCRIPTORS);
    outcome.demand(descriptors.1 <= bound, format!("more than {bound} file descriptors: they grow"));
    outcome.demand(threads.1 <= threads.0 + MAX_MORE_THREADS, "threads grow");
    if size == Size::Long {
        outcome
            .demand(growth < MAX_GROWTH_KIB_PER_HOUR, format!("RSS grows by {:.1} MiB/h", growth / 1024.0));
    }
}

/// KiB an hour, by least squares.
fn slope(samples: &[(Duration, Usage)]) -> f64 {
    let points: Vec<(f64, f64)> =
        samples.iter().map(|(at, usage)| (at.as_secs_f64() / 3600.0, usage.rss_kib as f64)).collect();
    let count = points.len().max(1) as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|(x, _)| x).sum::<f64>() / count,
        points.iter().map(|(_, y)| y).sum::<f64>() / count,
    );
    let (rise, run) = points.iter().fold((0.0, 0.0), |(rise, run), (x, y)| {
        (rise + (x - mean_x) * (y - mean_y), run + (x - mean_x).powi(2))
    });
    if run == 0.0 { 0.0 } else { rise / run }
}

async fn report_tables(outcome: &mut Outcome, house: &House, size: Size) -> Result<()> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "select relname::text, n_live_tup, n_dead_tup, pg_total_relation_size(relid) from pg_stat_user_tables
         where schemaname = 'public' and n_live_tup + n_dead_tup > 0 order by 4 desc",
    )
    .fetch_all(&house.pool)
    .await?;
    for (table, live, dead, bytes) in rows {
        outcome.figure(format!("{table}: {live} rows, {dead} dead, {} KiB", bytes / 1024));
        let is_bounded = dead <= FEW_ROWS || dead as f64 <= MAX_DEAD_SHARE * live as f64;
        outcome.demand(
            size == Size::Short || is_bounded,
            format!("{table} holds {dead} dead rows beside {live}"),
        );
    }
    Ok(())
}
