//! `kubernetes_describe`: an object with the owners above it, its pods and its events, in one answer. Parts
//! that cannot be read are named as gaps; only the object itself must be there.

use serde_json::Value;

use super::asked::Asked;
use super::family::{Family, family, has_pods};
use super::get::{Arguments, pretty};
use super::reach::Reach;
use super::table::{age, aligned, columns, name};
use super::{condense, events, found};
use crate::evidence::events::line;
use crate::source::kubernetes::kinds::{Kind, kind};
use crate::tool::{Found, Refusal};

/// Most bytes of the object itself; the rest of it is `kubernetes_get`'s.
const MAX_OBJECT_BYTES: usize = 2_600;
const MAX_PODS: usize = 12;
const MAX_EVENT_LINES: usize = 15;
const MAX_EVENT_BYTES: usize = 2_000;

pub async fn answer(reach: &Reach<'_>, arguments: Arguments) -> Result<Found, Refusal> {
    let asked = arguments.asked()?;
    let namespace = reach.one_namespace(&asked)?;
    let answer = reach.object(asked.kind, &namespace, &asked.name).await?;
    let object = &answer.value;
    let mut lines = condense::lines(asked.kind, object, reach.bounds.now);
    let sums = lines.iter().scan(0, |bytes, line| {
        *bytes += line.len() + 1;
        Some(*bytes)
    });
    let fitting = sums.take_while(|bytes| *bytes <= MAX_OBJECT_BYTES).count();
    if fitting < lines.len() {
        let rest = lines.len() - fitting;
        lines.truncate(fitting);
        lines.push(format!("… {rest} more lines; kubernetes_get shows them"));
    }
    let mut full = pretty(object);
    lines.extend(owner_lines(reach, object, &namespace).await);
    let below =
        if has_pods(asked.kind) { Some(family(reach, asked.kind, &namespace, object).await) } else { None };
    let read = match &below {
        Some(Ok(family)) => {
            lines.extend(pod_lines(reach, family));
            events::of_family(reach, &namespace, family).await
        }
        Some(Err(refusal)) => Err(refusal.clone()),
        None => events::of_object(reach, &Asked { flags: asked.flags.clone(), ..asked }, &namespace).await,
    };
    match read {
        Ok(read) if read.rows.is_empty() => lines.push("events: none".to_owned()),
        Ok(read) => {
            lines.push("events:".to_owned());
            lines.push(events::digested(&read.rows, reach.bounds.now, MAX_EVENT_LINES, MAX_EVENT_BYTES));
            full.push('\n');
            full.push_str(
                &read.rows.iter().map(|row| line(row, reach.bounds.now)).collect::<Vec<_>>().join("\n"),
            );
        }
        Err(refusal) => lines.push(format!("events: not read, {refusal}")),
    }
    Ok(found(answer.query, lines.join("\n"), full))
}

/// `owner Deployment checkout: READY 2/2, UPDATED 1, …`
async fn owner_lines(reach: &Reach<'_>, object: &Value, namespace: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for owner in reach.owners(object, namespace).await {
        let state = match kind(&owner.kind) {
            Some(kind) => reach.scoped.object(kind, namespace, &owner.name).await.ok().map(|answer| {
                let cells =
                    columns(kind).iter().map(|(head, cell)| (head, cell(&answer.value, reach.bounds.now)));
                cells.map(|(head, cell)| format!("{head} {cell}")).collect::<Vec<_>>().join(", ")
            }),
            None => None,
        };
        let state = state.unwrap_or_else(|| "not read".to_owned());
        lines.push(format!("owner {} {}: {state}", owner.kind, owner.name));
    }
    lines
}

fn pod_lines(reach: &Reach<'_>, family: &Family) -> Vec<String> {
    let Some(pod) = kind("Pod").filter(|_| !family.pods.is_empty()) else {
        return vec!["pods: none".to_owned()];
    };
    let mut pods: Vec<&Value> = family.pods.iter().collect();
    pods.sort_by_key(|pod| (super::log_pods::is_well(pod), name(pod).to_owned()));
    let rest = pods.len().saturating_sub(MAX_PODS);
    let now = reach.bounds.now;
    let rows: Vec<Vec<String>> =
        pods.iter().take(MAX_PODS).map(|pod_object| row(pod, pod_object, now)).collect();
    let mut headers = vec!["pods:".to_owned()];
    headers.extend(columns(pod).iter().map(|(head, _)| (*head).to_owned()));
    headers.push("AGE".to_owned());
    let mut lines = vec![aligned(&headers, &rows)];
    if rest > 0 || family.more {
        lines.push(format!(
            "… {rest} more pods{}",
            if family.more { ", and others that were not read" } else { "" }
        ));
    }
    lines
}

fn row(kind: &Kind, object: &Value, now: chrono::DateTime<chrono::Utc>) -> Vec<String> {
    let mut row = vec![name(object).to_owned()];
    row.extend(columns(kind).iter().map(|(_, cell)| cell(object, now)));
    row.push(age(object, now));
    row
}
