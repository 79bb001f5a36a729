//! Leases of components and nodes, webhooks that refusals name, aggregated APIs, and who changed what last.
//! Pure over what was read; what was not asked for gives no rows.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::focus::{Focus, name_of};
use super::ledger::{Ledger, clean};
use super::objects::{Backend, Objects};
use super::{pods, units};
use crate::facts::{ApiServiceFact, EditFact, EventFact, LeaseFact, RolloutFact, WebhookFact};

/// Durations without a renewal after which a lease is stale.
const STALE_DURATIONS: i64 = 3;
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Most pods that an edit names.
const MAX_PODS: usize = 20;
/// Most edits that become rows.
const MAX_EDITS: usize = 60;

pub fn leases(objects: &Objects, ledger: &mut Ledger) -> Vec<LeaseFact> {
    let rows = objects.more.leases.iter().map(|(lease, query)| {
        let spec = lease.spec.clone().unwrap_or_default();
        let renewed_at = spec.renew_time.as_ref().and_then(units::micro_time);
        let age_seconds = renewed_at.map_or(-1, |at| (objects.now - at).num_seconds().max(0));
        let duration_seconds = i64::from(spec.lease_duration_seconds.unwrap_or(0));
        let mut row = LeaseFact {
            name: name_of(&lease.metadata).to_owned(),
            namespace: lease.metadata.namespace.clone().unwrap_or_default(),
            holder: clean(&spec.holder_identity.unwrap_or_default()),
            renewed_at,
            age_seconds,
            duration_seconds,
            stale: duration_seconds > 0 && age_seconds > STALE_DURATIONS * duration_seconds,
            ..LeaseFact::default()
        };
        let page = ledger.open("kubernetes", query, 0);
        let text = format!(
            "lease {}: held by {}, renewed {} ago, lasts {}s",
            row.name,
            row.holder,
            units::span(age_seconds),
            duration_seconds
        );
        let quote = ledger.line(page, &text);
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        row
    });
    rows.collect()
}

/// Texts in which the API server told a controller why it refused a pod.
pub fn refusals<'f>(rollouts: &'f [RolloutFact], events: &'f [EventFact]) -> Vec<&'f str> {
    let failed = events.iter().filter(|row| row.reason == "FailedCreate").map(|row| row.message.as_str());
    rollouts
        .iter()
        .map(|row| row.replica_failure.as_str())
        .chain(failed)
        .filter(|text| !text.is_empty())
        .collect()
}

/// `failed calling webhook "W": …` → W and the words after it.
pub fn called_webhook(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("failed calling webhook \"")?;
    rest.split_once("\": ")
}

pub fn webhooks(objects: &Objects, refusals: &[&str], ledger: &mut Ledger) -> Vec<WebhookFact> {
    let mut rows: Vec<WebhookFact> = Vec::new();
    for (name, said) in refusals.iter().filter_map(|text| called_webhook(text)) {
        for hook in objects.more.webhooks.iter().filter(|hook| hook.name == name) {
            if rows.iter().any(|row| row.name == name && row.configuration == hook.configuration) {
                continue;
            }
            let (exists, ready, query) = match &hook.backend {
                Backend::Absent(query) => ("no", 0, query),
                Backend::Ready(ready, query) => ("yes", *ready, query),
                Backend::Unknown => ("unknown", -1, &hook.query),
            };
            let service = hook.service.clone().unwrap_or_default();
            let mut row = WebhookFact {
                name: clean(name),
                configuration: hook.configuration.clone(),
                kind: hook.kind.to_owned(),
                failure_policy: hook.failure_policy.clone(),
                timeout_seconds: hook.timeout_seconds,
                service: if service.1.is_empty() {
                    String::new()
                } else {
                    format!("{}/{}", service.0, service.1)
                },
                service_namespace: service.0,
                service_name: service.1,
                service_exists: exists.to_owned(),
                ready_endpoints: ready,
                said: clean(said),
                ..WebhookFact::default()
            };
            let page = ledger.open("kubernetes", query, 0);
            let quote = ledger.line(page, &webhook_line(&row));
            (row.evidence, row.quote) = (quote.evidence, quote.text);
            rows.push(row);
        }
    }
    rows
}

fn webhook_line(row: &WebhookFact) -> String {
    let behind = match row.service_exists.as_str() {
        "no" => " which does not exist".to_owned(),
        "yes" => format!(" with {} ready addresses", row.ready_endpoints),
        _ => String::new(),
    };
    format!(
        "{} webhook {} of {}: failurePolicy {}, timeout {}s, service {}{behind}",
        row.kind, row.name, row.configuration, row.failure_policy, row.timeout_seconds, row.service
    )
}

/// Aggregated APIs that are not available.
pub fn api_services(objects: &Objects, ledger: &mut Ledger) -> Vec<ApiServiceFact> {
    let read = &objects.more.api_services;
    let mut rows: Vec<ApiServiceFact> = Vec::new();
    for api in &read.items {
        let conditions =
            api.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let available = conditions.iter().find(|condition| condition.type_ == "Available");
        let Some(condition) = available.filter(|condition| condition.status != "True") else { continue };
        let service = api.spec.as_ref().and_then(|spec| spec.service.as_ref());
        let text = |text: &Option<String>| clean(text.as_deref().unwrap_or_default());
        rows.push(ApiServiceFact {
            name: name_of(&api.metadata).to_owned(),
            available: condition.status.clone(),
            reason: text(&condition.reason),
            message: text(&condition.message),
            service: service
                .map(|one| format!("{}/{}", text(&one.namespace), text(&one.name)))
                .unwrap_or_default(),
            ..ApiServiceFact::default()
        });
    }
    if rows.is_empty() {
        return rows;
    }
    let page = ledger.open("kubernetes", &read.query, read.milliseconds);
    for row in &mut rows {
        let text = format!(
            "apiservice {}: Available={} ({}: {}), served by {}",
            row.name, row.available, row.reason, row.message, row.service
        );
        let quote = ledger.line(page, &text);
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    rows
}

/// Who changed what last, of the objects that concern the workload.
pub fn edits(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<EditFact> {
    let mut all: Vec<(EditFact, String)> = Vec::new();
    let mut add = |kind: &str, metadata: &ObjectMeta, query: &str, parts: &[(&str, &[&str])]| {
        for (part, path) in parts {
            if let Some(row) = edit(objects, focus, kind, metadata, (part, path)) {
                all.push((row, query.to_owned()));
            }
        }
    };
    let workload: &[(&str, &[&str])] =
        &[("replicas", &["f:spec", "f:replicas"]), ("template", &["f:spec", "f:template"])];
    let concerns = |kind: &str, metadata: &ObjectMeta| focus.concerns(kind, name_of(metadata));
    for one in objects.deployments.items.iter().filter(|one| concerns("Deployment", &one.metadata)) {
        add("Deployment", &one.metadata, &objects.deployments.query, workload);
    }
    for one in objects.stateful_sets.items.iter().filter(|one| concerns("StatefulSet", &one.metadata)) {
        add("StatefulSet", &one.metadata, &objects.stateful_sets.query, workload);
    }
    for one in objects.services.items.iter().filter(|one| concerns("Service", &one.metadata)) {
        let parts: &[(&str, &[&str])] =
            &[("selector", &["f:spec", "f:selector"]), ("ports", &["f:spec", "f:ports"])];
        add("Service", &one.metadata, &objects.services.query, parts);
    }
    for one in objects.hpas.items.iter().filter(|one| concerns("HorizontalPodAutoscaler", &one.metadata)) {
        add("HorizontalPodAutoscaler", &one.metadata, &objects.hpas.query, &[("scaling", &["f:spec"])]);
    }
    for (query, metadata) in
        objects.config_maps.values().filter_map(|one| Some((&one.query, one.metadata.as_ref()?)))
    {
        add("ConfigMap", metadata, query, &[("data", &["f:data"])]);
    }
    if let Some((namespace, query)) = &objects.more.namespace {
        let label = format!("f:{ENFORCE}");
        let path: &[&str] = &["f:metadata", "f:labels", &label];
        add("Namespace", &namespace.metadata, query, &[(&format!("label {ENFORCE}"), path)]);
    }
    let mut pages = std::collections::BTreeMap::new();
    let rows = all.into_iter().take(MAX_EDITS).map(|(mut row, query)| {
        let page = *pages.entry(query.clone()).or_insert_with(|| ledger.open("kubernetes", &query, 0));
        let quote = ledger.line(page, &edit_line(&row, objects.now));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        row
    });
    rows.collect()
}

fn edit(
    objects: &Objects,
    focus: &Focus<'_>,
    kind: &str,
    metadata: &ObjectMeta,
    (part, path): (&str, &[&str]),
) -> Option<EditFact> {
    let entries = metadata.managed_fields.iter().flatten();
    // What a controller writes into the status is no change of anybody's.
    let own = entries.filter(|entry| entry.subresource.as_deref() != Some("status"));
    let touching = own.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| has(&fields.0, path)));
    let last = touching.max_by_key(|entry| entry.time.as_ref().and_then(units::time))?;
    let at = last.time.as_ref().and_then(units::time)?;
    let value = part.strip_prefix("label ").and_then(|key| metadata.labels.as_ref()?.get(key));
    let older = focus.pods.iter().filter(|pod| pods::created_at(pod).is_some_and(|made| made < at));
    Some(EditFact {
        kind: kind.to_owned(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: name_of(metadata).to_owned(),
        part: part.to_owned(),
        manager: clean(last.manager.as_deref().unwrap_or_default()),
        at: Some(at),
        age_seconds: (objects.now - at).num_seconds(),
        value: value.map(|value| clean(value)).unwrap_or_default(),
        older_pods: older.take(MAX_PODS).map(|pod| name_of(&pod.metadata).to_owned()).collect(),
        ..EditFact::default()
    })
}

fn has(fields: &Value, path: &[&str]) -> bool {
    path.iter().try_fold(fields, |fields, key| fields.get(key)).is_some()
}

fn edit_line(row: &EditFact, now: DateTime<Utc>) -> String {
    let at = row.at.map(|at| units::clock(at, now)).unwrap_or_default();
    let value = if row.value.is_empty() { String::new() } else { format!(" (now {})", row.value) };
    format!("{} {}: {}{value} last changed by {} at {at}", row.kind, row.name, row.part, row.manager)
}
