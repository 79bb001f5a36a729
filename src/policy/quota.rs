//! What a namespace may cost: quotas of the settings come in, the purse of one run goes out. Pure; what was spent is
//! counted where the money is.

use std::collections::BTreeMap;

use globset::GlobMatcher;

use super::matching::globs;
use crate::settings;

/// A quota, compiled. Each namespace that fits has one of its own.
#[derive(Debug, Clone)]
pub(super) struct Quota {
    namespaces: Vec<GlobMatcher>,
    clusters: Vec<GlobMatcher>,
    pub(super) usd_per_day: Option<f64>,
    pub(super) investigations_per_day: Option<u32>,
}

/// Whose money a run spends, and how much there is of it within 24 hours.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Purse {
    /// Of everything.
    pub usd_per_day: f64,
    /// "" where no policy fits.
    pub policy: String,
    pub policy_usd: Option<f64>,
    /// The team's policy, `namespace/name` in the purse's cluster; "" where none fits.
    pub team: String,
    pub team_usd: Option<f64>,
    pub cluster: String,
    /// "" for what has none.
    pub namespace: String,
    pub namespace_usd: Option<f64>,
    pub namespace_investigations: Option<u32>,
}

impl Quota {
    pub(super) fn new(settings: &settings::Quota) -> Result<Self, String> {
        if settings.namespaces.is_empty() {
            return Err("it names no namespaces; [\"*\"] gives each its own".to_owned());
        }
        if settings.usd_per_day.is_none() && settings.investigations_per_day.is_none() {
            return Err("it limits nothing: set usd_per_day or investigations_per_day".to_owned());
        }
        money("usd_per_day", settings.usd_per_day)?;
        Ok(Self {
            namespaces: globs(&settings.namespaces)?,
            clusters: globs(&settings.clusters)?,
            usd_per_day: settings.usd_per_day,
            investigations_per_day: settings.investigations_per_day,
        })
    }

    pub(super) fn fits(&self, cluster: &str, namespace: &str) -> bool {
        let any = |globs: &[GlobMatcher], value: &str| globs.iter().any(|glob| glob.is_match(value));
        !namespace.is_empty()
            && any(&self.namespaces, namespace)
            && (self.clusters.is_empty() || any(&self.clusters, cluster))
    }
}

/// Dollars a day of all namespaces that quotas name without a glob, each counted once, by its first quota.
pub fn promised(quotas: &[settings::Quota]) -> f64 {
    let is_name = |text: &&String| !text.contains(['*', '?', '[', '{']);
    let everywhere = [String::new()];
    let mut each: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for quota in quotas {
        let usd = quota.usd_per_day.unwrap_or_default();
        let clusters = if quota.clusters.is_empty() { &everywhere[..] } else { &quota.clusters };
        for cluster in clusters.iter().filter(is_name) {
            for namespace in quota.namespaces.iter().filter(is_name) {
                each.entry((cluster, namespace)).or_insert(usd);
            }
        }
    }
    each.values().sum()
}

pub(super) fn money(name: &str, usd: Option<f64>) -> Result<(), String> {
    match usd {
        Some(usd) if !usd.is_finite() || usd < 0.0 => Err(format!("{name} is {usd}, which is no money")),
        _ => Ok(()),
    }
}
