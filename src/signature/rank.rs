//! Which finding is the cause and which its consequence: matched findings come in, ordered ones go out.
//! Pure. A finding is secondary if another one that matched explains it, directly or through a chain.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::compile::Signature;
use crate::report::{Finding, Role};

/// A matched signature before it has its place.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub finding: Finding,
    pub rank: i64,
    pub catch_all: bool,
    pub stale: bool,
    pub failing_pods: usize,
    /// Pods whose rows matched; empty for what concerns the workload as a whole.
    pub pods: BTreeSet<String>,
}

/// Signature id → every id it explains, through chains as well.
pub(super) type Consequences = BTreeMap<String, BTreeSet<String>>;

pub(super) fn consequences(catalogue: &[Signature]) -> Consequences {
    let direct: BTreeMap<&str, &Vec<String>> =
        catalogue.iter().map(|known| (known.id.as_str(), &known.explains)).collect();
    let mut closure = Consequences::new();
    for id in direct.keys() {
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut open = vec![*id];
        while let Some(next) = open.pop() {
            for consequence in direct.get(next).into_iter().flat_map(|ids| ids.iter()) {
                if reached.insert(consequence.clone()) {
                    open.push(consequence);
                }
            }
        }
        closure.insert((*id).to_owned(), reached);
    }
    closure
}

pub(super) fn rank(mut candidates: Vec<Candidate>, consequences: &Consequences) -> Vec<Candidate> {
    let roles: Vec<Role> = candidates
        .iter()
        .map(|one| {
            let explained = candidates.iter().any(|other| explains(other, one, consequences));
            if explained { Role::Secondary } else { Role::Primary }
        })
        .collect();
    for (candidate, role) in candidates.iter_mut().zip(roles) {
        candidate.finding.role = role;
    }
    candidates.sort_by_cached_key(|one| {
        (
            one.finding.role == Role::Secondary,
            one.catch_all,
            Reverse(one.rank),
            Reverse(one.failing_pods),
            one.stale,
            one.finding.signature.clone(),
            one.finding.object.clone(),
        )
    });
    candidates
}

/// Two signatures that explain each other explain neither; findings about different pods neither.
fn explains(cause: &Candidate, effect: &Candidate, consequences: &Consequences) -> bool {
    let reaches = |from: &Candidate, to: &Candidate| {
        consequences.get(&from.finding.signature).is_some_and(|ids| ids.contains(&to.finding.signature))
    };
    let apart = !cause.pods.is_empty() && !effect.pods.is_empty() && cause.pods.is_disjoint(&effect.pods);
    !apart && reaches(cause, effect) && !reaches(effect, cause)
}
