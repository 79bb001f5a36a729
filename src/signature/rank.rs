//! Which finding is the cause and which its consequence: matched findings come in, ordered ones go out.
//! Pure. A finding is secondary if another one that matched explains it, directly or through a chain. Among
//! causes goes first what can be why the alert fires, is true now, covers most of what fails, and began first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::compile::Signature;
use crate::report::{Finding, Role};

/// A matched signature before it has its place.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub finding: Finding,
    pub rank: i64,
    pub catch_all: bool,
    pub stale: bool,
    /// It can be why the alert fires.
    pub answers: bool,
    /// Unhealthy pods that it covers: those whose rows matched, or all of a workload's.
    pub failing_pods: usize,
    /// When the earliest of its rows came to be, where they say so.
    pub began: Option<DateTime<Utc>>,
    /// Pods whose rows matched; empty for what concerns the workload as a whole.
    pub pods: BTreeSet<String>,
    /// Pod and container of the rows that are containers; empty for rows of other tables.
    pub containers: BTreeSet<(String, String)>,
}

/// Id of a signature that matched → every id it explains, through chains as well.
pub(super) type Consequences = BTreeMap<String, BTreeSet<String>>;

/// Of the signatures that matched alone: the catalogue is large, and most facts match little of it.
pub(super) fn consequences(catalogue: &[Signature], matched: &[Candidate]) -> Consequences {
    let mut closure = Consequences::new();
    if matched.is_empty() {
        return closure;
    }
    let direct: BTreeMap<&str, &Vec<String>> =
        catalogue.iter().map(|known| (known.id.as_str(), &known.explains)).collect();
    for id in matched.iter().map(|one| one.finding.signature.as_str()) {
        if closure.contains_key(id) {
            continue;
        }
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for consequence in direct.get(next).into_iter().flat_map(|ids| ids.iter()) {
                if reached.insert(consequence.clone()) {
                    open.push(consequence);
                }
            }
        }
        closure.insert(id.to_owned(), reached);
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
            !one.answers,
            one.stale,
            Reverse(one.failing_pods),
            Reverse(one.rank),
            (one.began.is_none(), one.began),
            one.finding.signature.clone(),
            one.finding.object.clone(),
        )
    });
    candidates
}

/// Two signatures that explain each other explain neither; findings about different pods, or about different
/// containers, neither.
fn explains(cause: &Candidate, effect: &Candidate, consequences: &Consequences) -> bool {
    let reaches = |from: &Candidate, to: &Candidate| {
        consequences.get(&from.finding.signature).is_some_and(|ids| ids.contains(&to.finding.signature))
    };
    let apart = differ(&cause.pods, &effect.pods) || differ(&cause.containers, &effect.containers);
    !apart && reaches(cause, effect) && !reaches(effect, cause)
}

/// Both sides name some, and none in common.
fn differ<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> bool {
    !one.is_empty() && !other.is_empty() && one.is_disjoint(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Category;
    use crate::workload::ObjectRef;

    fn candidate(id: &str, rank: i64, pods: &[&str]) -> Candidate {
        Candidate {
            rank,
            catch_all: false,
            stale: false,
            answers: true,
            began: None,
            failing_pods: pods.len(),
            pods: pods.iter().map(|pod| (*pod).to_owned()).collect(),
            containers: BTreeSet::new(),
            finding: Finding {
                workloads: Vec::new(),
                signature: id.to_owned(),
                role: Role::Primary,
                category: Category::Code,
                object: ObjectRef::default(),
                statement: String::new(),
                evidence: Vec::new(),
                quotes: Vec::new(),
                next_steps: Vec::new(),
                explains: Vec::new(),
            },
        }
    }

    fn known(pairs: &[(&str, &[&str])]) -> Consequences {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        pairs.iter().map(|(id, ids)| ((*id).to_owned(), owned(ids))).collect()
    }

    /// `id+` is primary, `id-` secondary.
    fn order(candidates: Vec<Candidate>, consequences: &Consequences) -> Vec<String> {
        let sign = |role| if role == Role::Primary { "+" } else { "-" };
        let ranked = rank(candidates, consequences);
        ranked.iter().map(|one| format!("{}{}", one.finding.signature, sign(one.finding.role))).collect()
    }

    #[test]
    fn what_another_finding_explains_comes_after_it() {
        let chain = known(&[("oom", &["loop"])]);
        let found = vec![candidate("loop", 99, &["a"]), candidate("oom", 1, &["a"])];
        assert_eq!(order(found, &chain), ["oom+", "loop-"]);
        assert_eq!(
            order(vec![candidate("loop", 99, &["a"])], &chain),
            ["loop+"],
            "the cause itself must match"
        );
    }

    #[test]
    fn findings_about_different_pods_do_not_explain_each_other() {
        let chain = known(&[("oom", &["loop"])]);
        let found = vec![candidate("loop", 5, &["a"]), candidate("oom", 9, &["b"])];
        assert_eq!(order(found, &chain), ["oom+", "loop+"]);
        let found = vec![candidate("loop", 5, &["a"]), candidate("oom", 9, &[])];
        assert_eq!(order(found, &chain), ["oom+", "loop-"], "a workload's cause reaches every pod");
    }

    #[test]
    fn findings_about_different_containers_of_one_pod_do_not_explain_each_other() {
        let chain = known(&[("oom", &["loop", "not-ready"])]);
        let of = |id: &str, rank: i64, names: &[&str]| {
            let mut one = candidate(id, rank, &["a"]);
            one.containers = names.iter().map(|name| ("a".to_owned(), (*name).to_owned())).collect();
            one
        };
        let found = vec![of("loop", 5, &["web"]), of("oom", 9, &["sync"])];
        assert_eq!(order(found, &chain), ["oom+", "loop+"]);
        let found = vec![of("loop", 5, &["web", "sync"]), of("oom", 9, &["sync"]), of("not-ready", 1, &[])];
        assert_eq!(order(found, &chain), ["oom+", "loop-", "not-ready-"], "a pod's row is about all of it");
    }

    #[test]
    fn two_that_explain_each_other_both_stay() {
        let circle = known(&[("a", &["b", "a"]), ("b", &["a", "b"])]);
        assert_eq!(order(vec![candidate("a", 1, &[]), candidate("b", 2, &[])], &circle), ["b+", "a+"]);
    }

    #[test]
    fn primaries_go_by_alert_age_reach_rank_beginning_and_id() {
        let none = known(&[]);
        let changed = |mut one: Candidate, change: fn(&mut Candidate)| {
            change(&mut one);
            one
        };
        let found = vec![
            changed(candidate("symptom", 99, &["a", "b", "c"]), |one| one.catch_all = true),
            changed(candidate("stale", 50, &["a", "b", "c"]), |one| one.stale = true),
            changed(candidate("of-another-alert", 90, &["a", "b", "c"]), |one| one.answers = false),
            candidate("d", 50, &["a"]),
            candidate("c", 50, &["a"]),
            changed(candidate("first", 50, &["a"]), |one| one.began = Some(DateTime::UNIX_EPOCH)),
            candidate("many", 50, &["a", "b"]),
            candidate("exact", 60, &["a"]),
        ];
        assert_eq!(
            order(found, &none),
            ["many+", "exact+", "first+", "c+", "d+", "stale+", "of-another-alert+", "symptom+"]
        );
    }
}
