//! Policies that teams own: the objects of one namespace come in, compiled policies go out, and of each object what
//! became of it. Whoever can write them decides nothing beyond that namespace, and nothing that the settings do not allow;
//! what is too long or too much is refused here too, because a cluster may have another definition of the kind. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::GlobMatcher;

use super::matching::globs;
use super::{BadPolicy, Policy};
use crate::settings::{self, Investigate, PolicyBudget, PolicyMatch, Settings};
use crate::source::kubernetes::policy_object::{
    BudgetSpec, InvestigateSpec, InvestigationPolicySpec, MAX_COOLDOWN_SECS, MAX_ENTRIES, MAX_SETTLE_SECS,
    MAX_TEXT, MatchSpec, PolicyObject, SeveritySpec, TimesSpec,
};
use crate::workload::Workload;

/// The policies of each namespace of a cluster, in their order.
pub type Namespaces = BTreeMap<String, Arc<Vec<Policy>>>;

/// The policies of all teams, by cluster.
#[derive(Debug, Clone, Default)]
pub struct Teams {
    /// Of the only cluster there is, whatever alerts call it.
    only: Option<Namespaces>,
    by_cluster: BTreeMap<String, Namespaces>,
}

impl Teams {
    pub(super) fn put(&mut self, cluster: Option<&str>, namespaces: Namespaces) {
        match cluster {
            None => self.only = Some(namespaces),
            Some(cluster) => {
                self.by_cluster.insert(cluster.to_owned(), namespaces);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.only.iter().chain(self.by_cluster.values()).all(BTreeMap::is_empty)
    }

    /// Those of the workload's own namespace. A node has none.
    pub(super) fn of(&self, workload: &Workload) -> &[Policy] {
        let namespaces = self.only.as_ref().or_else(|| self.by_cluster.get(&workload.cluster));
        namespaces.and_then(|all| all.get(workload.tenant())).map_or(&[], |policies| policies.as_slice())
    }
}

/// What the settings let teams name.
#[derive(Debug, Clone)]
pub struct Allowed {
    models: Vec<String>,
    channels: Vec<GlobMatcher>,
}

impl Allowed {
    /// # Errors
    /// A glob of `policy_objects.channels` that is none.
    pub fn new(settings: &Settings) -> Result<Self, BadPolicy> {
        let bad = |why| BadPolicy { place: "policy_objects.channels".to_owned(), why };
        let channels = globs(&settings.policy_objects.channels).map_err(bad)?;
        Ok(Self { models: settings.models.iter().map(|model| model.name.clone()).collect(), channels })
    }
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    InForce,
    /// All that fits it fits this one of the same namespace first.
    Shadowed(String),
    Invalid(String),
    UnknownModel(String),
    ChannelNotAllowed(String),
}

/// Compiles the objects of one namespace; of each what became of it, in the order in which they came.
pub fn compile(objects: &[PolicyObject], allowed: &Allowed) -> (Vec<Policy>, Vec<Fate>) {
    let mut fates: Vec<Fate> = Vec::with_capacity(objects.len());
    let mut good: Vec<(i32, usize, Policy)> = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        match read(object).and_then(|spec| one(object, spec, allowed)) {
            Ok((order, policy)) => {
                good.push((order, at, policy));
                fates.push(Fate::InForce);
            }
            Err(fate) => fates.push(fate),
        }
    }
    good.sort_by(|(order, _, policy), (other, _, next)| (order, &policy.name).cmp(&(other, &next.name)));
    let mut policies: Vec<Policy> = Vec::with_capacity(good.len());
    for (_, at, policy) in good {
        let before = policies.iter().find(|earlier| earlier.matches.covers(&policy.matches));
        if let (Some(earlier), Some(fate)) = (before, fates.get_mut(at)) {
            *fate = Fate::Shadowed(earlier.name.clone());
        }
        policies.push(policy);
    }
    (policies, fates)
}

fn read(object: &PolicyObject) -> Result<InvestigationPolicySpec, Fate> {
    serde_json::from_value(object.spec.clone()).map_err(|error| Fate::Invalid(error.to_string()))
}

fn one(
    object: &PolicyObject,
    spec: InvestigationPolicySpec,
    allowed: &Allowed,
) -> Result<(i32, Policy), Fate> {
    bounded(&spec).map_err(Fate::Invalid)?;
    if let Some(unknown) = spec.models.iter().find(|name| !allowed.models.contains(name)) {
        let known = allowed.models.join(", ");
        let known = if known.is_empty() { "there are none".to_owned() } else { known };
        return Err(Fate::UnknownModel(format!("`{unknown}` is no model of the settings: {known}")));
    }
    if let Some(channel) = &spec.channel
        && !allowed.channels.iter().any(|glob| glob.is_match(channel.trim()))
    {
        return Err(Fate::ChannelNotAllowed(format!("`{channel}` fits none of policy_objects.channels")));
    }
    let order = spec.order;
    let models: Vec<&str> = allowed.models.iter().map(String::as_str).collect();
    let name = format!("{}/{}", object.namespace, object.name);
    let policy = as_settings(name, spec).map_err(Fate::Invalid)?;
    Ok((order, Policy::new(&policy, &models).map_err(Fate::Invalid)?))
}

/// What the schema of the kind says as well.
fn bounded(spec: &InvestigationPolicySpec) -> Result<(), String> {
    let MatchSpec { alerts, labels, severities, times } = &spec.matches;
    let days = times.iter().map(|one| one.days.len()).max().unwrap_or_default();
    for (what, entries) in [
        ("match.alerts", alerts.len()),
        ("match.labels", labels.len()),
        ("match.severities", severities.len()),
        ("match.times", times.len()),
        ("match.times.days", days),
        ("models", spec.models.len()),
    ] {
        if entries > MAX_ENTRIES {
            return Err(format!("{what} has {entries} entries, at most {MAX_ENTRIES} are read"));
        }
    }
    for (what, secs, most) in [
        ("settleSecs", spec.settle_secs, MAX_SETTLE_SECS),
        ("cooldownSecs", spec.cooldown_secs, MAX_COOLDOWN_SECS),
    ] {
        if let Some(secs) = secs.filter(|secs| !(0..=most).contains(secs)) {
            return Err(format!("{what} is {secs}, and may be 0 to {most}"));
        }
    }
    if spec
        .channel
        .as_ref()
        .is_some_and(|channel| channel.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        return Err("channel has a space in it".to_owned());
    }
    let times = times.iter().flat_map(|one| {
        let texts = [&one.zone, &one.from, &one.to];
        texts.into_iter().flatten().chain(&one.days)
    });
    let labels = labels.iter().flat_map(|(name, value)| [name, value]);
    let texts = alerts.iter().chain(labels).chain(times).chain(&spec.models).chain(&spec.channel);
    match texts.map(String::len).max() {
        Some(longest) if longest > MAX_TEXT => {
            Err(format!("a text has {longest} bytes, at most {MAX_TEXT} are read"))
        }
        _ => Ok(()),
    }
}

/// The object in the words of the settings. Its namespace is where it is, so nothing of it is matched.
fn as_settings(name: String, spec: InvestigationPolicySpec) -> Result<settings::Policy, String> {
    let MatchSpec { alerts, labels, severities, times } = spec.matches;
    let severity = |one: &SeveritySpec| match one {
        SeveritySpec::Critical => "critical",
        SeveritySpec::Warning => "warning",
        SeveritySpec::Info => "info",
        SeveritySpec::None => "none",
    };
    let times = times.into_iter().map(|TimesSpec { zone, days, from, to }| settings::Times {
        zone: zone.unwrap_or_default(),
        days,
        from,
        to,
    });
    Ok(settings::Policy {
        name,
        matches: PolicyMatch {
            alerts,
            labels,
            severities: severities.iter().map(|one| severity(one).to_owned()).collect(),
            times: times.collect(),
            ..PolicyMatch::default()
        },
        investigate: match spec.investigate {
            InvestigateSpec::Always => Investigate::Always,
            InvestigateSpec::SignaturesOnly => Investigate::SignaturesOnly,
            InvestigateSpec::Never => Investigate::Never,
        },
        settle_secs: whole("settleSecs", spec.settle_secs)?,
        cooldown_secs: whole("cooldownSecs", spec.cooldown_secs)?,
        budget: budget(spec.budget.unwrap_or_default())?,
        models: spec.models,
        channel: spec.channel,
        usd_per_day: spec.usd_per_day,
    })
}

fn budget(spec: BudgetSpec) -> Result<PolicyBudget, String> {
    let BudgetSpec { steps, seconds, tokens, usd } = spec;
    Ok(PolicyBudget {
        steps: whole("budget.steps", steps)?,
        seconds: whole("budget.seconds", seconds)?,
        tokens: whole("budget.tokens", tokens)?,
        usd,
    })
}

fn whole<S: Copy + std::fmt::Display, T: TryFrom<S>>(
    what: &str,
    number: Option<S>,
) -> Result<Option<T>, String> {
    number.map(|number| T::try_from(number).map_err(|_| format!("{what} is {number}"))).transpose()
}
