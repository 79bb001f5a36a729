//! A namespace, a node or what an Ingress leads to, seen workload by workload: the objects that were read once come in, facts with one
//! part for each workload go out, all over one ledger. Pure; it asks nothing again.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::focus::{Focus, claims_of, name_of, selects, top_owner};
use super::ledger::Ledger;
use super::objects::{Objects, gap};
use super::{facts_into, pods, traffic};
use crate::alert::Alert;
use crate::facts::{Facts, NodeFact, ServiceFact};
use crate::source::kubernetes::controller;
use crate::workload::Workload;

/// Workloads that become parts; those with unhealthy pods come first.
const MAX_PARTS: usize = 80;

/// Facts of any subject but a node. A namespace and an Ingress get parts.
pub(super) fn facts(objects: &Objects, subject: &Workload, alerts: &[Alert]) -> Facts {
    let mut ledger = Ledger::default();
    let mut facts = facts_into(objects, subject, alerts, &mut ledger);
    for row in facts.cronjobs.iter_mut().filter(|row| row.name == subject.name) {
        row.is_subject = subject.kind == "CronJob";
    }
    if subject.kind == "Namespace" {
        ledger.look_again();
        let mut workloads = workloads(objects, subject);
        if workloads.len() > MAX_PARTS {
            let why = format!("{} workloads, {MAX_PARTS} were looked at one by one", workloads.len());
            facts.gaps.push(gap("kubernetes", "workloads", &why));
            workloads.truncate(MAX_PARTS);
        }
        let mut parts = vec![own_part(&facts)];
        parts.extend(workloads.iter().map(|workload| part(objects, workload, alerts, &mut ledger)));
        parts.extend(
            lonely_services(objects, subject, &parts)
                .iter()
                .map(|service| part(objects, service, alerts, &mut ledger)),
        );
        facts.parts = parts;
    }
    if subject.kind == "Ingress" {
        ledger.look_again();
        let behind = behind(objects, subject);
        let parts: Vec<Facts> =
            behind.iter().map(|workload| part(objects, workload, alerts, &mut ledger)).collect();
        facts.parts = std::iter::once(own_routes(&facts, &parts)).chain(parts).collect();
    }
    facts.observations = ledger.finish();
    facts
}

/// Facts of a node with the objects of the namespaces whose pods are unhealthy on it: a part for each
/// workload that has such pods there.
pub(super) fn node_facts(
    objects: &Objects,
    namespaces: &[Objects],
    node: &Workload,
    alerts: &[Alert],
) -> Facts {
    let mut ledger = Ledger::default();
    let mut facts = facts_into(objects, node, alerts, &mut ledger);
    ledger.look_again();
    let mut parts = vec![own_part(&facts)];
    for own in namespaces {
        let here = own.pods.items.iter().filter(|pod| {
            let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            on == Some(node.name.as_str()) && !pods::is_healthy(own, pod)
        });
        let workloads: BTreeSet<Workload> = here
            .map(|pod| {
                let (kind, name) = top_owner(own, pod);
                Workload::new(&node.cluster, &own.namespace, kind, name)
            })
            .collect();
        parts.extend(workloads.iter().map(|workload| part(own, workload, alerts, &mut ledger)));
        // What one namespace answered in its time is looked at again by the next.
        ledger.look_again();
        for gap in &own.gaps {
            if !facts.gaps.contains(gap) {
                facts.gaps.push(gap.clone());
            }
        }
    }
    facts.parts = parts;
    facts.observations = ledger.finish();
    facts
}

fn part(objects: &Objects, workload: &Workload, alerts: &[Alert], ledger: &mut Ledger) -> Facts {
    let mut part = facts_into(objects, workload, alerts, ledger);
    // They are the whole's, and told once.
    part.gaps.clear();
    part.targets.clear();
    part
}

/// Workloads whose template, or some of whose pods, a Service behind the Ingress selects.
fn behind(objects: &Objects, ingress: &Workload) -> Vec<Workload> {
    let names = traffic::backends(objects, &ingress.name);
    let services = objects.services.items.iter().filter(|service| names.contains(name_of(&service.metadata)));
    let selectors: Vec<&BTreeMap<String, String>> =
        services.filter_map(|service| service.spec.as_ref()?.selector.as_ref()).collect();
    let selected = |labels: &BTreeMap<String, String>| selectors.iter().any(|one| selects(one, labels));
    let new =
        |(kind, name): (String, String)| Workload::new(&ingress.cluster, &objects.namespace, kind, name);
    let of_pods = objects.pods.items.iter().filter(|pod| pod.metadata.labels.as_ref().is_some_and(selected));
    let mut found: BTreeSet<Workload> = of_pods.map(|pod| new(top_owner(objects, pod))).collect();
    for (kind, metadata) in controllers(objects) {
        let workload = new((kind.to_owned(), name_of(metadata).to_owned()));
        if controller(metadata).is_none() && selected(&Focus::new(objects, &workload).labels) {
            found.insert(workload);
        }
    }
    found.into_iter().take(MAX_PARTS).collect()
}

/// The routes of an Ingress, and Services behind it that no workload answers for.
fn own_routes(whole: &Facts, parts: &[Facts]) -> Facts {
    let mut own = own_part(whole);
    own.ingresses.clone_from(&whole.ingresses);
    let answered = |row: &&ServiceFact| {
        let mut services = parts.iter().flat_map(|part| &part.services);
        services.any(|known| known.name == row.name && known.selects_workload)
    };
    let services = whole.services.iter().filter(|row| row.ready_endpoints > 0 || !answered(row));
    own.services = services.cloned().collect();
    own
}

/// What belongs to the subject itself and to no workload in it.
fn own_part(whole: &Facts) -> Facts {
    let mut part = Facts::empty(whole.workload.clone(), whole.observed_at);
    part.alerts.clone_from(&whole.alerts);
    let own_node = |node: &&NodeFact| whole.workload.kind == "Node" && node.name == whole.workload.name;
    part.nodes = whole.nodes.iter().filter(own_node).cloned().collect();
    part.quotas.clone_from(&whole.quotas);
    part.leases.clone_from(&whole.leases);
    part.targets.clone_from(&whole.targets);
    // A route to a Service that is not there belongs to no workload.
    let nowhere = whole.ingresses.iter().filter(|row| row.service_exists == "no");
    part.ingresses = nowhere.cloned().collect();
    let own = |kind: &str| kind == whole.workload.kind || kind == "ResourceQuota";
    part.events = whole.events.iter().filter(|event| own(&event.kind)).cloned().collect();
    part
}

/// Top owners of the pods, controllers without pods, and objects that no pod has to do with. Those with
/// unhealthy pods come first.
fn workloads(objects: &Objects, subject: &Workload) -> Vec<Workload> {
    let mut found: BTreeMap<Workload, bool> = BTreeMap::new();
    let new =
        |namespace: &str, kind: &str, name: &str| Workload::new(&subject.cluster, namespace, kind, name);
    for pod in &objects.pods.items {
        let (kind, name) = top_owner(objects, pod);
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let healthy = found.entry(new(namespace, &kind, &name)).or_insert(true);
        *healthy &= pods::is_healthy(objects, pod);
    }
    for (kind, metadata) in controllers(objects) {
        // Owned ones belong to their owner.
        if controller(metadata).is_none() {
            found.entry(new(&objects.namespace, kind, name_of(metadata))).or_insert(true);
        }
    }
    let mounted: BTreeSet<&str> = objects.pods.items.iter().flat_map(claims_of).collect();
    for claim in &objects.claims.items {
        if !mounted.contains(name_of(&claim.metadata)) {
            found.insert(new(&objects.namespace, "PersistentVolumeClaim", name_of(&claim.metadata)), true);
        }
    }
    for hpa in &objects.hpas.items {
        let target = &hpa.spec.scale_target_ref;
        if !found.contains_key(&new(&objects.namespace, &target.kind, &target.name)) {
            found.insert(new(&objects.namespace, "HorizontalPodAutoscaler", name_of(&hpa.metadata)), true);
        }
    }
    let mut workloads: Vec<(bool, Workload)> =
        found.into_iter().map(|(one, healthy)| (healthy, one)).collect();
    workloads.sort();
    workloads.into_iter().map(|(_, workload)| workload).collect()
}

fn controllers(objects: &Objects) -> Vec<(&'static str, &ObjectMeta)> {
    let mut all: Vec<(&'static str, &ObjectMeta)> = Vec::new();
    all.extend(objects.deployments.items.iter().map(|one| ("Deployment", &one.metadata)));
    all.extend(objects.stateful_sets.items.iter().map(|one| ("StatefulSet", &one.metadata)));
    all.extend(objects.daemon_sets.items.iter().map(|one| ("DaemonSet", &one.metadata)));
    all.extend(objects.cron_jobs.items.iter().map(|one| ("CronJob", &one.metadata)));
    all.extend(objects.jobs.items.iter().map(|one| ("Job", &one.metadata)));
    let wanted = objects.replica_sets.items.iter().filter(|set| set.spec.replicas.unwrap_or(1) > 0);
    all.extend(wanted.map(|one| ("ReplicaSet", &one.metadata)));
    all
}

/// Services that select no pod and that no workload took for its own.
fn lonely_services(objects: &Objects, subject: &Workload, parts: &[Facts]) -> Vec<Workload> {
    let taken: BTreeSet<&str> =
        parts.iter().flat_map(|part| &part.services).map(|service| service.name.as_str()).collect();
    let selects_any = |selector: &BTreeMap<String, String>| {
        let labels = |pod: &Pod| pod.metadata.labels.clone().unwrap_or_default();
        selector.is_empty() || objects.pods.items.iter().any(|pod| selects(selector, &labels(pod)))
    };
    let lonely = objects.services.items.iter().filter(|service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        !taken.contains(name_of(&service.metadata)) && !selector.is_none_or(selects_any)
    });
    lonely
        .map(|service| {
            Workload::new(&subject.cluster, &objects.namespace, "Service", name_of(&service.metadata))
        })
        .take(MAX_PARTS)
        .collect()
}
