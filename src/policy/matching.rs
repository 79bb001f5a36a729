//! Whether a policy fits: what is known of an alert or an incident comes in, why every key holds or which one does
//! not goes out. Pure.

use globset::{GlobBuilder, GlobMatcher};

use super::About;
use super::times::Window;
use crate::alert::{Alert, Severity};
use crate::settings::PolicyMatch;

const SEVERITIES: [Severity; 4] = [Severity::None, Severity::Info, Severity::Warning, Severity::Critical];

/// The keys of `match`, compiled.
#[derive(Debug, Clone)]
pub(super) struct Match {
    alerts: Vec<GlobMatcher>,
    labels: Vec<(String, GlobMatcher)>,
    namespaces: Vec<GlobMatcher>,
    clusters: Vec<GlobMatcher>,
    severities: Vec<GlobMatcher>,
    times: Vec<Window>,
}

impl Match {
    pub(super) fn new(settings: &PolicyMatch) -> Result<Self, String> {
        let PolicyMatch { alerts, labels, namespaces, clusters, severities, times } = settings;
        let severities = globs(severities)?;
        let known = |glob: &GlobMatcher| SEVERITIES.iter().any(|one| glob.is_match(one.as_str()));
        if let Some(unknown) = severities.iter().find(|glob| !known(glob)) {
            let unknown = text(unknown);
            return Err(format!("`{unknown}` is no severity; they are critical, warning, info and none"));
        }
        let labels = labels.iter().map(|(name, value)| Ok((name.clone(), glob(value)?)));
        Ok(Self {
            alerts: globs(alerts)?,
            labels: labels.collect::<Result<_, String>>()?,
            namespaces: globs(namespaces)?,
            clusters: globs(clusters)?,
            severities,
            times: times.iter().map(Window::new).collect::<Result<_, _>>()?,
        })
    }

    /// Why every key holds.
    ///
    /// # Errors
    /// The first key that does not hold.
    pub(super) fn judge(&self, about: &About<'_>) -> Result<String, String> {
        let mut words = Vec::new();
        if !self.alerts.is_empty() || !self.labels.is_empty() {
            words.extend(self.judge_alerts(about.alerts)?);
        }
        for (what, globs, value) in [
            ("namespace", &self.namespaces, about.workload.tenant()),
            ("cluster", &self.clusters, about.workload.cluster.as_str()),
            ("severity", &self.severities, about.severity.as_str()),
        ] {
            if !globs.is_empty() {
                words.push(fits(what, globs, value)?);
            }
        }
        if let Some(first) = self.times.first() {
            let held = self.times.iter().find(|window| window.holds(about.at));
            let held = held.ok_or_else(|| format!("the time {} is outside of it", first.shown(about.at)))?;
            words.push(format!("the time {} is within {held}", held.shown(about.at)));
        }
        Ok(if words.is_empty() { "it fits everything".to_owned() } else { words.join("; ") })
    }

    /// One and the same alert has to have all of it.
    fn judge_alerts(&self, alerts: &[Alert]) -> Result<Vec<String>, String> {
        let mut why_not = "there is no alert".to_owned();
        for alert in alerts {
            match self.judge_alert(alert) {
                Ok(words) => return Ok(words),
                Err(why) => why_not = why,
            }
        }
        Err(why_not)
    }

    fn judge_alert(&self, alert: &Alert) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        if !self.alerts.is_empty() {
            words.push(fits("alert", &self.alerts, alert.name())?);
        }
        for (name, glob) in &self.labels {
            let value = alert.label(name).unwrap_or_default();
            words.push(fits(&format!("label {name}"), std::slice::from_ref(glob), value)?);
        }
        Ok(words)
    }

    /// Whether everything that fits `later` fits this too, as far as the patterns themselves show it: never true where
    /// it is not so.
    pub(super) fn covers(&self, later: &Self) -> bool {
        let labels = self.labels.iter().all(|(name, wide)| {
            later.labels.iter().any(|(other, narrow)| name == other && is_within(narrow, wide))
        });
        let lists = [
            (&self.alerts, &later.alerts),
            (&self.namespaces, &later.namespaces),
            (&self.clusters, &later.clusters),
            (&self.severities, &later.severities),
        ];
        let all_within = lists.iter().all(|(wide, narrow)| {
            let each = |one: &GlobMatcher| wide.iter().any(|other| is_within(one, other));
            wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(each))
        });
        let each = |window| self.times.contains(window);
        let times = self.times.is_empty() || (!later.times.is_empty() && later.times.iter().all(each));
        labels && all_within && times
    }
}

/// Where nothing is known, no pattern fits.
fn fits(what: &str, globs: &[GlobMatcher], value: &str) -> Result<String, String> {
    let patterns = || globs.iter().map(|glob| format!("`{}`", text(glob))).collect::<Vec<_>>().join(", ");
    if value.is_empty() {
        return Err(format!("there is no {what} to fit {}", patterns()));
    }
    match globs.iter().find(|glob| glob.is_match(value)) {
        Some(glob) => Ok(format!("{what} {value} fits `{}`", text(glob))),
        None => Err(format!("{what} {value} does not fit {}", patterns())),
    }
}

/// The same pattern, one that fits everything, or a plain text that fits the other.
fn is_within(narrow: &GlobMatcher, wide: &GlobMatcher) -> bool {
    let plain = !text(narrow).contains(['*', '?', '[', ']', '{', '}', '!', '\\']);
    text(narrow) == text(wide) || text(wide) == "*" || (plain && wide.is_match(text(narrow)))
}

fn text(glob: &GlobMatcher) -> &str {
    glob.glob().glob()
}

pub(super) fn globs(list: &[String]) -> Result<Vec<GlobMatcher>, String> {
    list.iter().map(|text| glob(text)).collect()
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).build().map_err(|error| format!("`{text}` is not a glob: {error}"))?;
    Ok(glob.compile_matcher())
}
