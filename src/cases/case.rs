//! A case as its author writes it, and as it is when everything it is based on has been put in. Pure data
//! and its checks.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::alert::{Alert, Severity, Source, Status};
use crate::demo::{Described, Said};
use crate::report::Outcome;
use crate::runbook::Fault;
use crate::workload::Workload;

/// An alert without a start fired this long before `now`, in minutes.
const ALERT_AGE_MINUTES: i64 = 10;

/// Where a case comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    HandMade,
    Recorded,
}

/// `case.yaml`. What a case is based on gives its clock, workload and alerts where it names none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    pub about: String,
    pub origin: Origin,
    pub now: Option<DateTime<Utc>>,
    pub workload: Option<Spanned<String>>,
    pub alerts: Option<Vec<AlertSpec>>,
    pub near_miss_of: Option<Spanned<String>>,
    pub expect: Vec<ExpectSpec>,
    #[serde(default)]
    pub also: Vec<ExpectSpec>,
    pub outcome: Option<Outcome>,
    pub based_on: Option<Spanned<String>>,
    #[serde(default)]
    pub changes: BTreeMap<String, Spanned<Value>>,
}

/// A name, or more.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum AlertSpec {
    Name(String),
    Full(FullAlert),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FullAlert {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    starts_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectSpec {
    pub signature: Spanned<String>,
    pub object: Option<String>,
    #[serde(default)]
    pub says: Vec<String>,
}

/// A finding that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub signature: String,
    /// `Kind namespace/name` or `Kind name`.
    pub object: Option<String>,
    pub says: Vec<String>,
    place: (u64, u64),
}

impl From<&ExpectSpec> for Expected {
    fn from(spec: &ExpectSpec) -> Self {
        let at = spec.signature.referenced;
        Self {
            signature: spec.signature.value.clone(),
            object: spec.object.clone(),
            says: spec.says.clone(),
            place: (at.line(), at.column()),
        }
    }
}

/// A case, ready to be replayed.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder that it lies in: a runbook's name.
    pub family: String,
    pub name: String,
    /// Its `case.yaml`.
    pub path: String,
    pub about: String,
    pub workload: Workload,
    pub alerts: Vec<Alert>,
    /// Must not be found, whatever its role.
    pub near_miss_of: Option<String>,
    near_miss_place: (u64, u64),
    /// All primary findings that are no catch-all.
    pub expect: Vec<Expected>,
    /// Other findings that must be there: consequences and catch-alls.
    pub also: Vec<Expected>,
    pub outcome: Option<Outcome>,
    pub cluster: Described,
    pub prometheus: Option<Vec<Said>>,
    pub loki: Option<Vec<Said>>,
}

impl Case {
    /// `family/name`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.family, self.name)
    }

    /// Whether a signature is among what must be found.
    pub fn finds(&self, signature: &str) -> bool {
        self.expect.iter().chain(&self.also).any(|expected| expected.signature == signature)
    }

    /// Ids that no signature has would be met by nothing, or ruled out by everything.
    pub(super) fn unknown_ids(&self, is_known: impl Fn(&str) -> bool) -> Vec<Fault> {
        let expected = self.expect.iter().chain(&self.also);
        let named = expected.map(|expected| (expected.signature.as_str(), expected.place));
        let near = self.near_miss_of.as_deref().map(|id| (id, self.near_miss_place));
        let unknown = named.chain(near).filter(|(id, _)| !is_known(id));
        let fault = |(id, (line, column)): (&str, (u64, u64))| Fault {
            path: self.path.clone(),
            line,
            column,
            message: format!("no signature `{id}` is known"),
        };
        unknown.map(fault).collect()
    }

    /// Puts a file and what lies beside it together.
    pub(super) fn new(
        path: &str,
        (family, name): (String, String),
        file: &CaseFile,
        shared: (DateTime<Utc>, Workload, &[AlertSpec]),
        cluster: Described,
    ) -> Self {
        let (now, workload, alerts) = shared;
        let near = file.near_miss_of.as_ref();
        Self {
            family,
            name,
            path: path.to_owned(),
            about: file.about.clone(),
            alerts: alerts.iter().map(|spec| spec.alert(now, &workload)).collect(),
            workload,
            near_miss_of: near.map(|id| id.value.clone()),
            near_miss_place: near.map_or((1, 1), |id| (id.referenced.line(), id.referenced.column())),
            expect: file.expect.iter().map(Expected::from).collect(),
            also: file.also.iter().map(Expected::from).collect(),
            outcome: file.outcome,
            cluster: Described { now, ..cluster },
            prometheus: None,
            loki: None,
        }
    }
}

impl AlertSpec {
    fn alert(&self, now: DateTime<Utc>, workload: &Workload) -> Alert {
        let (name, labels, starts_at) = match self {
            Self::Name(name) => (name, None, None),
            Self::Full(full) => (&full.name, Some(&full.labels), full.starts_at),
        };
        let mut labels = labels.cloned().unwrap_or_default();
        if !workload.namespace.is_empty() {
            labels.entry("namespace".to_owned()).or_insert_with(|| workload.namespace.clone());
        }
        labels.insert("alertname".to_owned(), name.clone());
        Alert {
            source: Source::Manual,
            status: Status::Firing,
            fingerprint: format!("case-{name}"),
            starts_at: starts_at.unwrap_or(now - TimeDelta::minutes(ALERT_AGE_MINUTES)),
            ends_at: None,
            severity: Severity::Warning,
            labels,
            annotations: BTreeMap::new(),
            generator_url: String::new(),
            receiver: String::new(),
            group_key: String::new(),
            subject: None,
            truncated_alerts: 0,
        }
    }
}

/// `shop/Deployment/checkout`, `Node/node-1`, `Namespace/shop`. The cluster has no name.
pub(super) fn workload(text: &str) -> Option<Workload> {
    let text = text.trim_matches('/');
    let (namespace, kind, name) = match text.split('/').collect::<Vec<_>>().as_slice() {
        [namespace, kind, name] => (*namespace, *kind, *name),
        [kind, name] => ("", *kind, *name),
        _ => return None,
    };
    let is_wide = matches!(kind, "Namespace" | "Node" | "Cluster" | "PersistentVolume");
    let namespace = if is_wide { "" } else { namespace };
    let complete = !kind.is_empty() && !name.is_empty() && is_wide == namespace.is_empty();
    complete.then(|| Workload::new("", namespace, kind, name))
}
