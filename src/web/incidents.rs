//! Incidents for people: what is broken now, the worst first, then what is over; and one incident with its alerts,
//! investigations and thread (`one`). Rows in, pages out.

mod one;
mod store;

use axum::Extension;
use axum::extract::{Query, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::Pages;
use super::door::Reader;
use super::fault::{Fault, read};
use super::layout::{Frame, Section, count, line, page, prose, severity, time, verdict, workload};
pub(super) use one::one;
use store::{Count, Row};

/// Open incidents on one page; beyond it filters help more than a second page.
const MAX_OPEN: i64 = 50;
const MAX_OVER: i64 = 10;
/// Characters of what broke.
const MAX_LINE: usize = 180;
const MAX_NAMES: usize = 3;

/// The query string of `/`; "" leaves a part open.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    pub cluster: String,
    pub namespace: String,
    pub severity: String,
}

impl Filter {
    fn is_open(&self) -> bool {
        self.cluster.is_empty() && self.namespace.is_empty() && self.severity.is_empty()
    }
}

pub(super) async fn now(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Query(filter): Query<Filter>,
) -> Result<Markup, Fault> {
    if [&filter.cluster, &filter.namespace, &filter.severity].iter().any(|value| value.contains('\0')) {
        return Err(Fault::Unreadable("A name holds no NUL.".to_owned()));
    }
    let (pool, reach) = (pages.pool(), reader.reach());
    let (open, over, counts) = read(async {
        let open = store::open(pool, &filter, reach, MAX_OPEN).await?;
        let over = store::over(pool, &filter, reach, MAX_OVER).await?;
        let counts = store::counts(pool, &filter, reach).await?;
        Ok((store::rows(pool, &open, reach).await?, store::rows(pool, &over, reach).await?, counts))
    })
    .await?;
    let now = Utc::now();
    let is_empty = open.is_empty() && over.is_empty() && filter.is_open();
    let main = html! {
        h1 { "Incidents now" }
        @if is_empty {
            (first_steps())
        } @else {
            (filters(&filter, &counts))
            section aria-labelledby="open" {
                h2 id="open" { "Open" }
                @if open.is_empty() {
                    p.empty { "Nothing is open" @if !filter.is_open() { " that this filter lets through" } "." }
                } @else {
                    (list(&open, now))
                    @if i64::try_from(open.len()).unwrap_or(0) == MAX_OPEN {
                        p.muted { "The first " (MAX_OPEN) ", the worst first; a filter shows the others." }
                    }
                }
            }
            @if !over.is_empty() {
                section aria-labelledby="over" {
                    h2 id="over" { "Over" }
                    (list(&over, now))
                    p { a href="/search" { "Search everything" } }
                }
            }
        }
    };
    Ok(page(&Frame::new("Incidents now", Section::Incidents, &reader), main))
}

fn filters(filter: &Filter, counts: &[Count]) -> Markup {
    let all: i64 = counts.iter().map(|one| one.open).sum();
    let each: Vec<String> = counts.iter().map(|one| format!("{} {}", one.open, one.severity)).collect();
    html! {
        p.counts {
            strong { (count(all, "open incident", "open incidents")) }
            @if !each.is_empty() { " · " (each.join(" · ")) }
        }
        form.filters method="get" action="/" data-filter="incidents" {
            (field("cluster", "Cluster", &filter.cluster))
            (field("namespace", "Namespace", &filter.namespace))
            div {
                label for="severity" { "Severity" }
                select id="severity" name="severity" {
                    @for (value, name) in [("", "any"), ("critical", "critical"), ("warning", "warning"), ("info", "info")] {
                        option value=(value) selected[filter.severity == value] { (name) }
                    }
                }
            }
            button type="submit" { "Filter" }
            @if !filter.is_open() { a.clear href="/" { "Show all" } }
        }
    }
}

pub(super) fn field(name: &str, label: &str, value: &str) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            input id=(name) name=(name) value=(value) maxlength="253" autocomplete="off" spellcheck="false";
        }
    }
}

fn list(rows: &[Row], now: DateTime<Utc>) -> Markup {
    html! {
        ul.cards data-list="incidents" {
            @for row in rows {
                li.card {
                    p.line1 {
                        (severity(&row.severity))
                        @if row.state == "open" {
                            (verdict(row.investigation_state.as_deref().unwrap_or("queued"), row.outcome.as_deref()))
                        } @else {
                            span.verdict.well { "Resolved" }
                        }
                    }
                    h3 { a href={ "/incidents/" (row.id) } { (workload(&row.workload)) } }
                    p { (prose(&broke(row))) }
                    p.muted.small {
                        (names(&row.alert_names)) " · "
                        (count(i64::from(row.alerts), "alert", "alerts")) " · since " (time(row.opened_at, now))
                        @if let Some(at) = row.resolved_at.filter(|_| row.state == "resolved") {
                            " · over " (time(at, now))
                        }
                    }
                    p.links {
                        @if let Some(id) = row.investigation { a href={ "/investigations/" (id) } { "Investigation" } }
                        (thread(row))
                    }
                }
            }
        }
    }
}

/// What broke, in one line.
fn broke(row: &Row) -> String {
    match row.statement.as_deref() {
        Some(statement) => line(statement, MAX_LINE),
        None if row.folded_into.is_some() => "One of many at once: they are looked at together.".to_owned(),
        None => line(&row.title, MAX_LINE),
    }
}

fn names(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The thread's address: Slack leads a channel's id and a message's time to the right workspace.
fn thread(row: &Row) -> Markup {
    let (Some(channel), Some(at)) = (&row.channel_id, &row.thread) else { return html! {} };
    let is_plain = channel.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let digits: String = at.chars().filter(char::is_ascii_digit).collect();
    if !is_plain || digits.len() + 1 != at.len() {
        return html! {};
    }
    html! { a href={ "https://slack.com/archives/" (channel) "/p" (digits) } rel="noreferrer" { "Thread in Slack" } }
}

fn first_steps() -> Markup {
    let example = r#"curl -X POST http://WHODUNIT:8080/webhooks/alertmanager -H 'content-type: application/json' -d '{
  "version": "4", "status": "firing", "receiver": "whodunit", "groupKey": "try",
  "alerts": [{"status": "firing", "startsAt": "2026-01-01T00:00:00Z",
    "labels": {"alertname": "Try", "severity": "critical", "namespace": "NAMESPACE", "deployment": "NAME"},
    "annotations": {"summary": "Trying whodunit"}}]}'"#;
    html! {
        section.empty aria-labelledby="first" {
            h2 id="first" { "No alert came in yet" }
            p { "Point a sender here. For Alertmanager, add a receiver and route alerts to it:" }
            pre tabindex="0" { "receivers:\n  - name: whodunit\n    webhook_configs:\n      - url: http://WHODUNIT:8080/webhooks/alertmanager" }
            p { "Or send one by hand, about a workload of your cluster:" }
            pre tabindex="0" { (example) }
            p { "It shows up here at once, and its investigation half a minute later; a critical one begins at once." }
        }
    }
}
