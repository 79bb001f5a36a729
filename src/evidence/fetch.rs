//! Asks the sources, in two rounds: first the lists that every workload needs, all at once; then, judged
//! by the facts that those already give, logs, references, classes and sums. Each request has its own
//! deadline; what fails is kept as a gap.

use chrono::Utc;
use futures::future::join;
use k8s_openapi::api::core::v1::Pod;

use super::focus::Focus;
use super::follow_up::second_round;
use super::objects::{Objects, gap, kept};
use super::{Sources, facts_from, metrics, node, survey};
use crate::alert::Alert;
use crate::facts::Facts;
use crate::source::kubernetes::{ListQuery, Scope, Scoped};
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
    let draft = facts_from(&objects, workload, alerts);
    let own = Focus::new(&objects, workload)
        .pods
        .iter()
        .filter_map(|pod| pod.metadata.name.clone())
        .collect::<Vec<_>>();
    let scoped = scoped.with_pods(own);
    let measuring = metrics::ask(sources, workload, &draft);
    let ((measurements, gaps), ()) =
        join(measuring, second_round(sources, &scoped, workload, &draft, &mut objects)).await;
    objects.measurements = measurements;
    objects.gaps.extend(gaps);
    // Pods of other namespaces may share what is wrong; only the widest scope lets them be seen.
    if *scoped.scope() == Scope::Cluster && draft.affected.pods.unhealthy > 0 && !objects.namespace.is_empty()
    {
        let all = scoped.list::<Pod>("", &ListQuery::default()).await;
        let all = kept(all, "pods of all namespaces", &mut objects.gaps).items;
        objects.elsewhere = all.into_iter().filter(|pod| !objects.namespace_of(pod)).collect();
    }
    objects
}

pub(super) async fn first_round(scoped: &Scoped<'_>, workload: &Workload) -> Objects {
    let own = async {
        match workload.kind.as_str() {
            "Cluster" | "PersistentVolume" => Objects::default(),
            "Node" => node_objects(scoped, &workload.name).await,
            "Namespace" => namespaced_objects(scoped, &workload.name).await,
            _ => namespaced_objects(scoped, &workload.namespace).await,
        }
    };
    let (mut objects, now, nodes) = tokio::join!(own, scoped.cluster_time(), scoped.list_shared());
    objects.now = now;
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

async fn namespaced_objects(scoped: &Scoped<'_>, namespace: &str) -> Objects {
    let all = ListQuery::default();
    let core = async {
        tokio::join!(
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
        )
    };
    let rest = async {
        tokio::join!(
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
            scoped.list(namespace, &all),
        )
    };
    let (core, rest) = join(core, rest).await;
    let (pods, events, deployments, replica_sets, stateful_sets, daemon_sets, revisions) = core;
    let (jobs, cron_jobs, hpas, services, slices, claims, quotas) = rest;
    let mut gaps = Vec::new();
    Objects {
        namespace: namespace.to_owned(),
        pods: kept(pods, "pods", &mut gaps),
        events: kept(events, "events", &mut gaps),
        deployments: kept(deployments, "deployments", &mut gaps),
        replica_sets: kept(replica_sets, "replicasets", &mut gaps),
        stateful_sets: kept(stateful_sets, "statefulsets", &mut gaps),
        daemon_sets: kept(daemon_sets, "daemonsets", &mut gaps),
        revisions: kept(revisions, "controllerrevisions", &mut gaps),
        jobs: kept(jobs, "jobs", &mut gaps),
        cron_jobs: kept(cron_jobs, "cronjobs", &mut gaps),
        hpas: kept(hpas, "horizontalpodautoscalers", &mut gaps),
        services: kept(services, "services", &mut gaps),
        slices: kept(slices, "endpointslices", &mut gaps),
        claims: kept(claims, "persistentvolumeclaims", &mut gaps),
        quotas: kept(quotas, "resourcequotas", &mut gaps),
        gaps,
        ..Objects::default()
    }
}
