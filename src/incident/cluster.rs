//! Which cluster an alert belongs to: the way it came by, else its label. Alerts come in and go out with the cluster's
//! own name in the label `cluster`, which all later rooms read. Pure; it asks no cluster.

use globset::{Glob, GlobMatcher};

use crate::alert::Alert;
use crate::settings::Settings;

/// What every later room reads.
const LABEL: &str = "cluster";

/// The clusters that are known, and the label that names them.
#[derive(Debug, Clone, Default)]
pub struct Belonging {
    /// `intake.cluster_label`.
    label: String,
    clusters: Vec<(String, Vec<GlobMatcher>)>,
}

impl Belonging {
    /// # Errors
    /// An alias that is no glob, by its cluster.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut clusters = Vec::new();
        for cluster in &settings.clusters {
            let mut aliases = Vec::new();
            for alias in &cluster.aliases {
                let glob = Glob::new(alias).map_err(|error| {
                    anyhow::anyhow!("clusters: {}: aliases: `{alias}`: {error}", cluster.name)
                })?;
                aliases.push(glob.compile_matcher());
            }
            clusters.push((cluster.name.clone(), aliases));
        }
        Ok(Self { label: settings.intake.cluster_label.clone(), clusters })
    }

    /// Writes the cluster's own name into the alert. `bound` is the cluster of the way it came by, which counts more
    /// than what the alert says of itself. The same labels of two clusters are two alerts.
    pub fn settle(&self, alert: &mut Alert, bound: Option<&str>) {
        let told = alert.label(&self.label).or_else(|| alert.label(LABEL));
        let Some(name) = bound.or(told).map(|name| self.own_name(name).to_owned()) else { return };
        if alert.label(LABEL) == Some(&name) {
            return;
        }
        if bound.is_some() {
            alert.fingerprint = format!("{}@{name}", alert.fingerprint);
        }
        alert.labels.insert(LABEL.to_owned(), name);
    }

    fn own_name<'a>(&'a self, name: &'a str) -> &'a str {
        if self.clusters.iter().any(|(own, _)| own == name) {
            return name;
        }
        let meant =
            self.clusters.iter().find(|(_, aliases)| aliases.iter().any(|alias| alias.is_match(name)));
        meant.map_or(name, |(own, _)| own)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_way_an_alert_came_by_counts_more_than_its_label_and_an_alias_means_its_cluster() {
        let settings: Settings = serde_json::from_value(json!({
            "intake": {"cluster_label": "k8s_cluster"},
            "clusters": [{"name": "east", "aliases": ["arn:aws:eks:*:cluster/east", "e-*"]}, {"name": "west"}],
        }))
        .unwrap();
        let belonging = Belonging::new(&settings).unwrap();
        for (labels, bound, cluster, fingerprint) in [
            (json!({"k8s_cluster": "east"}), None, Some("east"), "f"),
            (json!({"k8s_cluster": "e-1", "cluster": "west"}), None, Some("east"), "f"),
            (json!({"cluster": "arn:aws:eks:eu:1:cluster/east"}), None, Some("east"), "f"),
            (json!({"cluster": "north"}), None, Some("north"), "f"),
            (json!({}), None, None, "f"),
            (json!({}), Some("west"), Some("west"), "f@west"),
            (json!({"cluster": "west"}), Some("west"), Some("west"), "f"),
            (json!({"cluster": "east"}), Some("west"), Some("west"), "f@west"),
            (json!({"cluster": "east"}), Some("north"), Some("north"), "f@north"),
        ] {
            let mut alert: Alert = serde_json::from_value(json!({
                "source": "alertmanager", "status": "firing", "fingerprint": "f", "severity": "warning",
                "starts_at": "2026-11-21T07:00:00Z", "ends_at": null, "labels": labels, "annotations": {},
                "generator_url": "", "receiver": "", "group_key": "", "subject": null, "truncated_alerts": 0,
            }))
            .unwrap();
            belonging.settle(&mut alert, bound);
            assert_eq!(
                (alert.label("cluster"), alert.fingerprint.as_str()),
                (cluster, fingerprint),
                "{labels}"
            );
        }
    }
}
