//! The objects below a workload: its pods, and the sets or jobs between. Ownership is followed by
//! reference, never by a name's beginning.

use std::collections::BTreeSet;

use serde_json::Value;

use super::reach::{Reach, direct_owner};
use crate::source::kubernetes::ListQuery;
use crate::source::kubernetes::kinds::{Kind, kind};
use crate::tool::Refusal;

/// Pods of one workload, and the objects between.
pub struct Family {
    pub pods: Vec<Value>,
    /// Kind and name of the workload, its pods and everything between.
    pub members: BTreeSet<(String, String)>,
    /// More pods than one page were there to choose from.
    pub more: bool,
}

/// Kinds that have pods below them.
pub fn has_pods(kind: &Kind) -> bool {
    matches!(
        kind.name,
        "Deployment"
            | "ReplicaSet"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicationController"
            | "Job"
            | "CronJob"
            | "Service"
            | "Rollout"
    )
}

pub async fn family(
    reach: &Reach<'_>,
    workload: &Kind,
    namespace: &str,
    object: &Value,
) -> Result<Family, Refusal> {
    let Some(pod) = kind("Pod") else { return Err(Refusal::Failed("no pods".to_owned())) };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let query = ListQuery::labels(selector(object));
    let mut members = BTreeSet::from([(workload.name.to_owned(), name.to_owned())]);
    if workload.name == "Service" && query.labels.is_empty() {
        return Ok(Family { pods: Vec::new(), members, more: false });
    }
    // A set whose pods cannot be made has no pods, and says so in its own events.
    if let Some(below) = below(workload) {
        let sets = reach.objects(below, namespace, &query).await?.value.items;
        let own = sets.iter().filter(|set| {
            direct_owner(set).is_some_and(|owner| owner.kind == workload.name && owner.name == name)
        });
        members.extend(own.map(|set| (below.name.to_owned(), super::table::name(set).to_owned())));
    }
    let answer = reach.objects(pod, namespace, &query).await?;
    let mut pods = Vec::new();
    for pod in answer.value.items {
        let owner = direct_owner(&pod).map(|owner| (owner.kind, owner.name));
        if workload.name == "Service" || owner.is_some_and(|owner| members.contains(&owner)) {
            pods.push(pod);
        }
    }
    members.extend(pods.iter().map(|pod| ("Pod".to_owned(), super::table::name(pod).to_owned())));
    Ok(Family { pods, members, more: answer.value.more })
}

/// The kind between a workload and its pods.
fn below(workload: &Kind) -> Option<&'static Kind> {
    match workload.name {
        "Deployment" | "Rollout" => kind("ReplicaSet"),
        "CronJob" => kind("Job"),
        _ => None,
    }
}

/// `app=catalog,tier=web`; "" where a label selector cannot say it, so that ownership alone decides.
fn selector(object: &Value) -> String {
    let selector = &object["spec"]["selector"];
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let pairs = labels.as_object().into_iter().flatten();
    let each: Vec<String> =
        pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    each.join(",")
}

impl Family {
    /// Whether an event is about this family, also one about a pod that is gone: its set lives on.
    pub fn concerns(&self, kind: &str, name: &str) -> bool {
        let is_member = self.members.iter().any(|(own_kind, own_name)| own_kind == kind && own_name == name);
        let of_set = |(set, own): &(String, String)| {
            matches!(
                set.as_str(),
                "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController"
            ) && name
                .strip_prefix(own.as_str())
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|rest| !rest.contains('-'))
        };
        is_member || kind == "Pod" && self.members.iter().any(of_set)
    }
}
