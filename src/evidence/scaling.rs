//! Quotas of the namespace and autoscalers of the workload. Pure.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::focus::{Focus, name_of};
use super::ledger::{Ledger, clean};
use super::objects::Objects;
use super::units;
use crate::facts::{HpaFact, QuotaFact};

/// Rows of every quota; a row that a refusal names has what was asked for.
pub fn quotas(objects: &Objects, refusals: &[&str], ledger: &mut Ledger) -> Vec<QuotaFact> {
    if objects.quotas.items.is_empty() {
        return Vec::new();
    }
    let page = ledger.open("kubernetes", &objects.quotas.query, objects.quotas.milliseconds);
    let mut rows = Vec::new();
    for quota in &objects.quotas.items {
        let status = quota.status.as_ref();
        let used = status.and_then(|status| status.used.as_ref());
        for (resource, hard) in status.and_then(|status| status.hard.as_ref()).into_iter().flatten() {
            let used = units::quantity(used, resource).to_owned();
            let full = !used.is_empty() && units::millis(&used) >= units::millis(&hard.0);
            let name = name_of(&quota.metadata).to_owned();
            let requested =
                refusals.iter().find_map(|text| refused(text, &name, resource)).unwrap_or_default();
            let overdrawn = units::millis(&used) > units::millis(&hard.0);
            let mut text = format!("quota {name}: {resource} used {used} of {}", hard.0);
            text.push_str(if full { ", full" } else { "" });
            if !requested.is_empty() {
                text.push_str(&format!(", refused to a pod that asks for {requested}"));
            }
            let quote = ledger.line(page, &text);
            rows.push(QuotaFact {
                name,
                namespace: quota.metadata.namespace.clone().unwrap_or_default(),
                resource: resource.clone(),
                hard: hard.0.clone(),
                used,
                full,
                overdrawn,
                requested,
                evidence: quote.evidence,
                quote: quote.text,
            });
        }
    }
    rows
}

/// `exceeded quota: Q, requested: limits.memory=1Gi,pods=1, used: …, limited: …` → what was requested of R.
fn refused(text: &str, quota: &str, resource: &str) -> Option<String> {
    let (_, rest) = text.split_once("exceeded quota: ")?;
    let (name, rest) = rest.split_once(", requested: ")?;
    let (requested, _) = rest.split_once(", used: ")?;
    let mut parts = requested.split(',').filter_map(|part| part.trim().split_once('='));
    let value = parts.find(|(own, _)| *own == resource).map(|(_, value)| value.to_owned());
    value.filter(|_| name == quota)
}

pub fn hpas(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<HpaFact> {
    let concerned =
        |hpa: &&HorizontalPodAutoscaler| focus.concerns("HorizontalPodAutoscaler", name_of(&hpa.metadata));
    let own: Vec<&HorizontalPodAutoscaler> = objects.hpas.items.iter().filter(concerned).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let page = ledger.open("kubernetes", &objects.hpas.query, objects.hpas.milliseconds);
    let rows = own.into_iter().map(|hpa| {
        let mut row = hpa_row(hpa);
        let quote = ledger.line(page, &hpa_line(&row));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        row
    });
    rows.collect()
}

fn hpa_row(hpa: &HorizontalPodAutoscaler) -> HpaFact {
    let status = hpa.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    let state = |kind: &str| condition(kind).map(|c| c.status.clone()).unwrap_or_default();
    let wrong = ["AbleToScale", "ScalingActive"]
        .into_iter()
        .filter_map(condition)
        .find(|condition| condition.status == "False");
    let limited = condition("ScalingLimited").filter(|condition| condition.status == "True");
    HpaFact {
        name: name_of(&hpa.metadata).to_owned(),
        namespace: hpa.metadata.namespace.clone().unwrap_or_default(),
        target_kind: hpa.spec.scale_target_ref.kind.clone(),
        target_name: hpa.spec.scale_target_ref.name.clone(),
        current: i64::from(status.and_then(|status| status.current_replicas).unwrap_or(0)),
        desired: status.map_or(0, |status| i64::from(status.desired_replicas)),
        min: i64::from(hpa.spec.min_replicas.unwrap_or(1)),
        max: i64::from(hpa.spec.max_replicas),
        able_to_scale: state("AbleToScale"),
        scaling_active: state("ScalingActive"),
        scaling_limited: state("ScalingLimited"),
        reason: wrong.and_then(|c| c.reason.clone()).unwrap_or_default(),
        message: clean(wrong.and_then(|c| c.message.as_deref()).unwrap_or_default()),
        limited_reason: limited.and_then(|c| c.reason.clone()).unwrap_or_default(),
        evidence: String::new(),
        quote: String::new(),
    }
}

fn hpa_line(row: &HpaFact) -> String {
    let mut line = format!(
        "hpa {} of {} {}: {} replicas, wants {}, between {} and {}",
        row.name, row.target_kind, row.target_name, row.current, row.desired, row.min, row.max
    );
    if !row.reason.is_empty() {
        line.push_str(&format!(", {}: {}", row.reason, row.message));
    }
    if !row.limited_reason.is_empty() {
        line.push_str(&format!(", limited: {}", row.limited_reason));
    }
    line
}
