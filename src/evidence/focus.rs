//! Which of the objects read are the workload's own: its pods, the controllers between, and everything
//! whose events concern it. Pure; ownership is followed by reference, never by a name's prefix.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::objects::Objects;
use super::{traffic, units};
use crate::source::kubernetes::controller;
use crate::workload::Workload;

/// Most pods of a workload that become rows; unhealthy ones come first.
const MAX_PODS: usize = 60;
/// Jobs of a CronJob that are looked at, newest first.
const NEWEST_JOBS: usize = 3;

pub type Name = (String, String);

pub struct Focus<'a> {
    pub workload: Workload,
    pub pods: Vec<&'a Pod>,
    /// How many pods the workload has; rows may be fewer.
    pub pods_total: usize,
    /// Kind and name of every object whose events concern the workload.
    pub concerned: BTreeSet<Name>,
    /// The pod template's labels and spec, or those of its first pod.
    pub labels: BTreeMap<String, String>,
    pub spec: Option<&'a PodSpec>,
    /// The whole namespace is the workload.
    pub everything: bool,
}

impl<'a> Focus<'a> {
    pub fn new(objects: &'a Objects, workload: &Workload) -> Self {
        let target = target(objects, workload);
        let everything = target.kind == "Namespace";
        let jobs = newest_jobs(objects, &target);
        let mut pods: Vec<&Pod> =
            objects.pods.items.iter().filter(|pod| is_own(objects, &target, &jobs, pod)).collect();
        let pods_total = pods.len();
        pods.sort_by_key(|pod| (super::pods::is_healthy(objects, pod), pod.metadata.name.clone()));
        pods.truncate(MAX_PODS);
        let mut focus = Self {
            concerned: BTreeSet::from([(workload.kind.clone(), workload.name.clone())]),
            labels: BTreeMap::new(),
            spec: None,
            everything,
            pods_total,
            pods,
            workload: target,
        };
        focus.take_template(objects);
        focus.take_concerned(objects, &jobs);
        focus
    }

    fn take_template(&mut self, objects: &'a Objects) {
        // A Service that selects nobody is judged beside the controller of its own name.
        let namesake = || {
            let kinds = ["Deployment", "StatefulSet", "DaemonSet"]
                .iter()
                .filter(|_| self.workload.kind == "Service" && self.pods.is_empty());
            kinds
                .map(|kind| Workload { kind: (*kind).to_owned(), ..self.workload.clone() })
                .find_map(|workload| template(objects, &workload))
        };
        let template = template(objects, &self.workload).or_else(namesake);
        let first = self.pods.first();
        self.spec = template
            .and_then(|template| template.spec.as_ref())
            .or_else(|| first.and_then(|pod| pod.spec.as_ref()));
        let labels = template.and_then(|template| template.metadata.as_ref()?.labels.clone());
        self.labels = labels.or_else(|| first?.metadata.labels.clone()).unwrap_or_default();
    }

    fn take_concerned(&mut self, objects: &'a Objects, jobs: &BTreeSet<String>) {
        let mut add = |kind: &str, name: &str| self.concerned.insert((kind.to_owned(), name.to_owned()));
        add(&self.workload.kind, &self.workload.name);
        for job in jobs {
            add("Job", job);
        }
        for pod in &self.pods {
            add("Pod", name_of(&pod.metadata));
            for (kind, name) in owners(objects, pod) {
                add(&kind, &name);
            }
            for claim in claims_of(pod) {
                add("PersistentVolumeClaim", claim);
            }
        }
        let owned = |metadata: &ObjectMeta, kind: &str, name: &str| {
            controller(metadata).is_some_and(|owner| owner.kind == kind && owner.name == name)
        };
        let (kind, name) = (self.workload.kind.clone(), self.workload.name.clone());
        for set in objects.replica_sets.items.iter().filter(|set| owned(&set.metadata, &kind, &name)) {
            add("ReplicaSet", name_of(&set.metadata));
        }
        for hpa in &objects.hpas.items {
            let scaled = &hpa.spec.scale_target_ref;
            if scaled.kind == kind && scaled.name == name {
                add("HorizontalPodAutoscaler", name_of(&hpa.metadata));
            }
        }
        if kind == "Ingress" {
            for service in traffic::backends(objects, &name) {
                add("Service", service);
            }
        }
        for service in &objects.services.items {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            if name_of(&service.metadata) == name || selector.is_some_and(|own| selects(own, &self.labels)) {
                add("Service", name_of(&service.metadata));
            }
        }
    }

    pub fn concerns(&self, kind: &str, name: &str) -> bool {
        self.everything || self.concerned.contains(&(kind.to_owned(), name.to_owned()))
    }
}

/// An autoscaler is judged by what it scales; everything else by itself.
fn target(objects: &Objects, workload: &Workload) -> Workload {
    let hpa = objects.hpas.items.iter().find(|hpa| name_of(&hpa.metadata) == workload.name);
    match hpa {
        Some(hpa) if workload.kind == "HorizontalPodAutoscaler" => {
            let scaled = &hpa.spec.scale_target_ref;
            Workload::new(&workload.cluster, &workload.namespace, &scaled.kind, &scaled.name)
        }
        _ => workload.clone(),
    }
}

fn newest_jobs(objects: &Objects, workload: &Workload) -> BTreeSet<String> {
    if workload.kind == "Job" {
        return BTreeSet::from([workload.name.clone()]);
    }
    let mut jobs: Vec<&ObjectMeta> = objects.jobs.items.iter().map(|job| &job.metadata).collect();
    jobs.retain(|job| {
        controller(job).is_some_and(|owner| owner.kind == workload.kind && owner.name == workload.name)
    });
    jobs.sort_by_key(|job| std::cmp::Reverse(job.creation_timestamp.as_ref().and_then(units::time)));
    jobs.into_iter().take(NEWEST_JOBS).map(|job| name_of(job).to_owned()).collect()
}

fn is_own(objects: &Objects, workload: &Workload, jobs: &BTreeSet<String>, pod: &Pod) -> bool {
    let name = workload.name.as_str();
    let elsewhere = !workload.namespace.is_empty()
        && pod.metadata.namespace.as_ref().is_some_and(|own| *own != workload.namespace);
    match workload.kind.as_str() {
        "Cluster" => false,
        // On a node, workloads of several namespaces may have one name.
        _ if elsewhere => false,
        "Namespace" => true,
        "Pod" => name_of(&pod.metadata) == name,
        "Node" => pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(name)),
        "PersistentVolumeClaim" => claims_of(pod).any(|claim| claim == name),
        "Service" => {
            let service = objects.services.items.iter().find(|service| name_of(&service.metadata) == name);
            let selector = service.and_then(|service| service.spec.as_ref()?.selector.as_ref());
            let none = BTreeMap::new();
            let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
            selector.is_some_and(|selector| selects(selector, labels))
        }
        "Ingress" => {
            let none = BTreeMap::new();
            let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
            let behind = traffic::backends(objects, name);
            let services = objects.services.items.iter();
            let behind = services.filter(|service| behind.contains(name_of(&service.metadata)));
            let mut selectors = behind.filter_map(|service| service.spec.as_ref()?.selector.as_ref());
            selectors.any(|selector| selects(selector, labels))
        }
        "CronJob" => owners(objects, pod).iter().any(|(kind, name)| kind == "Job" && jobs.contains(name)),
        kind => owners(objects, pod).iter().any(|owner| owner.0 == kind && owner.1 == name),
    }
}

/// The chain of controllers above a pod, nearest first.
pub fn owners(objects: &Objects, pod: &Pod) -> Vec<Name> {
    let mut chain = Vec::new();
    let Some(direct) = controller(&pod.metadata) else { return chain };
    let above = match direct.kind.as_str() {
        "ReplicaSet" => {
            let sets = &objects.replica_sets.items;
            let set = sets.iter().find(|set| is_beside(&set.metadata, pod, &direct.name));
            match set {
                Some(set) => controller(&set.metadata).map(|owner| (owner.kind, owner.name)),
                // The sets could not be read, or this one is gone: its pods still carry the hash.
                None => without_hash(pod, &direct.name).map(|name| ("Deployment".to_owned(), name)),
            }
        }
        "Job" => {
            let job = objects.jobs.items.iter().find(|job| is_beside(&job.metadata, pod, &direct.name));
            job.and_then(|job| controller(&job.metadata)).map(|owner| (owner.kind, owner.name))
        }
        _ => None,
    };
    chain.push((direct.kind, direct.name));
    chain.extend(above);
    chain
}

/// Of this name and in the pod's own namespace.
fn is_beside(metadata: &ObjectMeta, pod: &Pod, name: &str) -> bool {
    name_of(metadata) == name && metadata.namespace == pod.metadata.namespace
}

/// The top owner of a pod, or the pod itself.
pub fn top_owner(objects: &Objects, pod: &Pod) -> Name {
    let own = || ("Pod".to_owned(), name_of(&pod.metadata).to_owned());
    owners(objects, pod).pop().unwrap_or_else(own)
}

fn without_hash(pod: &Pod, set: &str) -> Option<String> {
    let hash = pod.metadata.labels.as_ref()?.get("pod-template-hash")?;
    set.strip_suffix(hash.as_str())?.strip_suffix('-').map(str::to_owned)
}

pub fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    volumes.iter().filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// Whether a non-empty selector picks these labels.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

pub fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn template<'a>(objects: &'a Objects, workload: &Workload) -> Option<&'a PodTemplateSpec> {
    let is = |metadata: &ObjectMeta| name_of(metadata) == workload.name;
    match workload.kind.as_str() {
        "Deployment" => objects.deployments.items.iter().find(|d| is(&d.metadata)).map(|d| &d.spec.template),
        "StatefulSet" => {
            objects.stateful_sets.items.iter().find(|s| is(&s.metadata)).map(|s| &s.spec.template)
        }
        "DaemonSet" => objects.daemon_sets.items.iter().find(|d| is(&d.metadata)).map(|d| &d.spec.template),
        "ReplicaSet" => {
            objects.replica_sets.items.iter().find(|r| is(&r.metadata)).and_then(|r| r.spec.template.as_ref())
        }
        "Job" => {
            let job = objects.jobs.items.iter().find(|job| is(&job.metadata));
            job.and_then(|job| job.spec.as_ref()).map(|spec| &spec.template)
        }
        "CronJob" => {
            let cron_job = objects.cron_jobs.items.iter().find(|cron_job| is(&cron_job.metadata));
            let job = cron_job.and_then(|cron_job| cron_job.spec.job_template.spec.as_ref());
            job.map(|spec| &spec.template)
        }
        _ => None,
    }
}
