//! Whether there is money for a call of a model: what was spent within 24 hours and whose it is come in, leave or who
//! has none left goes out. Pure; `store` counts and reserves.

pub mod store;

use crate::policy::Purse;
use crate::report::{Held, HeldBack};

/// Dollars of 24 hours: spent, and reserved by others.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    pub all: f64,
    /// Under the purse's policy.
    pub policy: f64,
    /// Under the purse's team's policy.
    pub team: f64,
    /// By the purse's namespace.
    pub namespace: f64,
}

/// Who has no money left.
#[derive(Debug, Clone, PartialEq)]
pub enum Short {
    /// Nobody has: `agent.usd_per_day`.
    Day,
    Held(HeldBack),
}

/// Is there `usd` more for this purse? What costs nothing is always there.
///
/// # Errors
/// Who has it not: the namespace before its team's policy, that before the settings', and that before everybody.
pub fn afford(purse: &Purse, spent: Spent, usd: f64) -> Result<(), Short> {
    let short = |limit: Option<f64>, spent: f64| limit.filter(|limit| usd > 0.0 && spent + usd > *limit);
    if let Some(limit) = short(purse.namespace_usd, spent.namespace) {
        return Err(Short::Held(namespace(purse, Held::NamespaceMoney, limit)));
    }
    if let Some(limit) = short(purse.team_usd, spent.team) {
        return Err(Short::Held(policy(&purse.team, limit)));
    }
    if let Some(limit) = short(purse.policy_usd, spent.policy) {
        return Err(Short::Held(policy(&purse.policy, limit)));
    }
    if short(Some(purse.usd_per_day), spent.all).is_some() { Err(Short::Day) } else { Ok(()) }
}

/// Why a run need not even begin: a limit that is reached already.
pub fn reached(purse: &Purse, spent: Spent) -> Option<HeldBack> {
    let reached = |limit: Option<f64>, spent: f64| limit.filter(|limit| spent >= *limit);
    let of_namespace = reached(purse.namespace_usd, spent.namespace)
        .map(|limit| namespace(purse, Held::NamespaceMoney, limit));
    let of_team = || reached(purse.team_usd, spent.team).map(|limit| policy(&purse.team, limit));
    let of_policy = || reached(purse.policy_usd, spent.policy).map(|limit| policy(&purse.policy, limit));
    of_namespace.or_else(of_team).or_else(of_policy)
}

/// The namespace had its investigations.
pub fn too_many(purse: &Purse) -> HeldBack {
    let limit = f64::from(purse.namespace_investigations.unwrap_or_default());
    namespace(purse, Held::NamespaceInvestigations, limit)
}

fn namespace(purse: &Purse, why: Held, limit: f64) -> HeldBack {
    HeldBack { why, policy: String::new(), namespace: purse.namespace.clone(), limit }
}

fn policy(name: &str, limit: f64) -> HeldBack {
    HeldBack { why: Held::PolicyMoney, policy: name.to_owned(), namespace: String::new(), limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_short_first_is_named_and_what_is_free_is_always_there() {
        let purse = Purse {
            usd_per_day: 10.0,
            policy: "night".to_owned(),
            policy_usd: Some(2.0),
            team: "shop/quiet".to_owned(),
            team_usd: Some(3.0),
            namespace: "shop".to_owned(),
            namespace_usd: Some(1.0),
            ..Purse::default()
        };
        let said = |spent: Spent, usd| match afford(&purse, spent, usd) {
            Ok(()) => "fine".to_owned(),
            Err(Short::Day) => "day".to_owned(),
            Err(Short::Held(held)) => {
                format!("{:?} {}{} {}", held.why, held.policy, held.namespace, held.limit)
            }
        };
        let spent = |all, policy, namespace| Spent { all, policy, team: policy, namespace };
        for (spent, usd, expected) in [
            (spent(0.0, 0.0, 0.0), 1.0, "fine"),
            (spent(0.0, 0.0, 0.5), 0.6, "NamespaceMoney shop 1"),
            (spent(9.0, 1.9, 0.5), 0.2, "PolicyMoney night 2"),
            (spent(9.9, 1.0, 0.5), 0.2, "day"),
            (spent(99.0, 99.0, 99.0), 0.0, "fine"),
        ] {
            assert_eq!(said(spent, usd), expected);
        }
        let own = |team| Spent { team, ..Spent::default() };
        assert_eq!(said(own(2.9), 0.2), "PolicyMoney shop/quiet 3");
        assert_eq!(reached(&purse, own(3.0)).map(|held| held.policy), Some("shop/quiet".to_owned()));
        assert_eq!(reached(&purse, spent(0.0, 1.9, 0.9)), None);
        assert_eq!(reached(&purse, spent(0.0, 0.0, 1.0)).map(|held| held.why), Some(Held::NamespaceMoney));
        assert_eq!(reached(&purse, spent(0.0, 2.0, 0.0)).map(|held| held.why), Some(Held::PolicyMoney));
        assert_eq!(reached(&Purse::default(), spent(9.0, 9.0, 9.0)), None, "no quota, no policy");
    }
}
