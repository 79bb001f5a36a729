//! Ports of a Service against the ports of the pods that it selects: declared by containers, or known from probes
//! that are answered. Pure. A declaration is optional, so an undeclared number alone proves nothing.

use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod, PodSpec, Probe, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pods::is_ready;

/// A Service's ports beside those of its pods.
pub struct Reached<'a> {
    ports: &'a [ServicePort],
    declared: Vec<&'a ContainerPort>,
    /// Numbers on which readiness probes are sent, and whether a pod with that probe is ready.
    probed: Vec<(i32, bool)>,
    any_pod: bool,
}

impl<'a> Reached<'a> {
    /// Without pods (scaled to zero) the template stands for them.
    pub fn new(ports: &'a [ServicePort], pods: &[&'a Pod], template: Option<&'a PodSpec>) -> Self {
        let mut specs: Vec<(&PodSpec, bool)> =
            pods.iter().filter_map(|pod| Some((pod.spec.as_ref()?, is_ready(pod)))).collect();
        if specs.is_empty() {
            specs.extend(template.map(|spec| (spec, false)));
        }
        let all = |spec: &'a PodSpec| spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let declared =
            specs.iter().flat_map(|(spec, _)| all(spec)).flat_map(|one| one.ports.iter().flatten());
        let probed = specs.iter().flat_map(|(spec, ready)| {
            all(spec).filter_map(move |one| {
                Some((number(one, probe_port(one.readiness_probe.as_ref()?)?)?, *ready))
            })
        });
        Self { ports, declared: declared.collect(), probed: probed.collect(), any_pod: !specs.is_empty() }
    }

    /// The first target that no container declares; a number only counts where containers declare ports.
    pub fn missing(&self) -> Option<String> {
        let target = |port: &ServicePort| match &port.target_port {
            Some(IntOrString::String(name)) => (!self.names(name)).then(|| name.clone()),
            _ => (!self.declared.is_empty() && !self.declares(target_number(port)))
                .then(|| target_number(port).to_string()),
        };
        self.ports.iter().filter(|_| self.any_pod).find_map(target)
    }

    /// A port that ready pods are probed on, where none of the Service's TCP ports leads to a known one.
    pub fn answering(&self) -> String {
        let tcp: Vec<&ServicePort> = self.ports.iter().filter(|port| protocol(port) == "TCP").collect();
        let leads = |port: &&ServicePort| match &port.target_port {
            Some(IntOrString::String(name)) => self.names(name),
            _ => {
                self.declares(target_number(port))
                    || self.probed.iter().any(|(own, _)| *own == target_number(port))
            }
        };
        if tcp.is_empty() || tcp.iter().any(leads) {
            return String::new();
        }
        let answered = self.probed.iter().find(|(_, ready)| *ready);
        answered.map(|(number, _)| number.to_string()).unwrap_or_default()
    }

    /// The port is declared, by number or name, and only for another protocol.
    pub fn protocol_mismatch(&self) -> String {
        let found = self.ports.iter().find_map(|port| {
            let same = |own: &&&ContainerPort| match &port.target_port {
                Some(IntOrString::String(name)) => own.name.as_deref() == Some(name),
                _ => own.container_port == target_number(port),
            };
            let declared: Vec<&&ContainerPort> = self.declared.iter().filter(same).collect();
            let own = |one: &ContainerPort| one.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let other = declared.first().filter(|_| declared.iter().all(|one| own(one) != protocol(port)))?;
            let (wanted, number) = (protocol(port), other.container_port);
            Some(format!("{}/{wanted}: the containers declare {number}/{}", port.port, own(other)))
        });
        found.unwrap_or_default()
    }

    fn names(&self, name: &str) -> bool {
        self.declared.iter().any(|own| own.name.as_deref() == Some(name))
    }

    fn declares(&self, number: i32) -> bool {
        self.declared.iter().any(|own| own.container_port == number)
    }
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn target_number(port: &ServicePort) -> i32 {
    match &port.target_port {
        Some(IntOrString::Int(number)) => *number,
        _ => port.port,
    }
}

fn probe_port(probe: &Probe) -> Option<&IntOrString> {
    let http = probe.http_get.as_ref().map(|get| &get.port);
    http.or_else(|| probe.tcp_socket.as_ref().map(|socket| &socket.port))
}

/// A probe's port as a number; a name is looked up in its own container.
fn number(container: &Container, port: &IntOrString) -> Option<i32> {
    match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            ports.filter(|own| own.name.as_deref() == Some(name)).map(|own| own.container_port).next()
        }
    }
}
