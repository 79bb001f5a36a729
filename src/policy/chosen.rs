//! What holds for an alert or an incident: the settings' policy and the team's come in, what is done goes out. The team's
//! only narrows: less is investigated, a run has the smaller limits, fewer models are asked. Pure.

use std::time::Duration;

use super::Policy;
use crate::report::PolicyUse;
use crate::settings::{self, Investigate};

/// The policies that fit, with their place and why; None where none does.
#[derive(Debug, Clone, Default)]
pub struct Chosen<'p> {
    /// Of the settings.
    pub policy: Option<&'p Policy>,
    pub place: String,
    pub reason: String,
    /// Why each one before it does not fit: its place, its name and the first key that does not hold.
    pub passed: Vec<(String, String, String)>,
    /// Of the namespace's team.
    pub team: Option<Team<'p>>,
}

/// The policy of a team, and why it fits.
#[derive(Debug, Clone)]
pub struct Team<'p> {
    pub policy: &'p Policy,
    pub reason: String,
}

impl<'p> Chosen<'p> {
    fn own(&self) -> Option<&'p Policy> {
        self.team.as_ref().map(|team| team.policy)
    }

    /// The stricter of both. Who leaves no model over has none asked.
    pub fn investigate(&self) -> Investigate {
        let of = |policy: Option<&Policy>| policy.map(|policy| policy.investigate).unwrap_or_default();
        let stricter = of(self.policy).max(of(self.own()));
        let without_model = self.models().is_some_and(|models| models.is_empty());
        if without_model { stricter.max(Investigate::SignaturesOnly) } else { stricter }
    }

    /// By whose word no model is asked, or nothing done at all; "" where no policy fits.
    pub fn decided_by(&self) -> &'p str {
        let name = |policy: Option<&'p Policy>| policy.map_or("", |policy| policy.name.as_str());
        let settings = self.policy.map(|policy| policy.investigate).unwrap_or_default();
        if self.own().is_some() && settings < self.investigate() {
            name(self.own())
        } else {
            name(self.policy)
        }
    }

    /// Waiting costs nobody anything: the team's own wait holds.
    pub fn settle(&self) -> Option<Duration> {
        let of = |policy: Option<&Policy>| policy.and_then(|policy| policy.settle);
        of(self.own()).or(of(self.policy))
    }

    /// `usual` where no policy says another. A team looks no oftener than the settings let it.
    pub fn cooldown(&self, usual: Duration) -> Duration {
        let of = |policy: Option<&Policy>| policy.and_then(|policy| policy.cooldown);
        let settings = of(self.policy).unwrap_or(usual);
        of(self.own()).map_or(settings, |own| own.max(settings))
    }

    /// The limits of one run: the smaller of both.
    pub fn agent(&self, agent: &settings::Agent) -> settings::Agent {
        let settings = self.policy.map_or_else(|| agent.clone(), |policy| policy.agent(agent));
        let Some(own) = self.own().map(|policy| policy.agent(&settings)) else { return settings };
        settings::Agent {
            steps: own.steps.min(settings.steps),
            seconds: own.seconds.min(settings.seconds),
            tokens: own.tokens.min(settings.tokens),
            usd: own.usd.min(settings.usd),
            ..settings
        }
    }

    /// The models that may be asked, in their order; None: all that there are.
    pub fn models(&self) -> Option<Vec<String>> {
        let named = |policy: Option<&'p Policy>| {
            policy.map(|policy| &policy.models).filter(|models| !models.is_empty())
        };
        match (named(self.policy), named(self.own())) {
            (settings, None) => settings.cloned(),
            (None, Some(own)) => Some(own.clone()),
            (Some(settings), Some(own)) => {
                Some(own.iter().filter(|name| settings.contains(name)).cloned().collect())
            }
        }
    }

    /// The channel, and by which policy and why.
    pub fn channel(&self) -> Option<(&'p str, String)> {
        let channel = |policy: &'p Policy| policy.channel.as_deref();
        if let Some(team) = &self.team
            && let Some(named) = channel(team.policy)
        {
            return Some((named, format!("{}: {}", team.policy.name, team.reason)));
        }
        let policy = self.policy?;
        let reason = format!("{} ({}): {}", self.place, policy.name, self.reason);
        channel(policy).map(|named| (named, reason))
    }

    /// For the report; None where no policy holds.
    pub fn as_used(&self) -> Option<PolicyUse> {
        let settings =
            self.policy.map(|policy| (policy.name.clone(), format!("{}: {}", self.place, self.reason)));
        let Some(team) = &self.team else {
            return settings.map(|(name, reason)| PolicyUse { name, reason });
        };
        let within =
            settings.map_or_else(String::new, |(name, reason)| format!("; within {name} ({reason})"));
        Some(PolicyUse { name: team.policy.name.clone(), reason: format!("{}{within}", team.reason) })
    }
}
