//! Asks the sources, in rounds: first the lists that every workload of its kind needs, all at once; then, judged
//! by the facts that those already give, logs, references, classes and sums (`follow_up`), and last what few
//! troubles ask for (`inquiry`). Each request has its own deadline; what fails is kept as a gap.

use chrono::Utc;
use futures::future::join;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::{NamespaceResourceScope, Resource};
use serde::de::DeserializeOwned;

use super::focus::{Focus, claims_of};
use super::follow_up::second_round;
use super::inquiry::last_round;
use super::objects::{Objects, Read, gap, kept};
use super::{Sources, calls, facts_from, metrics, node, survey};
use crate::alert::Alert;
use crate::facts::Facts;
use crate::report::Gap;
use crate::source::kubernetes::{ListQuery, Scope, Scoped, controller};
use crate::workload::Workload;

/// Namespace in which the kubelet and the node controller file events about nodes.
const NODE_EVENTS_NAMESPACE: &str = "default";

/// Everything known about a workload within a scope. Never fails; what could not be read is in `gaps`.
pub async fn gather(sources: &Sources, scope: Scope, workload: &Workload, alerts: &[Alert]) -> Facts {
    let Some(client) = &sources.kubernetes else {
        let mut facts = Facts::empty(workload.clone(), Utc::now());
        facts.alerts = alerts.iter().map(|alert| alert.name().to_owned()).collect();
        facts.gaps.push(gap("kubernetes", "objects of the workload", "not configured"));
        return facts;
    };
    let scoped = client.scoped(scope);
    if workload.kind == "Node" {
        return node::gather(sources, &scoped, workload, alerts).await;
    }
    let objects = both_rounds(sources, scoped, workload, alerts).await;
    survey::facts(&objects, workload, alerts)
}

pub(super) async fn both_rounds(
    sources: &Sources,
    scoped: Scoped<'_>,
    workload: &Workload,
    alerts: &[Alert],
) -> Objects {
    let mut objects = first_round(&scoped, workload).await;
    late_lists(&scoped, workload, alerts, &mut objects).await;
    let draft = facts_from(&objects, workload, alerts);
    let own = Focus::new(&objects, workload)
        .pods
        .iter()
        .filter_map(|pod| pod.metadata.name.clone())
        .collect::<Vec<_>>();
    let scoped = scoped.with_pods(own);
    let ((measurements, gaps), (calls, gap), ()) = tokio::join!(
        metrics::ask(sources, workload, &draft, alerts),
        calls::ask(sources, workload, &draft),
        second_round(sources, &scoped, (workload, alerts), &draft, &mut objects),
    );
    (objects.measurements, objects.calls) = (measurements, calls);
    objects.gaps.extend(gaps.into_iter().chain(gap));
    // Pods of other namespaces may share what is wrong; only the widest scope lets them be seen.
    if *scoped.scope() == Scope::Cluster && draft.affected.pods.unhealthy > 0 && !objects.namespace.is_empty()
    {
        let all = scoped.list::<Pod>("", &ListQuery::default()).await;
        let all = kept(all, "pods of all namespaces", &mut objects.gaps).items;
        objects.elsewhere = all.into_iter().filter(|pod| !objects.namespace_of(pod)).collect();
    }
    let facts = facts_from(&objects, workload, alerts);
    last_round(&scoped, workload, &facts, &mut objects).await;
    objects
}

pub(super) async fn first_round(scoped: &Scoped<'_>, workload: &Workload) -> Objects {
    let own = async {
        match workload.kind.as_str() {
            "Cluster" | "PersistentVolume" => Objects::default(),
            "Node" => node_objects(scoped, &workload.name).await,
            "Namespace" => namespaced_objects(scoped, "Namespace", &workload.name).await,
            kind => namespaced_objects(scoped, kind, &workload.namespace).await,
        }
    };
    let (mut objects, nodes) = join(own, scoped.list_shared()).await;
    // A refusal says nothing of the time; then it is asked for.
    objects.now = match nodes.as_ref().ok().and_then(|nodes| nodes.date) {
        Some(date) => date,
        None => scoped.cluster_time().await,
    };
    objects.nodes = kept(nodes, "nodes", &mut objects.gaps);
    objects
}

async fn node_objects(scoped: &Scoped<'_>, node: &str) -> Objects {
    // A label's text: a comma would start another selector.
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    if node.is_empty() || !node.bytes().all(plain) {
        let gaps = vec![gap("kubernetes", "pods of the node", "the alert's label is no name of a node")];
        return Objects { gaps, ..Objects::default() };
    }
    let query = ListQuery::fields(format!("spec.nodeName={node}"));
    let none = ListQuery::default();
    let (pods, events) =
        join(scoped.list::<Pod>("", &query), scoped.list(NODE_EVENTS_NAMESPACE, &none)).await;
    let mut objects = Objects::default();
    objects.pods = kept(pods, "pods of the node", &mut objects.gaps);
    objects.events = kept(events, "events about nodes", &mut objects.gaps);
    objects
}

/// Kinds whose own lists are enough: what is above or below them is of a known kind.
const NARROW: [&str; 6] = ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"];

/// A list, unless it cannot matter for a workload of this kind.
async fn some<K>(scoped: &Scoped<'_>, namespace: &str, asked: bool, what: &str) -> (Read<K>, Vec<Gap>)
where
    K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let mut gaps = Vec::new();
    if !asked {
        return (Read::default(), gaps);
    }
    let read = kept(scoped.list(namespace, &ListQuery::default()).await, what, &mut gaps);
    (read, gaps)
}

async fn namespaced_objects(scoped: &Scoped<'_>, kind: &str, namespace: &str) -> Objects {
    let of = |kinds: &[&str]| kinds.contains(&kind) || !NARROW.contains(&kind);
    let (revised, timed) = (of(&["StatefulSet", "DaemonSet"]), of(&["Job", "CronJob"]));
    let scaled = of(&["Deployment", "ReplicaSet", "StatefulSet"]);
    let claimed = matches!(kind, "StatefulSet" | "PersistentVolumeClaim" | "Namespace");
    let core = async {
        tokio::join!(
            some(scoped, namespace, true, "pods"),
            some(scoped, namespace, true, "events"),
            some(scoped, namespace, of(&["Deployment", "ReplicaSet"]), "deployments"),
            some(scoped, namespace, true, "replicasets"),
            some(scoped, namespace, of(&["StatefulSet"]), "statefulsets"),
            some(scoped, namespace, of(&["DaemonSet"]), "daemonsets"),
            some(scoped, namespace, revised, "controllerrevisions"),
        )
    };
    let rest = async {
        tokio::join!(
            some(scoped, namespace, timed, "jobs"),
            some(scoped, namespace, timed, "cronjobs"),
            some(scoped, namespace, scaled, "horizontalpodautoscalers"),
            some(scoped, namespace, true, "services"),
            some(scoped, namespace, true, "endpointslices"),
            some(scoped, namespace, claimed, "persistentvolumeclaims"),
            some(scoped, namespace, kind == "Namespace", "resourcequotas"),
        )
    };
    let (core, rest) = join(core, rest).await;
    let mut objects = Objects { namespace: namespace.to_owned(), ..Objects::default() };
    let gaps = &mut objects.gaps;
    objects.pods = told(core.0, gaps);
    objects.events = told(core.1, gaps);
    objects.deployments = told(core.2, gaps);
    objects.replica_sets = told(core.3, gaps);
    objects.stateful_sets = told(core.4, gaps);
    objects.daemon_sets = told(core.5, gaps);
    objects.revisions = told(core.6, gaps);
    objects.jobs = told(rest.0, gaps);
    objects.cron_jobs = told(rest.1, gaps);
    objects.hpas = told(rest.2, gaps);
    objects.services = told(rest.3, gaps);
    objects.slices = told(rest.4, gaps);
    objects.claims = told(rest.5, gaps);
    objects.quotas = told(rest.6, gaps);
    objects
}

fn told<K>((read, more): (Read<K>, Vec<Gap>), gaps: &mut Vec<Gap>) -> Read<K> {
    gaps.extend(more);
    read
}

/// Lists that matter after all: claims where pods mount some, Jobs where pods of the namespace belong to some
/// (a finished Job's failed pods are no trouble), quotas where pods are refused.
async fn late_lists(scoped: &Scoped<'_>, workload: &Workload, alerts: &[Alert], objects: &mut Objects) {
    let namespace = objects.namespace.clone();
    if namespace.is_empty() {
        return;
    }
    let mounts = Focus::new(objects, workload).pods.iter().any(|pod| claims_of(pod).next().is_some());
    let of_job = |pod: &Pod| controller(&pod.metadata).is_some_and(|owner| owner.kind == "Job");
    if workload.kind == "Ingress" {
        // Whose pods are looked at follows from its backends.
        let all = scoped.list(&namespace, &ListQuery::default()).await;
        objects.more.ingresses = kept(all, "ingresses", &mut objects.gaps);
    }
    let refused = objects.events.items.iter().any(|event| event.reason.as_deref() == Some("FailedCreate"));
    let quota = alerts.iter().any(|alert| alert.name().contains("Quota"));
    let (asks_claims, asks_jobs, asks_quotas) = (
        mounts && !objects.claims.known,
        objects.pods.items.iter().any(of_job) && !objects.jobs.known,
        (refused || quota) && !objects.quotas.known,
    );
    let (claims, jobs, quotas) = tokio::join!(
        some(scoped, &namespace, asks_claims, "persistentvolumeclaims"),
        some(scoped, &namespace, asks_jobs, "jobs"),
        some(scoped, &namespace, asks_quotas, "resourcequotas"),
    );
    if asks_claims {
        objects.claims = told(claims, &mut objects.gaps);
    }
    if asks_jobs {
        objects.jobs = told(jobs, &mut objects.gaps);
    }
    if asks_quotas {
        objects.quotas = told(quotas, &mut objects.gaps);
    }
}
