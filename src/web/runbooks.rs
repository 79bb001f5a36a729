//! How runbooks do: what they cover, how often a cause was found under them, what was asked in vain and what people
//! said. Counts of stored investigations in, pages out; the runbooks' own texts stay in git.

mod store;

use axum::Extension;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::Pages;
use super::costs::percent;
use super::door::Reader;
use super::fault::{Fault, read};
use super::layout::{Frame, Section, page, time, verdict, workload};
use crate::investigation::store::{Uncovered, uncovered};
use store::Used;

/// Investigations that are counted, and days.
const NEWEST: i64 = 500;
const DAYS: i32 = 30;
const MAX_FOLLOWED: i64 = 50;
const MAX_UNCOVERED: usize = 50;

pub(super) async fn all(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
) -> Result<Markup, Fault> {
    let (pool, reach) = (pages.pool(), reader.reach());
    let used = read(store::used(pool, "", (NEWEST, DAYS), reach)).await?;
    // Alerts are counted over all namespaces: only who sees all may see them.
    let sees_all = reach.clusters.is_empty() && reach.namespaces.is_empty();
    let without = if sees_all { read(uncovered(pool, DAYS)).await? } else { Vec::new() };
    let now = Utc::now();
    let main = html! {
        h1 { "Runbooks" }
        p.muted { "Of the last " (DAYS) " days, and of them the newest " (NEWEST) " investigations." }
        @if used.is_empty() { p.empty { "No investigation followed a runbook." } } @else { (table(&used, now)) }
        p.muted.small {
            "Written for the alert: the runbook fits this alert, and not every one. Cause found: the share that ended \
            with one. Asked in vain: the share of requests of whose answer the report quotes nothing."
        }
        @if sees_all { (missing(&without, now)) }
    };
    Ok(page(&Frame::new("Runbooks", Section::Runbooks, &reader), main))
}

fn table(used: &[Used], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Runbooks" {
            table {
                thead {
                    tr {
                        th scope="col" { "Runbook" }
                        th.number scope="col" { "Investigations" }
                        th.number scope="col" { "Written for the alert" }
                        th.number scope="col" { "Cause found" }
                        th.number scope="col" { "Asked in vain" }
                        th.number scope="col" { "👍 helpful" }
                        th.number scope="col" { "👎 not" }
                        th scope="col" { "Last" }
                    }
                }
                tbody {
                    @for one in used {
                        tr {
                            th scope="row" { a href={ "/runbooks/" (segment(&one.runbook)) } { (one.runbook) } }
                            td.number { (one.investigations) }
                            td.number { (percent(one.covered, one.investigations)) }
                            td.number { (percent(one.found, one.investigations)) }
                            td.number { (percent(one.wasted, one.calls)) }
                            td.number { (one.helpful) }
                            td.number { (one.unhelpful) }
                            td { (time(one.last_at, now)) }
                        }
                    }
                }
            }
        }
    }
}

fn missing(without: &[Uncovered], now: DateTime<Utc>) -> Markup {
    html! {
        section aria-labelledby="missing" {
            h2 id="missing" { "Alerts without a runbook of their own" }
            @if without.is_empty() {
                p.empty { "Every alert that was investigated had one." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Alerts and how often they came" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Alert" }
                                th.number scope="col" { "No runbook" }
                                th.number scope="col" { "A general one" }
                                th.number scope="col" { "No cause found" }
                                th scope="col" { "Last" }
                            }
                        }
                        tbody {
                            @for one in without.iter().take(MAX_UNCOVERED) {
                                tr {
                                    th scope="row" { (one.alert) }
                                    td.number { (one.without) }
                                    td.number { (one.partial) }
                                    td.number { (one.unexplained) }
                                    td { (time(one.last_at, now)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn one(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path(name): Path<String>,
) -> Result<Markup, Fault> {
    let (pool, reach) = (pages.pool(), reader.reach());
    let followed = if name.contains('\0') {
        Vec::new()
    } else {
        read(store::followed(pool, &name, reach, MAX_FOLLOWED)).await?
    };
    if followed.is_empty() {
        return Err(Fault::NotFound("No investigation that you may see followed this runbook."));
    }
    let used = read(store::used(pool, &name, (NEWEST, DAYS), reach)).await?;
    let now = Utc::now();
    let main = html! {
        p { a href="/runbooks" { "All runbooks" } }
        h1 { "Runbook " (name) }
        p { "Does the runbook cover this? Each report below asks for a 👍 or 👎." }
        @if used.is_empty() {
            p.empty { "Nobody followed it in the last " (DAYS) " days." }
        } @else {
            p.muted { "Of the last " (DAYS) " days, and of them the newest " (NEWEST) " investigations:" }
            (table(&used, now))
        }
        h2 { "Investigations that followed it" }
        ul.cards {
            @for look in &followed {
                li.card {
                    p.line1 { (verdict(&look.state, look.outcome.as_deref())) }
                    h3 { a href={ "/investigations/" (look.id) } { (workload(&look.workload)) } }
                    p.muted.small { (look.alert_name) " · " (time(look.created_at, now)) }
                }
            }
        }
    };
    let title = format!("Runbook {name}");
    Ok(page(&Frame::new(&title, Section::Runbooks, &reader), main))
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
