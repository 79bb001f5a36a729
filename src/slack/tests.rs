//! Tests over what Slack and terminals are given.

use super::blocks::{self, IncidentView, Message, Progress, Standing, Telling};
use super::text;
use crate::alert::Severity;
use crate::report::tests::*;
use crate::report::*;
use crate::words::Words;
use crate::workload::Workload;

mod languages;
mod payloads;
mod properties;

fn telling(url: Option<&str>) -> Telling<'_> {
    Telling { url, ..Telling::new(Words::of("en")) }
}

/// With everything that may stand beside a report.
fn full(before: &Before) -> Telling<'_> {
    let read_at = Some(at("2026-11-21T10:13:02Z"));
    Telling { read_at, before: Some(before), buttons: Some(uuid::Uuid::nil()), ..telling(Some(URL)) }
}

fn view<'a>(workload: &'a Workload, names: &'a [String]) -> IncidentView<'a> {
    IncidentView {
        workload,
        severity: Severity::Critical,
        title: "Deployment user-service has been stuck for 10 minutes",
        alert_names: names,
        alerts: 3,
        opened_at: at("2026-11-21T10:12:20Z"),
    }
}
