//! What a new alert means for its workload's incident. Pure: alert, incident, rules and the time in,
//! decision out. Repeats never get here, but those of what a policy ignored: the caller has counted them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::alert::{Alert, Severity, Source};
use crate::policy::{About, Chosen, Policies};
use crate::settings::{self, Investigate};
use crate::workload::Workload;

/// Labels may hold anything; longer names are cut.
const MAX_NAME_CHARS: usize = 200;

/// A policy ignores the alert; the row names it. Rows are known by these words when their alert comes again: they stay
/// as they are.
pub const NEVER: &str = "its policy says never to investigate it";

/// One firing of one alert: what a resolve refers to.
pub type Occurrence = (Source, String, DateTime<Utc>);

/// The occurrence that `alert` starts or ends.
pub fn occurrence(alert: &Alert) -> Occurrence {
    (alert.source, alert.fingerprint.clone(), alert.starts_at)
}

/// The alert's name as incidents keep it, bounded.
pub fn name(alert: &Alert) -> String {
    alert.name().chars().take(MAX_NAME_CHARS).collect()
}

/// What is known of a workload's newest incident when a decision is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub open: bool,
    pub severity: Severity,
    /// Names that a finished, running or queued investigation covers.
    pub covered: BTreeSet<String>,
    /// Alerts of this incident that fire now.
    pub firing: i32,
    /// An investigation waits that will see this alert too.
    pub queued: bool,
    pub investigated_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
}

/// What is stored already of the occurrence that an alert starts or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Nothing,
    /// Its firing belongs to the incident that is decided about.
    FiresHere,
    /// Its resolve came.
    Over,
}

/// The intake's settings, compiled.
#[derive(Debug, Clone)]
pub struct Rules {
    settle: Duration,
    cooldown: Duration,
    reopen_within: Duration,
    ignore_names: Arc<GlobSet>,
    ignore_severities: Vec<Severity>,
    policies: Arc<Policies>,
}

/// What holds for one alert: the rules, and its policy where it has one.
#[derive(Debug, Clone)]
pub struct Terms<'r> {
    rules: &'r Rules,
    chosen: Chosen<'r>,
}

impl Terms<'_> {
    /// By whose word the alert is never investigated, or investigated without a model.
    pub fn decided_by(&self) -> &str {
        self.chosen.decided_by()
    }

    fn cooldown(&self) -> Duration {
        self.chosen.cooldown(self.rules.cooldown)
    }

    /// Critical alerts do not wait, unless their policy says so: somebody is getting out of bed.
    fn settle(&self, alert: &Alert) -> Duration {
        let usual = if alert.severity == Severity::Critical { Duration::ZERO } else { self.rules.settle };
        self.chosen.settle().unwrap_or(usual)
    }

    /// Who asks by hand is answered.
    fn is_never(&self, alert: &Alert) -> bool {
        let never = self.chosen.investigate() == Investigate::Never;
        never && alert.is_firing() && alert.source != Source::Manual
    }
}

impl Rules {
    /// The policies of which the first that fits an alert holds for it. Cheap.
    #[must_use]
    pub fn with_policies(self, policies: Arc<Policies>) -> Self {
        Self { policies, ..self }
    }

    /// What holds for an alert about a workload.
    pub fn terms(&self, alert: &Alert, workload: &Workload, now: DateTime<Utc>) -> Terms<'_> {
        let alerts = std::slice::from_ref(alert);
        let about = About { workload, severity: alert.severity, alerts, at: now };
        Terms { rules: self, chosen: self.policies.choose(&about) }
    }

    /// # Errors
    /// A glob of `intake.ignore_alerts` that cannot be read, by name.
    pub fn new(settings: &settings::Intake) -> anyhow::Result<Self> {
        let mut names = GlobSetBuilder::new();
        for pattern in &settings.ignore_alerts {
            let glob = Glob::new(pattern)
                .map_err(|error| anyhow::anyhow!("intake.ignore_alerts: `{pattern}`: {error}"))?;
            names.add(glob);
        }
        Ok(Self {
            settle: Duration::from_secs(settings.settle_secs),
            cooldown: Duration::from_secs(settings.cooldown_secs),
            reopen_within: Duration::from_secs(settings.reopen_within_secs),
            ignore_names: Arc::new(names.build()?),
            ignore_severities: settings
                .ignore_severities
                .iter()
                .map(|word| Severity::from_word(word))
                .collect(),
            policies: Arc::default(),
        })
    }
}

/// Why an investigation is queued; kept with it and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Opened,
    NewName,
    SeverityRose,
    CooldownOver,
    FiredAgain,
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "first alert of this incident",
            Self::NewName => "an alert name that no investigation covers yet",
            Self::SeverityRose => "the severity rose",
            Self::CooldownOver => "the last investigation is older than the cooldown",
            Self::FiredAgain => "fired again after it was resolved",
        }
    }
}

/// An investigation to queue: why, and after which wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueue {
    pub why: Why,
    pub after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Stored, and that is all; the reason is kept.
    Ignore(&'static str),
    Open(Enqueue),
    Attach(Option<Enqueue>),
    /// The resolved incident lives on in its old thread.
    Reopen(Option<Enqueue>),
    /// `last`: nothing of the incident fires any more.
    Resolve {
        last: bool,
    },
}

impl Decision {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore(_) => "ignore",
            Self::Open(_) => "open",
            Self::Attach(_) => "attach",
            Self::Reopen(_) => "reopen",
            Self::Resolve { .. } => "resolve",
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::Ignore(reason) => reason,
            Self::Open(enqueue) | Self::Attach(Some(enqueue)) | Self::Reopen(Some(enqueue)) => {
                enqueue.why.as_str()
            }
            Self::Attach(None) => "covered by an investigation of this incident",
            Self::Reopen(None) => "fired again, investigated a short while ago",
            Self::Resolve { last: true } => "nothing of this incident fires any more",
            Self::Resolve { last: false } => "other alerts of this incident still fire",
        }
    }

    pub fn enqueue(self) -> Option<Enqueue> {
        match self {
            Self::Open(enqueue) => Some(enqueue),
            Self::Attach(enqueue) | Self::Reopen(enqueue) => enqueue,
            Self::Ignore(_) | Self::Resolve { .. } => None,
        }
    }
}

/// Decides about one alert that was not seen before; `known` is about the other half of its occurrence.
pub fn decide(
    alert: &Alert,
    known: Known,
    incident: Option<&Incident>,
    terms: &Terms<'_>,
    now: DateTime<Utc>,
) -> Decision {
    let rules = terms.rules;
    if rules.ignore_names.is_match(alert.name()) {
        return Decision::Ignore("this alert name is ignored by settings");
    }
    if rules.ignore_severities.contains(&alert.severity) {
        return Decision::Ignore("this severity is ignored by settings");
    }
    if terms.is_never(alert) {
        return Decision::Ignore(NEVER);
    }
    match (alert.is_firing(), incident) {
        (false, Some(incident)) if incident.open && known == Known::FiresHere => {
            Decision::Resolve { last: incident.firing <= 1 }
        }
        (false, _) => Decision::Ignore("resolves an alert that is not known to fire"),
        (true, _) if known == Known::Over => Decision::Ignore("was resolved before it arrived"),
        (true, Some(incident)) if incident.open => Decision::Attach(again(alert, incident, terms, now)),
        (true, Some(incident)) if within(incident.resolved_at, rules.reopen_within, now) => {
            let enqueue = again(alert, incident, terms, now)
                .map(|enqueue| Enqueue { why: Why::FiredAgain, after: enqueue.after });
            Decision::Reopen(enqueue)
        }
        (true, _) => Decision::Open(Enqueue { why: Why::Opened, after: terms.settle(alert) }),
    }
}

/// Does this alert ask for another look at an incident that was, or is about to be, investigated?
fn again(alert: &Alert, incident: &Incident, terms: &Terms<'_>, now: DateTime<Utc>) -> Option<Enqueue> {
    if incident.queued {
        return None;
    }
    let why = if alert.severity > incident.severity {
        Why::SeverityRose
    } else if !incident.covered.contains(&name(alert)) {
        Why::NewName
    } else if !within(incident.investigated_at, terms.cooldown(), now) {
        Why::CooldownOver
    } else {
        return None;
    };
    Some(Enqueue { why, after: terms.settle(alert) })
}

fn within(at: Option<DateTime<Utc>>, window: Duration, now: DateTime<Utc>) -> bool {
    at.is_some_and(|at| (now - at).to_std().unwrap_or(Duration::ZERO) <= window)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::alert::Status;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn alert(name: &str, severity: Severity) -> Alert {
        Alert {
            source: Source::Alertmanager,
            status: Status::Firing,
            fingerprint: name.to_owned(),
            starts_at: at(0),
            ends_at: None,
            severity,
            labels: BTreeMap::from([("alertname".to_owned(), name.to_owned())]),
            annotations: BTreeMap::new(),
            generator_url: String::new(),
            receiver: String::new(),
            group_key: String::new(),
            subject: None,
            truncated_alerts: 0,
        }
    }

    fn resolved(name: &str) -> Alert {
        Alert { status: Status::Resolved, ends_at: Some(at(9)), ..alert(name, Severity::Warning) }
    }

    fn rules() -> Rules {
        Rules::new(&settings::Intake::default()).unwrap()
    }

    /// Without a policy.
    fn terms(rules: &Rules) -> Terms<'_> {
        Terms { rules, chosen: Chosen::default() }
    }

    fn open(names: &[&str]) -> Incident {
        Incident {
            open: true,
            severity: Severity::Warning,
            covered: names.iter().map(|name| (*name).to_owned()).collect(),
            firing: i32::try_from(names.len()).unwrap(),
            queued: false,
            investigated_at: Some(at(0)),
            resolved_at: None,
        }
    }

    fn decided(alert: &Alert, incident: Option<&Incident>, second: i64) -> Decision {
        decide(alert, Known::Nothing, incident, &terms(&rules()), at(second))
    }

    #[test]
    fn the_first_alert_opens_and_waits_for_evidence_unless_it_is_critical() {
        let warning = decided(&alert("A", Severity::Warning), None, 1);
        assert_eq!(warning, Decision::Open(Enqueue { why: Why::Opened, after: Duration::from_secs(30) }));
        let critical = decided(&alert("A", Severity::Critical), None, 1);
        assert_eq!(critical, Decision::Open(Enqueue { why: Why::Opened, after: Duration::ZERO }));
    }

    #[test]
    fn a_covered_name_attaches_and_nothing_else() {
        assert_eq!(decided(&alert("A", Severity::Warning), Some(&open(&["A"])), 60), Decision::Attach(None));
    }

    #[test]
    fn a_new_name_a_higher_severity_and_an_old_look_each_ask_again() {
        let why = |alert: &Alert, second| match decided(alert, Some(&open(&["A"])), second) {
            Decision::Attach(Some(enqueue)) => enqueue.why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(&alert("B", Severity::Warning), 60), Why::NewName);
        assert_eq!(why(&alert("A", Severity::Critical), 60), Why::SeverityRose);
        assert_eq!(why(&alert("A", Severity::Warning), 4 * 3600 + 1), Why::CooldownOver);
        let waiting = Incident { queued: true, ..open(&["A"]) };
        assert_eq!(decided(&alert("B", Severity::Warning), Some(&waiting), 60), Decision::Attach(None));
    }

    #[test]
    fn only_the_last_resolve_ends_the_incident() {
        let end = |known, names: &[&str]| {
            decide(&resolved("A"), known, Some(&open(names)), &terms(&rules()), at(9))
        };
        assert_eq!(end(Known::FiresHere, &["A", "B"]), Decision::Resolve { last: false });
        assert_eq!(end(Known::FiresHere, &["A"]), Decision::Resolve { last: true });
        assert!(matches!(end(Known::Nothing, &["A"]), Decision::Ignore(_)));
        assert!(matches!(decided(&resolved("A"), None, 9), Decision::Ignore(_)));
    }

    #[test]
    fn firing_again_soon_reopens_and_later_opens_anew() {
        let over = Incident { open: false, resolved_at: Some(at(10)), firing: 0, ..open(&["A"]) };
        assert_eq!(decided(&alert("A", Severity::Warning), Some(&over), 60), Decision::Reopen(None));
        let new_name = decided(&alert("B", Severity::Warning), Some(&over), 60);
        assert!(
            matches!(new_name, Decision::Reopen(Some(Enqueue { why: Why::FiredAgain, .. }))),
            "{new_name:?}"
        );
        assert!(matches!(decided(&alert("A", Severity::Warning), Some(&over), 3700), Decision::Open(_)));
    }

    #[test]
    fn watchdogs_and_overtaken_alerts_are_only_stored() {
        assert!(matches!(decided(&alert("Watchdog", Severity::Critical), None, 1), Decision::Ignore(_)));
        assert!(matches!(decided(&alert("A", Severity::None), None, 1), Decision::Ignore(_)));
        let over = decide(&alert("A", Severity::Warning), Known::Over, None, &terms(&rules()), at(1));
        assert!(matches!(over, Decision::Ignore(_)));
    }
}
