//! What Prometheus cannot scrape: alerts that say so come in, rows of the targets that they mean go out, with
//! Prometheus' own words about the last scrape. Pure; which alerts say so is known by their names.

use chrono::Datelike;

use super::ledger::{Ledger, clean};
use super::metrics::Measurements;
use crate::alert::Alert;
use crate::facts::TargetFact;
use crate::source::prometheus::Target;

/// Targets that are told; a job may have thousands.
const MAX_TARGETS: usize = 8;
const UP: &str = "up";
/// Parts of the names of alerts whose condition is `up == 0`: kube-prometheus', and those of common collections of rules.
const ABOUT_TARGETS: [&str; 8] = [
    "TargetDown",
    "TargetMissing",
    "TargetsMissing",
    "TargetsDown",
    "InstanceUnreachable",
    "InstanceDown",
    "ExporterDown",
    "ScrapeFail",
];

/// Whether one of these alerts says that a scrape fails.
pub fn are_meant(alerts: &[String]) -> bool {
    alerts.iter().any(|name| says_so(name))
}

/// Those of all targets that a firing alert means and that are not up.
pub fn meant(all: Vec<Target>, alerts: &[Alert]) -> Vec<Target> {
    let about: Vec<&Alert> =
        alerts.iter().filter(|alert| alert.is_firing() && says_so(alert.name())).collect();
    let failing = all.into_iter().filter(|target| target.health != UP);
    failing.filter(|target| about.iter().any(|alert| means(alert, target))).take(MAX_TARGETS).collect()
}

pub fn rows(told: &Measurements, ledger: &mut Ledger) -> Vec<TargetFact> {
    let mut rows = Vec::new();
    for target in &told.targets {
        let label = |name: &str| clean(target.labels.get(name).map_or("", String::as_str));
        let mut row = TargetFact {
            job: label("job"),
            instance: label("instance"),
            namespace: label("namespace"),
            service: label("service"),
            pod: label("pod"),
            url: clean(&target.scrape_url),
            health: clean(&target.health),
            error: clean(&target.last_error),
            last_scrape: target.last_scrape.filter(|at| at.year() > 1),
            ..TargetFact::default()
        };
        let page = ledger.open("prometheus", &told.targets_query, 0);
        let quote = ledger.line(page, &line(&row));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        rows.push(row);
    }
    rows
}

fn says_so(alert: &str) -> bool {
    ABOUT_TARGETS.iter().any(|part| alert.contains(part))
}

/// The alert names the job or the instance, and contradicts no label of the target. What else it has was added by its
/// rule or by what sends it.
fn means(alert: &Alert, target: &Target) -> bool {
    let names = |label: &str| {
        alert.label(label).is_some_and(|value| target.labels.get(label).is_some_and(|own| own == value))
    };
    let fits =
        alert.labels.iter().all(|(label, value)| target.labels.get(label).is_none_or(|own| own == value));
    fits && (names("job") || names("instance"))
}

fn line(row: &TargetFact) -> String {
    let scraped = match row.last_scrape {
        Some(at) => format!("last scrape {}", at.format("%H:%M:%S")),
        None => "not scraped yet".to_owned(),
    };
    let error = if row.error.is_empty() { String::new() } else { format!(": {}", row.error) };
    format!("target {} of job {}: {}, {scraped}{error}", row.url, row.job, row.health)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::alert::Status;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn alert(pairs: &[(&str, &str)]) -> Alert {
        Alert { labels: labels(pairs), ..crate::evidence::tests::alert("2026-11-21T10:00:00Z") }
    }

    #[test]
    fn the_targets_of_an_alert_are_those_that_its_labels_name_and_that_are_not_up() {
        let target = |health: &str, pairs: &[(&str, &str)]| Target {
            labels: labels(pairs),
            health: health.to_owned(),
            ..Target::default()
        };
        let all = || {
            vec![
                target("down", &[("job", "api"), ("instance", "a:1"), ("namespace", "shop")]),
                target("up", &[("job", "api"), ("instance", "b:1"), ("namespace", "shop")]),
                target("down", &[("job", "api"), ("instance", "c:1"), ("namespace", "pay")]),
                target("unknown", &[("job", "db"), ("instance", "d:1"), ("namespace", "shop")]),
            ]
        };
        let found = |alert: Alert| -> Vec<String> {
            meant(all(), &[alert]).iter().map(|one| one.labels["instance"].clone()).collect()
        };
        let down = [("alertname", "TargetDown"), ("cluster", "lab"), ("severity", "warning")];
        let with = |pairs: &[(&'static str, &'static str)]| alert(&[&down[..], pairs].concat());
        assert_eq!(found(with(&[("job", "api"), ("namespace", "shop")])), ["a:1"]);
        assert_eq!(found(with(&[("job", "api")])), ["a:1", "c:1"]);
        assert_eq!(found(with(&[("instance", "d:1")])), ["d:1"]);
        assert!(found(with(&[("namespace", "shop")])).is_empty(), "it names neither job nor instance");
        assert!(found(alert(&[("alertname", "HighErrorRate"), ("job", "api")])).is_empty());
        let over = Alert { status: Status::Resolved, ..with(&[("job", "api")]) };
        assert!(found(over).is_empty());
    }
}
