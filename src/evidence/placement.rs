//! Why a waiting pod has no node: each node compared with the pod's constraints as the scheduler does, one row
//! for each constraint that nodes fail. The cause is what covers the nodes that are otherwise eligible; nodes
//! that are not meant (control plane, dedicated, cordoned) are put aside step by step. Pure; it names no cause.

mod binding;
mod capacity;
pub(super) mod labels;
mod message;
mod neighbours;
mod places;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};

use super::focus::{Focus, claims_of, name_of};
use super::ledger::{Ledger, clean};
use super::objects::Objects;
use super::pods;
use crate::facts::{PlacementFact, PodFact};
use neighbours::Neighbours;

/// Pods of one workload that are compared; the others share their template.
const MAX_PODS: usize = 8;
/// Nodes that a row names.
const MAX_NAMED: usize = 20;
/// Details that a row joins.
const MAX_DETAILS: usize = 3;

/// Taints that tell of a node's state and not of its purpose.
const STATE_TAINTS: [&str; 5] = [
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupt",
    "karpenter.sh/unregistered",
];
const CORDON_TAINT: &str = "node.kubernetes.io/unschedulable";

/// Groups of constraints, in the order in which nodes are put aside: whom the pod wants, whom the node wants,
/// what state the node is in, whether there is room.
const STAGES: [&[&str]; 4] = [
    &["node-selector", "node-affinity", "volume-affinity"],
    &["taint"],
    &["cordon", "node-condition"],
    &[
        "cpu",
        "memory",
        "resource",
        "pod-limit",
        "host-port",
        "pod-affinity",
        "pod-anti-affinity",
        "topology-spread",
    ],
];
/// Constraints of which two together may leave no node, each on its own part.
const TOGETHER: [&[&str]; 3] = [STAGES[0], STAGES[2], &["cpu", "memory", "resource", "pod-limit"]];

/// One constraint that one node fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    constraint: &'static str,
    detail: String,
    /// What is left of it on this node, in thousandths; only for quantities.
    free: Option<i64>,
    never_fits: bool,
}

impl Failure {
    fn new(constraint: &'static str, detail: &str) -> Self {
        Self { constraint, detail: clean(detail), free: None, never_fits: false }
    }
}

/// Rows for waiting pods; also tells each pod's own row what keeps it from a node.
pub fn rows(
    objects: &Objects,
    focus: &Focus<'_>,
    pods: &mut [PodFact],
    ledger: &mut Ledger,
) -> Vec<PlacementFact> {
    let mut rows: Vec<PlacementFact> = Vec::new();
    for pod in &mut *pods {
        if pod.scheduled || pod.phase != "Pending" || pod.unscheduled_reason == "SchedulingGated" {
            continue;
        }
        let said = message::sole(&pod.unscheduled_message);
        let compared = rows.iter().map(|row| row.pod.as_str()).collect::<BTreeSet<_>>().len();
        let own = focus.pods.iter().find(|own| name_of(&own.metadata) == pod.name);
        // Before its claims are bound the scheduler looks at no node, unless a volume waits on one of them.
        let by_claim = said == Some("claim")
            && !(message::waits_for_volume(&pod.unscheduled_message)
                && own.is_some_and(|own| !binding::free(objects, own).is_empty()));
        if let Some(own) = own.filter(|_| !by_claim && compared < MAX_PODS && objects.nodes.known) {
            let (mut of_pod, outcome) = compare(objects, own);
            pod.blocked_from = outcome.to_owned();
            let deciding = of_pod.iter().filter(|row| row.decides).map(|row| row.constraint.clone());
            pod.blocked_by = deciding.collect::<BTreeSet<_>>().into_iter().collect();
            rows.append(&mut of_pod);
        }
        let complete = objects.nodes.known && objects.requested.is_some();
        let news = said.filter(|kind| !complete || !message::compared(kind));
        if let Some(kind) = news.filter(|_| pod.blocked_from.is_empty()) {
            pod.blocked_by = vec![kind.to_owned()];
            pod.blocked_from = "message".to_owned();
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let page = ledger.open("kubernetes", &objects.nodes.query, objects.nodes.milliseconds);
    for row in &mut rows {
        let quote = ledger.line(page, &line(row));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    rows
}

/// Whether the pod's own selector and affinity let a node through.
fn targets(spec: &PodSpec, node: &Node) -> bool {
    selector_misses(spec, node).is_empty()
        && affinity(spec).is_none_or(|wanted| labels::node_selects(wanted, node))
}

fn affinity(spec: &PodSpec) -> Option<&k8s_openapi::api::core::v1::NodeSelector> {
    let node = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    node.required_during_scheduling_ignored_during_execution.as_ref()
}

fn selector_misses(spec: &PodSpec, node: &Node) -> Vec<String> {
    let labels = node.metadata.labels.as_ref();
    let wanted = spec.node_selector.iter().flatten();
    let missed = wanted.filter(|(key, value)| labels.and_then(|labels| labels.get(*key)) != Some(value));
    missed.map(|(key, value)| format!("{key}={value}")).collect()
}

/// The rows of one pod, and `nodes`, `mixed` or "" (a node seems to fit, or there is none to compare with).
fn compare(objects: &Objects, pod: &Pod) -> (Vec<PlacementFact>, &'static str) {
    let Some(spec) = pod.spec.as_ref() else { return (Vec::new(), "") };
    let nodes = &objects.nodes.items;
    let neighbours = Neighbours::new(pod, (&objects.pods.items, &objects.elsewhere), nodes);
    let free = binding::free(objects, pod);
    let wanted = pods::requested(pod);
    let failures: Vec<Vec<Failure>> = nodes
        .iter()
        .map(|node| {
            let mut all = of_node(objects, pod, spec, node);
            all.extend(capacity::failures(objects, &wanted, node));
            all.extend(neighbours.failures(node));
            all.extend(binding::failures(&free, node));
            all
        })
        .collect();
    let (eligible, deciding) = funnel(&failures);
    let mut rows = tally(pod, nodes, &failures, &eligible);
    for row in &mut rows {
        row.decides = deciding.contains(&row.constraint.as_str());
        capacity::describe(row, &wanted);
    }
    let none_fits = !eligible.is_empty() && eligible.iter().all(|index| !failures[*index].is_empty());
    let outcome = match (none_fits, deciding.is_empty()) {
        (true, false) => "nodes",
        (true, true) => "mixed",
        (false, _) => "",
    };
    (rows, outcome)
}

/// What concerns the node itself: labels, volumes, taints, cordon.
fn of_node(objects: &Objects, pod: &Pod, spec: &PodSpec, node: &Node) -> Vec<Failure> {
    let mut all = Vec::new();
    let missed = selector_misses(spec, node);
    if !missed.is_empty() {
        all.push(Failure::new("node-selector", &missed.join(",")));
    }
    if let Some(wanted) = affinity(spec).filter(|wanted| !labels::node_selects(wanted, node)) {
        all.push(Failure::new("node-affinity", &labels::words(wanted)));
    }
    for name in claims_of(pod) {
        let claim = objects.claims.items.iter().find(|claim| name_of(&claim.metadata) == name);
        let volume = claim.and_then(|claim| claim.spec.as_ref()?.volume_name.as_deref());
        let volume = objects.volumes.items.iter().find(|known| Some(name_of(&known.metadata)) == volume);
        let required =
            volume.and_then(|known| known.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref());
        if let Some(required) = required.filter(|required| !labels::node_selects(required, node)) {
            all.push(Failure::new("volume-affinity", &format!("claim {name}: {}", labels::words(required))));
        }
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    let cordon = k8s_openapi::api::core::v1::Taint {
        key: CORDON_TAINT.to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Default::default()
    };
    if cordoned && !labels::tolerates(tolerations, &cordon) {
        all.push(Failure::new("cordon", ""));
    }
    for taint in labels::untolerated(node, tolerations)
        .into_iter()
        .filter(|taint| taint.key != CORDON_TAINT || !cordoned)
    {
        let state = STATE_TAINTS.iter().any(|prefix| taint.key.starts_with(prefix));
        let value = taint.value.as_deref().map(|value| format!("={value}")).unwrap_or_default();
        let constraint = if state { "node-condition" } else { "taint" };
        all.push(Failure::new(constraint, &format!("{}{value}:{}", taint.key, taint.effect)));
    }
    all
}

/// The nodes that nothing else keeps the pod from, and the constraints that cover them.
fn funnel(failures: &[Vec<Failure>]) -> (Vec<usize>, Vec<&'static str>) {
    let mut left: Vec<usize> = (0..failures.len()).collect();
    let mut deciding: Vec<&'static str> = Vec::new();
    if left.is_empty() {
        return (left, deciding);
    }
    let fails =
        |index: usize, kinds: &[&str]| failures[index].iter().any(|one| kinds.contains(&one.constraint));
    for (number, stage) in STAGES.into_iter().enumerate() {
        // Beside a node with the device, those without it are not meant; nor are those that are too small beside
        // one of the right size, whatever state that one is in.
        let never =
            |one: &Failure| one.never_fits && (number == 2 || (number == 1 && one.constraint == "resource"));
        let able: Vec<usize> =
            left.iter().copied().filter(|index| !failures[*index].iter().any(never)).collect();
        if !able.is_empty() {
            left = able;
        }
        let pass: Vec<usize> = left.iter().copied().filter(|index| !fails(*index, stage)).collect();
        if !pass.is_empty() {
            left = pass;
            continue;
        }
        let covering: Vec<&'static str> =
            stage.iter().copied().filter(|kind| left.iter().all(|index| fails(*index, &[kind]))).collect();
        if covering.is_empty() {
            let jointly = TOGETHER.iter().find(|kinds| left.iter().all(|index| fails(*index, kinds)));
            let kinds = jointly.copied().unwrap_or_default().iter().copied();
            deciding.extend(kinds.filter(|kind| left.iter().any(|index| fails(*index, &[kind]))));
        } else {
            deciding.extend(covering);
        }
        // A pod that asks for nodes which do not exist says nothing about those that do.
        if number == 0 {
            break;
        }
    }
    (left, deciding)
}

fn tally(pod: &Pod, nodes: &[Node], failures: &[Vec<Failure>], eligible: &[usize]) -> Vec<PlacementFact> {
    let mut by_kind: BTreeMap<(&'static str, String), Vec<(usize, &Failure)>> = BTreeMap::new();
    for (index, all) in failures.iter().enumerate() {
        for one in all {
            // Each resource is a constraint of its own.
            let key = if one.constraint == "resource" { one.detail.clone() } else { String::new() };
            by_kind.entry((one.constraint, key)).or_default().push((index, one));
        }
    }
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let rows = by_kind.into_iter().map(|((constraint, _), all)| {
        let failing: BTreeSet<usize> = all.iter().map(|(index, _)| *index).collect();
        let mut details: Vec<&str> = all.iter().map(|(_, one)| one.detail.as_str()).collect();
        details.sort_unstable();
        details.dedup();
        details.truncate(MAX_DETAILS);
        let most_free = all.iter().filter_map(|(_, one)| one.free).max();
        let name = |index: &usize| name_of(&nodes[*index].metadata).to_owned();
        PlacementFact {
            pod: name_of(&pod.metadata).to_owned(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            constraint: constraint.to_owned(),
            detail: details.join("; "),
            most_free: most_free.map(|free| free.to_string()).unwrap_or_default(),
            never_fits: failing.len() == nodes.len() && all.iter().all(|(_, one)| one.never_fits),
            nodes: failing.iter().take(MAX_NAMED).map(name).collect(),
            failing: count(failing.len()),
            total: count(nodes.len()),
            eligible: count(eligible.len()),
            covers: count(eligible.iter().filter(|index| failing.contains(index)).count()),
            ..PlacementFact::default()
        }
    });
    rows.collect()
}

fn line(row: &PlacementFact) -> String {
    let mut line = format!("pod {}: {} of {} nodes fail {}", row.pod, row.failing, row.total, row.constraint);
    if !row.detail.is_empty() {
        line.push_str(&format!(" ({})", row.detail));
    }
    if !row.wants.is_empty() {
        line.push_str(&format!(", it wants {} and the most that is free is {}", row.wants, row.most_free));
    }
    line.push_str(&format!(": {}", row.nodes.join(", ")));
    line.push_str(&format!("; of {} otherwise eligible nodes it covers {}", row.eligible, row.covers));
    line
}
