//! How well the service at fault is found among series: top-1, top-3 and Avg@5 beside a plain z-score in the same run,
//! on invented cases, and on a folder that `WHODUNIT_RCA` names: folders `SERVICE_FAULT…`, somewhere below each
//! `normal.csv` and `anomalous.csv`, or `data.csv` with `inject_time.txt`; columns `SERVICE_METRIC`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use whodunit::series::rank::{Metric, owner, rank};

#[path = "../../src/series/tests/synthetic.rs"]
mod synthetic;

const CASES: usize = 200;
const SEED: u64 = 7;
const TOP: usize = 5;
/// A column of time is no metric.
const TIMES: [&str; 3] = ["time", "timestamp", "time.1"];

/// Prints all figures.
pub fn print(print: fn(&str, &str)) -> Result<()> {
    let mut own = Figures::default();
    for case in synthetic::cases(CASES, SEED) {
        own.add(case.fault, &case.culprit, &case.metrics);
    }
    own.print("invented cases", print);
    let Some(folder) = std::env::var_os("WHODUNIT_RCA") else {
        print("root cause on a folder", "skipped: WHODUNIT_RCA names no folder");
        return Ok(());
    };
    let mut figures = Figures::default();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Some(metrics) = metrics(&folder)? else {
            let entries = std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
            folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()));
            continue;
        };
        match truth(&folder, &metrics) {
            Some((culprit, fault)) => figures.add(&fault, &culprit, &metrics),
            None => print("root cause, left out", &format!("{}: no service in its name", folder.display())),
        }
    }
    figures.print("folder", print);
    Ok(())
}

/// Places of the culprits, by fault: ours and those of a plain z-score.
#[derive(Default)]
struct Figures(BTreeMap<String, Vec<(usize, usize)>>);

impl Figures {
    fn add(&mut self, fault: &str, culprit: &str, metrics: &[Metric]) {
        let place = |names: Vec<String>| names.iter().position(|name| name == culprit).unwrap_or(usize::MAX);
        let ours = place(rank(metrics).into_iter().map(|suspect| suspect.service).collect());
        self.0.entry(fault.to_owned()).or_default().push((ours, place(z_scores(metrics))));
    }

    fn print(&self, name: &str, print: fn(&str, &str)) {
        let all: Vec<(usize, usize)> = self.0.values().flatten().copied().collect();
        for (fault, places) in
            self.0.iter().map(|(fault, places)| (fault.as_str(), places)).chain([("all", &all)])
        {
            let told = |of: fn(&(usize, usize)) -> usize| {
                let at = |k: usize| {
                    places.iter().filter(|both| of(both) < k).count() as f64 / places.len().max(1) as f64
                };
                let average = (1..=TOP).map(at).sum::<f64>() / TOP as f64;
                format!("top-1 {:.2}, top-3 {:.2}, Avg@5 {average:.3}", at(1), at(3))
            };
            let text =
                format!("{}; z-score {} ({} cases)", told(|both| both.0), told(|both| both.1), places.len());
            print(&format!("root cause, {name}, {fault}"), &text);
        }
    }
}

/// The farthest sample after in standard deviations before, by service; the farthest first.
fn z_scores(metrics: &[Metric]) -> Vec<String> {
    let mut best: BTreeMap<&str, f64> = BTreeMap::new();
    let services = metrics.iter().map(|metric| metric.service.as_str()).collect();
    for metric in metrics {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let middle = mean(&metric.before);
        let deviation = mean(&metric.before.iter().map(|v| (v - middle).powi(2)).collect::<Vec<_>>()).sqrt();
        let far = metric.after.iter().map(|v| (v - middle).abs()).fold(0.0, f64::max);
        let place = best.entry(owner(&metric.service, &services)).or_default();
        *place = place.max(if deviation > 0.0 { far / deviation } else { 0.0 });
    }
    let mut all: Vec<(&str, f64)> = best.into_iter().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    all.into_iter().map(|(service, _)| service.to_owned()).collect()
}

/// None where this folder holds no case.
fn metrics(folder: &Path) -> Result<Option<Vec<Metric>>> {
    let (normal, anomalous) = (folder.join("normal.csv"), folder.join("anomalous.csv"));
    let (before, after) = if normal.is_file() && anomalous.is_file() {
        (columns(&normal)?, columns(&anomalous)?)
    } else {
        let (data, inject) = (folder.join("data.csv"), folder.join("inject_time.txt"));
        if !data.is_file() || !inject.is_file() {
            return Ok(None);
        }
        let at: f64 = std::fs::read_to_string(inject)?.trim().parse().context("inject_time.txt")?;
        let all = columns(&data)?;
        let times =
            all.iter().find(|(name, _)| TIMES.contains(&name.as_str())).map(|(_, times)| times.clone());
        let times = times.context("no column `time`")?;
        let part = |is_after: bool| -> Columns {
            let chosen = |values: &Vec<f64>| {
                let both = values.iter().zip(&times).filter(|(_, time)| (**time >= at) == is_after);
                both.map(|(value, _)| *value).collect()
            };
            all.iter().map(|(name, values)| (name.clone(), chosen(values))).collect()
        };
        (part(false), part(true))
    };
    let mut metrics = Vec::new();
    for (name, before) in before {
        let (Some((service, metric)), Some(after)) = (name.split_once('_'), after.get(&name)) else {
            continue;
        };
        metrics.push(Metric {
            service: service.to_owned(),
            name: metric.to_owned(),
            before,
            after: after.clone(),
        });
    }
    Ok(Some(metrics))
}

type Columns = BTreeMap<String, Vec<f64>>;

/// Numbers by column; what is no number is left out with its row's place kept as NaN.
fn columns(file: &Path) -> Result<Columns> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let mut lines = text.lines();
    let head: Vec<&str> =
        lines.next().unwrap_or_default().split(',').map(|name| name.trim().trim_matches('"')).collect();
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); head.len()];
    for line in lines {
        for (column, cell) in columns.iter_mut().zip(line.split(',')) {
            column.push(cell.trim().trim_matches('"').parse().unwrap_or(f64::NAN));
        }
    }
    Ok(head.into_iter().map(str::to_owned).zip(columns).filter(|(name, _)| !name.is_empty()).collect())
}

/// Service and fault of the nearest folder above whose name begins with a service of these metrics.
fn truth(folder: &Path, metrics: &[Metric]) -> Option<(String, String)> {
    let services = metrics.iter().map(|metric| metric.service.as_str()).collect();
    folder.ancestors().find_map(|folder| {
        let name = folder.file_name()?.to_str()?;
        let known = metrics.iter().filter(|metric| {
            name.strip_prefix(metric.service.as_str()).is_some_and(|rest| rest.starts_with('_'))
        });
        let service = known.max_by_key(|metric| metric.service.len())?.service.as_str();
        let fault = name.get(service.len() + 1..)?.split('_').next()?;
        Some((owner(service, &services).to_owned(), fault.to_owned()))
    })
}
