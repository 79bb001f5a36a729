//! Whose series moved: by service, where a database, a cache and a sidecar belong to their owner, and by node. Labels
//! and what each series did come in, counts go out, who moved most first. Pure; a series whose labels tell of no
//! service or node is in no group.

use std::collections::{BTreeMap, BTreeSet};

use super::rank::owner;

/// Labels that name a workload, the surest first.
const WORKLOADS: [&str; 9] = [
    "deployment",
    "statefulset",
    "daemonset",
    "pod",
    "service_name",
    "destination_workload",
    "app",
    "service",
    "job",
];
const NODES: [&str; 4] = ["node", "kubernetes_node", "nodename", "host"];
/// What Kubernetes makes names of: no vowels, and no digits that look like letters.
const NAME_ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Characters of the end that it gives a pod.
const POD_END: usize = 5;
/// Fewest and most of the hash of a pod template.
const HASH: std::ops::RangeInclusive<usize> = 6..=10;

/// Series of one service or node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// Parts that were folded in: `carts-db`.
    pub with: BTreeSet<String>,
    pub all: usize,
    pub moved: usize,
    /// What they did, by shape.
    pub shapes: BTreeMap<&'static str, usize>,
}

/// One series: its labels, and its shape's word, "" where it did nothing.
pub type Told<'a> = (&'a BTreeMap<String, String>, &'static str);

/// By service. Nothing where all are of one.
pub fn by_service(series: &[Told<'_>]) -> Vec<Group> {
    let names: Vec<Option<String>> = series.iter().map(|one| service(one.0)).collect();
    let known: BTreeSet<&str> = names.iter().flatten().map(String::as_str).collect();
    let named = names.iter().map(|name| {
        let name = name.as_deref()?;
        Some((owner(name, &known), name))
    });
    groups(named, series)
}

/// By node. Nothing where all are of one.
pub fn by_node(series: &[Told<'_>]) -> Vec<Group> {
    let named = series.iter().map(|one| {
        let name = NODES.iter().find_map(|label| one.0.get(*label))?.as_str();
        Some((name, name))
    });
    groups(named, series)
}

fn groups<'n>(named: impl Iterator<Item = Option<(&'n str, &'n str)>>, series: &[Told<'_>]) -> Vec<Group> {
    let mut found: BTreeMap<&str, Group> = BTreeMap::new();
    for (names, (_, word)) in named.zip(series) {
        let Some((name, part)) = names else { continue };
        let group = found.entry(name).or_insert_with(|| Group {
            name: name.to_owned(),
            with: BTreeSet::new(),
            all: 0,
            moved: 0,
            shapes: BTreeMap::new(),
        });
        group.all += 1;
        if part != name {
            group.with.insert(part.to_owned());
        }
        if !word.is_empty() {
            group.moved += 1;
            *group.shapes.entry(word).or_default() += 1;
        }
    }
    let mut groups: Vec<Group> = found.into_values().collect();
    if groups.len() < 2 {
        return Vec::new();
    }
    // By share, without a division: a of b is more than c of d where a·d > c·b.
    groups.sort_by(|a, b| {
        let by_share = (b.moved * a.all).cmp(&(a.moved * b.all));
        by_share.then(b.moved.cmp(&a.moved)).then_with(|| a.name.cmp(&b.name))
    });
    groups
}

/// The workload that a series is about.
fn service(labels: &BTreeMap<String, String>) -> Option<String> {
    let (label, value) = WORKLOADS
        .iter()
        .find_map(|label| Some((*label, labels.get(*label).filter(|value| !value.is_empty())?)))?;
    Some(if label == "pod" { of_pod(value).to_owned() } else { value.clone() })
}

/// `checkout-66f478c98f-x2bqz`, `orders-db-0` and `log-agent-7wz4k` without what Kubernetes put at their end.
pub fn of_pod(pod: &str) -> &str {
    let is_made = |end: &str| end.chars().all(|c| NAME_ALPHABET.contains(c));
    let Some((rest, end)) = pod.rsplit_once('-').filter(|(rest, _)| !rest.is_empty()) else { return pod };
    if !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()) {
        return rest;
    }
    if end.len() != POD_END || !is_made(end) {
        return pod;
    }
    let is_hash = |hash: &str| {
        HASH.contains(&hash.len()) && (is_made(hash) || hash.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match rest.rsplit_once('-') {
        Some((name, hash)) if !name.is_empty() && is_hash(hash) => name,
        _ => rest,
    }
}
