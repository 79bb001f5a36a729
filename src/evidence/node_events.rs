//! Events about the nodes that the workload's pods are on, where something ended in a way that a node may
//! answer for. The API server's list comes in, rows with their own quotes go out. Pure but for the one request.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use k8s_openapi::api::core::v1::Event;

use super::events::{WINDOW_MINUTES, line, row};
use super::focus::Focus;
use super::ledger::Ledger;
use super::objects::{Objects, Read, kept};
use super::shared::node_of;
use crate::facts::{EventFact, Facts};
use crate::report::Gap;
use crate::source::kubernetes::Scoped;
use crate::workload::Workload;

/// Most rows, newest first.
const MAX_ROWS: usize = 20;
/// Exit codes of an end that came from outside: SIGKILL, SIGTERM, and one that nobody saw.
const ENDED_FROM_OUTSIDE: [i64; 3] = [137, 143, 255];

/// None where no node can have to do with it. A node as the subject has its events already.
pub(super) async fn read(
    scoped: &Scoped<'_>,
    workload: &Workload,
    draft: &Facts,
    objects: &Objects,
) -> Option<(Read<Event>, Vec<Gap>)> {
    let ended = draft.containers.iter().any(|row| ENDED_FROM_OUTSIDE.contains(&row.exit_code));
    let nodes = own_nodes(&Focus::new(objects, workload));
    let lost = draft.nodes.iter().any(|node| node.ready != "True" && nodes.contains(&node.name));
    if workload.kind == "Node" || nodes.is_empty() || !(ended || lost) {
        return None;
    }
    let mut gaps = Vec::new();
    let read = kept(scoped.node_events(&nodes).await, "events about nodes", &mut gaps);
    Some((read, gaps))
}

fn own_nodes(focus: &Focus<'_>) -> BTreeSet<String> {
    focus.pods.iter().filter_map(|pod| node_of(pod)).map(str::to_owned).collect()
}

/// Rows in order of time, of the nodes that the workload's pods are on.
pub(super) fn rows(
    objects: &Objects,
    focus: &Focus<'_>,
    began: Option<DateTime<Utc>>,
    ledger: &mut Ledger,
) -> Vec<EventFact> {
    let events = &objects.node_events;
    if !events.known {
        return Vec::new();
    }
    let nodes = own_nodes(focus);
    let window = began.unwrap_or(objects.now).min(objects.now) - Duration::minutes(WINDOW_MINUTES);
    let mut rows: Vec<EventFact> = events
        .items
        .iter()
        .map(|event| row(event, objects.now))
        .filter(|row| nodes.contains(&row.name) && row.last_at.is_none_or(|at| at >= window))
        .collect();
    if rows.is_empty() {
        return rows;
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.last_at));
    rows.truncate(MAX_ROWS);
    rows.reverse();
    let page = ledger.open("kubernetes", &events.query, events.milliseconds);
    for row in &mut rows {
        let quote = ledger.line(page, &line(row, objects.now));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    rows
}
