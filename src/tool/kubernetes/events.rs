//! `kubernetes_events`: what the cluster says happened to an object (with its pods) or in a namespace, in
//! order of time, the same words about several objects told once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Event;
use serde::Deserialize;

use super::asked::{Asked, Place, Words};
use super::family::{Family, family, has_pods};
use super::reach::{Reach, refusal};
use super::{found, since};
use crate::evidence::events::{line, row};
use crate::facts::EventFact;
use crate::logs::group::masked;
use crate::source::kubernetes::ListQuery;
use crate::tool::bounded::cut;
use crate::tool::{Found, Refusal};

/// Most lines of one answer; Warnings and newer ones come first.
const MAX_LINES: usize = 40;
/// And most bytes of them, well below what a digest may have.
const MAX_BYTES: usize = 5_000;
const MAX_LINE_CHARS: usize = 420;
/// Names of further objects that one line carries.
const MAX_NAMES: usize = 4;
/// Nodes have no namespace; their events are in this one.
const CLUSTER_EVENTS: &str = "default";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(default, alias = "name")]
    pub object: Option<String>,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub since: Option<String>,
}

/// Events that were read, as rows in order of time.
pub struct Read {
    pub rows: Vec<EventFact>,
    pub query: String,
    pub truncated: bool,
}

pub async fn answer(reach: &Reach<'_>, arguments: Arguments) -> Result<Found, Refusal> {
    let since =
        arguments.since.as_deref().map(|text| since::point("since", text, reach.bounds)).transpose()?;
    let words = Words {
        name: arguments.object.as_deref(),
        namespace: arguments.namespace.as_deref(),
        default_kind: "Pod",
        ..Words::default()
    };
    let asked = Asked::understand(&words)?;
    // `ns/shop` asks for the namespace, not for events about the object.
    let place = match (asked.kind.name, asked.name.is_empty()) {
        ("Namespace", false) => Some(Place::Namespace(asked.name.clone())),
        (_, true) => Some(asked.place.clone()),
        _ => None,
    };
    let (read, what) = match place {
        Some(place) => {
            let asked = Asked { place, kind: pod_kind()?, ..asked };
            let namespace = reach.namespace(&asked)?;
            let what = if namespace.is_empty() { "all namespaces".to_owned() } else { namespace.clone() };
            (of_namespace(reach, &namespace).await?, what)
        }
        None => {
            let namespace = reach.one_namespace(&asked)?;
            (of_object(reach, &asked, &namespace).await?, format!("{} {}", asked.kind.name, asked.name))
        }
    };
    let rows: Vec<EventFact> = read
        .rows
        .into_iter()
        .filter(|row| since.is_none_or(|since| row.last_at.is_none_or(|at| at >= since)))
        .collect();
    let full: Vec<String> = rows.iter().map(|row| line(row, reach.bounds.now)).collect();
    let mut digest = format!("{} events of {what}", rows.len());
    if let Some(since) = since {
        digest.push_str(&format!(" since {}", since.format("%H:%M:%S")));
    }
    if read.truncated {
        digest.push_str(" (there are more than could be read)");
    }
    if rows.is_empty() {
        digest.push_str("; the API server keeps them for about an hour");
    }
    digest.push('\n');
    digest.push_str(&digested(&rows, reach.bounds.now, MAX_LINES, MAX_BYTES));
    Ok(found(read.query, digest, full.join("\n")))
}

fn pod_kind() -> Result<&'static crate::source::kubernetes::kinds::Kind, Refusal> {
    crate::source::kubernetes::kinds::kind("Pod").ok_or_else(|| Refusal::Failed("no pods".to_owned()))
}

pub async fn of_object(reach: &Reach<'_>, asked: &Asked, namespace: &str) -> Result<Read, Refusal> {
    if has_pods(asked.kind) {
        let object = reach.object(asked.kind, namespace, &asked.name).await?.value;
        let family = family(reach, asked.kind, namespace, &object).await?;
        return of_family(reach, namespace, &family).await;
    }
    let namespace = if asked.kind.namespaced { namespace } else { CLUSTER_EVENTS };
    if !reach.scoped.scope().allows(namespace) {
        let words = format!("events of a {} are in namespace {CLUSTER_EVENTS}", asked.kind.name);
        return Err(Refusal::Scope(words));
    }
    let fields = format!("involvedObject.kind={},involvedObject.name={}", asked.kind.name, asked.name);
    read(reach, namespace, &ListQuery::fields(fields)).await
}

pub async fn of_family(reach: &Reach<'_>, namespace: &str, family: &Family) -> Result<Read, Refusal> {
    let mut read = of_namespace(reach, namespace).await?;
    read.rows.retain(|row| family.concerns(&row.kind, &row.name));
    Ok(read)
}

async fn of_namespace(reach: &Reach<'_>, namespace: &str) -> Result<Read, Refusal> {
    read(reach, namespace, &ListQuery::default()).await
}

async fn read(reach: &Reach<'_>, namespace: &str, query: &ListQuery) -> Result<Read, Refusal> {
    let answer =
        reach.scoped.list::<Event>(namespace, query).await.map_err(|error| refusal(&error, "events"))?;
    let mut rows: Vec<EventFact> =
        answer.value.items.iter().map(|event| row(event, reach.bounds.now)).collect();
    rows.sort_by_key(|row| (row.last_at, row.kind.clone(), row.name.clone(), row.reason.clone()));
    Ok(Read { rows, query: answer.query, truncated: answer.value.truncated })
}

/// Lines in order of time: one for each thing that was said, however many objects it was said of.
pub fn digested(rows: &[EventFact], now: DateTime<Utc>, max_lines: usize, max_bytes: usize) -> String {
    let mut groups: BTreeMap<(&str, &str, &str, String), Vec<&EventFact>> = BTreeMap::new();
    for row in rows {
        let words = masked(&row.message.replace(&row.name, "it"));
        let key = (row.kind.as_str(), row.level.as_str(), row.reason.as_str(), words);
        groups.entry(key).or_default().push(row);
    }
    let total = groups.len();
    let mut groups: Vec<Vec<&EventFact>> = groups.into_values().collect();
    let newest = |group: &[&EventFact]| group.last().and_then(|row| row.last_at);
    let is_warning = |group: &[&EventFact]| group.first().is_some_and(|row| row.level == "Warning");
    groups.sort_by_key(|group| (!is_warning(group), std::cmp::Reverse(newest(group))));
    let mut bytes = 0;
    let mut lines: Vec<(Option<DateTime<Utc>>, String)> = Vec::new();
    for group in groups.iter().take(max_lines) {
        let Some(line) = said(group, now) else { continue };
        bytes += line.len() + 1;
        if bytes > max_bytes {
            break;
        }
        lines.push((newest(group), line));
    }
    let left = total - lines.len();
    lines.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    if left > 0 {
        lines.push(format!("{left} more kinds of events, normal or older, are left out"));
    }
    lines.join("\n")
}

/// The newest of events that say the same, and of whom else it was said.
fn said(group: &[&EventFact], now: DateTime<Utc>) -> Option<String> {
    let (last, rest) = group.split_last()?;
    let mut others: Vec<&str> =
        rest.iter().map(|row| row.name.as_str()).filter(|name| *name != last.name).collect();
    others.sort_unstable();
    others.dedup();
    let sum = EventFact { count: group.iter().map(|row| row.count).sum(), ..(*last).clone() };
    let mut text = cut(&line(&sum, now), MAX_LINE_CHARS).into_owned();
    if !others.is_empty() {
        let more = others.len().saturating_sub(MAX_NAMES);
        let names = others.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!(" [also of {names}{more}]"));
    }
    Some(text)
}
