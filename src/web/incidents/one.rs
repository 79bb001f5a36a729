//! One incident: its alerts with their labels, its investigations, its thread. Rows in, a page out.

use axum::Extension;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use uuid::Uuid;

use super::store::{self, Alert, Look};
use super::{MAX_LINE, broke, thread};
use crate::web::Pages;
use crate::web::door::Reader;
use crate::web::fault::{Fault, read};
use crate::web::layout::{Frame, Section, count, line, page, prose, severity, time, verdict, workload};

const MAX_ALERTS: i64 = 50;
const MAX_LOOKS: i64 = 50;

pub(in crate::web) async fn one(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path(id): Path<String>,
) -> Result<Markup, Fault> {
    let none = Fault::NotFound("There is no such incident, or it is not yours to see.");
    let Ok(id) = id.parse::<Uuid>() else { return Err(none) };
    let (pool, reach) = (pages.pool(), reader.reach());
    let Some(row) = read(store::rows(pool, &[id], reach)).await?.pop() else { return Err(none) };
    let (alerts, looks) = read(async {
        Ok((store::alerts(pool, id, MAX_ALERTS).await?, store::looks(pool, id, MAX_LOOKS).await?))
    })
    .await?;
    let now = Utc::now();
    let main = html! {
        p.line1 {
            (severity(&row.severity))
            span.verdict { @if row.state == "open" { "Open" } @else { "Resolved" } }
        }
        h1 { (workload(&row.workload)) }
        p.lead { (prose(&broke(&row))) }
        p.muted {
            "Since " (time(row.opened_at, now))
            @if let Some(at) = row.resolved_at.filter(|_| row.state == "resolved") { " · over " (time(at, now)) }
            " · " (count(i64::from(row.alerts), "alert", "alerts"))
        }
        p.links {
            (thread(&row))
            @if let Some(other) = row.folded_into { a href={ "/incidents/" (other) } { "The incident they share" } }
        }
        (investigations(&looks, now))
        (alerts_of(&alerts, now))
    };
    let title = row.workload.clone();
    Ok(page(&Frame::new(&title, Section::Incidents, &reader), main))
}

fn investigations(looks: &[Look], now: DateTime<Utc>) -> Markup {
    html! {
        section aria-labelledby="looks" {
            h2 id="looks" { "Investigations" }
            @if looks.is_empty() { p.empty { "None yet." } }
            ul.cards {
                @for look in looks {
                    li.card {
                        p.line1 { (verdict(&look.state, look.outcome.as_deref())) span.muted { (look.reason) } }
                        h3 { a href={ "/investigations/" (look.id) } { "Looked at " (time(look.created_at, now)) } }
                        @if let Some(text) = look.summary.as_deref().or(look.error.as_deref()) { p { (line(text, MAX_LINE)) } }
                        @if let Some(seconds) = look.seconds { p.muted.small { "took " (format!("{seconds:.1} s")) } }
                    }
                }
            }
        }
    }
}

fn alerts_of(alerts: &[Alert], now: DateTime<Utc>) -> Markup {
    html! {
        section aria-labelledby="alerts" {
            h2 id="alerts" { "Alerts" }
            @if alerts.is_empty() { p.empty { "Their rows are past retention." } }
            @for alert in alerts {
                details.alert {
                    summary {
                        strong { (alert.name) } " " (alert.status) " " (severity(&alert.severity)) " "
                        span.muted { "from " (alert.source) ", " (time(alert.received_at, now)) }
                    }
                    p { (alert.reason) @if alert.repeats > 0 { " · repeated " (count(i64::from(alert.repeats), "time", "times")) } }
                    p.muted { "fires since " (time(alert.starts_at, now)) }
                    (pairs("Labels", alert.labels.as_ref()))
                    (pairs("Annotations", alert.annotations.as_ref()))
                }
            }
        }
    }
}

fn pairs(title: &str, values: Option<&serde_json::Value>) -> Markup {
    let pairs = values.and_then(serde_json::Value::as_object);
    html! {
        @if let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) {
            h3 { (title) }
            dl.pairs {
                @for (name, value) in pairs { dt { (name) } dd { (value.as_str().unwrap_or_default()) } }
            }
        }
    }
}
