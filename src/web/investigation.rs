//! One investigation for people: its row, report and what was read come in; a page goes out that begins with the
//! verdict and leads from each claim to the text that proves it. While it goes on, the page says what was done so far.

mod feedback;
mod progress;
mod proof;
mod store;
mod timeline;
mod told;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::Pages;
use super::difference::{Difference, difference};
use super::door::Reader;
use super::fault::{Fault, read};
use super::layout::{Frame, Section, page, severity, time, verdict, workload};
use crate::api::access::Reach;
use crate::api::events;
use crate::report::{Muted, Report};
use store::{Earlier, Observation, Row, Said};

/// Longer observations are fetched when somebody opens them, in bytes.
const MAX_INLINE_BYTES: i32 = 2_000;
const MAX_SAID: i64 = 20;
/// Without script, a page of what goes on is loaded again this often.
const REFRESH_SECS: u32 = 5;
const NONE: Fault = Fault::NotFound("There is no such investigation, or it is not yours to see.");

/// What happened just before, for a line above the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    done: String,
}

/// Everything that the page of a finished investigation shows.
struct Case {
    row: Row,
    report: Option<Report>,
    observations: Vec<Observation>,
    said: Vec<Said>,
    earlier: Option<(Earlier, Difference)>,
    muted: Option<Muted>,
    progress: Vec<events::Told>,
    now: DateTime<Utc>,
}

pub(super) async fn one(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path(id): Path<String>,
    Query(after): Query<After>,
) -> Result<Markup, Fault> {
    let row = find(pages.pool(), &id, reader.reach()).await?;
    let case = read(gather(pages.pool(), row)).await?;
    let goes_on = matches!(case.row.state.as_str(), "queued" | "running");
    let main = html! {
        (done(&after.done))
        (head(&case))
        @match &case.report {
            Some(report) => (told::report(&case, report, &reader)),
            None => (without_report(&case, &reader)),
        }
    };
    let title = case.row.workload.clone();
    let refresh_secs = goes_on.then_some(REFRESH_SECS);
    Ok(page(&Frame { refresh_secs, ..Frame::new(&title, Section::Incidents, &reader) }, main))
}

/// An investigation that the reader may see.
pub(super) async fn find(pool: &PgPool, id: &str, reach: &Reach) -> Result<Row, Fault> {
    let id: Uuid = id.parse().map_err(|_| NONE)?;
    read(store::investigation(pool, id, reach)).await?.ok_or(NONE)
}

async fn gather(pool: &PgPool, mut row: Row) -> sqlx::Result<Case> {
    // A report that another version wrote differently is shown as if there were none.
    let report: Option<Report> = row.report.take().and_then(|report| serde_json::from_value(report).ok());
    let observations = store::observations(pool, row.id, MAX_INLINE_BYTES).await?;
    let said = store::said(pool, row.id, MAX_SAID).await?;
    let mut earlier = None;
    let mut muted = None;
    if let Some(report) = &report {
        if let Some(before) = store::earlier(pool, &row.workload, row.created_at).await? {
            earlier = compare(pool, (report, &observations), before).await?;
        }
        let mut connection = pool.acquire().await?;
        muted = crate::feedback::in_force(&mut connection, &row.workload, report).await?;
    }
    let progress = events::told(pool, row.id).await?;
    Ok(Case { row, report, observations, said, earlier, muted, progress, now: Utc::now() })
}

async fn compare(
    pool: &PgPool,
    (report, observations): (&Report, &[Observation]),
    before: Earlier,
) -> sqlx::Result<Option<(Earlier, Difference)>> {
    let Ok(other) = serde_json::from_value::<Report>(before.report.clone()) else { return Ok(None) };
    let read_before = store::observations(pool, before.id, MAX_INLINE_BYTES).await?;
    let difference = difference((report, &texts(observations)), (&other, &texts(&read_before)));
    Ok(Some((before, difference)))
}

fn texts(observations: &[Observation]) -> Vec<(&str, &str)> {
    observations.iter().filter_map(|one| Some((one.query.as_str(), one.text.as_deref()?))).collect()
}

fn done(what: &str) -> Markup {
    let text = match what {
        "thanks" => "Noted, thank you.",
        "muted" => "Muted: this cause is not posted again for this workload until the mute ends.",
        "unmuted" => "The mute is lifted.",
        "joined" => "It was waiting already; now it waits no longer.",
        _ => return html! {},
    };
    html! { p.notice role="status" { (text) } }
}

fn head(case: &Case) -> Markup {
    let row = &case.row;
    html! {
        p.line1 {
            (severity(&row.severity))
            (verdict(&row.state, row.outcome.as_deref()))
        }
        h1 { (workload(&row.workload)) }
        p.muted {
            (row.alert_name) " · looked at " (time(row.created_at, case.now))
            " · " a href={ "/incidents/" (row.incident_id) } { "the incident" }
        }
    }
}

fn without_report(case: &Case, reader: &Reader) -> Markup {
    let row = &case.row;
    html! {
        @match row.state.as_str() {
            "queued" => p.lead { "It waits for a worker." },
            "running" => p.lead { "Facts are being gathered and compared with known failures." },
            "cancelled" => p.lead { "The alert resolved before anybody looked." },
            "done" => {
                p.lead { "Another version wrote its report, in a form that this one does not read. The API has it as it is." }
            }
            _ => {
                p.lead { "Every attempt failed, so nothing is known about the cause." }
            }
        }
        @if let Some(error) = &row.error { p { "The last attempt failed: " (error) } }
        (progress::live(case))
        @if !matches!(row.state.as_str(), "queued" | "running") { (feedback::rerun(case, reader)) }
    }
}

/// The whole text of one observation: a page for people, plain text for the page's script.
pub(super) async fn observation(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Path((id, evidence)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let none = || Fault::NotFound("There is no such observation, or it is past retention.");
    if evidence.len() > 12 || evidence.contains('\0') {
        return Err(none());
    }
    let pool = pages.pool();
    let row = find(pool, &id, reader.reach()).await?;
    let found = read(store::observation(pool, row.id, &evidence)).await?.ok_or_else(none)?;
    let text = found.text.clone().unwrap_or_default();
    let wants_text = headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/plain");
    if wants_text {
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        return Ok(([(header::CONTENT_TYPE, kind)], text).into_response());
    }
    let now = Utc::now();
    let title = format!("{} of {}", found.evidence, row.workload);
    let main = html! {
        p { a href={ "/investigations/" (row.id) } { "The investigation" } }
        h1 { "Observation " (found.evidence) }
        p.muted { "from " (found.source) ", read " (time(found.created_at, now)) " in " (found.milliseconds) " ms" }
        p { code.query { (found.query) } }
        pre.observation tabindex="0" { (text) }
    };
    Ok(page(&Frame::new(&title, Section::Incidents, &reader), main).into_response())
}
