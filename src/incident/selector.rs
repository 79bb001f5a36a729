//! Which incidents a rule of the settings is about: the `match` of a route or an outlet goes in, compiled once; whether
//! an incident fits it comes out, with the reason in words. Pure.

use globset::{GlobBuilder, GlobMatcher};

use crate::alert::{Alert, Severity};
use crate::settings::RouteMatch;
use crate::workload::Workload;

const SEVERITIES: [Severity; 4] = [Severity::None, Severity::Info, Severity::Warning, Severity::Critical];

/// A compiled `match`. One without any key is about every incident.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    alerts: Vec<GlobMatcher>,
    labels: Vec<(String, GlobMatcher)>,
    namespaces: Vec<GlobMatcher>,
    clusters: Vec<GlobMatcher>,
    severities: Vec<GlobMatcher>,
    owners: Vec<GlobMatcher>,
}

/// What is known of an incident when it is told of.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub workload: &'a Workload,
    pub severity: Severity,
    /// Of a storm none: its members have them.
    pub alerts: &'a [Alert],
    /// Of the runbook that these alerts choose; "" where none does, or nobody owns it.
    pub owner: &'a str,
}

impl Selector {
    /// # Errors
    /// The first key that cannot work, in words.
    pub fn new(keys: &RouteMatch) -> Result<Self, String> {
        let RouteMatch { alerts, labels, namespaces, clusters, severities, owners } = keys;
        let severities = globs(severities)?;
        let known = |glob: &GlobMatcher| SEVERITIES.iter().any(|one| glob.is_match(one.as_str()));
        if let Some(unknown) = severities.iter().find(|glob| !known(glob)) {
            let unknown = unknown.glob().glob();
            return Err(format!("`{unknown}` is no severity; they are critical, warning, info and none"));
        }
        Ok(Self {
            alerts: globs(alerts)?,
            labels: labels
                .iter()
                .map(|(name, text)| Ok((name.clone(), glob(text)?)))
                .collect::<Result<_, String>>()?,
            namespaces: globs(namespaces)?,
            clusters: globs(clusters)?,
            severities,
            owners: globs(owners)?,
        })
    }

    /// Whether it is about every incident.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.alerts, &self.namespaces, &self.clusters, &self.severities, &self.owners];
        self.labels.is_empty() && lists.iter().all(|list| list.is_empty())
    }

    /// Why every key holds, or None.
    pub fn reason(&self, about: About<'_>) -> Option<String> {
        let mut words = Vec::new();
        if !self.alerts.is_empty() || !self.labels.is_empty() {
            words.extend(about.alerts.iter().find_map(|alert| self.alert_reason(alert))?);
        }
        let workload = about.workload;
        let namespace = if workload.kind == "Namespace" { &workload.name } else { &workload.namespace };
        for (what, globs, value) in [
            ("namespace", &self.namespaces, namespace.as_str()),
            ("cluster", &self.clusters, workload.cluster.as_str()),
            ("severity", &self.severities, about.severity.as_str()),
            ("runbook owner", &self.owners, about.owner),
        ] {
            if !globs.is_empty() {
                let glob = globs.iter().find(|glob| !value.is_empty() && glob.is_match(value))?;
                words.push(format!("{what} {value} fits `{}`", glob.glob().glob()));
            }
        }
        Some(words.join("; "))
    }

    fn alert_reason(&self, alert: &Alert) -> Option<Vec<String>> {
        let mut words = Vec::new();
        for (name, glob) in &self.labels {
            let value = alert.label(name).filter(|value| glob.is_match(value))?;
            words.push(format!("label {name}={value} fits `{}`", glob.glob().glob()));
        }
        if !self.alerts.is_empty() {
            let glob = self.alerts.iter().find(|glob| glob.is_match(alert.name()))?;
            words.push(format!("alert {} fits `{}`", alert.name(), glob.glob().glob()));
        }
        Some(words)
    }
}

fn globs(list: &[String]) -> Result<Vec<GlobMatcher>, String> {
    list.iter().map(|text| glob(text)).collect()
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).build().map_err(|error| format!("`{text}` is not a glob: {error}"))?;
    Ok(glob.compile_matcher())
}
