//! The recorded objects: lists of all namespaces merged by resource, discovery, logs, and the moment at
//! which they were recorded. Loaded once; nothing changes them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::Answer;
use crate::demo::recording::Recording;

/// The cluster's clock starts this much after the newest recorded moment, in seconds.
const AFTER_NEWEST_SECS: i64 = 8;

/// Fields that tell when something happened. Others may lie in the future (a certificate's end).
const TIME_FIELDS: [&str; 12] = [
    "creationTimestamp",
    "lastTransitionTime",
    "lastUpdateTime",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "lastObservedTime",
    "startedAt",
    "finishedAt",
    "startTime",
    "completionTime",
    "lastScheduleTime",
];

/// A line of `kubernetes/index.json`: which request was answered by which file.
#[derive(Debug, Deserialize)]
struct Entry {
    file: String,
    path: String,
    status: u16,
    content_type: String,
}

pub(super) struct Cluster {
    pub(super) resources: BTreeMap<(String, String), Resource>,
    discovery: BTreeMap<String, Vec<Answer>>,
    pub(super) recorded: BTreeMap<String, Answer>,
    /// `namespace/pod.container.current` → status and body.
    pub(super) logs: BTreeMap<String, (u16, Vec<u8>)>,
    pub(super) recorded_at: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) api_version: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) resource_version: String,
    /// By `namespace/name`, the order in which etcd keeps them.
    pub(super) items: BTreeMap<String, Value>,
}

impl Resource {
    pub(super) fn item(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.items.get(&format!("{namespace}/{name}"))
    }

    /// `pods`, `deployments.apps`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// What a path asks for: `{base}[/namespaces/{namespace}]/{plural}[/{name}[/{subresource}]]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) base: String,
    pub(super) namespace: Option<String>,
    pub(super) plural: String,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

impl Target {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let (base, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => (format!("/api/{version}"), rest),
            ["apis", group, version, rest @ ..] => (format!("/apis/{group}/{version}"), rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(name), None),
            [plural, name, subresource @ ..] => (plural, Some(name), Some(subresource.join("/"))),
            [] => return None,
        };
        let name = name.map(|name| (*name).to_owned());
        Some(Self { base, namespace, plural: (*plural).to_owned(), name, subresource })
    }
}

impl Cluster {
    pub(super) fn empty(recorded_at: DateTime<Utc>) -> Self {
        Self {
            resources: BTreeMap::new(),
            discovery: BTreeMap::new(),
            recorded: BTreeMap::new(),
            logs: BTreeMap::new(),
            recorded_at,
        }
    }

    pub(super) fn load(recording: &Recording) -> Result<Self> {
        let index = recording.json("kubernetes/index.json")?;
        let index: Vec<Entry> = serde_json::from_value(index).context("reading kubernetes/index.json")?;
        let mut cluster = Self::empty(DateTime::UNIX_EPOCH);
        for entry in index.iter().filter(|entry| entry.file.starts_with("discovery/")) {
            cluster.add_discovery(recording, entry)?;
        }
        for entry in &index {
            cluster.add(recording, entry)?;
        }
        let newest = cluster.newest().context("the recording holds no time")?;
        let second = newest.duration_trunc(TimeDelta::seconds(1))?;
        cluster.recorded_at = second + TimeDelta::seconds(AFTER_NEWEST_SECS);
        Ok(cluster)
    }

    fn add_discovery(&mut self, recording: &Recording, entry: &Entry) -> Result<()> {
        let body = recording.json(&format!("kubernetes/{}", entry.file))?;
        for listed in body["resources"].as_array().into_iter().flatten() {
            let plural = listed["name"].as_str().unwrap_or_default();
            // `pods/log` and its like are not resources of their own.
            if plural.contains('/') {
                continue;
            }
            let api_version = body["groupVersion"].as_str().unwrap_or_default().to_owned();
            let resource = Resource {
                group: api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
                api_version,
                plural: plural.to_owned(),
                kind: listed["kind"].as_str().unwrap_or_default().to_owned(),
                namespaced: listed["namespaced"].as_bool().unwrap_or_default(),
                resource_version: "1".to_owned(),
                items: BTreeMap::new(),
            };
            self.resources.insert((entry.path.clone(), plural.to_owned()), resource);
        }
        for group in body["groups"].as_array().into_iter().flatten() {
            let Some(name) = group["name"].as_str() else { continue };
            let mut group = group.clone();
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            self.discovery.entry(format!("/apis/{name}")).or_default().push(Answer::json(200, &group));
        }
        let content_type = entry.content_type.clone();
        let answer = Answer { status: entry.status, content_type, body: body.to_string().into_bytes() };
        self.discovery.entry(entry.path.clone()).or_default().push(answer);
        Ok(())
    }

    fn add(&mut self, recording: &Recording, entry: &Entry) -> Result<()> {
        let Some(content) = recording.file(&format!("kubernetes/{}", entry.file)) else {
            return Ok(()); // the index may name files that a recording left out
        };
        let (folder, file) = entry.file.rsplit_once('/').unwrap_or(("", &entry.file));
        if let Some(namespace) = folder.strip_suffix("/logs") {
            // The longest name has two suffixes: `pod.container.current.error-400.json`.
            let stem = file.strip_suffix(".log").or_else(|| file.split_once(".error-").map(|(stem, _)| stem));
            let key = format!("{namespace}/{}", stem.unwrap_or(file));
            self.logs.insert(key, (entry.status, content.to_vec()));
            return Ok(());
        }
        // 401 and 403 depend on who asks, not on the path alone.
        if !matches!(entry.status, 401 | 403) {
            let (status, content_type) = (entry.status, entry.content_type.clone());
            let answer = Answer { status, content_type, body: content.to_vec() };
            self.recorded.entry(entry.path.clone()).or_insert(answer);
        }
        let is_variant = matches!(folder, "misc" | "errors" | "discovery");
        if is_variant || entry.status != 200 || entry.path.contains('?') {
            return Ok(());
        }
        let Some(target) = Target::parse(&entry.path) else { return Ok(()) };
        let Some(resource) = self.resources.get_mut(&(target.base, target.plural)) else { return Ok(()) };
        let list: Value =
            serde_json::from_slice(content).with_context(|| format!("reading {}", entry.file))?;
        if let Some(version) = list["metadata"]["resourceVersion"].as_str() {
            version.clone_into(&mut resource.resource_version);
        }
        for item in list["items"].as_array().into_iter().flatten() {
            let namespace = item["metadata"]["namespace"].as_str().unwrap_or_default();
            let name = item["metadata"]["name"].as_str().unwrap_or_default();
            // The list of one namespace comes first in the index and wins over the one of all.
            resource.items.entry(format!("{namespace}/{name}")).or_insert_with(|| item.clone());
        }
        Ok(())
    }

    pub(super) fn resource(&self, base: &str, plural: &str) -> Option<&Resource> {
        self.resources.get(&(base.to_owned(), plural.to_owned()))
    }

    #[cfg(test)]
    pub(super) fn resource_mut(&mut self, base: &str, plural: &str) -> Option<&mut Resource> {
        self.resources.get_mut(&(base.to_owned(), plural.to_owned()))
    }

    /// `/api`, `/apis`, `/apis/apps/v1`, …; the aggregated form for clients that ask for it.
    pub(super) fn discovery(&self, path: &str, accept: &str) -> Option<Answer> {
        let answers = self.discovery.get(path)?;
        let aggregated = answers.iter().find(|answer| answer.content_type.contains("as="));
        let plain = answers.iter().find(|answer| !answer.content_type.contains("as="));
        let wanted = if accept.contains("as=APIGroupDiscoveryList") { aggregated.or(plain) } else { plain };
        wanted.cloned()
    }

    /// The answer to exactly this request, for the few that are neither discovery nor objects.
    pub(super) fn recorded(&self, uri: &str) -> Option<Answer> {
        // `verbose` is a flag: a real API server does not look at its value.
        let flag = uri.split_once("?verbose=").map(|(path, _)| format!("{path}?verbose"));
        let by_name = self.recorded.get(flag.as_deref().unwrap_or(uri));
        // `/readyz` says in one word what `/readyz?verbose` says in many.
        let is_health = matches!(uri, "/readyz" | "/livez" | "/healthz");
        by_name.cloned().or_else(|| is_health.then(|| Answer::text(200, b"ok".to_vec())))
    }

    pub(super) fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        which: &str,
    ) -> Option<&(u16, Vec<u8>)> {
        self.logs.get(&format!("{namespace}/{pod}.{container}.{which}"))
    }

    fn newest(&self) -> Option<DateTime<Utc>> {
        let items = self.resources.values().flat_map(|resource| resource.items.values());
        let of_items = items.filter_map(newest_in).max();
        let logs = self.logs.values().filter(|(status, _)| *status == 200);
        let of_logs = logs.filter_map(|(_, text)| newest_line(text)).max();
        of_items.max(of_logs)
    }
}

fn newest_in(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Array(values) => values.iter().filter_map(newest_in).max(),
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(name, value)| match value.as_str() {
                Some(text) if TIME_FIELDS.contains(&name.as_str()) => text.parse().ok(),
                _ => newest_in(value),
            })
            .max(),
        _ => None,
    }
}

fn newest_line(log: &[u8]) -> Option<DateTime<Utc>> {
    let text = String::from_utf8_lossy(log);
    text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).max()
}
