//! The second round: what the first round's facts ask for. Logs of failing containers, the objects that
//! pods name, storage classes, sums of requests, and what Loki and Prometheus remember. All at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use futures::future::{join, join_all};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope, Resource};
use serde::de::DeserializeOwned;

use super::focus::Focus;
use super::objects::{Existence, LogRead, MemoryRead, Objects, gap, kept};
use super::references::all_uses;
use super::{Sources, changes, gone_pods, node_events, pods};
use crate::alert::Alert;
use crate::facts::{ContainerFact, Facts};
use crate::report::Gap;
use crate::source::kubernetes::{Error, LogQuery, Scoped};
use crate::source::{loki, prometheus};
use crate::workload::Workload;

/// Containers whose logs are read.
const MAX_LOGGED: usize = 12;
/// Of these, pods that run the same container.
const MAX_LOGGED_ALIKE: usize = 3;
/// The same for a namespace or a node: fewer of one kind, of more workloads.
const MAX_LOGGED_WIDE: usize = 40;
const MAX_LOGGED_ALIKE_WIDE: usize = 1;
/// ConfigMaps and ServiceAccounts that are looked up.
const MAX_LOOKUPS: usize = 16;
const MAX_LOOKUPS_WIDE: usize = 60;
/// Containers killed for memory whose peak is asked for.
const MAX_PEAKS: usize = 3;
/// How far back Loki and Prometheus are asked.
const HISTORY_MINUTES: i64 = 60;

pub(super) async fn second_round(
    sources: &Sources,
    scoped: &Scoped<'_>,
    (workload, alerts): (&Workload, &[Alert]),
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
    let volumes = async {
        if unbound || waits_for_node && !draft.claims.is_empty() {
            Some(scoped.list_shared().await)
        } else {
            None
        }
    };
    let asks_readyz = is_wide(workload) || workload.kind == "Cluster";
    let readyz = async { if asks_readyz { Some(scoped.readyz().await) } else { None } };
    let targets = log_targets(draft, is_wide(workload));
    let (found, sums, classes, volumes, readyz, logs, peaks, of_nodes, gone) = tokio::join!(
        lookups(scoped, objects, workload),
        sums,
        classes,
        volumes,
        readyz,
        join_all(targets.iter().map(|row| container_logs(sources, scoped, row, objects.now))),
        peaks(sources, draft),
        node_events::read(scoped, workload, draft, objects),
        gone_pods::read(sources, alerts, draft, objects),
    );
    if let Some((read, gaps)) = of_nodes {
        objects.node_events = read;
        objects.gaps.extend(gaps);
    }
    objects.gone_logs = gone.0;
    objects.gaps.extend(gone.1);
    (objects.config_maps, objects.service_accounts) = (found.config_maps, found.service_accounts);
    objects.config_map_names = found.config_map_names;
    objects.gaps.extend(found.gaps);
    match sums {
        Some(Ok(answer)) => objects.requested = Some((answer.value, answer.query)),
        Some(Err(error)) => objects.gaps.push(gap("kubernetes", "requests per node", &error.to_string())),
        None => {}
    }
    if let Some(answer) = classes {
        objects.storage_classes = kept(answer, "storageclasses", &mut objects.gaps);
    }
    if let Some(answer) = volumes {
        objects.volumes = kept(answer, "persistentvolumes", &mut objects.gaps);
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

/// Many workloads are looked at together.
fn is_wide(workload: &Workload) -> bool {
    matches!(workload.kind.as_str(), "Namespace" | "Node")
}

/// Failing containers that have or had something to say, spread over pods and kinds of container.
fn log_targets(draft: &Facts, wide: bool) -> Vec<&ContainerFact> {
    let (most, most_alike) =
        if wide { (MAX_LOGGED_WIDE, MAX_LOGGED_ALIKE_WIDE) } else { (MAX_LOGGED, MAX_LOGGED_ALIKE) };
    let mut alike: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let started = |row: &&ContainerFact| row.state != "waiting" || row.restarts > 0 || row.exit_code >= 0;
    let owner = |row: &ContainerFact| {
        draft.pods.iter().find(|pod| pod.name == row.pod).map_or("", |pod| pod.owner_name.as_str())
    };
    let failing = draft.containers.iter().filter(|row| row.failing && !row.state.is_empty()).filter(started);
    let spread = failing.filter(|row| {
        let count = alike.entry((owner(row), row.name.as_str())).or_default();
        *count += 1;
        *count <= most_alike
    });
    spread.take(most).collect()
}

async fn container_logs(
    sources: &Sources,
    scoped: &Scoped<'_>,
    row: &ContainerFact,
    now: DateTime<Utc>,
) -> (Vec<LogRead>, Vec<Gap>) {
    let read = |previous| async move {
        let query = LogQuery::tail(row.name.clone(), previous, sources.log_tail_lines);
        (previous, scoped.log(&row.namespace, &row.pod, &query).await)
    };
    // Of a container that waits to be started again the kubelet gives the dead instance's log as the current one,
    // and would give it once more as the one before.
    let answers = if row.restarts > 0 && row.state != "waiting" {
        let (current, previous) = join(read(false), read(true)).await;
        vec![current, previous]
    } else {
        vec![read(false).await]
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
    now: DateTime<Utc>,
) -> (Option<LogRead>, Option<Gap>) {
    let Some(loki) = &sources.loki else { return (None, None) };
    let labels =
        [("namespace", row.namespace.as_str()), ("pod", row.pod.as_str()), ("container", row.name.as_str())];
    match loki.lines(&labels, now - Duration::minutes(HISTORY_MINUTES), now).await {
        Ok(answer) => {
            let line = |line: &loki::Line| {
                format!("{} {}\n", line.at.to_rfc3339_opts(SecondsFormat::Nanos, true), line.text)
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

/// What lookups found.
#[derive(Default)]
struct Found {
    config_maps: BTreeMap<String, Existence>,
    service_accounts: BTreeMap<String, Existence>,
    config_map_names: Vec<String>,
    gaps: Vec<Gap>,
}

/// ConfigMaps and ServiceAccounts that the pods name; names of the namespace's ConfigMaps where one of
/// them is missing. Secrets are not asked for at all.
async fn lookups(scoped: &Scoped<'_>, objects: &Objects, workload: &Workload) -> Found {
    let wide = is_wide(workload);
    let mut focus = Focus::new(objects, workload);
    let troubled = focus.pods.is_empty() || focus.pods.iter().any(|pod| !pods::is_healthy(objects, pod));
    if wide {
        focus.pods.retain(|pod| !pods::is_healthy(objects, pod));
    }
    let uses = if troubled { all_uses(&focus) } else { Default::default() };
    let mut names: Vec<(&'static str, String)> = uses
        .iter()
        .filter(|one| matches!(one.kind, "ConfigMap" | "ServiceAccount"))
        .map(|one| (one.kind, one.name.clone()))
        .collect();
    names.dedup();
    names.truncate(if wide { MAX_LOOKUPS_WIDE } else { MAX_LOOKUPS });
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
    let mut found = Found::default();
    let mut missing = false;
    for ((kind, name), answer) in names.into_iter().zip(answers) {
        let existence = match answer {
            Ok(existence) => existence,
            Err(error) => {
                found.gaps.push(gap("kubernetes", &format!("{kind} {name}"), &error.to_string()));
                continue;
            }
        };
        missing |= kind == "ConfigMap" && !existence.exists;
        let map = if kind == "ConfigMap" { &mut found.config_maps } else { &mut found.service_accounts };
        map.insert(name, existence);
    }
    if missing {
        // Only names that look alike come from here: without them the finding stands.
        match scoped.names::<ConfigMap>(namespace).await {
            Ok(answer) => found.config_map_names = answer.value,
            Err(error) => found.gaps.push(gap("kubernetes", "names of configmaps", &error.to_string())),
        }
    }
    found
}

async fn existence<K>(
    scoped: &Scoped<'_>,
    namespace: &str,
    name: &str,
    keys: impl Fn(&K) -> BTreeSet<String>,
) -> Result<Existence, Error>
where
    K: Resource<Scope = NamespaceResourceScope> + Metadata<Ty = ObjectMeta> + DeserializeOwned,
{
    let query = format!("GET {}/{name}", collection::<K>(namespace));
    match scoped.get::<K>(namespace, name).await {
        Ok(answer) => Ok(Existence {
            query: answer.query,
            exists: true,
            changed: changes::last_change(answer.value.metadata()),
            metadata: Some(answer.value.metadata().clone()),
            keys: keys(&answer.value),
        }),
        Err(Error::NotFound) => Ok(Existence { query, ..Existence::default() }),
        Err(error) => Err(error),
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
