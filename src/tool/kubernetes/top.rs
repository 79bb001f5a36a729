//! `kubernetes_top`: what pods or nodes ask for, may use and (where a metrics server runs) do use. Sums
//! per node count pods of all namespaces and give out nothing else of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, Words};
use super::found;
use super::list::MAX_ROWS;
use super::reach::{Reach, refusal};
use super::table::aligned;
use crate::evidence::{pods, units};
use crate::source::kubernetes::ListQuery;
use crate::source::kubernetes::kinds::{Kind, NODE_METRICS, POD_METRICS};
use crate::tool::{Found, Refusal};

const MEBIBYTE: i64 = 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    pub kind: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub label_selector: Option<String>,
}

/// Thousandths of a core, and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    cpu_millis: i64,
    memory_bytes: i64,
}

/// Usage by name, or why there is none.
type Usage = Result<BTreeMap<String, Amount>, String>;

pub async fn answer(reach: &Reach<'_>, arguments: Arguments) -> Result<Found, Refusal> {
    let words = Words {
        kind: Some(&arguments.kind),
        namespace: arguments.namespace.as_deref(),
        default_kind: "Pod",
        ..Words::default()
    };
    let asked = Asked::understand(&words)?;
    let labels = arguments.label_selector.or_else(|| asked.flags.get("labels").cloned()).unwrap_or_default();
    match asked.kind.name {
        "Pod" => of_pods(reach, &asked, &ListQuery::labels(labels)).await,
        "Node" => of_nodes(reach).await,
        kind => Err(Refusal::Arguments(format!("`kind`: pods or nodes, not {kind}"))),
    }
}

async fn of_pods(reach: &Reach<'_>, asked: &Asked, query: &ListQuery) -> Result<Found, Refusal> {
    let namespace = reach.namespace(asked)?;
    let answer =
        reach.scoped.list::<Pod>(&namespace, query).await.map_err(|error| refusal(&error, "pods"))?;
    let mut listed: Vec<&Pod> = answer.value.items.iter().filter(|pod| is_unfinished(pod)).collect();
    if !asked.name.is_empty() {
        listed.retain(|pod| pod.metadata.name.as_deref() == Some(asked.name.as_str()));
    }
    if listed.len() > MAX_ROWS || answer.value.truncated {
        let words =
            format!("{} unfinished pods, at most {MAX_ROWS} rows; give a label_selector", listed.len());
        return Err(Refusal::TooMuch(words));
    }
    let usage = usage(reach, &POD_METRICS, &namespace, query).await;
    let headers = [
        "POD",
        "CPU REQUEST",
        "CPU LIMIT",
        "MEMORY REQUEST",
        "MEMORY LIMIT",
        "CPU USED",
        "MEMORY USED",
        "NODE",
    ];
    let row = |pod: &&Pod| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let (requested, limit) = (pods::requested(pod), limit(pod));
        let used = usage.as_ref().ok().and_then(|usage| usage.get(&name));
        vec![
            name.clone(),
            cpu(requested.cpu_millis),
            limit.0,
            memory(requested.memory_bytes),
            limit.1,
            used.map_or_else(|| "-".to_owned(), |used| cpu(used.cpu_millis)),
            used.map_or_else(|| "-".to_owned(), |used| memory(used.memory_bytes)),
            pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
    let place = if namespace.is_empty() { "all namespaces" } else { &namespace };
    let head = format!("{} unfinished pods in {place}; limits add up over containers", rows.len());
    Ok(told(answer.query, &head, &headers, &rows, &usage))
}

async fn of_nodes(reach: &Reach<'_>) -> Result<Found, Refusal> {
    let nodes = reach.scoped.list_shared::<Node>().await.map_err(|error| refusal(&error, "nodes"))?;
    let requested = reach.scoped.requested_per_node(pods::requested).await;
    let requested = requested.map_err(|error| refusal(&error, "pods"))?.value;
    if nodes.value.items.len() > MAX_ROWS {
        let words = format!(
            "{} nodes, at most {MAX_ROWS} rows; kubernetes_list nodes with a label_selector",
            nodes.value.items.len()
        );
        return Err(Refusal::TooMuch(words));
    }
    let usage = usage(reach, &NODE_METRICS, "", &ListQuery::default()).await;
    let headers = ["NODE", "PODS", "CPU REQUESTED", "MEMORY REQUESTED", "CPU USED", "MEMORY USED"];
    let row = |node: &Node| {
        let name = node.metadata.name.clone().unwrap_or_default();
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let whole = Amount {
            cpu_millis: units::millis(units::quantity(allocatable, "cpu")),
            memory_bytes: units::units(units::quantity(allocatable, "memory")),
        };
        let sum = requested.get(&name).cloned().unwrap_or_default();
        let used = usage.as_ref().ok().and_then(|usage| usage.get(&name));
        vec![
            name.clone(),
            format!("{}/{}", sum.pods, units::units(units::quantity(allocatable, "pods"))),
            of_whole(cpu(sum.cpu_millis), sum.cpu_millis, cpu(whole.cpu_millis), whole.cpu_millis),
            of_whole(
                memory(sum.memory_bytes),
                sum.memory_bytes,
                memory(whole.memory_bytes),
                whole.memory_bytes,
            ),
            used.map_or_else(|| "-".to_owned(), |used| cpu(used.cpu_millis)),
            used.map_or_else(|| "-".to_owned(), |used| memory(used.memory_bytes)),
        ]
    };
    let rows: Vec<Vec<String>> = nodes.value.items.iter().map(row).collect();
    let head = format!("{} nodes; requests of all unfinished pods against what is allocatable", rows.len());
    Ok(told(nodes.query, &head, &headers, &rows, &usage))
}

fn told(query: String, head: &str, headers: &[&str], rows: &[Vec<String>], usage: &Usage) -> Found {
    let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
    let mut digest = format!("{head}\n{}", aligned(&headers, rows));
    if let Err(why) = usage {
        digest.push_str(&format!("\nno usage: {why}"));
    }
    found(query, digest.clone(), digest)
}

/// What the metrics server says; a cluster without one still has requests and limits.
async fn usage(reach: &Reach<'_>, kind: &Kind, namespace: &str, query: &ListQuery) -> Usage {
    let answer = reach.scoped.objects(kind, namespace, query).await.map_err(|error| match error {
        crate::source::kubernetes::Error::NotFound => {
            "this cluster serves no metrics.k8s.io (no metrics server); ask prometheus_query".to_owned()
        }
        error => format!("metrics.k8s.io: {error}"),
    })?;
    Ok(answer.value.items.iter().map(used).collect())
}

/// Of a pod the sum over its containers, of a node its own.
fn used(metrics: &Value) -> (String, Amount) {
    let name = metrics["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let amount = |usage: &Value| Amount {
        cpu_millis: units::millis(usage["cpu"].as_str().unwrap_or_default()),
        memory_bytes: units::units(usage["memory"].as_str().unwrap_or_default()),
    };
    let own = amount(&metrics["usage"]);
    let containers = metrics["containers"].as_array().into_iter().flatten();
    let sum = containers.map(|container| amount(&container["usage"])).fold(own, |sum, one| Amount {
        cpu_millis: sum.cpu_millis.saturating_add(one.cpu_millis),
        memory_bytes: sum.memory_bytes.saturating_add(one.memory_bytes),
    });
    (name, sum)
}

fn is_unfinished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// CPU and memory limits of a pod; a container without one has no bound, and neither has its pod.
fn limit(pod: &Pod) -> (String, String) {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let sum = |name: &str, amount: fn(&str) -> i64, shown: fn(i64) -> String| {
        let each = containers.iter().map(|container| {
            let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
            Some(units::quantity(limits, name)).filter(|text| !text.is_empty()).map(amount)
        });
        let sum: Option<i64> = each.sum();
        sum.map_or_else(|| "none".to_owned(), shown)
    };
    (sum("cpu", units::millis, cpu), sum("memory", units::units, memory))
}

fn cpu(millis: i64) -> String {
    format!("{millis}m")
}

fn memory(bytes: i64) -> String {
    format!("{}Mi", bytes / MEBIBYTE)
}

/// `850m of 4000m (21%)`
fn of_whole(shown: String, part: i64, whole_shown: String, whole: i64) -> String {
    if whole <= 0 {
        shown
    } else {
        format!("{shown} of {whole_shown} ({}%)", part.saturating_mul(100) / whole)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_adds_up_over_containers() {
        let pod = json!({"metadata": {"name": "a"}, "containers": [
            {"name": "a", "usage": {"cpu": "12345678n", "memory": "20Mi"}},
            {"name": "b", "usage": {"cpu": "1m", "memory": "1024Ki"}}]});
        assert_eq!(used(&pod), ("a".to_owned(), Amount { cpu_millis: 13, memory_bytes: 21 * MEBIBYTE }));
        let node = json!({"metadata": {"name": "n"}, "usage": {"cpu": "1500m", "memory": "2Gi"}});
        assert_eq!(
            used(&node),
            ("n".to_owned(), Amount { cpu_millis: 1_500, memory_bytes: 2_048 * MEBIBYTE })
        );
        assert_eq!(of_whole("1m".to_owned(), 1, "0m".to_owned(), 0), "1m");
    }
}
