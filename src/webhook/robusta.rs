//! Robusta's webhook sink with `format: json`: one finding a message, flat since 0.39, before that the dump
//! of a Python object. Robusta leaves out every key after the one that would exceed its `size_limit`, so
//! each may be missing. Findings that are no issues become no alert.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::fingerprint;
use super::rejection::Rejection;
use super::wire::{self, Labels, List, Member, Moment, Text, wire};
use crate::alert::{Alert, Severity, Source, Status, Subject};

/// A finding's id is a UUID; what is longer is none.
const MAX_ID_BYTES: usize = 64;
/// The only sign that a finding is over; there is no status field.
const RESOLVED_PREFIX: &str = "[RESOLVED] ";
const NOT_A_FINDING: &str = "not a Robusta finding, which has a title: set `format: json`, \
                             `slack_webhook: false` and a `size_limit` of 1048576 in the webhook sink";

wire! {
    struct Finding {
        id: Text = "id",
        title: Text = "title",
        description: Text = "description",
        cluster_name: Text = "cluster_name",
        severity: Member = "severity",
        finding_type: Member = "finding_type",
        aggregation_key: Text = "aggregation_key",
        fingerprint: Text = "fingerprint",
        starts_at: Moment = "starts_at",
        ends_at: Moment = "ends_at",
        service: Option<Service> = "service",
        service_key: Text = "service_key",
        subject: Option<FindingSubject> = "subject",
        links: Option<List<Link>> = "links",
    }
}

wire! {
    /// The owner as Robusta guesses it.
    struct Service {
        name: Text = "name",
        namespace: Text = "namespace",
        resource_type: Text = "resource_type",
    }
}

wire! {
    /// `kind` before 0.39 was `subject_type`.
    struct FindingSubject {
        name: Text = "name",
        kind: Member = "kind",
        subject_type: Member = "subject_type",
        namespace: Text = "namespace",
        node: Text = "node",
        container: Text = "container",
        labels: Labels = "labels",
        annotations: Labels = "annotations",
    }
}

wire! {
    struct Link {
        url: Text = "url",
        kind: Member = "type",
    }
}

/// `received_at` is the start of a finding whose own was left out: Robusta never sends one twice, so a
/// fixed time would only hide that it fired again.
pub(super) fn parse(text: &str, received_at: DateTime<Utc>) -> Result<Vec<Alert>, Rejection> {
    let finding: Finding = wire::read(text).map_err(|fault| match fault {
        Rejection::Malformed(detail) if !text.trim_start().starts_with('{') => {
            Rejection::Malformed(format!("{detail}; {NOT_A_FINDING}"))
        }
        other => other,
    })?;
    if finding.title.0.is_empty() && finding.aggregation_key.0.is_empty() {
        return Err(Rejection::Malformed(NOT_A_FINDING.to_owned()));
    }
    // A finding that lost its type is taken for an issue: better one look too many than none.
    let kind = finding.finding_type.name.to_ascii_lowercase();
    if kind.is_empty() || kind == "issue" { Ok(vec![alert(finding, received_at)]) } else { Ok(Vec::new()) }
}

fn alert(finding: Finding, received_at: DateTime<Utc>) -> Alert {
    let (status, title) = match finding.title.0.strip_prefix(RESOLVED_PREFIX) {
        Some(title) => (Status::Resolved, title.to_owned()),
        None => (Status::Firing, finding.title.0),
    };
    let from_subject = finding.subject.unwrap_or_default();
    let subject = subject(&from_subject)
        .or_else(|| finding.service.and_then(of_service))
        .or_else(|| of_service_key(&finding.service_key.0));

    let mut labels = from_subject.labels.0;
    let name = if finding.aggregation_key.0.is_empty() { &title } else { &finding.aggregation_key.0 };
    add(&mut labels, "alertname", name);
    add(&mut labels, "cluster", &finding.cluster_name.0);
    add(&mut labels, "container", &from_subject.container.0);
    if let Some(subject) = &subject {
        add(&mut labels, "namespace", &subject.namespace);
        add(&mut labels, label_of_kind(&subject.kind), &subject.name);
        add(&mut labels, "node", &subject.node);
    }
    let mut annotations = from_subject.annotations.0;
    add(&mut annotations, "summary", &title);
    add(&mut annotations, "description", &finding.description.0);

    Alert {
        source: Source::Robusta,
        status,
        fingerprint: fingerprint::given_or_computed(finding.fingerprint.0, &labels),
        starts_at: finding.starts_at.0.unwrap_or(received_at),
        ends_at: finding.ends_at.0.filter(|_| status == Status::Resolved),
        severity: severity(&labels, &finding.severity),
        labels,
        annotations,
        generator_url: generator_url(finding.links.unwrap_or_default().0),
        receiver: String::new(),
        group_key: if finding.id.0.len() <= MAX_ID_BYTES { finding.id.0 } else { String::new() },
        subject,
        truncated_alerts: 0,
    }
}

/// The alert's own label goes first: it is what Alertmanager would have sent, and the message's word for a
/// warning is "LOW".
fn severity(labels: &BTreeMap<String, String>, member: &Member) -> Severity {
    if let Some(word) = labels.get("severity").filter(|word| !word.is_empty()) {
        return Severity::from_word(word);
    }
    match member.name.to_ascii_uppercase().as_str() {
        "HIGH" => Severity::Critical,
        "INFO" | "DEBUG" => Severity::Info,
        _ => Severity::Warning,
    }
}

fn subject(from: &FindingSubject) -> Option<Subject> {
    let kind = if from.kind.value.is_empty() { &from.subject_type.value } else { &from.kind.value };
    let kind = kind.to_ascii_lowercase();
    let subject = Subject {
        kind: if kind == "none" { String::new() } else { kind },
        namespace: from.namespace.0.clone(),
        name: from.name.0.clone(),
        node: from.node.0.clone(),
    };
    (!subject.name.is_empty()).then_some(subject)
}

fn of_service(service: Service) -> Option<Subject> {
    let subject = Subject {
        kind: service.resource_type.0.to_ascii_lowercase(),
        namespace: service.namespace.0,
        name: service.name.0,
        node: String::new(),
    };
    (!subject.name.is_empty()).then_some(subject)
}

/// `namespace/Deployment/name`.
fn of_service_key(key: &str) -> Option<Subject> {
    let mut parts = key.split('/').map(str::to_owned);
    let (namespace, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    if name.is_empty() || parts.next().is_some() {
        return None;
    }
    Some(Subject { kind: kind.to_ascii_lowercase(), namespace, name, node: String::new() })
}

/// The label in which kube-state-metrics names an object of that kind; `job` is the scrape job's.
fn label_of_kind(kind: &str) -> &str {
    match kind {
        "job" => "job_name",
        "persistentvolumeclaim"
        | "pod"
        | "deployment"
        | "statefulset"
        | "daemonset"
        | "replicaset"
        | "node"
        | "cronjob"
        | "horizontalpodautoscaler" => kind,
        _ => "",
    }
}

/// Adds what is known and not there yet; an empty value counts as absent.
fn add(texts: &mut BTreeMap<String, String>, name: &str, value: &str) {
    if name.is_empty() || value.is_empty() {
        return;
    }
    let text = texts.entry(name.to_owned()).or_default();
    if text.is_empty() {
        value.clone_into(text);
    }
}

fn generator_url(links: Vec<Link>) -> String {
    links
        .into_iter()
        .find(|link| link.kind.value.eq_ignore_ascii_case("prometheus_generator_url"))
        .map(|link| link.url.0)
        .unwrap_or_default()
}
