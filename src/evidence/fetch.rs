//! Asks the sources, in two rounds: first the lists that every workload needs, all at once; then, judged
//! by the facts that those already give, logs, references, classes and sums. Each request has its own
//! deadline; what fails is kept as a gap.

use chrono::{Duration, Utc};
use futures::future::{join, join_all};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use k8s_openapi::{NamespaceResourceScope, Resource};
use serde::de::DeserializeOwned;

use super::focus::Focus;
use super::objects::{Existence, LogRead, MemoryRead, Objects, Read};
use super::references::all_uses;
use super::{Sources, facts_from, pods};
use crate::alert::Alert;
use crate::facts::{ContainerFact, Facts};
use crate::report::Gap;
use crate::source::kubernetes::{Answer, Error, ListQuery, Listing, LogQuery, Scope, Scoped};
use crate::source::prometheus;
use crate::workload::Workload;

/// Containers whose logs are read.
const MAX_LOGGED: usize = 12;
/// Of these, pods that run the same container.
const MAX_LOGGED_ALIKE: usize = 3;
/// ConfigMaps and ServiceAccounts that are looked up.
const MAX_LOOKUPS: usize = 16;
/// Containers killed for memory whose peak is asked for.
const MAX_PEAKS: usize = 3;
/// How far back Loki and Prometheus are asked.
const HISTORY_MINUTES: i64 = 60;
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
    let mut objects = first_round(&scoped, workload).await;
    let draft = facts_from(&objects, workload, alerts);
    let own = Focus::new(&objects, workload)
        .pods
        .iter()
        .filter_map(|pod| pod.metadata.name.clone())
        .collect::<Vec<_>>();
    let scoped = scoped.with_pods(own);
    second_round(sources, &scoped, workload, &draft, &mut objects).await;
    facts_from(&objects, workload, alerts)
}

fn gap(source: &str, what: &str, why: &str) -> Gap {
    Gap { source: source.to_owned(), what: what.to_owned(), why: why.to_owned() }
}

async fn first_round(scoped: &Scoped<'_>, workload: &Workload) -> Objects {
    let mut objects = match workload.kind.as_str() {
        "Cluster" | "PersistentVolume" => Objects::default(),
        "Node" => node_objects(scoped, &workload.name).await,
        "Namespace" => namespaced_objects(scoped, &workload.name).await,
        _ => namespaced_objects(scoped, &workload.namespace).await,
    };
    let (now, nodes) = join(scoped.cluster_time(), scoped.list_shared()).await;
    objects.now = now;
    objects.nodes = kept(nodes, "nodes", &mut objects.gaps);
    objects
}

async fn node_objects(scoped: &Scoped<'_>, node: &str) -> Objects {
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
    let (pods, events, deployments, replica_sets, stateful_sets, daemon_sets, revisions) = tokio::join!(
        scoped.list(namespace, &all),
        scoped.list(namespace, &all),
        scoped.list(namespace, &all),
        scoped.list(namespace, &all),
        scoped.list(namespace, &all),
        scoped.list(namespace, &all),
        scoped.list(namespace, &all),
    );
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
    let (jobs, cron_jobs, hpas, services, slices, claims, quotas) = rest.await;
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

/// A list that came, or a gap. A list cut short is both: its rows count, its silence does not.
fn kept<K>(answer: Result<Answer<Listing<K>>, Error>, what: &str, gaps: &mut Vec<Gap>) -> Read<K> {
    match answer {
        Ok(answer) => {
            if answer.value.truncated {
                gaps.push(gap("kubernetes", what, "more than could be read; the first are looked at"));
            }
            let (query, milliseconds) = (answer.query, answer.milliseconds);
            Read { items: answer.value.items, query, milliseconds, known: true }
        }
        Err(error) => {
            gaps.push(gap("kubernetes", what, &error.to_string()));
            Read::default()
        }
    }
}

async fn second_round(
    sources: &Sources,
    scoped: &Scoped<'_>,
    workload: &Workload,
    draft: &Facts,
    objects: &mut Objects,
) {
    let waits_for_node = draft.pods.iter().any(|pod| !pod.scheduled && pod.phase == "Pending");
    let of_cluster = matches!(workload.kind.as_str(), "Cluster" | "Node");
    let unbound = draft.claims.iter().any(|claim| claim.phase != "Bound");
    let sums = async {
        if !(waits_for_node || of_cluster) {
            return None;
        }
        Some(scoped.requested_per_node(pods::requested).await)
    };
    let classes = async { if unbound { Some(scoped.list_shared().await) } else { None } };
    let readyz = async { if workload.kind == "Cluster" { Some(scoped.readyz().await) } else { None } };
    let targets = log_targets(draft);
    let (found, sums, classes, readyz, logs, peaks) = tokio::join!(
        lookups(scoped, objects, workload),
        sums,
        classes,
        readyz,
        join_all(targets.iter().map(|row| container_logs(sources, scoped, row, objects.now))),
        peaks(sources, draft),
    );
    let (config_maps, service_accounts, config_map_names) = found;
    (objects.config_maps, objects.service_accounts) = (config_maps, service_accounts);
    objects.config_map_names = config_map_names;
    match sums {
        Some(Ok(answer)) => objects.requested = Some((answer.value, answer.query)),
        Some(Err(error)) => objects.gaps.push(gap("kubernetes", "requests per node", &error.to_string())),
        None => {}
    }
    if let Some(answer) = classes {
        objects.storage_classes = kept(answer, "storageclasses", &mut objects.gaps);
    }
    match readyz {
        Some(Ok(answer)) => objects.readyz = Some((answer.value, answer.query)),
        Some(Err(error)) => objects.gaps.push(gap("kubernetes", "readiness", &error.to_string())),
        None => {}
    }
    for (logs, gaps) in logs {
        objects.logs.extend(logs);
        objects.gaps.extend(gaps);
    }
    objects.memory = peaks.0;
    objects.gaps.extend(peaks.1);
    objects.gaps.dedup();
}

/// Failing containers that have or had something to say, spread over pods and kinds of container.
fn log_targets(draft: &Facts) -> Vec<&ContainerFact> {
    let mut alike: std::collections::BTreeMap<(&str, &str), usize> = std::collections::BTreeMap::new();
    let started = |row: &&ContainerFact| row.state != "waiting" || row.restarts > 0 || row.exit_code >= 0;
    let owner = |row: &ContainerFact| {
        draft.pods.iter().find(|pod| pod.name == row.pod).map_or("", |pod| pod.owner_name.as_str())
    };
    let failing = draft.containers.iter().filter(|row| row.failing && !row.state.is_empty()).filter(started);
    let spread = failing.filter(|row| {
        let count = alike.entry((owner(row), row.name.as_str())).or_default();
        *count += 1;
        *count <= MAX_LOGGED_ALIKE
    });
    spread.take(MAX_LOGGED).collect()
}

async fn container_logs(
    sources: &Sources,
    scoped: &Scoped<'_>,
    row: &ContainerFact,
    now: chrono::DateTime<Utc>,
) -> (Vec<LogRead>, Vec<Gap>) {
    let read = |previous| async move {
        let query =
            LogQuery { container: row.name.clone(), previous, tail_lines: sources.log_tail_lines.max(1) };
        (previous, scoped.log(&row.namespace, &row.pod, &query).await)
    };
    let current = read(false);
    let answers = if row.restarts > 0 {
        let (current, previous) = join(current, read(true)).await;
        vec![current, previous]
    } else {
        vec![current.await]
    };
    let (mut logs, mut gaps) = (Vec::new(), Vec::new());
    for (previous, answer) in answers {
        match answer {
            Ok(answer) => logs.push(LogRead {
                pod: row.pod.clone(),
                container: row.name.clone(),
                previous,
                source: "kubernetes".to_owned(),
                query: answer.query,
                milliseconds: answer.milliseconds,
                text: answer.value,
            }),
            // "previous terminated container not found", "waiting to start": there is no log to miss.
            Err(Error::BadRequest(_)) => {}
            Err(error) => {
                let what = format!("log of container {} of pod {}", row.name, row.pod);
                gaps.push(gap("kubernetes", &what, &error.to_string()));
            }
        }
    }
    if logs.iter().all(|log| log.text.trim().is_empty()) && !gaps.is_empty() {
        let (more, gap) = remembered_log(sources, row, now).await;
        logs.extend(more);
        gaps.extend(gap);
    }
    gaps.dedup();
    (logs, gaps)
}

/// Loki keeps what the API has lost.
async fn remembered_log(
    sources: &Sources,
    row: &ContainerFact,
    now: chrono::DateTime<Utc>,
) -> (Option<LogRead>, Option<Gap>) {
    let Some(loki) = &sources.loki else { return (None, None) };
    let labels =
        [("namespace", row.namespace.as_str()), ("pod", row.pod.as_str()), ("container", row.name.as_str())];
    match loki.lines(&labels, now - Duration::minutes(HISTORY_MINUTES), now).await {
        Ok(answer) => {
            let line = |line: &crate::source::loki::Line| {
                format!("{} {}\n", line.at.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true), line.text)
            };
            let log = LogRead {
                pod: row.pod.clone(),
                container: row.name.clone(),
                previous: false,
                source: "loki".to_owned(),
                query: answer.query,
                milliseconds: answer.milliseconds,
                text: answer.lines.iter().map(line).collect(),
            };
            (Some(log), None)
        }
        Err(error) => {
            let what = format!("log lines of container {} of pod {}", row.name, row.pod);
            (None, Some(gap("loki", &what, &error.to_string())))
        }
    }
}

type Found = (
    std::collections::BTreeMap<String, Existence>,
    std::collections::BTreeMap<String, Existence>,
    Vec<String>,
);

/// ConfigMaps and ServiceAccounts that the pods name; names of the namespace's ConfigMaps where one of
/// them is missing. Secrets are not asked for at all.
async fn lookups(scoped: &Scoped<'_>, objects: &Objects, workload: &Workload) -> Found {
    let focus = Focus::new(objects, workload);
    let troubled = focus.pods.is_empty() || focus.pods.iter().any(|pod| !pods::is_healthy(objects, pod));
    let uses = if troubled { all_uses(&focus) } else { Default::default() };
    let mut names: Vec<(&'static str, String)> =
        uses.iter().filter(|one| one.kind != "Secret").map(|one| (one.kind, one.name.clone())).collect();
    names.dedup();
    names.truncate(MAX_LOOKUPS);
    let namespace = objects.namespace.as_str();
    let answers = join_all(names.iter().map(|(kind, name)| async move {
        if *kind == "ConfigMap" {
            let keys = |map: &ConfigMap| {
                let text = map.data.iter().flat_map(|data| data.keys());
                text.chain(map.binary_data.iter().flat_map(|data| data.keys())).cloned().collect()
            };
            existence(scoped, namespace, name, keys).await
        } else {
            existence(scoped, namespace, name, |_: &ServiceAccount| Default::default()).await
        }
    }))
    .await;
    let mut found: Found = Default::default();
    let mut missing = false;
    for ((kind, name), existence) in names.into_iter().zip(answers) {
        missing |= kind == "ConfigMap" && existence.exists == Some(false);
        let map = if kind == "ConfigMap" { &mut found.0 } else { &mut found.1 };
        map.insert(name, existence);
    }
    if missing {
        found.2 = scoped.names::<ConfigMap>(namespace).await.map(|answer| answer.value).unwrap_or_default();
    }
    found
}

async fn existence<K>(
    scoped: &Scoped<'_>,
    namespace: &str,
    name: &str,
    keys: impl Fn(&K) -> std::collections::BTreeSet<String>,
) -> Existence
where
    K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let query = format!("GET {}/{name}", collection::<K>(namespace));
    match scoped.get::<K>(namespace, name).await {
        Ok(answer) => Existence { query: answer.query, exists: Some(true), keys: keys(&answer.value) },
        Err(Error::NotFound) => Existence { query, exists: Some(false), ..Existence::default() },
        Err(_) => Existence { query, ..Existence::default() },
    }
}

fn collection<K: Resource>(namespace: &str) -> String {
    format!("/api/{}/namespaces/{namespace}/{}", K::VERSION, K::URL_PATH_SEGMENT)
}

/// How much memory a container killed for it had reached.
async fn peaks(sources: &Sources, draft: &Facts) -> (Vec<MemoryRead>, Vec<Gap>) {
    let Some(prometheus) = &sources.prometheus else { return (Vec::new(), Vec::new()) };
    let killed = draft.containers.iter().filter(|row| row.exit_reason == "OOMKilled").take(MAX_PEAKS);
    let (mut reads, mut gaps) = (Vec::new(), Vec::new());
    let answers = join_all(killed.map(|row| async move {
        let labels = [
            ("namespace", row.namespace.as_str()),
            ("pod", row.pod.as_str()),
            ("container", row.name.as_str()),
        ];
        let selector = prometheus::selector("container_memory_working_set_bytes", &labels);
        let promql = format!("max_over_time({selector}[{HISTORY_MINUTES}m])");
        (row, prometheus.query(&promql, draft.observed_at).await)
    }))
    .await;
    for (row, answer) in answers {
        match answer {
            Ok(answer) => {
                let samples = answer.series.iter().flat_map(|series| series.samples.iter().map(|s| s.1));
                // A container that dies within one scrape interval was never seen.
                if let Some(peak_bytes) = samples.filter(|value| value.is_finite()).reduce(f64::max) {
                    reads.push(MemoryRead {
                        pod: row.pod.clone(),
                        container: row.name.clone(),
                        peak_bytes,
                        query: answer.query,
                        milliseconds: answer.milliseconds,
                    });
                }
            }
            Err(error) => {
                let what = format!("memory of container {} of pod {}", row.name, row.pod);
                gaps.push(gap("prometheus", &what, &error.to_string()));
            }
        }
    }
    (reads, gaps)
}
