//! The last round: what only some troubles make worth asking. Leases when nobody schedules or observes, webhook
//! configurations when one is named, routes and policies when callers fail, and so on. Judged by the facts of
//! the rounds before; every request stays inside the scope, and what fails becomes a gap.

use futures::future::join_all;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::control::{called_webhook, refusals};
use super::focus::name_of;
use super::objects::{Backend, Hook, Objects, gap, kept};
use crate::facts::Facts;
use crate::report::Gap;
use crate::source::kubernetes::{Error, ListQuery, Scoped};
use crate::workload::Workload;

/// Nodes whose leases are read.
const MAX_NODE_LEASES: usize = 3;
/// Webhook backends that are looked at.
const MAX_BACKENDS: usize = 4;
/// A pod that the scheduler has not looked at for this long makes its lease worth reading, in seconds.
const UNSEEN_SECS: i64 = 30;
/// Alerts about objects and machines, not about what callers meet.
const OBJECT_ALERTS: [&str; 5] = ["Kube", "Node", "CPUThrottling", "etcd", "Info"];
/// Log classes of traffic that gets no answer.
const SILENT: [&str; 2] = ["timeout", "dns"];
/// Words of probes and logs about it; `could not connect: … timed out` is of another class.
const SILENT_WORDS: [&str; 3] = ["timeout", "timed out", "deadline"];

/// What the facts so far make worth asking.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    leases: Vec<(String, bool)>,
    webhooks: bool,
    namespace: bool,
    api_services: bool,
    routes: bool,
    policies: bool,
    budgets: bool,
}

fn wanted(draft: &Facts, workload: &Workload) -> Wanted {
    let alert = |prefix: &str| draft.alerts.iter().any(|name| name.starts_with(prefix));
    let unseen = |pod: &crate::facts::PodFact| {
        !pod.scheduled
            && pod.unscheduled_reason.is_empty()
            && pod.phase == "Pending"
            && pod.age_seconds > UNSEEN_SECS
    };
    let mut leases = Vec::new();
    if draft.pods.iter().any(unseen) || alert("KubeScheduler") {
        leases.push(("kube-scheduler".to_owned(), false));
    }
    if draft.rollouts.iter().any(|row| row.generation_lag) || alert("KubeControllerManager") {
        leases.push(("kube-controller-manager".to_owned(), false));
    }
    let lost = draft.nodes.iter().filter(|node| node.ready == "Unknown").take(MAX_NODE_LEASES);
    leases.extend(lost.map(|node| (node.name.clone(), true)));
    let said = refusals(&draft.rollouts, &draft.events);
    let callers =
        draft.alerts.iter().any(|name| !OBJECT_ALERTS.iter().any(|prefix| name.starts_with(prefix)));
    let routes = matches!(workload.kind.as_str(), "Service" | "Ingress") || callers;
    let silent = draft.dependencies.iter().any(|row| SILENT.contains(&row.class.as_str()))
        || draft.containers.iter().filter(|row| row.failing).any(|row| {
            let said = format!("{} {} {}", row.readiness_failure, row.liveness_failure, row.log_line);
            let said = said.to_lowercase();
            SILENT.contains(&row.log_class.as_str()) || SILENT_WORDS.iter().any(|words| said.contains(words))
        });
    let metrics = ["metrics API", "unable to handle the request", "could not find the requested resource"];
    Wanted {
        leases,
        webhooks: said.iter().any(|text| called_webhook(text).is_some()),
        namespace: said.iter().any(|text| text.contains("violates PodSecurity")),
        api_services: alert("KubeAggregatedAPI")
            || draft.hpas.iter().any(|row| metrics.iter().any(|words| row.message.contains(words))),
        routes,
        policies: routes || silent,
        budgets: alert("KubePdb") || workload.kind == "PodDisruptionBudget",
    }
}

/// Whether anything was asked.
pub(super) async fn last_round(
    scoped: &Scoped<'_>,
    workload: &Workload,
    draft: &Facts,
    objects: &mut Objects,
) -> bool {
    let wanted = wanted(draft, workload);
    if wanted == Wanted::default() {
        return false;
    }
    let namespace = objects.namespace.clone();
    let (place, all) = (namespace.as_str(), ListQuery::default());
    let named = !namespace.is_empty();
    let said: Vec<String> = refusals(&draft.rollouts, &draft.events)
        .into_iter()
        .filter_map(called_webhook)
        .map(|(name, _)| name.to_owned())
        .collect();
    // Of an Ingress they were read first.
    let read = objects.more.ingresses.known;
    let ingresses = async { if read { None } else { Some(scoped.list(place, &all).await) } };
    let (leases, hooks, own, apis, routes, policies, budgets) = tokio::join!(
        join_all(wanted.leases.iter().map(|(name, of_node)| scoped.lease(name, *of_node))),
        async { if wanted.webhooks { webhooks(scoped, &said).await } else { Default::default() } },
        async { if wanted.namespace && named { Some(scoped.namespace(place).await) } else { None } },
        async { if wanted.api_services { Some(scoped.list_shared().await) } else { None } },
        async {
            if wanted.routes && named { Some(tokio::join!(ingresses, scoped.list_shared())) } else { None }
        },
        async { if wanted.policies && named { Some(scoped.list(place, &all).await) } else { None } },
        async { if wanted.budgets && named { Some(scoped.list(place, &all).await) } else { None } },
    );
    let (more, gaps) = (&mut objects.more, &mut objects.gaps);
    for ((name, _), answer) in wanted.leases.iter().zip(leases) {
        match answer {
            Ok(answer) => more.leases.push((answer.value, answer.query)),
            // Without leader election, or in a managed cluster, there is none: that tells nothing.
            Err(Error::NotFound) => {}
            Err(error) => gaps.push(gap("kubernetes", &format!("lease {name}"), &error.to_string())),
        }
    }
    more.webhooks = hooks.0;
    gaps.extend(hooks.1);
    match own {
        Some(Ok(answer)) => more.namespace = Some((answer.value, answer.query)),
        Some(Err(error)) => gaps.push(gap("kubernetes", "the namespace", &error.to_string())),
        None => {}
    }
    if let Some(answer) = apis {
        more.api_services = kept(answer, "apiservices", gaps);
    }
    if let Some((ingresses, classes)) = routes {
        if let Some(answer) = ingresses {
            more.ingresses = kept(answer, "ingresses", gaps);
        }
        if !more.ingresses.items.is_empty() {
            more.ingress_classes = kept(classes, "ingressclasses", gaps);
        }
    }
    if let Some(answer) = policies {
        more.policies = kept(answer, "networkpolicies", gaps);
    }
    if let Some(answer) = budgets {
        more.budgets = kept(answer, "poddisruptionbudgets", gaps);
    }
    true
}

/// The configurations of the webhooks that refusals name, with what stands behind each.
async fn webhooks(scoped: &Scoped<'_>, said: &[String]) -> (Vec<Hook>, Vec<Gap>) {
    let (validating, mutating) = tokio::join!(
        scoped.list_shared::<ValidatingWebhookConfiguration>(),
        scoped.list_shared::<MutatingWebhookConfiguration>(),
    );
    let mut gaps = Vec::new();
    let validating = kept(validating, "validatingwebhookconfigurations", &mut gaps);
    let mutating = kept(mutating, "mutatingwebhookconfigurations", &mut gaps);
    let mut hooks = Vec::new();
    for configuration in &validating.items {
        for hook in configuration.webhooks.iter().flatten() {
            let policy = (hook.failure_policy.as_deref(), hook.timeout_seconds);
            let (from, client) = (&configuration.metadata, &hook.client_config);
            hooks.push(Hook {
                query: validating.query.clone(),
                ..one("validating", &hook.name, from, client, policy)
            });
        }
    }
    for configuration in &mutating.items {
        for hook in configuration.webhooks.iter().flatten() {
            let policy = (hook.failure_policy.as_deref(), hook.timeout_seconds);
            let (from, client) = (&configuration.metadata, &hook.client_config);
            hooks.push(Hook {
                query: mutating.query.clone(),
                ..one("mutating", &hook.name, from, client, policy)
            });
        }
    }
    hooks.retain(|hook| said.contains(&hook.name));
    hooks.truncate(MAX_BACKENDS);
    let behind = join_all(hooks.iter().map(|hook| async move {
        match &hook.service {
            Some((namespace, name)) => Some(scoped.ready_behind(namespace, name).await),
            None => None,
        }
    }))
    .await;
    for (hook, answer) in hooks.iter_mut().zip(behind) {
        hook.backend = match answer {
            Some(Ok(answer)) => match answer.value {
                Some(ready) => Backend::Ready(ready, answer.query),
                None => Backend::Absent(answer.query),
            },
            Some(Err(error)) => {
                gaps.push(gap(
                    "kubernetes",
                    &format!("service of webhook {}", hook.name),
                    &error.to_string(),
                ));
                Backend::Unknown
            }
            None => Backend::Unknown,
        };
    }
    (hooks, gaps)
}

fn one(
    kind: &'static str,
    name: &str,
    from: &ObjectMeta,
    client: &WebhookClientConfig,
    (policy, timeout): (Option<&str>, Option<i32>),
) -> Hook {
    Hook {
        name: name.to_owned(),
        configuration: name_of(from).to_owned(),
        kind,
        failure_policy: policy.unwrap_or("Fail").to_owned(),
        timeout_seconds: i64::from(timeout.unwrap_or(10)),
        service: client.service.as_ref().map(|service| (service.namespace.clone(), service.name.clone())),
        backend: Backend::Unknown,
        query: String::new(),
    }
}
