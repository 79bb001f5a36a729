//! Findings of many workloads become one list: what several workloads share is told once, and a workload
//! that waits for another one of them is that one's consequence. Each list comes in ranked by itself. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::rank::Candidate;
use crate::facts::{DependencyFact, Facts};
use crate::report::{Category, Finding, Role};
use crate::workload::{ObjectRef, Workload};

/// Quotes of a finding that several workloads share.
const MAX_QUOTES: usize = 6;

/// One workload's facts and what was found in them.
pub(super) struct View<'f> {
    pub facts: &'f Facts,
    pub ranked: Vec<Candidate>,
}

/// One list for the whole `subject`, ranked anew.
pub(super) fn join(mut views: Vec<View<'_>>, subject: &Workload) -> Vec<Candidate> {
    let waits: Vec<BTreeSet<usize>> = (0..views.len()).map(|at| waits_for(&views, at)).collect();
    let victims: Vec<bool> = (0..views.len()).map(|at| has_its_cause_elsewhere(&views, &waits, at)).collect();
    for (view, victim) in views.iter_mut().zip(victims) {
        let dependent = |finding: &Finding| victim && is_dependent(finding);
        for one in view.ranked.iter_mut().filter(|one| dependent(&one.finding)) {
            one.finding.role = Role::Secondary;
        }
    }
    let mut joined: BTreeMap<(String, ObjectRef), Candidate> = BTreeMap::new();
    for view in views {
        let workload =
            Some(&view.facts.workload).filter(|workload| *workload != subject).map(Workload::short);
        for mut one in view.ranked {
            one.finding.workloads.extend(workload.clone());
            let key = (one.finding.signature.clone(), one.finding.object.clone());
            match joined.get_mut(&key) {
                Some(known) => take_in(known, one),
                None => {
                    joined.insert(key, one);
                }
            }
        }
    }
    let mut joined: Vec<Candidate> = joined.into_values().collect();
    joined.sort_by_cached_key(|one| {
        (
            one.finding.role == Role::Secondary,
            one.catch_all,
            !one.answers,
            one.stale,
            Reverse(one.finding.workloads.len()),
            Reverse(one.failing_pods),
            Reverse(one.rank),
            (one.began.is_none(), one.began),
            one.finding.object.clone(),
            one.finding.signature.clone(),
        )
    });
    joined
}

/// The same cause of the same object, found on another workload.
fn take_in(known: &mut Candidate, other: Candidate) {
    known.failing_pods += other.failing_pods;
    known.pods.extend(other.pods);
    known.containers.extend(other.containers);
    known.stale &= other.stale;
    known.began = known.began.into_iter().chain(other.began).min();
    let (finding, other) = (&mut known.finding, other.finding);
    if other.role == Role::Primary {
        finding.role = Role::Primary;
    }
    finding.workloads.extend(other.workloads);
    for (id, quote) in other.quotes {
        if finding.quotes.len() < MAX_QUOTES && !finding.quotes.contains(&(id.clone(), quote.clone())) {
            finding.evidence.push(id.clone());
            finding.quotes.push((id, quote));
        }
    }
    let mut seen = BTreeSet::new();
    finding.evidence.retain(|id| seen.insert(id.clone()));
    for step in other.next_steps {
        if !finding.next_steps.contains(&step) {
            finding.next_steps.push(step);
        }
    }
}

/// A finding that blames a peer.
fn is_dependent(finding: &Finding) -> bool {
    finding.role == Role::Primary && finding.category == Category::Dependency
}

/// Views of the workloads behind a Service that this one's log complains about and that nobody answers for.
fn waits_for(views: &[View<'_>], at: usize) -> BTreeSet<usize> {
    let own = &views[at];
    if !own.ranked.iter().any(|one| is_dependent(&one.finding)) {
        return BTreeSet::new();
    }
    let missed =
        own.facts.dependencies.iter().filter(|row| row.service_exists == "yes" && row.ready_endpoints == 0);
    // Facts of an earlier release do not name the Service: `db` of `db.shop.svc.cluster.local` is one of the
    // namespace, or it would not be known.
    let name = |row: &'_ DependencyFact| match row.service.is_empty() {
        true => row.host.split('.').next().unwrap_or_default().to_owned(),
        false => row.service.clone(),
    };
    let missed: BTreeSet<String> = missed.map(name).collect();
    let behind = |view: &View<'_>| {
        view.facts.workload.namespace == own.facts.workload.namespace
            && view.facts.services.iter().any(|service| {
                missed.contains(&service.name) && (service.selects_workload || service.meant_for_workload)
            })
    };
    let others = views.iter().enumerate().filter(|(index, view)| *index != at && behind(view));
    others.map(|(index, _)| index).collect()
}

/// Following who waits for whom leads to a workload with a cause of its own.
fn has_its_cause_elsewhere(views: &[View<'_>], waits: &[BTreeSet<usize>], at: usize) -> bool {
    let own_cause = |one: &Candidate| {
        one.finding.role == Role::Primary && !one.catch_all && one.finding.category != Category::Dependency
    };
    let mut seen = BTreeSet::from([at]);
    let mut open: Vec<usize> = waits[at].iter().copied().collect();
    while let Some(next) = open.pop() {
        if !seen.insert(next) {
            continue;
        }
        if views[next].ranked.iter().any(own_cause) {
            return true;
        }
        // One that waits for nobody here has its cause further away, and this one shares it.
        if waits[next].is_empty() && views[next].ranked.iter().any(|one| is_dependent(&one.finding)) {
            return true;
        }
        open.extend(&waits[next]);
    }
    false
}
