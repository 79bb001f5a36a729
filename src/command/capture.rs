//! `whodunit capture`: a redacted recording of one namespace, as a case that `whodunit runbooks test` replays.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::Config;
use crate::evidence::Sources;
use crate::investigator::{Attempt, Investigator};
use crate::workload::Workload;
use crate::{app, cases, telemetry};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    config: Config,
    #[arg(long, value_name = "NAME")]
    namespace: String,
    /// One of `clusters`, by its name. Unset: kubernetes.cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// A new folder; below RUNBOOKS/cases/FAMILY/ it becomes one of those runbooks' cases
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = options.config.load()?;
    telemetry::start_log(&settings.log)?;
    let (namespace, folder) = (options.namespace, options.output);
    let is_new = std::fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
    ensure!(is_new, "{} is not empty; say a new folder", folder.display());
    app::install_tls();
    let cluster = options.cluster.unwrap_or_else(|| settings.kubernetes.cluster.clone());
    let clusters = app::clusters(&settings, &app::http_client()?).await?;
    let sources =
        clusters.fleet.of(&cluster).with_context(|| format!("no cluster is called `{cluster}`"))?.clone();
    let Some(client) = sources.kubernetes.clone() else { bail!("kubernetes.enabled is false") };
    // A replay has no Prometheus, no Loki and no Tempo, so what they would add is not expected of it.
    let alone = Sources { prometheus: None, loki: None, tempo: None, ..sources };
    let catalogue = Arc::new(app::catalogue(&settings).await?);
    let investigator = Investigator::new(alone, Arc::clone(&catalogue), None);
    let workload = Workload::new(&cluster, "", "Namespace", &namespace);
    let deadline = Duration::from_secs(settings.worker.deadline_secs);
    let mut captured = cases::capture(&client, &namespace).await;
    let report = investigator.investigate(&workload, &[], Attempt::only(deadline)).await?.report;
    let known = catalogue.all_signatures();
    let is_cause = |id: &str| known.get(id).is_some_and(|(signature, _)| !signature.catch_all);
    captured.describe(&namespace, &report, is_cause);
    for (path, text) in &captured.files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(&folder);
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    captured.gaps.iter().for_each(|gap| eprintln!("not recorded: {gap}"));
    println!("{} files in {}.", captured.files.len(), folder.display());
    println!(
        "Secrets were not read and values of ConfigMaps left out. Look through the files before you share them."
    );
    println!("Replay it: whodunit runbooks test {}", folder.display());
    Ok(ExitCode::SUCCESS)
}
