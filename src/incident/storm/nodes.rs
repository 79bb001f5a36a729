//! Where the troubled pods of many workloads run. Nodes that say they are not well are asked for their pods; without
//! one, the namespaces with most workloads are. A handful of requests, however large the storm; what cannot be read
//! is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::Member;
use crate::incident::resolve::Resolver;
use crate::source::kubernetes::{Client, ListQuery};
use crate::workload::Workload;

/// Nodes and namespaces whose pods are listed.
const MAX_LISTS: usize = 5;
/// For all that is asked.
const DEADLINE: Duration = Duration::from_secs(15);

/// Nodes of each member's pods that are in trouble. Empty without a cluster, and when it does not answer in time.
pub async fn troubled_nodes(resolver: &Resolver, members: &[Member]) -> BTreeMap<Workload, BTreeSet<String>> {
    let mut by_cluster: BTreeMap<&str, Vec<Member>> = BTreeMap::new();
    for member in members {
        by_cluster.entry(&member.workload.cluster).or_default().push(member.clone());
    }
    let each = by_cluster
        .into_iter()
        .map(|(cluster, members)| async move { of_cluster(&resolver.at(cluster), &members).await });
    futures::future::join_all(each).await.into_iter().flatten().collect()
}

async fn of_cluster(resolver: &Resolver, members: &[Member]) -> BTreeMap<Workload, BTreeSet<String>> {
    let Some(client) = resolver.client() else { return BTreeMap::new() };
    let found = async {
        let mut pods = pods_of_ill_nodes(client).await;
        if pods.is_empty() {
            pods = pods_of_namespaces(client, members).await;
        }
        owners(resolver, pods, members).await
    };
    tokio::time::timeout(DEADLINE, found).await.unwrap_or_default()
}

async fn pods_of_ill_nodes(client: &Client) -> Vec<Pod> {
    let Ok(nodes) = client.list::<Node>("", &ListQuery::default()).await else { return Vec::new() };
    let ill = nodes.value.items.into_iter().filter(is_ill).filter_map(|node| node.metadata.name);
    let mut pods = Vec::new();
    for name in ill.take(MAX_LISTS) {
        let query = ListQuery::fields(format!("spec.nodeName={name}"));
        if let Ok(of_node) = client.list::<Pod>("", &query).await {
            pods.extend(of_node.value.items);
        }
    }
    pods
}

async fn pods_of_namespaces(client: &Client, members: &[Member]) -> Vec<Pod> {
    let mut crowds: BTreeMap<&str, usize> = BTreeMap::new();
    for member in members {
        *crowds.entry(&member.workload.namespace).or_default() += 1;
    }
    let mut crowds: Vec<(&str, usize)> = crowds.into_iter().collect();
    crowds.sort_by_key(|(_, workloads)| std::cmp::Reverse(*workloads));
    let mut pods = Vec::new();
    for (namespace, _) in crowds.into_iter().take(MAX_LISTS) {
        if let Ok(listed) = client.list::<Pod>(namespace, &ListQuery::default()).await {
            pods.extend(listed.value.items.into_iter().filter(is_troubled));
        }
    }
    pods
}

/// Its own word: not Ready, or a condition besides Ready that is true (pressure, no network).
fn is_ill(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| match condition.type_.as_str() {
        "Ready" => condition.status != "True",
        "MemoryPressure" | "DiskPressure" | "PIDPressure" | "NetworkUnavailable" => {
            condition.status == "True"
        }
        _ => false,
    })
}

/// Has a node, is not finished and not ready.
fn is_troubled(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    status.phase.as_deref() != Some("Succeeded") && !ready
}

async fn owners(
    resolver: &Resolver,
    pods: Vec<Pod>,
    members: &[Member],
) -> BTreeMap<Workload, BTreeSet<String>> {
    let wanted: BTreeSet<(&str, &str, &str)> = members
        .iter()
        .map(|member| (&*member.workload.namespace, &*member.workload.kind, &*member.workload.name))
        .collect();
    let mut nodes: BTreeMap<Workload, BTreeSet<String>> = BTreeMap::new();
    for pod in pods {
        let node = pod.spec.and_then(|spec| spec.node_name);
        let (Some(node), Some(namespace)) = (node, pod.metadata.namespace.clone()) else { continue };
        // Owners come from the cache where the alert's own look has asked before.
        let Some((kind, name)) = resolver.top_owner(&namespace, &pod.metadata).await else { continue };
        if !wanted.contains(&(namespace.as_str(), kind.as_str(), name.as_str())) {
            continue;
        }
        for member in members {
            let of = &member.workload;
            if of.namespace == namespace && of.kind == kind && of.name == name {
                nodes.entry(of.clone()).or_default().insert(node.clone());
            }
        }
    }
    nodes
}
