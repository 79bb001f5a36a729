//! Constraints between pods: required affinity and anti-affinity by topology, and spread that must hold. Pods
//! and the nodes come in, a test for each node comes out. Pods of other namespaces count where they were read;
//! a wish for their company that cannot be judged keeps nothing away. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod, PodAffinityTerm, PodSpec, TopologySpreadConstraint};

use super::labels::{self, Labels};
use super::places::{self, namespace_of};
use super::{Failure, targets};
use crate::evidence::focus::name_of;

/// What the pods that run already mean for one more.
#[derive(Default)]
pub struct Neighbours {
    tests: Vec<Test>,
}

/// Nodes by the value of one label: those in (or, for affinity, not in) `values` fail.
struct Test {
    constraint: &'static str,
    key: String,
    values: BTreeSet<String>,
    /// Nodes fail whose value is among them; else nodes fail whose value is not.
    among: bool,
    /// A node without the label fails too.
    needs_key: bool,
    detail: String,
}

impl Neighbours {
    /// `elsewhere` are pods of other namespaces, empty where they could not be seen.
    pub fn new(pod: &Pod, (pods, elsewhere): (&[Pod], &[Pod]), nodes: &[Node]) -> Self {
        let by_name: BTreeMap<&str, &Node> =
            nodes.iter().map(|node| (name_of(&node.metadata), node)).collect();
        let everywhere: Vec<(&Pod, &Node)> = pods
            .iter()
            .chain(elsewhere)
            .filter(|other| !finished(other))
            .filter_map(|other| {
                let node = other.spec.as_ref()?.node_name.as_deref()?;
                Some((other, *by_name.get(node)?))
            })
            .collect();
        let mut tests = Vec::new();
        let Some(spec) = pod.spec.as_ref() else { return Self { tests } };
        let own = labels_of(pod);
        for term in terms(spec, true) {
            tests.push(anti(term, domains(term, pod, &everywhere)));
        }
        for term in terms(spec, false) {
            let values = domains(term, pod, &everywhere);
            // The first of a group that wants its own company may start anywhere.
            let itself = labels::selects(term.label_selector.as_ref(), &own)
                && places::covers(term, pod, namespace_of(pod)) == Some(true);
            let unknown = undecided(term, pod, &everywhere, !elsewhere.is_empty());
            if unknown || values.is_empty() && itself {
                continue;
            }
            let (key, detail) = (term.topology_key.clone(), words(term));
            tests.push(Test {
                constraint: "pod-affinity",
                key,
                values,
                among: false,
                needs_key: true,
                detail,
            });
        }
        tests.extend(
            everywhere.iter().flat_map(|(other, node)| against(other, node, pod, &terms(spec, true))),
        );
        let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
        let hard: Vec<&TopologySpreadConstraint> =
            constraints.iter().filter(|one| one.when_unsatisfiable == "DoNotSchedule").collect();
        let placed = everywhere.into_iter().filter(|(other, _)| namespace_of(other) == namespace_of(pod));
        let here = Here { pod, spec, placed: placed.collect(), nodes };
        tests.extend(hard.iter().map(|one| spread(one, &hard, &here)));
        Self { tests }
    }

    pub fn failures(&self, node: &Node) -> Vec<Failure> {
        let value = |key: &String| node.metadata.labels.as_ref().and_then(|labels| labels.get(key));
        let failed = self.tests.iter().filter(|test| match value(&test.key) {
            Some(value) => test.values.contains(value) == test.among,
            None => test.needs_key,
        });
        failed.map(|test| Failure::new(test.constraint, &test.detail)).collect()
    }
}

fn anti(term: &PodAffinityTerm, values: BTreeSet<String>) -> Test {
    let key = term.topology_key.clone();
    Test { constraint: "pod-anti-affinity", key, values, among: true, needs_key: false, detail: words(term) }
}

/// Rules of a pod that runs already and does not want this one near it.
/// A rule that both have, as replicas do, is told once.
fn against(other: &Pod, node: &Node, pod: &Pod, known: &[&PodAffinityTerm]) -> Vec<Test> {
    let own = labels_of(pod);
    let spec = other.spec.as_ref();
    let unwanted = spec.map(|spec| terms(spec, true)).unwrap_or_default().into_iter();
    let unwanted = unwanted.filter(|term| {
        labels::selects(term.label_selector.as_ref(), &own)
            && places::covers(term, other, namespace_of(pod)) == Some(true)
    });
    let others = labels_of(other);
    let unwanted = unwanted.filter(|term| {
        !(known.contains(term)
            && labels::selects(term.label_selector.as_ref(), &others)
            && places::covers(term, pod, namespace_of(other)) == Some(true))
    });
    unwanted
        .filter_map(|term| {
            let value = node.metadata.labels.as_ref()?.get(&term.topology_key)?;
            let mut test = anti(term, BTreeSet::from([value.clone()]));
            test.detail = format!("{} of pod {}", test.detail, name_of(&other.metadata));
            Some(test)
        })
        .collect()
}

/// Required terms.
fn terms(spec: &PodSpec, anti: bool) -> Vec<&PodAffinityTerm> {
    let affinity = spec.affinity.as_ref();
    let required = if anti {
        affinity.and_then(|one| {
            one.pod_anti_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
        })
    } else {
        affinity.and_then(|one| {
            one.pod_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
        })
    };
    required.into_iter().flatten().collect()
}

/// Where pods run that a term of `owner` is certainly about.
fn domains(term: &PodAffinityTerm, owner: &Pod, placed: &[(&Pod, &Node)]) -> BTreeSet<String> {
    let fits = |pod: &Pod| {
        labels::selects(term.label_selector.as_ref(), &labels_of(pod))
            && places::covers(term, owner, namespace_of(pod)) == Some(true)
    };
    let matching = placed.iter().filter(|(pod, _)| fits(pod));
    matching.filter_map(|(_, node)| node.metadata.labels.as_ref()?.get(&term.topology_key).cloned()).collect()
}

/// Whether pods that were not read, or in namespaces whose labels were not, may be the company that is wanted.
fn undecided(term: &PodAffinityTerm, owner: &Pod, placed: &[(&Pod, &Node)], all_read: bool) -> bool {
    let maybe = |pod: &Pod| {
        labels::selects(term.label_selector.as_ref(), &labels_of(pod))
            && places::covers(term, owner, namespace_of(pod)).is_none()
    };
    places::reaches_out(term, owner) && !all_read || placed.iter().any(|(pod, _)| maybe(pod))
}

fn words(term: &PodAffinityTerm) -> String {
    format!("{} by {}", labels::selector_words(term.label_selector.as_ref()), term.topology_key)
}

/// Domains in which one more pod would break the skew.
fn spread(one: &TopologySpreadConstraint, hard: &[&TopologySpreadConstraint], here: &Here<'_>) -> Test {
    let own = labels_of(here.pod);
    let mut selector = one.label_selector.clone();
    if let Some(selector) = &mut selector {
        let keys = one.match_label_keys.iter().flatten();
        let same = keys.filter_map(|key| Some((key.clone(), own.get(key)?.clone())));
        selector.match_labels.get_or_insert_default().extend(same);
    }
    let value = |node: &Node| node.metadata.labels.as_ref()?.get(&one.topology_key).cloned();
    let all_keys = |node: &Node| {
        let labels = node.metadata.labels.as_ref();
        hard.iter().all(|one| labels.is_some_and(|labels| labels.contains_key(&one.topology_key)))
    };
    let counts_node = |node: &&Node| {
        let affinity = one.node_affinity_policy.as_deref() == Some("Ignore") || targets(here.spec, node);
        let tolerations = here.spec.tolerations.as_deref().unwrap_or_default();
        let taints = one.node_taints_policy.as_deref() != Some("Honor")
            || labels::untolerated(node, tolerations).is_empty();
        all_keys(node) && affinity && taints
    };
    let mut counts: BTreeMap<String, i64> =
        here.nodes.iter().filter(counts_node).filter_map(|node| Some((value(node)?, 0))).collect();
    let alive = here.placed.iter().filter(|(pod, _)| pod.metadata.deletion_timestamp.is_none());
    for (_, node) in alive.filter(|(pod, _)| labels::selects(selector.as_ref(), &labels_of(pod))) {
        if counts_node(node)
            && let Some(count) = value(node).and_then(|value| counts.get_mut(&value))
        {
            *count += 1;
        }
    }
    let domains = i32::try_from(counts.len()).unwrap_or(i32::MAX);
    let least = if one.min_domains.is_some_and(|least| domains < least) {
        0
    } else {
        counts.values().min().copied().unwrap_or(0)
    };
    let oneself = i64::from(labels::selects(selector.as_ref(), &own));
    let skewed = |count: &i64| count + oneself - least > i64::from(one.max_skew);
    let values = counts.iter().filter(|(_, count)| skewed(count)).map(|(value, _)| value.clone()).collect();
    let counted: Vec<String> = counts.iter().map(|(value, count)| format!("{value} {count}")).collect();
    let detail = format!(
        "{} by {}, maxSkew {} ({})",
        labels::selector_words(selector.as_ref()),
        one.topology_key,
        one.max_skew,
        if counted.is_empty() { "on no node that fits".to_owned() } else { counted.join(", ") }
    );
    let key = one.topology_key.clone();
    Test { constraint: "topology-spread", key, values, among: true, needs_key: true, detail }
}

/// Where one more pod is to go.
struct Here<'a> {
    pod: &'a Pod,
    spec: &'a PodSpec,
    placed: Vec<(&'a Pod, &'a Node)>,
    nodes: &'a [Node],
}

fn finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn labels_of(pod: &Pod) -> Labels {
    pod.metadata.labels.clone().unwrap_or_default()
}
