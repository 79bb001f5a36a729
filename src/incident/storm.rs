//! Storms: many workloads of one node or one namespace in trouble at once are one incident with a shared factor, not
//! as many investigations. Incidents that wait come in; which of them fold into which goes out. `decide` is pure,
//! `store` writes it, `nodes` asks the cluster where the troubled pods run.

mod nodes;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

pub use nodes::troubled_nodes;
pub use store::{Folded, Over, crowd, end, fold};

use crate::alert::Severity;
use crate::workload::Workload;

/// An incident of a workload that opened a short while ago.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub id: Uuid,
    pub workload: Workload,
    pub severity: Severity,
    /// Its investigation has not begun: it can still be spared.
    pub waits: bool,
}

/// What is known when a storm is decided about.
#[derive(Debug, Default)]
pub struct Crowd {
    pub members: Vec<Member>,
    /// Nodes and namespaces that incidents were folded into and that are still open.
    pub parents: BTreeSet<Workload>,
}

/// Incidents that share a node or a namespace, and whose own look is spared.
#[derive(Debug, Clone, PartialEq)]
pub struct Fold {
    /// The Node or the Namespace.
    pub into: Workload,
    pub members: Vec<Uuid>,
    /// The highest of theirs.
    pub severity: Severity,
}

/// The node or namespace that a member shares with others.
type Factor<'a> = &'a dyn Fn(&Member) -> Option<Workload>;

/// What folds. A node counts for a workload when all pods of it that are in trouble run there; a namespace when it
/// alone has a crowd. `at_least` workloads make a crowd; one that has begun takes in all that comes later.
pub fn decide(crowd: &Crowd, nodes: &BTreeMap<Workload, BTreeSet<String>>, at_least: usize) -> Vec<Fold> {
    let mut folds = Vec::new();
    let mut left: Vec<&Member> = crowd.members.iter().collect();
    let on_node = |member: &Member| {
        let of = nodes.get(&member.workload)?;
        let only = of.first().filter(|_| of.len() == 1)?;
        Some(Workload::new(member.workload.cluster.as_str(), "", "Node", only.as_str()))
    };
    let in_namespace = |member: &Member| {
        let workload = &member.workload;
        Some(Workload::new(workload.cluster.as_str(), "", "Namespace", workload.namespace.as_str()))
    };
    let factors: [Factor<'_>; 2] = [&on_node, &in_namespace];
    for factor in factors {
        let mut groups: BTreeMap<Workload, Vec<&Member>> = BTreeMap::new();
        for member in &left {
            if let Some(shared) = factor(member) {
                groups.entry(shared).or_default().push(member);
            }
        }
        groups.retain(|shared, group| group.len() >= at_least || crowd.parents.contains(shared));
        left.retain(|member| factor(member).is_none_or(|shared| !groups.contains_key(&shared)));
        folds.extend(groups.into_iter().filter_map(|(into, group)| spared(into, &group)));
    }
    folds
}

fn spared(into: Workload, group: &[&Member]) -> Option<Fold> {
    let members: Vec<Uuid> = group.iter().filter(|member| member.waits).map(|member| member.id).collect();
    let severity = group.iter().map(|member| member.severity).max()?;
    (!members.is_empty()).then_some(Fold { into, members, severity })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(namespace: &str, name: &str, waits: bool) -> Member {
        let workload = Workload::new("lab", namespace, "Deployment", name);
        Member { id: Uuid::now_v7(), workload, severity: Severity::Warning, waits }
    }

    fn crowd(members: Vec<Member>) -> Crowd {
        Crowd { members, parents: BTreeSet::new() }
    }

    #[test]
    fn a_crowd_of_one_namespace_folds_and_one_less_does_not() {
        let members: Vec<Member> = (0..5).map(|n| member("a", &format!("d{n}"), n > 0)).collect();
        let folds = decide(&crowd(members.clone()), &BTreeMap::new(), 5);
        let [fold] = folds.as_slice() else { panic!("{folds:?}") };
        assert_eq!(fold.into, Workload::new("lab", "", "Namespace", "a"));
        assert_eq!(fold.members.len(), 4, "what has begun is not taken away");
        assert_eq!(decide(&crowd(members), &BTreeMap::new(), 6), []);
    }

    #[test]
    fn a_node_goes_before_a_namespace_and_only_for_what_is_in_trouble_there_alone() {
        let members: Vec<Member> = (0..6).map(|n| member(&format!("n{n}"), "d", true)).collect();
        let mut nodes: BTreeMap<Workload, BTreeSet<String>> = members
            .iter()
            .map(|member| (member.workload.clone(), BTreeSet::from(["w1".to_owned()])))
            .collect();
        nodes.insert(members[0].workload.clone(), BTreeSet::from(["w1".to_owned(), "w2".to_owned()]));
        let folds = decide(&crowd(members), &nodes, 5);
        let [fold] = folds.as_slice() else { panic!("{folds:?}") };
        assert_eq!((fold.into.short().as_str(), fold.members.len()), ("Node w1", 5));
    }

    #[test]
    fn a_storm_that_has_begun_takes_in_what_comes_later() {
        let late = Crowd {
            members: vec![member("a", "late", true), member("b", "other", true)],
            parents: BTreeSet::from([Workload::new("lab", "", "Namespace", "a")]),
        };
        let folds = decide(&late, &BTreeMap::new(), 20);
        assert_eq!(folds.len(), 1, "{folds:?}");
        assert_eq!(folds[0].members, [late.members[0].id]);
    }

    #[test]
    fn clusters_are_kept_apart() {
        let mut members: Vec<Member> = (0..4).map(|n| member("a", &format!("d{n}"), true)).collect();
        for member in &mut members[..2] {
            member.workload.cluster = "other".to_owned();
        }
        assert_eq!(decide(&crowd(members), &BTreeMap::new(), 3), []);
    }
}
