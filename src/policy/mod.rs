//! What is done about which alerts, and who pays: the settings' policies and quotas and the teams' policies come in
//! compiled, what is known of an alert or an incident is held against them, and the first of each that fits goes out with
//! its reason. Pure; it counts no money and stores nothing.

mod chosen;
mod matching;
mod quota;
pub mod team;
mod times;

#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::alert::{Alert, Severity};
use crate::settings::{self, Investigate, PolicyBudget, Settings};
use crate::workload::Workload;
use matching::Match;
use quota::Quota;

pub use chosen::{Chosen, Team};
pub use quota::{Purse, promised};
pub use team::{Allowed, Namespaces, Teams};

/// A policy or a quota that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct BadPolicy {
    /// `policies[2]`.
    place: String,
    why: String,
}

/// All policies and quotas, compiled.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    policies: Vec<Policy>,
    quotas: Vec<Quota>,
    /// Of everything: `agent.usd_per_day`.
    usd_per_day: f64,
    teams: Teams,
}

/// What is done about alerts that fit.
#[derive(Debug, Clone)]
pub struct Policy {
    pub name: String,
    pub investigate: Investigate,
    pub settle: Option<Duration>,
    pub cooldown: Option<Duration>,
    budget: PolicyBudget,
    /// Empty: all.
    pub models: Vec<String>,
    pub channel: Option<String>,
    pub usd_per_day: Option<f64>,
    matches: Match,
}

/// What is known when a policy is chosen.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub workload: &'a Workload,
    pub severity: Severity,
    /// Of a storm none: its members have them.
    pub alerts: &'a [Alert],
    pub at: DateTime<Utc>,
}

impl Policies {
    /// # Errors
    /// The first policy or quota that cannot work, with its place.
    pub fn new(settings: &Settings) -> Result<Self, BadPolicy> {
        let models: Vec<&str> = settings.models.iter().map(|model| model.name.as_str()).collect();
        let mut policies: Vec<Policy> = Vec::new();
        for (at, one) in settings.policies.iter().enumerate() {
            let bad = |why: String| BadPolicy { place: format!("policies[{at}]"), why };
            let policy = Policy::new(one, &models).map_err(bad)?;
            for (before, earlier) in policies.iter().enumerate() {
                if earlier.name == policy.name {
                    return Err(bad(format!("policies[{before}] is called {} too", policy.name)));
                }
                if earlier.matches.covers(&policy.matches) {
                    let name = &earlier.name;
                    let why =
                        format!("never reached: all that fits it fits policies[{before}] ({name}) first");
                    return Err(bad(why));
                }
            }
            policies.push(policy);
        }
        let quotas = settings.quotas.iter().enumerate().map(|(at, one)| {
            Quota::new(one).map_err(|why| BadPolicy { place: format!("quotas[{at}]"), why })
        });
        let quotas = quotas.collect::<Result<_, _>>()?;
        Ok(Self { policies, quotas, usd_per_day: settings.agent.usd_per_day, teams: Teams::default() })
    }

    /// Without any, nothing has to be known of an alert.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.teams.is_empty()
    }

    /// These, with what the teams of one cluster ask for now. `cluster` is None where there is but one.
    #[must_use]
    pub fn with_teams(&self, cluster: Option<&str>, namespaces: Namespaces) -> Self {
        let mut policies = self.clone();
        policies.teams.put(cluster, namespaces);
        policies
    }

    /// Channels that policies name.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().filter_map(|policy| policy.channel.as_deref())
    }

    /// The first policy of which every key holds; of the team's own as well.
    pub fn choose(&self, about: &About<'_>) -> Chosen<'_> {
        let own = self.teams.of(about.workload).iter();
        let mut fitting = own.filter_map(|policy| Some((policy, policy.matches.judge(about).ok()?)));
        let team = fitting.next().map(|(policy, reason)| Team { policy, reason });
        let mut passed = Vec::new();
        for (at, policy) in self.policies.iter().enumerate() {
            let place = format!("policies[{at}]");
            match policy.matches.judge(about) {
                Ok(reason) => return Chosen { policy: Some(policy), place, reason, passed, team },
                Err(why) => passed.push((place, policy.name.clone(), why)),
            }
        }
        let reason = if self.policies.is_empty() { "there are no policies" } else { "no policy fits" };
        Chosen { policy: None, place: String::new(), reason: reason.to_owned(), passed, team }
    }

    /// Whose money a run of this workload spends, and how much there is of it.
    pub fn purse(&self, workload: &Workload, chosen: &Chosen<'_>) -> Purse {
        self.purse_of(workload, chosen.policy, chosen.team.as_ref().map(|team| team.policy))
    }

    /// The same for a run that has its policies already, by their names.
    pub fn purse_again(&self, workload: &Workload, policy: &str, team: &str) -> Purse {
        let own = self.teams.of(workload).iter().find(|one| one.name == team);
        self.purse_of(workload, self.policies.iter().find(|one| one.name == policy), own)
    }

    fn purse_of(&self, workload: &Workload, policy: Option<&Policy>, team: Option<&Policy>) -> Purse {
        let name = |policy: Option<&Policy>| policy.map(|policy| policy.name.clone()).unwrap_or_default();
        let (cluster, namespace) = (workload.cluster.as_str(), workload.tenant());
        let quota = self.quotas.iter().find(|quota| quota.fits(cluster, namespace));
        Purse {
            usd_per_day: self.usd_per_day,
            policy: name(policy),
            policy_usd: policy.and_then(|policy| policy.usd_per_day),
            team: name(team),
            team_usd: team.and_then(|policy| policy.usd_per_day),
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            namespace_usd: quota.and_then(|quota| quota.usd_per_day),
            namespace_investigations: quota.and_then(|quota| quota.investigations_per_day),
        }
    }
}

impl Policy {
    fn new(settings: &settings::Policy, known: &[&str]) -> Result<Self, String> {
        let settings::Policy { name, matches, investigate, settle_secs, cooldown_secs, .. } = settings;
        if name.trim().is_empty() {
            return Err("it has no name".to_owned());
        }
        if let Some(unknown) = settings.models.iter().find(|name| !known.contains(&name.as_str())) {
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            return Err(format!("`{unknown}` is no model of `models`: {known}"));
        }
        if settings.channel.as_deref().is_some_and(|channel| channel.trim().is_empty()) {
            return Err("its channel is empty".to_owned());
        }
        quota::money("usd_per_day", settings.usd_per_day)?;
        quota::money("budget.usd", settings.budget.usd)?;
        Ok(Self {
            name: name.trim().to_owned(),
            investigate: *investigate,
            settle: settle_secs.map(Duration::from_secs),
            cooldown: cooldown_secs.map(Duration::from_secs),
            budget: settings.budget,
            models: settings.models.clone(),
            channel: settings.channel.as_deref().map(|channel| channel.trim().to_owned()),
            usd_per_day: settings.usd_per_day,
            matches: Match::new(matches)?,
        })
    }

    /// The limits of one run: its own where it has some, else the service's.
    pub fn agent(&self, agent: &settings::Agent) -> settings::Agent {
        let PolicyBudget { steps, seconds, tokens, usd } = self.budget;
        settings::Agent {
            steps: steps.unwrap_or(agent.steps),
            seconds: seconds.unwrap_or(agent.seconds),
            tokens: tokens.unwrap_or(agent.tokens),
            usd: usd.unwrap_or(agent.usd),
            ..agent.clone()
        }
    }
}
