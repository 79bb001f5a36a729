//! `whodunit config explain`: which policy an alert would get, why no other, and what that means for it. It reads the
//! settings and asks nobody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use clap::Args;

use super::Config;
use crate::alert::{Alert, Severity, Source, Status};
use crate::app;
use crate::incident::cluster::Belonging;
use crate::policy::team::{Fate, compile};
use crate::policy::{About, Allowed, Chosen, Namespaces, Purse};
use crate::settings::{Investigate, Settings};
use crate::source::kubernetes::policy_object::PolicyObject;
use crate::workload::Workload;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    config: Config,
    /// Labels of the alert: alertname=KubePodCrashLooping,team=data
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<String>,
    #[arg(long, value_name = "NAME", default_value = "")]
    namespace: String,
    /// Unset: the label `cluster`, else kubernetes.cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// critical, warning, info or none. Unset: the label `severity`
    #[arg(long, value_name = "WORD")]
    severity: Option<String>,
    /// As in 2026-11-21T23:00:00Z or 2026-11-21T23:00:00+01:00. Unset: now
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// Objects of the kind InvestigationPolicy, as if they were in the cluster; several with --- between them
    #[arg(long, value_name = "FILE")]
    policy_object: Vec<PathBuf>,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = options.config.load()?;
    let (teams, fates) = objects(options, &Allowed::new(&settings)?)?;
    let policies = app::policies(&settings)?.with_teams(None, teams);
    let at = options.at.unwrap_or_else(Utc::now);
    let mut alert = alert(options, at)?;
    Belonging::new(&settings)?.settle(&mut alert, options.cluster.as_deref());
    let label = |name| alert.label(name).map(str::to_owned);
    let namespace =
        Some(options.namespace.clone()).filter(|name| !name.is_empty()).or_else(|| label("namespace"));
    let cluster = label("cluster").unwrap_or_else(|| settings.kubernetes.cluster.clone());
    // Nothing but its namespace and cluster is asked of a workload.
    let workload = Workload::new(cluster, namespace.unwrap_or_default(), "Deployment", "any");
    let alerts = std::slice::from_ref(&alert);
    let chosen = policies.choose(&About { workload: &workload, severity: alert.severity, alerts, at });
    let purse = policies.purse(&workload, &chosen);
    print!("{}{}", told(&settings, &alert, &chosen, &purse), fates.concat());
    Ok(ExitCode::SUCCESS)
}

/// The policies of the files, and of each that does not hold why.
fn objects(options: &Options, allowed: &Allowed) -> anyhow::Result<(Namespaces, Vec<String>)> {
    let mut by_namespace: BTreeMap<String, Vec<PolicyObject>> = BTreeMap::new();
    for file in &options.policy_object {
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&text).map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
        for document in documents.into_iter().filter(|one| !one.is_null()) {
            let object =
                PolicyObject::of(&document).with_context(|| format!("{shown}: no InvestigationPolicy"))?;
            ensure!(!object.namespace.is_empty(), "{shown}: {} names no metadata.namespace", object.name);
            by_namespace.entry(object.namespace.clone()).or_default().push(object);
        }
    }
    let (mut namespaces, mut lines) = (Namespaces::new(), Vec::new());
    for (namespace, objects) in by_namespace {
        let (policies, fates) = compile(&objects, allowed);
        for (object, fate) in objects.iter().zip(fates) {
            let why = match fate {
                Fate::InForce => continue,
                Fate::Shadowed(by) => format!("never reached: all that fits it fits {by} first"),
                Fate::Invalid(why) | Fate::UnknownModel(why) | Fate::ChannelNotAllowed(why) => {
                    format!("not accepted: {why}")
                }
            };
            lines.push(format!("{namespace}/{}: {why}\n", object.name));
        }
        namespaces.insert(namespace, Arc::new(policies));
    }
    Ok((namespaces, lines))
}

fn alert(options: &Options, at: DateTime<Utc>) -> anyhow::Result<Alert> {
    let mut alert = Alert {
        source: Source::Alertmanager,
        status: Status::Firing,
        fingerprint: String::new(),
        starts_at: at,
        ends_at: None,
        severity: Severity::Warning,
        labels: Default::default(),
        annotations: Default::default(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    };
    for pair in &options.labels {
        let (name, value) =
            pair.split_once('=').with_context(|| format!("--labels {pair}: write NAME=VALUE"))?;
        alert.labels.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    if let Some(word) = options.severity.as_deref().or(alert.label("severity")) {
        alert.severity = Severity::from_word(word);
    }
    Ok(alert)
}

fn told(settings: &Settings, alert: &Alert, chosen: &Chosen<'_>, purse: &Purse) -> String {
    let mut lines = Vec::new();
    match chosen.policy {
        Some(policy) => lines.push(format!("{} ({}): {}", policy.name, chosen.place, chosen.reason)),
        None => lines.push(format!("No policy: {}; the settings hold.", chosen.reason)),
    }
    if let Some(team) = &chosen.team {
        lines.push(format!("within it {} (InvestigationPolicy): {}", team.policy.name, team.reason));
    }
    for (place, name, why) in &chosen.passed {
        lines.push(format!("  not {name} ({place}): {why}"));
    }
    lines.push(String::new());
    lines.extend(
        consequences(settings, alert, chosen).into_iter().map(|(what, said)| format!("{what:12} {said}")),
    );
    lines.push(format!("{:12} {}", "money", money(purse)));
    lines.join("\n") + "\n"
}

fn consequences(settings: &Settings, alert: &Alert, chosen: &Chosen<'_>) -> Vec<(&'static str, String)> {
    let investigate = chosen.investigate();
    let mut told = vec![("investigate", investigate.as_str().to_owned())];
    if investigate == Investigate::Never {
        return told;
    }
    let usual = if alert.severity == Severity::Critical { 0 } else { settings.intake.settle_secs };
    let settle = chosen.settle().map_or(usual, |settle| settle.as_secs());
    let cooldown = chosen.cooldown(Duration::from_secs(settings.intake.cooldown_secs)).as_secs();
    told.push(("settle", format!("{settle} s")));
    told.push(("cooldown", format!("{cooldown} s")));
    let channel = chosen.channel().map(|(channel, _)| channel.to_owned());
    told.push(("channel", channel.unwrap_or_else(|| "as slack.routes and slack.channel say".to_owned())));
    if investigate == Investigate::SignaturesOnly {
        return told;
    }
    let agent = chosen.agent(&settings.agent);
    let (steps, seconds, tokens, usd) = (agent.steps, agent.seconds, agent.tokens, agent.usd);
    told.push(("budget", format!("{steps} steps, {seconds} s, {tokens} tokens, ${usd:.2} a run")));
    let models =
        chosen.models().unwrap_or_else(|| settings.models.iter().map(|model| model.name.clone()).collect());
    told.push((
        "models",
        if models.is_empty() { "none is configured".to_owned() } else { models.join(", ") },
    ));
    told
}

/// Each limit of 24 hours.
fn money(purse: &Purse) -> String {
    let mut limits = Vec::new();
    if let Some(usd) = purse.namespace_usd {
        limits.push(format!("${usd:.2} of the namespace {}", purse.namespace));
    }
    if let Some(count) = purse.namespace_investigations {
        limits.push(format!("{count} investigations with a model of the namespace {}", purse.namespace));
    }
    if let Some(usd) = purse.policy_usd {
        limits.push(format!("${usd:.2} of the policy {}", purse.policy));
    }
    if let Some(usd) = purse.team_usd {
        limits.push(format!("${usd:.2} of the policy {}", purse.team));
    }
    limits.push(format!("${:.2} of everybody", purse.usd_per_day));
    format!("{} within 24 hours", limits.join(", "))
}
