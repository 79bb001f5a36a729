//! Which pods of a workload and which containers of a pod have their logs read when nobody says: the
//! troubled ones, and in the scope `workload` none but the workload's own.

use serde_json::Value;

use super::asked::Asked;
use super::family::{family, has_pods};
use super::reach::Reach;
use super::table::name;
use crate::tool::Refusal;

/// Pods of a workload, and containers of a pod, that one call reads.
const MAX_PODS: usize = 2;
const MAX_CONTAINERS: usize = 2;

/// The pods to read, and the names of the workload's others.
pub async fn pods(
    reach: &Reach<'_>,
    asked: &Asked,
    namespace: &str,
) -> Result<(Vec<Value>, Vec<String>), Refusal> {
    let object = reach.object(asked.kind, namespace, &asked.name).await?.value;
    let mut pods = match asked.kind.name {
        "Pod" => vec![object],
        _ if has_pods(asked.kind) => family(reach, asked.kind, namespace, &object).await?.pods,
        kind => return Err(Refusal::Arguments(format!("a {kind} writes no log; name a pod or a workload"))),
    };
    if pods.is_empty() {
        return Err(Refusal::Failed(format!("{} {} has no pods", asked.kind.name, asked.name)));
    }
    if reach.bounds.own_pods_only {
        let mut own = Vec::new();
        for pod in pods {
            if reach.is_own(&pod, namespace).await {
                own.push(pod);
            }
        }
        if own.is_empty() {
            let workload = reach.bounds.workload.short();
            return Err(Refusal::Scope(format!("only logs of pods of {workload} may be read")));
        }
        pods = own;
    }
    // The troubled first, the newest of them first.
    let made = |pod: &Value| pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
    pods.sort_by_key(|pod| (is_well(pod), std::cmp::Reverse(made(pod))));
    let others = pods.split_off(pods.len().min(MAX_PODS)).iter().map(|pod| name(pod).to_owned()).collect();
    Ok((pods, others))
}

/// Ready, or done; and never restarted.
pub fn is_well(pod: &Value) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array();
    pod["status"]["phase"] == "Succeeded" || statuses.is_some_and(|statuses| statuses.iter().all(is_calm))
}

fn is_calm(status: &Value) -> bool {
    status["ready"] == true && status["restartCount"] == 0
}

/// The containers to read, and the names of the others: the one asked for, else the troubled, else the first.
pub fn containers(pod: &Value, wanted: Option<&str>) -> Result<(Vec<String>, Vec<String>), Refusal> {
    let names = |part: &str| -> Vec<String> {
        let listed = pod["spec"][part].as_array().into_iter().flatten();
        listed.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
    };
    let main = names("containers");
    let all = [names("initContainers"), main.clone(), names("ephemeralContainers")].concat();
    let chosen: Vec<String> = match wanted {
        Some(wanted) if all.iter().any(|name| name == wanted) => vec![wanted.to_owned()],
        Some(wanted) => {
            let words = format!("`container`: {wanted} is none of {}; it has {}", name(pod), all.join(", "));
            return Err(Refusal::Arguments(words));
        }
        None => {
            let troubled: Vec<String> = all.iter().filter(|name| is_troubled(pod, name)).cloned().collect();
            let annotated =
                pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
            match annotated.map(str::to_owned).or_else(|| main.first().cloned()) {
                _ if !troubled.is_empty() => troubled.into_iter().take(MAX_CONTAINERS).collect(),
                Some(first) => vec![first],
                None => Vec::new(),
            }
        }
    };
    let rest = all.into_iter().filter(|name| !chosen.contains(name)).collect();
    Ok((chosen, rest))
}

fn status<'v>(pod: &'v Value, container: &str) -> Option<&'v Value> {
    let statuses = |part: &str| pod["status"][part].as_array().into_iter().flatten();
    let mut statuses = statuses("initContainerStatuses").chain(statuses("containerStatuses"));
    statuses.find(|status| status["name"] == container)
}

pub fn restarts(pod: &Value, container: &str) -> i64 {
    status(pod, container).and_then(|status| status["restartCount"].as_i64()).unwrap_or(0)
}

fn is_troubled(pod: &Value, container: &str) -> bool {
    let Some(status) = status(pod, container) else { return false };
    let state = &status["state"];
    let waits = &state["waiting"]["reason"];
    let ended_well = state["terminated"]["exitCode"] == 0;
    waits != "PodInitializing" && !ended_well && !is_calm(status)
}
