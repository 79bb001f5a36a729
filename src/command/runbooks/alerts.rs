//! `whodunit runbooks alerts`: which workload an alert of kube-prometheus is about, and which signatures can
//! answer it. The names and labels are data; everything else is asked of the code that serves real alerts.

use std::collections::BTreeMap;
use std::process::ExitCode;

use chrono::Utc;
use clap::Args;

use crate::alert::{Alert, Severity, Source, Status};
use crate::incident::resolve::Resolver;
use crate::runbook::Catalogue;
use crate::signature;

/// Names and labels of kube-prometheus' alerts about Kubernetes, nodes and the pipeline, as of its commit
/// 4d719f1; a line is names, a tab, and the labels that an alert carries.
const KNOWN: &str = include_str!("alerts.tsv");
/// As many ids are listed one by one; more are counted by runbook.
const MAX_LISTED: usize = 5;

#[derive(Args)]
pub struct Options {
    /// As a table for a README
    #[arg(long)]
    markdown: bool,
}

pub fn run(options: &Options) -> ExitCode {
    let catalogue = Catalogue::builtin();
    let resolver = Resolver::default();
    if options.markdown {
        println!("| alert | workload | signatures that can answer it |\n|---|---|---|");
    }
    for line in KNOWN.lines() {
        let (names, labels) = line.split_once('\t').unwrap_or((line, ""));
        let Some(first) = names.split(' ').next() else { continue };
        let alert = alert(first, labels);
        let workload = resolver.guess(&alert);
        let answers = answers(&catalogue, first);
        if options.markdown {
            println!("| {} | {} | {answers} |", names.replace(' ', ", "), workload.kind);
        } else {
            println!("{}\t{}\t{answers}", names.replace(' ', ", "), workload.kind);
        }
    }
    ExitCode::SUCCESS
}

fn alert(name: &str, labels: &str) -> Alert {
    let pairs = labels.split(' ').filter_map(|pair| pair.split_once('='));
    let mut labels: BTreeMap<String, String> =
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    labels.insert("alertname".to_owned(), name.to_owned());
    Alert {
        source: Source::Manual,
        status: Status::Firing,
        fingerprint: name.to_owned(),
        starts_at: Utc::now(),
        ends_at: None,
        severity: Severity::Warning,
        labels,
        annotations: BTreeMap::new(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    }
}

fn answers(catalogue: &Catalogue, alert: &str) -> String {
    let alerts = [alert.to_owned()];
    if signature::fire_by_design(&alerts) {
        return "none: it fires by design (`not_an_incident`)".to_owned();
    }
    if !signature::is_known(alert) {
        return "no family of signatures is preferred".to_owned();
    }
    let mut by_runbook: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for runbook in catalogue.runbooks() {
        let fitting = runbook.signatures.iter().filter(|one| signature::answers(&alerts, one));
        let ids: Vec<&str> = fitting.map(|one| one.id.as_str()).collect();
        if !ids.is_empty() {
            by_runbook.insert(&runbook.name, ids);
        }
    }
    let all: Vec<&str> = by_runbook.values().flatten().copied().collect();
    if all.len() <= MAX_LISTED {
        return all.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    }
    let counted = by_runbook.iter().map(|(runbook, ids)| format!("{runbook} ({})", ids.len()));
    counted.collect::<Vec<_>>().join(", ")
}
