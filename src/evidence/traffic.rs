//! Ingress routes to the workload, NetworkPolicies that select its pods, and its disruption budgets. Pure over
//! what was read; what was not asked for gives no rows.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::focus::{Focus, name_of};
use super::ledger::Ledger;
use super::objects::Objects;
use super::placement::labels;
use super::references::similar;
use super::units;
use crate::facts::{BudgetFact, IngressFact, PolicyFact, ServiceFact};

const DEFAULT_INGRESS_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
/// The annotation that named a class before the field did.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
const DNS_PORT: i32 = 53;

fn age(objects: &Objects, metadata: &ObjectMeta) -> i64 {
    let at = metadata.creation_timestamp.as_ref().and_then(units::time);
    at.map_or(0, |at| (objects.now - at).num_seconds())
}

/// Routes that lead to a Service of the workload, or to none that exists and whose name looks like one of its.
pub fn ingresses(
    objects: &Objects,
    focus: &Focus<'_>,
    services: &[ServiceFact],
    ledger: &mut Ledger,
) -> Vec<IngressFact> {
    let own: BTreeSet<&str> = services.iter().map(|row| row.name.as_str()).collect();
    let mut names: Vec<String> = services.iter().map(|row| row.name.clone()).collect();
    names.push(focus.workload.name.clone());
    let mut rows: Vec<IngressFact> = Vec::new();
    for ingress in &objects.more.ingresses.items {
        let is_subject =
            focus.workload.kind == "Ingress" && focus.workload.name == name_of(&ingress.metadata);
        let concerns = |row: &IngressFact| {
            is_subject
                || focus.everything
                || own.contains(row.service.as_str())
                || row.service == focus.workload.name
                || row.service_exists == "no" && !similar(&row.service, &names).is_empty()
        };
        rows.extend(routes(objects, ingress).into_iter().filter(concerns));
    }
    if rows.is_empty() {
        return rows;
    }
    let read = &objects.more.ingresses;
    let page = ledger.open("kubernetes", &read.query, read.milliseconds);
    for row in &mut rows {
        let quote = ledger.line(page, &route_line(row));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    rows
}

/// Names of the Services that an Ingress sends its traffic to.
pub fn backends<'o>(objects: &'o Objects, name: &str) -> BTreeSet<&'o str> {
    let own = objects.more.ingresses.items.iter().filter(|one| name_of(&one.metadata) == name);
    let all = own.filter_map(|one| one.spec.as_ref()).flat_map(|spec| {
        let rules = spec.rules.iter().flatten().filter_map(|rule| rule.http.as_ref());
        spec.default_backend.iter().chain(rules.flat_map(|http| &http.paths).map(|path| &path.backend))
    });
    all.filter_map(|backend| Some(backend.service.as_ref()?.name.as_str())).collect()
}

fn routes(objects: &Objects, ingress: &Ingress) -> Vec<IngressFact> {
    let Some(spec) = ingress.spec.as_ref() else { return Vec::new() };
    let annotation = |key: &str| ingress.metadata.annotations.as_ref().and_then(|all| all.get(key));
    let class = spec.ingress_class_name.as_ref().or_else(|| annotation(OLD_CLASS));
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let base = IngressFact {
        name: name_of(&ingress.metadata).to_owned(),
        namespace: ingress.metadata.namespace.clone().unwrap_or_default(),
        class: class.cloned().unwrap_or_default(),
        // A controller may serve the old annotation's value without an IngressClass of that name.
        class_exists: class_exists(objects, spec.ingress_class_name.as_deref(), class.is_some()).to_owned(),
        has_address: status.is_some_and(|status| status.ingress.as_ref().is_some_and(|all| !all.is_empty())),
        age_seconds: age(objects, &ingress.metadata),
        ..IngressFact::default()
    };
    let mut rows = Vec::new();
    let mut add = |route: String, backend: &IngressBackend| {
        let Some(service) = &backend.service else { return };
        let port = service.port.as_ref();
        let number = port.and_then(|port| port.number);
        let name = port.and_then(|port| port.name.clone()).unwrap_or_default();
        let known = objects.services.items.iter().find(|known| name_of(&known.metadata) == service.name);
        let port_exists = known.map_or("unknown", |known| answer(has_port(known, number, &name)));
        let service_exists = if objects.services.known { answer(known.is_some()) } else { "unknown" };
        rows.push(IngressFact {
            route,
            service: service.name.clone(),
            port: number.map_or(name, |number| number.to_string()),
            service_exists: service_exists.to_owned(),
            port_exists: port_exists.to_owned(),
            ..base.clone()
        });
    };
    if let Some(backend) = &spec.default_backend {
        add(String::new(), backend);
    }
    for rule in spec.rules.iter().flatten() {
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            let host = rule.host.as_deref().unwrap_or("*");
            add(format!("{host}{}", path.path.as_deref().unwrap_or("/")), &path.backend);
        }
    }
    rows
}

fn answer(truth: bool) -> &'static str {
    if truth { "yes" } else { "no" }
}

fn class_exists(objects: &Objects, class: Option<&str>, named: bool) -> &'static str {
    let classes = &objects.more.ingress_classes;
    if !classes.known || class.is_none() && named {
        return "unknown";
    }
    answer(classes.items.iter().any(|known| {
        match class {
            Some(class) => name_of(&known.metadata) == class,
            None => known
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(DEFAULT_INGRESS_CLASS))
                .is_some_and(|value| value == "true"),
        }
    }))
}

fn has_port(service: &Service, number: Option<i32>, name: &str) -> bool {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    ports
        .iter()
        .any(|port| Some(port.port) == number || number.is_none() && port.name.as_deref() == Some(name))
}

fn route_line(row: &IngressFact) -> String {
    let class = match (row.class.is_empty(), row.class_exists.as_str()) {
        (false, "no") => format!("class {} which does not exist", row.class),
        (false, _) => format!("class {}", row.class),
        (true, "no") => "no class, and there is no default one".to_owned(),
        (true, _) => "no class of its own".to_owned(),
    };
    let route = if row.route.is_empty() { "default backend" } else { &row.route };
    let mut line =
        format!("ingress {}: {class}, {route} → service {} port {}", row.name, row.service, row.port);
    if row.service_exists == "no" {
        line.push_str(" which does not exist");
    } else if row.port_exists == "no" {
        line.push_str(" which the service does not have");
    }
    if !row.has_address {
        line.push_str(", no address");
    }
    line
}

/// Policies that select pods of the workload; what they let through is judged over all of them together.
pub fn policies(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<PolicyFact> {
    let selecting: Vec<(&NetworkPolicy, &NetworkPolicySpec)> = objects
        .more
        .policies
        .items
        .iter()
        .filter_map(|policy| Some((policy, policy.spec.as_ref()?)))
        .filter(|(_, spec)| match &spec.pod_selector {
            Some(selector) => labels::selects(Some(selector), &focus.labels),
            None => true,
        })
        .collect();
    if selecting.is_empty() || focus.labels.is_empty() {
        return Vec::new();
    }
    let of = |way: &str| selecting.iter().filter(|(_, spec)| has_type(spec, way)).collect::<Vec<_>>();
    let (into, out) = (of("Ingress"), of("Egress"));
    let admits_nobody =
        !into.is_empty() && into.iter().all(|(_, spec)| spec.ingress.as_ref().is_none_or(Vec::is_empty));
    let lets_nothing_out =
        !out.is_empty() && out.iter().all(|(_, spec)| spec.egress.as_ref().is_none_or(Vec::is_empty));
    let blocks_dns = !out.is_empty() && !out.iter().any(|(_, spec)| allows_dns(spec));
    let read = &objects.more.policies;
    let page = ledger.open("kubernetes", &read.query, read.milliseconds);
    let rows = selecting.iter().map(|(policy, spec)| {
        let (blocks_in, blocks_out) = (has_type(spec, "Ingress"), has_type(spec, "Egress"));
        let mut row = PolicyFact {
            name: name_of(&policy.metadata).to_owned(),
            namespace: policy.metadata.namespace.clone().unwrap_or_default(),
            admits_nobody: admits_nobody && blocks_in,
            lets_nothing_out: lets_nothing_out && blocks_out,
            blocks_dns: blocks_dns && blocks_out,
            age_seconds: age(objects, &policy.metadata),
            ..PolicyFact::default()
        };
        let quote = ledger.line(page, &policy_line(&row, spec));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        row
    });
    rows.collect()
}

/// Types that are not given follow from the rules: always Ingress, Egress only with such rules.
fn has_type(spec: &NetworkPolicySpec, way: &str) -> bool {
    match spec.policy_types.as_deref() {
        Some(types) if !types.is_empty() => types.iter().any(|one| one == way),
        _ => way == "Ingress" || spec.egress.is_some(),
    }
}

fn allows_dns(spec: &NetworkPolicySpec) -> bool {
    spec.egress.iter().flatten().any(|rule| {
        let ports = rule.ports.as_deref().unwrap_or_default();
        ports.is_empty()
            || ports.iter().any(|port| match &port.port {
                None => true,
                Some(IntOrString::Int(number)) => {
                    *number == DNS_PORT
                        || port.end_port.is_some_and(|end| (*number..=end).contains(&DNS_PORT))
                }
                // Names are those of the resolver's pods.
                Some(IntOrString::String(name)) => name.contains("dns"),
            })
    })
}

fn policy_line(row: &PolicyFact, spec: &NetworkPolicySpec) -> String {
    let count = |number: usize| number.to_string();
    let into = spec.ingress.as_ref().map_or(0, Vec::len);
    let out = spec.egress.as_ref().map_or(0, Vec::len);
    let mut line = format!("networkpolicy {} selects these pods:", row.name);
    if has_type(spec, "Ingress") {
        line.push_str(&format!(" {} ingress rules", count(into)));
    }
    if has_type(spec, "Egress") {
        line.push_str(&format!(" {} egress rules", count(out)));
    }
    for (truth, words) in [
        (row.admits_nobody, "together they admit nobody"),
        (row.lets_nothing_out, "together they let nothing out"),
        (row.blocks_dns, "none lets DNS (port 53) out"),
    ] {
        if truth {
            line.push_str(&format!("; {words}"));
        }
    }
    line
}

pub fn budgets(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<BudgetFact> {
    let read = &objects.more.budgets;
    let concerned = read.items.iter().filter(|budget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let name = name_of(&budget.metadata);
        focus.everything
            || name == focus.workload.name
            || selector.is_some() && labels::selects(selector, &focus.labels)
    });
    let mut rows: Vec<BudgetFact> = concerned
        .map(|budget| {
            let (spec, status) = (budget.spec.as_ref(), budget.status.as_ref());
            let text = |value: &IntOrString| match value {
                IntOrString::Int(number) => number.to_string(),
                IntOrString::String(text) => text.clone(),
            };
            let least = spec
                .and_then(|spec| spec.min_available.as_ref())
                .map(|value| format!("minAvailable {}", text(value)));
            let most = spec
                .and_then(|spec| spec.max_unavailable.as_ref())
                .map(|value| format!("maxUnavailable {}", text(value)));
            let number = |value: Option<i32>| i64::from(value.unwrap_or(0));
            BudgetFact {
                name: name_of(&budget.metadata).to_owned(),
                namespace: budget.metadata.namespace.clone().unwrap_or_default(),
                rule: least.or(most).unwrap_or_default(),
                allowed: number(status.and_then(|status| status.disruptions_allowed)),
                healthy: number(status.and_then(|status| status.current_healthy)),
                desired: number(status.and_then(|status| status.desired_healthy)),
                expected: number(status.and_then(|status| status.expected_pods)),
                ..BudgetFact::default()
            }
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let page = ledger.open("kubernetes", &read.query, read.milliseconds);
    for row in &mut rows {
        let text = format!(
            "budget {}: {}, {} of {} pods healthy, {} wanted, {} disruptions allowed",
            row.name, row.rule, row.healthy, row.expected, row.desired, row.allowed
        );
        let quote = ledger.line(page, &text);
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    rows
}
