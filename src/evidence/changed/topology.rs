//! How objects of a namespace are related to what is in trouble: owners, configuration, Services in front, nodes, and
//! who calls whom by the names that pods are given in their environment, that logs complain of and that a trace
//! shows. Objects come in, a relation goes out. Pure; of a variable's value nothing is kept but the name of a Service in it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, PodSpec, Service};

use crate::evidence::focus::{Focus, Name, name_of, selects, top_owner};
use crate::evidence::objects::Objects;
use crate::evidence::{pods, references};
use crate::report::Near;

/// Parts of a variable's name that say that its value is a place.
const PLACES: [&str; 11] =
    ["HOST", "ADDR", "URL", "URI", "DSN", "ENDPOINT", "SERVER", "SERVICE", "BROKER", "UPSTREAM", "TARGET"];
/// Bytes of one value that are looked at.
const MAX_VALUE_BYTES: usize = 2_000;

/// Who is related to whom.
pub(super) struct Topology<'a> {
    pub focus: &'a Focus<'a>,
    /// Top owners of the subject's pods that fail.
    failing: BTreeSet<Name>,
    config_maps: BTreeSet<String>,
    /// Services that it calls, and workloads behind them.
    pub called: BTreeSet<String>,
    callees: BTreeSet<Name>,
    callers: BTreeSet<Name>,
    /// Top owners of all pods of the namespace, by name.
    owners: BTreeMap<&'a str, Name>,
}

impl<'a> Topology<'a> {
    /// `complained_of`: Services that its logs name.
    pub fn new(objects: &'a Objects, focus: &'a Focus<'a>, complained_of: &[&str]) -> Self {
        let fails = |pod: &&&Pod| !pods::is_healthy(objects, pod);
        let failing = focus.pods.iter().filter(fails).map(|pod| top_owner(objects, pod)).collect();
        let uses = references::all_uses(focus).into_iter().filter(|one| one.kind == "ConfigMap");
        let owners = objects.pods.items.iter().filter(|pod| objects.namespace_of(pod));
        let mut topology = Self {
            focus,
            failing,
            config_maps: uses.map(|one| one.name).collect(),
            called: BTreeSet::new(),
            callees: BTreeSet::new(),
            callers: BTreeSet::new(),
            owners: owners.map(|pod| (name_of(&pod.metadata), top_owner(objects, pod))).collect(),
        };
        // Of a whole namespace, everything is inside.
        if !focus.everything {
            topology.take_calls(objects, complained_of);
        }
        topology
    }

    fn take_calls(&mut self, objects: &Objects, complained_of: &[&str]) {
        let focus = self.focus;
        let is_own = |service: &&Service| {
            selector(service).is_some_and(|own| selects(own, &focus.labels))
                || (focus.workload.kind == "Service" && name_of(&service.metadata) == focus.workload.name)
        };
        let services = objects.services.items.iter();
        let own: BTreeSet<&str> = services.filter(is_own).map(|one| name_of(&one.metadata)).collect();
        self.called = focus.spec.map(|spec| called(objects, spec)).unwrap_or_default();
        self.called
            .extend(complained_of.iter().filter(|name| !name.is_empty()).map(|name| (*name).to_owned()));
        self.called.extend(objects.calls.callees.iter().cloned());
        self.called.retain(|name| !own.contains(name.as_str()));
        self.take_callees(objects);
        self.take_traced(objects);
        for (name, _, spec) in templates(objects) {
            let calls = spec.map(|spec| called(objects, spec)).unwrap_or_default();
            if calls.iter().any(|service| own.contains(service.as_str())) {
                self.callers.insert(name);
            }
        }
    }

    fn take_callees(&mut self, objects: &Objects) {
        let services =
            objects.services.items.iter().filter(|one| self.called.contains(name_of(&one.metadata)));
        let selectors: Vec<&BTreeMap<String, String>> = services.filter_map(selector).collect();
        let behind = |labels: Option<&BTreeMap<String, String>>| {
            labels.is_some_and(|labels| selectors.iter().any(|own| selects(own, labels)))
        };
        let of_pods = objects.pods.items.iter().filter(|pod| behind(pod.metadata.labels.as_ref()));
        let mut found: BTreeSet<Name> = of_pods.map(|pod| top_owner(objects, pod)).collect();
        for (name, labels, _) in templates(objects) {
            if behind(labels) {
                found.insert(name);
            }
        }
        self.callees.extend(found);
    }

    /// Workloads of the namespace that a trace names.
    fn take_traced(&mut self, objects: &Objects) {
        let calls = &objects.calls;
        let owners = self.owners.values().cloned();
        let known: BTreeSet<Name> = owners.chain(templates(objects).map(|(name, ..)| name)).collect();
        for one in known {
            if calls.callees.contains(&one.1) {
                self.callees.insert(one);
            } else if calls.callers.contains(&one.1) {
                self.callers.insert(one);
            }
        }
    }

    /// None where the object has nothing to do with it, as far as anybody knows.
    pub fn near(&self, kind: &str, name: &str) -> Option<Near> {
        let focus = self.focus;
        let same = |one: &Name| one.0 == kind && one.1 == name;
        match kind {
            "ConfigMap" => self.config_maps.contains(name).then_some(Near::Uses),
            "NetworkPolicy" | "Namespace" | "ResourceQuota" => Some(Near::Uses),
            "Service" if focus.workload.kind == kind && focus.workload.name == name => Some(Near::Itself),
            "Service" if self.called.contains(name) => Some(Near::Callee),
            "Service" => focus.concerns(kind, name).then_some(Near::Service),
            "HorizontalPodAutoscaler" => focus.concerns(kind, name).then_some(Near::Owner),
            "Pod" if self.owners.contains_key(name) => {
                let owner = &self.owners[name];
                if same(owner) { self.of_pod(name) } else { self.near(&owner.0, &owner.1) }
            }
            "Pod" => focus.concerns(kind, name).then_some(Near::Itself),
            _ if focus.everything => {
                let failing = self.failing.iter().any(same);
                Some(if failing { Near::Itself } else { Near::Neighbour })
            }
            _ if focus.workload.kind == kind && focus.workload.name == name => Some(Near::Itself),
            // It is meant for the workload of its name, though it may select nothing.
            _ if focus.workload.kind == "Service" && focus.workload.name == name => Some(Near::Service),
            _ if self.callees.iter().any(same) => Some(Near::Callee),
            _ if focus.concerns(kind, name) => Some(self.of_controller(kind)),
            _ if self.callers.iter().any(same) => Some(Near::Caller),
            _ => Some(Near::Neighbour),
        }
    }

    /// A bare pod.
    fn of_pod(&self, name: &str) -> Option<Near> {
        self.focus.concerns("Pod", name).then_some(Near::Itself)
    }

    /// A controller above or below the subject, or behind the Service or Ingress that is the subject.
    fn of_controller(&self, kind: &str) -> Near {
        match (self.focus.workload.kind.as_str(), kind) {
            ("Service" | "Ingress", _) => Near::Service,
            (_, "ReplicaSet" | "Job") => Near::Itself,
            _ => Near::Owner,
        }
    }

    /// Of a pod of the namespace.
    pub fn owner(&self, pod: &str) -> Option<&Name> {
        self.owners.get(pod)
    }

    /// With its name where there is more than one workload that it can be of.
    pub fn is_plain(&self, near: Near) -> bool {
        near == Near::Itself && !self.focus.everything
    }
}

type Template<'a> = (Name, Option<&'a BTreeMap<String, String>>, Option<&'a PodSpec>);

/// Controllers that were read, with the labels and spec of their pods.
fn templates(objects: &Objects) -> impl Iterator<Item = Template<'_>> {
    let name = |kind: &str, name: Option<&String>| (kind.to_owned(), name.cloned().unwrap_or_default());
    let deployments = objects.deployments.items.iter().map(move |one| {
        let template = &one.spec.template;
        (name("Deployment", one.metadata.name.as_ref()), template)
    });
    let sets = objects.stateful_sets.items.iter().map(move |one| {
        let template = &one.spec.template;
        (name("StatefulSet", one.metadata.name.as_ref()), template)
    });
    deployments.chain(sets).map(|(name, template)| {
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        (name, labels, template.spec.as_ref())
    })
}

fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    service.spec.as_ref()?.selector.as_ref()
}

/// Services of the namespace that a pod is told of in its environment, command or arguments.
fn called(objects: &Objects, spec: &PodSpec) -> BTreeSet<String> {
    let known: BTreeSet<&str> = objects.services.items.iter().map(|one| name_of(&one.metadata)).collect();
    let mut found = BTreeSet::new();
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    for container in containers {
        for variable in container.env.iter().flatten() {
            let name = variable.name.to_ascii_uppercase();
            let is_place = PLACES.iter().any(|part| name.contains(part));
            let value = variable.value.as_deref().unwrap_or_default();
            found.extend(hosts(value, is_place, &known, &objects.namespace).map(str::to_owned));
        }
        for text in container.command.iter().flatten().chain(container.args.iter().flatten()) {
            found.extend(hosts(text, false, &known, &objects.namespace).map(str::to_owned));
        }
    }
    found
}

/// Names of Services in a text: after `://` or `@`, before a port, with the cluster's domain, or alone where the text
/// is a place by its name.
fn hosts<'k>(
    text: &str,
    is_place: bool,
    known: &BTreeSet<&'k str>,
    namespace: &str,
) -> impl Iterator<Item = &'k str> + use<'k> {
    let text = &text[..text.floor_char_boundary(MAX_VALUE_BYTES.min(text.len()))];
    let is_host = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(|c: char| !is_host(c)) {
        let start = at;
        at += word.len();
        let (before, after) = (&text[..start], &text[at..]);
        at += after.chars().next().map_or(0, char::len_utf8);
        let mut labels = word.split('.');
        let name = labels.next().unwrap_or_default();
        let Some(name) = known.get(name) else { continue };
        let (of, rest) = (labels.next(), labels.next());
        let here = of.is_none_or(|of| of == namespace) && rest.is_none_or(|rest| rest == "svc");
        let is_port =
            after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let is_alone = (before.is_empty() || before.ends_with([',', ';', ' ']))
            && (after.is_empty() || after.starts_with([',', ';', ' ', ':']));
        let is_authority = before.ends_with("://") || before.ends_with('@');
        if here && (is_place && is_alone || is_port || is_authority || of.is_some()) {
            found.push(*name);
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_value_names_a_service() {
        let known = BTreeSet::from(["redis", "orders", "web"]);
        let named = |text: &str, is_place: bool| hosts(text, is_place, &known, "shop").collect::<Vec<_>>();
        assert_eq!(named("redis:6379", false), ["redis"]);
        assert_eq!(named("http://orders/api?x=web", false), ["orders"]);
        assert_eq!(named("postgres://app:pw@orders.shop.svc.cluster.local:5432/web", false), ["orders"]);
        assert_eq!(named("redis", true), ["redis"]);
        assert_eq!(named("redis:6379,orders:80", true), ["redis", "orders"]);
        for other in ["web", "redis.other.svc:6379", "myredis:6379", "orders.shop.example.com", ""] {
            assert!(named(other, false).is_empty(), "{other}");
        }
    }
}
